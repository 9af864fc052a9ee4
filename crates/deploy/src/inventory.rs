//! The inventory: everything the roles need to know, from the plan alone.
//!
//! ```text
//! all                   munge key, SSH options
//! ├── cluster_<key>     one for each SLURM cluster: its nodes, its partitions
//! ├── slurm_controllers
//! └── slurm_compute
//! ```
//!
//! Hosts carry the nodes' labels, which are also their names in the lab's OpenSSH configuration. Names that come from
//! the user are marked `!unsafe`: Ansible then takes them as they are, whatever they look like.

use std::{
    fmt::{Display, Formatter},
    path::Path,
};

use config::model::{Role, Slurm};
use plan::{
    Plan,
    model::{ClusterPlan, NodePlan},
};
use system::process::shell_quote;

/// What the inventory says beside the plan.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The lab's OpenSSH configuration.
    pub ssh_config: &'a Path,
    /// The key that munge shares.
    pub munge_key: &'a Path,
    /// Labels of nodes that do not run. SLURM knows them, Ansible does not visit them.
    pub stopped: &'a [String],
    /// How often, a second apart, to ask whether all nodes have registered.
    pub wait_attempts: u32,
}

/// Labels of the nodes that Ansible visits: those of SLURM clusters whose controller runs, without the stopped ones.
pub fn hosts(plan: &Plan, stopped: &[String]) -> Vec<String> {
    let clusters = clusters(plan, stopped);
    clusters.iter().flat_map(|cluster| &cluster.visited).map(|node| node.label.clone()).collect()
}

/// The inventory as YAML. The same plan and surroundings give the same text.
pub fn render(plan: &Plan, surroundings: &Surroundings<'_>) -> String {
    let clusters = clusters(plan, surroundings.stopped);
    let mut lines = Lines::default();
    lines.add(0, "# Made by ai-how from the plan; it is written anew at every deploy.");
    lines.add(0, "all:");
    lines.add(1, "vars:");
    let ssh = format!("-F {}", shell_quote(surroundings.ssh_config.as_os_str()));
    lines.add(2, format!("ansible_ssh_args: {}", Text(&ssh)));
    lines.add(2, format!("munge_key_file: {}", Text(&surroundings.munge_key.to_string_lossy())));
    lines.add(2, format!("slurm_controller_wait_attempts: {}", surroundings.wait_attempts));
    lines.add(1, "children:");
    for cluster in &clusters {
        cluster.write(&mut lines);
    }
    for (group, role) in [("slurm_controllers", Role::Controller), ("slurm_compute", Role::Compute)] {
        lines.add(2, format!("{group}:"));
        let members = clusters.iter().flat_map(|cluster| &cluster.visited).filter(|node| node.role == role);
        lines.hosts(members);
    }
    lines.0
}

/// What a job may use of a node's memory, MiB. The kernel keeps 54 of 768 MiB for itself before anything runs and a
/// sixty-fourth of what is more; the node's own daemons need about 60 MiB. The rest of the reserve is page cache.
pub fn real_memory(memory_mib: u64) -> u64 {
    memory_mib.saturating_sub(128 + memory_mib / 32).max(memory_mib / 2)
}

/// A SLURM cluster that can be deployed.
struct Cluster<'a> {
    plan: &'a ClusterPlan,
    slurm: &'a Slurm,
    controller: &'a NodePlan,
    compute: Vec<&'a NodePlan>,
    visited: Vec<&'a NodePlan>,
}

fn clusters<'a>(plan: &'a Plan, stopped: &[String]) -> Vec<Cluster<'a>> {
    let runs = |node: &NodePlan| !stopped.contains(&node.label);
    let cluster = |plan: &'a ClusterPlan| {
        Some(Cluster {
            plan,
            slurm: plan.slurm.as_ref()?,
            controller: plan.nodes.iter().find(|node| node.role == Role::Controller && runs(node))?,
            compute: plan.nodes.iter().filter(|node| node.role == Role::Compute).collect(),
            visited: plan.nodes.iter().filter(|node| runs(node)).collect(),
        })
    };
    plan.clusters.iter().filter_map(cluster).collect()
}

impl Cluster<'_> {
    fn write(&self, lines: &mut Lines) {
        let share =
            self.compute.iter().map(|node| real_memory(node.memory_mib) / u64::from(node.cpus.max(1))).min();
        let waited_for = self.visited.iter().filter(|node| node.role == Role::Compute);
        lines.add(2, format!("{:?}:", format!("cluster_{}", self.plan.key)));
        lines.add(3, "vars:");
        lines.add(4, format!("slurm_cluster_name: {}", Text(&self.plan.name)));
        lines.add(4, format!("slurm_controller: {}", Text(&self.controller.name)));
        lines.add(4, format!("slurm_default_memory_per_cpu: {}", share.unwrap_or(0)));
        lines.add(4, format!("slurm_default_partition: {}", Text(&self.slurm.default_partition)));
        lines.add(4, "cluster_nodes:");
        for node in &self.plan.nodes {
            lines.add(5, format!("- {{name: {}, address: {}}}", Text(&node.name), node.address()));
        }
        lines.add(4, "slurm_nodes:");
        for NodePlan { name, cpus, memory_mib, .. } in &self.compute {
            let memory = real_memory(*memory_mib);
            lines.add(5, format!("- {{name: {}, cpus: {cpus}, real_memory: {memory}}}", Text(name)));
        }
        lines.add(4, format!("slurm_deployed_nodes: {}", List(waited_for.map(|node| &node.name).collect())));
        lines.add(4, "slurm_partitions:");
        for partition in &self.slurm.partitions {
            lines.add(5, format!("- name: {}", Text(&partition.name)));
            lines.add(5, format!("  nodes: {}", List(partition.nodes.iter().collect())));
            lines.add(5, format!("  max_time: {}", Text(&partition.max_time)));
        }
        lines.hosts(self.visited.iter());
    }
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, depth: usize, line: impl Display) {
        self.0.push_str(&format!("{:width$}{line}\n", "", width = 2 * depth));
    }

    /// The `hosts` of a group; one without any has an empty mapping.
    fn hosts<'a>(&mut self, nodes: impl Iterator<Item = &'a &'a NodePlan>) {
        self.add(3, "hosts:");
        for node in nodes {
            self.add(4, format!("{:?}:", node.label));
        }
    }
}

/// Text of the user's, as YAML.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "!unsafe {}", serde_json::Value::from(self.0))
    }
}

struct List<'a>(Vec<&'a String>);

impl Display for List<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let items: Vec<String> = self.0.iter().map(|text| Text(text).to_string()).collect();
        write!(f, "[{}]", items.join(", "))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use config::hardware::Hardware;
    use config::model::{Arch, Image, Partition};
    use plan::model::InterfacePlan;

    use super::*;

    fn node(cluster: &str, name: &str, role: Role, cpus: u32, memory_mib: u64, last: u8) -> NodePlan {
        NodePlan {
            name: name.into(),
            label: format!("{cluster}-{name}"),
            domain: format!("{cluster}-{name}"),
            uuid: Default::default(),
            role,
            arch: Arch::default(),
            cpus,
            memory_mib,
            disk_gib: 8,
            image: Image::Built("debian-13".into()),
            append: String::new(),
            uefi: false,
            interfaces: vec![InterfacePlan {
                network: "lan".into(),
                mac: "52:54:00:00:00:01".into(),
                address: [10, 9, 8, last].into(),
            }],
            auto_start: true,
            hardware: Hardware::default(),
            first_cpu: None,
            devices: Vec::new(),
            mounts: Vec::new(),
            disk: String::new(),
            console: String::new(),
            ready: String::new(),
        }
    }

    fn cluster(key: &str, nodes: Vec<NodePlan>, slurm: Option<Slurm>) -> ClusterPlan {
        let kind = if slurm.is_some() { "slurm" } else { "kubernetes" }.into();
        ClusterPlan {
            key: key.into(),
            name: key.into(),
            kind,
            slurm,
            kubernetes: None,
            networks: vec![],
            nodes,
        }
    }

    /// Two SLURM clusters, one with unequal nodes and odd names, and a third of another kind.
    pub(crate) fn plan() -> Plan {
        let partition = |name: &str, nodes: &[&str], max_time: &str| Partition {
            name: name.into(),
            nodes: nodes.iter().map(|&node| node.into()).collect(),
            max_time: max_time.into(),
        };
        let big = Slurm {
            partitions: vec![
                partition("debug", &["c1", "c2"], "00:30:00"),
                partition("{{ odd }}", &["c2"], "7-00:00:00"),
            ],
            default_partition: "debug".into(),
        };
        let small = Slurm {
            partitions: vec![partition("all", &["c1"], "INFINITE")],
            default_partition: "all".into(),
        };
        let big_nodes = vec![
            node("hpc-a", "ctl", Role::Controller, 1, 768, 10),
            node("hpc-a", "c1", Role::Compute, 1, 768, 11),
            node("hpc-a", "c2", Role::Compute, 4, 2048, 12),
        ];
        let small_nodes =
            vec![node("b", "ctl", Role::Controller, 1, 768, 20), node("b", "c1", Role::Compute, 2, 1024, 21)];
        Plan {
            format: 1,
            lab: "lab".into(),
            id: "0123456789abcdef".into(),
            clusters: vec![
                cluster("hpc-a", big_nodes, Some(big)),
                cluster("b", small_nodes, Some(small)),
                cluster("cloud", vec![node("cloud", "w", Role::Worker, 1, 768, 30)], None),
            ],
        }
    }

    fn surroundings(stopped: &[String]) -> Surroundings<'_> {
        Surroundings {
            ssh_config: Path::new("/labs/my lab/ssh/config"),
            munge_key: Path::new("/labs/my lab/secrets/munge.key"),
            stopped,
            wait_attempts: 60,
        }
    }

    #[test]
    fn each_cluster_knows_its_own_nodes_and_partitions() {
        insta::assert_snapshot!(render(&plan(), &surroundings(&[])));
    }

    #[test]
    fn appliances_are_left_out() {
        let prompt = node("prompts", "p", Role::Appliance, 2, 256, 0);
        let prompt =
            NodePlan { image: Image::Appliance(None), disk_gib: 0, interfaces: Vec::new(), ..prompt };
        let mut mixed = plan();
        let prompts = cluster("prompts", vec![prompt], None);
        mixed.clusters.push(ClusterPlan { kind: "appliance".into(), ..prompts });
        assert_eq!(render(&mixed, &surroundings(&[])), render(&plan(), &surroundings(&[])));
        assert_eq!(hosts(&mixed, &[]), hosts(&plan(), &[]));
    }

    #[test]
    fn a_stopped_node_stays_in_slurm_but_is_not_visited() {
        let text = render(&plan(), &surroundings(&["hpc-a-c1".into()]));
        assert!(text.contains(r#"- {name: !unsafe "c1", cpus: 1, real_memory: 616}"#), "{text}");
        assert!(text.contains(r#"slurm_deployed_nodes: [!unsafe "c2"]"#), "{text}");
        assert!(!text.contains(r#""hpc-a-c1":"#), "{text}");
    }

    #[test]
    fn a_cluster_without_its_controller_is_left_out() {
        assert_eq!(hosts(&plan(), &["hpc-a-ctl".into()]), ["b-ctl", "b-c1"]);
        assert_eq!(hosts(&plan(), &["hpc-a-ctl".into(), "b-ctl".into()]), Vec::<String>::new());
    }

    #[test]
    fn memory_for_jobs_is_less_than_the_machine_has() {
        assert_eq!(real_memory(768), 616);
        assert_eq!(real_memory(65536), 63360);
        assert_eq!(real_memory(128), 64);
    }
}
