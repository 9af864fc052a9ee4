//! The plan itself: every choice made, nothing left for the engine to decide.
//!
//! All paths are relative to the lab's folder, so the same lab gives the same bytes wherever it lives.

use std::{collections::BTreeSet, net::Ipv4Addr};

use config::{
    hardware::{Device, Hardware, Mount},
    model::{Arch, Image, Kubernetes, Role, Slurm},
};
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

/// Why a `plan.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Another version of ai-how wrote it.
    #[error("it is of format {found}, and this version of ai-how knows format {FORMAT}")]
    Format {
        /// The format it says it is of.
        found: u32,
    },
    /// It is no plan.
    #[error("it is damaged")]
    Damaged(#[from] serde_json::Error),
}

impl Plan {
    /// Reads what was written as `plan.json`.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(json: &str) -> Result<Self, ReadError> {
        // A newer plan may lack what this version looks for, so what it is comes before what it says.
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        match serde_json::from_str(json)? {
            Head { format: FORMAT } => Ok(serde_json::from_str(json)?),
            Head { format: found } => Err(ReadError::Format { found }),
        }
    }
}

/// One cluster of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterPlan {
    /// The key under `clusters` in the file.
    pub key: String,
    /// The name machines, networks and SLURM carry.
    pub name: String,
    /// `slurm`, `kubernetes` or `appliance`.
    pub kind: String,
    /// SLURM's part; absent for other kinds.
    pub slurm: Option<Slurm>,
    /// Kubespray's part; absent for other kinds.
    // Plans were written before there was one, and those of SLURM clusters are what they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<Kubernetes>,
    /// Started in this order. Appliances have none.
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
    /// Where names are looked up that are not of the lab; where the host does when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_servers: Vec<Ipv4Addr>,
}

/// A libvirt domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePlan {
    /// Host name and SLURM's `NodeName`; unique in the cluster.
    pub name: String,
    /// What people, SSH and reports call it; unique in the lab. The host name, or the domain's name where several
    /// clusters have a node of that name.
    pub label: String,
    /// Libvirt's name for it; unique in the lab.
    pub domain: String,
    /// Derived from lab and domain.
    pub uuid: Uuid,
    /// What it is for.
    pub role: Role,
    /// The instruction set of its processors.
    // Plans were written before there was another one.
    #[serde(default)]
    pub arch: Arch,
    /// Virtual processors.
    pub cpus: u32,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Root disk, GiB; 0 where there is none.
    pub disk_gib: u64,
    /// What it boots.
    pub image: Image,
    /// Added to its kernel's command line; empty but for appliances.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub append: String,
    /// Whether UEFI firmware starts it, instead of what is over soonest. Of appliances.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uefi: bool,
    /// The first is the one it is reached by. Appliances have none.
    pub interfaces: Vec<InterfacePlan>,
    /// Whether starting the cluster starts it.
    pub auto_start: bool,
    /// How its processors and memory are made.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hardware: Hardware,
    /// The first of the host's processors that are its own, where it is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_cpu: Option<u32>,
    /// Devices of the host that it gets for itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// Directories of the host that it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// The overlay: `disks/<domain>.qcow2`. An appliance's lies on the disk of its model; without one it is empty, and only says
    /// that the node is there.
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

    /// The architectures of its nodes.
    pub fn archs(&self) -> BTreeSet<Arch> {
        self.nodes().map(|(_, node)| node.arch).collect()
    }

    /// The node a person means by a label, host name or domain name; `None` when there is none or several.
    pub fn find(&self, name: &str) -> Option<&NodePlan> {
        let one = |matches: &dyn Fn(&NodePlan) -> bool| {
            let mut found = self.nodes().map(|(_, node)| node).filter(|node| matches(node));
            found.next().filter(|_| found.next().is_none())
        };
        one(&|node| node.label == name)
            .or_else(|| one(&|node| node.domain == name))
            .or_else(|| one(&|node| node.name == name))
    }
}

impl ClusterPlan {
    /// A cluster of appliances that nothing else is known of.
    pub fn of_appliances(name: &str) -> Self {
        Self {
            key: name.to_owned(),
            name: name.to_owned(),
            kind: "appliance".to_owned(),
            slurm: None,
            kubernetes: None,
            networks: Vec::new(),
            nodes: Vec::new(),
        }
    }

    /// Whether it consists of appliances, which have neither disks nor networks.
    pub fn is_appliance(&self) -> bool {
        self.kind == "appliance"
    }

    /// Why SLURM is not deployed on it, although it is a SLURM cluster.
    pub fn undeployable(&self) -> Option<String> {
        self.slurm.as_ref()?;
        let foreign = self.nodes.iter().find(|node| node.is_foreign())?;
        Some(format!("nothing of ours is in the image of {}", foreign.label))
    }
}

fn is_default(hardware: &Hardware) -> bool {
    *hardware == Hardware::default()
}

impl NodePlan {
    /// What of it keeps it from being frozen and copied, when something does: its memory is not its own alone, or a device
    /// knows what nobody can read.
    pub fn uncopyable(&self) -> Option<&'static str> {
        let Hardware { hugepages_mib, shared_memory, numa_nodes, .. } = &self.hardware;
        [
            (self.is_appliance(), "it is an appliance, which keeps nothing"),
            (self.is_foreign(), "nothing of ours is in its image"),
            (!self.devices.is_empty(), "it has devices of the host"),
            (!self.mounts.is_empty(), "it has directories of the host"),
            (hugepages_mib.is_some(), "its memory is in huge pages"),
            (*shared_memory, "its memory is shared"),
            (numa_nodes.is_some(), "its memory is in several parts"),
        ]
        .into_iter()
        .find_map(|(holds, why)| holds.then_some(why))
    }

    /// Whether it boots straight into a model's prompt on its serial console, with neither disk nor network.
    pub fn is_appliance(&self) -> bool {
        self.role == Role::Appliance
    }

    /// Whether it boots an image by itself that has no agent of ours: it is somebody else's, and only SSH leads in.
    pub fn is_foreign(&self) -> bool {
        matches!(self.image, Image::Disk(_))
    }

    /// The disk that tells such a node who it is and who may log in: `disks/<domain>.iso`.
    pub fn seed(&self) -> Option<String> {
        self.is_foreign().then(|| format!("disks/{}.iso", self.domain))
    }

    /// The disk that it sees, relative to the lab's folder: its own. An appliance has one where it has a model.
    pub fn attached_disk(&self) -> Option<&str> {
        (!self.is_appliance() || self.image.name().is_some()).then_some(&self.disk)
    }

    /// The address the node is reached by, of those that are on a network: see [`NodePlan::own_address`].
    pub fn address(&self) -> Ipv4Addr {
        self.own_address().unwrap_or(Ipv4Addr::UNSPECIFIED)
    }

    /// The address the node is reached by; an appliance has none.
    pub fn own_address(&self) -> Option<Ipv4Addr> {
        self.interfaces.first().map(|interface| interface.address)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use config::hardware::Hardware;
    use config::model::{
        Arch, Cluster, ClusterKind, Image, Interface, Lab, Network, Node, Partition, Role, Slurm,
    };

    use super::Plan;

    /// One controller and two compute nodes.
    pub(crate) fn lab() -> Lab {
        let node = |name: &str, role, last: u8| Node {
            name: name.into(),
            domain: format!("hpc-{name}"),
            role,
            arch: Arch::default(),
            cpus: 1,
            memory_mib: 768,
            disk_gib: 8,
            image: Image::Built("debian-13".into()),
            append: String::new(),
            interfaces: vec![Interface { network: "lan".into(), address: [10, 9, 8, last].into() }],
            auto_start: true,
            hardware: Hardware::default(),
            devices: Vec::new(),
            mounts: Vec::new(),
        };
        Lab {
            name: "lab".into(),
            description: String::new(),
            clusters: vec![Cluster {
                key: "hpc".into(),
                name: "hpc".into(),
                kind: ClusterKind::Slurm(Slurm {
                    partitions: vec![Partition {
                        name: "debug".into(),
                        nodes: vec!["compute-01".into(), "compute-02".into()],
                        max_time: "00:30:00".into(),
                    }],
                    default_partition: "debug".into(),
                }),
                networks: vec![Network {
                    name: "lan".into(),
                    subnet: "10.9.8.0/24".parse().unwrap(),
                    gateway: [10, 9, 8, 1].into(),
                    dhcp_start: None,
                    dhcp_end: None,
                    dns_servers: Vec::new(),
                    bridge: None,
                    domain: "hpc.local".into(),
                }],
                nodes: vec![
                    node("controller", Role::Controller, 10),
                    node("compute-01", Role::Compute, 11),
                    node("compute-02", Role::Compute, 12),
                ],
            }],
        }
    }

    /// The same beside two appliances, one of which has a model.
    pub(crate) fn mixed_lab() -> Lab {
        let mut lab = lab();
        let prompt = |name: &str, model: Option<&str>, append: &str| Node {
            name: name.into(),
            domain: format!("prompts-{name}"),
            role: Role::Appliance,
            arch: Arch::Aarch64,
            cpus: 2,
            memory_mib: 256,
            disk_gib: 0,
            image: Image::Appliance(model.map(str::to_owned)),
            append: append.into(),
            interfaces: Vec::new(),
            ..lab.clusters[0].nodes[0].clone()
        };
        let nodes =
            vec![prompt("prompt-01", None, ""), prompt("prompt-02", Some("models/phi.gguf"), "zosia.diag=1")];
        lab.clusters.push(Cluster {
            key: "prompts".into(),
            name: "prompts".into(),
            kind: ClusterKind::Appliance,
            networks: Vec::new(),
            nodes,
        });
        lab
    }

    #[test]
    fn an_appliance_is_told_apart_and_is_in_no_other_plan() {
        let plan = crate::plan(&mixed_lab());
        let [slurm, prompts] = &plan.clusters[..] else { panic!("two clusters") };
        assert_eq!((prompts.kind.as_str(), &prompts.slurm, &prompts.kubernetes), ("appliance", &None, &None));
        assert!(prompts.is_appliance() && !slurm.is_appliance());
        assert!(prompts.networks.is_empty() && prompts.undeployable().is_none());
        for node in &prompts.nodes {
            assert!(node.is_appliance() && !node.is_foreign() && node.seed().is_none());
            assert_eq!(node.uncopyable(), Some("it is an appliance, which keeps nothing"));
            assert_eq!((node.own_address(), node.disk_gib), (None, 0));
        }
        assert_eq!(prompts.nodes[1].append, "zosia.diag=1");
        assert!(slurm.nodes.iter().all(|node| !node.is_appliance() && node.own_address().is_some()));
        // What is beside it changes nothing of the others.
        assert_eq!(slurm, &crate::plan(&lab()).clusters[0]);
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(Plan::read(&json).unwrap(), plan);
        assert!(!serde_json::to_string(&crate::plan(&lab())).unwrap().contains("append"));
        insta::assert_snapshot!(serde_json::to_string_pretty(&prompts).unwrap());
    }
}
