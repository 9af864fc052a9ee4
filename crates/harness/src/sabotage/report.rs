//! What came of sabotages.

use std::fmt;

use events::Outcome;

use crate::summary::Summary;

/// How the sabotages went.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Everything before the first sabotage.
    pub before: Summary,
    /// One for each sabotage, in the order of the files.
    pub verdicts: Vec<Verdict>,
    /// Everything after the last mend, on every fork that was not thrown away.
    pub after: Summary,
}

/// What became of one sabotage.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The suite's name.
    pub suite: String,
    /// The check's name.
    pub check: String,
    /// What was broken.
    pub title: String,
    /// The label of the node the check ran on.
    pub node: String,
    /// The fork that the node is of; empty when it is none.
    pub fork: String,
    /// What came of it.
    pub finding: Finding,
    /// How long all of it took.
    pub seconds: f64,
}

/// What a sabotage showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The check went red, with this reason, and green again.
    Noticed(String),
    /// The check stayed green.
    Unnoticed,
    /// The sabotage is no good: it could not break or not mend.
    Botched(String),
    /// It cannot be tried on this cluster.
    Untried(String),
    /// The run was stopped.
    Interrupted,
}

impl Finding {
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Noticed(_) => Outcome::Passed,
            Self::Unnoticed | Self::Botched(_) => Outcome::Failed,
            Self::Untried(_) => Outcome::Skipped,
            Self::Interrupted => Outcome::Interrupted,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Noticed(reason) => write!(f, "noticed: {reason}"),
            Self::Unnoticed => write!(f, "the check did not notice"),
            Self::Botched(reason) => write!(f, "the sabotage went wrong: {reason}"),
            Self::Untried(reason) => write!(f, "not tried: {reason}"),
            Self::Interrupted => write!(f, "the run was interrupted"),
        }
    }
}

impl Report {
    /// Passed when every sabotage that could be tried was noticed, at least one was, and the cluster is whole again.
    pub fn outcome(&self) -> Outcome {
        let any = |outcome| self.verdicts.iter().any(|verdict| verdict.finding.outcome() == outcome);
        if any(Outcome::Interrupted) || self.after.outcome() == Outcome::Interrupted {
            Outcome::Interrupted
        } else if any(Outcome::Failed) || !any(Outcome::Passed) || !self.is_whole() {
            Outcome::Failed
        } else {
            Outcome::Passed
        }
    }

    /// What was not thrown away is whole.
    fn is_whole(&self) -> bool {
        self.after.results.is_empty() || self.after.outcome() == Outcome::Passed
    }

    /// The sabotages that no check noticed, or that went wrong.
    pub fn failures(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().filter(|verdict| verdict.finding.outcome() == Outcome::Failed)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count =
            |outcome| self.verdicts.iter().filter(|verdict| verdict.finding.outcome() == outcome).count();
        write!(
            f,
            "{} sabotages noticed, {} not, {} not tried",
            count(Outcome::Passed),
            count(Outcome::Failed),
            count(Outcome::Skipped),
        )?;
        if self.after.results.is_empty() { Ok(()) } else { write!(f, "; afterwards {}", self.after) }
    }
}
