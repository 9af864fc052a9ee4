//! Where things are broken: forks, or the cluster itself.

use events::{EventKind, Level, Sink};

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

/// As many forks as the host bears, for so many sabotages; the cluster itself where it cannot be forked.
pub(super) fn grounds<'a>(target: Target<'a>, count: usize, sink: &dyn Sink) -> Vec<Ground<'a>> {
    let forks = target.forks.map(|forks| (forks, forks.fork(forks.room().clamp(1, count.max(1)))));
    match forks {
        Some((forks, Ok(made))) if !made.is_empty() => {
            made.into_iter().map(|fork| Ground::Fork(fork, forks)).collect()
        }
        Some((_, Err(error))) => {
            let message = format!("{error}; it is broken itself, one sabotage after the other");
            sink.emit(EventKind::Notice { level: Level::Warning, message });
            vec![Ground::Original(target.shell)]
        }
        _ => vec![Ground::Original(target.shell)],
    }
}
