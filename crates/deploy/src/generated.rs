//! Inventories for playbooks that are not ours, with the groups, hosts and variables that they had in version 1.0.
//!
//! ```text
//! plan + document ──> Inventory (groups, hosts, variables) ──> INI or YAML, for the user's ansible-playbook
//! ```
//!
//! For a SLURM cluster these are `hpc_controllers`, `hpc_compute_nodes`, `hpc_gpu_nodes` and `hpc`; for a Kubernetes cluster
//! those of Kubespray. Our own playbook has an inventory of its own, see [`crate::inventory`].

use std::{collections::BTreeMap, fmt::Write, path::Path};

use config::{
    hardware::DeviceKind,
    model::{Kubernetes, Role},
};
use plan::{
    clusters,
    model::{ClusterPlan, NodePlan},
};
use serde_json::{Map, Value, json};
use system::process::shell_quote;

/// Variables by name.
type Variables = BTreeMap<String, Value>;

/// How the nodes of an inventory are reached.
#[derive(Debug, Clone)]
pub struct Reach {
    /// Who logs in.
    pub user: String,
    /// With which private key.
    pub key: String,
    /// Further arguments of `ssh`.
    pub arguments: String,
}

impl Reach {
    /// How a lab itself reaches the nodes of this cluster, with its `key` and its OpenSSH configuration, where there is one.
    pub fn of_lab(cluster: &ClusterPlan, key: &Path, config: Option<&Path>) -> Self {
        let is_ours = !cluster.nodes.iter().any(NodePlan::is_foreign);
        let user = if is_ours { "root" } else { "admin" };
        let arguments = config.map(|config| format!("-F {}", shell_quote(config.as_os_str())));
        Self {
            user: user.to_owned(),
            key: key.display().to_string(),
            arguments: arguments.unwrap_or_default(),
        }
    }
}

/// Hosts in groups, with variables.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inventory {
    hosts: BTreeMap<String, Variables>,
    groups: BTreeMap<String, Group>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Group {
    hosts: Vec<String>,
    children: Vec<String>,
    variables: Variables,
}

/// The inventory of a SLURM cluster. `document` is the config file as data; nodes whose domain is in `off` are left out.
pub fn slurm(cluster: &ClusterPlan, document: &Value, off: &[String], reach: &Reach) -> Inventory {
    let written = &document["clusters"][&cluster.key];
    let mut inventory = Inventory::default();
    let mut groups: [(&str, Vec<String>); 3] =
        [("hpc_controllers", Vec::new()), ("hpc_compute_nodes", Vec::new()), ("hpc_gpu_nodes", Vec::new())];
    let nodes = cluster.nodes.iter().enumerate();
    for (index, node) in nodes.filter(|(_, node)| !off.contains(&node.domain)) {
        let gpus = gpus(node).count();
        let (role, group) = match (node.role, gpus) {
            (Role::Controller, _) => ("controller", 0),
            (_, 0) => ("compute", 1),
            _ => ("gpu_compute", 2),
        };
        let name = format!("{}-{}", cluster.key, host_name(node));
        groups[group].1.push(name.clone());
        let mut variables = common(node, reach);
        variables.extend(entries(json!({
            "slurm_node_name": node.name,
            "cpu_cores": node.cpus,
            "memory_gb": clusters::gib(node.memory_mib),
            "disk_gb": node.disk_gib,
            "base_image_path": clusters::base_image(node, written, index),
            "node_role": role,
            "has_gpu": gpus > 0,
            "gpu_enabled": gpus > 0,
            "gpu_count": gpus,
        })));
        inventory.hosts.insert(name, variables);
    }
    let mut children = Vec::new();
    for (name, hosts) in groups.into_iter().filter(|(_, hosts)| !hosts.is_empty()) {
        children.push(name.to_owned());
        inventory.groups.insert(name.to_owned(), Group { hosts, ..Group::default() });
    }
    let variables = slurm_variables(cluster, written);
    inventory.groups.insert("hpc".to_owned(), Group { children, variables, ..Group::default() });
    inventory
}

fn slurm_variables(cluster: &ClusterPlan, written: &Value) -> Variables {
    let slurm = match (&written["slurm_config"], &cluster.slurm) {
        (Value::Null, Some(slurm)) => json!({
            "partitions": slurm.partitions.iter().map(|partition| &partition.name).collect::<Vec<_>>(),
            "default_partition": slurm.default_partition,
        }),
        (given, _) => given.clone(),
    };
    let controller = cluster.nodes.iter().find(|node| node.role == Role::Controller);
    let mounts = match &written["controller"]["virtio_fs_mounts"] {
        Value::Null => json!(controller.map(|node| &node.mounts)),
        given => given.clone(),
    };
    let beegfs = &written["storage"]["beegfs"];
    let beegfs = if beegfs.is_null() { json!({}) } else { beegfs.clone() };
    entries(json!({
        "cluster_name": cluster.name,
        "ansible_python_interpreter": "/usr/bin/python3",
        "slurm_config": slurm,
        "network": clusters::network(cluster, written),
        // Roles of before read these as text that holds JSON.
        "virtio_fs_mounts": mounts.to_string(),
        "beegfs_enabled": (beegfs["enabled"] == true).to_string(),
        "beegfs_config": beegfs.to_string(),
        "slurm_gres_conf": cluster.nodes.iter().flat_map(gres).collect::<Vec<_>>(),
    }))
}

/// The lines of `gres.conf` for a node's GPUs.
fn gres(node: &NodePlan) -> Vec<String> {
    let line = |(index, device): (usize, &config::hardware::Device)| {
        let vendor = match device.vendor_id.as_deref() {
            Some("10de") => "nvidia",
            Some("1002") => "amd",
            Some("8086") => "intel",
            _ => "unknown",
        };
        let model = device.device_id.as_deref().unwrap_or("unknown");
        format!("NodeName={} Name=gpu Type={vendor}_{model} File=/dev/nvidia{index}", node.name)
    };
    gpus(node).enumerate().map(line).collect()
}

/// Kubespray's inventory of a Kubernetes cluster; nodes whose domain is in `off` are left out.
pub fn kubernetes(cluster: &ClusterPlan, off: &[String], reach: &Reach) -> Inventory {
    let mut inventory = Inventory::default();
    let (mut leaders, mut workers) = (Vec::new(), Vec::new());
    for node in cluster.nodes.iter().filter(|node| !off.contains(&node.domain)) {
        let mut variables = common(node, reach);
        variables.extend(entries(json!({
            "ip": node.address(),
            "ansible_become": true,
        })));
        inventory.hosts.insert(node.name.clone(), variables);
        let group = if node.role == Role::ControlPlane { &mut leaders } else { &mut workers };
        group.push(node.name.clone());
    }
    let hosts = |hosts: &[String]| Group { hosts: hosts.to_vec(), ..Group::default() };
    let children = ["kube_control_plane", "kube_node", "calico_rr"].map(str::to_owned).to_vec();
    inventory.groups = [
        ("kube_control_plane", hosts(&leaders)),
        ("etcd", hosts(&leaders)),
        ("kube_node", hosts(&workers)),
        ("calico_rr", Group::default()),
        ("k8s_cluster", Group { children, ..Group::default() }),
    ]
    .map(|(name, group)| (name.to_owned(), group))
    .into();
    inventory
}

/// What Kubespray is told of a cluster beside its hosts: files below the inventory's folder, and what is in them. Nothing
/// for other kinds of clusters.
pub fn kubespray_variables(cluster: &ClusterPlan) -> Vec<(&'static str, String)> {
    let Some(Kubernetes { cni, ingress, storage_class }) = &cluster.kubernetes else { return Vec::new() };
    let gateway = cluster.networks.first().map(|network| network.gateway);
    let is_local_path = storage_class == "local-path";
    let file = |variables: Value| {
        let mut text = String::from("# Made by ai-how from the config file.\n");
        entries(variables).iter().for_each(|(name, value)| yaml_line(&mut text, 0, name, value));
        text
    };
    vec![
        (
            "group_vars/all/dns-fix.yml",
            file(json!({"upstream_dns_servers": ["8.8.8.8", "8.8.4.4", "1.1.1.1"]})),
        ),
        (
            "group_vars/all/local-path-provisioner.yml",
            file(json!({
                "local_path_provisioner_enabled": is_local_path,
                "local_path_provisioner_is_default_storageclass": is_local_path.to_string(),
            })),
        ),
        (
            "group_vars/k8s_cluster/network.yml",
            file(json!({
                "cluster_name": format!("{}.local", cluster.name),
                "kube_network_plugin": cni,
                "ingress_nginx_enabled": ingress == "nginx",
            })),
        ),
        (
            // For our own role, which prepares the nodes.
            "group_vars/k8s_cluster/nodes.yml",
            file(json!({"kubernetes_node_name_servers": gateway.as_slice()})),
        ),
    ]
}

impl Inventory {
    /// The names of its hosts.
    pub fn hosts(&self) -> impl Iterator<Item = &String> {
        self.hosts.keys()
    }

    /// As Ansible reads INI files. In a host's line a value is quoted as a shell would want it.
    pub fn ini(&self) -> String {
        let mut out = String::from("[all]\n");
        for (name, variables) in &self.hosts {
            out.push_str(name);
            for (key, value) in variables {
                let _ = write!(out, " {key}={}", shell_quote(ini_value(value).as_ref()));
            }
            out.push('\n');
        }
        for (name, group) in &self.groups {
            let mut section = |kind: &str, lines: Vec<String>| {
                let _ = write!(out, "\n[{name}{kind}]\n");
                lines.iter().for_each(|line| out.push_str(&format!("{line}\n")));
            };
            if group.children.is_empty() {
                section("", group.hosts.clone());
            } else {
                section(":children", group.children.clone());
            }
            if !group.variables.is_empty() {
                let lines = group.variables.iter().map(|(key, value)| format!("{key}={}", ini_value(value)));
                section(":vars", lines.collect());
            }
        }
        out
    }

    /// As Ansible reads YAML files.
    pub fn yaml(&self) -> String {
        let mut out = String::from("all:\n  hosts:\n");
        for (name, variables) in &self.hosts {
            let _ = writeln!(out, "    {}:", Value::from(name.as_str()));
            variables.iter().for_each(|(key, value)| yaml_line(&mut out, 3, key, value));
        }
        out.push_str("  children:\n");
        for (name, group) in &self.groups {
            let _ = writeln!(out, "    {name}:");
            let named = |out: &mut String, kind: &str, names: &[String]| {
                let empty = if names.is_empty() { " {}" } else { "" };
                let _ = writeln!(out, "      {kind}:{empty}");
                names.iter().for_each(|name| {
                    out.push_str(&format!("        {}: {{}}\n", Value::from(name.as_str())))
                });
            };
            if group.children.is_empty() {
                named(&mut out, "hosts", &group.hosts);
            } else {
                named(&mut out, "children", &group.children);
            }
            if !group.variables.is_empty() {
                out.push_str("      vars:\n");
                group.variables.iter().for_each(|(key, value)| yaml_line(&mut out, 4, key, value));
            }
        }
        out
    }

    /// As programs read it, and Ansible's plugin for YAML files.
    pub fn json(&self) -> Value {
        let named = |names: &[String]| -> Value {
            names.iter().map(|name| (name.clone(), json!({}))).collect::<Map<_, _>>().into()
        };
        let group = |group: &Group| {
            let mut value = if group.children.is_empty() {
                json!({"hosts": named(&group.hosts)})
            } else {
                json!({"children": named(&group.children)})
            };
            if !group.variables.is_empty() {
                value["vars"] = json!(group.variables);
            }
            value
        };
        let groups: Map<String, Value> =
            self.groups.iter().map(|(name, found)| (name.clone(), group(found))).collect();
        json!({"all": {"hosts": self.hosts, "children": groups}})
    }
}

/// JSON is YAML, apart from what Ansible would take for a template.
fn yaml_line(out: &mut String, depth: usize, key: &str, value: &Value) {
    let tag = if value.as_str().is_some_and(|text| text.contains('{')) { "!unsafe " } else { "" };
    let _ = writeln!(out, "{:width$}{key}: {tag}{value}", "", width = 2 * depth);
}

/// Lists and mappings as JSON, words as they are, nothing for null.
fn ini_value(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        // Ansible reads values here as Python has them: `true` would be a text, and as such not false either.
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        // A line break would end the value.
        Value::String(text) => text.replace(['\n', '\r'], " "),
        other => other.to_string(),
    }
}

fn common(node: &NodePlan, reach: &Reach) -> Variables {
    let mut variables = entries(json!({
        "ansible_host": node.address(),
        "ansible_user": reach.user,
        "ansible_ssh_private_key_file": reach.key,
    }));
    if !reach.arguments.is_empty() {
        variables.insert("ansible_ssh_common_args".to_owned(), json!(reach.arguments));
    }
    variables
}

fn entries(object: Value) -> Variables {
    let Value::Object(object) = object else { return Variables::new() };
    Map::into_iter(object).collect()
}

/// `controller`, `compute01`: numbered compute nodes had no dash.
fn host_name(node: &NodePlan) -> String {
    match node.name.strip_prefix("compute-") {
        Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => format!("compute{number}"),
        _ => node.name.clone(),
    }
}

fn gpus(node: &NodePlan) -> impl Iterator<Item = &config::hardware::Device> {
    node.devices.iter().filter(|device| device.kind == DeviceKind::Gpu)
}
