//! Version 1.0 to a [`Draft`]: the names the tool gave its machines, and what it did with odd values.

use super::{Cloud, Controller, Document, Hpc, Network, Node, Nodes, Passthrough, SlurmConfig};
use super::{CountedNodes, DeviceType};
use crate::diagnostic::Code;
use crate::draft::{self, Draft, Findings, Interface, Kind, Members, Partition, Slurm, shown};
use crate::model::{Arch, Image, Role};
use crate::yaml::Located;

/// Most nodes that `count` can ask for.
const MOST_NODES: u64 = 1024;

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
    let image = hpc.base_image_path;
    let mut nodes = vec![lower_controller(
        hpc.controller,
        &name,
        "controller",
        Role::Controller,
        image.as_ref(),
        findings,
    )];
    for (index, parts) in node_parts(hpc.compute_nodes, findings).into_iter().enumerate() {
        nodes.push(parts.into_node(
            &name,
            format!("compute-{:02}", index + 1),
            Role::Compute,
            image.as_ref(),
        ));
    }
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
    let image = cloud.base_image_path;
    let mut nodes = vec![lower_controller(
        cloud.control_plane,
        &name,
        "control-plane",
        Role::ControlPlane,
        image.as_ref(),
        findings,
    )];
    let (mut with_gpu, mut without) = (0, 0);
    for parts in node_parts(cloud.worker_nodes, findings) {
        let (kind, number) =
            if parts.gpus.is_empty() { ("cpu", &mut without) } else { ("gpu", &mut with_gpu) };
        *number += 1;
        let short = format!("{kind}-worker-{number:02}");
        nodes.push(parts.into_node(&name, short, Role::Worker, image.as_ref()));
    }
    draft::Cluster {
        key: Located { value: "cloud".to_owned(), span },
        networks: vec![lower_network(cloud.network, &name.value, findings)],
        name,
        kind: Kind::Kubernetes,
        nodes,
    }
}

fn lower_network(network: Network, cluster: &str, findings: &mut Findings) -> draft::Network {
    let gateway = network.gateway_ip.0.and_then(|text| draft::address(&text, findings));
    draft::Network {
        name: Located { value: "default".to_owned(), span: network.subnet.span },
        subnet: draft::subnet(&network.subnet, findings),
        gateway,
        bridge: fit_bridge(network.bridge, findings),
        domain: format!("{cluster}.local"),
    }
}

fn lower_controller(
    controller: Controller,
    cluster: &Located<String>,
    short: &str,
    role: Role,
    image: Option<&Located<String>>,
    findings: &mut Findings,
) -> draft::Node {
    let parts = NodeParts {
        cpus: controller.cpu_cores.value,
        memory_gb: controller.memory_gb,
        disk_gb: controller.disk_gb,
        address: draft::address(&controller.ip_address, findings),
        image: controller.base_image_path,
        auto_start: controller.auto_start.0.is_none_or(|given| given.value),
        gpus: Vec::new(),
    };
    parts.into_node(cluster, short.to_owned(), role, image)
}

/// What is known of a node before it has a name.
#[derive(Clone)]
struct NodeParts {
    cpus: u64,
    memory_gb: Located<u64>,
    disk_gb: Located<u64>,
    address: Option<Located<std::net::Ipv4Addr>>,
    image: Option<Located<String>>,
    auto_start: bool,
    gpus: Vec<Located<String>>,
}

impl NodeParts {
    fn into_node(
        self,
        cluster: &Located<String>,
        short: String,
        role: Role,
        image: Option<&Located<String>>,
    ) -> draft::Node {
        let image = self.image.as_ref().or(image);
        draft::Node {
            domain: format!("{}-{short}", cluster.value),
            name: Located { value: short, span: cluster.span },
            role,
            arch: Arch::default(),
            cpus: self.cpus,
            memory_mib: Located {
                value: self.memory_gb.value.saturating_mul(1024),
                span: self.memory_gb.span,
            },
            disk_gib: self.disk_gb,
            image: image.map_or(Image::Unspecified, |path| Image::File(path.value.clone())),
            interfaces: vec![Interface { network: 0, address: self.address }],
            auto_start: self.auto_start,
            gpus: self.gpus,
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
        cpus: node.cpu_cores.value,
        memory_gb: node.memory_gb,
        disk_gb: node.disk_gb,
        address: draft::address(&node.ip, findings),
        image: node.base_image_path,
        auto_start: node.auto_start.unwrap_or(true),
        gpus: gpus(node.pcie_passthrough),
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
        cpus: nodes.cpu_cores.value,
        memory_gb: nodes.memory_gb,
        disk_gb: nodes.disk_gb,
        address: None,
        image: nodes.base_image_path,
        auto_start: nodes.auto_start.unwrap_or(true),
        gpus: gpus(nodes.pcie_passthrough),
    };
    (0..count).map(|_| node.clone()).collect()
}

fn gpus(passthrough: Option<Passthrough>) -> Vec<Located<String>> {
    let Some(Passthrough { enabled: Some(true), devices: Some(devices) }) = passthrough else {
        return Vec::new();
    };
    devices
        .into_iter()
        .filter(|device| device.device_type == DeviceType::Gpu)
        .map(|device| device.pci_address)
        .collect()
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
