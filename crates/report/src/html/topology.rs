//! Where the networks and nodes of a plan stand in its picture.
//!
//! ```text
//! ══●═════════════●═════════ lan 10.10.0.0/24
//!   │   ══════════●═════════ fabric 10.20.0.0/24
//! ┌─┴────────┐ ┌──┴───────┐
//! │controller│ │compute-01│
//! └──────────┘ └──────────┘
//! ```
//!
//! Nodes that do not fit side by side go to a further row, which shows the networks again. All measures are pixels.

use config::model::Role;
use plan::model::{ClusterPlan, NodePlan, Plan};
use serde::Serialize;

use crate::run::{Run, is_bad};

const NODES_PER_ROW: usize = 5;
const NODE_WIDTH: usize = 190;
const NODE_HEIGHT: usize = 92;
/// Between nodes, and around the picture.
const GAP: usize = 20;
/// From one network to the next.
const NETWORK_STEP: usize = 34;
/// From the last network to the nodes, with room for addresses.
const DROP: usize = 30;
/// From a row of nodes to the networks of the next, with room for a name.
const ROW_GAP: usize = 40;

/// The picture of one cluster.
#[derive(Debug, Serialize)]
pub(super) struct Picture {
    name: String,
    kind: String,
    partitions: Vec<Partition>,
    width: usize,
    height: usize,
    networks: Vec<Network>,
    nodes: Vec<Node>,
}

#[derive(Debug, Serialize)]
struct Partition {
    name: String,
    default: bool,
    nodes: String,
    max_time: String,
}

#[derive(Debug, Serialize)]
struct Network {
    y: usize,
    x1: usize,
    x2: usize,
    /// Which colour: its number in the cluster.
    number: usize,
    label: String,
    title: String,
}

#[derive(Debug, Serialize)]
struct Node {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
    name: String,
    role: &'static str,
    size: String,
    partitions: String,
    /// `failed` when it failed or a check on it did, `passed` when it was ready and none did, else empty.
    status: &'static str,
    /// The checks that failed on it, in words; empty when none did.
    trouble: String,
    title: String,
    links: Vec<Link>,
}

#[derive(Debug, Serialize)]
struct Link {
    x: usize,
    y1: usize,
    y2: usize,
    number: usize,
    address: String,
}

/// Draws every cluster of a plan, with what the run found out about its nodes.
pub(super) fn draw(plan: &Plan, run: &Run) -> Vec<Picture> {
    plan.clusters.iter().map(|cluster| picture(cluster, run)).collect()
}

fn picture(cluster: &ClusterPlan, run: &Run) -> Picture {
    let columns = cluster.nodes.len().clamp(1, NODES_PER_ROW);
    let width = GAP + columns * (NODE_WIDTH + GAP);
    let row_height = headroom(cluster) + NODE_HEIGHT + ROW_GAP;
    let mut networks = Vec::new();
    let mut nodes = Vec::new();
    for (row, members) in cluster.nodes.chunks(NODES_PER_ROW).enumerate() {
        let top = GAP + row * row_height;
        for (number, network) in cluster.networks.iter().enumerate() {
            networks.push(Network {
                y: top + number * NETWORK_STEP,
                x1: GAP / 2,
                x2: width - GAP / 2,
                number,
                label: format!("{}  {}", network.key, network.subnet),
                title: format!(
                    "{}\nbridge {}\ngateway {}\ndomain {}",
                    network.name, network.bridge, network.gateway, network.domain
                ),
            });
        }
        for (column, node) in members.iter().enumerate() {
            let x = GAP + column * (NODE_WIDTH + GAP);
            nodes.push(place(cluster, node, run, x, top));
        }
    }
    let rows = cluster.nodes.len().div_ceil(NODES_PER_ROW);
    Picture {
        name: cluster.name.clone(),
        kind: cluster.kind.clone(),
        partitions: partitions(cluster),
        width,
        height: (2 * GAP + rows * row_height).saturating_sub(ROW_GAP),
        networks,
        nodes,
    }
}

/// What the networks above a row of nodes take. Appliances have none.
fn headroom(cluster: &ClusterPlan) -> usize {
    if cluster.networks.is_empty() { 0 } else { cluster.networks.len() * NETWORK_STEP + DROP }
}

fn place(cluster: &ClusterPlan, node: &NodePlan, run: &Run, x: usize, top: usize) -> Node {
    let y = top + headroom(cluster);
    let links = node.interfaces.iter().enumerate().filter_map(|(index, interface)| {
        let number = cluster.networks.iter().position(|network| network.name == interface.network)?;
        Some(Link {
            // Side by side from the left, each with room for its address.
            x: x + 16 + index * (NODE_WIDTH - 32) / node.interfaces.len(),
            y1: top + number * NETWORK_STEP,
            y2: y,
            number,
            address: interface.address.to_string(),
        })
    });
    let failed =
        run.checks.iter().filter(|check| check.place() == node.label && is_bad(check.outcome)).count();
    let life = run.nodes.iter().find(|known| known.name == node.label);
    let broken = run.failed_nodes().any(|(known, _)| known.name == node.label);
    let booted = life.and_then(|life| life.boot_seconds());
    let trouble = match (broken, failed) {
        (true, _) => "not ready".into(),
        (false, 0) => String::new(),
        (false, failed) => format!("{failed} failed"),
    };
    Node {
        x,
        y,
        width: NODE_WIDTH,
        height: NODE_HEIGHT,
        name: node.label.clone(),
        role: role(node.role),
        size: format!("{} CPU · {}", node.cpus, memory(node.memory_mib)),
        partitions: node_partitions(cluster, node),
        status: match (trouble.is_empty(), booted) {
            (false, _) => "failed",
            (true, Some(_)) => "passed",
            (true, None) => "",
        },
        trouble,
        title: match node.is_appliance() {
            true => {
                let model = node.image.name().unwrap_or("none");
                format!("{}\nmodel {model}\nconsole {}", node.domain, node.console)
            }
            false => format!("{}\ndisk {} GiB\nconsole {}", node.domain, node.disk_gib, node.console),
        },
        links: links.collect(),
    }
}

fn partitions(cluster: &ClusterPlan) -> Vec<Partition> {
    let Some(slurm) = &cluster.slurm else { return Vec::new() };
    let partition = |partition: &config::model::Partition| Partition {
        name: partition.name.clone(),
        default: partition.name == slurm.default_partition,
        nodes: partition.nodes.join(", "),
        max_time: partition.max_time.clone(),
    };
    slurm.partitions.iter().map(partition).collect()
}

/// The partitions a node is in.
fn node_partitions(cluster: &ClusterPlan, node: &NodePlan) -> String {
    let all = cluster.slurm.iter().flat_map(|slurm| &slurm.partitions);
    let own = all.filter(|partition| partition.nodes.contains(&node.name));
    own.map(|partition| partition.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Controller => "controller",
        Role::Compute => "compute",
        Role::ControlPlane => "control plane",
        Role::Worker => "worker",
        Role::Appliance => "appliance",
    }
}

/// Memory in the largest unit that is exact.
fn memory(mib: u64) -> String {
    if mib.is_multiple_of(1024) { format!("{} GiB", mib / 1024) } else { format!("{mib} MiB") }
}
