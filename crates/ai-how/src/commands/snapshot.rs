//! `ai-how cluster snapshot`: create, list, revert, rm.

use engine::{Scope, Session, Start};
use events::{EventKind, Phase};
use serde_json::json;
use system::{cancel::Cancel, clock::Stopwatch};

use crate::{
    bring_up,
    cli::{Format, Lab, Snapshot},
    commands::cluster,
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
            let work = Work { verb: "snapshot", lab: &lab, format, settings, cancel };
            work.on_running(|session, start, run| {
                let snapshot = session.take_snapshot(&name, start, run.sink(), cancel)?;
                Ok(format!("the snapshot {name} has {} nodes", snapshot.nodes.len()))
            })
        }
        Snapshot::Revert { name, lab, format } => {
            let work = Work { verb: "revert", lab: &lab, format, settings, cancel };
            work.on_running(|session, start, run| {
                let snapshot = session.revert(&name, start, run.sink(), cancel)?;
                let nodes = snapshot.nodes.len();
                Ok(format!("{nodes} nodes went back to {name} of {}", snapshot.created.strftime("%F %T UTC")))
            })
        }
        Snapshot::List { lab, format } => list(&lab, format, settings),
        Snapshot::Rm { name, lab } => remove(&name, &lab, settings),
    }
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
            let start = Start {
                plan,
                images: &images,
                verdict,
                templates: None,
                deployed: &deployed,
                record: None,
                scope: &Scope::Lab,
                force: false,
                rebuild: false,
            };
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

fn list(lab: &Lab, format: Format, settings: &Settings) -> Result<u8, Failure> {
    let (_, site) = document::site(lab, settings)?;
    let all = engine::snapshots(&site.folder);
    let size = |name: &str| engine::snapshot_mib(&site.folder, name);
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
            output::data(format_args!("{:#}\n", serde_json::Value::Array(all)))?;
        }
        Format::Text if all.is_empty() => output::words("there are no snapshots of this lab\n"),
        Format::Text => {
            let width = all.iter().map(|snapshot| snapshot.name.len()).max().unwrap_or(0);
            for snapshot in &all {
                let created = snapshot.created.strftime("%Y-%m-%d %H:%M:%S");
                let (name, nodes, size) = (&snapshot.name, snapshot.nodes.len(), size(&snapshot.name));
                output::data(format_args!("{name:width$}  {created}  {nodes:3} nodes  {size:6} MiB\n"))?;
            }
        }
    }
    Ok(exit::OK)
}

fn remove(name: &str, lab: &Lab, settings: &Settings) -> Result<u8, Failure> {
    let (_, site) = document::site(lab, settings)?;
    // The lock makes the lab's folder, and a lab that was never started has none.
    let _lock = if site.folder.path().exists() { Some(cluster::lock(&site)?) } else { None };
    engine::remove_snapshot(&site.folder, name)?;
    output::words(format_args!("removed the snapshot {name}\n"));
    Ok(exit::OK)
}
