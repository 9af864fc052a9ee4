//! What lies between a lab as it is and as its plan wants it, without changing anything.
//!
//! ```text
//! marks of what runs ──┐
//! plan.json of disks ──┼──> as what each node was made ──┐
//!                      │                                 ├──> differences ──> action
//! libvirt now ─────────┴──> drift                 plan ──┘
//! ```
//!
//! What a machine was made as is in its mark, so it cannot be told wrong. What a disk that nobody uses was made for is in
//! the plan that was written when it was made. Drift is what is not as it was made.

use std::{collections::BTreeMap, fs, io::Read, path::Path};

use lab::{Domain, Observed, Shape};
use plan::{
    Plan,
    change::{self, Action, Difference},
    model::{ClusterPlan, FORMAT, NetworkPlan, NodePlan},
};
use render::Mark;
use serde::Serialize;
use system::cancel::Cancel;

use crate::{Error, Scope, Session, Site, copies::unready, templates};

/// What becomes of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeChange {
    /// Its label.
    pub node: String,
    /// Libvirt's name for it.
    pub domain: String,
    /// The cluster's name.
    pub cluster: String,
    /// What is done.
    pub action: Action,
    /// Whether it has a disk, so that something can be lost.
    pub exists: bool,
    /// In what it is not as the file has it.
    pub differences: Vec<Difference>,
    /// In what it is not as it was made.
    pub drift: Vec<Difference>,
}

/// What becomes of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkChange {
    /// Libvirt's name for it.
    pub network: String,
    /// The cluster's name.
    pub cluster: String,
    /// What is done.
    pub action: Action,
    /// In what it is not as the file has it.
    pub differences: Vec<Difference>,
}

/// What becomes of a lab.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Of networks. Those that stay as they are, too.
    pub networks: Vec<NetworkChange>,
    /// Of nodes. Those that stay as they are, too.
    pub nodes: Vec<NodeChange>,
}

impl Changes {
    /// The labels of nodes whose disk would be lost.
    pub fn losers(&self) -> Vec<String> {
        let losers = self.nodes.iter().filter(|change| change.action.loses_disk());
        losers.map(|change| change.node.clone()).collect()
    }

    /// The same where the nodes that there are are made anew.
    #[must_use]
    pub fn rebuilding(mut self) -> Self {
        for change in self.nodes.iter_mut().filter(|change| change.action < Action::Create && change.exists) {
            change.action = Action::Recreate;
        }
        self
    }

    /// Whether everything is as the plan wants it.
    pub fn is_empty(&self) -> bool {
        self.nodes.iter().all(|change| change.action == Action::None)
            && self.networks.iter().all(|change| change.action == Action::None)
    }

    /// What is done with the node of this domain.
    pub(crate) fn node(&self, domain: &str) -> Action {
        self.nodes.iter().find(|change| change.domain == domain).map_or(Action::None, |change| change.action)
    }
}

impl Session {
    /// What a start would do with the nodes that `scope` means.
    ///
    /// # Errors
    /// Libvirt does not answer, or what was started is not known.
    pub fn changes(&self, plan: &Plan, scope: &Scope) -> Result<Changes, Error> {
        let observed = self.hypervisor.observe()?;
        let recorded = self.recorded(plan, &observed)?;
        let plan = scope.merge(recorded.as_ref(), plan);
        Ok(Comparison { site: &self.site, observed: &observed, recorded: recorded.as_ref() }
            .with(&plan, scope))
    }

    /// The plan of what runs, or ran last; nothing when that is not known. What is not known of it is `like` another one.
    ///
    /// # Errors
    /// Libvirt does not answer, another version of ai-how wrote the plan, or it is damaged.
    pub fn plan(&self, like: &Plan) -> Result<Option<Plan>, Error> {
        self.recorded(like, &self.hypervisor.observe()?)
    }

    /// The same: as it was written, or, when that is lost, as the marks of what runs have it.
    pub(crate) fn recorded(&self, like: &Plan, observed: &Observed) -> Result<Option<Plan>, Error> {
        Ok(self.site.plan()?.or_else(|| self.site.rebuilt(like, observed)))
    }
}

impl Site {
    /// The plan of what runs, or ran last: as it was written, or, when that is lost and machines run, as their marks have
    /// it.
    ///
    /// # Errors
    /// Another version of ai-how wrote it, it is damaged, or libvirt does not answer.
    pub fn as_started(&self, cancel: &Cancel) -> Result<Option<Plan>, Error> {
        if let Some(plan) = self.plan()? {
            return Ok(Some(plan));
        }
        let Some(session) = self.find(cancel)? else { return Ok(None) };
        let lab = self.folder.lab_name();
        session.plan(&Plan { format: FORMAT, lab, id: String::new(), clusters: Vec::new() })
    }

    /// What a start of a lab that does not run would do.
    ///
    /// # Errors
    /// What was started is not known.
    pub fn changes(&self, plan: &Plan, scope: &Scope) -> Result<Changes, Error> {
        let (observed, recorded) = (Observed::default(), self.plan()?);
        let plan = scope.merge(recorded.as_ref(), plan);
        Ok(Comparison { site: self, observed: &observed, recorded: recorded.as_ref() }.with(&plan, scope))
    }

    /// The plan of what runs, from the marks of its networks and domains.
    pub(crate) fn rebuilt(&self, like: &Plan, observed: &Observed) -> Option<Plan> {
        let lab = self.folder.id();
        let ours = |mark: &&Mark| mark.lab == lab;
        let mut clusters: Vec<ClusterPlan> = Vec::new();
        for mark in observed.networks.iter().filter_map(|network| network.mark.as_ref()).filter(ours) {
            if let Some(cluster) =
                mark.cluster().filter(|new| clusters.iter().all(|old| old.name != new.name))
            {
                clusters.push(cluster);
            }
        }
        for mark in observed.domains.iter().filter_map(|domain| domain.mark.as_ref()).filter(ours) {
            let Some(node) = mark.node() else { continue };
            // Appliances have no network that would bear the mark of their cluster.
            if node.is_appliance() && clusters.iter().all(|cluster| cluster.name != mark.cluster) {
                clusters.push(ClusterPlan::of_appliances(&mark.cluster));
            }
            if let Some(cluster) = clusters.iter_mut().find(|cluster| cluster.name == mark.cluster) {
                cluster.nodes.push(node);
            }
        }
        for cluster in &mut clusters {
            cluster.nodes.sort_by_key(|node| (!node.role.serves(), node.domain.clone()));
        }
        let plan = Plan { format: like.format, lab: like.lab.clone(), id: String::new(), clusters };
        let is_any = plan.nodes().next().is_some();
        is_any.then(|| plan.identified())
    }
}

/// What is, to be compared with a plan.
pub(crate) struct Comparison<'a> {
    pub(crate) site: &'a Site,
    pub(crate) observed: &'a Observed,
    pub(crate) recorded: Option<&'a Plan>,
}

impl Comparison<'_> {
    /// What becomes of what `scope` means. Everything else of the plan is as it is.
    pub(crate) fn with(&self, wanted: &Plan, scope: &Scope) -> Changes {
        let mut changes = Changes::default();
        let gone = self.gone_nodes(wanted, scope);
        let is_touched = |cluster: &ClusterPlan| {
            scope.has_shared_of(&cluster.name)
                || cluster.nodes.iter().any(|node| scope.has(&cluster.name, &node.domain))
                || gone.iter().any(|change| change.cluster == cluster.name)
        };
        let mut broken: BTreeMap<&str, Vec<Difference>> = BTreeMap::new();
        for cluster in wanted.clusters.iter().filter(|cluster| is_touched(cluster)) {
            for network in &cluster.networks {
                let change = self.network(wanted, cluster, network);
                if change.action >= Action::Create {
                    broken.insert(&network.name, change.differences.clone());
                }
                changes.networks.push(change);
            }
            for node in cluster.nodes.iter().filter(|node| scope.has(&cluster.name, &node.domain)) {
                changes.nodes.push(self.node(cluster, node, scope, &broken));
            }
        }
        changes.networks.extend(self.gone_networks(wanted, scope));
        changes.nodes.extend(gone);
        changes
    }

    fn node(
        &self,
        cluster: &ClusterPlan,
        node: &NodePlan,
        scope: &Scope,
        broken: &BTreeMap<&str, Vec<Difference>>,
    ) -> NodeChange {
        let disk = self.site.folder.path().join(&node.disk);
        let half_made = unready(self.site.folder.path(), node).exists();
        let running = self.ours(&node.domain).filter(|_| !half_made);
        let recorded = self.recorded.and_then(|plan| plan.nodes().find(|(_, was)| was.domain == node.domain));
        let was = running
            .and_then(|domain| domain.mark.as_ref()?.node())
            .or_else(|| recorded.map(|(_, was)| was.clone()))
            .unwrap_or_else(|| node.clone());
        let exists = running.is_some() || (disk.exists() && !half_made);
        let mut differences = if exists { change::of_node(&was, node) } else { Vec::new() };
        // The disk itself knows best how large it is.
        if let Some(gib) = virtual_gib(&disk).filter(|_| exists) {
            differences.retain(|difference| difference.what != "disk" || difference.action != Action::Live);
            if gib < node.disk_gib {
                let (is, wanted) = (format!("{gib} GiB"), format!("{} GiB", node.disk_gib));
                differences.push(Difference { what: "disk", is, wanted, action: Action::Live });
            }
        }
        let drift = running.map(|domain| self.drift(domain, &was)).unwrap_or_default();
        if running.is_some() {
            let cards = node.interfaces.iter().filter(|card| broken.contains_key(card.network.as_str()));
            differences.extend(cards.map(|card| Difference {
                what: "network",
                is: card.network.clone(),
                wanted: "made anew".to_owned(),
                action: Action::Restart,
            }));
        }
        let largest = differences.iter().chain(&drift).map(|difference| difference.action).max();
        let largest = largest.unwrap_or(Action::None);
        let action = match (running.is_some(), exists) {
            (true, _) => largest,
            (false, true) if largest.loses_disk() => largest,
            (false, true) if scope.starts(cluster, node) => Action::Start,
            (false, false) if scope.starts(cluster, node) => Action::Create,
            (false, _) => Action::None,
        };
        NodeChange {
            node: node.label.clone(),
            domain: node.domain.clone(),
            cluster: cluster.name.clone(),
            action,
            exists,
            differences,
            drift,
        }
    }

    /// In what a machine that runs is not as it was made.
    fn drift(&self, domain: &Domain, was: &NodePlan) -> Vec<Difference> {
        let made = Shape {
            cpus: was.cpus,
            memory_mib: was.memory_mib,
            disks: [was.attached_disk().map(str::to_owned), was.seed()]
                .into_iter()
                .flatten()
                .map(|name| self.site.folder.path().join(name).display().to_string())
                .collect(),
            cards: was
                .interfaces
                .iter()
                .map(|card| lab::Card { mac: card.mac.clone(), network: card.network.clone() })
                .collect(),
            devices: was.devices.iter().map(|device| device.source.to_string()).collect(),
        };
        let card = |card: &lab::Card| format!("{} on {}", card.mac, card.network);
        let list = |items: Vec<String>| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
        let texts = |shape: &Shape| {
            [
                ("cpus", shape.cpus.to_string()),
                ("memory", format!("{} MiB", shape.memory_mib)),
                ("disks", list(shape.disks.clone())),
                ("cards", list(shape.cards.iter().map(card).collect())),
                ("devices", list(shape.devices.clone())),
            ]
        };
        let pairs = texts(&domain.shape).into_iter().zip(texts(&made));
        pairs
            .filter(|((_, is), (_, wanted))| is != wanted)
            .map(|((what, is), (_, wanted))| Difference { what, is, wanted, action: Action::Restart })
            .collect()
    }

    fn network(&self, plan: &Plan, cluster: &ClusterPlan, network: &NetworkPlan) -> NetworkChange {
        let found = self.observed.network(&network.name).filter(|found| found.active);
        let was = found
            .and_then(|found| found.mark.as_ref()?.cluster())
            .and_then(|cluster| cluster.networks.into_iter().find(|was| was.name == network.name));
        let mut differences = was.map(|was| change::of_network(&was, network)).unwrap_or_default();
        if let Some(found) = found {
            let reservations = render::reservations(plan, network);
            let (old, new) = differ(&found.reservations, &reservations);
            let names = |list: &[&render::Reservation]| {
                let names: Vec<String> =
                    list.iter().map(|host| format!("{} {}", host.name, host.address)).collect();
                if names.is_empty() { "none".to_owned() } else { names.join(", ") }
            };
            if !(old.is_empty() && new.is_empty()) {
                let (is, wanted) = (names(&old), names(&new));
                differences.push(Difference { what: "addresses", is, wanted, action: Action::Live });
            }
        }
        let action = match found {
            None => Action::Create,
            Some(_) => differences.iter().map(|found| found.action).max().unwrap_or(Action::None),
        };
        NetworkChange { network: network.name.clone(), cluster: cluster.name.clone(), action, differences }
    }

    fn gone_networks(&self, wanted: &Plan, scope: &Scope) -> Vec<NetworkChange> {
        let lab = self.site.folder.id();
        let known = |name: &str| {
            wanted.clusters.iter().flat_map(|cluster| &cluster.networks).any(|network| network.name == name)
        };
        let ours =
            self.observed.networks.iter().filter_map(|network| Some((network, network.mark.as_ref()?)));
        ours.filter(|(network, mark)| {
            mark.lab == lab && !known(&network.name) && scope.has_shared_of(&mark.cluster)
        })
        .map(|(network, mark)| NetworkChange {
            network: network.name.clone(),
            cluster: mark.cluster.clone(),
            action: Action::Remove,
            differences: Vec::new(),
        })
        .collect()
    }

    /// Nodes that there are and that the plan does not have.
    fn gone_nodes(&self, wanted: &Plan, scope: &Scope) -> Vec<NodeChange> {
        let lab = self.site.folder.id();
        let mut gone: BTreeMap<String, (String, String)> = BTreeMap::new();
        for domain in &self.observed.domains {
            let Some(mark) = domain.mark.as_ref().filter(|mark| mark.lab == lab) else { continue };
            if !templates::is_template(&domain.name) {
                let label = mark.node().map_or_else(|| domain.name.clone(), |node| node.label);
                gone.insert(domain.name.clone(), (mark.cluster.clone(), label));
            }
        }
        for (cluster, node) in self.recorded.iter().flat_map(|plan| plan.nodes()) {
            if self.site.folder.path().join(&node.disk).exists() {
                gone.insert(node.domain.clone(), (cluster.name.clone(), node.label.clone()));
            }
        }
        for (_, node) in wanted.nodes() {
            gone.remove(&node.domain);
        }
        let gone = gone.into_iter().filter(|(domain, (cluster, _))| scope.has(cluster, domain));
        gone.map(|(domain, (cluster, node))| NodeChange {
            node,
            domain,
            cluster,
            action: Action::Remove,
            exists: true,
            differences: Vec::new(),
            drift: Vec::new(),
        })
        .collect()
    }

    /// The machine of this name, if it is this lab's.
    fn ours(&self, domain: &str) -> Option<&Domain> {
        let lab = self.site.folder.id();
        self.observed.domain(domain).filter(|found| found.mark.as_ref().is_some_and(|mark| mark.lab == lab))
    }
}

/// What is only in the one list, and what is only in the other.
pub(crate) fn differ<'a, T: PartialEq>(old: &'a [T], new: &'a [T]) -> (Vec<&'a T>, Vec<&'a T>) {
    (
        old.iter().filter(|item| !new.contains(item)).collect(),
        new.iter().filter(|item| !old.contains(item)).collect(),
    )
}

/// How large the guest sees a qcow2 disk, GiB rounded down; nothing when it is none.
pub(crate) fn virtual_gib(disk: &Path) -> Option<u64> {
    // The first fields of the format: magic, version, backing file's place (8) and size (4), cluster bits, size in bytes.
    let mut header = [0; 32];
    fs::File::open(disk).ok()?.read_exact(&mut header).ok()?;
    let size = header[24..].try_into().map(u64::from_be_bytes).ok()?;
    header.starts_with(b"QFI\xfb").then_some(size >> 30)
}
