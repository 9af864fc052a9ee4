//! The planned machines of a lab in the form that the tools around version 1.0 read: `plan clusters`.
//!
//! Keys, their order, types and default values are those of version 1.0. What the document says of a network, of images or
//! of devices is handed on as it is written. The names are those that the machines get.

use std::{fmt::Write, iter::repeat_n};

use config::model::Role;
use serde_json::{Map, Value, json};

use crate::{
    model::{ClusterPlan, NodePlan, Plan},
    text::{columns, row},
};

/// The planned machines as data. `document` is the config file as data, expressions replaced.
pub fn json(plan: &Plan, document: &Value) -> Value {
    let metadata = match &document["metadata"] {
        Value::Null => {
            json!({"name": plan.lab, "description": document["description"].as_str().unwrap_or("")})
        }
        given => given.clone(),
    };
    let clusters: Map<String, Value> =
        plan.clusters.iter().map(|cluster| (cluster.key.clone(), cluster_json(cluster, document))).collect();
    json!({"metadata": metadata, "clusters": clusters})
}

fn cluster_json(cluster: &ClusterPlan, document: &Value) -> Value {
    let written = &document["clusters"][&cluster.key];
    let nodes = cluster.nodes.iter().enumerate();
    let vms: Vec<Value> = nodes.map(|(index, node)| vm_json(node, written, index)).collect();
    let image = written["base_image_path"].as_str().or(written["image"].as_str()).unwrap_or("unknown");
    json!({
        "name": cluster.name,
        "type": cluster_type(cluster),
        "network": network(cluster, written),
        // Appliances have a model, or nothing.
        "base_image": if cluster.is_appliance() { written["model"].clone() } else { json!(image) },
        "vms": vms,
    })
}

/// A cluster's network as the document says it in version 1.0, or what would say the same.
pub fn network(cluster: &ClusterPlan, written: &Value) -> Value {
    match (&written["network"], cluster.networks.first()) {
        (Value::Null, None) => json!({}),
        (Value::Null, Some(network)) => {
            json!({"subnet": network.subnet, "gateway_ip": network.gateway, "bridge": network.bridge})
        }
        (given, _) => given.clone(),
    }
}

fn vm_json(node: &NodePlan, cluster: &Value, index: usize) -> Value {
    let passthrough = passthrough(node_in(cluster, index));
    let image = base_image(node, cluster, index);
    json!({
        "name": node.domain,
        "type": vm_type(node),
        "cpu_cores": node.cpus,
        "memory_gb": gib(node.memory_mib),
        "disk_gb": node.disk_gib,
        "ip_address": node.own_address(),
        "base_image": if node.is_appliance() { json!(node.image.name()) } else { json!(image) },
        "gpu_assigned": gpu(&passthrough),
        "pcie_passthrough": passthrough,
    })
}

/// What a document of version 1.0 says of a cluster's node, the controller being the first; null in other versions.
fn node_in(cluster: &Value, index: usize) -> &Value {
    let Some(index) = index.checked_sub(1) else {
        return cluster.get("controller").or_else(|| cluster.get("control_plane")).unwrap_or(&Value::Null);
    };
    let nodes = cluster.get("compute_nodes").or_else(|| cluster.get("worker_nodes")).unwrap_or(&Value::Null);
    // Counted nodes are all the same.
    if nodes.is_object() { nodes } else { &nodes[index] }
}

/// The image of the node with this place in its cluster, as the document writes it: a path is relative there.
pub fn base_image<'a>(node: &'a NodePlan, cluster: &'a Value, index: usize) -> &'a str {
    written_image(node_in(cluster, index), cluster).or(node.image.name()).unwrap_or("unknown")
}

fn written_image<'a>(node: &'a Value, cluster: &'a Value) -> Option<&'a str> {
    let own = node["base_image_path"].as_str().or(node["image_path"].as_str());
    own.or(cluster["base_image_path"].as_str())
}

fn passthrough(node: &Value) -> Value {
    match &node["pcie_passthrough"] {
        Value::Null => json!({}),
        given => given.clone(),
    }
}

/// The most machines of one kind that a count may stand for.
const MOST: usize = 10_000;

/// What a document of version 1.0 says of its machines whatever is wrong with it, in the same form. What it leaves out is
/// zero, `dhcp` or `unknown`. `None` where it is nothing of the kind.
pub fn as_written(document: &Value) -> Option<Value> {
    let clusters = document["clusters"].as_object()?;
    let known = ["hpc", "cloud"].into_iter().filter_map(|key| Some((key, clusters.get(key)?)));
    let clusters: Map<String, Value> =
        known.map(|(key, cluster)| (key.to_owned(), cluster_as_written(key, cluster))).collect();
    let metadata = if document["metadata"].is_null() { json!({}) } else { document["metadata"].clone() };
    Some(json!({"metadata": metadata, "clusters": clusters}))
}

fn cluster_as_written(key: &str, cluster: &Value) -> Value {
    let name = cluster["name"].as_str().unwrap_or(key);
    let (leads, lead_type, nodes) = match key {
        "hpc" => ("controller", "controller", &cluster["compute_nodes"]),
        _ => ("control_plane", "control_plane", &cluster["worker_nodes"]),
    };
    let lead = Some(&cluster[leads]).filter(|node| node.is_object());
    let lead = lead
        .map(|node| vm_as_written(&format!("{name}-{}", leads.replace('_', "-")), lead_type, node, cluster));
    json!({
        "name": name,
        "type": key,
        "network": if cluster["network"].is_null() { json!({}) } else { cluster["network"].clone() },
        "base_image": cluster["base_image_path"].as_str().unwrap_or("unknown"),
        "vms": lead.into_iter().chain(nodes_as_written(key, name, nodes, cluster)).collect::<Vec<_>>(),
    })
}

/// Nodes as a list, as one with a count, or in lists by type, as files had them before version 1.0.
fn nodes_as_written(key: &str, cluster_name: &str, nodes: &Value, cluster: &Value) -> Vec<Value> {
    let numbered = |short: &str, vm_type: &str, nodes: &mut dyn Iterator<Item = &Value>| -> Vec<Value> {
        let name = |at: usize| format!("{cluster_name}-{short}-{:02}", at + 1);
        nodes.enumerate().map(|(at, node)| vm_as_written(&name(at), vm_type, node, cluster)).collect()
    };
    let one_list = |nodes: &mut dyn Iterator<Item = &Value>| {
        if key == "hpc" {
            return numbered("compute", "compute", nodes);
        }
        let (with, without): (Vec<&Value>, Vec<&Value>) =
            nodes.partition(|node| gpu(&passthrough(node)).is_some());
        let mut all = numbered("cpu-worker", "worker", &mut without.into_iter());
        all.extend(numbered("gpu-worker", "worker", &mut with.into_iter()));
        all
    };
    match nodes {
        Value::Array(list) => one_list(&mut list.iter()),
        Value::Object(by_type) => match by_type.get("count").and_then(Value::as_u64) {
            Some(count) => one_list(&mut repeat_n(nodes, usize::try_from(count).unwrap_or(MOST).min(MOST))),
            None => by_type
                .iter()
                .filter_map(|(kind, list)| Some((kind, list.as_array()?)))
                .flat_map(|(kind, list)| numbered(kind, &format!("worker_{kind}"), &mut list.iter()))
                .collect(),
        },
        _ => Vec::new(),
    }
}

fn vm_as_written(name: &str, vm_type: &str, node: &Value, cluster: &Value) -> Value {
    let number = |key: &str| if node[key].is_null() { json!(0) } else { node[key].clone() };
    let passthrough = passthrough(node);
    json!({
        "name": name,
        "type": vm_type,
        "cpu_cores": number("cpu_cores"),
        "memory_gb": number("memory_gb"),
        "disk_gb": number("disk_gb"),
        "ip_address": node["ip"].as_str().or(node["ip_address"].as_str()).unwrap_or("dhcp"),
        "base_image": written_image(node, cluster).unwrap_or("unknown"),
        "gpu_assigned": gpu(&passthrough),
        "pcie_passthrough": passthrough,
    })
}

/// The first GPU: `0000:01:00.0 (10de:2805)`.
fn gpu(passthrough: &Value) -> Option<String> {
    let devices = passthrough["devices"].as_array().filter(|_| passthrough["enabled"] == true)?;
    let gpu = devices.iter().find(|device| device["device_type"] == "gpu")?;
    let word = |key: &str| gpu[key].as_str().unwrap_or("unknown");
    Some(format!("{} ({}:{})", word("pci_address"), word("vendor_id"), word("device_id")))
}

/// GiB, without a fraction where there is none.
pub fn gib(mib: u64) -> Value {
    if mib.is_multiple_of(1024) { json!(mib / 1024) } else { json!(mib as f64 / 1024.0) }
}

fn cluster_type(cluster: &ClusterPlan) -> &'static str {
    match cluster.slurm.is_some() {
        true => "hpc",
        false if cluster.is_appliance() => "appliance",
        false => "cloud",
    }
}

fn vm_type(node: &NodePlan) -> &'static str {
    match node.role {
        Role::Controller => "controller",
        Role::Compute => "compute",
        Role::ControlPlane => "control_plane",
        Role::Worker => "worker",
        Role::Appliance => "appliance",
    }
}

/// The planned machines for a person: what [`json()`] or [`as_written`] gives.
pub fn text(list: &Value) -> String {
    let (mut out, mut count) = (String::new(), 0);
    for (title, rows) in tables(list) {
        let _ = writeln!(out, "{} cluster {}", title.cluster_type, title.name);
        out.push_str(&columns(&rows));
        out.push('\n');
        count += rows.len() - 1;
    }
    let _ = writeln!(out, "{count} machines");
    out
}

/// The same as Markdown tables.
pub fn markdown(list: &Value) -> String {
    let mut out = format!("# {}\n", cell(&list["metadata"]["name"]));
    for (title, rows) in tables(list) {
        let _ = writeln!(out, "\n## {} ({})\n", title.name, title.cluster_type);
        for (index, cells) in rows.iter().enumerate() {
            // A bar in a name would end its cell.
            let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
            let _ = writeln!(out, "| {} |", cells.join(" | "));
            if index == 0 {
                let _ = writeln!(out, "|{}", " --- |".repeat(cells.len()));
            }
        }
    }
    out
}

struct Title {
    name: String,
    cluster_type: String,
}

fn tables(list: &Value) -> Vec<(Title, Vec<Vec<String>>)> {
    let table = |cluster: &Value| {
        let mut rows = vec![row(["machine", "type", "cpus", "GiB", "disk", "address", "image", "gpu"])];
        let keys =
            ["name", "type", "cpu_cores", "memory_gb", "disk_gb", "ip_address", "base_image", "gpu_assigned"];
        let vms = cluster["vms"].as_array().into_iter().flatten();
        rows.extend(vms.map(|vm| keys.map(|key| cell(&vm[key])).to_vec()));
        (Title { name: cell(&cluster["name"]), cluster_type: cell(&cluster["type"]) }, rows)
    };
    list["clusters"].as_object().into_iter().flatten().map(|(_, cluster)| table(cluster)).collect()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{markdown, text};
    use crate::{
        derive::plan,
        model::tests::{lab, mixed_lab},
    };

    #[test]
    fn version_2_has_the_same_keys() {
        let document = json!({"version": "2.0", "name": "lab", "description": "A lab"});
        let list = super::json(&plan(&lab()), &document);
        assert_eq!(list["metadata"], json!({"name": "lab", "description": "A lab"}));
        let cluster = &list["clusters"]["hpc"];
        assert_eq!((&cluster["type"], &cluster["network"]["subnet"]), (&json!("hpc"), &json!("10.9.8.0/24")));
        let expected = json!({
            "name": "hpc-controller", "type": "controller", "cpu_cores": 1, "memory_gb": 0.75, "disk_gb": 8,
            "ip_address": "10.9.8.10", "base_image": "debian-13", "gpu_assigned": null, "pcie_passthrough": {},
        });
        assert_eq!(cluster["vms"][0], expected);
    }

    #[test]
    fn an_appliance_is_no_cloud() {
        let list = super::json(&plan(&mixed_lab()), &json!({"clusters": {"prompts": {"kind": "appliance"}}}));
        assert_eq!(list["clusters"]["hpc"]["type"], "hpc");
        let cluster = &list["clusters"]["prompts"];
        assert_eq!((&cluster["type"], &cluster["network"]), (&json!("appliance"), &json!({})));
        assert_eq!(cluster["base_image"], json!(null));
        let expected = json!({
            "name": "prompts-prompt-02", "type": "appliance", "cpu_cores": 2, "memory_gb": 0.25, "disk_gb": 0,
            "ip_address": null, "base_image": "models/phi.gguf", "gpu_assigned": null, "pcie_passthrough": {},
        });
        assert_eq!(cluster["vms"][1], expected);
        assert_eq!(cluster["vms"][0]["base_image"], json!(null));
        for text in [text(&list), markdown(&list)] {
            assert!(!text.contains("0.0.0.0") && !text.contains("cloud"), "{text}");
        }
    }

    #[test]
    fn an_image_is_named_as_the_document_names_it() {
        let own = json!({"base_image_path": "own.qcow2"});
        let document =
            json!({"clusters": {"hpc": {"base_image_path": "../a.qcow2", "compute_nodes": [own, {}]}}});
        let list = super::json(&plan(&lab()), &document);
        let images = [0, 1, 2].map(|at| list["clusters"]["hpc"]["vms"][at]["base_image"].clone());
        assert_eq!(images, ["../a.qcow2", "own.qcow2", "../a.qcow2"]);
    }

    #[test]
    fn people_see_every_machine() {
        let list = super::json(&plan(&lab()), &json!({}));
        insta::assert_snapshot!(format!("{}\n{}", text(&list), markdown(&list)));
    }

    #[test]
    fn a_document_that_is_wrong_is_listed_as_it_is_written() {
        let node = |ip: &str| json!({"cpu_cores": 8, "memory_gb": 16, "disk_gb": 200, "ip": ip});
        let gpu = json!({"pcie_passthrough": {"enabled": true, "devices": [
            {"pci_address": "0000:01:00.0", "device_type": "gpu", "vendor_id": "10de", "device_id": "2805"}]}});
        let document = json!({
            "metadata": {"name": "w"},
            "clusters": {
                "cloud": {"name": "c", "worker_nodes": [node("DHCP"), gpu, {}], "control_plane": {}},
                "hpc": {"name": "h", "base_image_path": "a.qcow2", "compute_nodes": {"count": 2, "ip": "DHCP"}},
            },
        });
        let list = super::as_written(&document).unwrap();
        assert_eq!(list["metadata"], json!({"name": "w"}));
        let clusters: Vec<&String> = list["clusters"].as_object().unwrap().keys().collect();
        assert_eq!(clusters, ["hpc", "cloud"]);
        let names = |key: &str| -> Vec<String> {
            let vms = list["clusters"][key]["vms"].as_array().unwrap();
            vms.iter()
                .map(|vm| format!("{} {}", super::cell(&vm["name"]), super::cell(&vm["type"])))
                .collect()
        };
        assert_eq!(names("hpc"), ["h-compute-01 compute", "h-compute-02 compute"]);
        assert_eq!(
            names("cloud"),
            [
                "c-control-plane control_plane",
                "c-cpu-worker-01 worker",
                "c-cpu-worker-02 worker",
                "c-gpu-worker-01 worker"
            ]
        );
        let cloud = &list["clusters"]["cloud"];
        assert_eq!((&cloud["network"], &cloud["base_image"]), (&json!({}), &json!("unknown")));
        let empty = json!({
            "name": "c-control-plane", "type": "control_plane", "cpu_cores": 0, "memory_gb": 0, "disk_gb": 0,
            "ip_address": "dhcp", "base_image": "unknown", "gpu_assigned": null, "pcie_passthrough": {},
        });
        assert_eq!(cloud["vms"][0], empty);
        assert_eq!(
            (&cloud["vms"][1]["ip_address"], &cloud["vms"][3]["gpu_assigned"]),
            (&json!("DHCP"), &json!("0000:01:00.0 (10de:2805)"))
        );
        assert_eq!(list["clusters"]["hpc"]["vms"][0]["base_image"], "a.qcow2");

        // As files had it before version 1.0, and nothing at all.
        let old =
            json!({"clusters": {"cloud": {"name": "c", "worker_nodes": {"cpu": [{}], "gpu": [{}, {}]}}}});
        let list = super::as_written(&old).unwrap();
        let vms = list["clusters"]["cloud"]["vms"].as_array().unwrap();
        let names: Vec<_> =
            vms.iter().map(|vm| (super::cell(&vm["name"]), super::cell(&vm["type"]))).collect();
        let expected = [("c-cpu-01", "worker_cpu"), ("c-gpu-01", "worker_gpu"), ("c-gpu-02", "worker_gpu")];
        assert_eq!(names, expected.map(|(name, vm_type)| (name.to_owned(), vm_type.to_owned())));
        let nothing = json!({"metadata": {}, "clusters": {}});
        assert_eq!(super::as_written(&nothing), Some(nothing));
        assert_eq!(super::as_written(&json!([1])), None);
    }
}
