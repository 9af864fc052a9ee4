//! The verbs of version 1.0 for whole clusters: `ai-how hpc`, `cloud` and `system`. They are other names for what
//! `ai-how cluster` does, with the order and the words of that version.

use std::{fs, slice};

use config::{
    hardware::{DeviceKind, DeviceSource},
    model::Role,
};
use engine::{Changes, NodeStatus, Scope, Site};
use jiff::Timestamp;
use plan::{
    Plan, clusters,
    model::{ClusterPlan, NodePlan},
};
use serde_json::{Map, Value, json};
use system::{cancel::Cancel, clock};

use super::{
    changes,
    cluster::{self, How, Target, Whether},
};
use crate::{
    cli::{Format, Lab, Workstation},
    document, exit,
    failure::Failure,
    output,
    settings::Settings,
};

/// Which clusters a verb is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// SLURM clusters.
    Hpc,
    /// Kubernetes clusters.
    Cloud,
    /// All of them.
    System,
}

pub(crate) fn run(
    which: Which,
    command: &Workstation,
    settings: &Settings,
    cancel: &Cancel,
) -> Result<u8, Failure> {
    let (Workstation::Start { lab, .. }
    | Workstation::Stop { lab, .. }
    | Workstation::Status { lab, .. }
    | Workstation::Destroy { lab, .. }) = command;
    let (plan, site) = match command {
        Workstation::Start { .. } => document::site_to_start(lab, settings)?,
        _ => document::site(lab, settings)?,
    };
    let work = Work { which, lab, plan: &plan, site: &site, settings, cancel };
    match command {
        Workstation::Start { ssh_key, dry_run, force, format, .. } => {
            if *dry_run {
                return work.would_start(*format);
            }
            let how = |scope: Scope| How {
                cold: false,
                deploy: None,
                ssh_key: ssh_key.clone(),
                dry_run: false,
                force: *force,
                rebuild: false,
                wait: true,
                scope,
            };
            work.start(how, *format)
        }
        Workstation::Stop { dry_run, format, .. } => {
            let mut scopes = work.scopes()?;
            scopes.reverse();
            let stop = cluster::Stop { dry_run: *dry_run, now: false };
            cluster::stop(&work.target(), &scopes, stop, *format, settings, cancel)
        }
        Workstation::Status { format, .. } => work.status(*format),
        Workstation::Destroy { dry_run, force, format, .. } => {
            let whether = Whether { dry_run: *dry_run, force: *force };
            let scopes = work.scopes()?;
            // All of a lab go with one question, and with whatever else is left of it.
            let all = scopes.len() == plan.clusters.len();
            let scopes = if all { vec![Scope::Lab] } else { scopes };
            cluster::destroy(&work.target(), &scopes, whether, *format, cancel)
        }
    }
}

/// A verb on a lab.
struct Work<'a> {
    which: Which,
    lab: &'a Lab,
    plan: &'a Plan,
    site: &'a Site,
    settings: &'a Settings,
    cancel: &'a Cancel,
}

impl<'a> Work<'a> {
    fn target(&self) -> Target<'a> {
        Target { lab: self.lab, plan: self.plan, site: self.site }
    }

    /// The clusters that are meant, SLURM's first.
    fn clusters(&self) -> Result<Vec<&'a ClusterPlan>, Failure> {
        let is_meant = |which: Which, cluster: &ClusterPlan| match which {
            Which::Hpc => cluster.slurm.is_some(),
            Which::Cloud => cluster.kubernetes.is_some(),
            Which::System => true,
        };
        let mut found: Vec<&ClusterPlan> =
            self.plan.clusters.iter().filter(|cluster| is_meant(self.which, cluster)).collect();
        found.sort_by_key(|cluster| cluster.slurm.is_none());
        if found.is_empty() {
            let (what, other) = match self.which {
                Which::Cloud => ("Kubernetes", "hpc"),
                Which::Hpc | Which::System => ("SLURM", "cloud"),
            };
            let file = self.lab.file.display();
            let message =
                format!("{file} has no {what} cluster; `ai-how {other}` is for the one that it has");
            return Err(Failure::new(exit::CONFIG, message));
        }
        Ok(found)
    }

    fn scopes(&self) -> Result<Vec<Scope>, Failure> {
        Ok(self.clusters()?.into_iter().map(|cluster| Scope::Cluster(cluster.name.clone())).collect())
    }

    /// Tells what a start of the clusters would change.
    fn would_start(&self, format: Format) -> Result<u8, Failure> {
        cluster::fork_is_there(&self.target())?;
        let mut all = Changes::default();
        for scope in self.scopes()? {
            let changes = changes::find(self.site, self.plan, &scope, self.cancel)?;
            all.networks.extend(changes.networks);
            all.nodes.extend(changes.nodes);
        }
        changes::show(&all, self.site, format == Format::Json)
    }

    /// Starts the clusters one after the other. When a later one fails, those that this started are powered off again, with
    /// their disks kept.
    fn start(&self, how: impl Fn(Scope) -> How, format: Format) -> Result<u8, Failure> {
        let target = self.target();
        let mut started: Vec<Scope> = Vec::new();
        for scope in self.scopes()? {
            let ran = self.runs(&scope)?;
            match cluster::start(&target, &how(scope.clone()), format, self.settings, self.cancel) {
                Ok(exit::OK) => started.extend(Some(scope).filter(|_| !ran)),
                failed => {
                    for scope in started.iter().rev() {
                        let stop = cluster::Stop { dry_run: false, now: false };
                        cluster::stop(
                            &target,
                            slice::from_ref(scope),
                            stop,
                            format,
                            self.settings,
                            self.cancel,
                        )?;
                    }
                    return failed;
                }
            }
        }
        Ok(exit::OK)
    }

    /// Whether a machine of a cluster runs.
    fn runs(&self, scope: &Scope) -> Result<bool, Failure> {
        let nodes = engine::status(self.site, &scope.narrow(self.plan), self.cancel)?;
        Ok(nodes.iter().any(|node| node.state == RUNNING))
    }

    fn status(&self, format: Format) -> Result<u8, Failure> {
        let plan = self.plan;
        let nodes = engine::status(self.site, plan, self.cancel)?;
        let modified = self.modified();
        let shown = |cluster: &ClusterPlan| cluster_json(cluster, &nodes, &modified);
        if self.which != Which::System {
            let clusters: Vec<Value> = self.clusters()?.into_iter().map(shown).collect();
            match (format, clusters.as_slice()) {
                (Format::Text, clusters) => clusters.iter().try_for_each(show)?,
                (Format::Json, [cluster]) => output::json(cluster)?,
                (Format::Json, clusters) => output::json(&clusters)?,
            }
            return Ok(exit::OK);
        }
        let of = |slurm: bool| {
            let is_it = |cluster: &&ClusterPlan| match slurm {
                true => cluster.slurm.is_some(),
                false => cluster.kubernetes.is_some(),
            };
            plan.clusters.iter().find(is_it)
        };
        let absent = |what: &str| json!({"status": "not_configured", "message": format!("{what} cluster not configured")});
        let hpc = of(true).map_or_else(|| absent("HPC"), shown);
        let cloud = of(false).map_or_else(|| absent("Cloud"), shown);
        if format == Format::Text {
            output::text(format_args!("system: {}\n", system_status(&[&hpc, &cloud])))?;
            for cluster in [&hpc, &cloud].into_iter().filter(|cluster| cluster["status"] != "not_configured")
            {
                show(cluster)?;
            }
            return Ok(exit::OK);
        }
        let now = clock::now().to_string();
        let status = json!({
            "system_status": system_status(&[&hpc, &cloud]),
            "hpc_cluster": hpc,
            "cloud_cluster": cloud,
            "shared_resources": {"gpu_allocations": allocations(plan), "last_updated": now},
            "timestamp": now,
        });
        output::json(&status)?;
        Ok(exit::OK)
    }

    /// When the lab was last started or changed.
    fn modified(&self) -> Value {
        let written = fs::metadata(self.site.folder.plan()).and_then(|file| file.modified());
        let time = written.ok().and_then(|time| Timestamp::try_from(time).ok());
        time.map_or(Value::Null, |time| json!(time.to_string()))
    }
}

/// Shows a cluster to a person.
fn show(cluster: &Value) -> Result<(), Failure> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let (name, running, total) =
        (text(&cluster["cluster_name"]), &cluster["running_vms"], &cluster["total_vms"]);
    output::text(format_args!(
        "{name} ({}): {}, {running} of {total} machines run\n",
        text(&cluster["cluster_type"]),
        text(&cluster["status"]),
    ))?;
    let rows: Vec<[String; 6]> = cluster["vms"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|vm| {
            let gpu = vm["gpu_assigned"].as_str().unwrap_or_default().to_owned();
            let (cpus, memory) = (format!("{} CPU", vm["cpu_cores"]), format!("{} GiB", vm["memory_gb"]));
            [text(&vm["name"]), text(&vm["state"]), cpus, memory, text(&vm["ip_address"]), gpu]
        })
        .collect();
    output::text(plan::columns(&rows))
}

/// The state of a machine whose processors run.
const RUNNING: &str = "running";

/// What a machine does, in the words of version 1.0.
pub(super) fn state(status: &str) -> &str {
    match status {
        "off" => "shutoff",
        "shutting down" => "shutdown",
        "absent" => "undefined",
        other => other,
    }
}

/// The first GPU that a node has for itself, as version 1.0 shows it.
pub(super) fn gpu(node: &NodePlan) -> Option<String> {
    let device = node.devices.iter().find(|device| device.kind == DeviceKind::Gpu)?;
    let word = |id: &Option<String>| id.clone().unwrap_or_else(|| "unknown".to_owned());
    Some(format!("{} ({}:{})", device.source, word(&device.vendor_id), word(&device.device_id)))
}

/// A cluster as `system status` of version 1.0 shows it.
fn cluster_json(cluster: &ClusterPlan, all: &[NodeStatus], modified: &Value) -> Value {
    let status = |node: &NodePlan| {
        all.iter()
            .find(|status| status.domain == node.domain)
            .map_or("undefined", |found| state(&found.state))
    };
    let count = |what: &dyn Fn(&NodePlan) -> bool| cluster.nodes.iter().filter(|node| what(node)).count();
    let (total, running) = (cluster.nodes.len(), count(&|node| status(node) == RUNNING));
    let vms: Vec<Value> = cluster
        .nodes
        .iter()
        .map(|node| {
            json!({
                "name": node.domain,
                "state": status(node),
                "cpu_cores": node.cpus,
                "memory_gb": clusters::gib(node.memory_mib),
                "ip_address": node.own_address(),
                "gpu_assigned": gpu(node),
            })
        })
        .collect();
    let overall = match running {
        0 if count(&|node| status(node) != "undefined") == 0 => "not_initialized",
        0 => "stopped",
        running if running == total => RUNNING,
        _ => "partial",
    };
    json!({
        "status": overall,
        "cluster_name": cluster.name,
        "cluster_type": match cluster.kind.as_str() {
            "slurm" => "hpc",
            "kubernetes" => "cloud",
            // Version 1.0 knows no other, so there is no word of its for it.
            kind => kind,
        },
        "total_vms": total,
        "running_vms": running,
        "controller_status": cluster.nodes.iter().find(|node| node.role.serves()).map(status),
        "compute_nodes": count(&|node| node.role == Role::Compute),
        "worker_nodes": count(&|node| node.role == Role::Worker),
        "last_modified": modified,
        "vms": vms,
    })
}

/// All clusters in one word.
fn system_status(clusters: &[&Value]) -> &'static str {
    let configured: Vec<&str> = clusters
        .iter()
        .filter_map(|cluster| cluster["status"].as_str())
        .filter(|status| *status != "not_configured")
        .collect();
    match () {
        () if configured.iter().all(|status| *status == RUNNING) => RUNNING,
        () if configured.iter().all(|status| ["stopped", "not_initialized"].contains(status)) => "stopped",
        () => "mixed",
    }
}

/// The PCI devices of a plan that running machines have, with who has them.
fn allocations(plan: &Plan) -> Map<String, Value> {
    let devices = plan.nodes().flat_map(|(_, node)| &node.devices);
    let pci = devices.filter_map(|device| match &device.source {
        DeviceSource::Pci(address) => Some((address, engine::device_owner(&device.source)?)),
        DeviceSource::Mdev(_) => None,
    });
    pci.map(|(address, owner)| (address.clone(), json!(owner))).collect()
}
