//! The deploy of a plan's SLURM clusters.

use std::{collections::BTreeMap, ffi::OsString, path::Path, time::Duration};

use events::Sink;
use plan::Plan;
use system::{cancel::Cancel, clock::Stopwatch, file};

use crate::{
    Error, Installation, inventory,
    lines::Counts,
    munge, playbook,
    run::{Run, scaled},
};

/// Where in the lab's secrets a deploy that has not ended well leaves word for the next one.
const UNFINISHED: &str = "deploy-unfinished";

/// What a deploy needs to know. Paths are absolute.
#[derive(Debug, Clone)]
pub struct Deployment<'a> {
    /// What runs, or should.
    pub plan: &'a Plan,
    /// Labels of its nodes that do not run now.
    pub stopped: &'a [String],
    /// OpenSSH configuration with an entry for each node's label.
    pub ssh_config: &'a Path,
    /// The words that run a command where the nodes can be reached; none when that is here.
    pub enter: Vec<OsString>,
    /// The run's folder. Playbook, inventory and log are left in `ansible/`.
    pub folder: &'a Path,
    /// The folder of the lab's secrets, kept for its life.
    pub secrets: &'a Path,
    /// The Ansible to use.
    pub ansible: &'a Installation,
    /// How many times slower than real hardware the nodes are.
    pub slowness: f64,
}

/// What a deploy did.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// By label.
    pub nodes: BTreeMap<String, NodeSummary>,
    /// How long it took.
    pub seconds: f64,
}

/// What a deploy did on a node, in tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeSummary {
    /// Ended well, changed or not.
    pub ok: u32,
    /// Changed something.
    pub changed: u32,
    /// Did not apply.
    pub skipped: u32,
    /// Failed, or found the node out of reach.
    pub failed: u32,
}

impl Summary {
    /// Changed tasks on all nodes; zero when the nodes were as they should be.
    pub fn changed(&self) -> u32 {
        self.nodes.values().map(|node| node.changed).sum()
    }
}

impl Deployment<'_> {
    /// Deploys, and returns when every cluster takes jobs. A plan without SLURM clusters needs nothing.
    ///
    /// # Errors
    /// A task failed, a node is out of reach, Ansible itself did not work, or somebody asked to stop.
    pub fn run(&self, sink: &dyn Sink, cancel: &Cancel) -> Result<Summary, Error> {
        let watch = Stopwatch::start();
        let hosts = inventory::hosts(self.plan, self.stopped);
        if hosts.is_empty() {
            return Ok(Summary { nodes: BTreeMap::new(), seconds: 0.0 });
        }
        let folder = self.folder.join("ansible");
        file::create_folder(&folder)?;
        playbook::unpack(&folder)?;
        let surroundings = inventory::Surroundings {
            ssh_config: self.ssh_config,
            munge_key: &munge::key(self.secrets)?,
            stopped: self.stopped,
            wait_attempts: scaled(30.0, self.slowness, 600.0) as u32,
        };
        let inventory = folder.join("inventory.yaml");
        file::write(&inventory, inventory::render(self.plan, &surroundings).as_bytes())?;

        let unfinished = self.secrets.join(UNFINISHED);
        let run = Run {
            enter: &self.enter,
            ansible: self.ansible,
            mitogen: true,
            folder: &folder,
            slowness: self.slowness,
            nodes: hosts.len(),
        };
        let mut words: Vec<OsString> = vec!["--inventory".into(), inventory.into()];
        if unfinished.exists() {
            words.extend(["--extra-vars", r#"{"restart_daemons": true}"#].map(OsString::from));
        }
        file::write(&unfinished, b"")?;
        let limit = Duration::from_secs_f64(scaled(300.0, self.slowness, 3600.0));
        let nodes = run.playbook("site.yaml", words, [], limit, sink, cancel)?;
        file::remove_file(&unfinished)?;
        Ok(Summary { nodes, seconds: watch.seconds() })
    }
}

impl From<Counts> for NodeSummary {
    fn from(Counts { ok, changed, skipped, failures, unreachable }: Counts) -> Self {
        Self { ok, changed, skipped, failed: failures + unreachable }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, sync::Mutex};

    use events::{EventKind, TaskStatus};

    use super::*;
    use crate::inventory::tests::plan;

    type Seen = (String, String, TaskStatus);

    /// Keeps node, task and status of each event.
    #[derive(Default)]
    struct Kept(Mutex<Vec<Seen>>);

    impl Sink for Kept {
        fn emit(&self, kind: EventKind) {
            let EventKind::Task { task, node, status, .. } = kind else { panic!("{kind:?}") };
            self.0.lock().unwrap().push((node, task, status));
        }
    }

    /// A lab whose ansible-playbook is a shell script.
    struct Bench {
        folder: tempfile::TempDir,
        ansible: Installation,
    }

    impl Bench {
        fn new(script: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let playbook = folder.path().join("ansible-playbook");
            fs::write(&playbook, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&playbook, fs::Permissions::from_mode(0o755)).unwrap();
            Self { folder, ansible: Installation { playbook, version: "2.19.0".into(), mitogen: None } }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn run(&self, cancel: &Cancel) -> (Result<Summary, Error>, Vec<Seen>) {
            let (plan, sink) = (plan(), Kept::default());
            let deployment = Deployment {
                plan: &plan,
                stopped: &[],
                ssh_config: &self.path("ssh/config"),
                enter: vec![],
                folder: &self.path("run"),
                secrets: &self.path("secrets"),
                ansible: &self.ansible,
                slowness: 1.0,
            };
            let result = deployment.run(&sink, cancel);
            (result, sink.0.into_inner().unwrap())
        }

        fn log(&self) -> String {
            file::read(&self.path("run/ansible/ansible.log")).unwrap()
        }
    }

    fn task(node: &str, status: &str, message: &str) -> String {
        format!(
            r#"printf '\036%s\n' '{{"event": "task", "play": "Nodes", "task": "base : Hosts", "node": "{node}", "status": "{status}", "message": "{message}", "seconds": 0.5}}'"#
        )
    }

    const END: &str = r#"printf '\036%s\n' '{"event": "end", "nodes": {"b-c1": {"ok": 2, "changed": 1, "skipped": 3, "failures": 0, "unreachable": 0}}}'"#;

    #[test]
    fn what_ansible_says_becomes_events_and_a_log() {
        let bench =
            Bench::new(&format!("echo PLAY; echo careful >&2; {}; {END}", task("b-c1", "changed", "")));
        let (result, events) = bench.run(&Cancel::new());
        let summary = result.unwrap();
        assert_eq!(summary.nodes["b-c1"], NodeSummary { ok: 2, changed: 1, skipped: 3, failed: 0 });
        assert_eq!(summary.changed(), 1);
        assert_eq!(events, [("b-c1".into(), "base : Hosts".into(), TaskStatus::Changed)]);
        let log = bench.log();
        assert!(log.contains("PLAY\n") && log.contains("careful\n") && !log.contains('{'), "{log}");
    }

    #[test]
    fn a_failure_names_node_and_task() {
        let bench = Bench::new(&format!(
            "{}; {}; exit 2",
            task("b-c1", "failed", "no"),
            task("b-ctl", "failed", "no")
        ));
        let error = bench.run(&Cancel::new()).0.unwrap_err().to_string();
        assert!(
            error.starts_with("the task `base : Hosts` failed on b-c1: no (and 1 more like it)"),
            "{error}"
        );
    }

    #[test]
    fn a_node_out_of_reach_is_named() {
        let bench = Bench::new(&format!("{}; exit 4", task("b-ctl", "unreachable", "timed out")));
        let error = bench.run(&Cancel::new()).0.unwrap_err();
        assert!(matches!(&error, Error::Unreachable { node, .. } if node == "b-ctl"), "{error}");
    }

    #[test]
    fn ansible_that_dies_in_the_middle_of_a_line_is_not_a_success() {
        let bench = Bench::new(r#"printf '\036{"event": "ta'"#);
        let error = bench.run(&Cancel::new()).0.unwrap_err();
        assert!(matches!(error, Error::Ended { source: None, .. }), "{error}");
        let bench = Bench::new("echo traceback >&2; kill -9 $$");
        let error = bench.run(&Cancel::new()).0.unwrap_err();
        assert!(matches!(error, Error::Ended { source: Some(_), .. }), "{error}");
        assert!(bench.log().contains("traceback"));
    }

    #[test]
    fn a_request_to_stop_ends_it() {
        let cancel = Cancel::new();
        cancel.request();
        let error = Bench::new("sleep 30").run(&cancel).0.unwrap_err();
        assert!(matches!(error, Error::Interrupted), "{error}");
    }

    #[test]
    fn the_deploy_after_an_unfinished_one_restarts_the_daemons() {
        let mut bench = Bench::new("exit 1");
        bench.run(&Cancel::new()).0.unwrap_err();
        fs::write(&bench.ansible.playbook, format!("#!/bin/sh\necho \"$@\"; {END}\n")).unwrap();
        bench.run(&Cancel::new()).0.unwrap();
        assert!(bench.log().contains("restart_daemons"), "{}", bench.log());
        bench.ansible.mitogen = Some("/mitogen".into());
        fs::remove_file(bench.path("run/ansible/ansible.log")).unwrap();
        bench.run(&Cancel::new()).0.unwrap();
        assert!(!bench.log().contains("restart_daemons"), "{}", bench.log());
    }

    #[test]
    fn the_key_is_in_nothing_but_its_file() {
        let bench = Bench::new(END);
        bench.run(&Cancel::new()).0.unwrap();
        let key = fs::read(bench.path("secrets/munge.key")).unwrap();
        let inventory = fs::read(bench.path("run/ansible/inventory.yaml")).unwrap();
        assert!(!inventory.windows(8).any(|part| part == &key[..8]));
    }
}
