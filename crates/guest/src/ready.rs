//! Readiness is pushed by the guest: it writes one JSON line to the virtio-serial port `ai-how.ready`, which libvirt
//! keeps as a file in the lab's folder. Nobody polls SSH, whose failing handshakes would eat the processor that the
//! boot needs. The line also carries the node's SSH host key, over a channel that no other machine can write to, so
//! connections are strict from the first.

use std::path::Path;

use serde::{Deserialize, Serialize};
use system::file;

/// What a node says of itself. Lines of other states may come before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    /// `ready`.
    pub state: String,
    /// Seconds since its kernel started.
    pub uptime: f64,
    /// The public SSH host key, `type base64`.
    pub host_key: String,
}

/// The node's own word that it is ready, if it was given. The last one counts: a guest that rebooted says it again.
pub fn read(path: &Path) -> Option<Ready> {
    parse(&file::read(path).ok()?)
}

/// What an appliance says of itself when its boot is over, and again when it is ready. It has no SSH, so there is no key to tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Begun {
    /// `loading` while llama.cpp loads its model, then `ready`.
    pub state: String,
    /// Seconds since its kernel started.
    pub uptime: f64,
    /// What it goes on with: `prompt`, `stub`, `diag`, `selftest`, `perf`.
    pub mode: String,
}

/// An appliance's last word that its boot is over, if it was given.
pub fn begun(path: &Path) -> Option<Begun> {
    let text = file::read(path).ok()?;
    let lines = whole(&text).lines().rev();
    lines
        .filter_map(|line| serde_json::from_str::<Begun>(line).ok())
        .find(|begun| ["loading", "ready"].contains(&begun.state.as_str()))
}

/// Whether a node of any kind was ready, by its own word or by what was written down for it.
pub fn is_ready(path: &Path) -> bool {
    read(path).is_some() || has_answered(path) || begun(path).is_some_and(|begun| begun.state == "ready")
}

/// What the host itself writes down of a node that has no such unit, when it answered.
pub const ANSWERED: &str = "{\"state\":\"answered\"}\n";

/// Whether a node that cannot say so was ready.
pub fn has_answered(path: &Path) -> bool {
    has_said(path, "answered")
}

/// Whether a machine that is to become a template said that nothing is going on in it any more.
pub fn is_quiet(path: &Path) -> bool {
    has_said(path, "quiet")
}

/// What the host itself writes down of a node that it has asked to power off: it is not ready any more.
pub const STOPPING: &str = "{\"state\":\"stopping\"}\n";

/// Whether a node was asked to power off.
pub fn is_stopping(path: &Path) -> bool {
    has_said(path, "stopping")
}

fn has_said(path: &Path, state: &str) -> bool {
    #[derive(Deserialize)]
    struct Said {
        state: String,
    }
    let text = file::read(path).unwrap_or_default();
    whole(&text)
        .lines()
        .filter_map(|line| serde_json::from_str::<Said>(line).ok())
        .any(|said| said.state == state)
}

/// The lines that have an end. One without is still being written.
fn whole(text: &str) -> &str {
    text.rfind('\n').map_or("", |end| &text[..end])
}

fn parse(text: &str) -> Option<Ready> {
    let lines = whole(text).lines().rev();
    lines
        .filter_map(|line| serde_json::from_str::<Ready>(line).ok())
        .find(|ready| ready.state == "ready" && is_key(&ready.host_key))
}

/// The guest's word goes into a file that OpenSSH reads, so it must look like a key.
fn is_key(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-+/=@.".contains(c);
    matches!(text.split(' ').collect::<Vec<_>>()[..], [kind, key] if kind.starts_with("ssh-") && key.len() > 20 && key.chars().all(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ";

    fn line(state: &str, uptime: f64, key: &str) -> String {
        format!("{{\"state\":\"{state}\",\"uptime\":{uptime},\"host_key\":\"{key}\"}}\n")
    }

    #[test]
    fn the_last_whole_ready_line_counts() {
        let text =
            line("ready", 9.5, KEY) + "noise\n" + &line("ready", 11.0, KEY) + &line("stopping", 99.0, KEY);
        assert_eq!(parse(&text).unwrap().uptime, 11.0);
    }

    #[test]
    fn quiet_is_another_word_than_ready() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ready.jsonl");
        assert!(!is_quiet(&path));
        std::fs::write(&path, line("ready", 9.5, KEY)).unwrap();
        assert!(!is_quiet(&path));
        std::fs::write(&path, "{\"state\":\"quiet\",\"uptime\":9.5,\"system\":\"running\"}").unwrap();
        assert!(!is_quiet(&path));
        std::fs::write(&path, "noise\n{\"state\":\"quiet\",\"uptime\":9.5,\"system\":\"running\"}\n")
            .unwrap();
        assert!(is_quiet(&path));
    }

    #[test]
    fn an_appliance_tells_its_mode_and_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ready.jsonl");
        std::fs::write(&path, "{\"state\":\"ready\",\"uptime\":0.93,\"mode\":\"stub\"}").unwrap();
        assert!(begun(&path).is_none() && !is_ready(&path));
        std::fs::write(&path, "{\"state\":\"ready\",\"uptime\":0.93,\"mode\":\"stub\"}\n").unwrap();
        let word = begun(&path).unwrap();
        assert_eq!((word.uptime, word.mode.as_str()), (0.93, "stub"));
        assert!(is_ready(&path) && read(&path).is_none());
        std::fs::write(&path, "{\"state\":\"loading\",\"uptime\":0.93,\"mode\":\"prompt\"}\n").unwrap();
        assert!(begun(&path).is_some() && !is_ready(&path));
        std::fs::write(&path, line("ready", 9.5, KEY)).unwrap();
        assert!(begun(&path).is_none() && is_ready(&path));
    }

    #[test]
    fn an_answer_is_no_word_of_the_node() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ready.jsonl");
        std::fs::write(&path, ANSWERED).unwrap();
        assert!(has_answered(&path) && read(&path).is_none() && !is_quiet(&path));
    }

    #[test]
    fn half_a_line_is_not_ready() {
        let text = line("ready", 9.5, KEY);
        assert_eq!(parse(text.trim_end()), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_key_that_would_add_lines_or_options_is_refused() {
        for key in [
            "ssh-ed25519 short",
            "cert-authority,evil ssh-ed25519 AAAA",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5\\n*",
        ] {
            assert_eq!(parse(&line("ready", 1.0, key)), None, "{key}");
        }
    }
}
