//! From a plan to clusters that take jobs: machines first, then SLURM on them.
//!
//! ```text
//! kept before ──> copies of deployed templates ──────────────> wait for the nodes
//! otherwise   ──> machines ──> Ansible ──> keep as templates
//! ```
//!
//! What a cluster was deployed with is written down beside the lab's secrets, so a later start knows whether the disks it
//! finds are deployed already.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use config::model::Role;
use deploy::{
    Deployment, Installation,
    kept::{self, FORGOTTEN},
};
use engine::{Deployed, Scope, Session, Start, Started};
use events::{EventKind, Level, Phase};
use guest::agent::OwnFile;
use image::Base;
use lab::accelerator::Verdict;
use plan::{Plan, model::ClusterPlan};
use system::{cancel::Cancel, file};

use crate::{exit, failure::Failure, run::Run, settings::Settings};

/// How long SLURM may take to know all nodes on a host with KVM; multiplied with the host's slowness.
const WAIT_LIMIT: Duration = Duration::from_secs(15);

/// A lab that is brought up.
pub(crate) struct BringUp<'a> {
    /// What it is to be.
    pub(crate) plan: &'a Plan,
    /// Which part of it is brought up.
    pub(crate) scope: &'a Scope,
    /// Whether nodes may lose their disks.
    pub(crate) force: bool,
    /// Whether its nodes are made anew.
    pub(crate) rebuild: bool,
    /// Whether nodes that boot are waited for.
    pub(crate) wait: bool,
    /// How machines run here.
    pub(crate) verdict: &'a Verdict,
    /// Who hears of it.
    pub(crate) run: &'a Run,
    /// Folders.
    pub(crate) settings: &'a Settings,
    /// Whether to leave templates alone.
    pub(crate) cold: bool,
    /// Whether somebody wants to stop.
    pub(crate) cancel: &'a Cancel,
}

/// What the nodes of a plan are after a deployment, by domain. Without the folder of the lab's `secrets` they are left out,
/// which is enough to compare.
pub(crate) fn deployed(plan: &Plan, secrets: Option<&Path>) -> Result<BTreeMap<String, Deployed>, Failure> {
    let own = |secret: kept::Secret| OwnFile {
        path: secret.path.to_owned(),
        content: secret.content,
        mode: 0o400,
        owner: Some(secret.owner.to_owned()),
    };
    let secrets = secrets.map(kept::secrets).transpose()?.unwrap_or_default();
    let secrets: Vec<OwnFile> = secrets.into_iter().map(own).collect();
    let mut all = BTreeMap::new();
    for cluster in &plan.clusters {
        let facts = kept::facts(plan, cluster);
        for node in &cluster.nodes {
            let Some(services) = kept::services(cluster, node) else { continue };
            let deployed = Deployed {
                facts: facts(node),
                secrets: secrets.clone(),
                services: services.iter().map(|service| (*service).to_owned()).collect(),
                before_time_passes: kept::before_time_passes(cluster, node),
                forgotten: FORGOTTEN,
            };
            all.insert(node.domain.clone(), deployed);
        }
    }
    Ok(all)
}

impl BringUp<'_> {
    /// Starts the machines, as a deployment left them where that was kept and `slurm` asks for it.
    pub(crate) fn boot(
        &self,
        session: &Session,
        images: &BTreeMap<String, Base>,
        slurm: bool,
    ) -> Result<Started, Failure> {
        let record = self.run.folder().join("xml");
        let deployed = if slurm { deployed(self.plan, Some(&session.secrets()))? } else { BTreeMap::new() };
        let start = self.start(images, &deployed, Some(&record));
        Ok(session.start(&start, self.run.sink(), self.cancel)?)
    }

    /// Makes every cluster of `scope` take jobs, as a phase of the run: those that do not yet are deployed with the Ansible
    /// that `ansible` finds, and kept as templates.
    pub(crate) fn deploy(
        &self,
        session: &Session,
        scope: &Scope,
        images: &BTreeMap<String, Base>,
        started: &Started,
        ansible: impl FnOnce() -> Result<Installation, Failure>,
    ) -> Result<(), Failure> {
        self.run.phase(Phase::Deploy, || {
            let mut record = Record::read(session)?;
            let mut left = BTreeSet::new();
            let clusters = self.clusters(session)?.into_iter();
            for cluster in clusters.filter(|cluster| scope.has_shared_of(&cluster.name)) {
                let name = &cluster.name;
                let fresh = cluster.nodes.iter().any(|node| started.fresh.contains(&node.domain));
                let stands = started.deployed.contains(name) || (!fresh && record.says(self.plan, cluster));
                if !(stands && self.registered(session, cluster)?) {
                    left.insert(name.clone());
                } else if started.deployed.contains(name) {
                    self.notice(
                        Level::Info,
                        format!("{name} goes on as it was deployed before, without Ansible"),
                    );
                    record.set(self.plan, cluster)?;
                }
            }
            if left.is_empty() {
                return Ok(());
            }
            self.with_ansible(session, &left, &ansible()?)?;
            // Nodes that somebody has worked with are nobody else's to begin with.
            let untouched = |name: &String| {
                let mut nodes = self.plan.clusters.iter().filter(|cluster| cluster.name == *name);
                nodes.all(|cluster| {
                    cluster.nodes.iter().all(|node| !node.auto_start || started.fresh.contains(&node.domain))
                })
            };
            left.retain(untouched);
            let deployed = deployed(self.plan, Some(&session.secrets()))?;
            let start = self.start(images, &deployed, None);
            Ok(session.keep_deployed(&start, &left, self.run.sink(), self.cancel)?)
        })
    }

    /// Deploys these clusters with Ansible, whatever they are now.
    pub(crate) fn with_ansible(
        &self,
        session: &Session,
        clusters: &BTreeSet<String>,
        ansible: &Installation,
    ) -> Result<(), Failure> {
        let mut record = Record::read(session)?;
        let mut plan = self.plan.clone();
        plan.clusters.retain(|cluster| clusters.contains(&cluster.name));
        for cluster in &plan.clusters {
            record.unset(cluster)?;
        }
        let running = session.running(&plan)?;
        let stopped: Vec<String> = plan
            .nodes()
            .map(|(_, node)| node.label.clone())
            .filter(|label| !running.contains(label))
            .collect();
        let deployment = Deployment {
            plan: &plan,
            stopped: &stopped,
            ssh_config: &session.ssh_config(),
            enter: session.enter(),
            folder: self.run.folder(),
            secrets: &session.secrets(),
            ansible,
            slowness: self.verdict.slowest(),
        };
        deployment.run(self.run.sink(), self.cancel).map_err(deploy_failure)?;
        plan.clusters.iter().try_for_each(|cluster| record.set(self.plan, cluster))
    }

    /// The SLURM clusters whose controller runs and that are ours to deploy. Of the others one line says why.
    pub(crate) fn clusters(&self, session: &Session) -> Result<Vec<&ClusterPlan>, Failure> {
        let running = session.running(self.plan)?;
        let controlled = |cluster: &&ClusterPlan| {
            let mut controllers = cluster.nodes.iter().filter(|node| node.role == Role::Controller);
            cluster.slurm.is_some() && controllers.any(|node| running.contains(&node.label))
        };
        let mut clusters = Vec::new();
        for cluster in self.plan.clusters.iter().filter(controlled) {
            match cluster.undeployable() {
                None => clusters.push(cluster),
                Some(why) => {
                    let message = format!("SLURM is not deployed on {}, because {why}", cluster.name);
                    self.notice(Level::Info, message);
                }
            }
        }
        Ok(clusters)
    }

    /// Waits until a cluster's controller knows every compute node that runs. `false` when it does not get there.
    fn registered(&self, session: &Session, cluster: &ClusterPlan) -> Result<bool, Failure> {
        let running = session.running(self.plan)?;
        let nodes = cluster.nodes.iter().filter(|node| running.contains(&node.label));
        let (controllers, computes): (Vec<_>, Vec<_>) = nodes.partition(|node| node.role == Role::Controller);
        let Some(controller) = controllers.first() else { return Ok(true) };
        let computes: Vec<&str> = computes.iter().map(|node| node.name.as_str()).collect();
        let limit = WAIT_LIMIT.mul_f64(self.verdict.slowest());
        let script = kept::wait_script(&computes, limit);
        let why = match session.run(controller, &script, limit * 2, self.cancel) {
            Ok(output) if output.code == 0 => return Ok(true),
            Ok(output) => output.stderr.trim().to_owned(),
            Err(error) if error.is_interruption() => return Err(error.into()),
            Err(error) => error.to_string(),
        };
        let message = format!("{} does not take jobs by itself ({why}); it is deployed", cluster.name);
        self.notice(Level::Warning, message);
        Ok(false)
    }

    fn start<'b>(
        &'b self,
        images: &'b BTreeMap<String, Base>,
        deployed: &'b BTreeMap<String, Deployed>,
        record: Option<&'b Path>,
    ) -> Start<'b> {
        Start {
            plan: self.plan,
            images,
            verdict: self.verdict,
            templates: (!self.cold).then_some(&self.settings.templates),
            deployed,
            record,
            scope: self.scope,
            force: self.force,
            rebuild: self.rebuild,
            wait: self.wait,
        }
    }

    fn notice(&self, level: Level, message: String) {
        self.run.sink().emit(EventKind::Notice { level, message });
    }
}

/// Says why a deploy failed, with the status to end with.
pub(crate) fn deploy_failure(error: deploy::Error) -> Failure {
    let code = match &error {
        deploy::Error::AnsibleMissing { .. } | deploy::Error::AnsibleTooOld { .. } => exit::ENVIRONMENT,
        deploy::Error::Interrupted => exit::INTERRUPTED,
        _ => exit::FAILED,
    };
    Failure::new(code, error)
}

/// What each cluster of a lab was deployed with, by name.
struct Record {
    path: PathBuf,
    clusters: BTreeMap<String, String>,
}

impl Record {
    fn read(session: &Session) -> Result<Self, Failure> {
        let path = session.deployed_record();
        // One that is not there or not readable only means another deploy.
        let clusters = file::read(&path).ok().and_then(|text| serde_json::from_str(&text).ok());
        Ok(Self { path, clusters: clusters.unwrap_or_default() })
    }

    fn says(&self, plan: &Plan, cluster: &ClusterPlan) -> bool {
        self.clusters.get(&cluster.name) == Some(&fingerprint(plan, cluster))
    }

    fn set(&mut self, plan: &Plan, cluster: &ClusterPlan) -> Result<(), Failure> {
        self.clusters.insert(cluster.name.clone(), fingerprint(plan, cluster));
        self.write()
    }

    fn unset(&mut self, cluster: &ClusterPlan) -> Result<(), Failure> {
        self.clusters.remove(&cluster.name);
        self.write()
    }

    fn write(&self) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(&self.clusters).map_err(Failure::environment)?;
        Ok(file::write(&self.path, &text)?)
    }
}

/// Everything that the deployment of a cluster depends on.
fn fingerprint(plan: &Plan, cluster: &ClusterPlan) -> String {
    let facts = cluster.nodes.first().map(kept::facts(plan, cluster)).unwrap_or_default();
    facts.into_iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}
