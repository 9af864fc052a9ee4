//! Why a deploy did not succeed, and what the user does about it.

use std::path::PathBuf;

use system::{file, process};

/// Each variant says what to do, or holds an error that does.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no Ansible on this host.
    #[error(
        "Ansible is not installed: `make set-up` installs it for ai-how alone; or set AI_HOW_ANSIBLE to a Python \
         virtual environment with ansible-core {minimum} or newer{}",
        because(reason)
    )]
    AnsibleMissing {
        /// The oldest version that works.
        minimum: &'static str,
        /// What is wrong with what was found, if anything was.
        reason: String,
    },
    /// There is one, but the roles do not run on it.
    #[error(
        "{} is ansible-core {version}, which is too old: ai-how needs {minimum} or newer. `make set-up` installs it for \
         ai-how alone; or set AI_HOW_ANSIBLE to a Python virtual environment that has it",
        program.display()
    )]
    AnsibleTooOld {
        /// The `ansible-playbook` that was found.
        program: PathBuf,
        /// Its version.
        version: String,
        /// The oldest version that works.
        minimum: &'static str,
    },
    /// A task failed.
    #[error("the task `{task}` failed on {node}: {message}{}. Ansible's log is {}", and_others(*others), log.display())]
    TaskFailed {
        /// The first node it failed on.
        node: String,
        /// The task, with its role.
        task: String,
        /// What Ansible says.
        message: String,
        /// How many more results were bad.
        others: usize,
        /// Everything it said.
        log: PathBuf,
    },
    /// A node does not answer.
    #[error(
        "{node} cannot be reached by SSH in the task `{task}`: {message}{}. Look at its console, or start it anew; \
         Ansible's log is {}",
        and_others(*others),
        log.display()
    )]
    Unreachable {
        /// The first such node.
        node: String,
        /// The task that would have run.
        task: String,
        /// What Ansible says.
        message: String,
        /// How many more results were bad.
        others: usize,
        /// Everything it said.
        log: PathBuf,
    },
    /// Ansible ended without naming a task: a broken installation, or killed.
    #[error("Ansible ended before it had deployed every node; its log is {}", log.display())]
    Ended {
        /// Everything it said.
        log: PathBuf,
        /// How it ended.
        #[source]
        source: Option<process::Error>,
    },
    /// It took too long.
    #[error("the deploy took more than {seconds:.0} s and was ended; Ansible's log is {}", log.display())]
    TimedOut {
        /// The limit.
        seconds: f64,
        /// Everything it said.
        log: PathBuf,
    },
    /// Somebody asked to stop.
    #[error("the deploy was interrupted; the next one completes it")]
    Interrupted,
    /// A file of the run or of the lab.
    #[error(transparent)]
    File(#[from] file::Error),
}

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}

fn and_others(others: usize) -> String {
    if others == 0 { String::new() } else { format!(" (and {others} more like it)") }
}
