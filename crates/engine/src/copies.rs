//! Nodes as copies of templates: private memory over the template's file, a disk of their own, and an identity before
//! anybody can see them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use config::model::Role;
use events::{Level, NodeState};
use guest::agent::{self, Agent, Card, Identity, OwnFile};
use plan::{
    Plan,
    model::{ClusterPlan, NodePlan},
};
use render::{Frozen, Start};
use system::{cancel::Cancel, clock::Stopwatch, file, host};
use template::{Files, Key, Kind, Template};

use crate::{
    Error, Place, Session, Templates, access,
    base::base_note,
    claim::claim,
    slots::Slots,
    start::{Placed, Starting},
    together::first_error,
};

/// How long a copy may take to know who it is on a host with KVM; multiplied with the host's slowness.
const IDENTITY_LIMIT: Duration = Duration::from_secs(5);

/// How long the services of a deployed copy may take to start on a host with KVM; multiplied with the host's slowness.
const SERVICES_LIMIT: Duration = Duration::from_secs(15);

/// How long a copy may take to hear that it may settle.
const SETTLE_LIMIT: Duration = Duration::from_secs(10);

/// Bytes that a copy's random numbers start from.
const ENTROPY: usize = 64;

/// A node that is a copy of a template.
pub(crate) struct Copy<'a> {
    placed: Placed<'a>,
    template: Template,
}

impl Starting<'_> {
    /// Makes what can be a copy of a template, with its processors held. Of the other nodes there is nothing, and the
    /// user was told why.
    pub(crate) fn restored<'a>(&self, fresh: &[Placed<'a>]) -> Result<Vec<Copy<'a>>, Error> {
        let fresh: Vec<Placed<'_>> =
            fresh.iter().filter(|(_, node)| node.uncopyable().is_none()).copied().collect();
        let Some(templates) = self.start.templates.filter(|_| !fresh.is_empty()) else {
            return Ok(Vec::new());
        };
        if self.session.site.place != Place::Private {
            let message = "only a private lab starts from templates, so the nodes boot".to_owned();
            self.notice(Level::Info, message);
            return Ok(Vec::new());
        }
        let copies = match self.with_templates(templates, &fresh) {
            Err(error) if !error.is_interruption() => {
                self.notice(
                    Level::Warning,
                    format!("no start from templates: {}; the nodes boot", error.first_line()),
                );
                return Ok(Vec::new());
            }
            copies => copies?,
        };
        // One lock for all: one after the other would wait for each other's emulators to start.
        let all: Vec<_> = copies.iter().map(|copy| copy.placed.1).collect();
        let lock = claim(&self.session.site, "the lab", &all)?;
        let places = Slots::new(copies.len());
        let made = self.attempts(&places, copies, |copy| self.restore(copy));
        drop(lock);
        made
    }

    /// Lets copies run, tells each who it is, and returns the domains that are ready with what they are copies of. Of the
    /// others there is nothing, and the user was told why.
    pub(crate) fn identified(&self, copies: Vec<Copy<'_>>) -> Result<BTreeMap<String, Kind>, Error> {
        // One more than the host has processors: now and then a copy waits for the host. With more of them at once each
        // one's work costs the processors more, since they keep less of it at hand.
        let places = Slots::new(host::cpus() + 1);
        let awake = self.attempts(&places, copies, |copy| self.identify(copy))?;
        let mut deployed: Vec<&Copy<'_>> =
            awake.iter().filter(|copy| copy.template.manifest.kind == Kind::Deployed).collect();
        // A compute node registers with a controller that listens.
        deployed.sort_by_key(|copy| copy.placed.1.role != Role::Controller);
        first_error(self.each(&places, &deployed, |copy| self.start_services(copy.placed.1)))?;
        let kind = |copy: Copy<'_>| (copy.placed.1.domain.clone(), copy.template.manifest.kind);
        Ok(awake.into_iter().map(kind).collect())
    }

    /// Each node with its template: one that a deployment was kept in when the whole cluster has such, else one of its
    /// shape, which is made where there is none.
    fn with_templates<'a>(
        &self,
        templates: &Templates,
        fresh: &[Placed<'a>],
    ) -> Result<Vec<Copy<'a>>, Error> {
        let mut keys = BTreeMap::new();
        for (_, node) in fresh {
            keys.insert(&node.domain, self.start.key(node)?);
        }
        let mut copies = Vec::new();
        for cluster in &self.start.plan.clusters {
            let nodes: Vec<_> = fresh.iter().filter(|(of, _)| of.name == cluster.name).copied().collect();
            copies.extend(self.deployed(templates, cluster, &nodes, &keys)?);
        }
        let kept: BTreeSet<&String> = copies.iter().map(|copy: &Copy<'_>| &copy.placed.1.domain).collect();
        let rest: Vec<Placed<'a>> =
            fresh.iter().filter(|(_, node)| !kept.contains(&node.domain)).copied().collect();
        let ids: Vec<String> = rest.iter().map(|(_, node)| keys[&node.domain].id()).collect();
        let shapes: BTreeMap<&String, Placed<'a>> = ids.iter().zip(rest.iter().copied()).collect();
        let shapes: Vec<Placed<'a>> = shapes.into_values().collect();
        let made = self.each(&Slots::busy(), &shapes, |placed| {
            self.template(templates, &keys[&placed.1.domain], placed, &ids)
        });
        let made: Vec<Template> = made.into_iter().collect::<Result<_, _>>()?;
        let of = |id: &String| made.iter().find(|template| template.manifest.id == *id).cloned();
        let shaped = rest
            .iter()
            .zip(&ids)
            .filter_map(|(placed, id)| Some(Copy { placed: *placed, template: of(id)? }));
        copies.extend(shaped);
        Ok(copies)
    }

    /// The nodes of a cluster with the templates that a deployment was kept in; nothing unless every node has one.
    fn deployed<'a>(
        &self,
        templates: &Templates,
        cluster: &ClusterPlan,
        nodes: &[Placed<'a>],
        keys: &BTreeMap<&String, Key>,
    ) -> Result<Vec<Copy<'a>>, Error> {
        if nodes.len() < cluster.nodes.iter().filter(|node| node.auto_start).count() {
            return Ok(Vec::new());
        }
        let mut found: BTreeMap<String, Template> = BTreeMap::new();
        let mut copies = Vec::new();
        for placed in nodes {
            let domain = &placed.1.domain;
            let Some(deployed) = self.start.deployed.get(domain) else { return Ok(Vec::new()) };
            let id = deployed.key(&keys[domain]).id();
            if !found.contains_key(&id) {
                let Some(template) = self.whole(&templates.store, &id)? else { return Ok(Vec::new()) };
                found.insert(id.clone(), template);
            }
            copies.push(Copy { placed: *placed, template: found[&id].clone() });
        }
        Ok(copies)
    }

    /// Does a step with all copies, and returns those it worked with. Of the others nothing is left.
    fn attempts<'a>(
        &self,
        places: &Slots,
        copies: Vec<Copy<'a>>,
        step: impl Fn(&Copy<'a>) -> Result<(), Error> + Sync,
    ) -> Result<Vec<Copy<'a>>, Error> {
        let items: Vec<&Copy<'a>> = copies.iter().collect();
        let worked = self.each(places, &items, |copy| self.attempt(copy, &step));
        let worked: Vec<bool> = worked.into_iter().collect::<Result<_, _>>()?;
        Ok(copies.into_iter().zip(worked).filter_map(|(copy, worked)| worked.then_some(copy)).collect())
    }

    /// Does a step with a copy, and tells whether it worked. When not, nothing of the copy is left.
    fn attempt<'a>(
        &self,
        copy: &Copy<'a>,
        step: impl Fn(&Copy<'a>) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        let Err(error) = step(copy) else { return Ok(true) };
        let node = copy.placed.1;
        self.session.hypervisor.destroy_domain(&node.domain)?;
        self.session.remove_unready(node)?;
        if error.is_interruption() {
            return Err(error);
        }
        let why = error.first_line();
        let message = format!("{} cannot be a copy of a template: {why}; it boots", node.label);
        self.notice(Level::Warning, message);
        Ok(false)
    }

    /// Makes the machine as the template was, with its processors held.
    fn restore(&self, Copy { placed: (cluster, node), template }: &Copy<'_>) -> Result<(), Error> {
        self.say(node, NodeState::Starting, "");
        let folder = self.session.folder();
        // A disk without this word is one that its node has worked with.
        file::write(&unready(folder, node), b"")?;
        self.session.note_base(node, self.start.image(node)?)?;
        copy_file(&template.files().disk(), &folder.join(&node.disk))?;
        file::remove_file(&folder.join(&node.ready))?;
        let xml = self.domain((*cluster, *node), folder, Start::Copy(going_on(&template.files())))?;
        Ok(self.session.hypervisor.restore_domain(&node.domain, &xml)?)
    }

    /// Lets the copy run, and tells it who it is.
    fn identify(&self, Copy { placed: (cluster, node), template }: &Copy<'_>) -> Result<(), Error> {
        let watch = Stopwatch::start();
        let hypervisor = &self.session.hypervisor;
        // They are there before the guest runs, so it finds them while it is told who it is, and brings them up after.
        for (place, interface) in node.interfaces.iter().enumerate() {
            hypervisor.attach_device(&node.domain, &render::interface(interface, place)?)?;
        }
        hypervisor.resume_domain(&node.domain)?;
        self.say(node, NodeState::Booting, "copied from a template");
        let mut identity = self.identity(cluster, node)?;
        if let (Kind::Deployed, Some(deployed)) =
            (template.manifest.kind, self.start.deployed.get(&node.domain))
        {
            identity.files.extend(deployed.secrets.iter().cloned());
        }
        self.agent(node)?.identity(&identity)?;
        let ready = self.session.folder().join(&node.ready);
        let said = || guest::ready::read(&ready).is_some();
        self.wait(node, &ready, &self.session.folder().join(&node.console), watch, &said)?;
        file::remove_file(&unready(self.session.folder(), node))?;
        self.say(node, NodeState::Ready, "");
        self.measured(node, "copy-to-ready", watch.seconds());
        Ok(())
    }

    /// Starts what runs on a node after a deployment. What does not start is found by whoever needs it.
    fn start_services(&self, node: &NodePlan) -> Result<(), Error> {
        let Some(deployed) = self.start.deployed.get(&node.domain) else { return Ok(()) };
        let script = format!("systemctl start {}", deployed.services.join(" "));
        let limit = SERVICES_LIMIT.mul_f64(self.start.verdict.slowness(node.arch));
        match self.session.run(node, &script, limit, self.cancel) {
            Err(error) if error.is_interruption() => Err(error),
            _ => Ok(()),
        }
    }

    pub(crate) fn agent<'b>(&'b self, node: &'b NodePlan) -> Result<Agent<'b>, agent::Error> {
        let limit = IDENTITY_LIMIT.mul_f64(self.start.verdict.slowness(node.arch));
        self.session.agent(node, limit, self.cancel)
    }

    fn identity(&self, cluster: &ClusterPlan, node: &NodePlan) -> Result<Identity, Error> {
        let (private, public) = access::host_key(&self.session.site.folder, &node.domain)?;
        let file = |path: &str, content: String, mode| OwnFile {
            path: path.to_owned(),
            content: content.into_bytes(),
            mode,
            owner: None,
        };
        let cards = node.interfaces.iter().enumerate().filter_map(|(place, interface)| {
            let network = cluster.networks.iter().find(|network| network.name == interface.network)?;
            Some(Card {
                mac: interface.mac.clone(),
                address: interface.address.to_string(),
                netmask: network.subnet.netmask().to_string(),
                // As DHCP has it for a node that boots: the way out is over the first card.
                gateway: (place == 0).then(|| network.gateway.to_string()),
            })
        });
        Ok(Identity {
            hostname: node.name.clone(),
            machine_id: node.uuid.simple().to_string(),
            entropy: host::random(ENTROPY).map_err(file::Error::new("read", "/dev/urandom"))?,
            files: vec![
                file("/etc/ssh/ssh_host_ed25519_key", private, 0o600),
                file("/etc/ssh/ssh_host_ed25519_key.pub", public, 0o644),
                file("/root/.ssh/authorized_keys", format!("{}\n", self.authorized_key), 0o600),
            ],
            cards: cards.collect(),
        })
    }
}

impl Session {
    /// Lets copies do what could wait until everything of the lab runs. One that does not hear it is no worse than before.
    pub fn settle(&self, plan: &Plan, copies: &BTreeSet<String>, cancel: &Cancel) {
        for (_, node) in plan.nodes().filter(|(_, node)| copies.contains(&node.domain)) {
            let _ = self.agent(node, SETTLE_LIMIT, cancel).and_then(|mut agent| agent.settle());
        }
    }

    /// Whether a start was killed before this copy was ready: then nothing was done with its disk.
    pub(crate) fn is_unready(&self, node: &NodePlan) -> bool {
        unready(self.folder(), node).exists()
    }

    /// Removes what there is of a copy that was not ready.
    pub(crate) fn remove_unready(&self, node: &NodePlan) -> Result<(), Error> {
        let folder = self.folder();
        for path in [
            folder.join(&node.disk),
            base_note(folder, node),
            folder.join(&node.ready),
            unready(folder, node),
        ] {
            file::remove_file(&path)?;
        }
        Ok(())
    }
}

/// Where it is written that a copy is not ready yet.
pub(crate) fn unready(folder: &Path, node: &NodePlan) -> PathBuf {
    folder.join(&node.disk).with_extension("unready")
}

/// Half a copy is never taken for a whole one.
pub(crate) fn copy_file(from: &Path, to: &Path) -> Result<(), Error> {
    let part = to.with_extension("part");
    file::remove_file(&part)?;
    fs::copy(from, &part).map_err(file::Error::new("copy", from))?;
    fs::set_permissions(&part, fs::Permissions::from_mode(0o600))
        .map_err(file::Error::new("set the mode of", &part))?;
    Ok(fs::rename(&part, to).map_err(file::Error::new("name the disk", to))?)
}

/// The files that a machine goes on from, as its XML names them.
pub(crate) fn going_on(files: &Files) -> Frozen {
    Frozen { memory: files.memory().display().to_string(), state: files.state().display().to_string() }
}
