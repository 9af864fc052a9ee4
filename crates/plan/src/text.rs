//! A plan as text for a person.

use std::fmt::Write;

use config::model::Kubernetes;

use crate::model::{ClusterPlan, NodePlan, Plan};

/// What will exist, as aligned columns.
pub fn text(plan: &Plan) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail, so the results are not looked at.
    let _ = writeln!(out, "lab {}  plan {}", plan.lab, plan.id);
    for cluster in &plan.clusters {
        let _ = writeln!(out, "\n{} cluster {}", cluster.kind, cluster.name);
        if !cluster.networks.is_empty() {
            out.push_str(&columns(&networks(cluster)));
            out.push('\n');
        }
        let rows = if cluster.is_appliance() { prompts(cluster) } else { nodes(cluster) };
        out.push_str(&columns(&rows));
        if let Some(slurm) = &cluster.slurm {
            out.push('\n');
            let mut rows = vec![row(["partition", "default", "max time", "nodes"])];
            for partition in &slurm.partitions {
                let default = if partition.name == slurm.default_partition { "yes" } else { "" };
                rows.push(row([&partition.name, default, &partition.max_time, &partition.nodes.join(" ")]));
            }
            out.push_str(&columns(&rows));
        }
        if let Some(Kubernetes { cni, ingress, storage_class }) = &cluster.kubernetes {
            out.push('\n');
            let titles = row(["network plugin", "ingress", "storage class"]);
            out.push_str(&columns(&[titles, row([cni, ingress, storage_class])]));
        }
    }
    let (cpus, memory) = total(plan.nodes().map(|(_, node)| node));
    let _ = writeln!(out, "\n{} nodes, {cpus} virtual CPUs, {memory} MiB", plan.nodes().count());
    out
}

/// Virtual processors and memory in MiB of all these nodes. A plan may come from a file that anybody wrote.
pub(crate) fn total<'a>(nodes: impl Iterator<Item = &'a NodePlan>) -> (u64, u64) {
    nodes.fold((0, 0), |(cpus, memory): (u64, u64), node| {
        (cpus.saturating_add(node.cpus.into()), memory.saturating_add(node.memory_mib))
    })
}

fn networks(cluster: &ClusterPlan) -> Vec<Vec<String>> {
    let mut rows = vec![row(["network", "subnet", "gateway", "bridge", "dhcp", "uuid"])];
    for network in &cluster.networks {
        let dhcp = format!("{}-{}", network.dhcp_start, network.dhcp_end);
        rows.push(row([
            &network.name,
            &network.subnet.to_string(),
            &network.gateway.to_string(),
            &network.bridge,
            &dhcp,
            &network.uuid.to_string(),
        ]));
    }
    rows
}

fn nodes(cluster: &ClusterPlan) -> Vec<Vec<String>> {
    let mut rows =
        vec![row(["node", "domain", "arch", "cpus", "MiB", "GiB", "address", "mac", "image", "uuid"])];
    for node in &cluster.nodes {
        let image = node.image.name().unwrap_or("unspecified");
        for (index, interface) in node.interfaces.iter().enumerate() {
            let (address, mac) = (interface.address.to_string(), &interface.mac);
            rows.push(if index == 0 {
                let uuid = node.uuid.to_string();
                let sizes = [node.cpus.to_string(), node.memory_mib.to_string(), node.disk_gib.to_string()];
                let [cpus, memory, disk] = &sizes;
                row([
                    &node.name,
                    &node.domain,
                    node.arch.name(),
                    cpus,
                    memory,
                    disk,
                    &address,
                    mac,
                    image,
                    &uuid,
                ])
            } else {
                row(["", "", "", "", "", "", &address, mac, "", ""])
            });
        }
    }
    rows
}

/// Appliances, which have neither disk nor network. What is added to a command line may be long, so it is last.
fn prompts(cluster: &ClusterPlan) -> Vec<Vec<String>> {
    let titles = row(["node", "domain", "arch", "cpus", "MiB", "model", "uuid", "append"]);
    let one = |node: &NodePlan| {
        let (cpus, memory, uuid) =
            (node.cpus.to_string(), node.memory_mib.to_string(), node.uuid.to_string());
        let model = node.image.name().unwrap_or("none");
        row([&node.name, &node.domain, node.arch.name(), &cpus, &memory, model, &uuid, &node.append])
    };
    [titles].into_iter().chain(cluster.nodes.iter().map(one)).collect()
}

/// What the prompt of an appliance loads and what its kernel is told, for pictures of a lab; nothing of other nodes.
pub(crate) fn told(node: &NodePlan) -> Vec<String> {
    if !node.is_appliance() {
        return Vec::new();
    }
    let append = Some(&node.append).filter(|append| !append.is_empty());
    let model = format!("model {}", node.image.name().unwrap_or("none"));
    [model].into_iter().chain(append.map(|append| format!("append {append}"))).collect()
}

pub(crate) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// Aligns the columns of rows of equal length, two spaces apart, indented by two.
pub fn columns<R: AsRef<[String]>>(rows: &[R]) -> String {
    let rows: Vec<&[String]> = rows.iter().map(AsRef::as_ref).collect();
    let count = rows.first().map_or(0, |row| row.len());
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    rows.iter()
        .map(|row| {
            let line: String =
                row.iter().zip(&widths).map(|(cell, width)| format!("  {cell:width$}")).collect();
            format!("{}\n", line.trim_end())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::{
        derive::plan,
        model::tests::{lab, mixed_lab},
        text,
    };

    #[test]
    fn sizes_that_no_number_holds_are_added_up() {
        let mut lab = lab();
        for node in lab.clusters.iter_mut().flat_map(|cluster| &mut cluster.nodes) {
            (node.cpus, node.memory_mib) = (u32::MAX, u64::MAX);
        }
        let plan = plan(&lab);
        let cpus = plan.nodes().count() as u64 * u64::from(u32::MAX);
        let words = format!("{cpus} virtual CPUs, {} MiB", u64::MAX);
        let labs = [crate::topology::Shown { plan: &plan, states: [].into() }];
        for text in [text(&plan), crate::topology::text(&labs)] {
            assert!(text.contains(&words), "{text}");
        }
    }

    #[test]
    fn a_person_sees_every_choice() {
        insta::assert_snapshot!(text(&plan(&lab())));
    }

    #[test]
    fn an_appliance_has_a_model_and_no_address() {
        let text = text(&plan(&mixed_lab()));
        assert!(!text.contains("0.0.0.0"), "{text}");
        insta::assert_snapshot!(text);
    }
}
