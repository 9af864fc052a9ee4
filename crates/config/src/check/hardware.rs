//! Processors that can be arranged as asked, and directories of the host that a node can have side by side.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use crate::diagnostic::Code;
use crate::draft::{Draft, Findings, Node, shown};
use crate::hardware::Mount;

/// Least memory of a NUMA node, MiB: what the schema of version 1.0 asks for.
const LEAST_NUMA_MIB: u64 = 64;

pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    for node in draft.clusters.iter().flat_map(|cluster| &cluster.nodes) {
        topology(node, findings);
        mounts(node, findings);
    }
}

/// Whether a machine can be divided into so many NUMA nodes, none of which ends within a core.
pub(crate) fn has_numa_room(cpus: u64, memory_mib: u64, nodes: u64, threads: u64) -> bool {
    (1..=cpus).contains(&nodes)
        && memory_mib / nodes >= LEAST_NUMA_MIB
        && (cpus / nodes).is_multiple_of(threads)
        && cpus / nodes >= threads
}

/// Directories that a node does not run without as they are.
const OCCUPIED: [&str; 13] = [
    "/", "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr", "/var",
];

/// Whether the directory can be shared, and the node be told so.
pub(crate) fn is_fit(mount: &Mount) -> bool {
    unfit(mount).is_none()
}

/// Why the directory cannot be shared with a node.
fn unfit(mount: &Mount) -> Option<&'static str> {
    let mut place = PathBuf::new();
    for component in Path::new(&mount.mount_point).components() {
        if component == Component::ParentDir {
            return Some("the place on the node is a whole path, without `..`");
        }
        place.push(component);
    }
    if OCCUPIED.iter().any(|occupied| place == Path::new(occupied)) {
        return Some("the node runs from what is there, and would not without it");
    }
    (!can_be_told(mount)).then_some(
        "both are whole paths; what the node is told has no white space, quotes or `:`, and options are words with \
         `,` between them",
    )
}

/// Whether it can stand on a kernel's command line.
fn can_be_told(mount: &Mount) -> bool {
    let plain =
        |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, ':' | '"' | '\'' | '\\' | '%');
    let option = |c: char| c.is_ascii_alphanumeric() || "_=,.-".contains(c);
    mount.host_path.starts_with('/')
        && !mount.host_path.contains(char::is_control)
        && mount.mount_point.starts_with('/')
        && mount.mount_point.chars().all(plain)
        && mount.options.chars().all(option)
}

fn topology(node: &Node, findings: &mut Findings) {
    let (cpus, hardware) = (node.cpus, &node.hardware);
    if let Some(given) = hardware.topology {
        let (sockets, threads) = given.value;
        if hardware.topology(cpus).is_none() {
            let found = findings
                .meaning(
                    Code::UnfitTopology,
                    given.span,
                    format!(
                        "the {cpus} virtual CPUs of `{}` are not {sockets} sockets with {threads} threads a core",
                        node.domain
                    ),
                )
                .cause("sockets, cores and threads must multiply to the number of virtual CPUs")
                .help(findings.help(
                    "choose sockets and threads that divide the virtual CPUs of every node",
                    "it gets one socket without threads",
                ));
            push_once(found, findings);
        }
    }
    if let Some(nodes) = hardware.numa_nodes
        && !has_numa_room(cpus, node.memory_mib.value, nodes.value, hardware.threads(cpus))
    {
        let found = findings
            .meaning(
                Code::UnfitTopology,
                nodes.span,
                format!("`{}` is too small for {} NUMA nodes", node.domain, nodes.value),
            )
            .cause(format!("each NUMA node needs a whole core and {LEAST_NUMA_MIB} MiB of memory"))
            .help(findings.help("ask for fewer NUMA nodes, or larger machines", "it gets one"));
        push_once(found, findings);
    }
}

/// All nodes of a cluster share what it says; once is enough.
fn push_once(found: crate::Diagnostic, findings: &mut Findings) {
    if !findings.list.iter().any(|earlier| earlier.code == found.code && earlier.span == found.span) {
        findings.push(found);
    }
}

fn mounts(node: &Node, findings: &mut Findings) {
    let (mut tags, mut places) = (HashMap::new(), HashMap::new());
    for mount in &node.mounts {
        let (value, span) = (&mount.value, mount.span);
        if let Some(why) = unfit(value) {
            let (from, to) = (shown(&value.host_path), shown(&value.mount_point));
            let found = findings
                .meaning(Code::UnfitMount, span, format!("`{from}` cannot be mounted on a node as `{to}`"))
                .cause(why)
                .help(findings.help("choose other paths or options", "it is left out"));
            push_once(found, findings);
        }
        let earlier = (tags.insert(&value.tag, span)).or(places.insert(&value.mount_point, span));
        if let Some(first) = earlier {
            let found = findings
                .meaning(
                    Code::RepeatedMount,
                    span,
                    format!("`{}` already has a directory of this tag or in this place", node.domain),
                )
                .cause("the tag is the directory's name between host and node, and one place holds one directory")
                .help(findings.help("give each its own tag and place", "the second is left out"));
            findings.push(if first == span { found } else { found.also(first, "first given here") });
        }
    }
}
