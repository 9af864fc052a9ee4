//! Forks: the running lab once more, in a private lab of its own beside it, with the same names and addresses.
//!
//! ```text
//! lab ──freeze──> files ──hard links──> fork's folder ──> its own keeper, networks, machines that go on
//!        └─ goes on
//! ```
//!
//! A fork is a lab like any other: commands reach it by its name. Its memory is mapped over the same files as its
//! siblings', and its folder has links of its own to them, so it needs neither its parent nor them to live on.

use std::{fs, path::Path};

use events::{EventKind, Level, Sink};
use system::{cancel::Cancel, file};

use crate::{
    Error, Place, Session, Site, Start, access,
    freeze::Frozen,
    snapshot::{Staging, check_name},
    start::{Placed, Starting},
};

/// Where a fork keeps what its machines went on from, below its folder.
const FROZEN: &str = "frozen";

impl Site {
    /// A fork of this lab.
    ///
    /// # Errors
    /// It is no name.
    pub fn fork(&self, name: &str) -> Result<Self, Error> {
        check_name(name)?;
        if self.place != Place::Private {
            return Err(Error::NotPrivate);
        }
        Ok(Self { folder: self.folder.fork(name), ..self.clone() })
    }
}

impl Session {
    /// Starts forks of these names, all from the same moment. This lab is held for as long as it takes to copy what its
    /// machines know. The forks live as long as the sessions that are returned, until they are kept.
    ///
    /// # Errors
    /// A name is taken or no name, no node runs, there is not enough memory, or a fork does not come up. Then there is no
    /// fork, and this lab runs on.
    pub fn fork(
        &self,
        names: &[String],
        start: &Start<'_>,
        sink: &dyn Sink,
        cancel: &Cancel,
    ) -> Result<Vec<Session>, Error> {
        self.can_freeze()?;
        let sites: Vec<Site> = names.iter().map(|name| self.site.fork(name)).collect::<Result<_, _>>()?;
        for (site, name) in sites.iter().zip(names) {
            if site.find(cancel)?.is_some() || site.folder.has_disks() {
                return Err(Error::ForkExists { name: name.clone() });
            }
            // What a killed command left of one.
            site.folder.remove()?;
        }
        let starting = Starting::new(self, start, self.generation(), sink, cancel)?;
        let nodes = self.placed(start.plan)?;
        let staging = Staging::new(&self.site.folder.snapshots(), "fork")?;
        starting.freeze_all(&nodes, staging.path())?;
        let mut forks: Vec<Session> = Vec::new();
        for (site, name) in sites.iter().zip(names) {
            let fork = self.fork_one(site, start, &nodes, staging.path(), sink, cancel);
            match fork {
                Ok(fork) => forks.push(fork),
                Err(error) => {
                    // All of them or none.
                    let made = forks.into_iter().map(Session::destroy);
                    made.collect::<Result<Vec<()>, _>>()?;
                    site.destroy(cancel)?;
                    return Err(error);
                }
            }
            let message = format!("the fork {name} goes on beside {}", self.site.folder.id());
            sink.emit(EventKind::Notice { level: Level::Info, message });
        }
        Ok(forks)
    }

    fn fork_one(
        &self,
        site: &Site,
        start: &Start<'_>,
        nodes: &[Placed<'_>],
        frozen: &Path,
        sink: &dyn Sink,
        cancel: &Cancel,
    ) -> Result<Session, Error> {
        site.folder.create()?;
        let own = site.folder.path().join(FROZEN);
        for (_, node) in nodes {
            Frozen::of(frozen, node).link(&Frozen::of(&own, node))?;
        }
        // Who may log in, what the nodes are known by, and their secrets are those of the lab.
        for name in ["plan.json", "generation"] {
            copy(&self.folder().join(name), &site.folder.path().join(name))?;
        }
        for name in ["ssh", "secrets"] {
            copy_files(&self.folder().join(name), &site.folder.path().join(name))?;
        }
        let fork = site.open(start.verdict, true, cancel)?;
        let starting = Starting::new(&fork, start, fork.generation(), sink, cancel)?;
        let observed = fork.hypervisor.observe()?;
        starting.networks(&observed, |_| true)?;
        starting.thaw_all(nodes, &own)?;
        access::write(&fork.site.folder, start.plan, fork.ssh_control())?;
        Ok(fork)
    }
}

fn copy_files(from: &Path, to: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(from).map_err(file::Error::new("read", from))?.flatten() {
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// With the permissions it has.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    Ok(fs::copy(from, to).map(drop).map_err(file::Error::new("copy", from))?)
}
