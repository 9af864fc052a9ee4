//! What every config version becomes: a [`Lab`]. Quirks of a version stop before this point.

use std::net::Ipv4Addr;

use crate::hardware::{Device, Hardware, Mount};
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One config file: clusters that live in one lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lab {
    /// The document's name. Letters, digits, `-`, `_` and `.` in version 2.0; anything in 1.0.
    pub name: String,
    /// Free text.
    pub description: String,
    /// In the order of the file. Never empty.
    pub clusters: Vec<Cluster>,
}

/// Machines that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// The key under `clusters` (`hpc`, `cloud` in 1.0).
    pub key: String,
    /// The name its machines, networks and SLURM carry. In 2.0 the same as the key.
    pub name: String,
    /// What runs on it.
    pub kind: ClusterKind,
    /// The first one is where the nodes talk to each other and are reached. Appliances have none.
    pub networks: Vec<Network>,
    /// The controller (or control plane) first, then the others in the order of the file.
    pub nodes: Vec<Node>,
}

/// What runs on a cluster, with what that needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ClusterKind {
    /// A SLURM cluster.
    Slurm(Slurm),
    /// A Kubernetes cluster (`clusters.cloud` of version 1.0).
    Kubernetes(Kubernetes),
    /// Machines that boot straight into a model's prompt on their serial console.
    Appliance,
}

/// SLURM's part of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slurm {
    /// In the order of the file. Never empty: a file that names none gets one with every compute node.
    pub partitions: Vec<Partition>,
    /// The name of one of `partitions`.
    pub default_partition: String,
}

/// A SLURM partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// As in `PartitionName`.
    pub name: String,
    /// Short names of compute nodes of the cluster.
    pub nodes: Vec<String>,
    /// As in `MaxTime`, in SLURM's own notation (`01:00:00`, `INFINITE`).
    pub max_time: String,
}

/// What Kubespray is to install on a cluster. Anything in version 1.0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kubernetes {
    /// The network plugin, by Kubespray's name for it.
    pub cni: String,
    /// The ingress controller: `nginx`, or another word for none.
    pub ingress: String,
    /// The default storage class: `local-path`, or another word for none.
    pub storage_class: String,
}

/// A virtual network with NAT and DHCP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Short name, unique in its cluster. `network` in 1.0.
    pub name: String,
    /// The IPv4 network.
    pub subnet: Ipv4Net,
    /// The host's address in it.
    pub gateway: Ipv4Addr,
    /// The first address that DHCP gives to machines it does not know, if the file says so.
    pub dhcp_start: Option<Ipv4Addr>,
    /// The last such address, if the file says so.
    pub dhcp_end: Option<Ipv4Addr>,
    /// Where names are looked up that are not of the lab; where the host does when there are none.
    pub dns_servers: Vec<Ipv4Addr>,
    /// The bridge the file asks for, if it does.
    pub bridge: Option<String>,
    /// The DNS domain.
    pub domain: String,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Short name, unique in its cluster, fit for a host name: `controller`, `compute-01`.
    pub name: String,
    /// The libvirt domain's name: `<cluster>-<name>`.
    pub domain: String,
    /// What it is for.
    pub role: Role,
    /// The instruction set of its processors.
    pub arch: Arch,
    /// Virtual processors.
    pub cpus: u32,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Size of the root disk, GiB; 0 where there is none.
    pub disk_gib: u64,
    /// What it boots.
    pub image: Image,
    /// Added to its kernel's command line, printable ASCII; empty but for appliances.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub append: String,
    /// One for each network it is on; the first is the one it is reached by. Appliances have none.
    pub interfaces: Vec<Interface>,
    /// Whether starting the cluster starts it.
    pub auto_start: bool,
    /// How its processors and memory are made.
    #[serde(default)]
    pub hardware: Hardware,
    /// Devices of the host that it gets for itself.
    #[serde(default)]
    pub devices: Vec<Device>,
    /// Directories of the host.
    #[serde(default)]
    pub mounts: Vec<Mount>,
}

/// An instruction set, by the name that the kernel and QEMU have for it. What a file leaves open is the same on every host,
/// so the default is no fact of the host.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Arch {
    /// 64-bit x86; Debian's amd64.
    #[default]
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64-bit Arm; Debian's arm64.
    Aarch64,
}

impl Arch {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// The name, as config files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }
}

impl std::fmt::Display for Arch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// What a node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Runs `slurmctld`.
    Controller,
    /// Runs `slurmd`.
    Compute,
    /// Runs the Kubernetes control plane.
    ControlPlane,
    /// Runs pods.
    Worker,
    /// Runs a model's prompt.
    Appliance,
}

impl Role {
    /// The name, as commands take it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Controller => "controller",
            Self::Compute => "compute",
            Self::ControlPlane => "control-plane",
            Self::Worker => "worker",
            Self::Appliance => "appliance",
        }
    }

    /// Whether nodes of other roles need one of this.
    pub fn serves(self) -> bool {
        matches!(self, Self::Controller | Self::ControlPlane)
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// What a node boots.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Image {
    /// One that ai-how builds, by its name (`debian-13`).
    Built(String),
    /// A qcow2 file of the user's that boots as ours do, with the kernel and the initramfs that lie beside it.
    File(String),
    /// A qcow2 file of the user's that boots by itself. Nothing of ours is in it.
    Disk(String),
    /// The appliance's kernel and initramfs, with the file of its model if it has one.
    Appliance(Option<String>),
    /// Version 1.0 allows a document that names none.
    Unspecified,
}

impl Image {
    /// Its name or path; of an appliance its model's, if it has one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Built(name) | Self::File(name) | Self::Disk(name) => Some(name),
            Self::Appliance(model) => model.as_deref(),
            Self::Unspecified => None,
        }
    }
}

/// A node's place on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// The network's short name.
    pub network: String,
    /// Its address: from the file, or the first free one in the order of the nodes.
    pub address: Ipv4Addr,
}
