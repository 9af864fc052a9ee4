//! A shell on a node, over the system's own OpenSSH and the lab's configuration file. One connection for each node is
//! kept and shared: on an emulated processor a handshake costs more than most commands.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use system::{
    cancel::Cancel,
    process::{self, Command, Output},
};

/// OpenSSH's own exit status: it did not reach the node, or lost it.
const UNREACHABLE: i32 = 255;

/// Ending a connection is asked of a process on this host.
const DISCONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Why a command did not run on a node.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The node does not answer.
    #[error("the node {node} does not answer SSH: {said}")]
    Unreachable {
        /// The node.
        node: String,
        /// What OpenSSH says.
        said: String,
    },
    /// It took too long, was interrupted, or OpenSSH is missing.
    #[error(transparent)]
    Process(#[from] process::Error),
}

/// The way to the nodes of one lab.
#[derive(Debug, Clone)]
pub struct Ssh {
    config: PathBuf,
    enter: Vec<OsString>,
}

impl Ssh {
    /// `config` is the lab's SSH configuration; `enter` the words that run a command where the nodes can be reached.
    pub fn new(config: &Path, enter: Vec<OsString>) -> Self {
        Self { config: config.to_owned(), enter }
    }

    /// Runs a shell script on a node, as root; the script is its standard input. The output's code is the script's own.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn run(
        &self,
        node: &str,
        script: &str,
        deadline: Duration,
        cancel: &Cancel,
    ) -> Result<Output, Error> {
        let command = self.command(["-T"]).arg("--").arg(node).arg("exec bash -s");
        let output = command.input(script).deadline(deadline).cancel(cancel).output()?;
        if output.code == UNREACHABLE && output.stdout.is_empty() {
            let said = output.stderr.trim().to_owned();
            return Err(Error::Unreachable { node: node.to_owned(), said });
        }
        Ok(output)
    }

    /// Ends the connection to a node that is kept and shared, if there is one. The node may be gone: nothing is asked of it.
    pub fn disconnect(&self, node: &str) {
        let command = self.command(["-O", "exit"]).arg("--").arg(node);
        // Without a connection it says so, and that is fine.
        let _ = command.deadline(DISCONNECT_LIMIT).output();
    }

    /// Opens a shell, or runs a command, on this terminal and returns its exit status. As with plain `ssh`, the words are
    /// joined and read by the node's shell.
    ///
    /// # Errors
    /// OpenSSH is missing.
    pub fn interactive(&self, node: &str, words: &[String]) -> Result<i32, Error> {
        let command = self.command([]).arg("--").arg(node).args(words);
        Ok(command.interactive()?)
    }

    /// Copies files between this host and nodes, as `scp` does, and returns its exit status.
    ///
    /// # Errors
    /// OpenSSH is missing.
    pub fn copy(&self, paths: &[String], recursive: bool) -> Result<i32, Error> {
        let options: &[&str] = if recursive { &["-r"] } else { &[] };
        Ok(self.program("scp").args(options).arg("--").args(paths).interactive()?)
    }

    fn command<const N: usize>(&self, options: [&str; N]) -> Command {
        self.program("ssh").args(options)
    }

    /// One of OpenSSH's programs with the lab's configuration.
    fn program(&self, name: &str) -> Command {
        let mut words = self.enter.clone();
        words.push(name.into());
        words.push("-F".into());
        words.push(self.config.clone().into());
        Command::new_from(words)
    }
}
