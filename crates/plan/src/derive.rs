//! From a lab to its plan: how names, UUIDs, MAC addresses, bridges and DHCP ranges are chosen.

use std::{collections::HashMap, net::Ipv4Addr};

use config::model::{Cluster, ClusterKind, Lab, Network, Node};
use ipnet::Ipv4Net;
use md5::Md5;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::model::{ClusterPlan, FORMAT, InterfacePlan, NetworkPlan, NodePlan, Plan};

/// The namespace of every UUID we derive (version 5, from a name below it). Chosen once at random.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f0e_3c52_98b7_4d0c_8a51_52b9_1d7c_e3a4);

/// The first address, counted from the network's own, that DHCP may give to a stranger.
const DHCP_OFFSET: u32 = 10;

/// Decides everything about a lab. A valid lab always has a plan.
pub fn plan(lab: &Lab) -> Plan {
    let whole = Whole::of(lab);
    let clusters = lab.clusters.iter().map(|cluster| cluster_plan(&whole, cluster)).collect();
    Plan { format: FORMAT, lab: lab.name.clone(), id: String::new(), clusters }.identified()
}

impl Plan {
    /// The same with the id that it has.
    #[must_use]
    pub fn identified(mut self) -> Self {
        self.id.clear();
        // Plain data with string keys: there is nothing in it that JSON cannot say.
        self.id = hex(&Sha256::digest(serde_json::to_vec(&self).unwrap_or_default()), 8);
        self
    }
}

/// What a node's plan depends on beside the node itself, found in one pass: there may be thousands.
struct Whole<'a> {
    lab: &'a Lab,
    /// How many nodes have a name.
    names: HashMap<&'a str, usize>,
    /// How many processors the pinned nodes before a pinned one have, by its domain: no two get the same.
    pinned_before: HashMap<&'a str, u32>,
}

impl<'a> Whole<'a> {
    fn of(lab: &'a Lab) -> Self {
        let (mut names, mut pinned_before, mut pinned) = (HashMap::new(), HashMap::new(), 0_u32);
        for node in lab.clusters.iter().flat_map(|cluster| &cluster.nodes) {
            *names.entry(node.name.as_str()).or_insert(0) += 1;
            if node.hardware.pinned {
                pinned_before.insert(node.domain.as_str(), pinned);
                pinned = pinned.saturating_add(node.cpus);
            }
        }
        Self { lab, names, pinned_before }
    }
}

fn cluster_plan(whole: &Whole<'_>, cluster: &Cluster) -> ClusterPlan {
    let lab = whole.lab;
    let (kind, slurm, kubernetes) = match &cluster.kind {
        ClusterKind::Slurm(slurm) => ("slurm", Some(slurm.clone()), None),
        ClusterKind::Kubernetes(kubernetes) => ("kubernetes", None, Some(kubernetes.clone())),
        ClusterKind::Appliance => ("appliance", None, None),
    };
    ClusterPlan {
        key: cluster.key.clone(),
        name: cluster.name.clone(),
        kind: kind.to_owned(),
        slurm,
        kubernetes,
        networks: cluster.networks.iter().map(|network| network_plan(lab, cluster, network)).collect(),
        nodes: cluster.nodes.iter().map(|node| node_plan(whole, cluster, node)).collect(),
    }
}

fn network_plan(lab: &Lab, cluster: &Cluster, network: &Network) -> NetworkPlan {
    let name = network_name(cluster, &network.name);
    let (first, last) = dhcp_range(network.subnet, network.gateway);
    let dhcp_end = network.dhcp_end.unwrap_or(last);
    NetworkPlan {
        key: network.name.clone(),
        uuid: uuid(&lab.name, "network", &name),
        // Interface names end at 15 bytes, so a derived one is a hash.
        bridge: network
            .bridge
            .clone()
            .unwrap_or_else(|| format!("aih{}", hex(&Sha256::digest(format!("{}/{name}", lab.name)), 4))),
        domain: network.domain.clone(),
        subnet: network.subnet,
        gateway: network.gateway,
        dhcp_start: network.dhcp_start.unwrap_or_else(|| first.min(dhcp_end)),
        dhcp_end,
        dns_servers: network.dns_servers.clone(),
        name,
    }
}

fn node_plan(whole: &Whole<'_>, cluster: &Cluster, node: &Node) -> NodePlan {
    let lab = whole.lab;
    let interfaces = node
        .interfaces
        .iter()
        .enumerate()
        .map(|(index, interface)| InterfacePlan {
            network: network_name(cluster, &interface.network),
            mac: if index == 0 {
                mac(&node.domain)
            } else {
                mac(&format!("{}/{}", node.domain, interface.network))
            },
            address: interface.address,
        })
        .collect();
    let is_shared = whole.names.get(node.name.as_str()).is_some_and(|count| *count > 1);
    NodePlan {
        name: node.name.clone(),
        label: if is_shared { node.domain.clone() } else { node.name.clone() },
        domain: node.domain.clone(),
        uuid: uuid(&lab.name, "domain", &node.domain),
        role: node.role,
        arch: node.arch,
        cpus: node.cpus,
        memory_mib: node.memory_mib,
        disk_gib: node.disk_gib,
        image: node.image.clone(),
        append: node.append.clone(),
        uefi: false,
        interfaces,
        auto_start: node.auto_start,
        first_cpu: whole.pinned_before.get(node.domain.as_str()).copied(),
        hardware: node.hardware.clone(),
        devices: node.devices.clone(),
        mounts: node.mounts.clone(),
        disk: format!("disks/{}.qcow2", node.domain),
        console: format!("consoles/{}.log", node.domain),
        ready: format!("ready/{}.jsonl", node.domain),
    }
}

/// `<cluster>-<network>`, which for the one network of version 1.0 gives `<cluster>-network`.
fn network_name(cluster: &Cluster, network: &str) -> String {
    format!("{}-{network}", cluster.name)
}

fn uuid(lab: &str, kind: &str, name: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, format!("{lab}/{kind}/{name}").as_bytes())
}

/// The first six bytes of the name's MD5, made a locally administered unicast address: the rule of version 1.0, kept
/// for all so that existing DHCP leases stay valid.
fn mac(name: &str) -> String {
    let digest = Md5::digest(name.as_bytes());
    let mut bytes = [digest[0], digest[1], digest[2], digest[3], digest[4], digest[5]];
    bytes[0] = (bytes[0] & 0xfe) | 0x02;
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

/// From the tenth address to the last but one; what fits in a network too small for that.
fn dhcp_range(subnet: Ipv4Net, gateway: Ipv4Addr) -> (Ipv4Addr, Ipv4Addr) {
    let network = u32::from(subnet.network());
    let last = u32::from(subnet.broadcast()).saturating_sub(1).max(network);
    let mut first = network.saturating_add(DHCP_OFFSET).min(last);
    if first == u32::from(gateway) && first < last {
        first += 1;
    }
    (first.into(), last.into())
}

fn hex(bytes: &[u8], count: usize) -> String {
    bytes.iter().take(count).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::lab;

    #[test]
    fn macs_follow_the_rule_of_version_1() {
        assert_eq!(mac("hpc-cluster-controller"), "72:55:52:1e:8f:d9");
        assert_eq!(mac("hpc-cluster-compute-01"), "66:a4:f5:05:88:3a");
        assert_eq!(mac("cloud-cluster-control-plane"), "46:a8:1e:4a:83:7b");
    }

    #[test]
    fn the_same_lab_gives_the_same_plan_and_another_lab_another() {
        let (a, b) = (plan(&lab()), plan(&lab()));
        assert_eq!(a, b);
        let mut other = lab();
        other.clusters[0].nodes[1].memory_mib += 1;
        assert_ne!(a.id, plan(&other).id);
    }

    #[test]
    fn bridges_fit_the_kernel() {
        for network in &plan(&lab()).clusters[0].networks {
            assert!(network.bridge.len() <= 15, "{}", network.bridge);
        }
    }

    #[test]
    fn a_range_is_what_the_file_gives_of_it() {
        let range = |start: Option<u8>, end: Option<u8>| {
            let mut lab = lab();
            let network = &mut lab.clusters[0].networks[0];
            let address = |last: u8| [10, 9, 8, last].into();
            (network.dhcp_start, network.dhcp_end) = (start.map(address), end.map(address));
            let network = &plan(&lab).clusters[0].networks[0];
            (network.dhcp_start.octets()[3], network.dhcp_end.octets()[3])
        };
        assert_eq!(range(None, None), (10, 254));
        assert_eq!(range(Some(100), None), (100, 254));
        assert_eq!(range(None, Some(120)), (10, 120));
        assert_eq!(range(None, Some(5)), (5, 5));
    }

    #[test]
    fn small_networks_have_a_range_too() {
        let range = |net: &str, gateway: &str| {
            let (first, last) = dhcp_range(net.parse().unwrap(), gateway.parse().unwrap());
            format!("{first}-{last}")
        };
        assert_eq!(range("10.0.0.0/24", "10.0.0.1"), "10.0.0.10-10.0.0.254");
        assert_eq!(range("10.0.0.0/24", "10.0.0.10"), "10.0.0.11-10.0.0.254");
        assert_eq!(range("10.0.0.0/29", "10.0.0.1"), "10.0.0.6-10.0.0.6");
        assert_eq!(range("10.0.0.0/32", "10.0.0.0"), "10.0.0.0-10.0.0.0");
    }
}
