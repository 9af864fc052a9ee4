//! Proving a lab that runs, with checks, and the checks, with sabotages.

use std::{fmt::Display, time::Duration};

use engine::{Place, Session, Site};
use events::{Outcome, Phase};
use guest::{Ssh, SshError};
use harness::{
    forks::Forks,
    run::{Options, Target},
    sabotage,
    select::Selection,
    shell,
};
use lab::accelerator::Verdict;
use plan::Plan;
use system::{
    cancel::Cancel,
    host,
    process::{self, Output},
};

use crate::{beside::Beside, exit, failure::Failure, forks::LabForks, run::Run, settings::Settings};

/// A lab that runs, and a run that tells about it.
#[derive(Clone, Copy)]
pub(crate) struct Proof<'a> {
    /// The lab.
    pub(crate) session: &'a Session,
    /// Where it is.
    pub(crate) site: &'a Site,
    /// What runs there.
    pub(crate) plan: &'a Plan,
    /// How machines run here.
    pub(crate) verdict: &'a Verdict,
    /// What tells of it.
    pub(crate) run: &'a Run,
    /// Folders.
    pub(crate) settings: &'a Settings,
    /// Whether somebody wants to stop.
    pub(crate) cancel: &'a Cancel,
}

impl Proof<'_> {
    /// Runs checks, as a phase of the run.
    pub(crate) fn prove(&self, selection: &Selection<'_>) -> Result<(), Failure> {
        self.tests(|target, options| {
            let summary = harness::run::run(selection, target, self.run.sink(), options, self.cancel);
            verdict(summary.outcome(), &summary)
        })
    }

    /// Tries the sabotages of checks, as a phase of the run.
    pub(crate) fn sabotage(&self, selection: &Selection<'_>) -> Result<(), Failure> {
        self.tests(|target, options| {
            let report = sabotage::run(selection, target, self.run.sink(), options, self.cancel);
            verdict(report.outcome(), &report)
        })
    }

    fn tests(&self, tests: impl FnOnce(Target<'_>, Options) -> Result<(), Failure>) -> Result<(), Failure> {
        self.run.phase(Phase::Tests, || {
            let forks = LabForks::new(self)?;
            let shell = NodeShell { ssh: self.session.ssh(), beside: Beside::new(self)? };
            let target = Target {
                clusters: &self.plan.clusters,
                shell: &shell,
                forks: (self.site.place == Place::Private).then_some(&forks as &dyn Forks),
                fork: "",
            };
            let options =
                Options { slowness: self.verdict.slowest(), parallel: host::cpus().max(2), fail_fast: false };
            let result = tests(target, options);
            let left = forks.left();
            let leaked = || Failure::new(exit::FAILED, format!("something is left {}", left.join(", ")));
            result.and_then(|()| if left.is_empty() { Ok(()) } else { Err(leaked()) })
        })
    }
}

/// Only a pass is a pass: a run that skipped everything is none.
fn verdict(outcome: Outcome, words: &dyn Display) -> Result<(), Failure> {
    match outcome {
        Outcome::Passed => Ok(()),
        Outcome::Interrupted => Err(Failure::new(exit::INTERRUPTED, "interrupted")),
        Outcome::Failed | Outcome::Skipped => Err(Failure::new(exit::TESTS, words.to_string())),
    }
}

/// The harness's way to nodes: SSH, and for appliances this host beside them.
pub(crate) struct NodeShell {
    pub(crate) ssh: Ssh,
    pub(crate) beside: Option<Beside>,
}

impl shell::Shell for NodeShell {
    fn run(
        &self,
        node: &str,
        script: &str,
        deadline: Duration,
        cancel: &Cancel,
    ) -> Result<Output, shell::Error> {
        if let Some(beside) = self.beside.as_ref().filter(|beside| beside.has(node)) {
            return beside.run(node, script, deadline, cancel);
        }
        self.ssh.run(node, script, deadline, cancel).map_err(|error| match error {
            SshError::Process(process::Error::TimedOut { limit, .. }) => {
                shell::Error::TimedOut { node: node.to_owned(), limit }
            }
            SshError::Process(process::Error::Cancelled { .. }) => shell::Error::Cancelled,
            SshError::Unreachable { said, .. } => {
                shell::Error::Unreachable { node: node.to_owned(), reason: said }
            }
            SshError::Process(error) => {
                shell::Error::Unreachable { node: node.to_owned(), reason: error.to_string() }
            }
        })
    }
}
