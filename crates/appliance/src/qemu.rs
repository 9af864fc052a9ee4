//! The command that starts an appliance with QEMU alone, for hosts without libvirt.

use std::path::PathBuf;

use config::model::Arch;

/// What runs the guest's instructions there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// Linux's.
    Kvm,
    /// macOS's, with emulation where the guest has another architecture.
    Hvf,
    /// Emulation.
    Tcg,
}

/// A machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its instruction set.
    pub arch: Arch,
    /// What runs it.
    pub accelerator: Accelerator,
    /// Virtual processors.
    pub cpus: u32,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// The kernel.
    pub kernel: PathBuf,
    /// The initramfs.
    pub initrd: PathBuf,
    /// The firmware; the emulator's own unless given.
    pub firmware: Option<PathBuf>,
    /// The model disk, if there is one.
    pub disk: Option<PathBuf>,
    /// The kernel's command line.
    pub command_line: String,
}

impl Machine {
    /// The words of the command.
    pub fn words(&self) -> Vec<String> {
        let accelerator = match self.accelerator {
            Accelerator::Kvm => "kvm",
            Accelerator::Hvf => "hvf",
            Accelerator::Tcg => "tcg",
        };
        let (program, board, cpu) = match (self.arch, self.accelerator) {
            // As with libvirt: an emulated processor moves bytes one by one where it says that this is fast.
            (Arch::X86_64, Accelerator::Tcg) => ("qemu-system-x86_64", "q35", "max,erms=off,fsrm=off"),
            (Arch::X86_64, _) => ("qemu-system-x86_64", "q35", "host"),
            // Of emulated ones that sign pointers all are slow.
            (Arch::Aarch64, Accelerator::Tcg) => ("qemu-system-aarch64", "virt", "neoverse-n1"),
            (Arch::Aarch64, _) => ("qemu-system-aarch64", "virt", "host"),
        };
        let path = |path: &PathBuf| path.display().to_string();
        let option = |path: &PathBuf| path.display().to_string().replace(',', ",,");
        let mut words: Vec<String> =
            [program, "-machine", board, "-accel", accelerator, "-cpu", cpu].map(str::to_owned).into();
        words.extend([
            "-smp".to_owned(),
            self.cpus.to_string(),
            "-m".to_owned(),
            self.memory_mib.to_string(),
        ]);
        // Ctrl-C is the guest's, and a guest that would boot again ends.
        let fixed = [
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
            "-display",
            "none",
            "-monitor",
            "none",
            "-chardev",
            "stdio,id=console,signal=off",
            "-serial",
            "chardev:console",
        ];
        words.extend(fixed.map(str::to_owned));
        if let Some(firmware) = &self.firmware {
            words.extend(["-bios".to_owned(), path(firmware)]);
        }
        words.extend(["-kernel".to_owned(), path(&self.kernel), "-initrd".to_owned(), path(&self.initrd)]);
        words.extend(["-append".to_owned(), self.command_line.clone()]);
        if let Some(disk) = &self.disk {
            let drive = format!("if=none,id=model,format=raw,readonly=on,file={}", option(disk));
            words.extend([
                "-drive".to_owned(),
                drive,
                "-device".to_owned(),
                "virtio-blk-pci,drive=model".to_owned(),
            ]);
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(arch: Arch, accelerator: Accelerator) -> String {
        let machine = Machine {
            arch,
            accelerator,
            cpus: 2,
            memory_mib: 448,
            kernel: "/k".into(),
            initrd: "/i".into(),
            firmware: None,
            disk: Some("/a,b.img".into()),
            command_line: "console=ttyS0 quiet".into(),
        };
        machine.words().join(" ")
    }

    #[test]
    fn a_command_has_all_that_the_machine_has() {
        assert_eq!(
            machine(Arch::X86_64, Accelerator::Kvm),
            "qemu-system-x86_64 -machine q35 -accel kvm -cpu host -smp 2 -m 448 -nodefaults -no-user-config -no-reboot \
             -display none -monitor none -chardev stdio,id=console,signal=off -serial chardev:console -kernel /k -initrd /i \
             -append console=ttyS0 quiet -drive if=none,id=model,format=raw,readonly=on,file=/a,,b.img -device \
             virtio-blk-pci,drive=model"
        );
    }

    #[test]
    fn each_host_has_its_accelerator() {
        assert!(machine(Arch::Aarch64, Accelerator::Hvf).contains("virt -accel hvf -cpu host"));
        assert!(machine(Arch::Aarch64, Accelerator::Tcg).contains("virt -accel tcg -cpu neoverse-n1"));
        assert!(
            machine(Arch::X86_64, Accelerator::Tcg).contains("q35 -accel tcg -cpu max,erms=off,fsrm=off")
        );
    }
}
