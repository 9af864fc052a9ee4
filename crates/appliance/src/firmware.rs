//! What a machine runs before its kernel. QEMU's own firmware looks for disks and cards, which takes time; it also has one that
//! only hands over to a kernel. UEFI is there for who wants to see the appliance start as it does on real machines.

use std::path::{Path, PathBuf};

use config::model::Arch;

/// QEMU's smallest firmware for x86-64 machines. A kernel for PVH is all that it can start.
const QBOOT: &str = "/usr/share/qemu/qboot.rom";

/// There is no UEFI firmware on this host.
#[derive(Debug, thiserror::Error)]
#[error("there is no UEFI firmware for {arch} machines ({}): install the package {package}", places.join(", "))]
pub struct Missing {
    /// Of what machines.
    pub arch: Arch,
    /// Debian's package that has it.
    pub package: &'static str,
    /// Where it was looked for.
    pub places: &'static [&'static str],
}

/// The firmware that is over soonest, where the host has one.
pub fn fastest(arch: Arch) -> Option<PathBuf> {
    let path = Path::new(QBOOT);
    (arch == Arch::X86_64 && path.exists()).then(|| path.to_owned())
}

/// UEFI firmware that keeps no variables.
///
/// # Errors
/// The host has none.
pub fn uefi(arch: Arch) -> Result<PathBuf, Missing> {
    let (package, places): (_, &[&str]) = match arch {
        Arch::X86_64 => ("ovmf", &["/usr/share/ovmf/OVMF.fd", "/usr/share/qemu/OVMF.fd"]),
        Arch::Aarch64 => (
            "qemu-efi-aarch64",
            &["/usr/share/qemu-efi-aarch64/QEMU_EFI.fd", "/usr/share/AAVMF/AAVMF_CODE.fd"],
        ),
    };
    let found = places.iter().map(Path::new).find(|path| path.exists());
    found.map(Path::to_owned).ok_or(Missing { arch, package, places })
}
