//! What a machine is made of, in libvirt's terms: the processor of each accelerator, and devices of the host.

use config::{
    hardware::{CpuModel, CpuTopology, Device, DeviceKind, DeviceSource},
    model::Arch,
};
use plan::model::NodePlan;
use serde::Serialize;

use crate::Accelerator;

/// Features of x86-64 processors for machines in machines: each vendor has one of the two, so neither can be required.
const NESTED: [&str; 2] = ["vmx", "svm"];

/// What says that moving bytes one by one is fast. An emulated processor really does so, one by one; kernels and C libraries
/// move words where nobody says it.
const BYTE_BY_BYTE: [&str; 2] = ["erms", "fsrm"];

/// A processor as `<cpu>` has it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Cpu {
    /// Libvirt's `mode`, unless it is a model.
    mode: &'static str,
    /// A model by its name.
    model: Option<&'static str>,
    topology: Option<CpuTopology>,
    features: Vec<Feature>,
    cells: Vec<Cell>,
    /// Whether there is nothing to say beside the mode.
    is_plain: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Feature {
    name: String,
    policy: &'static str,
}

/// A NUMA node of the guest.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Cell {
    /// Virtual processors.
    first: u32,
    last: u32,
    memory_mib: u64,
}

impl Cpu {
    pub(crate) fn of(node: &NodePlan, accelerator: Accelerator) -> Self {
        let (mode, model) = mode(node, accelerator);
        let features = features(node, accelerator);
        let (topology, cells) = (node.hardware.topology, cells(node));
        let is_plain = model.is_none() && topology.is_none() && features.is_empty() && cells.is_empty();
        Self { mode, model, topology, features, cells, is_plain }
    }
}

/// Mode and model. Only KVM can hand on the host's processor; an emulated one is the most capable that is fast.
fn mode(node: &NodePlan, accelerator: Accelerator) -> (&'static str, Option<&'static str>) {
    match (accelerator, node.arch, node.hardware.cpu) {
        (_, Arch::X86_64, Some(CpuModel::Qemu64)) => ("custom", Some("qemu64")),
        (Accelerator::Kvm, _, Some(CpuModel::HostModel)) => ("host-model", None),
        (Accelerator::Kvm, _, Some(CpuModel::Maximum)) | (Accelerator::Tcg, Arch::X86_64, _) => {
            ("maximum", None)
        }
        (Accelerator::Kvm, _, _) => ("host-passthrough", None),
        // Those that sign pointers take up to four times as long.
        (Accelerator::Tcg, Arch::Aarch64, _) => ("custom", Some("neoverse-n1")),
    }
}

fn features(node: &NodePlan, accelerator: Accelerator) -> Vec<Feature> {
    let policy = |name: &str, present| match present {
        false => "disable",
        true if NESTED.contains(&name) => "optional",
        true => "require",
    };
    let given = node.hardware.features.iter();
    let mut features: Vec<Feature> = given
        .map(|given| Feature { name: given.name.clone(), policy: policy(&given.name, given.present) })
        .collect();
    let ours: &[(&str, &'static str)] = match (node.arch, accelerator) {
        (Arch::X86_64, Accelerator::Tcg) => &BYTE_BY_BYTE.map(|name| (name, "disable")),
        (Arch::X86_64, Accelerator::Kvm) if node.hardware.nested => &NESTED.map(|name| (name, "optional")),
        _ => &[],
    };
    for &(name, policy) in ours {
        if features.iter().all(|feature| feature.name != name) {
            features.push(Feature { name: name.to_owned(), policy });
        }
    }
    features
}

/// Processors and memory in equal parts; what is left over goes to the last one.
fn cells(node: &NodePlan) -> Vec<Cell> {
    let count = node.hardware.numa_nodes.unwrap_or(0);
    let (cpus, memory) = (node.cpus / count.max(1), node.memory_mib / u64::from(count.max(1)));
    let cell = |index| {
        let is_last = index + 1 == count;
        Cell {
            first: index * cpus,
            last: if is_last { node.cpus - 1 } else { (index + 1) * cpus - 1 },
            memory_mib: if is_last { node.memory_mib - u64::from(index) * memory } else { memory },
        }
    };
    (0..count).map(cell).collect()
}

/// A device of the host as `<hostdev>` has it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct HostDevice<'a> {
    pci: Option<PciAddress<'a>>,
    mdev: Option<&'a str>,
    is_gpu: bool,
}

/// Hexadecimal, without `0x`.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct PciAddress<'a> {
    domain: &'a str,
    bus: &'a str,
    slot: &'a str,
    function: &'a str,
}

impl<'a> HostDevice<'a> {
    pub(crate) fn of(device: &'a Device) -> Self {
        let is_gpu = device.kind == DeviceKind::Gpu;
        match &device.source {
            DeviceSource::Pci(address) => Self { pci: Some(PciAddress::read(address)), mdev: None, is_gpu },
            DeviceSource::Mdev(uuid) => Self { pci: None, mdev: Some(uuid), is_gpu },
        }
    }
}

impl<'a> PciAddress<'a> {
    /// Reads `0000:01:00.0`, which is what the config lets through.
    fn read(address: &'a str) -> Self {
        let (rest, function) = address.rsplit_once('.').unwrap_or((address, "0"));
        let (rest, slot) = rest.rsplit_once(':').unwrap_or((rest, "0"));
        let (domain, bus) = rest.rsplit_once(':').unwrap_or(("0", rest));
        Self { domain, bus, slot, function }
    }
}
