//! Whether devices of a host can be given to machines: all that stands in the way, each with what mends it.

use std::collections::{BTreeMap, HashSet};

use config::hardware::{DeviceKind, DeviceSource, Wanted};
use config::{Code, Diagnostic, Loaded, Severity, Span};
use system::pci::{Function, Host};

/// Drivers that hold a GPU or its parts, and do not let go while a screen or a program uses them.
const CONFLICTING: [&str; 6] = ["nvidia", "nouveau", "radeon", "amdgpu", "snd_hda_intel", "snd_hda_codec"];

/// Drivers through which a host has its disks and its network, whatever class their devices say they are of.
const VITAL: [&str; 8] = ["nvme", "ahci", "megaraid_sas", "mpt3sas", "igc", "e1000e", "r8169", "mlx5_core"];

/// How a device stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A machine can have it.
    Ready,
    /// Nothing, or a driver that is not VFIO, is bound to it.
    WrongDriver,
    /// A driver is bound to it that holds it.
    ConflictingDriver,
    /// The host does not have it.
    NotFound,
    /// It is there, with the right driver, and something else is in the way.
    NotReady,
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Ready => "Ready",
            Self::WrongDriver => "Wrong Driver",
            Self::ConflictingDriver => "Conflicting Driver",
            Self::NotFound => "Not Found",
            Self::NotReady => "Not Ready",
        })
    }
}

/// How every device stands, and everything in the way.
#[derive(Debug, Clone, Default)]
pub struct Judgement {
    /// For each wanted device its machine, itself, and how it stands.
    pub devices: Vec<(String, String, Standing)>,
    /// Each at the place where the file names the device. Empty when all is well.
    pub findings: Vec<Diagnostic>,
}

/// Judges the devices that the nodes of a document want, on a host.
pub fn judge(host: &Host, document: &Loaded) -> Judgement {
    // What is not written as a device is written is none.
    let misspelt = |one: &&Wanted| {
        document.diagnostics.iter().any(|found| found.code == Code::BadFormat && found.span == one.span)
    };
    let wanted: Vec<&Wanted> = document.devices.iter().flatten().filter(|one| !misspelt(one)).collect();
    if wanted.is_empty() {
        return Judgement::default();
    }
    let functions = host.functions().into_iter().map(|found| (found.address.clone(), found)).collect();
    let mut judge = Judge { host, functions, wanted: &wanted, findings: Vec::new(), refused: HashSet::new() };
    let found: Vec<Standing> = wanted
        .iter()
        .map(|one| match &one.device.source {
            DeviceSource::Pci(address) => judge.pci(one, address),
            DeviceSource::Mdev(uuid) => judge.mdev(one, uuid),
        })
        .collect();
    judge.groups();
    judge.parts();
    judge.archs();
    judge.host();
    let errors = document.diagnostics.iter().filter(|found| found.severity == Severity::Error);
    for found in errors {
        judge.refused.insert(found.span);
        judge.refused.extend(found.secondary.as_ref().map(|other| other.span));
    }
    let devices = wanted.iter().zip(found).map(|(one, standing)| {
        let refused = standing == Standing::Ready && judge.refused.contains(&one.span);
        let standing = if refused { Standing::NotReady } else { standing };
        (one.domain.clone(), one.device.source.to_string(), standing)
    });
    let devices = devices.collect();
    // Nodes that are counted share a place in the file, and hear the same once.
    let mut told = HashSet::new();
    judge.findings.retain(|found| told.insert((found.span, found.code, found.message.clone())));
    Judgement { devices, findings: judge.findings }
}

struct Judge<'a> {
    host: &'a Host,
    functions: BTreeMap<String, Function>,
    wanted: &'a [&'a Wanted],
    findings: Vec<Diagnostic>,
    /// Where devices stand that an error keeps from their machines.
    refused: HashSet<Span>,
}

impl Judge<'_> {
    /// Adds what is in the way of these devices.
    fn find(&mut self, devices: &[&Wanted], found: Diagnostic) {
        if found.severity == Severity::Error {
            self.refused.extend(devices.iter().map(|one| one.span));
        }
        self.findings.push(found);
    }

    /// The function that a node wants, where the host has it.
    fn function(&self, one: &Wanted) -> Option<&Function> {
        match &one.device.source {
            DeviceSource::Pci(address) => self.functions.get(address),
            DeviceSource::Mdev(_) => None,
        }
    }

    fn pci(&mut self, one: &Wanted, address: &str) -> Standing {
        let Some(function) = self.functions.get(address).cloned() else {
            let message = format!("the host has no PCI device at `{address}`");
            self.find(
                &[one],
                Diagnostic::error(Code::MissingDevice, one.span, message)
                    .cause("addresses differ between hosts, and change when cards are moved")
                    .help("`ai-how inventory pcie` and `lspci -D` list those there are"),
            );
            return Standing::NotFound;
        };
        self.identity(one, &function);
        if function.iommu_group.is_none() {
            let message = format!("`{address}` is in no IOMMU group");
            self.find(
                &[one],
                Diagnostic::error(Code::NoIommuGroup, one.span, message)
                    .cause("without an IOMMU a device could reach all of the host's memory")
                    .help("turn on VT-d or AMD-Vi in the firmware, and boot with `intel_iommu=on` or `amd_iommu=on`"),
            );
        }
        if function.has_screen {
            let message = format!("the host shows its screen on `{address}`");
            self.find(
                &[one],
                Diagnostic::warning(Code::HostScreen, one.span, message)
                    .cause("the firmware chose it (`boot_vga` is 1); the screen is dark once a machine has it")
                    .help("choose another GPU for the screen in the firmware, or log in over SSH from elsewhere"),
            );
        }
        let standing = standing(function.driver.as_deref());
        let message = match (standing, function.driver.as_deref()) {
            (Standing::ConflictingDriver, Some(driver)) => {
                format!("{driver} is bound to `{address}` and holds it")
            }
            (Standing::WrongDriver, Some(driver)) => {
                format!("{driver} is bound to `{address}` instead of vfio-pci")
            }
            (Standing::WrongDriver, None) => format!("no driver is bound to `{address}`; vfio-pci must be"),
            _ => return standing,
        };
        self.find(
            &[one],
            Diagnostic::error(Code::DeviceDriver, one.span, message)
                .cause("VFIO hands a device to a machine, and only while its driver is bound to the device")
                .help(bind(&function)),
        );
        standing
    }

    /// Whether it is what the file says it is.
    fn identity(&mut self, one: &Wanted, function: &Function) {
        let address = &function.address;
        let says = |given: &Option<String>, found: u16| {
            given.as_ref().is_some_and(|given| u16::from_str_radix(given, 16) != Ok(found))
        };
        let device = &one.device;
        let other = |message| Diagnostic::error(Code::OtherDevice, one.span, message);
        if says(&device.vendor_id, function.vendor) || says(&device.device_id, function.device) {
            let word = |given: &Option<String>| given.clone().unwrap_or_else(|| "any".to_owned());
            let (vendor, id) = (word(&device.vendor_id), word(&device.device_id));
            let found = format!("{:04x}:{:04x}", function.vendor, function.device);
            let message = format!("the file expects {vendor}:{id} at `{address}`, and the host has {found}");
            self.find(
                &[one],
                other(message)
                    .cause("addresses change when cards are moved")
                    .help("correct the address, or `vendor_id` and `device_id`"),
            );
        }
        if device.kind == DeviceKind::Gpu && !function.is_gpu() {
            let message = format!("`{address}` is no GPU: its class is {:04x}", function.class >> 8);
            self.find(
                &[one],
                other(message)
                    .cause("GPUs are of class 03")
                    .help("correct its address, or what kind of device it is"),
            );
        }
        if let (Some(given), Some(group)) = (one.iommu_group, function.iommu_group)
            && given != u64::from(group)
        {
            let message = format!(
                "the file expects `{address}` in IOMMU group {given}, and the host has it in {group}"
            );
            self.find(
                &[one],
                other(message)
                    .cause("groups are numbered anew when cards are moved or the firmware is changed")
                    .help(format!("write {group} after looking whether it is the right device, or leave `iommu_group` out")),
            );
        }
    }

    fn mdev(&mut self, one: &Wanted, uuid: &str) -> Standing {
        if self.host.has_mdev(uuid) {
            return Standing::Ready;
        }
        let message = format!("the host has no mediated device `{uuid}`");
        self.find(
            &[one],
            Diagnostic::error(Code::MissingDevice, one.span, message)
                .cause("mediated devices are gone after a boot, unless something makes them again")
                .help(format!("make it: `mdevctl start --uuid {uuid} --parent ADDRESS --type TYPE`")),
        );
        Standing::NotFound
    }

    /// Whether each IOMMU group can go to one machine: the kernel gives groups away whole.
    fn groups(&mut self) {
        let mut groups: BTreeMap<u32, BTreeMap<&str, Vec<&Wanted>>> = BTreeMap::new();
        for one in self.wanted {
            if let Some(group) = self.function(one).and_then(|function| function.iommu_group) {
                groups.entry(group).or_default().entry(one.domain.as_str()).or_default().push(one);
            }
        }
        for (group, domains) in groups {
            // In the order of the file.
            let mut machines: Vec<Vec<&Wanted>> = domains.into_values().collect();
            machines.sort_by_key(|devices| devices.first().map(|one| one.span.start));
            self.held(group, &machines);
            self.split(group, &machines);
        }
    }

    /// Whether the host can spare the devices of a group that no machine wants. Those that are wanted have findings of
    /// their own.
    fn held(&mut self, group: u32, machines: &[Vec<&Wanted>]) {
        let mates: Vec<Function> = self
            .functions
            .values()
            .filter(|mate| mate.iommu_group == Some(group) && !mate.is_bridge())
            .filter(|mate| mate.driver.as_deref().is_some_and(|driver| !is_vfio(driver)))
            .filter(|mate| !machines.iter().flatten().any(|one| is_at(one, &mate.address)))
            .cloned()
            .collect();
        for (devices, mate) in
            machines.iter().flat_map(|devices| mates.iter().map(move |mate| (devices, mate)))
        {
            let (Some(one), Some(driver)) = (devices.first(), &mate.driver) else { continue };
            let message = format!(
                "`{}` shares IOMMU group {group} with `{}`, and {driver} is bound to that",
                one.device.source, mate.address
            );
            self.find(
                devices,
                Diagnostic::error(Code::HeldGroup, one.span, message)
                    .cause("the kernel gives an IOMMU group to one machine whole")
                    .help(bind(mate)),
            );
        }
    }

    /// Whether machines want different devices of a group. Those that want the very same ones are told so before anybody
    /// looks at the host.
    fn split(&mut self, group: u32, machines: &[Vec<&Wanted>]) {
        let Some((first, others)) = machines.split_first() else { return };
        for other in others {
            let (here, there) = (alone(other, first), alone(first, other));
            if here.is_none() && there.is_none() {
                continue;
            }
            let here = here.or(other.first().copied());
            let (Some(here), Some(there)) = (here, there.or(first.first().copied())) else { continue };
            let message = format!(
                "`{}` and `{}` are in IOMMU group {group}, and wanted by `{}` and by `{}`",
                there.device.source, here.device.source, there.domain, here.domain
            );
            self.find(
                &[first.as_slice(), other.as_slice()].concat(),
                together(here, there, Code::SplitGroup, message)
                    .cause("the kernel gives an IOMMU group to one machine whole")
                    .help("give all devices of the group to one node, or never run the two at the same time")
                    .also(there.span, "the other device"),
            );
        }
    }

    /// Whether a device is wanted whole, and a part of it as well.
    fn parts(&mut self) {
        let wanted = self.wanted;
        for one in wanted {
            let parent = match &one.device.source {
                DeviceSource::Pci(_) => None,
                DeviceSource::Mdev(uuid) => self.functions.values().find(|found| found.mdevs.contains(uuid)),
            };
            let whole = parent.or(self.function(one)).and_then(|found| found.whole.as_deref());
            let mut of = parent.map(|parent| parent.address.as_str()).into_iter().chain(whole);
            let Some(whole) = of.find_map(|of| wanted.iter().find(|two| is_at(two, of))) else { continue };
            let message = format!(
                "`{}`, which `{}` wants, is a part of `{}`, which `{}` wants whole",
                one.device.source, one.domain, whole.device.source, whole.domain
            );
            self.find(
                &[one, whole],
                together(one, whole, Code::SplitDevice, message)
                    .cause("a device that a machine has whole cannot be divided by the host")
                    .help("give away the parts or the whole, not both")
                    .also(whole.span, "wanted whole here"),
            );
        }
    }

    /// Whether the host's processors can run the nodes: devices go with KVM.
    fn archs(&mut self) {
        let Some(arch) = self.host.arch() else { return };
        let mut foreign: BTreeMap<&str, Vec<&Wanted>> = BTreeMap::new();
        for one in self.wanted.iter().filter(|one| one.arch.name() != arch) {
            foreign.entry(&one.domain).or_default().push(one);
        }
        for devices in foreign.into_values() {
            let Some(one) = devices.first() else { continue };
            let message =
                format!("a node of {} wants `{}`, and the host is {arch}", one.arch, one.device.source);
            self.find(
                &devices,
                Diagnostic::error(Code::ForeignArch, one.span, message)
                    .cause("devices are for nodes that run with KVM, which runs the host's own architecture")
                    .help("give the device to a node of the host's architecture, or take it from this one"),
            );
        }
    }

    /// What every passed device needs of the host, told where the first one is wanted.
    fn host(&mut self) {
        let wanted = self.wanted;
        let Some(span) = wanted.iter().map(|one| one.span).min_by_key(|span| span.start) else { return };
        if !self.host.has_kvm() || !self.host.has_module("kvm") {
            self.find(
                wanted,
                Diagnostic::error(Code::HostKvm, span, "the host has no KVM")
                    .cause("there is no `/dev/kvm`, or no kernel module behind it")
                    .help("turn on virtualization in the firmware; `modprobe kvm_intel` or `kvm_amd`"),
            );
        }
        for module in ["vfio", "vfio_iommu_type1", "vfio_pci"] {
            if !self.host.has_module(module) {
                let message = format!("the kernel of the host lacks the module {module}");
                self.find(
                    wanted,
                    Diagnostic::error(Code::HostVfio, span, message)
                        .cause("VFIO hands devices to machines")
                        .help(format!("`sudo modprobe {}`", module.replace('_', "-"))),
                );
            }
        }
        if !self.host.has_iommu() {
            let words = self.host.kernel_words();
            let asks = ["intel_iommu=on", "amd_iommu=on", "iommu=pt", "iommu=on"];
            let remedy = if asks.iter().any(|word| words.contains(*word)) {
                "the kernel was asked for it: turn on VT-d or AMD-Vi in the firmware"
            } else {
                "boot with `intel_iommu=on iommu=pt` or `amd_iommu=on iommu=pt`, and turn it on in the firmware"
            };
            self.find(
                wanted,
                Diagnostic::error(Code::HostIommu, span, "the kernel of the host uses no IOMMU")
                    .cause("there are no groups in `/sys/kernel/iommu_groups`")
                    .help(remedy),
            );
        }
    }
}

/// The first of some devices that is not among others.
fn alone<'a>(devices: &[&'a Wanted], others: &[&Wanted]) -> Option<&'a Wanted> {
    let is_there = |one: &Wanted| others.iter().any(|other| other.device.source == one.device.source);
    devices.iter().copied().find(|one| !is_there(one))
}

/// Something about two devices that machines cannot have at one time: it is refused where both start with their clusters.
fn together(one: &Wanted, two: &Wanted, code: Code, message: String) -> Diagnostic {
    if one.auto_start && two.auto_start {
        Diagnostic::error(code, one.span, message)
    } else {
        Diagnostic::warning(code, one.span, message)
    }
}

fn is_at(one: &Wanted, address: &str) -> bool {
    matches!(&one.device.source, DeviceSource::Pci(wanted) if wanted == address)
}

fn standing(driver: Option<&str>) -> Standing {
    match driver {
        Some(driver) if is_vfio(driver) => Standing::Ready,
        Some(driver) if is_conflicting(driver) => Standing::ConflictingDriver,
        _ => Standing::WrongDriver,
    }
}

/// Whether a driver hands devices to machines.
pub fn is_vfio(driver: &str) -> bool {
    driver.starts_with("vfio")
}

/// Whether a driver holds devices that machines may want.
pub fn is_conflicting(driver: &str) -> bool {
    CONFLICTING.contains(&driver)
}

/// How VFIO gets a device, whatever has it now. What the host may not live without is said first.
fn bind(function: &Function) -> String {
    let address = &function.address;
    let is_vital =
        |driver: &String| matches!(function.class >> 16, 0x01 | 0x02) || VITAL.contains(&driver.as_str());
    let warning = match &function.driver {
        Some(driver) if is_vital(driver) => format!(
            "with {driver} this may be the host's root disk or only network, and the host dies without it: \
             look at `lsblk` and `ip route`, or put the card for the machine in another slot; only if nothing uses it: "
        ),
        _ => String::new(),
    };
    let unbind = match function.driver {
        Some(_) => format!("echo {address} | sudo tee /sys/bus/pci/devices/{address}/driver/unbind; "),
        None => String::new(),
    };
    format!(
        "{warning}`echo vfio-pci | sudo tee /sys/bus/pci/devices/{address}/driver_override; {unbind}\
         echo {address} | sudo tee /sys/bus/pci/drivers_probe`"
    )
}
