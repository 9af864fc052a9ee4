//! Labs as a tree: clusters, networks, nodes, and the devices of the host that nodes want, with those that want the same.

use std::{collections::BTreeMap, fmt::Write};

use config::hardware::{Device, DeviceKind, DeviceSource};
use serde_json::{Value, json};

use crate::{
    model::{ClusterPlan, NodePlan, Plan},
    text::{told, total},
};

/// A lab, and what is known of its machines.
#[derive(Debug)]
pub struct Shown<'a> {
    /// The lab.
    pub plan: &'a Plan,
    /// What the machines do, by domain; empty when only the plan is shown.
    pub states: BTreeMap<String, String>,
}

/// Who wants each device, by domain.
type Owners<'a> = BTreeMap<&'a DeviceSource, Vec<&'a str>>;

fn owners<'a>(labs: &'a [Shown<'a>]) -> Owners<'a> {
    let mut owners = Owners::new();
    for node in labs.iter().flat_map(|lab| lab.plan.nodes()).map(|(_, node)| node) {
        for device in &node.devices {
            owners.entry(&device.source).or_default().push(&node.domain);
        }
    }
    owners
}

fn others<'a>(owners: &Owners<'a>, node: &NodePlan, device: &Device) -> Vec<&'a str> {
    let all = owners.get(&device.source).into_iter().flatten();
    all.filter(|owner| **owner != node.domain).copied().collect()
}

/// For a person.
pub fn text(labs: &[Shown<'_>]) -> String {
    let owners = owners(labs);
    let mut out = String::new();
    for lab in labs {
        // Writing to a string cannot fail, so the results are not looked at.
        let _ = writeln!(out, "{}", lab.plan.lab);
        let last = lab.plan.clusters.len().saturating_sub(1);
        for (index, cluster) in lab.plan.clusters.iter().enumerate() {
            let (branch, stem) =
                if index == last { ("└── ", "    ") } else { ("├── ", "│   ") };
            let _ = writeln!(out, "{branch}{} ({})", cluster.name, cluster.kind);
            leaves(cluster, lab, &owners).iter().for_each(|line| {
                let _ = writeln!(out, "{stem}{line}");
            });
        }
    }
    let nodes = || labs.iter().flat_map(|lab| lab.plan.nodes()).map(|(_, node)| node);
    let (cpus, memory) = total(nodes());
    let _ = writeln!(out, "{} machines, {cpus} virtual CPUs, {memory} MiB", nodes().count());
    out
}

/// The networks of a cluster and its nodes, with their devices below them.
fn leaves(cluster: &ClusterPlan, lab: &Shown<'_>, owners: &Owners<'_>) -> Vec<String> {
    let width = cluster.nodes.iter().map(|node| node.name.chars().count()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for network in &cluster.networks {
        let text = format!("network {}: {} on {}", network.name, network.subnet, network.bridge);
        lines.push(("├── ", "│   ", text, Vec::new()));
    }
    for node in &cluster.nodes {
        let state = lab.states.get(&node.domain).map(|state| format!("  {state}")).unwrap_or_default();
        let address = node.own_address().map(|address| format!("  {address}")).unwrap_or_default();
        let mut parts = vec![format!("{} CPUs", node.cpus), format!("{} MiB", node.memory_mib)];
        parts.extend((!node.is_appliance()).then(|| format!("{} GiB", node.disk_gib)));
        parts.extend(told(node));
        let text = format!("{:width$}{address}  {}{state}", node.name, parts.join(", "));
        let devices = node.devices.iter().map(|device| device_line(node, device, owners)).collect();
        lines.push(("├── ", "│   ", text, devices));
    }
    if let Some((branch, stem, ..)) = lines.last_mut() {
        (*branch, *stem) = ("└── ", "    ");
    }
    let below = |stem: &str, devices: Vec<String>| {
        let last = devices.len().saturating_sub(1);
        let line = |(index, device)| format!("{stem}{}{device}", if index == last { "└── " } else { "├── " });
        devices.into_iter().enumerate().map(line).collect::<Vec<_>>()
    };
    let whole = |(branch, stem, text, devices): (&str, &str, String, Vec<String>)| {
        [vec![format!("{branch}{text}")], below(stem, devices)].concat()
    };
    lines.into_iter().flat_map(whole).collect()
}

fn device_line(node: &NodePlan, device: &Device, owners: &Owners<'_>) -> String {
    let ids = match (&device.vendor_id, &device.device_id) {
        (Some(vendor), Some(id)) => format!(" ({vendor}:{id})"),
        _ => String::new(),
    };
    let others = others(owners, node, device);
    let shared =
        if others.is_empty() { String::new() } else { format!("  SHARED with {}", others.join(", ")) };
    format!("{} {}{ids}{shared}", kind(device.kind), device.source)
}

fn kind(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Gpu => "GPU",
        DeviceKind::Audio => "audio",
        DeviceKind::Network => "network card",
        DeviceKind::Storage => "disk",
        DeviceKind::Other => "device",
    }
}

/// For a program.
pub fn json(labs: &[Shown<'_>]) -> Value {
    let owners = owners(labs);
    let node = |lab: &Shown<'_>, node: &NodePlan| {
        let device = |device: &Device| {
            json!({
                "device": device.source.to_string(),
                "kind": device.kind,
                "vendor_id": device.vendor_id,
                "device_id": device.device_id,
                "shared_with": others(&owners, node, device),
            })
        };
        let mut shown = json!({
            "name": node.name,
            "domain": node.domain,
            "role": node.role,
            "cpus": node.cpus,
            "memory_mib": node.memory_mib,
            "disk_gib": node.disk_gib,
            "address": node.own_address(),
            "state": lab.states.get(&node.domain),
            "devices": node.devices.iter().map(device).collect::<Vec<_>>(),
        });
        if node.is_appliance() {
            shown["model"] = json!(node.image.name());
            shown["append"] = json!(node.append);
        }
        shown
    };
    let cluster = |lab: &Shown<'_>, cluster: &ClusterPlan| {
        json!({
            "key": cluster.key,
            "name": cluster.name,
            "kind": cluster.kind,
            "networks": cluster.networks.iter().map(|network| {
                json!({"name": network.name, "subnet": network.subnet, "bridge": network.bridge})
            }).collect::<Vec<_>>(),
            "nodes": cluster.nodes.iter().map(|of| node(lab, of)).collect::<Vec<_>>(),
        })
    };
    let lab = |lab: &Shown<'_>| {
        json!({
            "lab": lab.plan.lab,
            "clusters": lab.plan.clusters.iter().map(|of| cluster(lab, of)).collect::<Vec<_>>(),
        })
    };
    json!({"labs": labs.iter().map(lab).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use config::hardware::{Device, DeviceKind, DeviceSource};

    use super::{Shown, text};
    use crate::{
        derive::plan,
        model::tests::{lab, mixed_lab},
    };

    #[test]
    fn an_appliance_has_a_model_where_others_have_an_address() {
        let plan = plan(&mixed_lab());
        let states = [("prompts-prompt-01".to_owned(), "running".to_owned())].into();
        let labs = [Shown { plan: &plan, states }];
        insta::assert_snapshot!(text(&labs));
        let json = super::json(&labs);
        let node = |at: usize| &json["labs"][0]["clusters"][1]["nodes"][at];
        assert!(node(0)["address"].is_null() && node(0)["model"].is_null(), "{json:#}");
        assert_eq!(
            (&node(1)["model"], &node(1)["append"]),
            (&"models/phi.gguf".into(), &"zosia.diag=1".into())
        );
        let other = &json["labs"][0]["clusters"][0]["nodes"][0];
        assert!(other["address"] == "10.9.8.10" && other.get("model").is_none(), "{json:#}");
    }

    #[test]
    fn two_nodes_that_want_the_same_device_are_told() {
        let mut lab = lab();
        let gpu = Device {
            source: DeviceSource::Pci("0000:01:00.0".into()),
            kind: DeviceKind::Gpu,
            vendor_id: Some("10de".into()),
            device_id: Some("2805".into()),
        };
        lab.clusters[0].nodes[1].devices = vec![gpu.clone()];
        lab.clusters[0].nodes[2].devices = vec![gpu];
        let plan = plan(&lab);
        let states = [("hpc-controller".to_owned(), "running".to_owned())].into();
        let labs = [Shown { plan: &plan, states }];
        insta::assert_snapshot!(text(&labs));
        let json = super::json(&labs);
        let node = &json["labs"][0]["clusters"][0]["nodes"][1];
        assert_eq!(node["devices"][0]["shared_with"][0], "hpc-compute-02", "{json:#}");
    }
}
