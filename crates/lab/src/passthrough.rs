//! Whether devices of a host can be given to machines: all that stands in the way, each with what mends it.

use config::hardware::{Device, DeviceKind, DeviceSource};
use system::pci::{Function, Host};

/// Drivers that hold a GPU or its parts, and do not let go while a screen or a program uses them.
const CONFLICTING: [&str; 6] = ["nvidia", "nouveau", "radeon", "amdgpu", "snd_hda_intel", "snd_hda_codec"];

/// A device, and the domain that wants it.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The machine.
    pub domain: &'a str,
    /// The device.
    pub device: &'a Device,
}

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
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Ready => "Ready",
            Self::WrongDriver => "Wrong Driver",
            Self::ConflictingDriver => "Conflicting Driver",
            Self::NotFound => "Not Found",
        })
    }
}

/// Something in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The machine and the device; the host as a whole without.
    pub about: Option<(String, String)>,
    /// What is wrong.
    pub problem: String,
    /// A command that mends it, or what to do.
    pub remedy: String,
}

/// How every device stands, and everything in the way.
#[derive(Debug, Clone, Default)]
pub struct Judgement {
    /// For each wanted device its machine, itself, and how it stands.
    pub devices: Vec<(String, String, Standing)>,
    /// Empty when all is well.
    pub findings: Vec<Finding>,
}

/// Judges the devices that machines want, on a host.
pub fn judge(host: &Host, wanted: &[Wanted<'_>]) -> Judgement {
    if wanted.is_empty() {
        return Judgement::default();
    }
    let mut judge = Judge { host, functions: host.functions(), wanted, judgement: Judgement::default() };
    for one in wanted {
        let standing = match &one.device.source {
            DeviceSource::Pci(address) => judge.pci(*one, address),
            DeviceSource::Mdev(uuid) => judge.mdev(*one, uuid),
        };
        judge.judgement.devices.push((one.domain.to_owned(), one.device.source.to_string(), standing));
    }
    judge.host();
    judge.judgement
}

struct Judge<'a> {
    host: &'a Host,
    functions: Vec<Function>,
    wanted: &'a [Wanted<'a>],
    judgement: Judgement,
}

impl Judge<'_> {
    fn find(&mut self, about: Option<Wanted<'_>>, problem: impl Into<String>, remedy: impl Into<String>) {
        let about = about.map(|one| (one.domain.to_owned(), one.device.source.to_string()));
        self.judgement.findings.push(Finding { about, problem: problem.into(), remedy: remedy.into() });
    }

    fn pci(&mut self, one: Wanted<'_>, address: &str) -> Standing {
        let Some(function) = self.functions.iter().find(|found| found.address == address).cloned() else {
            let remedy = "`lspci -D` lists those there are";
            self.find(Some(one), "the host has no such PCI device", remedy);
            return Standing::NotFound;
        };
        self.identity(one, &function);
        self.group(one, &function);
        let standing = standing(function.driver.as_deref());
        let driver = function.driver.as_deref().unwrap_or("no driver");
        match standing {
            Standing::ConflictingDriver => {
                let problem = format!("{driver} is bound to it and holds it");
                self.find(Some(one), problem, bind(address));
            }
            Standing::WrongDriver => {
                self.find(Some(one), format!("{driver} is bound to it instead of vfio-pci"), bind(address));
            }
            Standing::Ready | Standing::NotFound => {}
        }
        standing
    }

    /// Whether it is what the file says it is.
    fn identity(&mut self, one: Wanted<'_>, function: &Function) {
        let says = |given: &Option<String>, found: u16| {
            given.as_ref().is_some_and(|given| u16::from_str_radix(given, 16) != Ok(found))
        };
        let device = one.device;
        if says(&device.vendor_id, function.vendor) || says(&device.device_id, function.device) {
            let word = |given: &Option<String>| given.clone().unwrap_or_else(|| "any".to_owned());
            let (vendor, id) = (word(&device.vendor_id), word(&device.device_id));
            let found = format!("{:04x}:{:04x}", function.vendor, function.device);
            let problem = format!("the file expects {vendor}:{id} there, and the host has {found}");
            self.find(Some(one), problem, "addresses change when cards are moved: correct the file");
        }
        if device.kind == DeviceKind::Gpu && !function.is_gpu() {
            let problem = format!("it is no GPU: its class is {:04x}", function.class >> 8);
            self.find(Some(one), problem, "correct its address, or its kind");
        }
    }

    /// Whether all of its IOMMU group can go with it: the kernel gives groups away whole.
    fn group(&mut self, one: Wanted<'_>, function: &Function) {
        let Some(group) = function.iommu_group else {
            self.find(
                Some(one),
                "it is in no IOMMU group",
                "turn on VT-d or AMD-Vi in the firmware, and boot with `intel_iommu=on` or `amd_iommu=on`",
            );
            return;
        };
        let mates: Vec<Function> = self
            .functions
            .iter()
            .filter(|mate| mate.iommu_group == Some(group) && mate.address != function.address)
            .filter(|mate| !mate.is_bridge() && standing(mate.driver.as_deref()) != Standing::Ready)
            .cloned()
            .collect();
        for mate in mates {
            let goes_along = self.wanted.iter().any(|other| {
                other.domain == one.domain && other.device.source == DeviceSource::Pci(mate.address.clone())
            });
            // It has findings of its own.
            if goes_along {
                continue;
            }
            let Some(driver) = mate.driver else { continue };
            let problem =
                format!("{} is in its IOMMU group {group}, and {driver} is bound to it", mate.address);
            self.find(Some(one), problem, bind(&mate.address));
        }
    }

    fn mdev(&mut self, one: Wanted<'_>, uuid: &str) -> Standing {
        if self.host.has_mdev(uuid) {
            return Standing::Ready;
        }
        let remedy = format!("make it: `mdevctl start --uuid {uuid} --parent ADDRESS --type TYPE`");
        self.find(Some(one), "the host has no such mediated device", remedy);
        Standing::NotFound
    }

    /// What every passed device needs of the host.
    fn host(&mut self) {
        if !self.host.has_kvm() || !self.host.has_module("kvm") {
            self.find(
                None,
                "there is no KVM",
                "turn on virtualization in the firmware; `modprobe kvm_intel` or `kvm_amd`",
            );
        }
        for module in ["vfio", "vfio_iommu_type1", "vfio_pci"] {
            if !self.host.has_module(module) {
                let name = module.replace('_', "-");
                self.find(
                    None,
                    format!("the kernel module {module} is missing"),
                    format!("`sudo modprobe {name}`"),
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
            self.find(None, "the kernel uses no IOMMU", remedy);
        }
    }
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

/// How VFIO gets a device, whatever has it now.
fn bind(address: &str) -> String {
    format!(
        "`echo vfio-pci | sudo tee /sys/bus/pci/devices/{address}/driver_override; \
         echo {address} | sudo tee /sys/bus/pci/devices/{address}/driver/unbind; \
         echo {address} | sudo tee /sys/bus/pci/drivers_probe`"
    )
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, path::Path};

    use tempfile::TempDir;

    use super::*;

    /// Address, class, ids, driver, group.
    type Row<'a> = (&'a str, u32, &'a str, Option<&'a str>, Option<u32>);

    /// A host with an IOMMU and KVM.
    fn host(functions: &[Row<'_>]) -> (TempDir, Host) {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for (address, class, ids, driver, group) in functions {
            let folder = format!("sys/bus/pci/devices/{address}");
            let (vendor, device) = ids.split_once(':').unwrap();
            write(&format!("{folder}/class"), &format!("{class:#08x}\n"));
            write(&format!("{folder}/vendor"), &format!("0x{vendor}\n"));
            write(&format!("{folder}/device"), &format!("0x{device}\n"));
            let link = |name: &str, target: String| {
                symlink(Path::new(&target), root.path().join(&folder).join(name)).unwrap();
            };
            if let Some(driver) = driver {
                link("driver", format!("../../drivers/{driver}"));
            }
            if let Some(group) = group {
                link("iommu_group", format!("../../../kernel/iommu_groups/{group}"));
                write(&format!("sys/kernel/iommu_groups/{group}/type"), "DMA\n");
            }
        }
        for module in ["kvm", "vfio", "vfio_iommu_type1", "vfio_pci"] {
            write(&format!("sys/module/{module}/uevent"), "");
        }
        write("dev/kvm", "");
        write("proc/cmdline", "root=/dev/sda quiet\n");
        let host = Host::at(root.path());
        (root, host)
    }

    fn device(address: &str, kind: DeviceKind, id: &str) -> Device {
        Device {
            source: DeviceSource::Pci(address.into()),
            kind,
            vendor_id: Some("10de".into()),
            device_id: Some(id.into()),
        }
    }

    const GPU: &str = "0000:01:00.0";
    const AUDIO: &str = "0000:01:00.1";

    fn told(host: &Host, devices: &[Device]) -> (Vec<Standing>, String) {
        let wanted: Vec<Wanted<'_>> =
            devices.iter().map(|device| Wanted { domain: "hpc-compute-01", device }).collect();
        let judgement = judge(host, &wanted);
        let lines = judgement.findings.iter().map(|found| {
            let about = found.about.as_ref().map_or("host", |(_, device)| device);
            format!("{about}: {} -> {}\n", found.problem, found.remedy)
        });
        (judgement.devices.iter().map(|(_, _, standing)| *standing).collect(), lines.collect())
    }

    #[test]
    fn a_gpu_with_all_of_its_group_is_ready() {
        let (_root, host) = host(&[
            ("0000:00:01.0", 0x06_0400, "8086:1901", Some("pcieport"), Some(7)),
            (GPU, 0x03_0000, "10de:2805", Some("vfio-pci"), Some(7)),
            (AUDIO, 0x04_0300, "10de:22bd", Some("vfio-pci"), Some(7)),
        ]);
        let devices = [device(GPU, DeviceKind::Gpu, "2805"), device(AUDIO, DeviceKind::Audio, "22bd")];
        assert_eq!(told(&host, &devices), (vec![Standing::Ready, Standing::Ready], String::new()));
        // Who wants nothing needs nothing.
        assert!(judge(&Host::at("/nonexistent"), &[]).findings.is_empty());
    }

    #[test]
    fn everything_in_the_way_is_told_at_once() {
        let (_root, host) = host(&[
            (GPU, 0x03_0200, "10de:2806", Some("nvidia"), Some(7)),
            (AUDIO, 0x04_0300, "10de:22bd", Some("snd_hda_intel"), Some(7)),
            ("0000:02:00.0", 0x02_0000, "8086:1533", None, None),
        ]);
        let devices = [
            device(GPU, DeviceKind::Gpu, "2805"),
            device("0000:02:00.0", DeviceKind::Gpu, "1533"),
            device("0000:09:00.0", DeviceKind::Gpu, "2805"),
        ];
        let (standings, words) = told(&host, &devices);
        assert_eq!(standings, [Standing::ConflictingDriver, Standing::WrongDriver, Standing::NotFound]);
        for expected in [
            "0000:01:00.0: the file expects 10de:2805 there, and the host has 10de:2806",
            "0000:01:00.0: 0000:01:00.1 is in its IOMMU group 7, and snd_hda_intel is bound to it -> `echo vfio-pci",
            "0000:01:00.0: nvidia is bound to it and holds it",
            "0000:02:00.0: it is no GPU: its class is 0200",
            "0000:02:00.0: it is in no IOMMU group",
            "0000:02:00.0: no driver is bound to it instead of vfio-pci",
            "0000:09:00.0: the host has no such PCI device",
        ] {
            assert!(words.contains(expected), "{expected} is missing in {words}");
        }
    }

    #[test]
    fn what_the_host_lacks_is_told_whatever_the_devices_are() {
        let (root, host) = host(&[(GPU, 0x03_0000, "10de:2805", Some("vfio-pci"), None)]);
        fs::remove_dir_all(root.path().join("sys/module/vfio_pci")).unwrap();
        fs::remove_file(root.path().join("dev/kvm")).unwrap();
        let devices = [device(GPU, DeviceKind::Gpu, "2805")];
        let (_, words) = told(&host, &devices);
        for expected in
            ["there is no KVM", "the kernel module vfio_pci is missing", "boot with `intel_iommu=on"]
        {
            assert!(words.contains(expected), "{expected} is missing in {words}");
        }
        fs::write(root.path().join("proc/cmdline"), "amd_iommu=on\n").unwrap();
        fs::write(root.path().join("proc/modules"), "vfio_pci 16384 0 - Live 0x0\n").unwrap();
        let (_, words) = told(&host, &devices);
        assert!(
            words.contains("the kernel was asked for it") && !words.contains("vfio_pci is missing"),
            "{words}"
        );
    }

    #[test]
    fn a_mediated_device_must_exist() {
        let (root, host) = host(&[]);
        let uuid = "8c6a1c5e-6d0e-5d7e-9b1a-2f3c4d5e6f71";
        let part = Device {
            source: DeviceSource::Mdev(uuid.into()),
            kind: DeviceKind::Gpu,
            vendor_id: None,
            device_id: None,
        };
        assert_eq!(told(&host, std::slice::from_ref(&part)).0, [Standing::NotFound]);
        fs::create_dir_all(root.path().join("sys/bus/mdev/devices").join(uuid)).unwrap();
        assert_eq!(told(&host, &[part]).0, [Standing::Ready]);
    }
}
