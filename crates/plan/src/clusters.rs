//! The planned machines of a lab in the form that the tools around version 1.0 read: `plan clusters`.
//!
//! Keys, their order, types and default values are those of version 1.0. What the document says of a network or of devices
//! is handed on as it is written. The names are those that the machines get.

use std::fmt::Write;

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
    let vms: Vec<Value> = nodes.map(|(index, node)| vm_json(node, node_in(written, index))).collect();
    json!({
        "name": cluster.name,
        "type": cluster_type(cluster),
        "network": network(cluster, written),
        "base_image": written["base_image_path"].as_str().or(written["image"].as_str()).unwrap_or("unknown"),
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

fn vm_json(node: &NodePlan, written: &Value) -> Value {
    let passthrough = match &written["pcie_passthrough"] {
        Value::Null => json!({}),
        given => given.clone(),
    };
    json!({
        "name": node.domain,
        "type": vm_type(node),
        "cpu_cores": node.cpus,
        "memory_gb": gib(node.memory_mib),
        "disk_gb": node.disk_gib,
        "ip_address": node.address(),
        "base_image": image(node),
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
    if cluster.slurm.is_some() { "hpc" } else { "cloud" }
}

fn vm_type(node: &NodePlan) -> &'static str {
    match node.role {
        Role::Controller => "controller",
        Role::Compute => "compute",
        Role::ControlPlane => "control_plane",
        Role::Worker => "worker",
    }
}

fn image(node: &NodePlan) -> &str {
    node.image.name().unwrap_or("unknown")
}

/// The planned machines for a person.
pub fn text(plan: &Plan, document: &Value) -> String {
    let mut out = String::new();
    for (cluster, rows) in tables(plan, document) {
        let _ = writeln!(out, "{} cluster {}", cluster_type(cluster), cluster.name);
        out.push_str(&columns(&rows));
        out.push('\n');
    }
    let _ = writeln!(out, "{} machines", plan.nodes().count());
    out
}

/// The planned machines as Markdown tables.
pub fn markdown(plan: &Plan, document: &Value) -> String {
    let mut out = format!("# {}\n", plan.lab);
    for (cluster, rows) in tables(plan, document) {
        let _ = writeln!(out, "\n## {} ({})\n", cluster.name, cluster_type(cluster));
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

fn tables<'a>(plan: &'a Plan, document: &Value) -> Vec<(&'a ClusterPlan, Vec<Vec<String>>)> {
    let table = |cluster: &'a ClusterPlan| {
        let mut rows = vec![row(["machine", "type", "cpus", "GiB", "disk", "address", "image", "gpu"])];
        for (index, node) in cluster.nodes.iter().enumerate() {
            let written = node_in(&document["clusters"][&cluster.key], index);
            rows.push(row([
                &node.domain,
                vm_type(node),
                &node.cpus.to_string(),
                &gib(node.memory_mib).to_string(),
                &node.disk_gib.to_string(),
                &node.address().to_string(),
                image(node),
                &gpu(&written["pcie_passthrough"]).unwrap_or_default(),
            ]));
        }
        (cluster, rows)
    };
    plan.clusters.iter().map(table).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{markdown, text};
    use crate::{derive::plan, model::tests::lab};

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
    fn people_see_every_machine() {
        let (plan, document) = (plan(&lab()), json!({}));
        insta::assert_snapshot!(format!("{}\n{}", text(&plan, &document), markdown(&plan, &document)));
    }
}
