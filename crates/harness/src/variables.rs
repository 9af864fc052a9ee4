//! The plan as a snippet sees it: shell variables, the same for every check, and `${NAME}` in what is expected.
//!
//! `docs/writing-checks.md` documents each of them; a test holds the two together.

use std::{ffi::OsStr, fmt::Write};

use config::model::Role;
use plan::model::{ClusterPlan, NodePlan};
use system::process::shell_quote;

/// Every plain variable. A `${NAME}` in an expectation names one of these.
pub(crate) const NAMES: [&str; 24] = [
    "CLUSTER_NAME",
    "CONTROLLER",
    "CONTROLLER_ADDRESS",
    "COMPUTE_NODES",
    "FIRST_COMPUTE",
    "WORKERS",
    "NODES",
    "PARTITIONS",
    "DEFAULT_PARTITION",
    "NODE",
    "NODE_ROLE",
    "NODE_ARCH",
    "NODE_CPUS",
    "NODE_MEMORY_MIB",
    "NODE_DISK_GIB",
    "NODE_MODEL",
    "NODE_APPEND",
    "NODE_ADDRESS",
    "NODE_ADDRESSES",
    "NODE_MAC",
    "NODE_MACS",
    "GATEWAY",
    "SUBNET",
    "DOMAIN",
];

/// The associative arrays, keyed by node (`..._OF`) or by partition.
#[cfg(test)]
pub(crate) const ARRAYS: [&str; 5] =
    ["ADDRESS_OF", "CPUS_OF", "MEMORY_MIB_OF", "PARTITION_NODES", "PARTITION_MAX_TIME"];

/// Whether the node leads its cluster.
pub(crate) fn leads(node: &NodePlan) -> bool {
    matches!(node.role, Role::Controller | Role::ControlPlane)
}

/// Whether the node is there for jobs.
pub(crate) fn works(node: &NodePlan) -> bool {
    !leads(node) && !node.is_appliance()
}

/// The compute nodes that jobs get without naming a partition: those of the default partition, or all of them.
pub(crate) fn workers(cluster: &ClusterPlan) -> impl Iterator<Item = &NodePlan> {
    let slurm = cluster.slurm.as_ref();
    let default = slurm.and_then(|slurm| slurm.partitions.iter().find(|p| p.name == slurm.default_partition));
    let wanted = move |node: &&NodePlan| default.is_none_or(|partition| partition.nodes.contains(&node.name));
    cluster.nodes.iter().filter(|node| node.auto_start && works(node)).filter(wanted)
}

/// What a snippet on `node` of `cluster` may know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Variables<'a> {
    pub(crate) cluster: &'a ClusterPlan,
    pub(crate) node: &'a NodePlan,
}

impl Variables<'_> {
    /// The value of a plain variable. Nodes that do not start with the cluster are in no list.
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        let (cluster, node) = (self.cluster, self.node);
        let network = cluster.networks.first();
        let slurm = cluster.slurm.as_ref();
        let joined = |nodes: &mut dyn Iterator<Item = &NodePlan>| {
            nodes.map(|node| node.name.as_str()).collect::<Vec<_>>().join(" ")
        };
        let started = || cluster.nodes.iter().filter(|node| node.auto_start);
        let controller = cluster.nodes.iter().find(|node| leads(node));
        let value = match name {
            "CLUSTER_NAME" => cluster.name.clone(),
            "CONTROLLER" => controller.map(|node| node.name.clone()).unwrap_or_default(),
            "CONTROLLER_ADDRESS" => controller.map(address).unwrap_or_default(),
            "COMPUTE_NODES" => joined(&mut started().filter(|node| works(node))),
            "FIRST_COMPUTE" => joined(&mut workers(cluster).take(1)),
            "WORKERS" => joined(&mut workers(cluster)),
            "NODES" => joined(&mut started()),
            "PARTITIONS" => slurm
                .map(|slurm| slurm.partitions.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(" "))
                .unwrap_or_default(),
            "DEFAULT_PARTITION" => slurm.map(|slurm| slurm.default_partition.clone()).unwrap_or_default(),
            "NODE" => node.name.clone(),
            "NODE_ROLE" => role(node).to_owned(),
            "NODE_ARCH" => node.arch.to_string(),
            "NODE_CPUS" => node.cpus.to_string(),
            "NODE_MEMORY_MIB" => node.memory_mib.to_string(),
            "NODE_DISK_GIB" => node.disk_gib.to_string(),
            "NODE_MODEL" => model(node).unwrap_or_default().to_owned(),
            "NODE_APPEND" => node.append.clone(),
            "NODE_ADDRESS" => address(node),
            "NODE_ADDRESSES" => words(node.interfaces.iter().map(|interface| interface.address.to_string())),
            "NODE_MAC" => node.interfaces.first().map(|interface| interface.mac.clone()).unwrap_or_default(),
            "NODE_MACS" => words(node.interfaces.iter().map(|interface| interface.mac.clone())),
            "GATEWAY" => network.map(|network| network.gateway.to_string()).unwrap_or_default(),
            "SUBNET" => network.map(|network| network.subnet.to_string()).unwrap_or_default(),
            "DOMAIN" => network.map(|network| network.domain.clone()).unwrap_or_default(),
            _ => return None,
        };
        Some(value)
    }

    /// All of them as bash source.
    pub(crate) fn source(&self) -> String {
        let mut source = String::new();
        for name in NAMES {
            let value = self.value(name).unwrap_or_default();
            line(&mut source, format_args!("export {name}={}", quoted(&value)));
        }
        let nodes = || self.cluster.nodes.iter();
        array(&mut source, "ADDRESS_OF", nodes().map(|node| (&node.name, address(node))));
        array(&mut source, "CPUS_OF", nodes().map(|node| (&node.name, node.cpus.to_string())));
        array(&mut source, "MEMORY_MIB_OF", nodes().map(|node| (&node.name, node.memory_mib.to_string())));
        let partitions = || self.cluster.slurm.iter().flat_map(|slurm| &slurm.partitions);
        array(&mut source, "PARTITION_NODES", partitions().map(|p| (&p.name, p.nodes.join(" "))));
        array(&mut source, "PARTITION_MAX_TIME", partitions().map(|p| (&p.name, p.max_time.clone())));
        source
    }
}

/// The model that an appliance has on its disk.
pub(crate) fn model(node: &NodePlan) -> Option<&str> {
    node.image.name().filter(|_| node.is_appliance())
}

fn role(node: &NodePlan) -> &'static str {
    if leads(node) {
        "controller"
    } else if node.is_appliance() {
        "appliance"
    } else {
        "compute"
    }
}

/// Empty where there is none.
fn address(node: &NodePlan) -> String {
    node.own_address().map(|address| address.to_string()).unwrap_or_default()
}

fn words(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(" ")
}

fn array<'a>(source: &mut String, name: &str, entries: impl Iterator<Item = (&'a String, String)>) {
    let entries = words(entries.map(|(key, value)| format!("[{}]={}", quoted(key), quoted(&value))));
    line(source, format_args!("declare -A {name}=({entries})"));
}

fn line(source: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(source, "{text}");
}

/// A word as the shell reads it back.
pub(crate) fn quoted(text: &str) -> String {
    shell_quote(OsStr::new(text))
}

/// Puts values in the place of `${NAME}`; what `value` does not know stays as it is.
pub(crate) fn expand(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        result.push_str(before);
        let known = after.split_once('}').and_then(|(name, tail)| Some((value(name)?, tail)));
        if let Some((value, tail)) = known {
            result.push_str(&value);
            rest = tail;
        } else {
            result.push_str("${");
            rest = after;
        }
    }
    result + rest
}

/// The names of all `${NAME}` in a text.
pub(crate) fn mentioned(text: &str) -> impl Iterator<Item = &str> {
    let named = |part: &str| part.chars().all(|c| c.is_ascii_uppercase() || c == '_') && !part.is_empty();
    text.split("${").skip(1).filter_map(|part| Some(part.split_once('}')?.0)).filter(move |name| named(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_plan_is_readable_in_bash() {
        let cluster = fixture::cluster();
        let source = Variables { cluster: &cluster, node: &cluster.nodes[1] }.source();
        let script = r#"echo "$NODE of $CLUSTER_NAME at ${ADDRESS_OF[$CONTROLLER]}: $COMPUTE_NODES, ${PARTITION_MAX_TIME[$DEFAULT_PARTITION]}""#;
        let said = system::process::Command::new("bash")
            .args(["-uc", &format!("{source}\n{script}")])
            .run()
            .unwrap();
        assert_eq!(said, "compute-01 of lab at 10.1.0.10: compute-01 compute-02, 01:00:00\n");
    }

    #[test]
    fn nodes_that_do_not_start_are_in_no_list() {
        let mut cluster = fixture::cluster();
        cluster.nodes[2].auto_start = false;
        let variables = Variables { cluster: &cluster, node: &cluster.nodes[0] };
        assert_eq!(variables.value("NODES").unwrap(), "controller compute-01");
    }

    #[test]
    fn an_appliance_has_a_model_and_no_address() {
        let cluster = fixture::prompts();
        let of = |place: usize| {
            let variables = Variables { cluster: &cluster, node: &cluster.nodes[place] };
            move |name: &str| variables.value(name).unwrap()
        };
        let (stub, model) = (of(0), of(1));
        for name in
            ["NODE_ADDRESS", "NODE_MAC", "CONTROLLER_ADDRESS", "FIRST_COMPUTE", "COMPUTE_NODES", "GATEWAY"]
        {
            assert_eq!(stub(name), "", "{name}");
        }
        assert_eq!((stub("NODE_ROLE"), stub("NODE_ARCH")), ("appliance".to_owned(), "x86_64".to_owned()));
        assert_eq!((stub("NODE_MODEL"), stub("NODES")), (String::new(), "prompt-01 prompt-02".to_owned()));
        assert_eq!(
            (model("NODE_MODEL"), model("NODE_APPEND")),
            ("/m.gguf".to_owned(), "zosia.llama_threads=2".to_owned())
        );
        // An image of another kind of node is no model.
        let cluster = fixture::cluster();
        let variables = Variables { cluster: &cluster, node: &cluster.nodes[1] };
        assert_eq!(variables.value("NODE_MODEL").unwrap(), "");
    }

    #[test]
    fn unknown_names_stay() {
        let value = |name: &str| (name == "NODE").then(|| "n1".to_owned());
        assert_eq!(expand("a ${NODE} ${OTHER} ${", value), "a n1 ${OTHER} ${");
    }

    #[test]
    fn every_variable_is_documented() {
        let page = include_str!("../../../docs/writing-checks.md");
        for name in NAMES.iter().chain(&ARRAYS) {
            assert!(page.contains(&format!("`{name}`")), "docs/writing-checks.md does not tell of {name}");
        }
    }
}
