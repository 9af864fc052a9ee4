//! The plan itself: every choice made, nothing left for the engine to decide.
//!
//! All paths are relative to the lab's folder, so the same lab gives the same bytes wherever it lives.

use std::net::Ipv4Addr;

use config::model::{Image, Role, Slurm};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The version of `plan.json`.
pub const FORMAT: u32 = 1;

/// A lab with every name, UUID, MAC, address and path decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// The lab's name.
    pub lab: String,
    /// The hash of everything below, 16 hexadecimal digits: the same plan has the same id.
    pub id: String,
    /// In the order of the file.
    pub clusters: Vec<ClusterPlan>,
}

/// One cluster of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterPlan {
    /// The key under `clusters` in the file.
    pub key: String,
    /// The name machines, networks and SLURM carry.
    pub name: String,
    /// `slurm` or `kubernetes`.
    pub kind: String,
    /// SLURM's part; absent for other kinds.
    pub slurm: Option<Slurm>,
    /// Started in this order.
    pub networks: Vec<NetworkPlan>,
    /// Started in this order.
    pub nodes: Vec<NodePlan>,
}

/// A libvirt network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkPlan {
    /// The short name in the file.
    pub key: String,
    /// Libvirt's name for it.
    pub name: String,
    /// Derived from lab, cluster and key.
    pub uuid: Uuid,
    /// The bridge's name, at most 15 bytes.
    pub bridge: String,
    /// DNS domain.
    pub domain: String,
    /// IPv4 network.
    pub subnet: Ipv4Net,
    /// The host's address in it.
    pub gateway: Ipv4Addr,
    /// First address DHCP gives to a stranger; reservations come from `NodePlan::interfaces`.
    pub dhcp_start: Ipv4Addr,
    /// Last such address.
    pub dhcp_end: Ipv4Addr,
}

/// A libvirt domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePlan {
    /// Host name and SLURM's `NodeName`; unique in the cluster.
    pub name: String,
    /// Libvirt's name for it; unique in the lab.
    pub domain: String,
    /// Derived from lab and domain.
    pub uuid: Uuid,
    /// What it is for.
    pub role: Role,
    /// Virtual processors.
    pub cpus: u32,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Root disk, GiB.
    pub disk_gib: u64,
    /// What it boots.
    pub image: Image,
    /// The first is the one it is reached by.
    pub interfaces: Vec<InterfacePlan>,
    /// Whether starting the cluster starts it.
    pub auto_start: bool,
    /// The overlay: `disks/<domain>.qcow2`.
    pub disk: String,
    /// The serial console's log: `consoles/<domain>.log`.
    pub console: String,
    /// Where the guest says that it is ready: `ready/<domain>.jsonl`.
    pub ready: String,
}

/// A domain's network card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfacePlan {
    /// The network's libvirt name.
    pub network: String,
    /// Colon-separated, lower case.
    pub mac: String,
    /// Reserved for this MAC in the network's DHCP.
    pub address: Ipv4Addr,
}

impl Plan {
    /// Every node with its cluster, in start order.
    pub fn nodes(&self) -> impl Iterator<Item = (&ClusterPlan, &NodePlan)> {
        self.clusters.iter().flat_map(|cluster| cluster.nodes.iter().map(move |node| (cluster, node)))
    }
}

impl NodePlan {
    /// The address the node is reached by.
    pub fn address(&self) -> Ipv4Addr {
        self.interfaces.first().map_or(Ipv4Addr::UNSPECIFIED, |interface| interface.address)
    }
}
