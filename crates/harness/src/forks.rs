//! Copies of the clusters under test, as the harness needs them: what is broken there harms nobody. Labs of virtual
//! machines implement it elsewhere; tests use fakes.

use plan::model::ClusterPlan;

use crate::shell::Shell;

/// Makes copies of the clusters under test.
pub trait Forks: Sync {
    /// Why copies lack this cluster, where they do. It is itself what is tested and broken then.
    fn lacks(&self, cluster: &ClusterPlan) -> Option<String>;

    /// How many copies the host bears at once, beside the clusters themselves and at least one.
    fn room(&self) -> usize;

    /// So many copies, all of them what the clusters are at this moment.
    ///
    /// # Errors
    /// There is no copy at all.
    fn fork(&self, count: usize) -> Result<Vec<Box<dyn Fork + '_>>, Error>;
}

/// A copy of the clusters under test. Its nodes have the names of the originals. It goes when it is dropped.
pub trait Fork: Send + Sync {
    /// What it is called in reports.
    fn name(&self) -> &str;

    /// The way to its nodes.
    fn shell(&self) -> &dyn Shell;
}

/// There is no copy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It cannot be made.
    #[error("the cluster cannot be forked: {reason}")]
    Impossible {
        /// Why.
        reason: String,
    },
    /// Somebody asked to stop.
    #[error("interrupted")]
    Cancelled,
}
