//! What of the host a node takes is claimed before it starts: memory, devices, and processors that it has for itself.
//!
//! Nothing is written down: what is taken is read from the emulators that run, whichever lab, user or program started
//! them. So nothing is left to mend after a crash.

use plan::model::NodePlan;
use system::file::{self, Lock};

use crate::{Error, devices, memory, processors, session::Site};

/// Checks that the host has what all these nodes take, called `whose` in an error about memory. Whoever holds the
/// returned lock is the only one who claims anything; it is held until the machines' processes exist.
pub(crate) fn claim(site: &Site, whose: &str, nodes: &[&NodePlan]) -> Result<Lock, Error> {
    let state = site.folder.path().parent().and_then(std::path::Path::parent).unwrap_or(site.folder.path());
    let path = state.join("memory.lock");
    let lock = Lock::wait(&path).map_err(file::Error::new("lock", path))?;
    memory::check(whose, nodes.iter().map(|node| node.memory_mib))?;
    for node in nodes {
        devices::refuse_taken(node)?;
        processors::refuse_taken(node)?;
    }
    Ok(lock)
}
