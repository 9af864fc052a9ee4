//! Snapshots: what all nodes of a lab were at one moment, or one of them, under a name, and going back there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use events::{EventKind, Level, Sink};
use jiff::Timestamp;
use lab::{Folder, accelerator};
use plan::{
    Plan,
    change::{self, Action},
    model::NodePlan,
};
use serde::{Deserialize, Serialize};
use system::{cancel::Cancel, clock, environment, file};

use crate::{
    Error, Scope, Session, Site, Start, access,
    start::{Placed, Starting},
};

/// The version of `snapshot.json`.
const FORMAT: u32 = 1;

/// One snapshot, as `snapshot.json` beside its machines has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    format: u32,
    /// The user's name for it.
    pub name: String,
    /// When all nodes were held.
    pub created: Timestamp,
    /// The plan that ran.
    pub plan: String,
    /// Domains.
    pub nodes: Vec<String>,
    /// As what they were made.
    #[serde(default)]
    made: Vec<NodePlan>,
    /// The emulator whose states these are.
    emulator: String,
    /// What the lab's deployments had written down.
    deployed: Option<String>,
}

/// Where the snapshots of a lab are, or those of one of its nodes.
#[derive(Debug, Clone)]
pub struct Snapshots {
    folder: PathBuf,
    /// The domain.
    node: Option<String>,
}

impl Snapshots {
    /// Those of all nodes of a lab together.
    pub fn of_lab(folder: &Folder) -> Self {
        Self { folder: folder.snapshots(), node: None }
    }

    /// Those of one node, by its domain.
    pub fn of_node(folder: &Folder, domain: &str) -> Self {
        Self { folder: folder.path().join("node-snapshots").join(domain), node: Some(domain.to_owned()) }
    }

    /// All of them, oldest first.
    pub fn list(&self) -> Vec<Snapshot> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut all: Vec<Snapshot> = entries.filter_map(|entry| read(&entry.path())).collect();
        all.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        all
    }

    /// What one takes on the disk, MiB.
    pub fn size_mib(&self, name: &str) -> u64 {
        file::allocated(&self.folder.join(name)).div_ceil(1024 * 1024)
    }

    /// Removes one. Nodes that went back to it run on.
    ///
    /// # Errors
    /// There is none of that name, or a file cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        self.find(name)?;
        // By one rename it is gone, whatever happens to the rest.
        let removed = self.folder.join(format!(".removed-{}", std::process::id()));
        file::remove_folder(&removed)?;
        let snapshot = self.folder.join(name);
        fs::rename(&snapshot, &removed).map_err(file::Error::new("remove", snapshot))?;
        Ok(file::remove_folder(&removed)?)
    }

    fn find(&self, name: &str) -> Result<Snapshot, Error> {
        // A name is no way to another folder.
        let found =
            Some(name).filter(|name| check_name(name).is_ok()).and_then(|name| read(&self.folder.join(name)));
        found.ok_or_else(|| {
            let known: Vec<String> = self.list().into_iter().map(|snapshot| snapshot.name).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Error::NoSnapshot { name: name.to_owned(), known }
        })
    }

    /// Of these nodes, those that its snapshots have.
    fn placed<'a>(&self, nodes: impl Iterator<Item = Placed<'a>>) -> Vec<Placed<'a>> {
        nodes.filter(|(_, node)| self.node.as_ref().is_none_or(|domain| *domain == node.domain)).collect()
    }
}

fn read(folder: &Path) -> Option<Snapshot> {
    let text = file::read(&folder.join("snapshot.json")).ok()?;
    let snapshot: Snapshot = serde_json::from_str(&text).ok()?;
    let is_its = folder.file_name().is_some_and(|name| *name == *snapshot.name);
    (snapshot.format == FORMAT && is_its).then_some(snapshot)
}

/// Removes what killed commands left: what is being made or removed has a name that no snapshot can have.
pub(crate) fn clear_half_made(snapshots: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(snapshots).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            file::remove_folder(&entry.path())?;
        }
    }
    Ok(())
}

/// Whether a snapshot or a fork can be called this. It is a folder's name, must not look like one that is being made or
/// removed, and is typed as an argument.
///
/// # Errors
/// It cannot.
pub fn check_name(name: &str) -> Result<(), Error> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.is_empty() && name.len() <= 64 && !name.starts_with(['.', '-']) && name.chars().all(fits) {
        return Ok(());
    }
    Err(Error::SnapshotName { name: name.to_owned() })
}

impl Session {
    /// Takes a snapshot of every node that runs and is meant. All are held together, for as long as it takes to copy what
    /// they know.
    ///
    /// # Errors
    /// The name is taken or no name, no node runs, or something cannot be saved. Then there is no snapshot, and the nodes
    /// run on.
    pub fn take_snapshot(
        &self,
        snapshots: &Snapshots,
        name: &str,
        start: &Start<'_>,
        sink: &dyn Sink,
        cancel: &Cancel,
    ) -> Result<Snapshot, Error> {
        self.can_freeze()?;
        let store = &snapshots.folder;
        check_name(name)?;
        if store.join(name).exists() {
            return Err(Error::SnapshotExists { name: name.to_owned() });
        }
        let starting = Starting::new(self, start, self.generation(), sink, cancel)?;
        let nodes = snapshots.placed(self.placed(start.plan)?.into_iter());
        if nodes.is_empty() {
            return Err(Error::NotRunning { lab: self.site.folder.id() });
        }
        let staging = Staging::new(store, name)?;
        let snapshot = Snapshot {
            format: FORMAT,
            name: name.to_owned(),
            created: clock::now(),
            plan: start.plan.id.clone(),
            nodes: nodes.iter().map(|(_, node)| node.domain.clone()).collect(),
            made: nodes.iter().map(|(_, node)| (*node).clone()).collect(),
            emulator: emulator(start.plan),
            deployed: file::read(&self.deployed_record()).ok(),
        };
        starting.freeze_all(&nodes, &staging.0)?;
        let text = serde_json::to_vec_pretty(&snapshot).map_err(|error| {
            Error::File(file::Error { action: "write", path: staging.0.clone(), source: error.into() })
        })?;
        file::write(&staging.0.join("snapshot.json"), &text)?;
        fs::rename(&staging.0, store.join(name))
            .map_err(file::Error::new("name the snapshot", &staging.0))?;
        Ok(snapshot)
    }

    /// Makes every node that is meant what it was when the snapshot was taken. What happened since is gone.
    ///
    /// # Errors
    /// There is no such snapshot, it is of other nodes or another emulator, or a machine does not go on. Then none that is
    /// meant runs.
    pub fn revert(
        &self,
        snapshots: &Snapshots,
        name: &str,
        start: &Start<'_>,
        sink: &dyn Sink,
        cancel: &Cancel,
    ) -> Result<Snapshot, Error> {
        self.can_freeze()?;
        let snapshot = snapshots.find(name)?;
        if !snapshot.fits(start.plan) {
            return Err(Error::OtherPlan { name: name.to_owned() });
        }
        if snapshot.emulator != emulator(start.plan) {
            return Err(Error::OtherEmulator { name: name.to_owned() });
        }
        let starting = Starting::new(self, start, self.generation(), sink, cancel)?;
        let observed = self.hypervisor.observe()?;
        self.refuse_strangers(start.plan, &observed)?;
        let nodes: Vec<Placed<'_>> =
            start.plan.nodes().filter(|(_, node)| snapshot.nodes.contains(&node.domain)).collect();
        // From here on the nodes are neither what they were nor what they will be.
        let of = snapshots.node.as_deref().unwrap_or_default();
        file::write(&self.reverting(), format!("{of}/{name}").as_bytes())?;
        let all = snapshots.placed(start.plan.nodes());
        self.power_off_now(&all)?;
        starting.networks(&observed, |_| true)?;
        let thawed = starting.thaw_all(&nodes, &snapshots.folder.join(name));
        if let Err(error) = thawed {
            // Half a cluster of then beside half a one of now is neither.
            self.power_off_now(&all)?;
            return Err(error);
        }
        match &snapshot.deployed {
            // What one node is says nothing of its cluster.
            _ if snapshots.node.is_some() => {}
            Some(text) => file::write(&self.deployed_record(), text.as_bytes())?,
            None => file::remove_file(&self.deployed_record())?,
        }
        // A node that booted since has told another host key than the one it has again.
        access::write(&self.site.folder, start.plan, self.ssh_control())?;
        file::remove_file(&self.reverting())?;
        Ok(snapshot)
    }

    /// Completes a revert that was killed or failed half-way: some nodes may be of then and some of now.
    pub(crate) fn complete_revert(
        &self,
        start: &Start<'_>,
        sink: &dyn Sink,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let Ok(text) = file::read(&self.reverting()) else { return Ok(()) };
        let (of, name) = text.split_once('/').unwrap_or(("", &text));
        let snapshots = match of {
            "" => Snapshots::of_lab(&self.site.folder),
            domain => Snapshots::of_node(&self.site.folder, domain),
        };
        let tell = |level, message| sink.emit(EventKind::Notice { level, message });
        match self.revert(&snapshots, name, start, sink, cancel) {
            Ok(_) => tell(Level::Info, format!("completed the revert to {name}")),
            Err(error) if error.is_interruption() => return Err(error),
            Err(error) => {
                let why = error.first_line();
                tell(
                    Level::Warning,
                    format!("the revert to {name} cannot be completed: {why}; the nodes boot"),
                );
                self.power_off_now(&snapshots.placed(start.plan.nodes()))?;
                file::remove_file(&self.reverting())?;
            }
        }
        Ok(())
    }

    /// Where it is written that a revert goes on, and to which snapshot.
    fn reverting(&self) -> PathBuf {
        self.site.reverting()
    }

    /// Where a deployment writes down what the clusters are.
    pub fn deployed_record(&self) -> PathBuf {
        self.secrets().join("deployed.json")
    }
}

impl Site {
    /// What of a plan may boot when a part of it is started: that part, or everything while a revert is to be completed.
    #[must_use]
    pub fn may_boot(&self, scope: &Scope, plan: &Plan) -> Plan {
        if self.reverting().exists() { plan.clone() } else { scope.narrow(plan) }
    }

    fn reverting(&self) -> PathBuf {
        self.folder.path().join("reverting")
    }
}

impl Snapshot {
    /// Whether a plan has all of its nodes as they were made. A disk that has grown since grows again.
    fn fits(&self, plan: &Plan) -> bool {
        let fits = |was: &NodePlan| {
            let is = plan.nodes().map(|(_, node)| node).find(|node| node.domain == was.domain);
            is.is_some_and(|is| change::of_node(was, is).iter().all(|found| found.action <= Action::Live))
        };
        if self.made.is_empty() { self.plan == plan.id } else { self.made.iter().all(fits) }
    }
}

/// The emulators of a plan's machines.
fn emulator(plan: &Plan) -> String {
    let stamps = plan.archs().into_iter().map(|arch| environment::program_stamp(accelerator::emulator(arch)));
    stamps.collect::<Vec<_>>().join(" ")
}

/// The folder in which machines are frozen; gone when it became nothing else.
pub(crate) struct Staging(PathBuf);

impl Staging {
    /// A fresh one in the lab's snapshots. Only the command that holds the lab's lock works there, so whatever else is
    /// half-made was left by one that was killed.
    pub(crate) fn new(snapshots: &Path, name: &str) -> Result<Self, Error> {
        clear_half_made(snapshots)?;
        let folder = snapshots.join(format!(".{name}.making"));
        file::create_folder(&folder)?;
        Ok(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // The next one of this name clears what cannot be removed now.
        let _ = file::remove_folder(&self.0);
    }
}
