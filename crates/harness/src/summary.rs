//! How checks went, all together.

use events::Outcome;

/// How a run went.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// One for each check on each node, in the order in which they ended.
    pub results: Vec<CheckResult>,
}

/// How a check went on a node.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckResult {
    /// The cluster's name.
    pub cluster: String,
    /// The suite's name.
    pub suite: String,
    /// The check's name.
    pub check: String,
    /// The node's label.
    pub node: String,
    /// How it went.
    pub outcome: Outcome,
    /// How long it took.
    pub seconds: f64,
    /// Why it did not pass; empty when it did.
    pub reason: String,
}

impl Summary {
    /// How many results have this outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.results.iter().filter(|result| result.outcome == outcome).count()
    }

    /// The results that failed.
    pub fn failures(&self) -> impl Iterator<Item = &CheckResult> {
        self.results.iter().filter(|result| result.outcome == Outcome::Failed)
    }

    /// How the run as a whole went. Without a single check that passed it is no pass.
    pub fn outcome(&self) -> Outcome {
        if self.count(Outcome::Interrupted) > 0 {
            Outcome::Interrupted
        } else if self.count(Outcome::Failed) > 0 || self.count(Outcome::Passed) == 0 {
            Outcome::Failed
        } else {
            Outcome::Passed
        }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [passed, failed, skipped, interrupted] =
            [Outcome::Passed, Outcome::Failed, Outcome::Skipped, Outcome::Interrupted].map(|o| self.count(o));
        if passed + failed + interrupted == 0 {
            return write!(f, "no check was run ({skipped} skipped), and that is not a pass");
        }
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")?;
        if interrupted > 0 { write!(f, ", {interrupted} interrupted") } else { Ok(()) }
    }
}
