//! The program that is measured: built as it is released, with folders of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::Deserialize;
use system::cancel::Cancel;
use system::clock::{self, Stopwatch};
use system::{environment, file, host};

use super::command::{Cost, measure};
use super::labs;
use super::told::Told;
use crate::{Failure, output};

/// How many lines of a failed command's output are shown.
const LINES: usize = 20;

/// The built program and where it works.
#[derive(Debug)]
pub(crate) struct Program {
    binary: PathBuf,
    /// Labs and runs of the benchmark; nobody else's.
    state: PathBuf,
    /// The user's.
    pub(crate) cache: PathBuf,
    logs: PathBuf,
    pub(crate) cancel: Cancel,
}

impl Program {
    /// Builds it. `folder` is the benchmark's own, absolute: paths in it reach other programs.
    pub(crate) fn build(folder: &Path, cancel: &Cancel) -> Result<Self, Failure> {
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--release", "--package", "ai-how", "--message-format=json-render-diagnostics"]);
        let messages = output(&mut cargo)?;
        let binary = executable(&messages).ok_or("cargo built no program named ai-how")?;
        let logs = folder.join("logs");
        file::create_folder(&logs)?;
        let cache = environment::cache_folder();
        Ok(Self { binary, state: folder.join("state"), cache, logs, cancel: cancel.clone() })
    }

    /// Runs a command of it that has to succeed. What it prints goes to a log, which `name` names.
    pub(crate) fn run(&self, name: &str, arguments: &[&str], limit: Duration) -> Result<Cost, Failure> {
        self.run_with(&self.cache, name, arguments, limit, &self.cancel)
    }

    /// The same with another cache.
    pub(crate) fn run_in(
        &self,
        cache: &Path,
        name: &str,
        arguments: &[&str],
        limit: Duration,
    ) -> Result<Cost, Failure> {
        self.run_with(cache, name, arguments, limit, &self.cancel)
    }

    fn run_with(
        &self,
        cache: &Path,
        name: &str,
        arguments: &[&str],
        limit: Duration,
        cancel: &Cancel,
    ) -> Result<Cost, Failure> {
        let path = self.logs.join(format!("{name}.log"));
        let log = File::create(&path)?;
        let mut command = Command::new(&self.binary);
        // A terminal would be drawn on, and drawing takes time.
        command.stdout(Stdio::from(log.try_clone()?)).stderr(log);
        // First, because `ssh` takes all that follows the node as words for it.
        command.arg("--state").arg(&self.state).arg("--cache").arg(cache).args(arguments);
        let about = |why: &dyn std::fmt::Display| format!("ai-how {}: {why}", arguments.join(" "));
        let (status, cost) = measure(&mut command, limit, cancel).map_err(|error| about(&error))?;
        if status.success() {
            return Ok(cost);
        }
        let said: String = file::tail(&path, LINES).lines().map(|line| format!("\n    {line}")).collect();
        Err(about(&format!("{status}{said}")).into())
    }

    /// What the last run told.
    pub(crate) fn told(&self) -> Result<Told, Failure> {
        Told::read(&self.last_run())
    }

    /// The folder of the last run.
    pub(crate) fn last_run(&self) -> PathBuf {
        self.state.join("runs/latest")
    }

    /// Where labs are; part of the command line of every QEMU of theirs.
    pub(crate) fn labs(&self) -> PathBuf {
        self.state.join("labs")
    }

    /// Removes all labs and whatever an earlier benchmark left of them, and waits until the last process of them is gone:
    /// what is measured next has the host to itself. An interruption does not stop this.
    pub(crate) fn destroy(&self) -> Result<(), Failure> {
        let limit = Duration::from_secs(60);
        let destroyed = labs::ALL.map(|lab| {
            let arguments = [&["cluster", "destroy", "--force"][..], lab].concat();
            self.run_with(&self.cache, "destroy", &arguments, limit, &Cancel::new())
        });
        destroyed.into_iter().collect::<Result<Vec<Cost>, Failure>>()?;
        let labs = self.labs().display().to_string();
        let watch = Stopwatch::start();
        loop {
            let left = host::processes(|words| words.iter().any(|word| word.contains(&labs)));
            if left.is_empty() {
                return Ok(());
            }
            if watch.elapsed() > limit {
                return Err(format!("processes of a lab are left: {left:?}").into());
            }
            // They are no children of ours, so nobody tells when they end.
            clock::sleep(Duration::from_millis(20));
        }
    }

    /// Forgets the runs of earlier benchmarks.
    pub(crate) fn forget(&self) -> Result<(), Failure> {
        Ok(file::remove_folder(&self.state)?)
    }
}

/// A line of what cargo tells.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

fn executable(messages: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    let own =
        messages.filter(|message| message.target.as_ref().is_some_and(|target| target.name == "ai-how"));
    own.filter_map(|message| message.executable).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_tells_where_the_program_is() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"build-script-build"},"executable":"/t/build"}
{"reason":"compiler-artifact","target":{"name":"ai_how"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"ai-how"},"executable":"/t/release/ai-how"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages), Some(PathBuf::from("/t/release/ai-how")));
        assert_eq!(executable(""), None);
    }
}
