//! PCI functions of the host and what the kernel can do with them, as `/sys` and `/proc` tell.
//!
//! Everything is read below a root, so that another host's tree, or one that a test made, is told like this host's own.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::host;

/// A host, by the folder that has its `sys`, `proc` and `dev`.
#[derive(Debug, Clone)]
pub struct Host {
    root: PathBuf,
}

/// What a PCI function is, by its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A display controller.
    Gpu,
    /// A sound device.
    Audio,
    /// It joins other devices.
    Bridge,
    /// An NVMe disk.
    Nvme,
    /// What disks are at.
    Storage,
    /// A network card.
    Network,
    /// What USB devices are at.
    Usb,
    /// Anything else.
    Other,
}

impl Kind {
    /// The name, in one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gpu => "gpu",
            Self::Audio => "audio",
            Self::Bridge => "bridge",
            Self::Nvme => "nvme",
            Self::Storage => "storage",
            Self::Network => "network",
            Self::Usb => "usb",
            Self::Other => "other",
        }
    }
}

/// A PCI function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Domain, bus, device and function: `0000:01:00.0`.
    pub address: String,
    /// Class, subclass and programming interface: `0x030000` is a VGA controller.
    pub class: u32,
    /// Vendor.
    pub vendor: u16,
    /// Device.
    pub device: u16,
    /// The driver that is bound to it.
    pub driver: Option<String>,
    /// Its IOMMU group; none where there is no IOMMU or it is off.
    pub iommu_group: Option<u32>,
    /// Types of mediated devices that its driver can make of it.
    pub mdev_types: Vec<String>,
    /// UUIDs of mediated devices that were made of it.
    pub mdevs: Vec<String>,
    /// The function that it is a virtual part of (SR-IOV).
    pub whole: Option<String>,
    /// Whether the firmware chose it for the host's screen.
    pub has_screen: bool,
}

impl Function {
    /// What it is.
    pub fn kind(&self) -> Kind {
        match (self.class >> 16, self.class >> 8) {
            // Of any kind: those for computing alone are of class 0302.
            (0x03, _) => Kind::Gpu,
            (_, 0x0401 | 0x0403) => Kind::Audio,
            (0x06, _) => Kind::Bridge,
            (_, 0x0108) => Kind::Nvme,
            (0x01, _) => Kind::Storage,
            (0x02, _) => Kind::Network,
            (_, 0x0c03) => Kind::Usb,
            _ => Kind::Other,
        }
    }

    /// Whether it is a GPU.
    pub fn is_gpu(&self) -> bool {
        self.kind() == Kind::Gpu
    }

    /// Whether it joins other devices, which a group may hold beside those that are passed.
    pub fn is_bridge(&self) -> bool {
        self.kind() == Kind::Bridge
    }

    /// Whether it can be divided into instances by NVIDIA's MIG: the large chips of the families Ampere, Hopper and
    /// Blackwell, by the ranges of device numbers that the PCI ID repository has for GA100, GH100 and GB100.
    pub fn is_mig_capable(&self) -> bool {
        self.vendor == 0x10de && matches!(self.device, 0x2080..=0x20ff | 0x2300..=0x23ff | 0x2900..=0x29ff)
    }
}

impl Host {
    /// The one this process runs on.
    pub fn this() -> Self {
        Self::at("/")
    }

    /// The one whose tree is below `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Every PCI function, by address.
    pub fn functions(&self) -> Vec<Function> {
        let entries = fs::read_dir(self.root.join("sys/bus/pci/devices")).into_iter().flatten().flatten();
        let mut functions: Vec<Function> = entries.filter_map(|entry| function(&entry.path())).collect();
        functions.sort_by(|a, b| a.address.cmp(&b.address));
        functions
    }

    /// Whether the kernel has this module, loaded or built in.
    pub fn has_module(&self, name: &str) -> bool {
        let listed = || {
            let list = fs::read_to_string(self.root.join("proc/modules")).unwrap_or_default();
            list.lines().any(|line| line.split(' ').next() == Some(name))
        };
        self.root.join("sys/module").join(name).exists() || listed()
    }

    /// Whether there is `/dev/kvm`.
    pub fn has_kvm(&self) -> bool {
        self.root.join("dev/kvm").exists()
    }

    /// Whether the kernel uses an IOMMU: it has made groups.
    pub fn has_iommu(&self) -> bool {
        fs::read_dir(self.root.join("sys/kernel/iommu_groups"))
            .is_ok_and(|mut groups| groups.next().is_some())
    }

    /// Words of the kernel's command line.
    pub fn kernel_words(&self) -> BTreeSet<String> {
        let line = fs::read_to_string(self.root.join("proc/cmdline")).unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect()
    }

    /// The instruction set, by the kernel's name for it; none where another host's tree does not tell.
    pub fn arch(&self) -> Option<String> {
        let told = fs::read_to_string(self.root.join("proc/sys/kernel/arch")).ok();
        // Kernels before 6.1 do not tell.
        told.map(|name| name.trim().to_owned())
            .or_else(|| (self.root == Path::new("/")).then(|| host::arch().to_owned()))
    }

    /// How many instances NVIDIA's driver has divided a GPU into, which it does in MIG mode only. 0 also where its driver
    /// does not tell.
    pub fn mig_instances(&self, address: &str) -> usize {
        let nvidia = self.root.join("proc/driver/nvidia");
        let text = fs::read_to_string(nvidia.join("gpus").join(address).join("information"));
        let text = text.unwrap_or_default();
        let minor = text.lines().find_map(|line| line.strip_prefix("Device Minor:"));
        let Some(minor) = minor.and_then(|minor| minor.trim().parse::<u32>().ok()) else { return 0 };
        let instances = fs::read_dir(nvidia.join(format!("capabilities/gpu{minor}/mig")));
        let names = instances.into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.filter(|name| name.to_string_lossy().starts_with("gi")).count()
    }

    /// Whether the mediated device of this UUID exists.
    pub fn has_mdev(&self, uuid: &str) -> bool {
        self.root.join("sys/bus/mdev/devices").join(uuid).exists()
    }
}

fn function(folder: &Path) -> Option<Function> {
    let number = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).ok()?;
        u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
    };
    let target = |name: &str| {
        let link = fs::read_link(folder.join(name)).ok()?;
        Some(link.file_name()?.to_string_lossy().into_owned())
    };
    let names = |folder: PathBuf| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    let is_uuid = |name: &String| name.len() == 36 && name.bytes().filter(|byte| *byte == b'-').count() == 4;
    Some(Function {
        address: folder.file_name()?.to_string_lossy().into_owned(),
        class: number("class")?,
        vendor: u16::try_from(number("vendor")?).ok()?,
        device: u16::try_from(number("device")?).ok()?,
        driver: target("driver"),
        iommu_group: target("iommu_group").and_then(|group| group.parse().ok()),
        mdev_types: names(folder.join("mdev_supported_types")),
        mdevs: names(folder.to_owned()).into_iter().filter(is_uuid).collect(),
        whole: target("physfn"),
        has_screen: number("boot_vga") == Some(1),
    })
}
