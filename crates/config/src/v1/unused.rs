//! Settings of version 1.0 that are read and have no effect here: each one that asks for something is told.

use super::{Acceleration, Mount, Network, Numa};
use crate::diagnostic::{Code, Span};
use crate::draft::{Findings, Node, shown};

/// What the old tool sets where a mount says nothing.
const OWNER: &str = "admin";
const MODE: &str = "0755";

pub(super) fn network(network: &Network, findings: &mut Findings) {
    if let Some(mode) = network.dns_mode.0.as_ref().filter(|mode| mode.value != "isolated") {
        tell(
            mode.span,
            format!("`{}` is not done", shown(&mode.value)),
            "other modes change the name service and the routes of the host, which labs never touch",
            "write `isolated`; `ai-how ssh-config` reaches the nodes by name from the host",
            findings,
        );
    }
    if let Some(discovery) = &network.service_discovery {
        tell(
            discovery.span,
            "`service_discovery` has no effect".to_owned(),
            "nodes find each other by name, and other names are looked up at `dns_servers`",
            "remove it, and name the servers under `dns_servers`",
            findings,
        );
    }
}

pub(super) fn acceleration(acceleration: &Acceleration, findings: &mut Findings) {
    if let Some(kvm) = acceleration.enable_kvm.filter(|enabled| !enabled.value) {
        tell(
            kvm.span,
            "`enable_kvm: false` has no effect".to_owned(),
            "machines use KVM where the host has it, and are emulated elsewhere",
            "remove it",
            findings,
        );
    }
}

/// The memory of NUMA nodes follows from the machine's.
pub(super) fn numa(numa: &Numa, nodes: &[Node], findings: &mut Findings) {
    let Some(each) = numa.memory_per_node else { return };
    let count = numa.nodes.map_or(1, |nodes| nodes.value);
    let whole = each.value.saturating_mul(count);
    if let Some(node) = nodes.iter().find(|node| node.memory_mib.value != whole) {
        tell(
            each.span,
            format!("`{}` does not have {count} times {} MiB of memory", node.domain, each.value),
            "memory is divided in equal parts among the NUMA nodes",
            "remove it, or choose what divides the memory of every node",
            findings,
        );
    }
}

pub(super) fn mount(mount: &Mount, findings: &mut Findings) {
    let given = [("owner", &mount.owner, OWNER), ("group", &mount.group, OWNER), ("mode", &mount.mode, MODE)];
    for (key, given, usual) in given {
        if let Some(given) = given.as_ref().filter(|given| given.value != usual) {
            tell(
                given.span,
                format!("`{key}: {}` has no effect", shown(&given.value)),
                "files keep the owner and the mode that they have on the host",
                "remove it, and change the directory on the host",
                findings,
            );
        }
    }
}

fn tell(span: Span, message: String, cause: &str, help: &str, findings: &mut Findings) {
    let found = findings.meaning(Code::UnusedSetting, span, message).cause(cause).help(help);
    findings.push(found);
}
