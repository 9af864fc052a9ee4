//! Version 2.0: our format, as types. The JSON schema made from them is closed everywhere.
//!
//! Defaults, and the choices made for what is left out:
//! - a node without an image gets its cluster's, a cluster without one `debian-13`;
//! - a node without an instruction set gets its cluster's, a cluster without one `x86_64`, on every host;
//! - a node is on the first network of its cluster unless it names others;
//! - a node without an address gets the first free one from the ninth behind the gateway on (`.10` for a
//!   gateway at `.1`), in the order of the file;
//! - a cluster without partitions gets one, `compute`, with every compute node and no time limit;
//! - the first partition is the default one unless another says so;
//! - a Kubernetes cluster without a word about it gets Calico, ingress-nginx, and volumes on the nodes' disks;
//! - an appliance without a model gets its cluster's, a cluster without one none, and what its cluster adds to the kernel's
//!   command line comes before what it adds itself.

mod lower;

use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use lower::lower;

use crate::hardware::CpuModel;
use crate::model::Arch;
use crate::v1::{DeviceType, HugepageSize};
use crate::yaml::{Entries, Located};

/// The longest text that may be added to a kernel's command line, which ends at 2047 bytes as a whole.
pub const LONGEST_APPEND: usize = 1500;

/// The longest path that Linux takes, which a model's is.
const LONGEST_MODEL: usize = 4095;

/// A lab: clusters of virtual machines that live and die together.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, title = "ai-how cluster, version 2.0")]
pub struct Document {
    /// The version of the format, in quotes.
    #[schemars(extend("enum" = ["2.0"]))]
    pub version: Located<String>,
    /// The lab's name: letters, digits, `.`, `_` and `-`.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"), length(max = 63))]
    pub name: Located<String>,
    /// Free text.
    pub description: Option<String>,
    /// The clusters by name. Names are host name labels: lower-case letters, digits and `-`.
    #[schemars(extend(
        "minProperties" = 1,
        "propertyNames" = { "pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", "maxLength": 63 }
    ))]
    pub clusters: Entries<Cluster>,
}

/// Machines that belong together.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, extend("allOf" = [
    {
        "if": { "properties": { "kind": { "const": "slurm" } }, "required": ["kind"] },
        "then": {
            "properties": {
                "control_plane": false, "kubernetes": false, "model": false, "append": false,
                "nodes": { "items": { "properties": { "model": false, "append": false } } }
            },
            "required": ["networks"]
        }
    },
    {
        "if": { "properties": { "kind": { "const": "kubernetes" } }, "required": ["kind"] },
        "then": {
            "properties": {
                "controller": false, "partitions": false, "model": false, "append": false,
                "nodes": { "items": { "properties": { "model": false, "append": false } } }
            },
            "required": ["networks"]
        }
    },
    {
        "if": { "properties": { "kind": { "const": "appliance" } }, "required": ["kind"] },
        "then": { "properties": {
            "image": false, "networks": false, "controller": false, "control_plane": false, "kubernetes": false,
            "partitions": false,
            "defaults": { "properties": { "disk_gib": false } },
            "nodes": { "items": { "properties": {
                "disk_gib": false, "image": false, "networks": false, "address": false, "addresses": false, "mounts": false
            } } }
        } }
    }
]))]
pub struct Cluster {
    /// What runs on it.
    pub kind: Kind,
    /// What its nodes boot, unless they say otherwise: the name of a built image, or a path that ends in
    /// `.qcow2`. `debian-13` unless given. Not of appliances.
    #[schemars(regex(pattern = r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?|.*\.qcow2)$"))]
    pub image: Option<Located<String>>,
    /// What its prompts load, unless they say otherwise: a GGUF file, or a model disk made of one. Without one they start
    /// the stub prompt. Of appliances.
    #[schemars(regex(pattern = r"^[^\x00-\x1f\x7f]+$"), length(max = LONGEST_MODEL))]
    pub model: Option<Located<String>>,
    /// Added to the kernel's command line of each of its nodes. Of appliances.
    #[schemars(regex(pattern = r"^[ -~]*$"), length(max = LONGEST_APPEND))]
    pub append: Option<Located<String>>,
    /// The instruction set of its nodes' processors, unless they say otherwise; `x86_64` unless given, whatever the
    /// host has. Where the host has another one, nodes are emulated.
    pub arch: Option<Arch>,
    /// Its networks by name. The nodes talk to each other over the first one. At least one, but for appliances, which have
    /// none.
    #[schemars(extend(
        "minProperties" = 1,
        "propertyNames" = { "pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", "maxLength": 63 }
    ))]
    pub networks: Option<Entries<Network>>,
    /// The size of nodes that do not say otherwise.
    pub defaults: Option<Defaults>,
    /// How processors and memory of its nodes are made.
    pub hardware: Option<Hardware>,
    /// The node that runs `slurmctld`. May be left out when there is nothing to say about it. Of SLURM clusters.
    pub controller: Option<Controller>,
    /// The node that runs the Kubernetes control plane. May be left out when there is nothing to say about it. Of
    /// Kubernetes clusters.
    pub control_plane: Option<Controller>,
    /// The nodes that run jobs or pods, or a prompt each.
    #[schemars(length(min = 1))]
    pub nodes: Vec<Node>,
    /// What Kubespray is to install. Of Kubernetes clusters.
    pub kubernetes: Option<Kubernetes>,
    /// Partitions. Without them there is one, `compute`, with every node. Of SLURM clusters.
    #[schemars(length(min = 1))]
    pub partitions: Option<Vec<Partition>>,
}

/// What runs on a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A SLURM cluster: one controller, and nodes that run jobs.
    Slurm,
    /// A Kubernetes cluster: one control plane, and nodes that run pods. Kubespray makes it of machines that run.
    Kubernetes,
    /// Appliances: machines that boot straight into a model's prompt on their serial console. They have no disk and no
    /// network, and keep nothing.
    Appliance,
}

/// What Kubespray is to install.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Kubernetes {
    /// The network plugin; `calico` unless given.
    pub cni: Option<Cni>,
    /// The ingress controller; `nginx` unless given.
    pub ingress: Option<Ingress>,
    /// What provides volumes, as the default storage class; `local-path` unless given.
    pub storage_class: Option<StorageClass>,
}

/// A network plugin, by Kubespray's name for it.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "they are names of other projects")]
pub enum Cni {
    #[default]
    Calico,
    Cilium,
    Flannel,
    KubeOvn,
    KubeRouter,
    None,
}

/// An ingress controller.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ingress {
    /// ingress-nginx.
    #[default]
    Nginx,
    /// None at all.
    None,
}

/// What provides volumes.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StorageClass {
    /// Folders on the nodes' own disks.
    #[default]
    LocalPath,
    /// None at all.
    None,
}

/// A virtual network with NAT and DHCP.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Network {
    /// The IPv4 network, as `192.168.190.0/24`.
    pub subnet: Located<String>,
    /// The host's address in it; the first one unless given.
    pub gateway: Option<Located<String>>,
    /// The first address that DHCP gives to machines it does not know; the tenth unless given.
    pub dhcp_start: Option<Located<String>>,
    /// The last such address; the last of the subnet unless given.
    pub dhcp_end: Option<Located<String>>,
    /// Where names are looked up that are not of the lab; where the host does unless given.
    #[schemars(length(max = 16))]
    pub dns_servers: Option<Vec<Located<String>>>,
    /// The DNS domain. `CLUSTER.internal` for the first network unless given, `NETWORK.CLUSTER.internal` for
    /// others.
    #[schemars(
        regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$"),
        length(max = 253)
    )]
    pub domain: Option<Located<String>>,
    /// The name of the bridge, at most 15 characters. Chosen unless given.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,14}$"))]
    pub bridge: Option<Located<String>>,
}

/// The size of nodes that do not say otherwise.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Defaults {
    /// Virtual processors; 1 unless given, and 2 of appliances.
    #[schemars(range(min = 1, max = 1024))]
    pub cpus: Option<Located<u64>>,
    /// Memory, MiB; 768 unless given, and 256 of appliances.
    #[schemars(range(min = 128, max = 67_108_864))]
    pub memory_mib: Option<Located<u64>>,
    /// Root disk, GiB; 8 unless given. Not of appliances.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub disk_gib: Option<Located<u64>>,
}

/// How processors and memory of nodes are made. What is left out is up to KVM or the emulator.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Hardware {
    /// The processor that nodes see; the most capable one unless given. Emulated nodes always have that.
    pub cpu: Option<CpuModel>,
    /// Processor features, each with `+` or `-` before it.
    #[schemars(inner(regex(pattern = r"^[+-]?[a-zA-Z0-9_.-]+$"), length(max = 64)))]
    pub features: Option<Vec<String>>,
    /// Whether nodes may run machines with hardware support.
    pub nested: Option<bool>,
    /// How virtual processors are arranged; one socket without threads unless given.
    pub topology: Option<Located<Topology>>,
    /// Backs memory with huge pages of this size.
    pub hugepages: Option<HugepageSize>,
    /// Gives each virtual processor a processor of the host for itself.
    pub pinned: Option<bool>,
    /// Makes memory a file that other processes can map.
    pub shared_memory: Option<bool>,
    /// How many NUMA nodes machines see; one unless given.
    #[schemars(range(min = 1, max = 8))]
    pub numa_nodes: Option<Located<u64>>,
}

/// How virtual processors are arranged. The number of cores follows.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Topology {
    /// Sockets; 1 unless given.
    #[schemars(range(min = 1, max = 64))]
    pub sockets: Option<u64>,
    /// Threads of a core; 1 unless given.
    #[schemars(range(min = 1, max = 8))]
    pub threads: Option<u64>,
}

/// A device of the host that a node gets for itself. Either `pci` or `mdev` says which.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, extend("oneOf" = [{ "required": ["pci"] }, { "required": ["mdev"] }]))]
pub struct Device {
    /// A PCI function: domain, bus, device and function, as `0000:01:00.0`.
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{4}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]$"))]
    pub pci: Option<Located<String>>,
    /// A mediated device, such as a part of a GPU, by its UUID.
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"))]
    pub mdev: Option<Located<String>>,
    /// What it is; `gpu` unless given.
    pub kind: Option<DeviceType>,
    /// PCI vendor, four hexadecimal digits, in quotes.
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{4}$"))]
    pub vendor_id: Option<String>,
    /// PCI device, four hexadecimal digits, in quotes.
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{4}$"))]
    pub device_id: Option<String>,
}

/// A directory of the host that a node has over virtiofs.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Mount {
    /// Its name between host and node.
    #[schemars(regex(pattern = r"^[a-zA-Z0-9_-]+$"), length(max = 36))]
    pub tag: String,
    /// Where it is on the host, from `/` on.
    #[schemars(regex(pattern = r"^/"))]
    pub host_path: Located<String>,
    /// Where it is on the node, from `/` on.
    #[schemars(regex(pattern = r"^/"))]
    pub mount_point: String,
    /// Mount options; `rw,relatime` unless given.
    #[schemars(regex(pattern = r"^[a-zA-Z0-9_=,.-]+$"))]
    pub options: Option<String>,
}

/// The node that runs `slurmctld`, or the Kubernetes control plane.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Controller {
    /// Its host name; `controller` unless given, and `control-plane` in a Kubernetes cluster.
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"), length(max = 63))]
    pub name: Option<Located<String>>,
    /// The instruction set of its processors; its cluster's unless given.
    pub arch: Option<Arch>,
    /// Virtual processors.
    #[schemars(range(min = 1, max = 1024))]
    pub cpus: Option<Located<u64>>,
    /// Memory, MiB.
    #[schemars(range(min = 128, max = 67_108_864))]
    pub memory_mib: Option<Located<u64>>,
    /// Root disk, GiB.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub disk_gib: Option<Located<u64>>,
    /// What it boots: the name of a built image, or a path that ends in `.qcow2`.
    #[schemars(regex(pattern = r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?|.*\.qcow2)$"))]
    pub image: Option<Located<String>>,
    /// The networks it is on; the first one of the cluster unless given.
    #[schemars(length(min = 1))]
    pub networks: Option<Vec<Located<String>>>,
    /// Its address on the first of its networks.
    pub address: Option<Located<String>>,
    /// Its addresses by network.
    pub addresses: Option<Entries<Located<String>>>,
    /// Whether starting the cluster starts it; `true` unless given.
    pub auto_start: Option<bool>,
    /// Devices of the host that it gets for itself.
    pub devices: Option<Vec<Device>>,
    /// Directories of the host that it has.
    pub mounts: Option<Vec<Mount>>,
}

/// A node that runs jobs, pods or a prompt.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Node {
    /// Its host name.
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"), length(max = 63))]
    pub name: Located<String>,
    /// The instruction set of its processors; its cluster's unless given.
    pub arch: Option<Arch>,
    /// Virtual processors.
    #[schemars(range(min = 1, max = 1024))]
    pub cpus: Option<Located<u64>>,
    /// Memory, MiB.
    #[schemars(range(min = 128, max = 67_108_864))]
    pub memory_mib: Option<Located<u64>>,
    /// Root disk, GiB.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub disk_gib: Option<Located<u64>>,
    /// What it boots: the name of a built image, or a path that ends in `.qcow2`.
    #[schemars(regex(pattern = r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?|.*\.qcow2)$"))]
    pub image: Option<Located<String>>,
    /// What its prompt loads: a GGUF file, or a model disk made of one; its cluster's unless given. Of appliances.
    #[schemars(regex(pattern = r"^[^\x00-\x1f\x7f]+$"), length(max = LONGEST_MODEL))]
    pub model: Option<Located<String>>,
    /// Added to its kernel's command line, behind what its cluster adds. Of appliances.
    #[schemars(regex(pattern = r"^[ -~]*$"), length(max = LONGEST_APPEND))]
    pub append: Option<Located<String>>,
    /// The networks it is on; the first one of the cluster unless given.
    #[schemars(length(min = 1))]
    pub networks: Option<Vec<Located<String>>>,
    /// Its address on the first of its networks.
    pub address: Option<Located<String>>,
    /// Its addresses by network.
    pub addresses: Option<Entries<Located<String>>>,
    /// Whether starting the cluster starts it; `true` unless given.
    pub auto_start: Option<bool>,
    /// Devices of the host that it gets for itself.
    pub devices: Option<Vec<Device>>,
    /// Directories of the host that it has.
    pub mounts: Option<Vec<Mount>>,
}

/// A SLURM partition.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Partition {
    /// As in `PartitionName`.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"), length(max = 63))]
    pub name: Located<String>,
    /// The names of its nodes.
    #[schemars(length(min = 1))]
    pub nodes: Vec<Located<String>>,
    /// Whether jobs that name no partition go here.
    pub default: Option<Located<bool>>,
    /// The longest a job may run, as SLURM writes it: minutes, `MM:SS`, `HH:MM:SS`, `D-HH`, `D-HH:MM`,
    /// `D-HH:MM:SS` or `INFINITE`. No limit unless given.
    pub max_time: Option<Located<String>>,
}
