//! `ai-how cluster deploy-kubernetes`: machines that run become Kubernetes clusters.

use std::path::{Path, PathBuf};

use config::model::Role;
use deploy::{KubernetesDeployment, Summary, generated::Reach};
use events::{EventKind, Level, Phase};
use plan::model::ClusterPlan;
use system::{cancel::Cancel, environment};

use crate::{
    bring_up::deploy_failure,
    cli::{Format, Lab},
    exit,
    failure::Failure,
    run::{About, Run},
    running::Running,
    settings::Settings,
};

/// Deploys every Kubernetes cluster of the lab, one after another.
pub(crate) fn deploy(
    lab: &Lab,
    kubespray: Option<&Path>,
    check: bool,
    format: Format,
    settings: &Settings,
    cancel: &Cancel,
) -> Result<u8, Failure> {
    let kubespray = kubespray.map(kubespray_folder).transpose()?;
    let Running { session, plan, verdict, .. } = &Running::find(lab, settings, cancel)?;
    let running = session.running(plan)?;
    let clusters: Vec<&ClusterPlan> =
        plan.clusters.iter().filter(|cluster| cluster.kubernetes.is_some()).collect();
    if clusters.is_empty() {
        let message = format!("there is no Kubernetes cluster in {}", lab.file.display());
        return Err(Failure::new(exit::USAGE, message));
    }
    let about = About { verb: "deploy-kubernetes", plan, file: &lab.file, verdict, format };
    let run = Run::start(&about, settings, session.folder())?;
    let one = |cluster: &ClusterPlan| {
        let (on, off): (Vec<_>, Vec<_>) =
            cluster.nodes.iter().partition(|node| running.contains(&node.label));
        if !on.iter().any(|node| node.role == Role::ControlPlane) {
            let message = format!(
                "the control plane of {} does not run; `ai-how cluster start {}` starts it",
                cluster.name,
                lab.file.display()
            );
            return Err(Failure::new(exit::FAILED, message));
        }
        let off: Vec<String> = off.into_iter().map(|node| node.domain.clone()).collect();
        if !off.is_empty() {
            notice(&run, Level::Warning, format!("left out, because they do not run: {}", off.join(", ")));
        }
        let config = session.ssh_config();
        let deployment = KubernetesDeployment {
            cluster,
            off: &off,
            reach: &Reach::of_lab(cluster, &config.with_file_name("id_ed25519"), Some(&config)),
            enter: &session.enter(),
            folder: run.folder(),
            ansible: &deploy::find_ansible(&settings.cache).map_err(deploy_failure)?,
            slowness: verdict.slowest(),
            kubespray: kubespray.as_deref(),
            kubeconfig: &session.folder().join(format!("{}.kubeconfig", cluster.key)),
            check,
        };
        let summary = deployment.run(run.sink(), cancel).map_err(deploy_failure)?;
        notice(&run, Level::Info, outcome(&deployment, &summary));
        Ok(())
    };
    let result = run.phase(Phase::Deploy, || clusters.into_iter().try_for_each(one));
    run.finish(result)
}

/// What became of the cluster, for a person.
fn outcome(deployment: &KubernetesDeployment<'_>, summary: &Summary) -> String {
    let (name, changed) = (&deployment.cluster.name, summary.changed());
    match deployment.kubespray {
        _ if deployment.check => {
            format!(
                "{name}: {changed} tasks would change something; nothing was changed, and Kubespray did not run"
            )
        }
        None => {
            format!(
                "{name}: {changed} tasks changed something, and the nodes are prepared; `--kubespray DIR` goes on"
            )
        }
        Some(_) => format!("{name}: every node is ready; {} reaches it", deployment.kubeconfig.display()),
    }
}

fn notice(run: &Run, level: Level, message: String) {
    run.sink().emit(EventKind::Notice { level, message });
}

/// The folder as the user gave it, from `/` on: Ansible starts elsewhere.
fn kubespray_folder(given: &Path) -> Result<PathBuf, Failure> {
    let folder = environment::current_directory().unwrap_or_default().join(given);
    if folder.join("cluster.yml").is_file() {
        return Ok(folder);
    }
    let message = format!(
        "{} is no folder of Kubespray: there is no cluster.yml in it. Give the folder of a clone of Kubespray",
        given.display()
    );
    Err(Failure::new(exit::USAGE, message))
}
