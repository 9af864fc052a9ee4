//! Starting a lab: networks, then machines, as copies of templates where that is possible and by booting where not. What runs
//! already and is as it should be is left alone; what is not makes way first ([`crate::change`]).
//!
//! ```text
//! nodes without a disk ──> templates ──> copies ──> identity ──> ready
//!                             │ not possible, and why: one line
//! nodes with a disk ──────────┴────────> boot ─────────────────> ready
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use config::model::{Arch, Image as ImageName};
use events::{EventKind, Level, NodeState, Sink};
use guest::ready;
use image::{Base, Boot, Recipe, Store};
use lab::{DomainState, HypervisorError, Observed, accelerator::Verdict};
use plan::{
    Plan,
    change::Action,
    model::{ClusterPlan, NetworkPlan, NodePlan},
};
use render::{Kernel, Machine, Mark, Reservation};
use system::{cancel::Cancel, clock::Stopwatch, file, process::Command};
use template::Kind;

use crate::{
    Deployed, Error, Scope, Session, access,
    changes::{self, Comparison},
    memory, prompt,
    slots::Slots,
    snapshot::clear_half_made,
    stop::shutdown_limit,
    together::{first_error, together},
};

/// How long it may take to send a packet on this host.
const RELEASE_LIMIT: Duration = Duration::from_secs(5);

/// What a start needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    /// What to start.
    pub plan: &'a Plan,
    /// What the plan's nodes boot, by [`title`]; see [`images`].
    pub images: &'a BTreeMap<String, Base>,
    /// How machines run here, and how slowly.
    pub verdict: &'a Verdict,
    /// Where templates are kept; without, every node boots.
    pub templates: Option<&'a Templates>,
    /// What the nodes are after a deployment, by domain. A cluster whose nodes were all kept like that starts so.
    pub deployed: &'a BTreeMap<String, Deployed>,
    /// Where the XML goes for the record, if anywhere.
    pub record: Option<&'a Path>,
    /// Which part of the plan.
    pub scope: &'a Scope,
    /// Whether nodes may lose their disks, where the plan cannot be had otherwise.
    pub force: bool,
    /// Whether the nodes that are meant are made anew.
    pub rebuild: bool,
    /// Whether nodes that boot are waited for. The next start waits for those that were not.
    pub wait: bool,
}

impl<'a> Start<'a> {
    /// The whole plan, without templates and without losing anything: what there is is only gone on from.
    pub fn of(
        plan: &'a Plan,
        images: &'a BTreeMap<String, Base>,
        verdict: &'a Verdict,
        deployed: &'a BTreeMap<String, Deployed>,
    ) -> Self {
        Self {
            plan,
            images,
            verdict,
            templates: None,
            deployed,
            record: None,
            scope: &Scope::Lab,
            force: false,
            rebuild: false,
            wait: true,
        }
    }
}

impl Start<'_> {
    /// What a node boots.
    pub(crate) fn image(&self, node: &NodePlan) -> Result<&Base, Error> {
        self.images.get(&title(node)).ok_or_else(|| Error::Unsupported {
            cluster: node.domain.clone(),
            why: "there is no image for it".to_owned(),
        })
    }
}

/// What a start did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Started {
    /// Domains that began with a disk as new as the image, or as their template's.
    pub fresh: BTreeSet<String>,
    /// Domains that are copies of templates.
    pub copies: BTreeSet<String>,
    /// Clusters, by name, that were started as a deployment left them.
    pub deployed: BTreeSet<String>,
}

/// Where templates are kept, and how much of the disk they may take.
#[derive(Debug, Clone)]
pub struct Templates {
    /// Where.
    pub store: template::Store,
    /// What all of them may take, MiB; the ones that were not used for the longest time make room.
    pub limit_mib: u64,
}

/// Finds or builds every image a plan needs.
///
/// # Errors
/// A cluster or image that cannot be started yet, or a build that failed.
pub fn images(
    plan: &Plan,
    store: &Store,
    options: &image::Options,
    sink: &dyn Sink,
    cancel: &Cancel,
) -> Result<BTreeMap<String, Base>, Error> {
    let mut images = BTreeMap::new();
    for (_, node) in plan.nodes() {
        let title = title(node);
        // A file is looked at for each node, since each one's disk has a size of its own.
        let base = match &node.image {
            ImageName::Built(_) if images.contains_key(&title) => continue,
            ImageName::Built(name) => {
                Base::from(&image::build(store, Recipe::find(name, node.arch)?, options, sink, cancel)?)
            }
            ImageName::Appliance(model) => {
                prompt::base(node, model.as_deref(), store, options, sink, cancel)?
            }
            _ => own_image(node)?,
        };
        images.insert(title, base);
    }
    Ok(images)
}

/// How what a node boots is found in [`Start::images`].
pub fn title(node: &NodePlan) -> String {
    let name = node.image.name().unwrap_or_default();
    let name = match node.is_appliance() {
        true => [appliance::NAME, if node.uefi { "uefi" } else { "" }, name].join(" "),
        false => name.to_owned(),
    };
    image::title(name.trim_end(), node.arch)
}

/// The file of the user's that a node boots, looked at.
///
/// # Errors
/// There is none, or it is of no use.
pub fn own_image(node: &NodePlan) -> Result<Base, Error> {
    let unsupported = |why: &str| Error::Unsupported { cluster: node.domain.clone(), why: why.to_owned() };
    match &node.image {
        ImageName::File(path) => {
            let path = Path::new(path);
            Ok(Base::open(path, image::beside(path), node.disk_gib)?)
        }
        ImageName::Disk(_) if node.arch == Arch::Aarch64 => Err(unsupported(
            "an image of an aarch64 node needs a kernel and an initramfs beside it (X.vmlinuz and X.initrd beside \
             X.qcow2), since there is no firmware for it",
        )),
        ImageName::Disk(path) => Ok(Base::open(Path::new(path), Boot::Firmware, node.disk_gib)?),
        ImageName::Built(_) | ImageName::Appliance(_) | ImageName::Unspecified => {
            Err(unsupported("the file names no image for it"))
        }
    }
}

impl Session {
    /// Makes what `start.scope` means of the plan run, and what it has no more go. What is as it should be is left alone.
    ///
    /// # Errors
    /// See [`Error`]. Nodes that were started stay as they are; the next start goes on from there.
    pub fn start(&self, start: &Start<'_>, sink: &dyn Sink, cancel: &Cancel) -> Result<Started, Error> {
        clear_half_made(&self.site.folder.snapshots())?;
        self.complete_revert(start, sink, cancel)?;
        // A stop that was killed did not wait for whom it had asked.
        let word = |node: &NodePlan| self.site.folder.path().join(&node.ready);
        let going = start.plan.nodes().map(|(_, node)| node).filter(|node| ready::is_stopping(&word(node)));
        first_error(together(going, |node| {
            let limit = shutdown_limit(start.verdict.slowness(node.arch));
            self.await_off(node, limit, sink, cancel)
        }))?;
        let observed = self.hypervisor.observe()?;
        self.refuse_strangers(start.plan, &observed)?;
        let recorded = self.recorded(start.plan, &observed)?;
        let plan = start.scope.merge(recorded.as_ref(), start.plan);
        let comparison = Comparison { site: &self.site, observed: &observed, recorded: recorded.as_ref() };
        let changes = comparison.with(&plan, start.scope);
        let changes = if start.rebuild { changes.rebuilding() } else { changes };
        let losers = changes.losers();
        if !(losers.is_empty() || start.force) {
            return Err(Error::WouldLose { nodes: losers });
        }
        let start = &Start { plan: &plan, ..*start };
        let is = |node: &NodePlan, actions: &[Action]| actions.contains(&changes.node(&node.domain));
        let missing: Vec<Placed<'_>> = plan
            .nodes()
            .filter(|(_, node)| is(node, &[Action::Create, Action::Start, Action::Restart, Action::Recreate]))
            .collect();
        let news = missing.iter().filter(|(_, node)| observed.domain(&node.domain).is_none());
        memory::check("the lab", news.map(|(_, node)| node.memory_mib))?;

        let generation = self.generation() + 1;
        let starting = Starting::new(self, start, generation, sink, cancel)?;
        starting.make_way(&observed, recorded.as_ref(), &changes)?;
        let folder = &self.site.folder;
        file::write(&self.generation_file(), format!("{generation}\n").as_bytes())?;
        self.site.write_plan(&plan)?;
        let observed = if changes.is_empty() { observed } else { self.hypervisor.observe()? };
        self.release(&plan, &observed)?;
        let is_meant =
            |network: &NetworkPlan| changes.networks.iter().any(|change| change.network == network.name);
        let started = starting.nodes(&missing, || starting.networks(&observed, is_meant))?;
        // A command that was killed did not wait for what it started.
        let told = |node: &NodePlan| ready::is_ready(&word(node));
        let stays = |node: &NodePlan| {
            observed.domain(&node.domain).is_some() && changes.node(&node.domain) < Action::Start
        };
        let late = plan.nodes().map(|(_, node)| node).filter(|node| {
            start.wait
                && changes.nodes.iter().any(|change| change.domain == node.domain)
                && stays(node)
                && !told(node)
        });
        first_error(together(late, |node| {
            starting.say(node, NodeState::Booting, "");
            starting.await_ready(node, Stopwatch::start())
        }))?;
        starting.change_live(&changes)?;
        access::write(folder, &plan, self.ssh_control())?;
        Ok(started)
    }

    /// An object of a name we need that bears no mark, or another lab's, is not ours to touch.
    pub(crate) fn refuse_strangers(&self, plan: &Plan, observed: &Observed) -> Result<(), Error> {
        let lab = self.site.folder.id();
        let foreign = |mark: Option<&Mark>| mark.is_none_or(|mark| mark.lab != lab);
        for cluster in &plan.clusters {
            for network in &cluster.networks {
                if let Some(found) =
                    observed.network(&network.name).filter(|found| foreign(found.mark.as_ref()))
                {
                    return Err(HypervisorError::Foreign { kind: "network", name: found.name.clone() }.into());
                }
            }
            for node in &cluster.nodes {
                if let Some(found) =
                    observed.domain(&node.domain).filter(|found| foreign(found.mark.as_ref()))
                {
                    return Err(HypervisorError::Foreign { kind: "domain", name: found.name.clone() }.into());
                }
            }
        }
        Ok(())
    }

    /// Lets nodes go on that a command held which was killed.
    fn release(&self, plan: &Plan, observed: &Observed) -> Result<(), Error> {
        let domains = plan.nodes().filter_map(|(_, node)| observed.domain(&node.domain));
        let held: Vec<_> = domains.filter(|domain| domain.state == DomainState::Paused).collect();
        for domain in held {
            self.hypervisor.resume_domain(&domain.name)?;
            // Late is better than held.
            let _ = self.set_clock(&domain.name, &domain.name);
        }
        Ok(())
    }

    /// How often this lab was started.
    pub(crate) fn generation(&self) -> u64 {
        file::read(&self.generation_file()).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    fn generation_file(&self) -> PathBuf {
        self.folder().join("generation")
    }
}

/// A node with the cluster it is of.
pub(crate) type Placed<'a> = (&'a ClusterPlan, &'a NodePlan);

/// A start that goes on.
pub(crate) struct Starting<'a> {
    pub(crate) session: &'a Session,
    pub(crate) start: &'a Start<'a>,
    pub(crate) sink: &'a dyn Sink,
    pub(crate) cancel: &'a Cancel,
    /// Set by the first node that fails: the others need not go on.
    failed: Cancel,
    generation: u64,
    pub(crate) authorized_key: String,
}

impl<'a> Starting<'a> {
    pub(crate) fn new(
        session: &'a Session,
        start: &'a Start<'a>,
        generation: u64,
        sink: &'a dyn Sink,
        cancel: &'a Cancel,
    ) -> Result<Self, Error> {
        let authorized_key = access::public_key(&session.site.folder)?;
        Ok(Self { session, start, sink, cancel, failed: Cancel::new(), generation, authorized_key })
    }

    /// Brings the networks up that are meant, and tells those that are up for whom they keep addresses.
    pub(crate) fn networks(
        &self,
        observed: &Observed,
        is_meant: impl Fn(&NetworkPlan) -> bool,
    ) -> Result<(), Error> {
        for cluster in &self.start.plan.clusters {
            for network in cluster.networks.iter().filter(|network| is_meant(network)) {
                let mark = self.mark(&cluster.name).of_network(cluster);
                let xml = render::network(self.start.plan, network, &mark)?;
                self.record(&network.name, &xml)?;
                match observed.network(&network.name).filter(|found| found.active) {
                    None => self.session.hypervisor.create_network(&network.name, &xml)?,
                    Some(found) => {
                        let reservations = render::reservations(self.start.plan, network);
                        let (old, new) = changes::differ(&found.reservations, &reservations);
                        let cloned = |list: Vec<&Reservation>| list.into_iter().cloned().collect::<Vec<_>>();
                        let (old, new) = (cloned(old), cloned(new));
                        if !(old.is_empty() && new.is_empty()) {
                            let is_taken =
                                |host: &&Reservation| new.iter().any(|other| other.address == host.address);
                            old.iter().filter(is_taken).for_each(|host| self.release(network, host));
                            self.session.hypervisor.change_reservations(&network.name, &old, &new)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Makes the network's DHCP forget that a card which is gone has an address. Until its time is over, an hour, nobody else
    /// would get the address: what is kept for whom does not count then.
    fn release(&self, network: &NetworkPlan, host: &Reservation) {
        let mut words = self.session.enter();
        words.extend(["dhcp_release".into(), network.bridge.clone().into()]);
        words.extend([host.address.to_string().into(), host.mac.clone().into()]);
        if let Err(error) = Command::new_from(words).deadline(RELEASE_LIMIT).run() {
            let message = format!(
                "{}, which {} had, may be out of use for an hour where a node asks DHCP for it: {error}",
                host.address, host.name
            );
            self.sink.emit(EventKind::Notice { level: Level::Warning, message });
        }
    }

    /// Starts the nodes, and tells which clusters are as a deployment left them. Nodes that are copies exist before they
    /// need the `networks`, which are made meanwhile.
    fn nodes(
        &self,
        missing: &[Placed<'_>],
        networks: impl FnOnce() -> Result<(), Error> + Send,
    ) -> Result<Started, Error> {
        for (_, node) in missing.iter().filter(|(_, node)| self.session.is_unready(node)) {
            self.session.remove_unready(node)?;
        }
        // A disk that was written to goes with no template's memory.
        let has_disk = |(_, node): &Placed<'_>| self.session.folder().join(&node.disk).exists();
        let (used, fresh): (Vec<_>, Vec<_>) = missing.iter().copied().partition(has_disk);
        let began = fresh.iter().map(|(_, node)| node.domain.clone()).collect();
        let copies = thread::scope(|scope| {
            let networks = scope.spawn(|| networks().inspect_err(|_| self.failed.request()));
            let copies = self.restored(&fresh);
            networks.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).and(copies)
        })?;
        let copied = self.identified(copies)?;
        let booted = fresh.into_iter().filter(|(_, node)| !copied.contains_key(&node.domain)).chain(used);
        let boot = |placed: Placed<'_>| self.boot(placed).inspect_err(|error| self.fail(placed.1, error));
        first_error(self.each(&Slots::busy(), &booted.collect::<Vec<_>>(), boot))?;
        let kept = |node: &NodePlan| copied.get(&node.domain) == Some(&Kind::Deployed);
        let clusters = self.start.plan.clusters.iter().filter(|cluster| {
            let mut nodes = cluster.nodes.iter().filter(|node| node.auto_start).peekable();
            nodes.peek().is_some() && nodes.all(kept)
        });
        let deployed = clusters.map(|cluster| cluster.name.clone()).collect();
        Ok(Started { fresh: began, deployed, copies: copied.into_keys().collect() })
    }

    /// Does the same for all at once, as far as there are places, and tells how each went.
    pub(crate) fn each<T: Copy + Send + Sync, R: Send>(
        &self,
        places: &Slots,
        items: &[T],
        work: impl Fn(T) -> Result<R, Error> + Sync,
    ) -> Vec<Result<R, Error>> {
        let one = |item: T| match places.take(|| self.stopped()) {
            Some(_place) => work(item),
            None => Err(Error::Interrupted),
        };
        together(items, |item| one(*item))
    }

    /// Whether there is no point in going on.
    pub(crate) fn stopped(&self) -> bool {
        self.cancel.requested() || self.failed.requested()
    }

    fn fail(&self, node: &NodePlan, error: &Error) {
        self.failed.request();
        if !error.is_interruption() {
            self.say(node, NodeState::Failed, &error.to_string());
        }
    }

    /// Tells that a node is in a new state.
    pub(crate) fn say(&self, node: &NodePlan, state: NodeState, detail: &str) {
        self.sink.emit(EventKind::NodeState { node: node.label.clone(), state, detail: detail.to_owned() });
    }

    /// Tells what the user should know.
    pub(crate) fn notice(&self, level: Level, message: String) {
        self.sink.emit(EventKind::Notice { level, message });
    }

    /// Tells a figure of a node, seconds.
    pub(crate) fn measured(&self, node: &NodePlan, figure: &str, seconds: f64) {
        self.sink.emit(EventKind::Measured {
            figure: figure.to_owned(),
            node: node.label.clone(),
            value: seconds,
            unit: "s".to_owned(),
        });
    }

    /// The mark of everything that this start makes for a cluster.
    pub(crate) fn mark(&self, cluster: &str) -> Mark {
        Mark {
            lab: self.session.site.folder.id(),
            cluster: cluster.to_owned(),
            plan: self.start.plan.id.clone(),
            generation: self.generation,
            record: String::new(),
        }
    }

    /// Keeps XML for the record.
    fn record(&self, name: &str, xml: &str) -> Result<(), Error> {
        if let Some(folder) = self.start.record {
            file::create_folder(folder)?;
            file::write(&folder.join(format!("{name}.xml")), xml.as_bytes())?;
        }
        Ok(())
    }

    /// The XML of a node that starts in this way, with its files in `folder`. It is kept for the record.
    pub(crate) fn domain(
        &self,
        (cluster, node): Placed<'_>,
        folder: &Path,
        start: render::Start,
    ) -> Result<String, Error> {
        let image = self.start.image(node)?;
        let machine = Machine {
            start,
            accelerator: self.start.verdict.accelerator(node.arch),
            folder: folder.display().to_string(),
            sockets: self.session.sockets_inside().display().to_string(),
            kernel: match &image.boot {
                Boot::Kernel { kernel, initrd } => {
                    let (kernel, initrd) = (kernel.display().to_string(), initrd.display().to_string());
                    Some(Kernel { kernel, initrd })
                }
                Boot::Firmware => None,
            },
            firmware: image.firmware.as_ref().map(|path| path.display().to_string()),
            authorized_key: self.authorized_key.clone(),
        };
        let xml = render::domain(node, &machine, &self.mark(&cluster.name).of_node(node))?;
        self.record(&node.domain, &xml)?;
        Ok(xml)
    }
}
