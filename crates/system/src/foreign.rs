//! Programs of another architecture: how the kernel learns to start them with QEMU, for one command and what it starts.
//!
//! The kernel's `binfmt_misc` says which interpreter a program is started with. Where the host knows one for the
//! architecture already, nothing is to be done. Where not, a user namespace gets rules of its own, which Linux has since
//! version 6.7: the host's are neither needed nor changed.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use nix::sched::CloneFlags;

use crate::{
    environment, host,
    namespace::{self, Network},
    process::{self, Command},
};

/// Where the host's rules are, each in a file with its name. Debian names them after the interpreter.
const RULES: &str = "/proc/sys/fs/binfmt_misc";

/// The begin of an ELF file for 64 bits, little-endian, from a linker that names an operating system or none, a program or
/// a shared object, and behind it the machine's number.
const HEADER: &str = r"\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00";

/// Which bits of [`HEADER`] and of the machine's number count.
const MASK: &str = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff";

/// Mounts rules of its own at `$0`, adds the rule `$1` and becomes the command behind it.
const BEGIN: &str =
    r#"mount -t binfmt_misc binfmt_misc "$0" && printf %s "$1" >"$0/register" && shift && exec "$@""#;

/// Why programs of another architecture cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no interpreter.
    #[error(
        "programs for {arch} cannot run here: there is no qemu-{arch}-static. Run `make set-up`, or install the package \
         qemu-user-static"
    )]
    NoInterpreter {
        /// The architecture.
        arch: String,
    },
    /// The kernel cannot be told in a namespace, and the host did not tell it.
    #[error(
        "programs for {arch} cannot run here: the host has no rule for them, and a rule for ai-how alone takes Linux 6.7 \
         (this is {release}). Where systemd runs, install the package qemu-user-static and run `systemctl restart \
         systemd-binfmt` as root; or use a newer kernel"
    )]
    NoRule {
        /// The architecture.
        arch: String,
        /// The kernel's release.
        release: String,
        /// What was tried.
        source: process::Error,
    },
    /// The namespace cannot be made.
    #[error("cannot make a user namespace for programs for {arch}")]
    Namespace {
        /// The architecture.
        arch: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Namespaces in which programs of one architecture run.
#[derive(Debug)]
pub struct Namespaces {
    /// Nothing where the host runs such programs already.
    rule: Option<Rule>,
}

#[derive(Debug)]
struct Rule {
    text: String,
    /// An empty folder.
    mount_point: PathBuf,
    users: Option<SameUsers>,
}

impl Namespaces {
    /// Finds out how programs for `arch` (as the kernel calls it) run here. `folder` is empty and stays as it is.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn new(arch: &str, folder: &Path) -> Result<Self, Error> {
        if arch == host::arch() || is_known(arch) {
            return Ok(Self { rule: None });
        }
        let interpreter = ["-static", ""]
            .iter()
            .find_map(|ending| environment::find_program(&format!("qemu-{arch}{ending}")))
            .ok_or_else(|| Error::NoInterpreter { arch: arch.to_owned() })?;
        let namespace_error = |source| Error::Namespace { arch: arch.to_owned(), source };
        // An ordinary user's namespaces have users of their own anyway.
        let users = host::is_root().then(SameUsers::new).transpose().map_err(namespace_error)?;
        let rule = Rule { text: rule(arch, &interpreter), mount_point: folder.to_owned(), users };
        let new = Self { rule: Some(rule) };
        let no_rule =
            |source| Error::NoRule { arch: arch.to_owned(), release: host::kernel_release(), source };
        new.wrap(&Command::new("true")).run().map_err(no_rule)?;
        Ok(new)
    }

    /// Wraps `command` so that it becomes the first process of fresh namespaces, which see the host's network.
    pub fn wrap(&self, command: &Command) -> Command {
        let Some(Rule { text, mount_point, users }) = &self.rule else {
            return namespace::fresh(Network::Shared, command);
        };
        let begin = Command::new("sh").args(["-c", BEGIN]).arg(mount_point).arg(text).wrapping(command);
        let fresh = namespace::fresh(Network::Shared, &begin);
        match users {
            Some(users) => users.enter(&fresh),
            None => fresh,
        }
    }
}

/// Whether the host has a rule whose interpreter is found from everywhere.
fn is_known(arch: &str) -> bool {
    let rule = fs::read_to_string(Path::new(RULES).join(format!("qemu-{arch}"))).unwrap_or_default();
    let has_fixed = |flags: &str| flags.contains('F');
    rule.starts_with("enabled") && rule.lines().filter_map(|line| line.strip_prefix("flags: ")).any(has_fixed)
}

/// The line that teaches the kernel. `F` opens the interpreter now, so that a root without it can be changed to, and `P`
/// tells it the name that the program was called by.
fn rule(arch: &str, interpreter: &Path) -> String {
    let machine = match arch {
        "x86_64" => r"\x3e\x00",
        _ => r"\xb7\x00",
    };
    format!(":qemu-{arch}:M::{HEADER}{machine}:{MASK}:{}:FP", interpreter.display())
}

/// A user namespace in which all users are who they are outside. It lasts as long as this value.
#[derive(Debug)]
struct SameUsers(Child);

impl SameUsers {
    fn new() -> io::Result<Self> {
        // Reads until we are gone.
        let mut command = std::process::Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0);
        #[expect(unsafe_code, reason = "the only way to have a process begin in a new namespace")]
        // SAFETY: unshare is async-signal-safe and touches no memory of ours.
        unsafe {
            command.pre_exec(|| nix::sched::unshare(CloneFlags::CLONE_NEWUSER).map_err(Into::into));
        }
        // Once it is spawned it is in its namespace, which is ended with it should a map be refused.
        let users = Self(command.spawn()?);
        for map in ["uid_map", "gid_map"] {
            // What is mapped to us, each id to itself: in a container that is not everybody.
            let ours = fs::read_to_string(Path::new("/proc/self").join(map))?;
            let same: String = ours.lines().filter_map(same_ids).collect();
            fs::write(Path::new("/proc").join(users.0.id().to_string()).join(map), same)?;
        }
        Ok(users)
    }

    fn enter(&self, command: &Command) -> Command {
        let mut namespace = OsString::from("--user=/proc/");
        namespace.push(self.0.id().to_string());
        namespace.push("/ns/user");
        Command::new("nsenter").arg(namespace).args(["--preserve-credentials", "--"]).wrapping(command)
    }
}

impl Drop for SameUsers {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to kill or to reap.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A line of a map of ids (inside, outside, count), for a namespace below that has the same ids.
fn same_ids(line: &str) -> Option<String> {
    let mut fields = line.split_whitespace();
    let (inside, count) = (fields.next()?, fields.nth(1)?);
    Some(format!("{inside} {inside} {count}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_a_container_are_mapped_to_themselves() {
        assert_eq!(same_ids("         0     100000      65536").as_deref(), Some("0 0 65536\n"));
        assert_eq!(same_ids(""), None);
    }

    #[test]
    fn a_rule_is_what_debian_registers() {
        let debian = r":qemu-aarch64:M::\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/x:FP";
        assert_eq!(rule("aarch64", Path::new("/x")), debian);
    }

    #[test]
    fn no_programs_run_that_nobody_translates() {
        let folder = tempfile::tempdir().unwrap();
        let error = Namespaces::new("riscv1024", folder.path()).unwrap_err().to_string();
        assert!(error.contains("no qemu-riscv1024-static") && error.contains("make set-up"), "{error}");
    }

    #[test]
    fn programs_of_this_machine_need_no_rule() {
        let folder = tempfile::tempdir().unwrap();
        let namespaces = Namespaces::new(host::arch(), folder.path()).unwrap();
        assert!(namespaces.rule.is_none());
        assert_eq!(namespaces.wrap(&Command::new("true")).run().unwrap(), "");
    }
}
