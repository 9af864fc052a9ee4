//! Names of clusters, nodes and libvirt domains.

use std::collections::HashMap;

use crate::diagnostic::Code;
use crate::draft::{Cluster, Draft, Findings, Kind, Node};

/// Longest name of a libvirt domain: it is a file name and a host name label.
const LONGEST_DOMAIN: usize = 63;

/// Names that programs on the node understand differently.
const RESERVED: [&str; 2] = ["localhost", "default"];

pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    clusters(draft, findings);
    for cluster in &draft.clusters {
        nodes(cluster, findings);
    }
    domains(draft, findings);
}

fn clusters(draft: &Draft, findings: &mut Findings) {
    let mut seen = HashMap::new();
    for cluster in &draft.clusters {
        let name = &cluster.name;
        if let Some(first) = seen.insert(name.value.as_str(), name.span) {
            let found = findings
                .meaning(
                    Code::DuplicateCluster,
                    name.span,
                    format!("the cluster name `{}` is used twice", name.value),
                )
                .cause("machines and networks are named after their cluster")
                .help(findings.help(
                    "give each cluster a name of its own",
                    &format!("the second one is called `{}-{}`", name.value, cluster.key.value),
                ))
                .also(first, "first used here");
            findings.push(found);
        }
    }
}

fn nodes(cluster: &Cluster, findings: &mut Findings) {
    let mut seen = HashMap::new();
    let is_appliance = matches!(cluster.kind, Kind::Appliance);
    for Node { name, .. } in &cluster.nodes {
        if let Some(first) = seen.insert(name.value.as_str(), name.span) {
            let found = findings
                .meaning(
                    Code::DuplicateNode,
                    name.span,
                    format!("the cluster `{}` already has a node `{}`", cluster.key.value, name.value),
                )
                .cause(if is_appliance {
                    "nodes are told apart by their names"
                } else {
                    "nodes are told apart by their host names, the controller among them"
                })
                .help("rename one of the two")
                .also(first, "first used here");
            findings.push(found);
        }
        // A cluster of appliances has no SLURM.
        if RESERVED.contains(&name.value.as_str()) && !(is_appliance && name.value == "default") {
            let found = findings
                .meaning(Code::ReservedName, name.span, format!("a node cannot be called `{}`", name.value))
                .cause(match name.value.as_str() {
                    "default" => "SLURM reads a node called DEFAULT as settings for other nodes",
                    _ => "every machine calls itself `localhost`",
                })
                .help("choose another name");
            findings.push(found);
        }
    }
}

fn domains(draft: &Draft, findings: &mut Findings) {
    let mut seen: HashMap<&str, (usize, &Node)> = HashMap::new();
    for (index, cluster) in draft.clusters.iter().enumerate() {
        for node in &cluster.nodes {
            let earlier = seen.insert(node.domain.as_str(), (index, node));
            // Within a cluster it follows from equal node names, which are reported as such.
            if let Some((_, first)) = earlier.filter(|(other, _)| *other != index) {
                let found = findings
                    .meaning(
                        Code::DuplicateDomain,
                        node.name.span,
                        format!("two machines would be called `{}`", node.domain),
                    )
                    .cause("a machine is called after its cluster and its node, and its MAC address comes from that name")
                    .help("rename one of the nodes or clusters")
                    .also(first.name.span, "the other one");
                findings.push(found);
            }
            if node.domain.len() > LONGEST_DOMAIN {
                let found = findings
                    .meaning(
                        Code::NameTooLong,
                        node.name.span,
                        format!("the machine's name `{}` has {} characters", node.domain, node.domain.len()),
                    )
                    .cause(format!(
                        "it is put together from cluster and node, and may have {LONGEST_DOMAIN} characters"
                    ))
                    .help("use a shorter name for the node or for the cluster");
                findings.push(found);
            }
        }
    }
}
