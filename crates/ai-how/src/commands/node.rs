//! `ai-how node`: single nodes.
//!
//! ```text
//! add, remove, resize ──> the file, written anew ──> its plan ──> a start that means this node alone
//! rebuild, start, stop ─────────────────────────────────────────> the same
//! ```
//!
//! The file stays what the lab is made of: whoever starts the lab later gets what was changed here.

use std::{fs, path::Path};

use config::{model::Lab as Model, nodes::Nodes};
use engine::{Scope, Site};
use plan::{Plan, model::NodePlan};
use system::{cancel::Cancel, file};

use super::{
    changes,
    cluster::{self, How, Stop, Target},
    reach::unknown,
    snapshot,
};
use crate::{
    cli::{Change, Format, Lab, Node},
    confirm::confirm,
    document::{self, Document},
    exit,
    failure::Failure,
    output,
    settings::Settings,
};

pub(crate) fn run(command: Node, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    match command {
        Node::Add { name, like, cluster, sizes, how } => {
            let work = Work::new(&how, settings, cancel)?;
            let like = work.like(like.as_deref(), cluster.as_deref())?;
            let name = match name {
                Some(name) => name,
                None => successor(&like.name),
            };
            work.change(None, |nodes| nodes.add(&name, &like.domain, &sizes.into()))
        }
        Node::Remove { node, how } => {
            let work = Work::new(&how, settings, cancel)?;
            let node = work.node(&node)?;
            work.change(Some(node), |nodes| nodes.remove(&node.domain))
        }
        Node::Resize { node, sizes, how } => {
            let work = Work::new(&how, settings, cancel)?;
            let node = work.node(&node)?;
            work.change(Some(node), |nodes| nodes.resize(&node.domain, &sizes.into()))
        }
        Node::Rebuild { node, how } => Work::new(&how, settings, cancel)?.start(&[node], true),
        Node::Start { node, how } => Work::new(&how, settings, cancel)?.start(&node, false),
        Node::Stop { node, at, dry_run, format } => {
            let (plan, site) = document::site(&at.lab(), settings)?;
            let target = Target { lab: &at.lab(), plan: &plan, site: &site };
            // What runs is what is stopped, whatever the file says by now.
            let running = site.plan()?;
            let scope = scope(running.as_ref().unwrap_or(&plan), &node, &at.file)?;
            cluster::stop(&target, &[scope], Stop { dry_run, now: false }, format, settings, cancel)
        }
        Node::Snapshot(command) => snapshot::of_node(&command, settings, cancel),
        Node::Restart { node, how } => {
            let work = Work::new(&how, settings, cancel)?;
            let scope = scope(&work.plan, &node, &work.lab.file)?;
            match cluster::stop(
                &work.target(),
                &[scope],
                Stop { dry_run: how.dry_run, now: false },
                how.format,
                settings,
                cancel,
            )? {
                exit::OK if !how.dry_run => work.start(&node, false),
                code => Ok(code),
            }
        }
    }
}

/// What is done with a node of a lab.
struct Work<'a> {
    lab: Lab,
    model: Model,
    plan: Plan,
    site: Site,
    document: Document,
    how: &'a Change,
    settings: &'a Settings,
    cancel: &'a Cancel,
}

impl<'a> Work<'a> {
    fn new(how: &'a Change, settings: &'a Settings, cancel: &'a Cancel) -> Result<Self, Failure> {
        let lab = how.at.lab();
        let document = Document::load(&lab.file, false, settings)?;
        let (plan, site) = document.site(&lab, settings)?;
        document.tell_replaced(settings);
        let Some(model) = document.loaded.lab.clone() else { return Err(Failure::told(exit::CONFIG)) };
        Ok(Self { lab, model, plan, site, document, how, settings, cancel })
    }

    fn target(&self) -> Target<'_> {
        Target { lab: &self.lab, plan: &self.plan, site: &self.site }
    }

    fn node(&self, name: &str) -> Result<&NodePlan, Failure> {
        self.plan.find(name).ok_or_else(|| unknown(name, &self.lab.file, &self.plan))
    }

    /// The node that a new one is like: the one that is named, or the last one of the cluster.
    fn like(&self, name: Option<&str>, cluster: Option<&str>) -> Result<&NodePlan, Failure> {
        if let Some(name) = name {
            return self.node(name);
        }
        let mut clusters = self.plan.clusters.iter();
        let found = match cluster {
            Some(name) => clusters.find(|cluster| cluster.name == name || cluster.key == name),
            None => clusters.next().filter(|_| clusters.next().is_none()),
        };
        let last = found.and_then(|cluster| cluster.nodes.last());
        last.ok_or_else(|| {
            let known: Vec<&str> = self.plan.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
            let message = format!("name the cluster of the new node with --cluster: {}", known.join(", "));
            Failure::new(exit::USAGE, message)
        })
    }

    /// Starts nodes, or makes them anew.
    fn start(&self, names: &[String], rebuild: bool) -> Result<u8, Failure> {
        let scope = scope(&self.plan, names, &self.lab.file)?;
        let how = self.how(scope, self.clusters(names)?, rebuild);
        cluster::start(&self.target(), &how, self.how.format, self.settings, self.cancel)
    }

    fn how(&self, scope: Scope, cluster: Scope, rebuild: bool) -> How {
        How {
            cold: false,
            deploy: (!self.how.no_deploy).then_some(cluster),
            ssh_key: None,
            dry_run: self.how.dry_run,
            force: self.how.force,
            rebuild,
            wait: true,
            scope,
        }
    }

    /// The cluster that nodes are in, or the lab when they are in several.
    fn clusters(&self, names: &[String]) -> Result<Scope, Failure> {
        let mut found: Option<&str> = None;
        for name in names {
            let domain = &self.node(name)?.domain;
            let cluster = cluster_of(&self.plan, domain).unwrap_or_default();
            if found.is_some_and(|found| found != cluster) {
                return Ok(Scope::Lab);
            }
            found = Some(cluster);
        }
        Ok(Scope::Cluster(found.unwrap_or_default().to_owned()))
    }

    /// Changes the file, and makes the lab what it says by then. `node` is the one that is there already.
    fn change(
        &self,
        node: Option<&NodePlan>,
        change: impl FnOnce(&Nodes<'_>) -> Result<String, config::nodes::Error>,
    ) -> Result<u8, Failure> {
        let text =
            change(&Nodes::of(self.document.source()?, &self.model).map_err(unedited(&self.lab.file))?)
                .map_err(unedited(&self.lab.file))?;
        let (text, plan) = self.settled(text, node)?;
        let new = plan
            .nodes()
            .map(|(_, node)| node)
            .find(|node| self.plan.nodes().all(|(_, old)| old.domain != node.domain));
        let Some(node) = node.or(new) else {
            return Err(Failure::new(exit::FAILED, "the file would not have another node"));
        };
        let scope = Scope::Nodes([node.domain.clone()].into());
        let target = Target { plan: &plan, ..self.target() };
        let cluster = cluster_of(&plan, &node.domain).or_else(|| cluster_of(&self.plan, &node.domain));
        let how = self.how(scope.clone(), Scope::Cluster(cluster.unwrap_or_default().to_owned()), false);
        let start = |how: &How| cluster::start(&target, how, self.how.format, self.settings, self.cancel);
        if self.how.dry_run {
            self.show(&text);
            return start(&how);
        }
        let losers = changes::find(&self.site, &plan, &scope, self.cancel)?.losers();
        if !losers.is_empty() {
            let what = format!("remove the disk of {}", losers.join(", "));
            if !confirm(&what, self.how.force, self.cancel)? {
                return Ok(exit::OK);
            }
        }
        if self.site.folder.path().exists() {
            // Somebody who changes the lab now would not know the new file.
            drop(cluster::lock(&self.site)?);
        }
        replace(&self.lab.file, &text)?;
        output::words(format_args!("{}: written\n", self.lab.file.display()));
        self.show(&text);
        if self.site.find(self.cancel)?.is_some() {
            return start(&How { force: true, ..how });
        }
        if let Some(recorded) = self.site.plan()?.filter(|_| !losers.is_empty()) {
            let _lock = cluster::lock(&self.site)?;
            self.site.destroy_part(&recorded, &scope, self.cancel)?;
        }
        cluster::does_not_run(&self.site, "; its next start is as the file has it", self.how.format)
    }

    /// The new text and its plan, with every other node as it was. An address that a node had by its place in the file is
    /// written down where that changes.
    fn settled(&self, text: String, node: Option<&NodePlan>) -> Result<(String, Plan), Failure> {
        let mut text = text;
        for old in self.plan.nodes().map(|(_, node)| node) {
            let (model, plan) = self.load(&text)?;
            if node.is_some_and(|node| node.domain == old.domain) {
                continue;
            }
            let Some(new) = plan.nodes().map(|(_, node)| node).find(|new| new.domain == old.domain) else {
                let message = format!(
                    "version 1.0 names nodes by their place, so `{}` would become another: only the last of a \
                     kind can be removed",
                    old.label
                );
                return Err(Failure::new(exit::CONFIG, message));
            };
            if new.address() != old.address() {
                let unedited = unedited(&self.lab.file);
                text = Nodes::of(&text, &model)
                    .and_then(|nodes| nodes.pin(&old.domain, old.address()))
                    .map_err(unedited)?;
            }
        }
        let (_, plan) = self.load(&text)?;
        Ok((text, plan))
    }

    fn load(&self, text: &str) -> Result<(Model, Plan), Failure> {
        let document = Document::of(&self.lab.file, text.as_bytes().to_vec(), false, self.settings);
        let plan = document.plan(self.settings)?;
        let Some(model) = document.loaded.lab else { return Err(Failure::told(exit::CONFIG)) };
        Ok((model, plan))
    }

    /// Shows which lines of the file change.
    fn show(&self, text: &str) {
        if self.how.format == Format::Json {
            return;
        }
        let old = self.document.source().unwrap_or_default();
        for line in old.lines().filter(|line| !text.lines().any(|new| new == *line)) {
            output::words(format_args!("  - {}\n", line.trim_start()));
        }
        for line in text.lines().filter(|line| !old.lines().any(|old| old == *line)) {
            output::words(format_args!("  + {}\n", line.trim_start()));
        }
    }
}

impl From<crate::cli::Sizes> for config::nodes::Sizes {
    fn from(sizes: crate::cli::Sizes) -> Self {
        Self { cpus: sizes.cpus, memory_mib: sizes.memory_mib, disk_gib: sizes.disk_gib }
    }
}

fn unedited(file: &Path) -> impl Fn(config::nodes::Error) -> Failure {
    let file = file.display().to_string();
    move |error| Failure::new(exit::CONFIG, format!("{file} stays as it is: {error}"))
}

fn cluster_of<'a>(plan: &'a Plan, domain: &str) -> Option<&'a str> {
    plan.nodes().find(|(_, node)| node.domain == domain).map(|(cluster, _)| cluster.name.as_str())
}

/// The nodes that a person names.
fn scope(plan: &Plan, names: &[String], file: &Path) -> Result<Scope, Failure> {
    let domain = |name: &String| {
        plan.find(name).map(|node| node.domain.clone()).ok_or_else(|| unknown(name, file, plan))
    };
    Ok(Scope::Nodes(names.iter().map(domain).collect::<Result<_, _>>()?))
}

/// The name behind a name: `compute-02` is followed by `compute-03`.
fn successor(name: &str) -> String {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = &name[stem.len()..];
    match digits.parse::<u64>() {
        Ok(number) => format!("{stem}{:0width$}", number.saturating_add(1), width = digits.len()),
        Err(_) => format!("{name}-2"),
    }
}

/// Replaces a file of the user's: the one behind a link, and as readable as it was.
fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    let path = fs::canonicalize(path).map_err(file::Error::new("find", path))?;
    let mode = fs::metadata(&path).map_err(file::Error::new("read", &path))?.permissions();
    file::write(&path, text.as_bytes())?;
    Ok(fs::set_permissions(&path, mode).map_err(file::Error::new("set the mode of", &path))?)
}

#[cfg(test)]
mod tests {
    use super::successor;

    #[test]
    fn names_count_on() {
        let rows =
            [("compute-02", "compute-03"), ("compute-99", "compute-100"), ("n9", "n10"), ("gpu", "gpu-2")];
        for (name, next) in rows {
            assert_eq!(successor(name), next);
        }
    }
}
