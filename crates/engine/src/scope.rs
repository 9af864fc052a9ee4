//! Which part of a lab a command is about.

use std::collections::BTreeSet;

use plan::{
    Plan,
    model::{ClusterPlan, NodePlan},
};

/// Which part of a lab a command is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    #[default]
    Lab,
    /// The cluster of this name.
    Cluster(String),
    /// These domains, those that do not start with their cluster too.
    Nodes(BTreeSet<String>),
}

impl Scope {
    /// Whether a domain of a cluster is meant.
    pub fn has(&self, cluster: &str, domain: &str) -> bool {
        match self {
            Self::Lab => true,
            Self::Cluster(name) => name == cluster,
            Self::Nodes(domains) => domains.contains(domain),
        }
    }

    /// Whether what a cluster's nodes share is meant: its networks, and what is deployed on all of them.
    pub fn has_shared_of(&self, cluster: &str) -> bool {
        match self {
            Self::Lab => true,
            Self::Cluster(name) => name == cluster,
            Self::Nodes(_) => false,
        }
    }

    /// Whether a start starts the node.
    pub(crate) fn starts(&self, cluster: &ClusterPlan, node: &NodePlan) -> bool {
        self.has(&cluster.name, &node.domain) && (node.auto_start || matches!(self, Self::Nodes(_)))
    }

    /// The plan with nothing in it but what is meant.
    #[must_use]
    pub fn narrow(&self, plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        for cluster in &mut plan.clusters {
            cluster.nodes.retain(|node| self.has(&cluster.name, &node.domain));
        }
        plan.clusters.retain(|cluster| !cluster.nodes.is_empty());
        plan
    }

    /// The plan of a lab when what is meant is as `wanted`, and everything else as it was `recorded`.
    pub(crate) fn merge(&self, recorded: Option<&Plan>, wanted: &Plan) -> Plan {
        let Some(recorded) = recorded.filter(|_| *self != Self::Lab) else { return wanted.clone() };
        let mut plan = wanted.clone();
        for was in &recorded.clusters {
            match plan.clusters.iter_mut().find(|cluster| cluster.name == was.name) {
                Some(cluster) => self.merge_cluster(was, cluster),
                None if self.has_shared_of(&was.name) => {}
                None => plan.clusters.push(was.clone()),
            }
        }
        plan.identified()
    }

    fn merge_cluster(&self, was: &ClusterPlan, cluster: &mut ClusterPlan) {
        if !self.has_shared_of(&was.name) {
            cluster.networks.clone_from(&was.networks);
        }
        for node in was.nodes.iter().filter(|node| !self.has(&was.name, &node.domain)) {
            match cluster.nodes.iter_mut().find(|found| found.domain == node.domain) {
                Some(found) => found.clone_from(node),
                None => cluster.nodes.push(node.clone()),
            }
        }
    }
}
