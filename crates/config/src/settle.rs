//! A checked draft to a [`Lab`]: what the file leaves open is chosen, and what it says wrong is replaced.
//!
//! Total, because version 1.0 accepts documents whose values cannot be used. The choices depend on the
//! document only.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::HostFacts;
use crate::check::{has_numa_room, has_room, is_fit, is_reserved, is_slurm_time};
use crate::draft::{self, Draft, Kind, Members};
use crate::hardware::{Hardware, Mount};
use crate::model::{Cluster, ClusterKind, Interface, Lab, Network, Node, Partition, Role, Slurm};
use crate::yaml::Located;

/// How far behind the gateway chosen addresses start: `.10` for a gateway at `.1`.
const FIRST_FREE: u32 = 9;

/// Makes every choice.
pub(crate) fn settle(draft: Draft, host: Option<&HostFacts>) -> Lab {
    let mut used: Vec<Ipv4Net> = draft
        .clusters
        .iter()
        .flat_map(|cluster| &cluster.networks)
        .filter_map(|network| network.subnet.map(|subnet| subnet.value))
        .chain(host.iter().flat_map(|host| host.subnets.iter().map(|(_, subnet)| *subnet)))
        .collect();
    let mut bridges = HashSet::new();
    let (mut addresses, mut names) = (HashSet::new(), HashSet::new());
    let clusters = draft
        .clusters
        .into_iter()
        .map(|cluster| {
            let cluster = settle_cluster(cluster, &mut used, &mut bridges, &mut addresses);
            // What is done to one cluster must never be done to another of its name.
            let name = if names.contains(&cluster.name) {
                format!("{}-{}", cluster.name, cluster.key)
            } else {
                cluster.name.clone()
            };
            names.insert(name.clone());
            Cluster { name, ..cluster }
        })
        .collect();
    Lab { name: draft.name, description: draft.description, clusters }
}

fn settle_cluster(
    cluster: draft::Cluster,
    used: &mut Vec<Ipv4Net>,
    bridges: &mut HashSet<String>,
    addresses: &mut HashSet<Ipv4Addr>,
) -> Cluster {
    let mut networks = Vec::with_capacity(cluster.networks.len());
    for (index, network) in cluster.networks.into_iter().enumerate() {
        let interfaces = cluster.nodes.iter().flat_map(|node| &node.interfaces);
        let nodes = interfaces.filter(|interface| interface.network == index).count();
        networks.push(settle_network(network, nodes, used, bridges));
    }
    let mut pools: Vec<Pool> = networks.iter().map(Pool::new).collect();
    // Given addresses first, so that none of them is chosen for another node.
    let mut given: Vec<Vec<Option<Ipv4Addr>>> = Vec::with_capacity(cluster.nodes.len());
    for node in &cluster.nodes {
        let own = node.interfaces.iter().map(|interface| {
            let address = interface.address?.value;
            let usable = pools.get(interface.network).is_some_and(|pool| pool.allows(address));
            (usable && addresses.insert(address)).then_some(address)
        });
        given.push(own.collect());
    }
    let names: Vec<String> = cluster
        .nodes
        .iter()
        .filter(|node| node.role == Role::Compute)
        .map(|node| node.name.value.clone())
        .collect();
    let nodes = cluster.nodes.into_iter().zip(given);
    let nodes =
        nodes.map(|(node, given)| settle_node(node, &given, &networks, &mut pools, addresses)).collect();
    Cluster {
        key: cluster.key.value,
        name: cluster.name.value,
        kind: match cluster.kind {
            Kind::Slurm(slurm) => ClusterKind::Slurm(settle_slurm(slurm, &names)),
            Kind::Kubernetes(kubernetes) => ClusterKind::Kubernetes(kubernetes),
            Kind::Appliance => ClusterKind::Appliance,
        },
        networks,
        nodes,
    }
}

fn settle_network(
    network: draft::Network,
    nodes: usize,
    used: &mut Vec<Ipv4Net>,
    bridges: &mut HashSet<String>,
) -> Network {
    let subnet = match network.subnet {
        Some(subnet) if has_room(subnet.value, nodes) => subnet.value,
        _ => free_network(used),
    };
    let gateway = network.gateway_in(subnet);
    let gateway = if subnet.contains(&gateway) && !is_reserved(subnet, gateway) {
        gateway
    } else {
        Ipv4Addr::from(u32::from(subnet.network()).saturating_add(1))
    };
    let end = |given: Option<Located<Ipv4Addr>>| {
        let address = given?.value;
        (subnet.contains(&address) && !is_reserved(subnet, address)).then_some(address)
    };
    let (dhcp_start, dhcp_end) = match (end(network.dhcp_start), end(network.dhcp_end)) {
        (Some(start), Some(end)) if start > end => (None, None),
        ends => ends,
    };
    Network {
        name: network.name.value,
        subnet,
        gateway,
        dhcp_start,
        dhcp_end,
        dns_servers: network.dns_servers,
        bridge: network.bridge.map(|bridge| bridge.value).filter(|bridge| bridges.insert(bridge.clone())),
        domain: network.domain,
    }
}

/// The first network of 4096 addresses in 10.160.0.0/12 that overlaps none in use.
fn free_network(used: &mut Vec<Ipv4Net>) -> Ipv4Net {
    let whole = Ipv4Net::new_assert(Ipv4Addr::new(10, 160, 0, 0), 12);
    let free = whole
        .subnets(20)
        .into_iter()
        .flatten()
        .find(|candidate| {
            !used
                .iter()
                .any(|other| other.contains(&candidate.network()) || candidate.contains(&other.network()))
        })
        .unwrap_or(whole);
    used.push(free);
    free
}

/// The addresses of one network.
struct Pool {
    subnet: Ipv4Net,
    gateway: Ipv4Addr,
    /// The next one to try.
    next: u32,
}

impl Pool {
    fn new(network: &Network) -> Self {
        let first = u32::from(network.gateway).saturating_add(FIRST_FREE);
        Self { subnet: network.subnet, gateway: network.gateway, next: first }
    }

    fn allows(&self, address: Ipv4Addr) -> bool {
        self.subnet.contains(&address) && !is_reserved(self.subnet, address) && address != self.gateway
    }

    /// The next free address, beginning again at the start of the subnet after its end.
    fn take(&mut self, taken: &mut HashSet<Ipv4Addr>) -> Ipv4Addr {
        let (first, last) = (u32::from(self.subnet.network()), u32::from(self.subnet.broadcast()));
        let size = u64::from(last - first) + 1;
        let mut candidate = self.next;
        for _ in 0..size {
            if candidate > last || candidate < first {
                candidate = first;
            }
            let address = Ipv4Addr::from(candidate);
            candidate = candidate.saturating_add(1);
            if self.allows(address) && taken.insert(address) {
                self.next = candidate;
                return address;
            }
            if candidate == u32::MAX {
                candidate = first;
            }
        }
        // Only when another network of the same lab has taken this one's addresses.
        self.gateway
    }
}

fn settle_node(
    node: draft::Node,
    given: &[Option<Ipv4Addr>],
    networks: &[Network],
    pools: &mut [Pool],
    taken: &mut HashSet<Ipv4Addr>,
) -> Node {
    let interfaces = node.interfaces.iter().zip(given).filter_map(|(interface, given)| {
        let network = networks.get(interface.network)?;
        let pool = pools.get_mut(interface.network)?;
        let address = given.unwrap_or_else(|| pool.take(taken));
        Some(Interface { network: network.name.clone(), address })
    });
    Node {
        interfaces: interfaces.collect(),
        name: node.name.value,
        domain: node.domain,
        role: node.role,
        arch: node.arch,
        cpus: u32::try_from(node.cpus).unwrap_or(u32::MAX),
        memory_mib: node.memory_mib.value,
        disk_gib: node.disk_gib.value,
        image: node.image.value,
        append: settle_append(&node.append),
        auto_start: node.auto_start,
        hardware: settle_hardware(node.hardware, node.cpus, node.memory_mib.value),
        devices: node.devices.into_iter().map(|passed| passed.device.value).collect(),
        mounts: settle_mounts(node.mounts),
    }
}

/// One line of all that is added to a kernel's command line.
fn settle_append(parts: &[Located<String>]) -> String {
    let parts = parts.iter().map(|part| part.value.trim()).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(" ")
}

fn settle_hardware(hardware: draft::Hardware, cpus: u64, memory_mib: u64) -> Hardware {
    let (topology, threads) = (hardware.topology(cpus), hardware.threads(cpus));
    let numa_nodes = hardware.numa_nodes.map(|nodes| nodes.value);
    let numa_nodes = numa_nodes.filter(|nodes| has_numa_room(cpus, memory_mib, *nodes, threads));
    Hardware { topology, numa_nodes: numa_nodes.and_then(|nodes| u32::try_from(nodes).ok()), ..hardware.own }
}

/// The mounts that a node can have: of two with one tag or in one place the first.
fn settle_mounts(mounts: Vec<Located<Mount>>) -> Vec<Mount> {
    let (mut tags, mut places) = (HashSet::new(), HashSet::new());
    let mounts = mounts.into_iter().map(|mount| mount.value);
    mounts
        .filter(is_fit)
        .filter(|mount| tags.insert(mount.tag.clone()) & places.insert(mount.mount_point.clone()))
        .collect()
}

fn settle_slurm(slurm: draft::Slurm, compute_nodes: &[String]) -> Slurm {
    let mut seen = HashSet::new();
    let marked = slurm
        .partitions
        .iter()
        .find(|partition| partition.default.is_some_and(|default| default.value))
        .map(|partition| partition.name.value.clone());
    let wanted = slurm.default.map(|default| default.value).or(marked);
    let mut partitions: Vec<Partition> = slurm
        .partitions
        .into_iter()
        .filter(|partition| seen.insert(partition.name.value.clone()))
        .map(|partition| Partition {
            name: partition.name.value,
            nodes: match partition.members {
                Members::EveryComputeNode => compute_nodes.to_vec(),
                Members::Named(nodes) => nodes.into_iter().map(|node| node.value).collect(),
            },
            max_time: partition
                .max_time
                .map(|time| time.value)
                .filter(|time| is_slurm_time(time))
                .unwrap_or_else(|| "INFINITE".to_owned()),
        })
        .collect();
    if partitions.is_empty() {
        partitions.push(Partition {
            name: "compute".to_owned(),
            nodes: compute_nodes.to_vec(),
            max_time: "INFINITE".to_owned(),
        });
    }
    let default_partition = wanted
        .filter(|name| partitions.iter().any(|partition| partition.name == *name))
        .or_else(|| partitions.first().map(|partition| partition.name.clone()))
        .unwrap_or_default();
    Slurm { partitions, default_partition }
}
