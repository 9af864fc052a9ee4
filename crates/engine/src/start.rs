//! Starting a lab: networks, then disks and domains, then waiting until every node said that it is ready.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

use config::model::Image as ImageName;
use events::{EventKind, NodeState, Sink};
use guest::ready;
use image::{Image, Recipe, Store};
use lab::{DomainState, HypervisorError, Observed, accelerator::Verdict};
use plan::{
    Plan,
    model::{ClusterPlan, NodePlan},
};
use render::{Machine, Mark};
use system::{cancel::Cancel, clock::Stopwatch, file, host, process::Command, watch::FolderWatch};

use crate::{Error, Place, Session, access, memory};

/// How long a node may take from power-on to ready on a host with KVM; multiplied with the host's slowness.
const BOOT_LIMIT: Duration = Duration::from_secs(15);

/// How often a wait for readiness looks at the machine itself.
const LOOK: Duration = Duration::from_secs(1);

/// How many of a console's last lines an error shows.
const CONSOLE_LINES: usize = 15;

/// What a start needs to know.
#[derive(Debug)]
pub struct Start<'a> {
    /// What to start.
    pub plan: &'a Plan,
    /// An image for every name in the plan; see [`images`].
    pub images: &'a BTreeMap<String, Image>,
    /// How machines run here, and how slowly.
    pub verdict: &'a Verdict,
    /// Where the XML goes for the record, if anywhere.
    pub record: Option<&'a Path>,
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
) -> Result<BTreeMap<String, Image>, Error> {
    let mut images = BTreeMap::new();
    for (cluster, node) in plan.nodes() {
        let unsupported =
            |cluster: &str, why: String| Error::Unsupported { cluster: cluster.to_owned(), why };
        if cluster.slurm.is_none() {
            let why = format!("its kind is {}, and only slurm clusters can be started", cluster.kind);
            return Err(unsupported(&cluster.name, why));
        }
        let name = match &node.image {
            ImageName::Built(name) => name,
            ImageName::File(path) => {
                let why = format!("it boots {path}, and only images that ai-how builds can be started");
                return Err(unsupported(&node.domain, why));
            }
            ImageName::Unspecified => {
                return Err(unsupported(&node.domain, "the file names no image for it".to_owned()));
            }
        };
        if images.contains_key(name) {
            continue;
        }
        let recipe = Recipe::find(name)?;
        images.insert(name.clone(), image::build(store, recipe, options, sink, cancel)?);
    }
    Ok(images)
}

impl Session {
    /// Makes the plan run. What runs already is left alone.
    ///
    /// # Errors
    /// See [`Error`]. Nodes that were started stay as they are; the next start goes on from there.
    pub fn start(&self, start: &Start<'_>, sink: &dyn Sink, cancel: &Cancel) -> Result<(), Error> {
        let observed = self.hypervisor.observe()?;
        self.refuse_strangers(start.plan, &observed)?;
        self.refuse_change(start.plan, &observed)?;
        let folder = &self.site.folder;
        let missing: Vec<(&ClusterPlan, &NodePlan)> = start
            .plan
            .nodes()
            .filter(|(_, node)| node.auto_start && observed.domain(&node.domain).is_none())
            .collect();
        memory::check("the lab", missing.iter().map(|(_, node)| node.memory_mib))?;

        let generation = self.next_generation()?;
        let text = serde_json::to_vec_pretty(start.plan).map_err(|error| {
            Error::File(file::Error { action: "write", path: folder.plan(), source: error.into() })
        })?;
        file::write(&folder.plan(), &text)?;
        let mark = |cluster: &ClusterPlan| Mark {
            lab: folder.id(),
            cluster: cluster.name.clone(),
            plan: start.plan.id.clone(),
            generation,
        };
        for cluster in &start.plan.clusters {
            for network in &cluster.networks {
                let xml = render::network(start.plan, network, &mark(cluster))?;
                record(start.record, &network.name, &xml)?;
                if observed.network(&network.name).is_none_or(|found| !found.active) {
                    self.hypervisor.create_network(&network.name, &xml)?;
                }
            }
        }
        let authorized_key = access::public_key(folder)?;
        let boot =
            Boot { session: self, start, sink, cancel, slots: Slots::new(slots()), failed: Cancel::new() };
        boot.all(&missing, &mark, &authorized_key)?;
        access::write(folder, start.plan, self.ssh_control())
    }

    /// An object of a name we need that bears no mark, or another lab's, is not ours to touch.
    fn refuse_strangers(&self, plan: &Plan, observed: &Observed) -> Result<(), Error> {
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

    fn refuse_change(&self, plan: &Plan, observed: &Observed) -> Result<(), Error> {
        let lab = self.site.folder.id();
        let marks = observed.domains.iter().filter_map(|domain| domain.mark.as_ref());
        match marks.filter(|mark| mark.lab == lab).find(|mark| mark.plan != plan.id) {
            None => Ok(()),
            Some(mark) => Err(Error::Changed { lab, running: mark.plan.clone(), wanted: plan.id.clone() }),
        }
    }

    /// Counts the starts of this lab.
    fn next_generation(&self) -> Result<u64, Error> {
        let path = self.site.folder.path().join("generation");
        let last: u64 = file::read(&path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        file::write(&path, format!("{}\n", last + 1).as_bytes())?;
        Ok(last + 1)
    }
}

fn record(folder: Option<&Path>, name: &str, xml: &str) -> Result<(), Error> {
    if let Some(folder) = folder {
        file::create_folder(folder)?;
        file::write(&folder.join(format!("{name}.xml")), xml.as_bytes())?;
    }
    Ok(())
}

/// How many nodes boot at once: a boot keeps a processor busy, and more than the host has only makes each one slower
/// and the last one no faster.
fn slots() -> usize {
    host::cpus().max(2)
}

/// One parallel boot.
struct Boot<'a> {
    session: &'a Session,
    start: &'a Start<'a>,
    sink: &'a dyn Sink,
    cancel: &'a Cancel,
    slots: Slots,
    /// Set by the first node that fails: the others need not go on.
    failed: Cancel,
}

impl Boot<'_> {
    fn all(
        &self,
        nodes: &[(&ClusterPlan, &NodePlan)],
        mark: &(impl Fn(&ClusterPlan) -> Mark + Sync),
        authorized_key: &str,
    ) -> Result<(), Error> {
        thread::scope(|scope| {
            let threads: Vec<_> = nodes
                .iter()
                .map(|(cluster, node)| {
                    scope.spawn(move || {
                        let result = self.one(node, &mark(cluster), authorized_key);
                        if let Err(error) = &result {
                            self.failed.request();
                            if !error.is_interruption() {
                                self.say(node, NodeState::Failed, &error.to_string());
                            }
                        }
                        result
                    })
                })
                .collect();
            let mut interrupted = Ok(());
            for thread in threads {
                match thread.join() {
                    Ok(Ok(())) => {}
                    // A node that only stopped because another failed is not the news.
                    Ok(Err(error)) if error.is_interruption() => interrupted = Err(error),
                    Ok(Err(error)) => return Err(error),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            interrupted
        })
    }

    fn stopped(&self) -> bool {
        self.cancel.requested() || self.failed.requested()
    }

    fn say(&self, node: &NodePlan, state: NodeState, detail: &str) {
        self.sink.emit(EventKind::NodeState { node: node.label.clone(), state, detail: detail.to_owned() });
    }

    fn one(&self, node: &NodePlan, mark: &Mark, authorized_key: &str) -> Result<(), Error> {
        self.say(node, NodeState::Starting, "");
        let Some(_slot) = self.slots.take(|| self.stopped()) else { return Err(Error::Interrupted) };
        let image = self.image(node)?;
        let session = self.session;
        let folder = session.site.folder.path();
        let disk = folder.join(&node.disk);
        if !disk.exists() {
            make_overlay(&image.disk(), &disk, node.disk_gib)?;
        }
        let machine = Machine {
            accelerator: self.start.verdict.accelerator,
            folder: folder.display().to_string(),
            sockets: session.sockets_inside().display().to_string(),
            kernel: image.kernel().display().to_string(),
            initrd: image.initrd().display().to_string(),
            authorized_key: authorized_key.to_owned(),
        };
        let xml = render::domain(node, &machine, mark)?;
        record(self.start.record, &node.domain, &xml)?;
        let ready = folder.join(&node.ready);
        file::remove_file(&ready)?;
        let lock = memory::reserve(&session.site, &node.label, node.memory_mib)?;
        let watch = Stopwatch::start();
        session.hypervisor.create_domain(&node.domain, &xml).map_err(|error| self.explain(error))?;
        drop(lock);
        self.say(node, NodeState::Booting, "");
        self.wait(node, &ready, watch)?;
        self.say(node, NodeState::Ready, "");
        let measured = |figure: &str, value: f64| EventKind::Measured {
            figure: figure.to_owned(),
            node: node.label.clone(),
            value,
            unit: "s".to_owned(),
        };
        self.sink.emit(measured("power-on-to-ready", watch.seconds()));
        Ok(())
    }

    fn image(&self, node: &NodePlan) -> Result<&Image, Error> {
        let found = match &node.image {
            ImageName::Built(name) => self.start.images.get(name),
            ImageName::File(_) | ImageName::Unspecified => None,
        };
        found.ok_or_else(|| Error::Unsupported {
            cluster: node.domain.clone(),
            why: "there is no image for it".to_owned(),
        })
    }

    fn explain(&self, error: HypervisorError) -> Error {
        match &error {
            HypervisorError::Refused { message, .. }
                if self.session.site.place == Place::System && message.contains("Permission denied") =>
            {
                Error::Unreadable { folder: self.session.site.folder.path().to_owned(), source: error }
            }
            _ => error.into(),
        }
    }

    /// Waits for the guest's own word; a machine that is off, or whose kernel panicked, will not give it.
    fn wait(&self, node: &NodePlan, ready: &Path, watch: Stopwatch) -> Result<(), Error> {
        let limit = BOOT_LIMIT.mul_f64(self.start.verdict.slowness);
        let console = self.session.site.folder.path().join(&node.console);
        let not_ready = |why: String| Error::NotReady {
            node: node.label.clone(),
            why,
            console: console.clone(),
            tail: file::tail(&console, CONSOLE_LINES).lines().map(|line| format!("\n    {line}")).collect(),
        };
        let lost = |source| file::Error::new("watch", ready)(source);
        let changes = FolderWatch::new(ready.parent().unwrap_or(ready)).map_err(lost)?;
        let mut looked = Stopwatch::start();
        loop {
            if ready::read(ready).is_some() {
                return Ok(());
            }
            if self.stopped() {
                return Err(Error::Interrupted);
            }
            if watch.elapsed() >= limit {
                return Err(not_ready(format!("it said nothing within {:.0} s", limit.as_secs_f64())));
            }
            if looked.elapsed() >= LOOK {
                looked = Stopwatch::start();
                let observed = self.session.hypervisor.observe()?;
                match observed.domain(&node.domain).map(|domain| domain.state) {
                    Some(DomainState::Running) => {}
                    Some(state) => return Err(not_ready(format!("the machine is {state}"))),
                    None => return Err(not_ready("the machine went off".to_owned())),
                }
                if file::tail(&console, CONSOLE_LINES * 4).contains("Kernel panic - not syncing") {
                    return Err(not_ready("its kernel panicked".to_owned()));
                }
            }
            changes.wait(LOOK.saturating_sub(looked.elapsed())).map_err(lost)?;
        }
    }
}

/// Makes a node's disk: empty, on top of the image. Half a disk is never taken for a whole one.
fn make_overlay(base: &Path, disk: &Path, size_gib: u64) -> Result<(), Error> {
    let part = disk.with_extension("part");
    let make = Command::new("qemu-img").args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"]);
    make.arg(base).arg(&part).arg(format!("{size_gib}G")).run()?;
    Ok(std::fs::rename(&part, disk).map_err(file::Error::new("name the disk", disk))?)
}

/// A counted number of places.
struct Slots {
    free: Mutex<usize>,
    freed: Condvar,
}

struct Slot<'a>(&'a Slots);

impl Slots {
    fn new(count: usize) -> Self {
        Self { free: Mutex::new(count), freed: Condvar::new() }
    }

    /// Waits for a place; `None` when `stopped` says that nobody needs one any more.
    fn take(&self, stopped: impl Fn() -> bool) -> Option<Slot<'_>> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if stopped() {
                return None;
            }
            if *free > 0 {
                *free -= 1;
                return Some(Slot(self));
            }
            let waited = self.freed.wait_timeout(free, Duration::from_millis(200));
            free = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}
