//! Processors of the host that a node has for itself. Those of one lab never overlap, by its plan; those of other labs, of
//! forks and of other programs are seen when a node starts.

use plan::model::NodePlan;
use system::host;

use crate::Error;

/// Fails when a virtual processor of a running machine is pinned to one that the node is to have for itself.
pub(crate) fn refuse_taken(node: &NodePlan) -> Result<(), Error> {
    let Some(first) = node.first_cpu else { return Ok(()) };
    let wanted = first..first.saturating_add(node.cpus);
    for pid in host::emulators() {
        if let Some(processor) = pinned(pid).into_iter().find(|processor| wanted.contains(processor)) {
            let owner = host::guest_name(pid);
            return Err(Error::ProcessorTaken { node: node.label.clone(), processor, owner });
        }
    }
    Ok(())
}

/// The processors that virtual ones of an emulator are pinned to. QEMU calls their threads `CPU 0/KVM` and so on.
fn pinned(pid: i32) -> Vec<u32> {
    if host::cpus() < 2 {
        // Everything runs on the only one there is.
        return Vec::new();
    }
    let each = host::thread_processors(pid, |name| name.starts_with("CPU "));
    each.into_iter().filter_map(|allowed| <[u32; 1]>::try_from(allowed).ok()).flatten().collect()
}
