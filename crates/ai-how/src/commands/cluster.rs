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
use serde_json::json;
use system::cancel::Cancel;

use super::{changes, fork, kubernetes, snapshot, take_over};
use crate::{
    bring_up::{BringUp, deploy_failure},
    cli::{Cluster, Destroy, Format, Lab, Part, Start},
    confirm::confirm,
    document, exit,
    failure::Failure,
    labs, output,
    run::{About, Run},
    settings::Settings,
};

pub(crate) fn run(command: Cluster, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    match command {
        Cluster::Start(arguments) => {
            let Start { part, cold, no_deploy, ssh_key, dry_run, force, format } = arguments;
            let (plan, site) = document::site_to_start(&part.lab, settings)?;
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
            stop(&target, &[scope], Stop { dry_run, now: false }, format, settings, cancel)
        }
        Cluster::DeployKubernetes { lab, kubespray, check, format } => {
            kubernetes::deploy(&lab, kubespray.as_deref(), check, format, settings, cancel)
        }
        Cluster::TakeOver { lab, from, dry_run, format } => {
            take_over::run(&lab, &from, dry_run, format, settings)
        }
        Cluster::Fork { name, lab, count, format } => {
            let names = match count {
                None => vec![name],
                Some(count) => (1..=count).map(|number| format!("{name}{number}")).collect(),
            };
            fork::run(&names, &lab, format, settings, cancel)
        }
        Cluster::Snapshot(command) => snapshot::run(command, settings, cancel),
        Cluster::Destroy(Destroy { part, dry_run, force, format }) => {
            let (plan, site) = document::site(&part.lab, settings)?;
            let target = Target { lab: &part.lab, plan: &plan, site: &site };
            // A lab whose record cannot be read can still be destroyed, as a whole.
            let recorded = if part.cluster.is_some() { site.plan()? } else { None };
            let scope = scope(&part, &[recorded.as_ref().unwrap_or(&plan), &plan])?;
            destroy(&target, &[scope], Whether { dry_run, force }, format, cancel)
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
    fork_is_there(target)?;
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
    labs::remember_file(site, &lab.file)?;
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

/// A fork is made of a lab that runs, and not by a start.
pub(crate) fn fork_is_there(target: &Target<'_>) -> Result<(), Failure> {
    let Some(fork) = target.lab.fork.as_ref().filter(|_| !target.site.folder.has_disks()) else {
        return Ok(());
    };
    let message =
        format!("there is no fork `{fork}`; `ai-how cluster fork {fork}` makes it of the lab that runs");
    Err(Failure::new(exit::USAGE, message))
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
        Format::Json => output::json(&status_json(&plan, &site, &nodes)?)?,
        Format::Text => {
            output::text(format_args!("lab {}\n", site.folder.id()))?;
            for fork in site.folder.forks() {
                output::text(format_args!("  fork {fork}\n"))?;
            }
            let row = |node: &NodeStatus| {
                let address = plan.find(&node.domain).map(|found| {
                    found.own_address().map_or_else(|| "-".to_owned(), |address| address.to_string())
                });
                let ready = if node.ready { "ready" } else { "" };
                [node.node.clone(), address.unwrap_or_default(), node.state.clone(), ready.to_owned()]
            };
            output::text(plan::columns(&nodes.iter().map(row).collect::<Vec<_>>()))?;
        }
    }
    Ok(exit::OK)
}

fn status_json(plan: &Plan, site: &Site, nodes: &[NodeStatus]) -> Result<serde_json::Value, Failure> {
    let running = site.plan()?.map(|plan| plan.id);
    let nodes: Vec<_> = nodes
        .iter()
        .map(|node| {
            json!({
                "node": node.node,
                "domain": node.domain,
                "address": plan.find(&node.domain).and_then(|found| found.own_address()),
                "state": node.state,
                "ready": node.ready,
                "disk": node.disk,
            })
        })
        .collect();
    Ok(json!({
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

/// Powers nodes off, those of one scope after those of the other.
pub(crate) fn stop(
    target: &Target<'_>,
    scopes: &[Scope],
    Stop { dry_run, now }: Stop,
    format: Format,
    settings: &Settings,
    cancel: &Cancel,
) -> Result<u8, Failure> {
    let Target { lab, plan, site } = *target;
    if dry_run {
        return would_stop(target, scopes, format, cancel);
    }
    // The lock makes the lab's folder, and a lab that was never started has none.
    if !site.folder.path().exists() {
        return does_not_run(site, "", format);
    }
    let _lock = lock(site)?;
    let stop = |scope| {
        let Some(session) = site.find(cancel)? else { return does_not_run(site, "", format) };
        // What runs is what is stopped, whatever the file says by now.
        let running = session.plan(plan)?.unwrap_or_else(|| plan.clone());
        let verdict = accelerator::probe(&settings.cache, running.archs(), cancel)?;
        let about = About { verb: "stop", plan: &running, file: &lab.file, verdict: &verdict, format };
        let run = Run::start(&about, settings, site.folder.path())?;
        let result = run.phase(Phase::Cleanup, || {
            Ok(session.stop(&running, scope, (!now).then(|| verdict.slowest()), run.sink(), cancel)?)
        });
        run.finish(result)
    };
    // One part that cannot be stopped is no reason to leave the others running.
    let ended: Vec<_> = scopes.iter().map(stop).collect();
    ended.into_iter().find(|ended| !matches!(ended, Ok(exit::OK))).unwrap_or(Ok(exit::OK))
}

/// Tells which nodes a stop would power off.
fn would_stop(target: &Target<'_>, scopes: &[Scope], format: Format, cancel: &Cancel) -> Result<u8, Failure> {
    let Target { plan, site, .. } = *target;
    let mut stops = Vec::new();
    if let Some(session) = site.find(cancel)? {
        let plan = session.plan(plan)?.unwrap_or_else(|| plan.clone());
        let running = session.running(&plan)?;
        for scope in scopes {
            let meant = plan.nodes().filter(|(cluster, node)| scope.has(&cluster.name, &node.domain));
            let labels = meant.map(|(_, node)| node.label.clone());
            stops.extend(labels.filter(|label| running.contains(label)));
        }
    }
    match format {
        Format::Text => tell("would power off", &stops)?,
        Format::Json => {
            output::json(&json!({"lab": site.folder.id(), "stops": stops, "dry_run": true}))?;
        }
    }
    Ok(exit::OK)
}

/// Tells that there is nothing to do on a lab that does not run, and what follows from that.
pub(crate) fn does_not_run(site: &Site, what_follows: &str, format: Format) -> Result<u8, Failure> {
    let lab = site.folder.id();
    output::words(format_args!("the lab {lab} does not run{what_follows}\n"));
    if format == Format::Json {
        // A line as those of the events, which other ends of the same command write.
        output::data(format_args!("{}\n", json!({"lab": lab, "running": false})))?;
    }
    Ok(exit::OK)
}

/// What a command does before something is lost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whether {
    /// Nothing is done, only told.
    pub(crate) dry_run: bool,
    /// There is no question.
    pub(crate) force: bool,
}

/// Removes parts of the lab.
pub(crate) fn destroy(
    target: &Target<'_>,
    scopes: &[Scope],
    whether: Whether,
    format: Format,
    cancel: &Cancel,
) -> Result<u8, Failure> {
    let Target { plan, site, .. } = *target;
    let id = site.folder.id();
    // A lab whose record cannot be read can still be destroyed.
    let recorded = site.plan().ok().flatten().unwrap_or_else(|| plan.clone());
    let meant = recorded.nodes().filter(|(cluster, node)| {
        let has = scopes.iter().any(|scope| scope.has(&cluster.name, &node.domain));
        has && site.folder.path().join(&node.disk).exists()
    });
    let nodes: Vec<String> = meant.map(|(_, node)| node.label.clone()).collect();
    let clusters: Option<Vec<&str>> = scopes
        .iter()
        .map(|scope| match scope {
            Scope::Cluster(name) => Some(name.as_str()),
            Scope::Lab | Scope::Nodes(_) => None,
        })
        .collect();
    let tell = |removed: &[String]| match format {
        Format::Json => output::json(&json!({
            "lab": id,
            "clusters": clusters,
            "removed": removed,
            "forks": site.folder.forks(),
            "dry_run": whether.dry_run,
        })),
        Format::Text if whether.dry_run => tell("would remove", removed),
        Format::Text => Ok(()),
    };
    if whether.dry_run {
        tell(&nodes)?;
        return Ok(exit::OK);
    }
    let what = match &clusters {
        Some(names) => format!("remove the cluster {} of the lab {id} with all disks", names.join(" and ")),
        None => format!("remove the lab {id} with its disks"),
    };
    if site.folder.path().exists() {
        if !confirm(&what, whether.force, cancel)? {
            tell(&[])?;
            return Ok(exit::OK);
        }
        let _lock = lock(site)?;
        scopes.iter().try_for_each(|scope| destroy_part(target, scope, cancel))?;
    }
    if site.folder.path().exists() {
        output::words(format_args!("{what}: done\n"));
    } else {
        output::words(format_args!("nothing is left of the lab {id}\n"));
        let forks = site.folder.forks().join(", ");
        if !forks.is_empty() {
            output::words(format_args!(
                "its forks live on: {forks} (`cluster destroy --fork NAME` removes one)\n"
            ));
        }
    }
    tell(&nodes)?;
    Ok(exit::OK)
}

fn destroy_part(target: &Target<'_>, scope: &Scope, cancel: &Cancel) -> Result<(), Failure> {
    let Target { plan, site, .. } = *target;
    if *scope == Scope::Lab {
        return Ok(site.destroy(cancel)?);
    }
    let recorded = match site.find(cancel)? {
        Some(session) => session.plan(plan)?,
        None => site.plan()?,
    };
    Ok(site.destroy_part(recorded.as_ref().unwrap_or(plan), scope, cancel)?)
}

/// Tells what would be done with nodes.
fn tell(what: &str, nodes: &[String]) -> Result<(), Failure> {
    let nodes = if nodes.is_empty() { "nothing".to_owned() } else { nodes.join(", ") };
    output::text(format_args!("{what}: {nodes}\n"))
}
