//! Changing what a lab is: what goes, what powers off to come back otherwise, and what changes while it runs.
//!
//! A disk goes before the plan that says so is written, and a machine's mark changes after the machine. A command that is
//! killed in between leaves what the next start sees as it is.

use std::time::Duration;

use events::{Level, NodeState};
use lab::Observed;
use plan::{Plan, change::Action, model::NodePlan};
use system::file;

use crate::{
    Changes, Error, Site,
    base::base_note,
    copies::unready,
    start::Starting,
    stop, templates,
    together::{first_error, together},
};

/// How long a node may take to grow its file system on a host with KVM; multiplied with the host's slowness.
const GROW_LIMIT: Duration = Duration::from_secs(10);

impl Starting<'_> {
    /// Takes away what is not to be, and powers off what is to come back otherwise.
    pub(crate) fn make_way(
        &self,
        observed: &Observed,
        recorded: Option<&Plan>,
        changes: &Changes,
    ) -> Result<(), Error> {
        let session = self.session;
        let lab = session.site.folder.id();
        // What an interrupted command left of the making of templates, and of copies.
        let ours =
            observed.domains.iter().filter(|domain| domain.mark.as_ref().is_some_and(|mark| mark.lab == lab));
        for domain in ours {
            let node = self.start.plan.nodes().map(|(_, node)| node).find(|node| node.domain == domain.name);
            let half_made = node.is_some_and(|node| unready(session.folder(), node).exists());
            if half_made || templates::is_template(&domain.name) {
                session.end_domain(&domain.name)?;
            }
        }
        let limit = stop::shutdown_limit(self.start.verdict.slowest());
        let done = |action| changes.nodes.iter().filter(move |change| change.action == action);
        let node = |domain: &str| {
            let of =
                |plan: &Plan| plan.nodes().map(|(_, node)| node).find(|node| node.domain == domain).cloned();
            of(self.start.plan).or_else(|| recorded.and_then(of))
        };
        first_error(together(done(Action::Restart), |change| {
            let why: Vec<String> =
                change.differences.iter().chain(&change.drift).map(ToString::to_string).collect();
            self.notice(Level::Info, format!("{} restarts: {}", change.node, why.join(", ")));
            let Some(node) = node(&change.domain) else { return Ok(()) };
            session.power_off(&node, limit, self.sink, self.cancel)
        }))?;
        for change in done(Action::Recreate).chain(done(Action::Remove)) {
            session.end_domain(&change.domain)?;
            if let Some(node) = node(&change.domain) {
                session.site.remove_files(&node)?;
                self.say(&node, NodeState::Stopped, "removed with its disk");
            }
        }
        for change in &changes.networks {
            if matches!(change.action, Action::Recreate | Action::Remove) {
                session.hypervisor.destroy_network(&change.network)?;
            }
        }
        Ok(())
    }

    /// Changes what can be changed while it runs.
    pub(crate) fn change_live(&self, changes: &Changes) -> Result<(), Error> {
        let live = changes.nodes.iter().filter(|change| change.action == Action::Live);
        first_error(together(live, |change| {
            let plan = self.start.plan;
            let Some((cluster, node)) = plan.nodes().find(|(_, node)| node.domain == change.domain) else {
                return Ok(());
            };
            self.grow(node)?;
            let mark = self.mark(&cluster.name).of_node(node);
            Ok(self.session.hypervisor.mark_domain(&node.domain, &mark)?)
        }))
    }

    /// Makes the disk of a node that runs larger, and tells the node.
    fn grow(&self, node: &NodePlan) -> Result<(), Error> {
        self.session.hypervisor.grow_disk(&node.domain, node.disk_gib)?;
        self.notice(Level::Info, format!("the disk of {} grows to {} GiB", node.label, node.disk_gib));
        let limit = GROW_LIMIT.mul_f64(self.start.verdict.slowness(node.arch));
        let grown = self.session.run(node, "/usr/lib/systemd/systemd-growfs /", limit, self.cancel);
        let why = match grown {
            Ok(output) if output.code == 0 => return Ok(()),
            Ok(output) => output.stderr.trim().to_owned(),
            Err(error) if error.is_interruption() => return Err(error),
            Err(error) => error.to_string(),
        };
        // It does so by itself when it boots.
        let message = format!("{} uses all of its disk only after its next start: {why}", node.label);
        self.notice(Level::Warning, message);
        Ok(())
    }
}

impl Site {
    /// Removes everything that a node has on the host's disk.
    pub(crate) fn remove_files(&self, node: &NodePlan) -> Result<(), Error> {
        let folder = self.folder.path();
        let part = folder.join(&node.disk).with_extension("part");
        let seed = node.seed().map(|seed| folder.join(seed));
        // The word that a disk is not ready goes last, or what is left of the disk would be taken for a whole one.
        let files = [&node.disk, &node.ready, &node.console].map(|name| folder.join(name));
        let more = [part, base_note(folder, node), unready(folder, node)];
        for path in files.into_iter().chain(seed).chain(more) {
            file::remove_file(&path)?;
        }
        Ok(())
    }
}
