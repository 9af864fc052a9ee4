//! Deployed templates: a node as a deployment left it, without what is its own.
//!
//! ```text
//! node ──disk at one moment──> without secrets ──boots as a template──> frozen
//! ```
//!
//! The template never ran as that node and never read its secrets: its memory is that of a machine which booted from a
//! disk that no longer had them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use events::{Level, Sink};
use plan::model::{ClusterPlan, NodePlan};
use system::{cancel::Cancel, clock::Stopwatch};
use template::{Key, Kind};

use crate::{
    Error, Place, Session, Start,
    copies::copy_file,
    scrub::scrub,
    slots::Slots,
    start::{Placed, Starting},
};

/// Tells the template, whose agent reads them before it is frozen, which files this node's services have in memory. Copies
/// find them there, once for all of them.
const NOTE_FILES_IN_USE: &str = "mkdir -p /var/lib/ai-how; awk '$6 ~ \"^/usr/\" && $7 == \"\" {print $6}' /proc/[0-9]*/maps 2>/dev/null | sort -u >/var/lib/ai-how/in-use";

/// How long that may take on a host with KVM; multiplied with the host's slowness.
const NOTE_LIMIT: Duration = Duration::from_secs(5);

/// What a deployment leaves on a node.
#[derive(Debug, Clone)]
pub struct Deployed {
    /// Everything it depends on beside the machine, by name.
    pub facts: Vec<(&'static str, String)>,
    /// The lab's secrets: in no template, given to each copy.
    pub secrets: Vec<guest::agent::OwnFile>,
    /// systemd units that a copy starts, in this order.
    pub services: Vec<String>,
    /// A script that such a node runs before its clock jumps over so much time, where that makes a difference to it.
    pub before_time_passes: Option<fn(Duration) -> String>,
    /// Files that no template keeps; a path that ends with `/` means all files in that folder.
    pub forgotten: &'static [&'static str],
}

impl Deployed {
    /// The key of a machine with this on it.
    pub(crate) fn key(&self, machine: &Key) -> Key {
        self.facts.iter().fold(machine.clone(), |key, (name, value)| key.with(*name, value.as_str()))
    }
}

impl Session {
    /// Keeps the nodes of these clusters, which were just deployed, as templates: one of each role and shape. What cannot
    /// be kept is told in a line; it is no error, since the clusters are as they should be.
    ///
    /// # Errors
    /// Somebody asked to stop.
    pub fn keep_deployed(
        &self,
        start: &Start<'_>,
        clusters: &BTreeSet<String>,
        sink: &dyn Sink,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let Some(templates) = start.templates.filter(|_| self.site.place == Place::Private) else {
            return Ok(());
        };
        let starting = Starting::new(self, start, self.generation(), sink, cancel)?;
        let mut shapes: BTreeMap<String, (Key, Placed<'_>)> = BTreeMap::new();
        // Copies of a part of a cluster are of no use.
        let keepable = |cluster: &ClusterPlan| {
            clusters.contains(&cluster.name) && cluster.nodes.iter().all(|node| node.uncopyable().is_none())
        };
        for placed in start.plan.nodes().filter(|(cluster, node)| keepable(cluster) && node.auto_start) {
            let Some(deployed) = start.deployed.get(&placed.1.domain) else { continue };
            let key = deployed.key(&start.key(placed.1)?);
            shapes.entry(key.id()).or_insert((key, placed));
        }
        let keep: Vec<String> = shapes.keys().cloned().collect();
        let missing: Vec<_> =
            shapes.values().filter(|(key, _)| templates.store.find(&key.id()).is_none()).collect();
        let kept = starting.each(&Slots::busy(), &missing, |(key, placed)| {
            let kept = starting.keep(key, *placed, &keep);
            match kept {
                Err(error) if !error.is_interruption() => {
                    let node = &placed.1.label;
                    starting.notice(
                        Level::Warning,
                        format!("{node} cannot be kept as a template: {}", error.first_line()),
                    );
                    Ok(())
                }
                kept => kept,
            }
        });
        kept.into_iter().collect()
    }
}

impl Starting<'_> {
    fn keep(&self, key: &Key, placed: Placed<'_>, keep: &[String]) -> Result<(), Error> {
        let (Some(templates), Some(deployed)) =
            (self.start.templates, self.start.deployed.get(&placed.1.domain))
        else {
            return Ok(());
        };
        let node = placed.1;
        let (store, id) = (&templates.store, key.id());
        let _claim = self.claim(store, &id, node.memory_mib)?;
        if store.find(&id).is_some() {
            return Ok(());
        }
        let watch = Stopwatch::start();
        let staging = store.staging(key.clone())?;
        self.progress(&node.label, "keeping its role as a template");
        self.freeze(&id, &staging.files(), placed, |base, disk| {
            let copy = staging.path().join("node.qcow2");
            self.take_disk(node, &copy)?;
            scrub(&copy, base, disk, staging.path(), deployed.forgotten)?;
            Ok(system::file::remove_file(&copy)?)
        })?;
        let role = key.get("role").unwrap_or_default();
        let name = format!("{} {role}", self.template_name(placed)?);
        let template = store.publish(staging, Kind::Deployed, &name, watch.seconds())?;
        self.made(&template, templates, keep, watch)
    }

    /// Copies a node's disk as it is at one moment. The node is held meanwhile.
    fn take_disk(&self, node: &NodePlan, copy: &std::path::Path) -> Result<(), Error> {
        self.session.run(
            node,
            NOTE_FILES_IN_USE,
            NOTE_LIMIT.mul_f64(self.start.verdict.slowness(node.arch)),
            self.cancel,
        )?;
        self.agent(node)?.sync()?;
        let hypervisor = &self.session.hypervisor;
        hypervisor.suspend_domain(&node.domain)?;
        let copied = copy_file(&self.session.folder().join(&node.disk), copy);
        hypervisor.resume_domain(&node.domain)?;
        copied
    }
}
