//! `ai-how cluster`: start, status, stop, destroy.

use std::{collections::BTreeMap, path::PathBuf};

use engine::{NodeStatus, Site};
use events::Phase;
use image::{Base, Store};
use lab::accelerator;
use plan::Plan;
use system::cancel::Cancel;

use super::{fork, snapshot};
use crate::{
    bring_up::{BringUp, deploy_failure},
    cli::{Cluster, Format, Lab},
    document, exit,
    failure::Failure,
    output,
    run::{About, Run},
    settings::Settings,
};

pub(crate) fn run(command: Cluster, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    match command {
        Cluster::Start { lab, cold, no_deploy, ssh_key, format } => {
            start(&lab, How { cold, deploy: !no_deploy, ssh_key }, format, settings, cancel)
        }
        Cluster::Status { lab, format } => status(&lab, format, settings, cancel),
        Cluster::Stop { lab, format } => stop(&lab, format, settings, cancel),
        Cluster::Fork { name, lab, count, format } => {
            let names = match count {
                None => vec![name],
                Some(count) => (1..=count).map(|number| format!("{name}{number}")).collect(),
            };
            fork::run(&names, &lab, format, settings, cancel)
        }
        Cluster::Snapshot(command) => snapshot::run(command, settings, cancel),
        Cluster::Destroy { lab } => destroy(&lab, settings, cancel),
    }
}

/// How a lab is started.
#[derive(Debug, Clone)]
pub(crate) struct How {
    /// Every node boots, even where a template could be copied.
    pub(crate) cold: bool,
    /// SLURM is deployed, too.
    pub(crate) deploy: bool,
    /// A key that images of the user's know.
    pub(crate) ssh_key: Option<PathBuf>,
}

/// Starts the lab and leaves it running.
pub(crate) fn start(
    lab: &Lab,
    how: How,
    format: Format,
    settings: &Settings,
    cancel: &Cancel,
) -> Result<u8, Failure> {
    let (plan, site) = document::site(lab, settings)?;
    if let Some(fork) = lab.fork.as_ref().filter(|_| !site.folder.has_disks()) {
        let message =
            format!("there is no fork `{fork}`; `ai-how cluster fork {fork}` makes it of the lab that runs");
        return Err(Failure::new(exit::USAGE, message));
    }
    how.ssh_key.as_deref().map(document::read).transpose()?;
    let verdict = accelerator::probe(&settings.cache, plan.archs(), cancel)?;
    let fresh = !site.folder.path().exists();
    let _lock = lock(&site)?;
    let about = About { verb: "start", plan: &plan, file: &lab.file, verdict: &verdict, format };
    let run = Run::start(&about, settings, site.folder.path())?;
    let up = BringUp { plan: &plan, verdict: &verdict, run: &run, settings, cold: how.cold, cancel };
    let result = (|| {
        let images = images(&plan, &run, settings, cancel).or_else(|failure| {
            // Nothing was made yet, and the lock needed the folder.
            if fresh {
                site.folder.remove()?;
            }
            Err(failure)
        })?;
        if let Some(key) = &how.ssh_key {
            engine::use_image_key(&site.folder, key)?;
        }
        let (mut session, started) = run.phase(Phase::Boot, || {
            let session = site.open(&verdict, false, cancel)?;
            let started = up.boot(&session, &images, how.deploy)?;
            Ok((session, started))
        })?;
        if how.deploy && plan.clusters.iter().any(|cluster| cluster.slurm.is_some()) {
            let ansible = || deploy::find_ansible(&settings.cache).map_err(deploy_failure);
            up.deploy(&session, &images, &started, ansible).or_else(|failure| {
                // Its machines are there to look at what went wrong, and for the next start to go on from.
                if !failure.is_interruption() {
                    session.keep()?;
                }
                Err(failure)
            })?;
        }
        session.settle(&plan, &started.copies, cancel);
        Ok(session.keep()?)
    })();
    run.finish(result)
}

/// Claims the lab for this command.
pub(crate) fn lock(site: &Site) -> Result<system::file::Lock, Failure> {
    site.folder.lock()?.ok_or_else(|| engine::Error::Busy { lab: site.folder.id() }.into())
}

/// Finds or builds the images, as a phase of the run.
pub(crate) fn images(
    plan: &Plan,
    run: &Run,
    settings: &Settings,
    cancel: &Cancel,
) -> Result<BTreeMap<String, Base>, Failure> {
    let store = Store::new(&settings.cache);
    run.phase(Phase::Image, || {
        Ok(engine::images(plan, &store, &image::Options::default(), run.sink(), cancel)?)
    })
}

/// Shows what runs.
pub(crate) fn status(lab: &Lab, format: Format, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    let (plan, site) = document::site(lab, settings)?;
    let nodes = engine::status(&site, &plan, cancel)?;
    match format {
        Format::Json => output::data(format_args!("{:#}\n", json(&plan, &site, &nodes)?))?,
        Format::Text => {
            output::data(format_args!("lab {}\n", site.folder.id()))?;
            for fork in site.folder.forks() {
                output::data(format_args!("  fork {fork}\n"))?;
            }
            let width = nodes.iter().map(|node| node.node.len()).max().unwrap_or(0);
            for node in &nodes {
                let address =
                    plan.find(&node.domain).map(|found| found.address().to_string()).unwrap_or_default();
                let ready = if node.ready { "ready" } else { "" };
                output::data(format_args!(
                    "  {:width$}  {address:15}  {:8} {ready}\n",
                    node.node, node.state
                ))?;
            }
        }
    }
    Ok(exit::OK)
}

fn json(plan: &Plan, site: &Site, nodes: &[NodeStatus]) -> Result<serde_json::Value, Failure> {
    let running = site.plan()?.map(|plan| plan.id);
    let nodes: Vec<_> = nodes
        .iter()
        .map(|node| {
            serde_json::json!({
                "node": node.node,
                "domain": node.domain,
                "address": plan.find(&node.domain).map(|found| found.address()),
                "state": node.state,
                "ready": node.ready,
                "disk": node.disk,
            })
        })
        .collect();
    Ok(serde_json::json!({
        "lab": site.folder.id(),
        "folder": site.folder.path().display().to_string(),
        "plan": plan.id,
        "started_plan": running,
        "forks": site.folder.forks(),
        "nodes": nodes,
    }))
}

fn stop(lab: &Lab, format: Format, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    let (plan, site) = document::site(lab, settings)?;
    let absent = || {
        output::words(format_args!("the lab {} does not run\n", site.folder.id()));
        Ok(exit::OK)
    };
    // The lock makes the lab's folder, and a lab that was never started has none.
    if !site.folder.path().exists() {
        return absent();
    }
    let _lock = lock(&site)?;
    let Some(session) = site.find(cancel)? else { return absent() };
    // What runs is what is stopped, whatever the file says by now.
    let running = site.plan()?.unwrap_or(plan);
    let verdict = accelerator::probe(&settings.cache, running.archs(), cancel)?;
    let about = About { verb: "stop", plan: &running, file: &lab.file, verdict: &verdict, format };
    let run = Run::start(&about, settings, site.folder.path())?;
    let result =
        run.phase(Phase::Cleanup, || Ok(session.stop(&running, verdict.slowest(), run.sink(), cancel)?));
    run.finish(result)
}

/// Removes everything of the lab.
pub(crate) fn destroy(lab: &Lab, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    let (_, site) = document::site(lab, settings)?;
    let _lock = lock(&site)?;
    let forks = site.folder.forks();
    site.destroy(cancel)?;
    output::words(format_args!("nothing is left of the lab {}\n", site.folder.id()));
    if !forks.is_empty() {
        let forks = forks.join(", ");
        output::words(format_args!(
            "its forks live on: {forks} (`cluster destroy --fork NAME` removes one)\n"
        ));
    }
    Ok(exit::OK)
}
