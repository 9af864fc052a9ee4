//! The way to a node, as the harness needs it. SSH implements it elsewhere; tests use fakes.

use std::time::Duration;

use system::{cancel::Cancel, process::Output};

/// Runs scripts on nodes.
pub trait Shell: Sync {
    /// Runs `script` with bash on `node` (its label in the plan), as root, and returns what it left behind, whatever its
    /// exit status. Several threads call this at once, also for the same node, so a connection should be kept.
    ///
    /// # Errors
    /// The node cannot be reached or is lost, the script overran `deadline`, or `cancel` was requested.
    fn run(&self, node: &str, script: &str, deadline: Duration, cancel: &Cancel) -> Result<Output, Error>;
}

/// A script that has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No connection, or it broke.
    #[error("{node} cannot be reached: {reason}")]
    Unreachable {
        /// The node's label.
        node: String,
        /// What the connection's program said.
        reason: String,
    },
    /// It took too long.
    #[error("{node} did not answer within {} s", limit.as_secs())]
    TimedOut {
        /// The node's label.
        node: String,
        /// The deadline.
        limit: Duration,
    },
    /// Somebody asked to stop.
    #[error("interrupted")]
    Cancelled,
}
