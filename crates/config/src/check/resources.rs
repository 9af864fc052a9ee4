//! What the nodes need against what the host has. Always warnings: the file may be meant for another host.

use crate::HostFacts;
use crate::diagnostic::{Code, Diagnostic};
use crate::draft::{Draft, Findings, Node};
use crate::yaml::Located;

pub(super) fn check(draft: &Draft, host: &HostFacts, findings: &mut Findings) {
    let nodes: Vec<_> = draft.clusters.iter().flat_map(|cluster| &cluster.nodes).collect();
    if let Some(found) = cpus(&nodes, host.cpus) {
        findings.push(found);
    }
    if let Some(found) = memory(&nodes, host.memory_mib) {
        findings.push(found);
    }
    if let Some(found) = disk(&nodes, host.free_disk_gib) {
        findings.push(found);
    }
}

/// Pinned processors are the host's first ones, in the order of the nodes.
fn cpus(nodes: &[&Node], available: u64) -> Option<Diagnostic> {
    let mut needed = 0_u64;
    for node in nodes.iter().filter(|node| node.hardware.own.pinned) {
        needed = needed.saturating_add(node.cpus);
        if needed > available {
            let message = format!(
                "`{}` and the pinned nodes before it need {needed} processors, the host has {available}",
                node.domain
            );
            let found = Diagnostic::warning(Code::HostCpus, node.name.span, message);
            let found =
                found.cause("each virtual CPU of a pinned node has a processor of the host for itself");
            return Some(found.help("pin fewer or smaller nodes, or use a larger host"));
        }
    }
    None
}

fn memory(nodes: &[&Node], available: u64) -> Option<Diagnostic> {
    let (sum, (largest, name)) = sum_and_largest(nodes, |node| node.memory_mib)?;
    if sum <= available {
        return None;
    }
    let found = if largest.value > available {
        Diagnostic::warning(
            Code::HostMemory,
            largest.span,
            format!("`{name}` needs {} MiB of memory, the host has {available} MiB", largest.value),
        )
        .cause("the machine cannot start on this host")
    } else {
        Diagnostic::warning(
            Code::HostMemory,
            largest.span,
            format!("all nodes together need {sum} MiB of memory, the host has {available} MiB"),
        )
        .cause(format!("the largest share is {} MiB for `{name}`", largest.value))
    };
    Some(found.help("use fewer or smaller nodes, or a larger host"))
}

fn disk(nodes: &[&Node], available: u64) -> Option<Diagnostic> {
    let (sum, (largest, name)) = sum_and_largest(nodes, |node| node.disk_gib)?;
    (sum > available).then(|| {
        Diagnostic::warning(
            Code::HostDisk,
            largest.span,
            format!("all disks together can grow to {sum} GiB, the host has {available} GiB free"),
        )
        .cause(format!(
            "disks start small and grow with use; the largest is {} GiB for `{name}`",
            largest.value
        ))
        .help("use smaller disks, or free some space")
    })
}

type Share<'a> = (Located<u64>, &'a str);

fn sum_and_largest<'a>(nodes: &[&'a Node], need: fn(&Node) -> Located<u64>) -> Option<(u64, Share<'a>)> {
    let sum = nodes.iter().fold(0_u64, |sum, node| sum.saturating_add(need(node).value));
    // Of equal shares the first one in the file is named.
    let largest = nodes.iter().rev().max_by_key(|node| need(node).value)?;
    Some((sum, (need(largest), &largest.domain)))
}
