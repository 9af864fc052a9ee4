//! Machines frozen at one moment, and machines that go on from there.
//!
//! ```text
//! suspend all ──> memory, devices, disk of each ──> resume all ──> set the clocks
//! ```
//!
//! A frozen machine is a folder: its memory, what its processors and devices knew, and its disk. A machine that goes on
//! maps the memory privately, so any number of them can, and the files are never written to again.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use events::{Level, NodeState};
use guest::agent::{self, Agent};
use plan::{Plan, model::NodePlan};
use render::Start;
use system::{cancel::Cancel, file, host, process_memory};
use template::Files;

use crate::{
    Error, Session,
    claim::claim,
    copies::{copy_file, going_on},
    slots::Slots,
    start::{Placed, Starting},
    together::{first_error, together},
};

/// How long an agent may take to set a clock, on an emulated node with much to do.
const CLOCK_LIMIT: Duration = Duration::from_secs(30);

/// A sleep that no daemon minds.
const SHORT: Duration = Duration::from_secs(30);

/// One frozen machine's files.
pub(crate) struct Frozen(Files);

impl Frozen {
    pub(crate) fn of(folder: &Path, node: &NodePlan) -> Self {
        Self(Files::of(folder.join(&node.domain)))
    }

    /// What the node had said of its readiness.
    fn ready(&self) -> PathBuf {
        self.0.folder().join("ready.jsonl")
    }

    /// The same files in another folder, which stay when these go.
    pub(crate) fn link(&self, to: &Self) -> Result<(), Error> {
        file::create_folder(to.0.folder())?;
        let pairs = [
            (self.0.memory(), to.0.memory()),
            (self.0.state(), to.0.state()),
            (self.0.disk(), to.0.disk()),
            (self.ready(), to.ready()),
        ];
        for (from, to) in pairs {
            fs::hard_link(&from, to).map_err(file::Error::new("link", from))?;
        }
        Ok(())
    }
}

impl Starting<'_> {
    /// Freezes nodes that run into new folders below `folder`, all of them at one moment. They go on afterwards, whatever
    /// happened.
    pub(crate) fn freeze_all(&self, nodes: &[Placed<'_>], folder: &Path) -> Result<(), Error> {
        for (_, node) in nodes {
            if let Some(why) = node.uncopyable() {
                return Err(Error::Uncopyable { node: node.label.clone(), why });
            }
            file::create_folder(Frozen::of(folder, node).0.folder())?;
        }
        let hypervisor = &self.session.hypervisor;
        let places = Slots::new(nodes.len());
        let _hold = self.session.hold()?;
        let held = self.each(&places, nodes, |(_, node)| Ok(hypervisor.suspend_domain(&node.domain)?));
        let frozen = first_error(held).and_then(|()| {
            first_error(
                self.each(&places, nodes, |(_, node)| self.freeze_one(node, &Frozen::of(folder, node))),
            )
        });
        let resumed = self.resume(nodes);
        self.set_clocks(nodes);
        frozen.and(resumed)
    }

    fn freeze_one(&self, node: &NodePlan, frozen: &Frozen) -> Result<(), Error> {
        let files = &frozen.0;
        let (hypervisor, domain) = (&self.session.hypervisor, &node.domain);
        hypervisor.save_devices(domain, &files.state())?;
        let lab = self.session.folder();
        copy_file(&lab.join(&node.disk), &files.disk())?;
        copy_file(&lab.join(&node.ready), &frozen.ready())?;
        let address = hypervisor.memory_address(domain)?;
        let pid = host::guest_process(domain, &lab.display().to_string())
            .ok_or_else(|| Error::NoProcess { node: node.label.clone() })?;
        process_memory::dump(pid, address, node.memory_mib * 1024 * 1024, &files.memory())
            .map_err(file::Error::new("save the memory as", files.memory()))?;
        for path in [files.state(), files.memory()] {
            file::protect(&path)?;
        }
        Ok(())
    }

    /// Makes nodes, none of which runs, what they were when they were frozen, and lets them go on together.
    pub(crate) fn thaw_all(&self, nodes: &[Placed<'_>], folder: &Path) -> Result<(), Error> {
        let all: Vec<_> = nodes.iter().map(|(_, node)| *node).collect();
        let lock = claim(&self.session.site, "the lab", &all)?;
        let places = Slots::new(nodes.len());
        let made = self.each(&places, nodes, |placed| self.thaw_one(placed, &Frozen::of(folder, placed.1)));
        drop(lock);
        first_error(made)?;
        self.resume(nodes)?;
        nodes.iter().for_each(|(_, node)| self.say(node, NodeState::Booting, "goes on"));
        self.before_time_passes(nodes);
        self.set_clocks(nodes);
        nodes.iter().for_each(|(_, node)| self.say(node, NodeState::Ready, ""));
        Ok(())
    }

    fn thaw_one(&self, (cluster, node): Placed<'_>, frozen: &Frozen) -> Result<(), Error> {
        let lab = self.session.folder();
        self.session.check_base(node, self.start.image(node)?)?;
        copy_file(&frozen.0.disk(), &lab.join(&node.disk))?;
        copy_file(&frozen.ready(), &lab.join(&node.ready))?;
        let xml = self.domain((cluster, node), lab, Start::Resume(going_on(&frozen.0)))?;
        Ok(self.session.hypervisor.restore_domain(&node.domain, &xml)?)
    }

    /// Lets held nodes go on together.
    fn resume(&self, nodes: &[Placed<'_>]) -> Result<(), Error> {
        let hypervisor = &self.session.hypervisor;
        // Not through `each`: whoever wants to stop does not want to leave them held.
        first_error(together(nodes, |(_, node)| Ok(hypervisor.resume_domain(&node.domain)?)))
    }

    /// Lets nodes that were frozen long ago prepare for their clocks to jump, while it is still then on all of them.
    fn before_time_passes(&self, nodes: &[Placed<'_>]) {
        for (_, node) in nodes {
            let late = self.start.deployed.get(&node.domain).and_then(|deployed| deployed.before_time_passes);
            let Some(script) = late else { continue };
            let prepared = self.session.agent(node, CLOCK_LIMIT, self.cancel).and_then(|mut agent| {
                let gap = Duration::try_from_secs_f64(agent.clock_offset()?).unwrap_or_default();
                if gap < SHORT { Ok(()) } else { agent.run(&script(gap)).map(drop) }
            });
            if let Err(error) = prepared {
                let message = format!("{} was not told how long it slept: {error}", node.label);
                self.notice(Level::Warning, message);
            }
        }
    }

    /// Tells nodes how late it is, all at once: daemons that talk to each other believe no clock but their own.
    fn set_clocks(&self, nodes: &[Placed<'_>]) {
        together(nodes, |(_, node)| {
            if let Err(error) = self.session.set_clock(&node.domain, &node.label) {
                let message = format!("the clock of {} is late: {error}", node.label);
                self.notice(Level::Warning, message);
            }
        });
    }
}

impl Session {
    /// The nodes that can be frozen, which are those that run.
    pub(crate) fn placed<'a>(&self, plan: &'a Plan) -> Result<Vec<Placed<'a>>, Error> {
        let running = self.running(plan)?;
        let nodes: Vec<Placed<'a>> = plan.nodes().filter(|(_, node)| running.contains(&node.label)).collect();
        if nodes.is_empty() {
            return Err(Error::NotRunning { lab: self.site.folder.id() });
        }
        Ok(nodes)
    }

    /// Tells a node how late it is. It takes a moment, and is not stopped by whoever wants to stop: the node was held.
    pub(crate) fn set_clock(&self, domain: &str, node: &str) -> Result<(), agent::Error> {
        set_clock(&self.site.folder.sockets(), domain, node)
    }
}

/// Tells a node how late it is, over the socket of its agent in `sockets`.
///
/// # Errors
/// The agent does not answer.
pub fn set_clock(sockets: &Path, domain: &str, node: &str) -> Result<(), agent::Error> {
    Agent::open(sockets, domain, node, CLOCK_LIMIT, &Cancel::new())?.set_clock()
}
