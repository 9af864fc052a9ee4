//! Forks of the lab under test, for destructive checks and sabotages. A fork goes when it is given back; its consoles stay
//! with the run, and what else is left of it is a leak. Of a lab whose nodes cannot all be copied, forks have the clusters whose
//! nodes can.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use engine::{Session, Start};
use events::{EventKind, Level, Sink};
use harness::{
    forks::{Error, Fork, Forks},
    shell::Shell,
};
use image::Store;
use plan::{
    Plan,
    model::{ClusterPlan, NodePlan},
};
use system::{clock::Stopwatch, host};

use crate::{
    failure::Failure,
    proof::{NodeShell, Proof},
};

/// Makes forks of a lab.
pub(crate) struct LabForks<'a> {
    proof: &'a Proof<'a>,
    /// What they have.
    plan: Plan,
    /// Why they lack the other clusters, by name.
    lacking: BTreeMap<String, String>,
    /// How many were made. Who has it is the only one to freeze the lab.
    made: Mutex<usize>,
    /// What is left of forks that were given back.
    left: Mutex<Vec<String>>,
}

impl<'a> LabForks<'a> {
    /// Forks of the lab that is proved.
    pub(crate) fn new(proof: &'a Proof<'a>) -> Result<Self, Failure> {
        let running = proof.session.running(proof.plan)?;
        let uncopyable = |node: &NodePlan| Some(format!("{}: {}", node.label, node.uncopyable()?));
        let mut plan = proof.plan.clone();
        let mut lacking = BTreeMap::new();
        for cluster in &proof.plan.clusters {
            let mut nodes = cluster.nodes.iter().filter(|node| running.contains(&node.label));
            if let Some(why) = nodes.find_map(uncopyable) {
                lacking.insert(cluster.name.clone(), why);
            }
        }
        plan.clusters.retain(|cluster| !lacking.contains_key(&cluster.name));
        Ok(Self { proof, plan, lacking, made: Mutex::default(), left: Mutex::default() })
    }

    /// What is left of forks that were given back; nothing when all is well.
    pub(crate) fn left(self) -> Vec<String> {
        self.left.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names that no fork of this lab has.
    fn names(&self, count: usize, made: &mut usize) -> Vec<String> {
        let taken = self.proof.site.folder.forks();
        let mut names = Vec::new();
        while names.len() < count {
            *made += 1;
            let name = format!("test-{made}");
            if !taken.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn make(&self, names: &[String]) -> Result<Vec<Session>, engine::Error> {
        let Proof { session, verdict, run, settings, cancel, .. } = *self.proof;
        let plan = &self.plan;
        let (store, options) = (Store::new(&settings.cache), image::Options::default());
        let images = engine::images(plan, &store, &options, run.sink(), cancel)?;
        let deployed = BTreeMap::new();
        let start = Start::of(plan, &images, verdict, &deployed);
        session.fork(names, &start, &Warnings(run.sink()), cancel)
    }
}

impl Forks for LabForks<'_> {
    fn lacks(&self, cluster: &ClusterPlan) -> Option<String> {
        self.lacking.get(&cluster.name).cloned()
    }

    /// One more than there are processors: whoever breaks something waits more than it computes.
    fn room(&self) -> usize {
        usize::try_from(engine::room(&self.plan)).unwrap_or(1).clamp(1, host::cpus() + 1)
    }

    fn fork(&self, count: usize) -> Result<Vec<Box<dyn Fork + '_>>, Error> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let watch = Stopwatch::start();
        let names = self.names(count, &mut made);
        let sessions = self.make(&names).map_err(|error| {
            if error.is_interruption() {
                Error::Cancelled
            } else {
                Error::Impossible { reason: error.to_string() }
            }
        })?;
        let message = format!("forked the lab as {}, in {:.1} s", names.join(", "), watch.seconds());
        self.proof.run.sink().emit(EventKind::Notice { level: Level::Info, message });
        let fork = |(name, session): (String, Session)| {
            let shell = NodeShell { ssh: session.ssh(), beside: None };
            Box::new(LabFork { name, shell, session: Some(session), forks: self }) as Box<dyn Fork>
        };
        Ok(names.into_iter().zip(sessions).map(fork).collect())
    }
}

/// A fork that is lent.
struct LabFork<'a> {
    name: String,
    shell: NodeShell,
    session: Option<Session>,
    forks: &'a LabForks<'a>,
}

impl Fork for LabFork<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn shell(&self) -> &dyn Shell {
        &self.shell
    }
}

impl Drop for LabFork<'_> {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        let Proof { site, plan, run, .. } = *self.forks.proof;
        run.keep_consoles(session.folder(), &self.name);
        let gone = session.destroy().and_then(|()| site.fork(&self.name));
        let left = match gone {
            Ok(fork) => engine::leaks(&fork, plan),
            Err(error) => vec![error.to_string()],
        };
        let told = left.into_iter().map(|what| format!("of the fork {}: {what}", self.name));
        self.forks.left.lock().unwrap_or_else(PoisonError::into_inner).extend(told);
    }
}

/// Only what a person should worry about: that the nodes of a fork are ready is no news of the lab's.
struct Warnings<'a>(&'a dyn Sink);

impl Sink for Warnings<'_> {
    fn emit(&self, kind: EventKind) {
        if matches!(kind, EventKind::Notice { level: Level::Warning, .. }) {
            self.0.emit(kind);
        }
    }
}
