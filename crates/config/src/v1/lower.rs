//! Version 1.0 to a [`Draft`]: the names the tool gave its machines, and what it did with odd values.

use super::{Cloud, Controller, CountedNodes, CpuModel, Document, Hardware, Hpc, MemoryBacking, Performance};
use super::{Network, Node, Nodes, Numa, Passthrough, SlurmConfig, storage, unused};
use crate::diagnostic::Code;
use crate::draft::{self, Draft, Findings, Interface, Kind, Members, Partition, Passed, Slurm, shown};
use crate::hardware::{self, CpuFeature, DEFAULT_MOUNT_OPTIONS, Device, DeviceKind, DeviceSource, Mount};
use crate::model::{Arch, Image, Kubernetes, Role};
use crate::yaml::{Lenient, Located};

/// Most nodes that `count` can ask for.
const MOST_NODES: u64 = 1024;

/// The largest sizes of a node, as version 2.0 has them; the schema of this version has none.
const MOST_CPUS: u64 = 1024;
const MOST_MEMORY_GB: u64 = 64 * 1024;
const MOST_DISK_GB: u64 = 1024 * 1024;

/// What the one network of a cluster is called: libvirt's name for it is `<cluster>-network`.
const NETWORK: &str = "network";

/// Longest cluster name: `-gpu-worker-1024` must fit behind it within 63 characters.
const LONGEST_NAME: usize = 46;

/// States the document in terms of a draft. Total: what the schema accepts, comes out.
pub(crate) fn lower(document: Document, findings: &mut Findings) -> Draft {
    let hpc = document.clusters.hpc.map(|cluster| lower_hpc(cluster, findings));
    let cloud = document.clusters.cloud.map(|cluster| lower_cloud(cluster, findings));
    Draft {
        name: document.metadata.name.value,
        description: document.metadata.description.value,
        clusters: hpc.into_iter().chain(cloud).collect(),
    }
}

fn lower_hpc(Located { value: hpc, span }: Located<Hpc>, findings: &mut Findings) -> draft::Cluster {
    let name = fit_name(hpc.name, "hpc", findings);
    let given =
        Given { image: hpc.base_image_path, hardware: lower_hardware(hpc.hardware.as_ref(), findings) };
    let controller = lower_controller(hpc.controller, findings);
    let mut nodes = vec![controller.into_node(&name, "controller".to_owned(), Role::Controller, &given)];
    for (index, parts) in node_parts(hpc.compute_nodes, findings).into_iter().enumerate() {
        nodes.push(parts.into_node(&name, format!("compute-{:02}", index + 1), Role::Compute, &given));
    }
    if let Some(numa) = numa(hpc.hardware.as_ref()) {
        unused::numa(numa, &nodes, findings);
    }
    storage::check(hpc.storage, &nodes, findings);
    draft::Cluster {
        key: Located { value: "hpc".to_owned(), span },
        networks: vec![lower_network(hpc.network, &name.value, findings)],
        name,
        kind: Kind::Slurm(lower_slurm(hpc.slurm_config, findings)),
        nodes,
    }
}

fn lower_cloud(Located { value: cloud, span }: Located<Cloud>, findings: &mut Findings) -> draft::Cluster {
    let name = fit_name(cloud.name, "cloud", findings);
    let given =
        Given { image: cloud.base_image_path, hardware: lower_hardware(cloud.hardware.as_ref(), findings) };
    let control_plane = lower_controller(cloud.control_plane, findings);
    let wanted = cloud.kubernetes_config;
    let kubernetes =
        Kubernetes { cni: wanted.cni, ingress: wanted.ingress, storage_class: wanted.storage_class };
    let mut nodes =
        vec![control_plane.into_node(&name, "control-plane".to_owned(), Role::ControlPlane, &given)];
    let (mut with_gpu, mut without) = (0, 0);
    for parts in node_parts(cloud.worker_nodes, findings) {
        let (kind, number) = if parts.has_gpu() { ("gpu", &mut with_gpu) } else { ("cpu", &mut without) };
        *number += 1;
        let short = format!("{kind}-worker-{number:02}");
        nodes.push(parts.into_node(&name, short, Role::Worker, &given));
    }
    if let Some(numa) = numa(cloud.hardware.as_ref()) {
        unused::numa(numa, &nodes, findings);
    }
    draft::Cluster {
        key: Located { value: "cloud".to_owned(), span },
        networks: vec![lower_network(cloud.network, &name.value, findings)],
        name,
        kind: Kind::Kubernetes(kubernetes),
        nodes,
    }
}

fn lower_network(network: Network, cluster: &str, findings: &mut Findings) -> draft::Network {
    unused::network(&network, findings);
    let mut address = |given: Lenient<String>| given.0.and_then(|text| draft::address(&text, findings));
    let (gateway, dhcp_start, dhcp_end) =
        (address(network.gateway_ip), address(network.dhcp_start), address(network.dhcp_end));
    let dns_servers = network.dns_servers.0.map(|list| list.value).unwrap_or_default();
    draft::Network {
        name: Located { value: NETWORK.to_owned(), span: network.subnet.span },
        subnet: draft::subnet(&network.subnet, findings),
        gateway,
        dhcp_start,
        dhcp_end,
        dns_servers: draft::addresses(&dns_servers, findings),
        bridge: fit_bridge(network.bridge, findings),
        domain: format!("{cluster}.local"),
    }
}

/// What a cluster gives to all its nodes.
struct Given {
    image: Option<Located<String>>,
    hardware: draft::Hardware,
}

fn numa(hardware: Option<&Hardware>) -> Option<&Numa> {
    hardware?.acceleration.as_ref()?.numa_topology.as_ref()
}

fn lower_hardware(hardware: Option<&Hardware>, findings: &mut Findings) -> draft::Hardware {
    let Some(given) = hardware.and_then(|hardware| hardware.acceleration.as_ref()) else {
        return draft::Hardware::default();
    };
    unused::acceleration(given, findings);
    let usual = Performance::default();
    let performance = given.performance.as_ref().unwrap_or(&usual);
    let backing = performance.memory_backing;
    let huge = performance.enable_hugepages == Some(true) || backing == Some(MemoryBacking::Hugepages);
    draft::Hardware {
        own: hardware::Hardware {
            cpu: given.cpu_model.as_ref().map(|model| match model {
                CpuModel::Host | CpuModel::HostPassthrough => hardware::CpuModel::HostPassthrough,
                CpuModel::HostModel => hardware::CpuModel::HostModel,
                CpuModel::Qemu64 => hardware::CpuModel::Qemu64,
            }),
            features: given.cpu_features.iter().flatten().map(|text| CpuFeature::read(text)).collect(),
            nested: given.enable_nested == Some(true),
            hugepages_mib: huge.then(|| performance.hugepage_size.unwrap_or_default().mib()),
            pinned: performance.cpu_pinning == Some(true),
            shared_memory: backing == Some(MemoryBacking::Memfd),
            ..hardware::Hardware::default()
        },
        // The number of cores follows from that of virtual processors.
        topology: given
            .cpu_topology
            .as_ref()
            .map(|found| Located { value: (found.value.sockets, found.value.threads), span: found.span }),
        numa_nodes: numa(hardware).and_then(|numa| numa.nodes),
    }
}

fn lower_controller(controller: Controller, findings: &mut Findings) -> NodeParts {
    let size = Size::of(controller.cpu_cores, controller.memory_gb, controller.disk_gb, findings);
    NodeParts {
        size,
        address: draft::address(&controller.ip_address, findings),
        image: controller.base_image_path,
        auto_start: controller.auto_start.0.is_none_or(|given| given.value),
        devices: Vec::new(),
        mounts: mounts(controller.virtio_fs_mounts, findings),
    }
}

/// How large a node is.
#[derive(Clone, Copy)]
struct Size {
    cpus: u64,
    memory_mib: Located<u64>,
    disk_gib: Located<u64>,
}

impl Size {
    fn of(
        cpu_cores: Located<u64>,
        memory_gb: Located<u64>,
        disk_gb: Located<u64>,
        findings: &mut Findings,
    ) -> Self {
        let mut limited = |given: Located<u64>, most: u64, unit: &str| {
            if given.value > most {
                let found = findings
                    .meaning(
                        Code::OutOfRange,
                        given.span,
                        format!("a node cannot have more than {most} {unit}"),
                    )
                    .cause("no machine is as large as that")
                    .help(findings.help("choose a smaller number", &format!("{most} are used")));
                findings.push(found);
            }
            given.map_value(|value| value.min(most))
        };
        Self {
            cpus: limited(cpu_cores, MOST_CPUS, "virtual CPUs").value,
            memory_mib: limited(memory_gb, MOST_MEMORY_GB, "GiB of memory").map_value(|gb| gb * 1024),
            disk_gib: limited(disk_gb, MOST_DISK_GB, "GiB of disk"),
        }
    }
}

/// What is known of a node before it has a name.
#[derive(Clone)]
struct NodeParts {
    size: Size,
    address: Option<Located<std::net::Ipv4Addr>>,
    image: Option<Located<String>>,
    auto_start: bool,
    devices: Vec<Passed>,
    mounts: Vec<Located<Mount>>,
}

impl NodeParts {
    fn has_gpu(&self) -> bool {
        self.devices.iter().any(|passed| passed.device.value.kind == DeviceKind::Gpu)
    }

    fn into_node(self, cluster: &Located<String>, short: String, role: Role, given: &Given) -> draft::Node {
        let image = self.image.as_ref().or(given.image.as_ref());
        draft::Node {
            domain: format!("{}-{short}", cluster.value),
            name: Located { value: short, span: cluster.span },
            role,
            arch: Arch::default(),
            cpus: self.size.cpus,
            memory_mib: self.size.memory_mib,
            disk_gib: self.size.disk_gib,
            image: image.cloned().map_or(Located { value: Image::Unspecified, span: cluster.span }, |path| {
                path.map_value(Image::File)
            }),
            append: Vec::new(),
            interfaces: vec![Interface { network: 0, address: self.address }],
            auto_start: self.auto_start,
            hardware: given.hardware.clone(),
            devices: self.devices,
            mounts: self.mounts,
        }
    }
}

fn node_parts(nodes: Nodes, findings: &mut Findings) -> Vec<NodeParts> {
    match nodes {
        Nodes::List(nodes) => nodes.into_iter().map(|node| listed(node, findings)).collect(),
        Nodes::Counted(nodes) => counted(*nodes, findings),
    }
}

fn listed(node: Node, findings: &mut Findings) -> NodeParts {
    NodeParts {
        size: Size::of(node.cpu_cores, node.memory_gb, node.disk_gb, findings),
        address: draft::address(&node.ip, findings),
        image: node.base_image_path,
        auto_start: node.auto_start.unwrap_or(true),
        devices: devices(node.pcie_passthrough, findings),
        mounts: mounts(node.virtio_fs_mounts, findings),
    }
}

fn counted(nodes: CountedNodes, findings: &mut Findings) -> Vec<NodeParts> {
    let count = nodes.count.value.min(MOST_NODES);
    if count < nodes.count.value {
        let found = findings
            .meaning(
                Code::TooManyNodes,
                nodes.count.span,
                format!("{} nodes are more than a cluster can have", nodes.count.value),
            )
            .cause(format!("a cluster has at most {MOST_NODES} counted nodes"))
            .help(findings.help("ask for fewer nodes", &format!("{MOST_NODES} are used")));
        findings.push(found);
    }
    let node = NodeParts {
        size: Size::of(nodes.cpu_cores, nodes.memory_gb, nodes.disk_gb, findings),
        address: None,
        image: nodes.base_image_path,
        auto_start: nodes.auto_start.unwrap_or(true),
        devices: devices(nodes.pcie_passthrough, findings),
        mounts: mounts(nodes.virtio_fs_mounts, findings),
    };
    (0..count).map(|_| node.clone()).collect()
}

fn devices(passthrough: Option<Located<Passthrough>>, findings: &mut Findings) -> Vec<Passed> {
    let Some(Located { value: Passthrough { enabled: Some(true), devices }, span }) = passthrough else {
        return Vec::new();
    };
    let devices = devices.unwrap_or_default();
    if devices.is_empty() {
        let found = findings
            .meaning(Code::NoDevices, span, "devices are to be passed to the node, and none is listed")
            .cause("`enabled` is true, and `devices` has nothing in it")
            .help(findings.help("list the devices, or set `enabled` to false", "the node gets none"));
        findings.push(found);
    }
    let lower = |given: super::Device| {
        let device = given.pci_address.map_value(|address| Device {
            source: DeviceSource::Pci(address.to_ascii_lowercase()),
            kind: given.device_type.into(),
            vendor_id: given.vendor_id,
            device_id: given.device_id,
        });
        Passed { device, iommu_group: given.iommu_group }
    };
    devices.into_iter().map(lower).collect()
}

fn mounts(mounts: Option<Vec<super::Mount>>, findings: &mut Findings) -> Vec<Located<Mount>> {
    mounts.iter().flatten().for_each(|mount| unused::mount(mount, findings));
    let lower = |mount: super::Mount| {
        mount.host_path.map_value(|host_path| Mount {
            tag: mount.tag,
            host_path,
            mount_point: mount.mount_point,
            options: mount.options.unwrap_or_else(|| DEFAULT_MOUNT_OPTIONS.to_owned()),
        })
    };
    mounts.into_iter().flatten().map(lower).collect()
}

fn lower_slurm(config: SlurmConfig, findings: &mut Findings) -> Slurm {
    let default = config.default_partition;
    let partitions = config
        .partitions
        .into_iter()
        .map(|name| Partition {
            name: fit(name, "partition", usize::MAX, "compute", findings),
            members: Members::EveryComputeNode,
            default: None,
            max_time: config.max_job_time.clone(),
        })
        .collect();
    // Made to fit like the partitions, so that both still agree; said once, at the partition.
    let default = default.map_value(|name| fitted(&name, usize::MAX, "compute"));
    Slurm { partitions, default: Some(default) }
}

fn fit_name(name: Located<String>, key: &str, findings: &mut Findings) -> Located<String> {
    fit(name, "cluster", LONGEST_NAME, key, findings)
}

/// Names go into file names, domain names and host names, so what cannot stand there is replaced.
fn fit(
    name: Located<String>,
    what: &str,
    longest: usize,
    otherwise: &str,
    findings: &mut Findings,
) -> Located<String> {
    let value = fitted(&name.value, longest, otherwise);
    if value != name.value {
        let found = findings
            .meaning(
                Code::UnfitName,
                name.span,
                format!("`{}` is not fit for the name of a {what}", shown(&name.value)),
            )
            .cause("it becomes part of file names, host names and libvirt names: letters, digits, `.`, `_` and `-`, and not too long")
            .help(findings.help("use such a name", &format!("`{value}` is used")));
        findings.push(found);
    }
    Located { value, span: name.span }
}

fn fitted(name: &str, longest: usize, otherwise: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let replaced: String = name.chars().map(|c| if allowed(c) { c } else { '-' }).take(longest).collect();
    let trimmed = replaced.trim_matches(['.', '_', '-']);
    if trimmed.is_empty() { otherwise.to_owned() } else { trimmed.to_owned() }
}

fn fit_bridge(bridge: Located<String>, findings: &mut Findings) -> Option<Located<String>> {
    let name = &bridge.value;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let fit = (1..=15).contains(&name.len()) && name.chars().all(allowed) && name != "." && name != "..";
    if fit {
        return Some(bridge);
    }
    let found = findings
        .meaning(Code::UnfitBridge, bridge.span, format!("`{}` cannot be the name of a bridge", shown(name)))
        .cause("Linux allows 1 to 15 characters, and libvirt letters, digits, `.`, `_` and `-`")
        .help(findings.help("choose a short name like `virbr100`", "a name is chosen"));
    findings.push(found);
    None
}

#[cfg(test)]
mod tests {
    use super::fitted;

    #[test]
    fn names_are_made_fit() {
        let rows = [
            ("hpc-cluster", "hpc-cluster"),
            ("my cluster", "my-cluster"),
            ("../../etc/passwd", "etc-passwd"),
            ("größe", "gr--e"),
            ("", "hpc"),
            ("..", "hpc"),
            ("a;rm -rf", "a-rm"),
        ];
        for (name, expected) in rows {
            assert_eq!(fitted(name, 46, "hpc").get(..expected.len()), Some(expected), "{name}");
        }
        assert_eq!(fitted(&"x".repeat(100), 46, "hpc").len(), 46);
    }
}
