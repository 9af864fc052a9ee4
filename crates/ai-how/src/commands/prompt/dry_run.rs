//! `ai-how prompt run --dry-run`: the same machine as a command for hosts without libvirt.

use std::ffi::OsStr;

use appliance::qemu::{Accelerator, Machine};
use config::model::Arch;
use events::Sink;
use image::{Boot, Options, Store};
use lab::accelerator::Verdict;
use system::{cancel::Cancel, process::shell_quote};

use super::machine::Wish;
use crate::{cli::HostSystem, exit, failure::Failure, output, settings::Settings};

/// Prints it. What it names is built first.
pub(super) fn print(
    wish: &Wish,
    on: Option<HostSystem>,
    verdict: &Verdict,
    settings: &Settings,
    sink: &dyn Sink,
    cancel: &Cancel,
) -> Result<u8, Failure> {
    let node = wish.node()?;
    let store = Store::new(&settings.cache);
    let images = engine::images(&wish.plan, &store, &Options::default(), sink, cancel)?;
    let base = images.get(&engine::title(node));
    let Some((base, Boot::Kernel { kernel, initrd })) = base.map(|base| (base, &base.boot)) else {
        return Err(Failure::environment("the appliance's image has no kernel"));
    };
    let accelerator = match on {
        // Apple's processors are of this architecture, and their hypervisor runs no other.
        Some(HostSystem::Macos) if node.arch == Arch::Aarch64 => Accelerator::Hvf,
        Some(HostSystem::Macos) => Accelerator::Tcg,
        Some(HostSystem::Linux) => Accelerator::Kvm,
        None if verdict.accelerator(node.arch) == render::Accelerator::Kvm => Accelerator::Kvm,
        None => Accelerator::Tcg,
    };
    let machine = Machine {
        arch: node.arch,
        accelerator,
        cpus: node.cpus,
        memory_mib: node.memory_mib,
        kernel: kernel.clone(),
        initrd: initrd.clone(),
        // Where it is elsewhere, nobody knows from here.
        firmware: base.firmware.clone().filter(|_| on.is_none()),
        disk: base.disk.file().map(|(path, _)| path.to_owned()),
        command_line: render::appliance_command_line(node),
    };
    let words: Vec<String> = machine.words().iter().map(|word| shell_quote(OsStr::new(word))).collect();
    output::data(format_args!("{}\n", words.join(" ")))?;
    Ok(exit::OK)
}
