//! What of a lab runs now.

use guest::ready;
use lab::DomainState;
use plan::Plan;
use system::cancel::Cancel;

use crate::{Error, Site};

/// One node, now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// The node's label.
    pub node: String,
    /// Libvirt's name for it.
    pub domain: String,
    /// `running`, `off`, ... or `absent` when it was never started.
    pub state: String,
    /// Whether it said that it is ready.
    pub ready: bool,
    /// Whether it has a disk.
    pub disk: bool,
}

/// The nodes of a plan as they are now.
///
/// # Errors
/// The lab runs and its libvirt does not answer.
pub fn status(site: &Site, plan: &Plan, cancel: &Cancel) -> Result<Vec<NodeStatus>, Error> {
    let lab = site.folder.id();
    let session = site.find(cancel)?;
    let observed = session.map(|session| session.hypervisor.observe()).transpose()?.unwrap_or_default();
    let nodes = plan.nodes().map(|(_, node)| {
        let ours = |mark: &render::Mark| mark.lab == lab;
        let found = observed.domain(&node.domain).filter(|domain| domain.mark.as_ref().is_some_and(ours));
        let word = site.folder.path().join(&node.ready);
        let disk = site.folder.path().join(&node.disk).exists();
        let state = match found {
            Some(domain) => domain.state.to_string(),
            None if disk => DomainState::Off.to_string(),
            None => "absent".to_owned(),
        };
        NodeStatus {
            node: node.label.clone(),
            domain: node.domain.clone(),
            ready: found.is_some() && ready::is_ready(&word),
            state,
            disk,
        }
    });
    Ok(nodes.collect())
}
