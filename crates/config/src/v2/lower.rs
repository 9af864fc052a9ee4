//! Version 2.0 to a [`Draft`]: defaults filled in, networks looked up.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use super::{
    Cluster, Cni, Controller, Defaults, Document, Hardware, Ingress, Kind, Kubernetes, LONGEST_APPEND,
    LONGEST_MODEL, Network, Node, Partition, StorageClass,
};
use crate::diagnostic::{Code, Span};
use crate::draft::{self, Draft, Findings, Interface, Members, Passed, Slurm};
use crate::hardware::{self, CpuFeature, DEFAULT_MOUNT_OPTIONS, Device, DeviceKind, DeviceSource, Mount};
use crate::model::{self, Arch, Image, Role};
use crate::suggest::nearest;
use crate::v1::HugepageSize;
use crate::yaml::{Entries, Located};

const DEFAULT_IMAGE: &str = "debian-13";
const DEFAULT_CPUS: u64 = 1;
const DEFAULT_MEMORY_MIB: u64 = 768;
const DEFAULT_DISK_GIB: u64 = 8;
const APPLIANCE_CPUS: u64 = 2;
const APPLIANCE_MEMORY_MIB: u64 = 256;

/// States the document in terms of a draft.
pub(crate) fn lower(document: Document, findings: &mut Findings) -> Draft {
    let clusters = document.clusters.0.into_iter();
    Draft {
        name: document.name.value,
        description: document.description.unwrap_or_default(),
        clusters: clusters.map(|(name, cluster)| lower_cluster(name, cluster, findings)).collect(),
    }
}

fn lower_cluster(name: Located<String>, cluster: Cluster, findings: &mut Findings) -> draft::Cluster {
    // What is not for a cluster of its kind was refused by the schema.
    let (leader, follows, kind) = match cluster.kind {
        Kind::Slurm => {
            let leader = leader(cluster.controller, "controller", name.span);
            let partitions = cluster.partitions.unwrap_or_default().into_iter().map(partition).collect();
            let slurm = Slurm { partitions, default: None };
            (Some((leader, Role::Controller)), Role::Compute, draft::Kind::Slurm(slurm))
        }
        Kind::Kubernetes => {
            let leader = leader(cluster.control_plane, "control-plane", name.span);
            let kubernetes = kubernetes(cluster.kubernetes.unwrap_or_default());
            (Some((leader, Role::ControlPlane)), Role::Worker, draft::Kind::Kubernetes(kubernetes))
        }
        Kind::Appliance => (None, Role::Appliance, draft::Kind::Appliance),
    };
    let networks: Vec<_> = cluster
        .networks
        .filter(|_| cluster.kind != Kind::Appliance)
        .into_iter()
        .flat_map(|networks| networks.0)
        .enumerate()
        .map(|(index, (key, network))| lower_network(index, key, network, &name.value, findings))
        .collect();
    let surroundings = Surroundings {
        cluster: &name,
        networks: networks
            .iter()
            .enumerate()
            .map(|(index, network)| (network.name.value.as_str(), index))
            .collect(),
        defaults: cluster.defaults.unwrap_or_default(),
        image: cluster.image.unwrap_or_else(|| Located { value: DEFAULT_IMAGE.to_owned(), span: name.span }),
        // What was refused for its length is not copied to every node.
        model: cluster.model.filter(|model| model.value.len() <= LONGEST_MODEL),
        append: cluster.append.filter(|append| append.value.len() <= LONGEST_APPEND),
        arch: cluster.arch.unwrap_or_default(),
        hardware: hardware(cluster.hardware.unwrap_or_default()),
    };
    let nodes = cluster.nodes.into_iter().map(|node| (node, follows));
    let nodes = leader.into_iter().chain(nodes);
    let nodes = nodes.map(|(node, role)| surroundings.node(node, role, findings)).collect();
    draft::Cluster { kind, key: name.clone(), name, networks, nodes }
}

fn lower_network(
    index: usize,
    name: Located<String>,
    network: Network,
    cluster: &str,
    findings: &mut Findings,
) -> draft::Network {
    let domain = network.domain.map_or_else(
        || match index {
            0 => format!("{cluster}.internal"),
            _ => format!("{}.{cluster}.internal", name.value),
        },
        |domain| domain.value,
    );
    let mut address = |given: Option<Located<String>>| given.and_then(|text| draft::address(&text, findings));
    let (gateway, dhcp_start, dhcp_end) =
        (address(network.gateway), address(network.dhcp_start), address(network.dhcp_end));
    draft::Network {
        name,
        subnet: draft::subnet(&network.subnet, findings),
        gateway,
        dhcp_start,
        dhcp_end,
        dns_servers: draft::addresses(network.dns_servers.iter().flatten(), findings),
        bridge: network.bridge,
        domain,
    }
}

fn partition(partition: Partition) -> draft::Partition {
    draft::Partition {
        name: partition.name,
        members: Members::Named(partition.nodes),
        default: partition.default,
        max_time: partition.max_time,
    }
}

fn kubernetes(given: Kubernetes) -> model::Kubernetes {
    let cni = match given.cni.unwrap_or_default() {
        Cni::Calico => "calico",
        Cni::Cilium => "cilium",
        Cni::Flannel => "flannel",
        Cni::KubeOvn => "kube-ovn",
        Cni::KubeRouter => "kube-router",
        Cni::None => "none",
    };
    let ingress = match given.ingress.unwrap_or_default() {
        Ingress::Nginx => "nginx",
        Ingress::None => "none",
    };
    let storage_class = match given.storage_class.unwrap_or_default() {
        StorageClass::LocalPath => "local-path",
        StorageClass::None => "none",
    };
    model::Kubernetes {
        cni: cni.to_owned(),
        ingress: ingress.to_owned(),
        storage_class: storage_class.to_owned(),
    }
}

/// A controller or a control plane is a node with a default name.
fn leader(given: Option<Controller>, name: &str, span: Span) -> Node {
    let given = given.unwrap_or_default();
    Node {
        name: given.name.unwrap_or_else(|| Located { value: name.to_owned(), span }),
        arch: given.arch,
        cpus: given.cpus,
        memory_mib: given.memory_mib,
        disk_gib: given.disk_gib,
        image: given.image,
        model: None,
        append: None,
        networks: given.networks,
        address: given.address,
        addresses: given.addresses,
        auto_start: given.auto_start,
        devices: given.devices,
        mounts: given.mounts,
    }
}

/// What a node takes from its cluster.
struct Surroundings<'a> {
    cluster: &'a Located<String>,
    networks: HashMap<&'a str, usize>,
    defaults: Defaults,
    image: Located<String>,
    model: Option<Located<String>>,
    append: Option<Located<String>>,
    arch: Arch,
    hardware: draft::Hardware,
}

impl Surroundings<'_> {
    fn node(&self, node: Node, role: Role, findings: &mut Findings) -> draft::Node {
        let size = |own: Option<Located<u64>>, default: Option<Located<u64>>, otherwise: u64| {
            own.or(default).unwrap_or(Located { value: otherwise, span: node.name.span })
        };
        let is_appliance = role == Role::Appliance;
        let (cpus, memory_mib) = match is_appliance {
            true => (APPLIANCE_CPUS, APPLIANCE_MEMORY_MIB),
            false => (DEFAULT_CPUS, DEFAULT_MEMORY_MIB),
        };
        let common = draft::Node {
            domain: format!("{}-{}", self.cluster.value, node.name.value),
            role,
            arch: node.arch.unwrap_or(self.arch),
            cpus: size(node.cpus, self.defaults.cpus, cpus).value,
            memory_mib: size(node.memory_mib, self.defaults.memory_mib, memory_mib),
            disk_gib: Located { value: 0, span: node.name.span },
            image: Located { value: Image::Appliance(None), span: node.name.span },
            append: Vec::new(),
            interfaces: Vec::new(),
            auto_start: node.auto_start.unwrap_or(true),
            hardware: self.hardware.clone(),
            devices: node.devices.into_iter().flatten().filter_map(device).collect(),
            mounts: Vec::new(),
            name: node.name.clone(),
        };
        if is_appliance {
            let model = node.model.or_else(|| self.model.clone());
            let image = model.map(|model| model.map_value(|path| Image::Appliance(Some(path))));
            return draft::Node {
                image: image.unwrap_or(common.image),
                append: self.append.clone().into_iter().chain(node.append).collect(),
                ..common
            };
        }
        draft::Node {
            disk_gib: size(node.disk_gib, self.defaults.disk_gib, DEFAULT_DISK_GIB),
            image: node.image.unwrap_or_else(|| self.image.clone()).map_value(image),
            interfaces: self.interfaces(node.networks, node.address, node.addresses, findings),
            mounts: node.mounts.into_iter().flatten().map(mount).collect(),
            ..common
        }
    }

    fn interfaces(
        &self,
        networks: Option<Vec<Located<String>>>,
        address: Option<Located<String>>,
        addresses: Option<Entries<Located<String>>>,
        findings: &mut Findings,
    ) -> Vec<Interface> {
        let mut interfaces: Vec<Interface> = Vec::new();
        let mut places: HashMap<usize, Span> = HashMap::new();
        for network in networks.iter().flatten() {
            let Some(index) = self.network(network, findings) else { continue };
            if let Some(first) = places.insert(index, network.span) {
                let found = findings
                    .meaning(
                        Code::RepeatedNetwork,
                        network.span,
                        format!("the node is already on the network `{}`", network.value),
                    )
                    .cause("a node has one interface on a network")
                    .help("remove one of the two")
                    .also(first, "first named here");
                findings.push(found);
            } else {
                interfaces.push(Interface { network: index, address: None });
            }
        }
        if networks.is_none() {
            interfaces.push(Interface { network: 0, address: None });
        }
        if let (Some(text), Some(first)) = (&address, interfaces.first_mut()) {
            first.address = draft::address(text, findings);
        }
        for (network, text) in addresses.map(|addresses| addresses.0).unwrap_or_default() {
            let Some(index) = self.network(&network, findings) else { continue };
            let parsed = draft::address(&text, findings);
            self.give(&mut interfaces, index, &network, parsed, address.as_ref(), findings);
        }
        interfaces
    }

    /// Sets one address of `addresses`.
    fn give(
        &self,
        interfaces: &mut [Interface],
        index: usize,
        network: &Located<String>,
        parsed: Option<Located<Ipv4Addr>>,
        short: Option<&Located<String>>,
        findings: &mut Findings,
    ) {
        let found = match (interfaces.iter().position(|interface| interface.network == index), short) {
            (None, _) => findings
                .meaning(
                    Code::UnknownNetwork,
                    network.span,
                    format!("the node is not on the network `{}`", network.value),
                )
                .cause("a node is on the first network of its cluster, or on those it lists under `networks`")
                .help(format!("add `{}` to the node's `networks`, or remove the address", network.value)),
            (Some(0), Some(short)) => findings
                .meaning(
                    Code::AddressTwice,
                    network.span,
                    format!("the node has two addresses on the network `{}`", network.value),
                )
                .cause("`address` is the address on the first of the node's networks")
                .help("remove one of the two")
                .also(short.span, "first given here"),
            (Some(place), _) => {
                interfaces[place].address = parsed;
                return;
            }
        };
        findings.push(found);
    }

    fn network(&self, name: &Located<String>, findings: &mut Findings) -> Option<usize> {
        let index = self.networks.get(name.value.as_str()).copied();
        // Of a cluster without any, that is told.
        if index.is_none() && !self.networks.is_empty() {
            let mut known: Vec<_> = self.networks.keys().copied().collect();
            known.sort_unstable();
            let help = match nearest(&name.value, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the cluster has: {}", known.join(", ")),
            };
            let found = findings
                .meaning(
                    Code::UnknownNetwork,
                    name.span,
                    format!(
                        "the cluster `{}` has no network `{}`",
                        self.cluster.value,
                        draft::shown(&name.value)
                    ),
                )
                .cause("a node can only be on networks of its own cluster")
                .help(help);
            findings.push(found);
        }
        index
    }
}

fn hardware(given: Hardware) -> draft::Hardware {
    draft::Hardware {
        own: hardware::Hardware {
            cpu: given.cpu,
            features: given.features.iter().flatten().map(|text| CpuFeature::read(text)).collect(),
            nested: given.nested == Some(true),
            hugepages_mib: given.hugepages.map(HugepageSize::mib),
            pinned: given.pinned == Some(true),
            shared_memory: given.shared_memory == Some(true),
            ..hardware::Hardware::default()
        },
        topology: given
            .topology
            .map(|found| found.map_value(|found| (found.sockets.unwrap_or(1), found.threads.unwrap_or(1)))),
        numa_nodes: given.numa_nodes,
    }
}

/// None when it says neither which PCI function nor which mediated device; the schema has refused it then.
fn device(given: super::Device) -> Option<Passed> {
    let lower = |source: fn(String) -> DeviceSource| move |name: String| source(name.to_ascii_lowercase());
    let pci = given.pci.map(|name| name.map_value(lower(DeviceSource::Pci)));
    let source = pci.or(given.mdev.map(|name| name.map_value(lower(DeviceSource::Mdev))))?;
    let device = source.map_value(|source| Device {
        source,
        kind: given.kind.map_or(DeviceKind::Gpu, DeviceKind::from),
        vendor_id: given.vendor_id,
        device_id: given.device_id,
    });
    Some(Passed { device, iommu_group: None })
}

fn mount(given: super::Mount) -> Located<Mount> {
    given.host_path.map_value(|host_path| Mount {
        tag: given.tag,
        host_path,
        mount_point: given.mount_point,
        options: given.options.unwrap_or_else(|| DEFAULT_MOUNT_OPTIONS.to_owned()),
    })
}

fn image(name: String) -> Image {
    if name.ends_with(".qcow2") { Image::File(name) } else { Image::Built(name) }
}
