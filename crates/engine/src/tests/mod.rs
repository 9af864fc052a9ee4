//! The engine over a hypervisor that is none: what goes wrong, what changes, and who is killed.

mod appliances;
mod changes;
mod faults;
mod kills;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use config::hardware::Hardware;
use config::model::{
    Arch, Cluster, ClusterKind, Image as ImageName, Interface, Lab, Network, Node, Partition, Role, Slurm,
};
use events::Silent;
use image::{Base, Image, Manifest};
use lab::{DomainState, Folder, Hypervisor, accelerator::Verdict, fake::Fake};
use plan::Plan;
use render::{Accelerator, Mark};
use system::{cancel::Cancel, process::Command};

use crate::{Error, Place, Scope, Session, Site, Start};

/// A controller and two compute nodes.
pub(super) fn plan() -> Plan {
    let node = |name: &str, role, last: u8| Node {
        name: name.into(),
        domain: format!("hpc-{name}"),
        role,
        arch: Arch::default(),
        cpus: 1,
        memory_mib: 64,
        disk_gib: 2,
        image: ImageName::Built("debian-13".into()),
        append: String::new(),
        interfaces: vec![Interface { network: "lan".into(), address: [127, 9, 8, last].into() }],
        auto_start: true,
        hardware: Hardware::default(),
        devices: Vec::new(),
        mounts: Vec::new(),
    };
    plan::plan(&Lab {
        name: "lab".into(),
        description: String::new(),
        clusters: vec![Cluster {
            key: "hpc".into(),
            name: "hpc".into(),
            kind: ClusterKind::Slurm(Slurm {
                partitions: vec![Partition {
                    name: "p".into(),
                    nodes: vec!["compute-01".into(), "compute-02".into()],
                    max_time: "1".into(),
                }],
                default_partition: "p".into(),
            }),
            // Whoever tries to reach a node reaches nothing but this host.
            networks: vec![Network {
                name: "lan".into(),
                subnet: "127.9.8.0/24".parse().unwrap(),
                gateway: [127, 9, 8, 1].into(),
                dhcp_start: None,
                dhcp_end: None,
                dns_servers: Vec::new(),
                bridge: None,
                domain: "hpc.internal".into(),
            }],
            nodes: vec![
                node("controller", Role::Controller, 10),
                node("compute-01", Role::Compute, 11),
                node("compute-02", Role::Compute, 12),
            ],
        }],
    })
}

/// An image of nothing: enough for qemu-img to put an overlay on.
fn images(folder: &Path) -> BTreeMap<String, Base> {
    if !folder.join("disk.qcow2").exists() {
        let make = Command::new("qemu-img").args(["create", "-q", "-f", "qcow2"]);
        make.arg(folder.join("disk.qcow2")).arg("1G").run().unwrap();
    }
    let manifest = Manifest {
        name: "debian-13".into(),
        arch: Arch::default(),
        hash: "0".into(),
        built: jiff::Timestamp::UNIX_EPOCH,
        seconds: 0.0,
        kernel: String::new(),
        packages: Vec::new(),
        suite: String::new(),
        parts: Vec::new(),
        contents: Vec::new(),
    };
    BTreeMap::from([("debian-13".into(), Base::from(&Image { folder: folder.to_owned(), manifest }))])
}

/// A lab over a [`Fake`].
pub(super) struct Bench {
    pub(super) folder: PathBuf,
    pub(super) site: Site,
    pub(super) fake: Fake,
    pub(super) images: BTreeMap<String, Base>,
    verdict: Verdict,
    _own: Option<tempfile::TempDir>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let own = tempfile::tempdir().unwrap();
        Self { folder: own.path().to_owned(), ..Self::at(own.path()) }.owning(own)
    }

    /// One that another process may go on with.
    pub(super) fn at(folder: &Path) -> Self {
        let site = Site {
            place: Place::System,
            folder: Folder::new(folder, "lab-00000000"),
            cache: folder.join("cache"),
        };
        Self {
            folder: folder.to_owned(),
            site,
            fake: Fake::kept(&folder.join("fake.json")),
            images: images(folder),
            verdict: Verdict::assumed(Accelerator::Tcg, 1.0),
            _own: None,
        }
    }

    fn owning(self, own: tempfile::TempDir) -> Self {
        Self { _own: Some(own), ..self }
    }

    pub(super) fn session(&self) -> Session {
        Session::with(self.site.clone(), Box::new(self.fake.clone()))
    }

    pub(super) fn start(&self, plan: &Plan) -> Result<(), Error> {
        self.start_part(plan, &Scope::Lab, false)
    }

    pub(super) fn start_part(&self, plan: &Plan, scope: &Scope, force: bool) -> Result<(), Error> {
        self.site.folder.create()?;
        self.with(plan, |session, start| {
            session.start(&Start { scope, force, ..*start }, &Silent, &Cancel::new()).map(drop)
        })
    }

    pub(super) fn with<T>(&self, plan: &Plan, work: impl FnOnce(Session, &Start<'_>) -> T) -> T {
        let start = Start {
            plan,
            images: &self.images,
            verdict: &self.verdict,
            templates: None,
            deployed: &BTreeMap::new(),
            record: None,
            scope: &Scope::Lab,
            force: false,
            rebuild: false,
            wait: true,
        };
        work(self.session(), &start)
    }

    /// How many domains are in this state.
    pub(super) fn count(&self, state: DomainState) -> usize {
        let observed = self.fake.observe().unwrap();
        observed.domains.iter().filter(|domain| domain.state == state).count()
    }

    pub(super) fn ours(&self) -> usize {
        let observed = self.fake.observe().unwrap();
        let ours = |mark: &Option<Mark>| mark.as_ref().is_some_and(|mark| mark.lab == "lab-00000000");
        observed.domains.iter().filter(|domain| ours(&domain.mark)).count()
            + observed.networks.iter().filter(|network| ours(&network.mark)).count()
    }
}
