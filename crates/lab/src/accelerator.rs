//! Which accelerator works here, found by booting.
//!
//! A `/dev/kvm` that opens is not a KVM that works: on nested and paravirtual hosts it opens, creates machines, and then
//! no guest gets anywhere. So a guest of a few instructions counts to two hundred million, says that it arrived, and
//! leaves. What does not arrive within three seconds does not work. The verdict is kept for this boot of the host, and the
//! time it took tells how slow the host is.
//!
//! Each architecture has its own guest and its own verdict. KVM runs what the host's processor understands, so nodes of
//! another architecture are always emulated.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use config::model::Arch;
use render::Accelerator;
use serde::{Deserialize, Serialize};
use system::{
    cancel::Cancel,
    clock::Stopwatch,
    environment, file, host,
    process::{self, Command},
};

/// A boot sector that goes to long mode, and leaves through QEMU's debug port. `probe.S` beside it, assembled; a test
/// assembles it again.
const PROBE_X86_64: &[u8] = include_bytes!("../probe/probe.bin");

/// The exit status of QEMU when the guest writes 0x21 to the debug port: twice the value, plus one.
const ARRIVED: i32 = 0x21 << 1 | 1;

/// A kernel that writes a `!` to the serial port of the board `virt`, and turns the power off.
const PROBE_AARCH64: [u32; 11] = [
    0xd298_4000, //    movz x0, #0xc200
    0xf2a1_7d60, //    movk x0, #0x0beb, lsl #16   two hundred million
    0xf100_0400, // 1: subs x0, x0, #1
    0x54ff_ffe1, //    b.ne 1b
    0xd2a1_2001, //    movz x1, #0x0900, lsl #16   the serial port
    0x5280_0422, //    movz w2, #0x21              !
    0xb900_0022, //    str w2, [x1]
    0x52b0_8000, //    movz w0, #0x8400, lsl #16
    0x7280_0100, //    movk w0, #8                 SYSTEM_OFF
    0xd400_0002, //    hvc #0
    0x1400_0000, // 2: b 2b
];

/// How long a guest may take.
const LIMIT: Duration = Duration::from_secs(3);

/// How long the probe takes under TCG on the machine that timeouts are written for.
fn reference_seconds(arch: Arch) -> f64 {
    match arch {
        Arch::X86_64 => 0.6,
        Arch::Aarch64 => 0.33,
    }
}

/// How much slower a whole guest is under TCG than under KVM: it starts programs more than it counts.
const TCG_SLOWNESS: f64 = 10.0;

/// The emulator's name.
pub fn emulator(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "qemu-system-x86_64",
        Arch::Aarch64 => "qemu-system-aarch64",
    }
}

/// The Debian package that has the emulator.
pub fn package(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "qemu-system-x86",
        Arch::Aarch64 => "qemu-system-arm",
    }
}

/// How machines run here: what was found for each architecture that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict(BTreeMap<Arch, Found>);

impl Verdict {
    /// A verdict that nobody measured, for callers that know.
    pub fn assumed(accelerator: Accelerator, slowness: f64) -> Self {
        let found = Found { accelerator, seconds: 0.0, reason: String::new(), slowness, key: String::new() };
        Self(Arch::ALL.into_iter().map(|arch| (arch, found.clone())).collect())
    }

    /// What machines of an architecture use. For one that nobody asked for that is what always works.
    pub fn accelerator(&self, arch: Arch) -> Accelerator {
        self.0.get(&arch).map_or(Accelerator::Tcg, |found| found.accelerator)
    }

    /// How much slower guests of an architecture are than on a host with KVM, at least 1. Timeouts are multiplied with it.
    pub fn slowness(&self, arch: Arch) -> f64 {
        self.0.get(&arch).map_or_else(|| self.slowest(), |found| found.slowness)
    }

    /// The same of the slowest, for what waits for machines of any kind.
    pub fn slowest(&self) -> f64 {
        self.0.values().map(|found| found.slowness).fold(1.0, f64::max)
    }

    /// What was found for each architecture.
    pub fn each(&self) -> impl Iterator<Item = (Arch, &Found)> {
        self.0.iter().map(|(arch, found)| (*arch, found))
    }

    /// Every accelerator that is used, as `kvm` or `kvm, tcg`.
    pub fn accelerators(&self) -> String {
        let mut names: Vec<String> = self.0.values().map(|found| found.accelerator.to_string()).collect();
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    }
}

/// What the probe found for an architecture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// What machines will use.
    pub accelerator: Accelerator,
    /// Seconds from starting QEMU to the guest's exit with that accelerator.
    pub seconds: f64,
    /// Why KVM is not used; empty when it is.
    pub reason: String,
    /// How much slower guests are than on a host with KVM, at least 1. Timeouts are multiplied with it.
    pub slowness: f64,
    /// The host's boot and the emulator this is true for.
    key: String,
}

/// Neither accelerator runs a guest.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No emulator.
    #[error("{} is not installed; run `make set-up`, or install the package {}", emulator(*arch), package(*arch))]
    NoEmulator {
        /// The architecture that it is for.
        arch: Arch,
    },
    /// The emulator does not even run the probe by itself.
    #[error("{} cannot run a guest here, not even without an accelerator", emulator(*arch))]
    Broken {
        /// The architecture that it is for.
        arch: Arch,
        /// What happened.
        source: process::Error,
    },
    /// It ran and ended in another way than the guest asked for.
    #[error("{} ended with status {code} before its guest did anything: {said}", emulator(*arch))]
    Unexpected {
        /// The architecture that it is for.
        arch: Arch,
        /// Its exit status.
        code: i32,
        /// Its last words.
        said: String,
    },
    /// The boot sector cannot be written.
    #[error(transparent)]
    File(#[from] file::Error),
}

/// The verdict for this boot of the host about these architectures, from the cache or by booting.
///
/// # Errors
/// See [`Error`].
pub fn probe(cache: &Path, archs: impl IntoIterator<Item = Arch>, cancel: &Cancel) -> Result<Verdict, Error> {
    let found = archs.into_iter().map(|arch| Ok((arch, probe_one(cache, arch, cancel)?)));
    Ok(Verdict(found.collect::<Result<_, Error>>()?))
}

/// What is found for one architecture, from the cache or by booting.
///
/// # Errors
/// See [`Error`].
pub fn probe_one(cache: &Path, arch: Arch, cancel: &Cancel) -> Result<Found, Error> {
    Probe { arch, cache, cancel }.find()
}

/// The verdict for this boot of the host about these architectures, if it was found already.
pub fn known(cache: &Path, archs: impl IntoIterator<Item = Arch>) -> Option<Verdict> {
    let found = archs.into_iter().map(|arch| {
        let emulator = environment::find_program(emulator(arch))?;
        Some((arch, kept(cache, arch, &emulator)?))
    });
    Some(Verdict(found.collect::<Option<_>>()?))
}

fn kept(cache: &Path, arch: Arch, emulator: &Path) -> Option<Found> {
    let found: Found = serde_json::from_str(&file::read(&verdict_file(cache, arch)).ok()?).ok()?;
    (found.key == key(emulator)).then_some(found)
}

/// A verdict holds until the host boots, the emulator changes, or somebody else asks (who may have other rights).
fn key(emulator: &Path) -> String {
    format!("{} {} {}", host::boot_id(), environment::stamp(emulator), host::user())
}

/// Where the verdict about an architecture is kept, for those who want to see or remove it.
pub fn verdict_file(cache: &Path, arch: Arch) -> PathBuf {
    cache.join(match arch {
        Arch::X86_64 => "accelerator.json",
        Arch::Aarch64 => "accelerator-aarch64.json",
    })
}

/// A look at one architecture.
struct Probe<'a> {
    arch: Arch,
    cache: &'a Path,
    cancel: &'a Cancel,
}

impl Probe<'_> {
    fn find(&self) -> Result<Found, Error> {
        let arch = self.arch;
        let emulator = environment::find_program(emulator(arch)).ok_or(Error::NoEmulator { arch })?;
        if let Some(found) = kept(self.cache, arch, &emulator) {
            return Ok(found);
        }
        let found = self.boot(&emulator)?;
        if let Ok(text) = serde_json::to_vec_pretty(&found) {
            // A verdict that cannot be kept is found again next time.
            let _ = file::write(&verdict_file(self.cache, arch), &text);
        }
        Ok(found)
    }

    fn boot(&self, emulator: &Path) -> Result<Found, Error> {
        file::create_folder(self.cache)?;
        let (name, guest) = match self.arch {
            Arch::X86_64 => ("probe.bin", PROBE_X86_64.to_vec()),
            Arch::Aarch64 => {
                ("probe-aarch64.bin", PROBE_AARCH64.iter().flat_map(|word| word.to_le_bytes()).collect())
            }
        };
        let path = self.cache.join(name);
        file::write(&path, &guest)?;
        let (key, reference) = (key(emulator), reference_seconds(self.arch));
        let kvm = if self.arch.name() != host::arch() {
            Err(format!("{} guests are emulated on an {} host", self.arch, host::arch()))
        } else if Path::new("/dev/kvm").exists() {
            match self.run(emulator, Accelerator::Kvm, &path) {
                Ok(seconds) => Ok(seconds),
                Err(Error::Broken { source: process::Error::TimedOut { .. }, .. }) => {
                    Err(format!("/dev/kvm opens, but a guest got nowhere in {} s", LIMIT.as_secs()))
                }
                Err(Error::Unexpected { said, .. }) => Err(format!("QEMU refuses /dev/kvm: {said}")),
                Err(error) => Err(error.to_string()),
            }
        } else {
            Err("there is no /dev/kvm".to_owned())
        };
        match kvm {
            Ok(seconds) => Ok(Found {
                accelerator: Accelerator::Kvm,
                seconds,
                reason: String::new(),
                slowness: (seconds / reference).max(1.0),
                key,
            }),
            Err(reason) => {
                let seconds = self.run(emulator, Accelerator::Tcg, &path)?;
                let slowness = TCG_SLOWNESS * (seconds / reference).max(1.0);
                Ok(Found { accelerator: Accelerator::Tcg, seconds, reason, slowness, key })
            }
        }
    }

    /// Boots the guest and returns the seconds it took.
    fn run(&self, emulator: &Path, accelerator: Accelerator, guest: &Path) -> Result<f64, Error> {
        let (arch, kvm) = (self.arch, accelerator == Accelerator::Kvm);
        let command = Command::new(emulator).args(["-accel", &accelerator.to_string()]).args([
            "-nodefaults",
            "-nographic",
            "-no-reboot",
        ]);
        let command = match arch {
            Arch::X86_64 => {
                // Commas in a path would end the option's value.
                let file = format!(
                    "file={},format=raw,if=ide,readonly=off,snapshot=on",
                    guest.display().to_string().replace(',', ",,")
                );
                let command = command
                    .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4"])
                    .args(["-drive", file.as_str()]);
                if kvm { command.args(["-cpu", "host"]) } else { command }
            }
            Arch::Aarch64 => {
                let [board, processor] =
                    if kvm { ["virt,gic-version=host", "host"] } else { ["virt", "neoverse-n1"] };
                let command = command.args(["-machine", board, "-cpu", processor]);
                command.args(["-m", "64", "-serial", "stdio", "-kernel"]).arg(guest)
            }
        };
        let command = command.deadline(LIMIT * if kvm { 1 } else { 10 }).cancel(self.cancel);
        let watch = Stopwatch::start();
        let output = command.output().map_err(|source| Error::Broken { arch, source })?;
        let arrived = match arch {
            Arch::X86_64 => output.code == ARRIVED,
            Arch::Aarch64 => output.code == 0 && output.stdout.contains('!'),
        };
        if arrived {
            return Ok(watch.seconds());
        }
        let said = output.stderr.lines().last().unwrap_or_default().to_owned();
        Err(Error::Unexpected { arch, code: output.code, said })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_sector_is_what_its_source_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("probe/probe.S");
        Command::new("as").args(["--32", "-o"]).arg(path("probe.o")).arg(source).run().unwrap();
        let link =
            Command::new("ld").args(["-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", "-o"]);
        link.arg(path("probe.bin")).arg(path("probe.o")).run().unwrap();
        assert_eq!(std::fs::read(path("probe.bin")).unwrap(), PROBE_X86_64);
    }

    #[test]
    fn a_verdict_is_found_by_booting_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        for arch in Arch::ALL {
            let probe = || probe(folder.path(), [arch], &Cancel::new()).unwrap();
            let (first, path) = (probe(), verdict_file(folder.path(), arch));
            assert!(first.0[&arch].seconds > 0.0 && first.slowness(arch) >= 1.0);
            let kept = file::read(&path).unwrap();
            assert_eq!(probe(), first);
            // A verdict of another boot is not believed.
            let other = kept.replace(&host::boot_id(), "another-boot");
            file::write(&path, other.as_bytes()).unwrap();
            assert_eq!(known(folder.path(), [arch]), None);
            assert_eq!(probe().accelerator(arch), first.accelerator(arch));
            assert!(file::read(&path).unwrap().contains(&host::boot_id()));
        }
    }

    #[test]
    fn kvm_is_for_guests_of_the_hosts_architecture() {
        let folder = tempfile::tempdir().unwrap();
        let verdict = probe(folder.path(), Arch::ALL, &Cancel::new()).unwrap();
        for (arch, found) in verdict.each().filter(|(arch, _)| arch.name() != host::arch()) {
            assert_eq!(found.accelerator, Accelerator::Tcg);
            assert!(found.reason.contains(arch.name()), "{}", found.reason);
        }
    }
}
