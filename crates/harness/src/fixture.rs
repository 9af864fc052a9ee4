//! A cluster of three, two suites and a shell that runs on this host, for the tests of this crate.

use std::{
    net::Ipv4Addr,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use config::hardware::Hardware;
use config::model::{Arch, Image, Partition, Role, Slurm};
use events::{EventKind, Sink};
use plan::model::{ClusterPlan, InterfacePlan, NetworkPlan, NodePlan};
use system::{
    cancel::Cancel,
    process::{self, Command, Output},
};
use uuid::Uuid;

use crate::{
    Suites,
    forks::{self, Fork, Forks},
    run::Target,
    shell::{Error, Shell},
};

const ONE: &str = "\
name: one
description: The first
kinds: [slurm]
checks:
  - {name: hostname, description: It knows its name, on: each, timeout: 5, run: 'echo $NODE', expect: {stdout: {equals: '${NODE}'}}}
  - {name: needy, description: It needs another, on: each, timeout: 5, needs: [hostname], run: 'true'}
  - {name: pair, description: It needs two, on: controller, timeout: 5, needs: [two-computes], run: 'true'}
  - {name: shared, description: Both have it, on: each, timeout: 5, run: 'true'}
";

const TWO: &str = "\
name: two
description: The second
kinds: [slurm, kubernetes]
alone: true
checks:
  - {name: shared, description: Both have it, on: each, timeout: 5, alone: false, run: 'true'}
  - {name: alone, description: It wants to be alone, on: controller, timeout: 5, run: 'true'}
";

/// Suites from their text, each with the text of its sabotages.
pub(crate) fn suites_from(texts: &[(&str, &str, &str)]) -> Suites {
    let folder = tempfile::tempdir().unwrap();
    for (name, suite, sabotage) in texts {
        let path = folder.path().join(name);
        system::file::create_folder(&path).unwrap();
        system::file::write(&path.join("suite.yaml"), suite.as_bytes()).unwrap();
        if !sabotage.is_empty() {
            system::file::write(&path.join("sabotage.yaml"), sabotage.as_bytes()).unwrap();
        }
    }
    Suites::read(folder.path()).unwrap()
}

/// Two small suites.
pub(crate) fn suites() -> Suites {
    suites_from(&[("one", ONE, ""), ("two", TWO, "")])
}

/// A controller and two compute nodes.
pub(crate) fn cluster() -> ClusterPlan {
    let node = |name: &str, role, last: u8| NodePlan {
        name: name.to_owned(),
        label: name.to_owned(),
        domain: format!("lab-{name}"),
        uuid: Uuid::from_u128(last.into()),
        role,
        arch: Arch::default(),
        cpus: 1,
        memory_mib: 768,
        disk_gib: 4,
        image: Image::Built("debian-13".to_owned()),
        append: String::new(),
        uefi: false,
        interfaces: vec![InterfacePlan {
            network: "lab-default".to_owned(),
            mac: format!("52:54:00:00:00:{last:02x}"),
            address: Ipv4Addr::new(10, 1, 0, last),
        }],
        auto_start: true,
        hardware: Hardware::default(),
        first_cpu: None,
        devices: Vec::new(),
        mounts: Vec::new(),
        disk: String::new(),
        console: String::new(),
        ready: String::new(),
    };
    ClusterPlan {
        key: "lab".to_owned(),
        name: "lab".to_owned(),
        kind: "slurm".to_owned(),
        kubernetes: None,
        slurm: Some(Slurm {
            partitions: vec![Partition {
                name: "compute".to_owned(),
                nodes: vec!["compute-01".to_owned(), "compute-02".to_owned()],
                max_time: "01:00:00".to_owned(),
            }],
            default_partition: "compute".to_owned(),
        }),
        networks: vec![NetworkPlan {
            key: "default".to_owned(),
            name: "lab-default".to_owned(),
            uuid: Uuid::nil(),
            bridge: "ah-lab".to_owned(),
            domain: "lab.test".to_owned(),
            subnet: "10.1.0.0/24".parse().unwrap(),
            gateway: Ipv4Addr::new(10, 1, 0, 1),
            dhcp_start: Ipv4Addr::new(10, 1, 0, 100),
            dhcp_end: Ipv4Addr::new(10, 1, 0, 200),
            dns_servers: Vec::new(),
        }],
        nodes: vec![
            node("controller", Role::Controller, 10),
            node("compute-01", Role::Compute, 11),
            node("compute-02", Role::Compute, 12),
        ],
    }
}

/// Two appliances, the second of which has a model.
pub(crate) fn prompts() -> ClusterPlan {
    let cluster = cluster();
    let node = |name: &str, model: Option<&str>, append: &str| NodePlan {
        name: name.to_owned(),
        label: name.to_owned(),
        domain: format!("prompts-{name}"),
        role: Role::Appliance,
        disk_gib: 0,
        image: Image::Appliance(model.map(str::to_owned)),
        append: append.to_owned(),
        interfaces: Vec::new(),
        ..cluster.nodes[0].clone()
    };
    let nodes =
        vec![node("prompt-01", None, ""), node("prompt-02", Some("/m.gguf"), "zosia.llama_threads=2")];
    ClusterPlan { nodes, ..ClusterPlan::of_appliances("prompts") }
}

/// Remembers events.
#[derive(Debug, Default)]
pub(crate) struct Notebook(Mutex<Vec<EventKind>>);

impl Sink for Notebook {
    fn emit(&self, kind: EventKind) {
        self.0.lock().unwrap().push(kind);
    }
}

impl Notebook {
    pub(crate) fn events(&self) -> Vec<EventKind> {
        self.0.lock().unwrap().clone()
    }
}

/// Runs scripts with the bash of this host, except where it is told to fail.
#[derive(Default)]
pub(crate) struct Here {
    /// Nodes that cannot be reached.
    pub(crate) unreachable: Vec<&'static str>,
    /// Put before every script, for instance a function that replaces a program.
    pub(crate) before: String,
    /// Requests a stop after so many sessions.
    pub(crate) stop_after: Option<usize>,
    /// How many sessions there were.
    pub(crate) sessions: AtomicUsize,
}

impl Shell for Here {
    fn run(&self, node: &str, script: &str, deadline: Duration, cancel: &Cancel) -> Result<Output, Error> {
        let count = self.sessions.fetch_add(1, Ordering::SeqCst) + 1;
        if self.unreachable.contains(&node) {
            return Err(Error::Unreachable { node: node.to_owned(), reason: "no route to host".to_owned() });
        }
        if self.stop_after.is_some_and(|limit| count > limit) {
            cancel.request();
        }
        let script = format!("{}\n{script}", self.before);
        match Command::new("bash").input(script).deadline(deadline).cancel(cancel).output() {
            Ok(output) => Ok(output),
            Err(process::Error::TimedOut { limit, .. }) => {
                Err(Error::TimedOut { node: node.to_owned(), limit })
            }
            Err(process::Error::Cancelled { .. }) => Err(Error::Cancelled),
            Err(error) => panic!("{error}"),
        }
    }
}

/// These clusters, which cannot be forked.
pub(crate) fn target<'a>(clusters: &'a [ClusterPlan], shell: &'a Here) -> Target<'a> {
    Target { clusters, shell, forks: None, fork: "" }
}

/// Forks that are this host too, each with the variable `FLAG` for a file of its own.
pub(crate) struct Copies {
    folder: tempfile::TempDir,
    /// Whether `FLAG` is one folder for all of them instead.
    shared: bool,
    /// How many may be made in all.
    pub(crate) most: usize,
    /// A cluster that they lack.
    lacking: &'static str,
    /// How many were made.
    pub(crate) made: AtomicUsize,
    /// How many are there at the moment.
    pub(crate) there: AtomicUsize,
}

pub(crate) struct OneCopy<'a>(String, Here, &'a Copies);

impl Copies {
    pub(crate) fn new(most: usize) -> Self {
        let (made, there) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { folder: tempfile::tempdir().unwrap(), shared: false, most, lacking: "", made, there }
    }

    /// Forks that lack this cluster.
    pub(crate) fn without(lacking: &'static str) -> Self {
        Self { lacking, ..Self::new(usize::MAX) }
    }

    /// Forks that see each other's files in `FLAG`.
    pub(crate) fn sharing() -> Self {
        Self { shared: true, ..Self::new(usize::MAX) }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Forks for Copies {
    fn lacks(&self, cluster: &ClusterPlan) -> Option<String> {
        (cluster.name == self.lacking).then(|| "it keeps nothing".to_owned())
    }

    fn room(&self) -> usize {
        2
    }

    fn fork(&self, count: usize) -> Result<Vec<Box<dyn Fork + '_>>, forks::Error> {
        let one = |_| {
            let number = self.made.fetch_add(1, Ordering::SeqCst) + 1;
            if number > self.most {
                return Err(forks::Error::Impossible { reason: "no room".to_owned() });
            }
            self.there.fetch_add(1, Ordering::SeqCst);
            let own = if self.shared { String::new() } else { format!("/{number}") };
            let before = format!("FLAG={}{own}", self.folder.path().display());
            let shell = Here { before, ..Here::default() };
            Ok(Box::new(OneCopy(format!("copy-{number}"), shell, self)) as Box<dyn Fork>)
        };
        (0..count).map(one).collect()
    }
}

impl Fork for OneCopy<'_> {
    fn name(&self) -> &str {
        &self.0
    }

    fn shell(&self) -> &dyn Shell {
        &self.1
    }
}

impl Drop for OneCopy<'_> {
    fn drop(&mut self) {
        self.2.there.fetch_sub(1, Ordering::SeqCst);
    }
}
