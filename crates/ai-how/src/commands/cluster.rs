//! `ai-how cluster`: start, status, stop, destroy.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use engine::{NodeStatus, Scope, Site};
use events::{EventKind, Level, Phase};
use image::{Base, Store};
use lab::accelerator;
use plan::Plan;
use system::cancel::Cancel;

use super::{changes, fork, kubernetes, snapshot, take_over};
use crate::{
    bring_up::{BringUp, deploy_failure},
    cli::{Cluster, Destroy, Format, Lab, Part, Start},
    confirm::confirm,
    document, exit,
    failure::Failure,
    output,
    run::{About, Run},
    settings::Settings,
};

pub(crate) fn run(command: Cluster, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    match command {
        Cluster::Start(arguments) => {
            let Start { part, cold, no_deploy, ssh_key, dry_run, force, format } = arguments;
            let (plan, site) = document::site(&part.lab, settings)?;
            let scope = scope(&part, &[&plan])?;
            let deploy = (!no_deploy).then(|| scope.clone());
            let how = How { cold, deploy, ssh_key, dry_run, force, rebuild: false, wait: true, scope };
            start(&Target { lab: &part.lab, plan: &plan, site: &site }, &how, format, settings, cancel)
        }
        Cluster::Status { part, format } => status(&part, format, settings, cancel),
        Cluster::Stop { part, dry_run, format } => {
            let (plan, site) = document::site(&part.lab, settings)?;
            let target = Target { lab: &part.lab, plan: &plan, site: &site };
            let recorded = site.plan()?;
            let scope = scope(&part, &[recorded.as_ref().unwrap_or(&plan), &plan])?;
            stop(&target, &scope, Stop { dry_run, now: false }, format, settings, cancel)
        }
        Cluster::DeployKubernetes { lab, kubespray, check, format } => {
            kubernetes::deploy(&lab, kubespray.as_deref(), check, format, settings, cancel)
        }
        Cluster::TakeOver { lab, from, dry_run } => take_over::run(&lab, &from, dry_run, settings),
        Cluster::Fork { name, lab, count, format } => {
            let names = match count {
                None => vec![name],
                Some(count) => (1..=count).map(|number| format!("{name}{number}")).collect(),
            };
            fork::run(&names, &lab, format, settings, cancel)
        }
        Cluster::Snapshot(command) => snapshot::run(command, settings, cancel),
        Cluster::Destroy(Destroy { part, dry_run, force }) => {
            let (plan, site) = document::site(&part.lab, settings)?;
            let target = Target { lab: &part.lab, plan: &plan, site: &site };
            // A lab whose record cannot be read can still be destroyed, as a whole.
            let recorded = if part.cluster.is_some() { site.plan()? } else { None };
            let scope = scope(&part, &[recorded.as_ref().unwrap_or(&plan), &plan])?;
            destroy(&target, &scope, Whether { dry_run, force }, cancel)
        }
    }
}

/// A lab that a command is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    /// As the user named it.
    pub(crate) lab: &'a Lab,
    /// The plan of its file.
    pub(crate) plan: &'a Plan,
    /// Where it is.
    pub(crate) site: &'a Site,
}

/// How a lab is started.
#[derive(Debug, Clone)]
pub(crate) struct How {
    /// Every node boots, even where a template could be copied.
    pub(crate) cold: bool,
    /// Where SLURM is deployed, too.
    pub(crate) deploy: Option<Scope>,
    /// A key that images of the user's know.
    pub(crate) ssh_key: Option<PathBuf>,
    /// Nothing is done, only told.
    pub(crate) dry_run: bool,
    /// Nodes may lose their disks without a question.
    pub(crate) force: bool,
    /// Its nodes are made anew.
    pub(crate) rebuild: bool,
    /// Nodes that boot are waited for.
    pub(crate) wait: bool,
    /// Which part of it.
    pub(crate) scope: Scope,
}

/// Which part of a lab the arguments mean; a cluster may be named by its key, too.
pub(crate) fn scope(part: &Part, plans: &[&Plan]) -> Result<Scope, Failure> {
    let Some(name) = &part.cluster else { return Ok(Scope::Lab) };
    let clusters = || plans.iter().flat_map(|plan| &plan.clusters);
    match clusters().find(|cluster| cluster.name == *name || cluster.key == *name) {
        Some(cluster) => Ok(Scope::Cluster(cluster.name.clone())),
        None => {
            let known: BTreeSet<&str> = clusters().map(|cluster| cluster.name.as_str()).collect();
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            let message = format!("{} has no cluster `{name}`; there are: {known}", part.lab.file.display());
            Err(Failure::new(exit::USAGE, message))
        }
    }
}

/// Starts a part of the lab and leaves it running.
pub(crate) fn start(
    target: &Target<'_>,
    how: &How,
    format: Format,
    settings: &Settings,
    cancel: &Cancel,
) -> Result<u8, Failure> {
    let Target { lab, plan, site } = *target;
    if let Some(fork) = lab.fork.as_ref().filter(|_| !site.folder.has_disks()) {
        let message =
            format!("there is no fork `{fork}`; `ai-how cluster fork {fork}` makes it of the lab that runs");
        return Err(Failure::new(exit::USAGE, message));
    }
    let changes = || {
        let changes = changes::find(site, plan, &how.scope, cancel)?;
        Ok::<_, Failure>(if how.rebuild { changes.rebuilding() } else { changes })
    };
    if how.dry_run {
        return changes::show(&changes()?, site, format == Format::Json);
    }
    how.ssh_key.as_deref().map(document::read).transpose()?;
    let verdict = accelerator::probe(&settings.cache, plan.archs(), cancel)?;
    let fresh = !site.folder.path().exists();
    let _lock = lock(site)?;
    let losers = changes()?.losers();
    if !losers.is_empty() {
        let what = format!("remove the disks of {} (`ai-how plan --diff` tells why)", losers.join(", "));
        if !confirm(&what, how.force, cancel)? {
            return Ok(exit::OK);
        }
    }
    let about = About { verb: "start", plan, file: &lab.file, verdict: &verdict, format };
    let run = Run::start(&about, settings, site.folder.path())?;
    let up = BringUp {
        plan,
        scope: &how.scope,
        force: !losers.is_empty(),
        rebuild: how.rebuild,
        wait: how.wait,
        verdict: &verdict,
        run: &run,
        settings,
        cold: how.cold,
        cancel,
    };
    let result = (|| {
        let images = images(&site.may_boot(&how.scope, plan), &run, settings, cancel).or_else(|failure| {
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
            let started = up.boot(&session, &images, how.deploy.is_some())?;
            Ok((session, started))
        })?;
        let slurm = |scope: &&Scope| {
            let mut clusters = plan.clusters.iter();
            clusters.any(|cluster| cluster.slurm.is_some() && scope.has_shared_of(&cluster.name))
        };
        if let Some(scope) = how.deploy.as_ref().filter(slurm) {
            let ansible = || deploy::find_ansible(&settings.cache).map_err(deploy_failure);
            up.deploy(&session, scope, &images, &started, ansible).or_else(|failure| {
                // Its machines are there to look at what went wrong, and for the next start to go on from.
                if !failure.is_interruption() {
                    session.keep()?;
                }
                Err(failure)
            })?;
        }
        session.settle(plan, &started.copies, cancel);
        for cluster in how.scope.narrow(plan).clusters.iter().filter(|cluster| cluster.kubernetes.is_some()) {
            let message = format!(
                "{}: its machines run; `ai-how cluster deploy-kubernetes {}` makes a Kubernetes cluster of them",
                cluster.name,
                lab.file.display()
            );
            run.sink().emit(EventKind::Notice { level: Level::Info, message });
        }
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
pub(crate) fn status(
    part: &Part,
    format: Format,
    settings: &Settings,
    cancel: &Cancel,
) -> Result<u8, Failure> {
    let (plan, site) = document::site(&part.lab, settings)?;
    let scope = scope(part, &[&plan])?;
    let mut nodes = engine::status(&site, &plan, cancel)?;
    nodes.retain(|status| {
        plan.nodes()
            .any(|(cluster, node)| node.domain == status.domain && scope.has(&cluster.name, &node.domain))
    });
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

/// How nodes are powered off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stop {
    /// Nothing is done, only told.
    pub(crate) dry_run: bool,
    /// They are not asked.
    pub(crate) now: bool,
}

/// Powers nodes off.
pub(crate) fn stop(
    target: &Target<'_>,
    scope: &Scope,
    Stop { dry_run, now }: Stop,
    format: Format,
    settings: &Settings,
    cancel: &Cancel,
) -> Result<u8, Failure> {
    let Target { lab, plan, site } = *target;
    let absent = || {
        output::words(format_args!("the lab {} does not run\n", site.folder.id()));
        Ok(exit::OK)
    };
    // The lock makes the lab's folder, and a lab that was never started has none.
    if !site.folder.path().exists() {
        return absent();
    }
    let _lock = if dry_run { None } else { Some(lock(site)?) };
    let Some(session) = site.find(cancel)? else { return absent() };
    // What runs is what is stopped, whatever the file says by now.
    let running = session.plan(plan)?.unwrap_or_else(|| plan.clone());
    if dry_run {
        let labels = session.running(&running)?;
        let meant = running
            .nodes()
            .filter(|(cluster, node)| scope.has(&cluster.name, &node.domain) && labels.contains(&node.label));
        return tell("would power off", meant.map(|(_, node)| node.label.as_str()));
    }
    let verdict = accelerator::probe(&settings.cache, running.archs(), cancel)?;
    let about = About { verb: "stop", plan: &running, file: &lab.file, verdict: &verdict, format };
    let run = Run::start(&about, settings, site.folder.path())?;
    let result = run.phase(Phase::Cleanup, || {
        Ok(session.stop(&running, scope, (!now).then(|| verdict.slowest()), run.sink(), cancel)?)
    });
    run.finish(result)
}

/// What a command does before something is lost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whether {
    /// Nothing is done, only told.
    pub(crate) dry_run: bool,
    /// There is no question.
    pub(crate) force: bool,
}

/// Removes a part of the lab.
pub(crate) fn destroy(
    target: &Target<'_>,
    scope: &Scope,
    whether: Whether,
    cancel: &Cancel,
) -> Result<u8, Failure> {
    let Target { plan, site, .. } = *target;
    let id = site.folder.id();
    let gone = || {
        output::words(format_args!("nothing is left of the lab {id}\n"));
        Ok(exit::OK)
    };
    if !site.folder.path().exists() {
        return gone();
    }
    if whether.dry_run {
        let recorded = site.plan().ok().flatten().unwrap_or_else(|| plan.clone());
        let meant = recorded.nodes().filter(|(cluster, node)| {
            scope.has(&cluster.name, &node.domain) && site.folder.path().join(&node.disk).exists()
        });
        return tell("would remove", meant.map(|(_, node)| node.label.as_str()));
    }
    let what = match scope {
        Scope::Cluster(name) => format!("remove the cluster {name} of the lab {id} with its disks"),
        Scope::Lab | Scope::Nodes(_) => format!("remove the lab {id} with its disks"),
    };
    if !confirm(&what, whether.force, cancel)? {
        return Ok(exit::OK);
    }
    let _lock = lock(site)?;
    let forks = site.folder.forks();
    if *scope == Scope::Lab {
        site.destroy(cancel)?;
        gone()?;
    } else {
        let session = site.find(cancel)?;
        let recorded = match &session {
            Some(session) => session.plan(plan)?,
            None => site.plan()?,
        };
        drop(session);
        site.destroy_part(recorded.as_ref().unwrap_or(plan), scope, cancel)?;
        output::words(format_args!("{}: done\n", what));
    }
    if !forks.is_empty() && !site.folder.path().exists() {
        let forks = forks.join(", ");
        output::words(format_args!(
            "its forks live on: {forks} (`cluster destroy --fork NAME` removes one)\n"
        ));
    }
    Ok(exit::OK)
}

/// Tells what would be done with nodes.
fn tell<'a>(what: &str, nodes: impl Iterator<Item = &'a str>) -> Result<u8, Failure> {
    let nodes: Vec<&str> = nodes.collect();
    let nodes = if nodes.is_empty() { "nothing".to_owned() } else { nodes.join(", ") };
    output::data(format_args!("{what}: {nodes}\n"))?;
    Ok(exit::OK)
}
