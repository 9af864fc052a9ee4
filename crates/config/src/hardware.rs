//! What a machine is made of beside its size: processor, memory, devices and directories of the host.
//!
//! The defaults stand for what the accelerator has to offer, and are left out of what is written down.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Span;
use crate::model::Arch;

/// How processors and memory of a node are made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hardware {
    /// The processor that the guest sees; the most capable one of the accelerator unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuModel>,
    /// Features that it has beside its own, or lacks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<CpuFeature>,
    /// Whether guests may run guests with hardware support.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub nested: bool,
    /// Sockets, cores and threads. Their product is the number of virtual processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topology: Option<CpuTopology>,
    /// Backs memory with huge pages of this size, MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hugepages_mib: Option<u64>,
    /// Whether each virtual processor has a processor of the host for itself.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// Whether memory is a file that other processes can map.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shared_memory: bool,
    /// How many NUMA nodes the guest sees; one unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numa_nodes: Option<u32>,
}

/// A processor model, as libvirt's `mode` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CpuModel {
    /// The host's, unchanged.
    HostPassthrough,
    /// The nearest named model of the host's.
    HostModel,
    /// The most capable one of the accelerator.
    Maximum,
    /// QEMU's generic one.
    Qemu64,
}

/// A feature of a processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuFeature {
    /// As libvirt and the kernel call it: `avx2`.
    pub name: String,
    /// Whether the guest has it.
    pub present: bool,
}

impl CpuFeature {
    /// Reads `+avx2`, `avx2` and `-avx2`.
    pub(crate) fn read(text: &str) -> Self {
        let name = text.trim_start_matches(['+', '-']).to_owned();
        Self { name, present: !text.starts_with('-') }
    }
}

/// How virtual processors are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuTopology {
    /// Sockets.
    pub sockets: u32,
    /// Cores of a socket.
    pub cores: u32,
    /// Threads of a core.
    pub threads: u32,
}

impl CpuTopology {
    /// The arrangement of `cpus` virtual processors in so many sockets of cores with so many threads; `None` when they
    /// do not come out even.
    pub(crate) fn of(cpus: u64, sockets: u64, threads: u64) -> Option<Self> {
        let each = sockets
            .checked_mul(threads)
            .filter(|each| *each > 0 && cpus > 0 && cpus.is_multiple_of(*each))?;
        let small = |number: u64| u32::try_from(number).ok();
        Some(Self { sockets: small(sockets)?, cores: small(cpus / each)?, threads: small(threads)? })
    }
}

/// A device of the host that a node gets for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Which one.
    #[serde(flatten)]
    pub source: DeviceSource,
    /// What it is.
    pub kind: DeviceKind,
    /// PCI vendor, four hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor_id: Option<String>,
    /// PCI device, four hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
}

/// Which device of the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceSource {
    /// A PCI function by its address, in lower case: `0000:01:00.0`.
    Pci(String),
    /// A mediated device, such as a part of a GPU, by its UUID, in lower case.
    Mdev(String),
}

impl std::fmt::Display for DeviceSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pci(name) | Self::Mdev(name) => f.pad(name),
        }
    }
}

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceKind {
    /// A GPU, or a part of one.
    Gpu,
    /// The sound part of a GPU.
    Audio,
    /// A network card.
    Network,
    /// A disk.
    Storage,
    /// Anything else.
    Other,
}

/// A device, and the node that wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The node's domain.
    pub domain: String,
    /// The node's instruction set.
    pub arch: Arch,
    /// Whether the node starts with its cluster.
    pub auto_start: bool,
    /// The device.
    pub device: Device,
    /// The IOMMU group that the file says it is in.
    pub iommu_group: Option<u64>,
    /// Where the file names it.
    pub span: Span,
}

/// Options of a mount that names none.
pub(crate) const DEFAULT_MOUNT_OPTIONS: &str = "rw,relatime";

/// A directory of the host that a node has over virtiofs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Its name between host and guest; unique on the node.
    pub tag: String,
    /// Where it is on the host, absolute.
    pub host_path: String,
    /// Where it is in the guest, absolute.
    pub mount_point: String,
    /// Options of the mount in the guest: `ro,relatime`.
    pub options: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topology_has_as_many_processors_as_the_machine() {
        let of = |cpus, sockets, threads| {
            CpuTopology::of(cpus, sockets, threads).map(|found| (found.sockets, found.cores, found.threads))
        };
        assert_eq!(of(8, 1, 1), Some((1, 8, 1)));
        assert_eq!(of(8, 2, 2), Some((2, 2, 2)));
        assert_eq!(of(6, 4, 1), None);
        assert_eq!(of(0, 1, 1), None);
        assert_eq!(of(8, 0, 1), None);
        assert_eq!(of(8, u64::MAX, 2), None);
    }

    #[test]
    fn a_sign_tells_whether_a_feature_is_there() {
        let read = |text| (CpuFeature::read(text).name, CpuFeature::read(text).present);
        assert_eq!(read("+avx2"), ("avx2".to_owned(), true));
        assert_eq!(read("sse4.2"), ("sse4.2".to_owned(), true));
        assert_eq!(read("-svm"), ("svm".to_owned(), false));
    }

    #[test]
    fn what_is_not_said_is_not_written() {
        assert_eq!(serde_json::to_string(&Hardware::default()).unwrap_or_default(), "{}");
        let device = Device {
            source: DeviceSource::Pci("0000:01:00.0".into()),
            kind: DeviceKind::Gpu,
            vendor_id: None,
            device_id: None,
        };
        let text = serde_json::to_string(&device).unwrap_or_default();
        assert_eq!(text, r#"{"pci":"0000:01:00.0","kind":"gpu"}"#);
        assert_eq!(serde_json::from_str::<Device>(&text).ok(), Some(device));
    }
}
