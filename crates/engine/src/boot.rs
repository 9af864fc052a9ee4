//! Booting one machine, and waiting for its own word.

use std::{path::Path, time::Duration};

use events::NodeState;
use image::Backing;
use lab::{DomainState, HypervisorError};
use plan::model::NodePlan;
use render::Start;
use system::{clock::Stopwatch, file, process::Command, watch::FolderWatch};

use crate::{
    Error, Place,
    changes::virtual_gib,
    claim::claim,
    start::{Placed, Starting},
};
use guest::ready;

/// How long a node may take from power-on to ready on a host with KVM; multiplied with the host's slowness.
const BOOT_LIMIT: Duration = Duration::from_secs(15);

/// The same for an image of somebody else's: a boot loader, a large initramfs, whatever it starts.
const FOREIGN_BOOT_LIMIT: Duration = Duration::from_secs(60);

/// How many bytes of a model an appliance reads and tries in a second on a host with KVM, at least. What is far below a
/// disk's own pace: llama.cpp computes with all of it once before it says that it is ready.
const MODEL_RATE: f64 = 100e6;

/// How often a wait for readiness looks at the machine itself.
const LOOK: Duration = Duration::from_secs(1);

/// How many of a console's last lines an error shows.
const CONSOLE_LINES: usize = 15;

/// How much of an emulator's log is looked at, lines. Libvirt begins each start with the command, of up to a hundred.
const EMULATOR_LINES: usize = 200;

/// Whether a line of an emulator's log is not of the command that started it.
fn is_said(line: &str) -> bool {
    !line.ends_with('\\') && !line.starts_with('-') && !line.contains(": starting up libvirt ")
}

impl Starting<'_> {
    /// Boots a node from its disk, which it makes when there is none.
    pub(crate) fn boot(&self, (cluster, node): Placed<'_>) -> Result<(), Error> {
        self.say(node, NodeState::Starting, "");
        let session = self.session;
        let folder = session.folder();
        let disk = folder.join(&node.disk);
        let base = self.start.image(node)?;
        if node.is_appliance() {
            // There is nothing on it but its model, which may be another one by now.
            file::remove_file(&disk)?;
        }
        if !disk.exists() {
            session.note_base(node, base)?;
            make_overlay(&base.disk, &disk, node.disk_gib)?;
        } else {
            session.check_base(node, base)?;
            if virtual_gib(&disk).is_some_and(|gib| gib < node.disk_gib) {
                // The guest grows its file system when it boots.
                resize(&disk, node.disk_gib)?;
            }
        }
        session.make_seed(node, &self.authorized_key)?;
        let xml = self.domain((cluster, node), folder, Start::Boot)?;
        let ready = folder.join(&node.ready);
        file::remove_file(&ready)?;
        let lock = claim(&session.site, &node.label, &[node])?;
        let watch = Stopwatch::start();
        session.hypervisor.create_domain(&node.domain, &xml).map_err(|error| self.explain(error))?;
        drop(lock);
        self.say(node, NodeState::Booting, "");
        if !self.start.wait {
            return Ok(());
        }
        self.await_ready(node, watch)?;
        self.measured(node, "power-on-to-ready", watch.seconds());
        Ok(())
    }

    /// Waits until a node is ready, by its own word or, where nothing of ours is in it, by its answer on SSH's port.
    pub(crate) fn await_ready(&self, node: &NodePlan, watch: Stopwatch) -> Result<(), Error> {
        let folder = self.session.folder();
        let (ready, console) = (folder.join(&node.ready), folder.join(&node.console));
        let said = || match node.is_foreign() {
            true => self.session.answers(node),
            false => ready::is_ready(&ready),
        };
        self.wait(node, &ready, &console, watch, &said)?;
        if node.is_foreign() {
            file::write(&ready, ready::ANSWERED.as_bytes())?;
        }
        self.say(node, NodeState::Ready, "");
        Ok(())
    }

    /// How large the disk is that an appliance's model is on, bytes.
    fn model_bytes(&self, node: &NodePlan) -> Result<f64, Error> {
        let Backing::Raw(disk) = &self.start.image(node)?.disk else { return Ok(0.0) };
        let size = disk.metadata().map_err(file::Error::new("look at", disk))?.len();
        #[expect(clippy::cast_precision_loss, reason = "a limit need not be exact")]
        Ok(size as f64)
    }

    /// What is known of the end of a machine: its emulator's last words, where libvirt is the lab's own.
    fn went_off(&self, node: &NodePlan) -> String {
        let log = self.session.folder().join(lab::EMULATOR_LOGS).join(format!("{}.log", node.domain));
        let log = file::tail(&log, EMULATOR_LINES);
        let words: Vec<&str> = log.lines().filter(|line| is_said(line)).collect();
        let told = words.last_chunk::<2>().map_or(&words[..], |last| &last[..]).join("; ");
        if told.is_empty() {
            "the machine went off".to_owned()
        } else {
            format!("the machine went off: {told}")
        }
    }

    fn explain(&self, error: HypervisorError) -> Error {
        match &error {
            HypervisorError::Refused { message, .. }
                if self.session.site.place == Place::System && message.contains("Permission denied") =>
            {
                Error::Unreadable { folder: self.session.folder().to_owned(), source: error }
            }
            _ => error.into(),
        }
    }

    /// Waits until a guest `said` what is waited for; a machine that is off, or whose kernel panicked, will not say it.
    pub(crate) fn wait(
        &self,
        node: &NodePlan,
        ready: &Path,
        console: &Path,
        watch: Stopwatch,
        said: &dyn Fn() -> bool,
    ) -> Result<(), Error> {
        let (limit, silence) = match node.is_foreign() {
            true => (FOREIGN_BOOT_LIMIT, "it took no connection on SSH's port"),
            false => (BOOT_LIMIT, "it said nothing"),
        };
        let load = if node.is_appliance() { self.model_bytes(node)? / MODEL_RATE } else { 0.0 };
        let limit = (limit + Duration::from_secs_f64(load)).mul_f64(self.start.verdict.slowness(node.arch));
        let not_ready = |why: String| Error::NotReady {
            node: node.label.clone(),
            why,
            console: console.to_owned(),
            tail: file::tail(console, CONSOLE_LINES).lines().map(|line| format!("\n    {line}")).collect(),
        };
        let lost = |source| file::Error::new("watch", ready)(source);
        let changes = FolderWatch::new(ready.parent().unwrap_or(ready)).map_err(lost)?;
        let mut looked = Stopwatch::start();
        loop {
            if said() {
                return Ok(());
            }
            if self.stopped() {
                return Err(Error::Interrupted);
            }
            if watch.elapsed() >= limit {
                return Err(not_ready(format!("{silence} within {:.0} s", limit.as_secs_f64())));
            }
            if looked.elapsed() >= LOOK {
                looked = Stopwatch::start();
                let observed = self.session.hypervisor.observe()?;
                match observed.domain(&node.domain).map(|domain| domain.state) {
                    Some(DomainState::Running) => {}
                    Some(state) => return Err(not_ready(format!("the machine is {state}"))),
                    None => return Err(not_ready(self.went_off(node))),
                }
                if file::tail(console, CONSOLE_LINES * 4).contains("Kernel panic - not syncing") {
                    return Err(not_ready("its kernel panicked".to_owned()));
                }
            }
            changes.wait(LOOK.saturating_sub(looked.elapsed())).map_err(lost)?;
        }
    }
}

/// Makes a disk larger that nobody uses.
fn resize(disk: &Path, size_gib: u64) -> Result<(), Error> {
    let resize = Command::new("qemu-img").args(["resize", "-q", "-f", "qcow2"]).arg(disk);
    resize.arg(format!("{size_gib}G")).run()?;
    Ok(())
}

/// Makes a disk: empty, on top of what it begins as. Half a disk is never taken for a whole one.
pub(crate) fn make_overlay(base: &Backing, disk: &Path, size_gib: u64) -> Result<(), Error> {
    let part = disk.with_extension("part");
    let make = Command::new("qemu-img").args(["create", "-q", "-f", "qcow2"]);
    let make = match base.file() {
        Some((path, format)) => make.args(["-F", format, "-b"]).arg(path).arg(&part),
        None => make.arg(&part),
    };
    let make = match (base, size_gib) {
        // As large as what it lies on; and where there is nothing, it only says that the node is there.
        (Backing::Nothing, 0) => make.arg("1M"),
        (_, 0) => make,
        _ => make.arg(format!("{size_gib}G")),
    };
    make.run()?;
    Ok(std::fs::rename(&part, disk).map_err(file::Error::new("name the disk", disk))?)
}

#[cfg(test)]
mod tests {
    use super::is_said;

    #[test]
    fn an_emulators_words_are_told_from_its_command() {
        let log = "2026-11-27 15:23:16.021+0000: starting up libvirt version: 11.3.0, qemu version: 10.0.2\n\
                   LC_ALL=C \\\nPATH=/usr/bin \\\n/usr/bin/qemu-system-x86_64 \\\n-name guest=hpc-a \\\n-msg timestamp=on\n\
                   qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory\n\
                   2026-11-27 15:23:17.104+0000: shutting down, reason=failed";
        let said: Vec<&str> = log.lines().filter(|line| is_said(line)).collect();
        assert!(
            said.len() == 2 && said[0].contains("Cannot allocate") && said[1].contains("reason=failed"),
            "{said:?}"
        );
    }
}
