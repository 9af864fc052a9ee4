//! What a deploy leaves on a node, told so that it can be kept in a template and go on in copies of it: what it depends
//! on, what must not be kept, what each copy is given, and what it starts.

use std::{path::Path, time::Duration};

use config::model::Role;
use include_dir::Dir;
use plan::{
    Plan,
    model::{ClusterPlan, NodePlan},
};
use sha2::{Digest, Sha256};
use system::file;

use crate::{
    inventory::{self, Surroundings},
    munge,
    playbook::{PLAYBOOK, is_left_behind},
};

/// A file that differs from lab to lab and is in no template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Where it goes on the node.
    pub path: &'static str,
    /// What is in it.
    pub content: Vec<u8>,
    /// User and group it belongs to, who alone may read it.
    pub owner: &'static str,
}

/// What no template keeps of a deployed node: secrets, and what its daemons wrote down. A path that ends with `/` means
/// everything in that folder. Paths that are not there are fine.
pub const FORGOTTEN: &[&str] = &[
    "/etc/munge/munge.key",
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/ssh/ssh_host_ed25519_key.pub",
    "/root/.bash_history",
    "/root/.ssh/",
    "/tmp/",
    "/var/lib/munge/",
    "/var/lib/slurm/slurmctld/",
    "/var/lib/slurm/slurmd/",
    "/var/log/munge/",
    "/var/log/slurm/",
    "/var/tmp/",
];

/// The systemd units that run on a node after a deploy, in the order in which they start; nothing for a node that no role
/// is for.
pub fn services(cluster: &ClusterPlan, node: &NodePlan) -> Option<&'static [&'static str]> {
    match node.role {
        _ if cluster.slurm.is_none() => None,
        Role::Controller => Some(&["munge.service", "slurmctld.service"]),
        Role::Compute => Some(&["munge.service", "slurmd.service"]),
        Role::ControlPlane | Role::Worker | Role::Appliance => None,
    }
}

/// A script for a node that was frozen and whose clock is about to jump over this much time. To SLURM a job that ran has run
/// all the while, so the controller gives each one that much more; nothing for other nodes.
pub fn before_time_passes(cluster: &ClusterPlan, node: &NodePlan) -> Option<fn(Duration) -> String> {
    let is_controller = cluster.slurm.is_some() && node.role == Role::Controller;
    is_controller.then_some(prolong_jobs as fn(Duration) -> String)
}

/// Whether slurmctld runs. Without asking systemd: a program costs an emulated controller a tenth of a second and more.
const RUNS: &str = "[ -e /sys/fs/cgroup/system.slice/slurmctld.service ]";

fn prolong_jobs(gap: Duration) -> String {
    let minutes = gap.as_secs().div_ceil(60);
    format!(
        "{RUNS} || exit 0
for job in $(squeue --noheader --states=RUNNING,SUSPENDED --format=%A); do
    scontrol update JobId=\"$job\" TimeLimit=+{minutes}
done
"
    )
}

/// The lab's secrets that every node needs, from their `folder`; made if there are none.
///
/// # Errors
/// The folder cannot be written to.
pub fn secrets(folder: &Path) -> Result<Vec<Secret>, file::Error> {
    let key = munge::key(folder)?;
    let content = std::fs::read(&key).map_err(file::Error::new("read", &key))?;
    Ok(vec![Secret { path: "/etc/munge/munge.key", content, owner: "munge" }])
}

/// What a deployed node of a cluster depends on beside the machine: which of the roles is its own, the roles, and what they
/// are told of the cluster.
pub fn facts(plan: &Plan, cluster: &ClusterPlan) -> impl Fn(&NodePlan) -> Vec<(&'static str, String)> {
    // The roles are told the same of every cluster in the same plan; the others are none of this one's business. Where
    // things are on this host is not either.
    let alone = Plan { clusters: vec![cluster.clone()], ..plan.clone() };
    let nowhere = Path::new("");
    let surroundings =
        Surroundings { ssh_config: nowhere, munge_key: nowhere, stopped: &[], wait_attempts: 0 };
    let mut roles = Sha256::new();
    walk(&PLAYBOOK, &mut |path, content| {
        roles.update(path);
        roles.update([0]);
        roles.update(content.len().to_le_bytes());
        roles.update(content);
    });
    let roles = hex(&roles.finalize());
    let cluster = hex(&Sha256::digest(inventory::render(&alone, &surroundings)));
    move |node| {
        vec![
            ("role", format!("{:?}", node.role).to_lowercase()),
            ("roles", roles.clone()),
            ("cluster", cluster.clone()),
        ]
    }
}

fn walk(folder: &Dir<'_>, visit: &mut dyn FnMut(&str, &[u8])) {
    for file in folder.files() {
        visit(&file.path().to_string_lossy(), file.contents());
    }
    let belongs = |folder: &&Dir<'_>| !is_left_behind(folder.path());
    folder.dirs().filter(belongs).for_each(|folder| walk(folder, visit));
}

fn hex(digest: &[u8]) -> String {
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether somebody listens to SLURM's own port, 6817.
const LISTENS: &str = "[[ $(</proc/net/tcp)$(</proc/net/tcp6) == *:1A[Aa]1\\ * ]]";

/// A script for the controller of a cluster that ends well as soon as every one of the `computes` has registered and takes
/// jobs. It asks until `limit` has passed: twice a second in a small cluster, and less often where many nodes have more to
/// do than to be asked for.
pub fn wait_script(computes: &[&str], limit: Duration) -> String {
    let question = if computes.is_empty() {
        "scontrol ping".to_owned()
    } else {
        // slurmctld itself is asked, since sinfo does not know nodes that are in no partition.
        format!("scontrol show --oneliner node {}", computes.join(","))
    };
    let (seconds, pause) = (limit.as_secs(), 0.3 + computes.len() as f64 / 8.0);
    // A program costs an emulated controller a tenth to a quarter of a second: bash asks, looks and waits by itself.
    format!(
        r#"exec bash -c '
exec {{never}}<> <(:)
said="slurmctld does not listen"
while ((SECONDS < {seconds})); do
    if {LISTENS} && said=$({question} 2>&1); then
        [[ $said =~ \ State=[^\ ]*(UNKNOWN|NOT_RESPONDING|DOWN|DRAIN|INVAL|FAIL) ]] || exit 0
    fi
    read -rt {pause:.1} -u $never
done
echo "$said" >&2
exit 1'
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::tests::plan;

    #[test]
    fn facts_change_with_the_cluster_and_not_with_another() {
        let plan = plan();
        let of = |plan: &Plan, cluster: usize, node: usize| {
            facts(plan, &plan.clusters[cluster])(&plan.clusters[cluster].nodes[node])
        };
        let before = of(&plan, 0, 1);
        assert_ne!(before, of(&plan, 0, 0), "a controller is no compute node");
        assert_eq!(before, of(&plan, 0, 2), "compute nodes of a cluster are deployed alike");

        let mut other = plan.clone();
        other.clusters[1].nodes[1].memory_mib += 1;
        other.id = "another".into();
        assert_eq!(before, of(&other, 0, 1));
        let mut changed = plan;
        changed.clusters[0].nodes[2].name.push('x');
        assert_ne!(before, of(&changed, 0, 1));
    }

    #[test]
    fn every_lab_has_a_key_of_its_own_and_no_template_has_one() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_eq!(secrets(a.path()).unwrap(), secrets(a.path()).unwrap());
        assert_ne!(secrets(a.path()).unwrap(), secrets(b.path()).unwrap());
        for secret in secrets(a.path()).unwrap() {
            assert!(FORGOTTEN.contains(&secret.path), "{}", secret.path);
        }
    }

    #[test]
    fn only_slurm_is_kept() {
        let plan = plan();
        let of = |cluster: usize, node: usize| {
            services(&plan.clusters[cluster], &plan.clusters[cluster].nodes[node])
        };
        assert!(of(0, 0).unwrap().contains(&"slurmctld.service"));
        assert!(of(0, 1).unwrap().contains(&"slurmd.service"));
        assert_eq!(of(2, 0), None);
    }

    #[test]
    fn every_job_that_runs_is_given_the_time_that_passed() {
        let plan = plan();
        let of = |node: usize| before_time_passes(&plan.clusters[0], &plan.clusters[0].nodes[node]);
        assert!(of(1).is_none(), "a compute node has no jobs of its own");
        let folder = tempfile::tempdir().unwrap();
        let program = |name: &str, script: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        };
        let told = folder.path().join("told");
        program("squeue", "printf '7\\n12\\n'");
        program("scontrol", &format!("echo \"$*\" >>{}", told.display()));
        let run = |runs: &str| {
            let script = of(0).unwrap()(Duration::from_secs(3661)).replace(RUNS, runs);
            let path = format!("{}:/usr/bin:/bin", folder.path().display());
            system::process::Command::new("sh").args(["-c", &script]).env("PATH", path).output().unwrap()
        };
        assert_eq!(run("true").code, 0);
        let asked = std::fs::read_to_string(&told).unwrap();
        assert_eq!(asked, "update JobId=7 TimeLimit=+62\nupdate JobId=12 TimeLimit=+62\n");
        // Where no slurmctld runs there is nobody to tell.
        std::fs::remove_file(&told).unwrap();
        assert_eq!((run("false").code, told.exists()), (0, false));
    }

    /// The script, with a scontrol that says this.
    fn wait(said: &str, status: i32) -> Option<i32> {
        let folder = tempfile::tempdir().unwrap();
        let scontrol = folder.path().join("scontrol");
        std::fs::write(&scontrol, format!("#!/bin/sh\necho '{said}'\nexit {status}\n")).unwrap();
        std::fs::set_permissions(&scontrol, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let script = wait_script(&["c1", "c2"], Duration::from_secs(1)).replace(LISTENS, "true");
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let output = system::process::Command::new("sh").args(["-c", &script]).env("PATH", path).output();
        Some(output.unwrap().code)
    }

    #[test]
    fn waiting_ends_when_every_node_takes_jobs() {
        assert_eq!(wait("NodeName=c1 State=IDLE \nNodeName=c2 State=MIXED ", 0), Some(0));
        assert_eq!(wait("NodeName=c1 State=IDLE \nNodeName=c2 State=UNKNOWN+NOT_RESPONDING ", 0), Some(1));
        assert_eq!(wait("NodeName=c1 State=IDLE+DRAIN \nNodeName=c2 State=IDLE ", 0), Some(1));
        assert_eq!(wait("slurm_load_node error: Unable to contact slurm controller", 1), Some(1));
    }
}
