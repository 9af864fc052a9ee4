//! Where things are broken: forks, or the cluster itself.

use events::{EventKind, Level, Sink};
use plan::model::ClusterPlan;

use crate::{
    forks::{Fork, Forks},
    run::Target,
    shell::Shell,
};

/// Where things are broken.
pub(super) enum Ground<'a> {
    /// The cluster itself.
    Original(&'a dyn Shell),
    /// A copy of it, with those who can make another one.
    Fork(Box<dyn Fork + 'a>, &'a dyn Forks),
}

impl<'a> Ground<'a> {
    pub(super) fn shell(&self) -> &dyn Shell {
        match self {
            Self::Original(shell) => *shell,
            Self::Fork(fork, _) => fork.shell(),
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Original(_) => "",
            Self::Fork(fork, _) => fork.name(),
        }
    }

    pub(super) fn is_fork(&self) -> bool {
        matches!(self, Self::Fork(..))
    }

    /// A fork that nothing was done to instead of this one.
    pub(super) fn fresh(self) -> Option<Self> {
        let Self::Fork(used, forks) = self else { return Some(self) };
        drop(used);
        let fork = forks.fork(1).ok()?.pop()?;
        Some(Self::Fork(fork, forks))
    }
}

/// Clusters that are broken on the same grounds.
pub(super) struct Part<'a> {
    pub(super) clusters: Vec<ClusterPlan>,
    /// At least one.
    pub(super) grounds: Vec<Ground<'a>>,
}

/// Where the clusters are broken for which there is something `to_try`: on as many forks as the host bears; those that forks
/// lack, and all of them where there are none, themselves.
pub(super) fn parts<'a>(
    target: Target<'a>,
    to_try: impl Fn(&ClusterPlan) -> usize,
    sink: &dyn Sink,
) -> Vec<Part<'a>> {
    let notice = |level, message| sink.emit(EventKind::Notice { level, message });
    let meant = target.clusters.iter().filter(|cluster| to_try(cluster) > 0);
    let Some(forks) = target.forks else { return originals(target, meant.cloned().collect()) };
    let (mut stay, mut copied) = (Vec::new(), Vec::new());
    for cluster in meant {
        match forks.lacks(cluster) {
            None => copied.push(cluster.clone()),
            Some(why) => {
                notice(Level::Info, format!("{} cannot be forked: {why}; {ITSELF}", cluster.name));
                stay.push(cluster.clone());
            }
        }
    }
    if copied.is_empty() {
        return originals(target, stay);
    }
    let count: usize = copied.iter().map(to_try).sum();
    let made = forks.fork(forks.room().clamp(1, count));
    if let Err(error) = &made {
        notice(Level::Warning, format!("{error}; {ITSELF}"));
    }
    let grounds: Vec<Ground<'a>> =
        made.unwrap_or_default().into_iter().map(|fork| Ground::Fork(fork, forks)).collect();
    if grounds.is_empty() {
        return originals(target, copied.into_iter().chain(stay).collect());
    }
    let mut parts = vec![Part { clusters: copied, grounds }];
    parts.extend(originals(target, stay));
    parts
}

/// How a cluster is broken that there is no fork of.
const ITSELF: &str = "it is broken itself, one sabotage after the other";

/// These clusters as they are, where there are any.
fn originals(target: Target<'_>, clusters: Vec<ClusterPlan>) -> Vec<Part<'_>> {
    if clusters.is_empty() {
        return Vec::new();
    }
    vec![Part { clusters, grounds: vec![Ground::Original(target.shell)] }]
}
