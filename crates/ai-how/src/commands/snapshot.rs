//! `ai-how cluster snapshot` and `ai-how node snapshot`: create, list, revert, rm.

use engine::{Session, Site, Snapshots, Start};
use events::{EventKind, Phase};
use serde_json::json;
use system::{cancel::Cancel, clock::Stopwatch};

use crate::{
    bring_up,
    cli::{Format, Lab, NodeSnapshot, Snapshot},
    commands::{cluster, reach},
    document, exit,
    failure::Failure,
    output,
    run::{About, Run},
    running::Running,
    settings::Settings,
};

pub(crate) fn run(command: Snapshot, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    match command {
        Snapshot::Create { name, lab, format } => {
            create(&name, None, &Work { verb: "snapshot", lab: &lab, format, settings, cancel })
        }
        Snapshot::Revert { name, lab, format } => {
            revert(&name, None, &Work { verb: "revert", lab: &lab, format, settings, cancel })
        }
        Snapshot::List { lab, format } => list(&lab, None, format, settings),
        Snapshot::Rm { name, lab, format } => remove(&name, &lab, None, format, settings),
    }
}

/// The same for one node.
pub(crate) fn of_node(command: &NodeSnapshot, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    match command {
        NodeSnapshot::Create { node, name, at, format } => {
            let work = Work { verb: "snapshot", lab: &at.lab(), format: *format, settings, cancel };
            create(name, Some(node), &work)
        }
        NodeSnapshot::Revert { node, name, at, format } => {
            let work = Work { verb: "revert", lab: &at.lab(), format: *format, settings, cancel };
            revert(name, Some(node), &work)
        }
        NodeSnapshot::List { node, at, format } => list(&at.lab(), Some(node), *format, settings),
        NodeSnapshot::Rm { node, name, at, format } => remove(name, &at.lab(), Some(node), *format, settings),
    }
}

/// The snapshots of a lab, or of the node that is named.
fn snapshots(lab: &Lab, node: Option<&String>, settings: &Settings) -> Result<(Site, Snapshots), Failure> {
    Ok(match node {
        None => {
            let (_, site) = document::site(lab, settings)?;
            let snapshots = Snapshots::of_lab(&site.folder);
            (site, snapshots)
        }
        Some(name) => {
            let (site, node) = reach::find(lab, name, settings)?;
            let snapshots = Snapshots::of_node(&site.folder, &node.domain);
            (site, snapshots)
        }
    })
}

fn create(name: &str, node: Option<&String>, work: &Work<'_>) -> Result<u8, Failure> {
    engine::check_name(name)?;
    let (_, snapshots) = snapshots(work.lab, node, work.settings)?;
    work.on_running(|session, start, run| {
        let snapshot = session.take_snapshot(&snapshots, name, start, run.sink(), work.cancel)?;
        Ok(format!("the snapshot {name} has {}", count(snapshot.nodes.len())))
    })
}

fn revert(name: &str, node: Option<&String>, work: &Work<'_>) -> Result<u8, Failure> {
    let (_, snapshots) = snapshots(work.lab, node, work.settings)?;
    work.on_running(|session, start, run| {
        let snapshot = session.revert(&snapshots, name, start, run.sink(), work.cancel)?;
        let (nodes, created) = (count(snapshot.nodes.len()), snapshot.created.strftime("%F %T UTC"));
        Ok(format!("{nodes} went back to {name} of {created}"))
    })
}

fn count(nodes: usize) -> String {
    if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") }
}

/// A command on the lab that runs, which goes on running.
pub(crate) struct Work<'a> {
    pub(crate) verb: &'a str,
    pub(crate) lab: &'a Lab,
    pub(crate) format: Format,
    pub(crate) settings: &'a Settings,
    pub(crate) cancel: &'a Cancel,
}

impl Work<'_> {
    /// Does it as a run of its own, and tells how long it took.
    pub(crate) fn on_running(
        &self,
        work: impl FnOnce(&Session, &Start<'_>, &Run) -> Result<String, Failure>,
    ) -> Result<u8, Failure> {
        let lab = Running::find(self.lab, self.settings, self.cancel)?;
        let Running { site, session, plan, verdict, .. } = &lab;
        let about = About { verb: self.verb, plan, file: &self.lab.file, verdict, format: self.format };
        let run = Run::start(&about, self.settings, site.folder.path())?;
        let result = (|| {
            let images = cluster::images(plan, &run, self.settings, self.cancel)?;
            let deployed = bring_up::deployed(plan, None)?;
            let start = Start::of(plan, &images, verdict, &deployed);
            run.phase(Phase::Boot, || {
                let watch = Stopwatch::start();
                let message = work(session, &start, &run)?;
                let message = format!("{message}, in {:.2} s", watch.seconds());
                run.sink().emit(EventKind::Notice { level: events::Level::Info, message });
                Ok(())
            })
        })();
        run.finish(result)
    }
}

fn list(lab: &Lab, node: Option<&String>, format: Format, settings: &Settings) -> Result<u8, Failure> {
    let (_, snapshots) = snapshots(lab, node, settings)?;
    let all = snapshots.list();
    let size = |name: &str| snapshots.size_mib(name);
    match format {
        Format::Json => {
            let all: Vec<_> = all
                .iter()
                .map(|snapshot| {
                    json!({
                        "name": snapshot.name,
                        "created": snapshot.created,
                        "plan": snapshot.plan,
                        "nodes": snapshot.nodes,
                        "size_mib": size(&snapshot.name),
                    })
                })
                .collect();
            output::json(&all)?;
        }
        Format::Text if all.is_empty() => output::words("there are no such snapshots\n"),
        Format::Text => {
            let rows: Vec<[String; 4]> = all
                .iter()
                .map(|snapshot| {
                    let created = snapshot.created.strftime("%Y-%m-%d %H:%M:%S").to_string();
                    let size = format!("{} MiB", size(&snapshot.name));
                    [snapshot.name.clone(), created, count(snapshot.nodes.len()), size]
                })
                .collect();
            output::data(plan::columns(&rows))?;
        }
    }
    Ok(exit::OK)
}

fn remove(
    name: &str,
    lab: &Lab,
    node: Option<&String>,
    format: Format,
    settings: &Settings,
) -> Result<u8, Failure> {
    let (site, snapshots) = snapshots(lab, node, settings)?;
    // The lock makes the lab's folder, and a lab that was never started has none.
    let _lock = if site.folder.path().exists() { Some(cluster::lock(&site)?) } else { None };
    snapshots.remove(name)?;
    output::words(format_args!("removed the snapshot {name}\n"));
    if format == Format::Json {
        let lab = site.folder.id();
        output::json(&json!({"lab": lab, "node": node, "snapshot": name, "removed": true}))?;
    }
    Ok(exit::OK)
}
