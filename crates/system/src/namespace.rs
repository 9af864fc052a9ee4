//! Namespaces, through util-linux's `unshare` and `nsenter`: a fresh set for a lab or an image build, and a way into
//! one that exists.
//!
//! Everything runs in a PID namespace whose first process we start: when that one ends, however it ends, the kernel
//! ends all the others, and mounts and interfaces go with the last of them. As root no user namespace is needed. An
//! ordinary user becomes root of a user namespace in which the subordinate ids of `/etc/subuid` are mapped.

use std::ffi::OsString;

use crate::{host, process::Command};

/// What a fresh set of namespaces holds besides users, mounts and processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// The host's network stays visible (image builds need the package mirror).
    Shared,
    /// An empty network of its own.
    Own,
}

/// Wraps `command` so that it becomes the first process of fresh namespaces.
pub fn fresh(network: Network, command: &Command) -> Command {
    let mut wrapped = Command::new("unshare");
    if !host::is_root() {
        wrapped = wrapped.args(["--user", "--map-auto", "--map-root-user"]);
    }
    if network == Network::Own {
        wrapped = wrapped.arg("--net");
    }
    wrapped = wrapped.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    wrapped.wrapping(command)
}

/// Wraps `command` so that it runs inside the namespaces of the process `pid`.
pub fn enter(pid: i32, command: &Command) -> Command {
    Command::new_from(enter_words(pid)).wrapping(command)
}

/// The words to put before a command line to run it inside the namespaces of the process `pid`.
pub fn enter_words(pid: i32) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["nsenter".into(), format!("--target={pid}").into()];
    if !host::is_root() {
        words.extend(["--user".into(), "--preserve-credentials".into()]);
    }
    words.extend(["--net".into(), "--mount".into(), "--pid".into(), "--".into()]);
    words
}
