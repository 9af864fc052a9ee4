//! Packer, which builds images for shipping from templates.

use std::{fs::File, io::Write, path::Path, time::Duration};

use events::{EventKind, Level, Sink};
use system::{
    cancel::Cancel,
    environment,
    file::{self, Lock},
    namespace::{self, Network},
    process::{self, Command, Stream},
};

use crate::Error;

/// A build that takes this long is stuck.
const DEADLINE: Duration = Duration::from_secs(3600);

/// The first version that takes its builders from plugins.
const PLUGINS: (u32, u32) = (1, 7);

/// How many of its last words an error shows.
const LAST_WORDS: usize = 12;

/// Whether the Packer of this host takes its builders from plugins; so does one that is not there yet.
pub fn packer_takes_plugins() -> bool {
    let said = Command::new("packer").arg("version").run().unwrap_or_default();
    version(&said).is_none_or(|version| version >= PLUGINS)
}

/// From `Packer v1.6.6`.
fn version(said: &str) -> Option<(u32, u32)> {
    let mut parts = said.lines().next()?.strip_prefix("Packer v")?.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

/// Builds the image of this name from its template in `folder`. What Packer says is kept there as `NAME/packer.log`.
///
/// # Errors
/// Packer is missing or did not build it, or somebody asked to stop.
pub fn packer_build(folder: &Path, name: &str, sink: &dyn Sink, cancel: &Cancel) -> Result<(), Error> {
    if environment::find_program("packer").is_none() {
        return Err(Error::NoPacker);
    }
    let own = folder.join(name);
    let wait = || {
        let message = format!("another ai-how is building {name} there; waiting for it");
        sink.emit(EventKind::Notice { level: Level::Info, message });
    };
    let Some(_claim) = Lock::take(&own.join("lock"), cancel, wait)? else { return Err(Error::Interrupted) };
    let path = own.join("packer.log");
    let mut log = File::create(&path).map_err(file::Error::new("create", &path))?;
    // What an interrupted build left would stop this one.
    let build = Command::new("packer").args(["build", "-color=false", "-timestamp-ui", "-force"]).arg(&own);
    // It asks its maker about new versions otherwise, and Ansible refuses to run in a locale that is not UTF-8.
    let build = build.env("CHECKPOINT_DISABLE", "1").env("LC_ALL", "C.UTF-8");
    let build = build.env("PACKER_CACHE_DIR", own.join("cache")).deadline(DEADLINE).cancel(cancel);
    // Its machine ends with it, however it ends.
    let built = namespace::fresh(Network::Shared, &build).stream(|stream, line| {
        // A log that cannot be written is no reason to fail a build that works.
        let _ = log.write_all(line.as_bytes());
        if let Some(message) = message(line).filter(|_| stream == Stream::Out) {
            sink.emit(EventKind::Progress { subject: name.to_owned(), message: message.to_owned() });
        }
    });
    // What was built is somewhere else by now, and what was not is of no use.
    for name in ["build", "cache", "ansible-home"] {
        file::remove_folder(&own.join(name))?;
    }
    match built {
        Err(process::Error::Failed { .. }) => {
            let said = file::tail(&path, LAST_WORDS).lines().map(|line| format!("\n    {line}")).collect();
            Err(Error::Packer { name: name.to_owned(), log: path, said })
        }
        built => built.map_err(Error::step("build it with Packer")),
    }
}

/// What one of its lines says, without the time and the builder's name.
fn message(line: &str) -> Option<&str> {
    let (_, message) = line.split_once("qemu.image: ").or_else(|| line.split_once(" (qemu): "))?;
    Some(message.trim()).filter(|message| !message.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        assert_eq!(version("Packer v1.6.6\n\nYour version of Packer is out of date!"), Some((1, 6)));
        assert_eq!(version("Packer v1.14.2"), Some((1, 14)));
        assert_eq!(version("packer: command not found"), None);
        assert!((1, 6) < PLUGINS && (1, 14) >= PLUGINS);
    }

    #[test]
    fn progress_is_what_is_done_and_nothing_else() {
        assert_eq!(
            message("2026-01-02T03:04:05Z: ==> qemu.image: Waiting for SSH\n"),
            Some("Waiting for SSH")
        );
        assert_eq!(message("    qemu.image:\n"), None);
        assert_eq!(message("Build 'qemu.image' finished.\n"), None);
    }
}
