//! Which accelerator works here, found by booting.
//!
//! A `/dev/kvm` that opens is not a KVM that works: on nested and paravirtual hosts it opens, creates machines, and then
//! no guest gets anywhere. So a boot sector of 512 bytes goes to long mode, counts to two hundred million and leaves
//! through QEMU's debug port. What does not arrive within three seconds does not work. The verdict is kept for this boot
//! of the host, and the time it took tells how slow the host is.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use render::Accelerator;
use serde::{Deserialize, Serialize};
use system::{
    cancel::Cancel,
    clock::Stopwatch,
    environment, file, host,
    process::{self, Command},
};

/// `probe.S` beside it, assembled. A test assembles it again.
const PROBE: &[u8] = include_bytes!("../probe/probe.bin");

/// The exit status of QEMU when the guest writes 0x21 to the debug port: twice the value, plus one.
const ARRIVED: i32 = 0x21 << 1 | 1;

/// How long a guest may take.
const LIMIT: Duration = Duration::from_secs(3);

/// How long the probe takes under TCG on the machine that timeouts are written for.
const REFERENCE_SECONDS: f64 = 0.6;

/// How much slower a whole guest is under TCG than under KVM: it starts programs more than it counts.
const TCG_SLOWNESS: f64 = 10.0;

/// The emulator's name.
pub const EMULATOR: &str = "qemu-system-x86_64";

/// What the probe found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
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

impl Verdict {
    /// A verdict that nobody measured, for callers that know.
    pub fn assumed(accelerator: Accelerator, slowness: f64) -> Self {
        Self { accelerator, seconds: 0.0, reason: String::new(), slowness, key: String::new() }
    }
}

/// Neither accelerator runs a guest.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No emulator.
    #[error("{EMULATOR} is not installed; run `make set-up`, or install the package qemu-system-x86")]
    NoEmulator,
    /// The emulator does not even run the probe by itself.
    #[error("{EMULATOR} cannot run a guest here, not even without an accelerator")]
    Broken(#[source] process::Error),
    /// It ran and ended in another way than the guest asked for.
    #[error("{EMULATOR} ended with status {code} before its guest did anything: {said}")]
    Unexpected {
        /// Its exit status.
        code: i32,
        /// Its last words.
        said: String,
    },
    /// The boot sector cannot be written.
    #[error(transparent)]
    File(#[from] file::Error),
}

/// The verdict for this boot of the host, from the cache or by booting.
///
/// # Errors
/// See [`Error`].
pub fn probe(cache: &Path, cancel: &Cancel) -> Result<Verdict, Error> {
    let emulator = environment::find_program(EMULATOR).ok_or(Error::NoEmulator)?;
    if let Some(verdict) = known(cache) {
        return Ok(verdict);
    }
    let (kept, key) = (cache.join("accelerator.json"), key(&emulator));
    let verdict = boot(&emulator, cache, key, cancel)?;
    if let Ok(text) = serde_json::to_vec_pretty(&verdict) {
        // A verdict that cannot be kept is found again next time.
        let _ = file::write(&kept, &text);
    }
    Ok(verdict)
}

/// The verdict for this boot of the host, if it was found already.
pub fn known(cache: &Path) -> Option<Verdict> {
    let emulator = environment::find_program(EMULATOR)?;
    read(&cache.join("accelerator.json")).filter(|verdict| verdict.key == key(&emulator))
}

fn read(path: &Path) -> Option<Verdict> {
    serde_json::from_str(&file::read(path).ok()?).ok()
}

/// A verdict holds until the host boots, the emulator changes, or somebody else asks (who may have other rights).
fn key(emulator: &Path) -> String {
    format!("{} {} {}", host::boot_id(), environment::stamp(emulator), host::user())
}

fn boot(emulator: &Path, cache: &Path, key: String, cancel: &Cancel) -> Result<Verdict, Error> {
    file::create_folder(cache)?;
    let sector = cache.join("probe.bin");
    file::write(&sector, PROBE)?;
    let kvm = if Path::new("/dev/kvm").exists() {
        match run(emulator, Accelerator::Kvm, &sector, cancel) {
            Ok(seconds) => Ok(seconds),
            Err(Error::Broken(process::Error::TimedOut { .. })) => {
                Err(format!("/dev/kvm opens, but a guest got nowhere in {} s", LIMIT.as_secs()))
            }
            Err(Error::Unexpected { said, .. }) => Err(format!("QEMU refuses /dev/kvm: {said}")),
            Err(error) => Err(error.to_string()),
        }
    } else {
        Err("there is no /dev/kvm".to_owned())
    };
    match kvm {
        Ok(seconds) => Ok(Verdict {
            accelerator: Accelerator::Kvm,
            seconds,
            reason: String::new(),
            slowness: (seconds / REFERENCE_SECONDS).max(1.0),
            key,
        }),
        Err(reason) => {
            let seconds = run(emulator, Accelerator::Tcg, &sector, cancel)?;
            let slowness = TCG_SLOWNESS * (seconds / REFERENCE_SECONDS).max(1.0);
            Ok(Verdict { accelerator: Accelerator::Tcg, seconds, reason, slowness, key })
        }
    }
}

/// Boots the sector and returns the seconds it took.
fn run(emulator: &Path, accelerator: Accelerator, sector: &Path, cancel: &Cancel) -> Result<f64, Error> {
    let mut command = Command::new(emulator).args(["-accel", &accelerator.to_string()]);
    if accelerator == Accelerator::Kvm {
        command = command.args(["-cpu", "host"]);
    }
    // Commas in a path would end the option's value.
    let file = format!(
        "file={},format=raw,if=ide,readonly=off,snapshot=on",
        sector.display().to_string().replace(',', ",,")
    );
    let command = command
        .args(["-nodefaults", "-nographic", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"])
        .args(["-drive", &file])
        .deadline(LIMIT * if accelerator == Accelerator::Kvm { 1 } else { 10 })
        .cancel(cancel);
    let watch = Stopwatch::start();
    let output = command.output().map_err(Error::Broken)?;
    if output.code == ARRIVED {
        return Ok(watch.seconds());
    }
    let said = output.stderr.lines().last().unwrap_or_default().to_owned();
    Err(Error::Unexpected { code: output.code, said })
}

/// Where the verdict is kept, for those who want to see or remove it.
pub fn verdict_file(cache: &Path) -> PathBuf {
    cache.join("accelerator.json")
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
        assert_eq!(std::fs::read(path("probe.bin")).unwrap(), PROBE);
    }

    #[test]
    fn a_verdict_is_found_by_booting_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let first = probe(folder.path(), &Cancel::new()).unwrap();
        assert!(first.seconds > 0.0 && first.slowness >= 1.0);
        let kept = file::read(&verdict_file(folder.path())).unwrap();
        assert_eq!(probe(folder.path(), &Cancel::new()).unwrap(), first);
        // A verdict of another boot is not believed.
        let other = kept.replace(&host::boot_id(), "another-boot");
        file::write(&verdict_file(folder.path()), other.as_bytes()).unwrap();
        let again = probe(folder.path(), &Cancel::new()).unwrap();
        assert_eq!(again.accelerator, first.accelerator);
        assert!(file::read(&verdict_file(folder.path())).unwrap().contains(&host::boot_id()));
    }
}
