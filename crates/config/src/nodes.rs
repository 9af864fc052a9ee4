//! Changes to the nodes of a config file: one more, one less, another size. Both formats, in their own words.
//!
//! Nothing here judges the result: it is loaded like any other file.

use std::net::Ipv4Addr;

use serde_json::{Map, Value as Json, json};

use crate::edit::{self, Edit, Step, edit};
use crate::model::{Cluster, Lab, Node, Role};

/// What a node is to have. What is left out stays, or is as with the node that it is like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Virtual processors.
    pub cpus: Option<u64>,
    /// Memory, MiB.
    pub memory_mib: Option<u64>,
    /// Root disk, GiB.
    pub disk_gib: Option<u64>,
}

/// Why a file cannot be changed so.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such node.
    #[error("it has no node `{name}`")]
    NoNode {
        /// The domain's name.
        name: String,
    },
    /// A cluster cannot be without it.
    #[error("`{name}` is what its cluster's other nodes need; a cluster is removed as a whole")]
    Serves {
        /// The node's name.
        name: String,
    },
    /// Every cluster has a node.
    #[error("`{name}` is the last of its cluster's nodes; a cluster is removed as a whole")]
    Only {
        /// The node's name.
        name: String,
    },
    /// An appliance has no disk.
    #[error("`{name}` is an appliance, which has no disk; leave `disk_gib` out")]
    NoDisk {
        /// The node's name.
        name: String,
    },
    /// Version 1.0 counts memory in GiB.
    #[error("version 1.0 counts memory in GiB, and {memory_mib} MiB are no whole number of them")]
    Memory {
        /// What was asked for.
        memory_mib: u64,
    },
    /// No address is left in the subnet.
    #[error("there is no free address behind {last} in the cluster's network")]
    NoAddress {
        /// The highest one in use.
        last: Ipv4Addr,
    },
    /// The text cannot be changed there.
    #[error(transparent)]
    Edit(#[from] edit::Error),
}

/// A file whose nodes are changed.
#[derive(Debug)]
pub struct Nodes<'a> {
    text: &'a str,
    data: Json,
    lab: &'a Lab,
}

impl<'a> Nodes<'a> {
    /// Those of a file, which gave `lab`.
    ///
    /// # Errors
    /// It is no YAML document.
    pub fn of(text: &'a str, lab: &'a Lab) -> Result<Self, Error> {
        Ok(Self { text, data: edit::read(text)?, lab })
    }

    /// The file with another size of a node, which is named as its domain is.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn resize(&self, domain: &str, sizes: &Sizes) -> Result<String, Error> {
        let (cluster, at) = self.find(domain)?;
        let node = &cluster.nodes[at];
        let way = self.way(cluster, at);
        let sizes = self.sizes(node, &node.name, sizes)?;
        if node.role.serves() && value(&self.data, &way).is_none() {
            // A controller about which there was nothing to say.
            return Ok(edit(self.text, &[Edit::Set(way, Json::Object(sizes))])?);
        }
        let set = |(key, size): (String, Json)| Edit::Set([&way[..], &[Step::Key(key)]].concat(), size);
        Ok(edit(self.text, &sizes.into_iter().map(set).collect::<Vec<_>>())?)
    }

    /// The file without a node.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn remove(&self, domain: &str) -> Result<String, Error> {
        let (cluster, at) = self.find(domain)?;
        let Node { name, role, .. } = &cluster.nodes[at];
        if role.serves() {
            return Err(Error::Serves { name: name.clone() });
        }
        if cluster.nodes.iter().filter(|node| !node.role.serves()).count() == 1 {
            return Err(Error::Only { name: name.clone() });
        }
        let mut edits = vec![Edit::Remove(self.way(cluster, at))];
        for (partition, members) in self.partitions(cluster) {
            if let Some(member) = members.iter().position(|member| member == name) {
                edits.push(Edit::Remove([&partition[..], &[member.into()]].concat()));
            }
        }
        Ok(edit(self.text, &edits)?)
    }

    /// The file with one node more, at the end of the cluster of the node that it is `like`. Devices are not shared, so it
    /// has none. Version 1.0 names nodes by their place and takes no name.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn add(&self, name: &str, like: &str, sizes: &Sizes) -> Result<String, Error> {
        let (cluster, at) = self.find(like)?;
        let model = &cluster.nodes[at];
        if model.role.serves() {
            return Err(Error::Serves { name: model.name.clone() });
        }
        let way = self.way(cluster, at);
        let mut node = value(&self.data, &way).and_then(Json::as_object).cloned().unwrap_or_default();
        for key in ["devices", "pcie_passthrough", "addresses"] {
            node.remove(key);
        }
        if self.is_version_1() {
            node.insert("ip".to_owned(), json!(free_address(cluster)?));
        } else {
            node.insert("name".to_owned(), json!(name));
            if node.contains_key("address") {
                node.insert("address".to_owned(), json!(free_address(cluster)?));
            }
        }
        node.extend(self.sizes(model, name, sizes)?);
        let list = way[..way.len() - 1].to_vec();
        let mut edits = vec![Edit::Append(list, Json::Object(node))];
        for (partition, members) in self.partitions(cluster) {
            if members.contains(&model.name) {
                edits.push(Edit::Append(partition, json!(name)));
            }
        }
        Ok(edit(self.text, &edits)?)
    }

    /// The file with the address of a node written down, for one that had none of its own.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn pin(&self, domain: &str, address: Ipv4Addr) -> Result<String, Error> {
        let (cluster, at) = self.find(domain)?;
        let way = self.way(cluster, at);
        if value(&self.data, &way).is_none() {
            return Ok(edit(self.text, &[Edit::Set(way, json!({"address": address}))])?);
        }
        Ok(edit(self.text, &[Edit::Set([&way[..], &["address".into()]].concat(), json!(address))])?)
    }

    fn is_version_1(&self) -> bool {
        self.data["version"] == "1.0"
    }

    /// A node's cluster and its place in it. Where one serves the others, it is the first.
    fn find(&self, domain: &str) -> Result<(&'a Cluster, usize), Error> {
        let mut found = self.lab.clusters.iter().filter_map(|cluster| {
            cluster.nodes.iter().position(|node| node.domain == domain).map(|at| (cluster, at))
        });
        found.next().ok_or_else(|| Error::NoNode { name: domain.to_owned() })
    }

    /// Where a node is in the document.
    fn way(&self, cluster: &Cluster, at: usize) -> Vec<Step> {
        let first = cluster.nodes.first().map(|node| node.role);
        let kubernetes = first == Some(Role::ControlPlane);
        let list = match (self.is_version_1(), kubernetes) {
            (true, true) => "worker_nodes",
            (true, false) => "compute_nodes",
            (false, _) => "nodes",
        };
        let mut way = vec!["clusters".into(), Step::Key(cluster.key.clone())];
        match at.checked_sub(usize::from(first.is_some_and(Role::serves))) {
            None => way.push(if kubernetes { "control_plane" } else { "controller" }.into()),
            Some(item) => way.extend([list.into(), item.into()]),
        }
        way
    }

    /// The lists of nodes that partitions have, with where each is; version 1.0 has none.
    fn partitions(&self, cluster: &Cluster) -> Vec<(Vec<Step>, Vec<String>)> {
        let way: Vec<Step> = vec!["clusters".into(), Step::Key(cluster.key.clone()), "partitions".into()];
        let partitions = value(&self.data, &way).and_then(Json::as_array).into_iter().flatten();
        let lists = partitions.enumerate().map(|(index, partition)| {
            let members = partition["nodes"].as_array().into_iter().flatten();
            let members = members.map(|name| name.as_str().unwrap_or_default().to_owned());
            ([&way[..], &[index.into(), "nodes".into()]].concat(), members.collect())
        });
        lists.collect()
    }

    /// Sizes in the words of the format, for a node called `name` of the kind of `node`.
    fn sizes(&self, node: &Node, name: &str, sizes: &Sizes) -> Result<Map<String, Json>, Error> {
        if node.role == Role::Appliance && sizes.disk_gib.is_some() {
            return Err(Error::NoDisk { name: name.to_owned() });
        }
        let first = self.is_version_1();
        let memory = match sizes.memory_mib {
            Some(memory_mib) if first && memory_mib % 1024 != 0 => return Err(Error::Memory { memory_mib }),
            Some(memory_mib) if first => Some(memory_mib / 1024),
            memory => memory,
        };
        let keys =
            if first { ["cpu_cores", "memory_gb", "disk_gb"] } else { ["cpus", "memory_mib", "disk_gib"] };
        let sizes = keys.into_iter().zip([sizes.cpus, memory, sizes.disk_gib]);
        Ok(sizes.filter_map(|(key, size)| Some((key.to_owned(), json!(size?)))).collect())
    }
}

fn value<'a>(data: &'a Json, way: &[Step]) -> Option<&'a Json> {
    way.iter().try_fold(data, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Item(at) => value.get(at),
    })
}

/// The address behind the highest one in use on a cluster's first network.
fn free_address(cluster: &Cluster) -> Result<Ipv4Addr, Error> {
    let used = cluster.nodes.iter().filter_map(|node| node.interfaces.first()).map(|card| card.address);
    let last = used.max().unwrap_or(Ipv4Addr::UNSPECIFIED);
    let next = Ipv4Addr::from(u32::from(last).saturating_add(1));
    let is_free = cluster.networks.first().is_some_and(|network| {
        network.subnet.contains(&next) && next != network.subnet.broadcast() && next != network.gateway
    });
    if is_free { Ok(next) } else { Err(Error::NoAddress { last }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, Source, load};

    const NEW: &str = include_str!("../../../config/lab.yaml");
    const OLD: &str = include_str!("../../../config/workstation-1.0.yaml");
    const PROMPTS: &str = include_str!("../../../config/prompts.yaml");

    fn lab(text: &str) -> Lab {
        let environment = ["HOME", "TOT"].map(|name| (name.into(), "/home/ada".into())).into();
        let context = Context { environment, ..Context::default() };
        let loaded = load(&Source { name: "x.yaml", bytes: text.as_bytes() }, &context);
        loaded.lab.unwrap_or_else(|| panic!("{:#?}\n{text}", loaded.diagnostics))
    }

    fn changed<'a>(
        text: &'a str,
        lab: &'a Lab,
        change: impl FnOnce(Nodes<'a>) -> Result<String, Error>,
    ) -> String {
        change(Nodes::of(text, lab).unwrap()).unwrap()
    }

    /// The lines that differ, without their indentation.
    fn new_lines<'a>(before: &str, after: &'a str) -> Vec<&'a str> {
        after.lines().filter(|line| !before.lines().any(|old| old == *line)).map(str::trim).collect()
    }

    #[test]
    fn a_node_is_added_like_another_and_to_its_partitions() {
        let before = lab(NEW);
        let sizes = Sizes { memory_mib: Some(1024), ..Sizes::default() };
        let text = changed(NEW, &before, |nodes| nodes.add("compute-03", "hpc-compute-02", &sizes));
        assert_eq!(
            new_lines(NEW, &text),
            [
                "- {name: compute-03, address: 192.168.190.13, memory_mib: 1024}",
                r#"- {name: debug, nodes: [compute-01, compute-02, compute-03], default: true, max_time: "00:30:00"}"#,
                "- {name: long, nodes: [compute-02, compute-03], max_time: 7-00:00:00}",
            ]
        );
        let after = lab(&text);
        assert_eq!(after.clusters[0].nodes[3].memory_mib, 1024);
        assert_eq!(after.clusters[0].nodes[..3], before.clusters[0].nodes);
        // And it goes again, as if it had not been there.
        assert_eq!(changed(&text, &after, |nodes| nodes.remove("hpc-compute-03")), NEW);
    }

    #[test]
    fn sizes_are_said_in_the_words_of_the_format() {
        let sizes = Sizes { cpus: Some(4), memory_mib: Some(2048), disk_gib: Some(64) };
        for (text, last) in [(NEW, 1), (OLD, 1)] {
            let before = lab(text);
            for at in 0..=last {
                let domain = before.clusters[0].nodes[at].domain.clone();
                let after = lab(&changed(text, &before, |nodes| nodes.resize(&domain, &sizes)));
                let mut expected = before.clone();
                let node = &mut expected.clusters[0].nodes[at];
                (node.cpus, node.memory_mib, node.disk_gib) = (4, 2048, 64);
                // The number of cores follows.
                node.hardware = after.clusters[0].nodes[at].hardware.clone();
                assert_eq!(after, expected, "{domain}");
            }
        }
        let before = lab(OLD);
        let odd = Sizes { memory_mib: Some(1000), ..Sizes::default() };
        let refused = Nodes::of(OLD, &before).unwrap().resize(&before.clusters[0].nodes[0].domain, &odd);
        assert!(matches!(refused, Err(Error::Memory { memory_mib: 1000 })));
    }

    #[test]
    fn a_node_of_version_1_gets_the_next_place_and_address_and_no_devices() {
        let before = lab(OLD);
        let like = before.clusters[0].nodes.last().unwrap().domain.clone();
        let text = changed(OLD, &before, |nodes| nodes.add("", &like, &Sizes::default()));
        let after = lab(&text);
        let new = after.clusters[0].nodes.last().unwrap();
        assert_eq!(after.clusters[0].nodes.len(), before.clusters[0].nodes.len() + 1);
        assert!(new.devices.is_empty());
        assert!(text.contains("${"), "expressions stay as they were");
    }

    #[test]
    fn a_controller_is_not_removed_and_not_copied() {
        let before = lab(NEW);
        let nodes = || Nodes::of(NEW, &before).unwrap();
        assert!(matches!(nodes().remove("hpc-controller"), Err(Error::Serves { .. })));
        assert!(matches!(nodes().add("x", "hpc-controller", &Sizes::default()), Err(Error::Serves { .. })));
        assert!(matches!(nodes().remove("hpc-nobody"), Err(Error::NoNode { .. })));
    }

    #[test]
    fn appliances_are_all_alike() {
        let before = lab(PROMPTS);
        let sizes = |memory_mib| Sizes { cpus: Some(4), memory_mib, disk_gib: None };
        let text = changed(PROMPTS, &before, |nodes| nodes.resize("prompts-prompt-01", &sizes(Some(512))));
        assert_eq!(new_lines(PROMPTS, &text), ["- {name: prompt-01, cpus: 4, memory_mib: 512}"]);
        // The first one of a cluster is like the others.
        let with_model = text.replace("prompt-01", "prompt-01, model: m.gguf, append: zosia.diag=1");
        let after = lab(&with_model);
        let more =
            changed(&with_model, &after, |nodes| nodes.add("prompt-02", "prompts-prompt-01", &sizes(None)));
        let line = r#"- {name: prompt-02, model: m.gguf, append: "zosia.diag=1", cpus: 4, memory_mib: 512}"#;
        assert_eq!(new_lines(&with_model, &more), [line]);
        let more_lab = lab(&more);
        assert_eq!(more_lab.clusters[1].nodes[1].image, more_lab.clusters[1].nodes[0].image);
        assert_eq!(more_lab.clusters[0], before.clusters[0]);
        assert_eq!(changed(&more, &more_lab, |nodes| nodes.remove("prompts-prompt-02")), with_model);
        let without_first = lab(&changed(&more, &more_lab, |nodes| nodes.remove("prompts-prompt-01")));
        assert_eq!(without_first.clusters[1].nodes[0].name, "prompt-02");
    }

    #[test]
    fn an_appliance_gets_no_disk() {
        let before = lab(PROMPTS);
        let nodes = || Nodes::of(PROMPTS, &before).unwrap();
        let sizes = Sizes { disk_gib: Some(8), ..Sizes::default() };
        let refused = nodes().resize("prompts-prompt-01", &sizes).unwrap_err();
        let words = "`prompt-01` is an appliance, which has no disk; leave `disk_gib` out";
        assert_eq!(refused.to_string(), words);
        let refused = nodes().add("prompt-02", "prompts-prompt-01", &sizes).unwrap_err();
        assert!(matches!(refused, Error::NoDisk { name } if name == "prompt-02"));
    }

    #[test]
    fn the_last_node_stays() {
        let before = lab(PROMPTS);
        for domain in ["prompts-prompt-01", "hpc-compute-01"] {
            let refused = Nodes::of(PROMPTS, &before).unwrap().remove(domain).unwrap_err();
            assert!(refused.to_string().ends_with("a cluster is removed as a whole"), "{refused}");
        }
    }

    #[test]
    fn an_address_is_written_down() {
        let text = NEW.replace(", address: 192.168.190.12", "");
        let before = lab(&text);
        let after = changed(&text, &before, |nodes| nodes.pin("hpc-compute-02", [192, 168, 190, 12].into()));
        assert_eq!(after, NEW);
    }
}
