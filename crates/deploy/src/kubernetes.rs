//! The deploy of one Kubernetes cluster: its nodes are prepared by our roles, and Kubespray, from a folder of the user's,
//! makes a cluster of them.
//!
//! ```text
//! run's folder ── ansible/ ── kubernetes.yaml, roles (ours)
//!                      └───── inventory/<cluster>/ ── hosts.yaml, group_vars/ (Kubespray's)
//! ```

use std::{collections::BTreeMap, ffi::OsString, path::Path, time::Duration};

use events::Sink;
use plan::model::ClusterPlan;
use serde_json::json;
use system::{cancel::Cancel, clock::Stopwatch, file};

use crate::{
    Error, Installation, Summary,
    generated::{self, Reach},
    playbook,
    run::{Run, scaled},
};

/// What a deploy of a Kubernetes cluster needs to know. Paths are absolute.
#[derive(Debug, Clone)]
pub struct KubernetesDeployment<'a> {
    /// The cluster.
    pub cluster: &'a ClusterPlan,
    /// Libvirt's names of its nodes that do not run now.
    pub off: &'a [String],
    /// How its nodes are reached.
    pub reach: &'a Reach,
    /// The words that run a command where the nodes can be reached; none when that is here.
    pub enter: &'a [OsString],
    /// The run's folder.
    pub folder: &'a Path,
    /// The Ansible to use.
    pub ansible: &'a Installation,
    /// How many times slower than real hardware the nodes are.
    pub slowness: f64,
    /// The folder with Kubespray's `cluster.yml`; without it the nodes are prepared and nothing more.
    pub kubespray: Option<&'a Path>,
    /// Where the way into the cluster goes, readable by its owner alone.
    pub kubeconfig: &'a Path,
    /// Changes nothing, and tells what would be changed. Kubespray is left out, which cannot tell.
    pub check: bool,
}

impl KubernetesDeployment<'_> {
    /// Deploys, and returns when every node is ready, or prepared where Kubespray is left out.
    ///
    /// # Errors
    /// A task failed, a node is out of reach, Ansible itself did not work, or somebody asked to stop.
    pub fn run(&self, sink: &dyn Sink, cancel: &Cancel) -> Result<Summary, Error> {
        let watch = Stopwatch::start();
        let folder = self.folder.join("ansible");
        file::create_folder(&folder)?;
        playbook::unpack(&folder)?;
        let (inventory, nodes) = self.write(&folder)?;
        let kubespray = self.kubespray.filter(|_| !self.check);
        let run = Run {
            enter: self.enter,
            ansible: self.ansible,
            // Kubespray's tasks are not made for it.
            mitogen: kubespray.is_none(),
            folder: &folder,
            slowness: self.slowness,
            nodes,
        };
        let mut words: Vec<OsString> = vec!["--inventory".into(), inventory];
        words.extend(["--extra-vars".into(), self.variables().into()]);
        if self.check {
            words.push("--check".into());
        }
        let limit = match kubespray {
            None => scaled(300.0, self.slowness, 3600.0),
            Some(_) => scaled(3600.0, self.slowness, 24.0 * 3600.0),
        };
        let settings = self.settings(&folder, kubespray);
        let limit = Duration::from_secs_f64(limit);
        let nodes = run.playbook("kubernetes.yaml", words, settings, limit, sink, cancel)?;
        Ok(Summary { nodes, seconds: watch.seconds() })
    }

    /// Writes the inventory and what belongs to it; its path, and the number of its nodes.
    fn write(&self, folder: &Path) -> Result<(OsString, usize), Error> {
        let folder = folder.join("inventory").join(&self.cluster.key);
        let inventory = generated::kubernetes(self.cluster, self.off, self.reach);
        let hosts = folder.join("hosts.yaml");
        let files = generated::kubespray_variables(self.cluster).into_iter();
        let files = files.map(|(name, text)| (folder.join(name), text));
        for (path, text) in files.chain([(hosts.clone(), inventory.yaml())]) {
            path.parent().map_or(Ok(()), file::create_folder)?;
            file::write(&path, text.as_bytes())?;
        }
        Ok((hosts.into(), inventory.hosts().count()))
    }

    /// What is no matter of the cluster.
    fn variables(&self) -> String {
        let mut variables = BTreeMap::from([("kubeconfig_file", json!(self.kubeconfig))]);
        variables.extend(self.kubespray.map(|folder| ("kubespray_folder", json!(folder))));
        json!(variables).to_string()
    }

    fn settings(&self, ours: &Path, kubespray: Option<&Path>) -> Vec<(&'static str, OsString)> {
        // Connections are shared as the lab's configuration says. Ansible's own sockets would be below the run's folder,
        // where a path is soon too long for one.
        let mut settings = vec![("ANSIBLE_SSH_ARGS", OsString::from(&self.reach.arguments))];
        // Kubespray finds its roles and modules by a configuration of its own, and one run of Ansible has one.
        if let Some(kubespray) = kubespray {
            for (variable, name) in [("ANSIBLE_ROLES_PATH", "roles"), ("ANSIBLE_LIBRARY", "library")] {
                let mut places = ours.join(name).into_os_string();
                places.push(":");
                places.push(kubespray.join(name));
                settings.push((variable, places));
            }
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use events::Silent;

    use super::*;
    use crate::inventory::tests::plan;

    /// What ansible-playbook is told, by one that only says so.
    fn told(kubespray: Option<&Path>, check: bool) -> String {
        let folder = tempfile::tempdir().unwrap();
        let playbook = folder.path().join("ansible-playbook");
        let end = r#"printf '\036%s\n' '{"event": "end", "nodes": {}}'"#;
        fs::write(&playbook, format!("#!/bin/sh\nenv\necho \"$@\"\n{end}\n")).unwrap();
        fs::set_permissions(&playbook, fs::Permissions::from_mode(0o755)).unwrap();
        let mitogen = Some("/mitogen".into());
        let plan = plan();
        let deployment = KubernetesDeployment {
            cluster: &plan.clusters[2],
            off: &[],
            reach: &Reach { user: "root".into(), key: "/key".into(), arguments: "-F /config".into() },
            enter: &[],
            folder: folder.path(),
            ansible: &Installation { playbook, version: "2.19.0".into(), mitogen },
            slowness: 1.0,
            kubespray,
            kubeconfig: Path::new("/lab/cloud.kubeconfig"),
            check,
        };
        deployment.run(&Silent, &Cancel::new()).unwrap();
        assert!(folder.path().join("ansible/inventory/cloud/hosts.yaml").is_file());
        fs::read_to_string(folder.path().join("ansible/ansible.log")).unwrap()
    }

    #[test]
    fn mitogen_is_for_our_roles_alone() {
        let ours = told(None, false);
        assert!(
            ours.contains("ANSIBLE_STRATEGY=mitogen_linear") && !ours.contains("kubespray_folder"),
            "{ours}"
        );
        assert!(ours.contains("ANSIBLE_SSH_ARGS=-F /config") && !ours.contains("ANSIBLE_LIBRARY"), "{ours}");
        let whole = told(Some(Path::new("/kubespray")), false);
        assert!(!whole.contains("mitogen"), "{whole}");
        for words in ["ansible/roles:/kubespray/roles\n", "ansible/library:/kubespray/library\n"] {
            assert!(whole.contains(words), "{words} is missing in {whole}");
        }
        let variables = r#"{"kubeconfig_file":"/lab/cloud.kubeconfig","kubespray_folder":"/kubespray"}"#;
        assert!(whole.contains(variables), "{whole}");
    }

    #[test]
    fn a_check_is_one_for_ansible_too() {
        let check = told(Some(Path::new("/kubespray")), true);
        assert!(check.contains(" --check") && check.contains("mitogen"), "{check}");
        assert!(!told(None, false).contains("--check"));
    }
}
