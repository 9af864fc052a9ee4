//! What a start would do, told before it is done.

use std::collections::BTreeSet;

use plan::model::{ClusterPlan, NodePlan};
use template::{Kind, Template};

use crate::{Error, Start};

/// What a start would do with a cluster none of whose nodes has a disk yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// The cluster's name.
    pub cluster: String,
    /// Shapes of machines that no template is there of, as people name them: one of each is booted first.
    pub boots: BTreeSet<String>,
    /// Nodes that boot whatever templates there are, and why.
    pub uncopyable: Vec<(String, &'static str)>,
    /// Whether there are other nodes.
    pub others: bool,
    /// Why SLURM would not be deployed at all; nothing when it would.
    pub undeployable: Option<String>,
    /// Why the cluster would not be copied as a deployment left it; nothing when it would.
    pub deploys: Option<String>,
}

/// What a start would do, cluster by cluster. Nothing is changed, and no template is read but its record.
///
/// # Errors
/// A node's image is not there.
pub fn forecast(start: &Start<'_>) -> Result<Vec<Forecast>, Error> {
    let all = start.templates.map(|templates| templates.store.list()).unwrap_or_default();
    start.plan.clusters.iter().map(|cluster| start.forecast(cluster, &all)).collect()
}

impl Start<'_> {
    fn forecast(&self, cluster: &ClusterPlan, all: &[Template]) -> Result<Forecast, Error> {
        let there = |id: &str| all.iter().any(|template| template.manifest.id == id);
        let (mut boots, mut uncopyable, mut deploys) = (BTreeSet::new(), Vec::new(), None);
        for node in cluster.nodes.iter().filter(|node| node.auto_start) {
            if let Some(why) = node.uncopyable() {
                uncopyable.push((node.label.clone(), why));
                deploys = deploys.or_else(|| Some(format!("{} cannot be kept: {why}", node.label)));
                continue;
            }
            let key = self.key(node)?;
            if !there(&key.id()) {
                let size = format!("{} CPU, {} MiB", node.cpus, node.memory_mib);
                boots.insert(image::title(&size, node.arch));
            }
            deploys = match self.deployed.get(&node.domain) {
                _ if deploys.is_some() => deploys,
                None => Some("nothing of it is kept".to_owned()),
                Some(deployed) if there(&deployed.key(&key).id()) => None,
                Some(deployed) => Some(why(&deployed.key(&key), node, all)),
            };
        }
        if deploys.is_none() {
            boots.clear();
        }
        let others = cluster.nodes.iter().any(|node| node.auto_start && node.uncopyable().is_none());
        let undeployable = cluster.undeployable();
        Ok(Forecast { cluster: cluster.name.clone(), boots, uncopyable, others, undeployable, deploys })
    }
}

/// What keeps the most similar deployed template from fitting.
fn why(key: &template::Key, node: &NodePlan, all: &[Template]) -> String {
    let kept = all.iter().filter(|template| template.manifest.kind == Kind::Deployed);
    let same_role = kept.filter(|template| template.manifest.key.get("role") == key.get("role"));
    let differences = same_role.map(|template| key.difference(&template.manifest.key));
    match differences.min_by_key(Vec::len) {
        None => format!("no deployed node like {} was kept yet", node.label),
        Some(differences) => format!("changed since the last one was kept: {}", differences.join(", ")),
    }
}
