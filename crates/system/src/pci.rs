//! PCI functions of the host and what the kernel can do with them, as `/sys` and `/proc` tell.
//!
//! Everything is read below a root, so that another host's tree, or one that a test made, is told like this host's own.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A host, by the folder that has its `sys`, `proc` and `dev`.
#[derive(Debug, Clone)]
pub struct Host {
    root: PathBuf,
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
}

impl Function {
    /// Whether it is a GPU: a display controller of any kind. Those for computing alone are of class 0302.
    pub fn is_gpu(&self) -> bool {
        self.class >> 16 == 0x03
    }

    /// Whether it joins other devices, which a group may hold beside those that are passed.
    pub fn is_bridge(&self) -> bool {
        self.class >> 16 == 0x06
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
    })
}
