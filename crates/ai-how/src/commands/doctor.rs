//! `ai-how doctor`: what this machine can do, and the command that mends what it cannot.

use std::path::Path;

use config::model::Arch;
use lab::accelerator::{self, Found};
use render::Accelerator;
use serde::Serialize;
use system::{
    cancel::Cancel,
    environment, host,
    namespace::{self, Network},
    process::Command,
};

use crate::{cli::Format, exit, failure::Failure, output, settings::Settings};

/// Memory that the default lab takes, MiB.
const WANTED_MEMORY_MIB: u64 = 4096;

/// Disk that an image build and a lab take, MiB.
const WANTED_DISK_MIB: u64 = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Good,
    /// It works, with less.
    Fair,
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    name: &'static str,
    state: State,
    /// What was found.
    found: String,
    /// The command that mends it; empty when nothing needs mending.
    mend: String,
}

impl Finding {
    fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Good, found: found.into(), mend: String::new() }
    }

    fn fair(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, state: State::Fair, found: found.into(), mend: mend.into() }
    }

    fn bad(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, state: State::Bad, found: found.into(), mend: mend.into() }
    }
}

/// Status 0 when a lab can run here, 3 when it cannot.
pub(crate) fn run(format: Format, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    let findings = [
        user_namespaces(),
        subordinate_ids(),
        network_cards(),
        emulator(),
        accelerator(settings, cancel),
        aarch64_nodes(settings, cancel),
        libvirt(),
        program("dnsmasq", "dnsmasq", "dnsmasq-base"),
        program("DHCP leases", "dhcp_release", "dnsmasq-utils"),
        program("firewall", "nft", "nftables"),
        program("image builder", "mmdebstrap", "mmdebstrap"),
        program("file system tools", "mke2fs", "e2fsprogs"),
        program("kernel unpacker", "zstd", "zstd"),
        ansible(&settings.cache),
        memory(),
        disk("disk for images", &settings.cache),
        disk("disk for labs", &settings.state),
    ];
    match format {
        Format::Json => output::json(&findings)?,
        Format::Text => {
            findings.iter().try_for_each(|finding| print(finding, settings.colour_data))?;
        }
    }
    let able = findings.iter().all(|finding| finding.state != State::Bad);
    Ok(if able { exit::OK } else { exit::ENVIRONMENT })
}

fn print(finding: &Finding, colour: bool) -> Result<(), Failure> {
    let (word, code) = match finding.state {
        State::Good => ("ok  ", 32),
        State::Fair => ("fair", 33),
        State::Bad => ("bad ", 31),
    };
    let word = if colour { format!("\u{1b}[{code}m{word}\u{1b}[0m") } else { word.to_owned() };
    output::data(format_args!("{word}  {:18}  {}\n", finding.name, finding.found))?;
    if finding.mend.is_empty() {
        return Ok(());
    }
    output::data(format_args!("{:26}mend: {}\n", "", finding.mend))
}

/// Makes a set of namespaces as a lab has them, rather than asking settings that may not be the whole truth.
fn user_namespaces() -> Finding {
    let name = "namespaces";
    match namespace::fresh(Network::Own, &Command::new("true")).run() {
        Ok(_) if host::is_root() => Finding::good(name, "root makes them"),
        Ok(_) => Finding::good(name, format!("{} makes them without being root", host::user())),
        Err(error) => Finding::bad(
            name,
            error.to_string(),
            "make set-up; if the kernel forbids them: sudo sysctl -w kernel.unprivileged_userns_clone=1",
        ),
    }
}

fn subordinate_ids() -> Finding {
    let name = "subordinate ids";
    if host::is_root() {
        return Finding::good(name, "root needs none");
    }
    let count = host::subordinate_ids("/etc/subuid").min(host::subordinate_ids("/etc/subgid"));
    if count >= 65536 {
        return Finding::good(name, format!("{count} for {}", host::user()));
    }
    let mend =
        format!("sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {}", host::user());
    Finding::bad(name, format!("{count} for {}, 65536 are needed", host::user()), mend)
}

fn network_cards() -> Finding {
    let name = "network cards";
    if host::may_write(Path::new(lab::TUN)) {
        return Finding::good(name, lab::TUN);
    }
    let mend = format!("sudo modprobe tun; sudo chmod 0666 {}", lab::TUN);
    Finding::bad(name, format!("{} cannot be opened by {}", lab::TUN, host::user()), mend)
}

fn emulator() -> Finding {
    let arch = Arch::X86_64;
    version("QEMU", accelerator::emulator(arch), "--version", accelerator::package(arch))
}

fn libvirt() -> Finding {
    version("libvirt", lab::keeper::LIBVIRTD, "--version", "libvirt-daemon")
}

fn version(name: &'static str, program: &str, option: &str, package: &str) -> Finding {
    let Some(path) = environment::find_program(program) else {
        return Finding::bad(
            name,
            format!("{program} is not installed"),
            format!("make set-up (package {package})"),
        );
    };
    match Command::new(path).arg(option).run() {
        Ok(said) => Finding::good(name, said.lines().next().unwrap_or_default()),
        Err(error) => Finding::bad(name, error.to_string(), format!("make set-up (package {package})")),
    }
}

fn program(name: &'static str, program: &str, package: &str) -> Finding {
    match environment::find_program(program) {
        Some(path) => Finding::good(name, path.display().to_string()),
        None => Finding::bad(
            name,
            format!("{program} is not installed"),
            format!("make set-up (package {package})"),
        ),
    }
}

fn accelerator(settings: &Settings, cancel: &Cancel) -> Finding {
    let name = "accelerator";
    match accelerator::probe_one(&settings.cache, Arch::X86_64, cancel) {
        Ok(found) if found.accelerator == Accelerator::Kvm => Finding::good(name, words(&found)),
        Ok(found) => Finding::fair(
            name,
            words(&found),
            "none from here: KVM needs a host whose processor, and whose own host if it is a guest, gives it",
        ),
        Err(error) => Finding::bad(name, error.to_string(), "make set-up"),
    }
}

/// What is missing for them keeps no other node from running.
fn aarch64_nodes(settings: &Settings, cancel: &Cancel) -> Finding {
    let (name, arch, mend) = ("aarch64 nodes", Arch::Aarch64, "make set-up");
    let found = match accelerator::probe_one(&settings.cache, arch, cancel) {
        Ok(found) => found,
        Err(error) => return Finding::fair(name, format!("not possible: {error}"), mend),
    };
    let store = image::Store::new(&settings.cache);
    let all_there =
        image::RECIPES.iter().filter(|recipe| recipe.arch == arch).all(|recipe| store.find(recipe).is_some());
    match image::can_build(arch) {
        Err(error) if !all_there => {
            Finding::fair(name, format!("{}, but no image: {error}", words(&found)), mend)
        }
        _ => Finding::good(name, words(&found)),
    }
}

fn words(found: &Found) -> String {
    if found.accelerator == Accelerator::Kvm {
        return format!("KVM boots a guest in {:.2} s", found.seconds);
    }
    format!(
        "TCG boots a guest in {:.2} s; timeouts are multiplied by {:.0}. {}",
        found.seconds, found.slowness, found.reason
    )
}

fn ansible(cache: &Path) -> Finding {
    let name = "Ansible";
    match deploy::find_ansible(cache) {
        Ok(found) if found.mitogen.is_some() => Finding::good(
            name,
            format!("ansible-core {} with mitogen, {}", found.version, found.playbook.display()),
        ),
        Ok(found) => Finding::fair(
            name,
            format!("ansible-core {} without mitogen: deploys take several times as long", found.version),
            "make set-up",
        ),
        Err(error) => Finding::bad(name, error.to_string(), "make set-up"),
    }
}

fn memory() -> Finding {
    let (free, all) = (host::available_memory_mib(), host::memory_mib());
    let found = format!("{free} of {all} MiB available");
    if free >= WANTED_MEMORY_MIB {
        return Finding::good("memory", found);
    }
    Finding::fair(
        "memory",
        format!("{found}; the default lab takes {WANTED_MEMORY_MIB}"),
        "stop other machines, or use smaller nodes",
    )
}

fn disk(name: &'static str, folder: &Path) -> Finding {
    let free = host::free_disk_mib(folder).unwrap_or(0);
    let found = format!("{free} MiB free for {}", folder.display());
    if free >= WANTED_DISK_MIB {
        return Finding::good(name, found);
    }
    let variable = if name.contains("images") { "AI_HOW_CACHE" } else { "AI_HOW_STATE" };
    Finding::bad(
        name,
        format!("{found}; {WANTED_DISK_MIB} are needed"),
        format!("export {variable}=/a/folder/on/another/disk"),
    )
}
