//! Starting and destroying over a hypervisor that fails at every call in turn: the next start converges, destroy leaves
//! nothing, and strangers stay as they are.

use std::{collections::BTreeMap, fs, path::Path};

use config::hardware::{Device, DeviceKind, DeviceSource, Hardware};
use config::model::{
    Arch, Cluster, ClusterKind, Image as ImageName, Interface, Lab, Network, Node, Partition, Role, Slurm,
};
use events::Silent;
use image::{Base, Image, Manifest};
use lab::{Domain, DomainState, Folder, Hypervisor, Network as LabNetwork, accelerator::Verdict, fake::Fake};
use plan::Plan;
use render::{Accelerator, Mark};
use system::{cancel::Cancel, clock, process::Command};

use crate::{Error, Place, Session, Site, Start};

fn plan() -> Plan {
    let node = |name: &str, role, last: u8| Node {
        name: name.into(),
        domain: format!("hpc-{name}"),
        role,
        arch: Arch::default(),
        cpus: 1,
        memory_mib: 64,
        disk_gib: 2,
        image: ImageName::Built("debian-13".into()),
        interfaces: vec![Interface { network: "lan".into(), address: [10, 9, 8, last].into() }],
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
                    nodes: vec!["compute-01".into()],
                    max_time: "1".into(),
                }],
                default_partition: "p".into(),
            }),
            networks: vec![Network {
                name: "lan".into(),
                subnet: "10.9.8.0/24".parse().unwrap(),
                gateway: [10, 9, 8, 1].into(),
                bridge: None,
                domain: "hpc.internal".into(),
            }],
            nodes: vec![node("controller", Role::Controller, 10), node("compute-01", Role::Compute, 11)],
        }],
    })
}

/// An image of nothing: enough for qemu-img to put an overlay on.
fn images(folder: &Path) -> BTreeMap<String, Base> {
    let make = Command::new("qemu-img").args(["create", "-q", "-f", "qcow2"]);
    make.arg(folder.join("disk.qcow2")).arg("1G").run().unwrap();
    let manifest = Manifest {
        name: "debian-13".into(),
        arch: Arch::default(),
        hash: "0".into(),
        built: clock::now(),
        seconds: 0.0,
        kernel: String::new(),
        packages: Vec::new(),
    };
    BTreeMap::from([("debian-13".into(), Base::from(&Image { folder: folder.to_owned(), manifest }))])
}

struct Bench {
    folder: tempfile::TempDir,
    site: Site,
    fake: Fake,
    images: BTreeMap<String, Base>,
    verdict: Verdict,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let site = Site {
            place: Place::System,
            folder: Folder::new(folder.path(), "lab-00000000"),
            cache: folder.path().join("cache"),
        };
        let images = images(folder.path());
        let verdict = Verdict::assumed(Accelerator::Tcg, 1.0);
        Self { folder, site, fake: Fake::new(), images, verdict }
    }

    fn session(&self) -> Session {
        Session::with(self.site.clone(), Box::new(self.fake.clone()))
    }

    fn start(&self, plan: &Plan) -> Result<(), Error> {
        self.site.folder.create()?;
        self.with(plan, |session, start| session.start(start, &Silent, &Cancel::new()).map(drop))
    }

    fn with<T>(&self, plan: &Plan, work: impl FnOnce(Session, &Start<'_>) -> T) -> T {
        let start = Start {
            plan,
            images: &self.images,
            verdict: &self.verdict,
            templates: None,
            deployed: &BTreeMap::new(),
            record: None,
        };
        work(self.session(), &start)
    }

    /// How many of our nodes are in this state.
    fn count(&self, state: DomainState) -> usize {
        let observed = self.fake.observe().unwrap();
        observed.domains.iter().filter(|domain| domain.state == state).count()
    }

    fn ours(&self) -> usize {
        let observed = self.fake.observe().unwrap();
        let ours = |mark: &Option<Mark>| mark.as_ref().is_some_and(|mark| mark.lab == "lab-00000000");
        observed.domains.iter().filter(|domain| ours(&domain.mark)).count()
            + observed.networks.iter().filter(|network| ours(&network.mark)).count()
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a process that is not of this lab")]
fn a_device_of_a_running_machine_is_given_to_no_other() {
    use std::os::unix::process::CommandExt;

    let (bench, mut plan) = (Bench::new(), plan());
    // An address that no host has.
    let address = "fade:01:00.0";
    let mut stranger = std::process::Command::new("sh")
        .arg0("qemu-system-x86_64")
        .args(["-c", "read -r line", "-name", "guest=other-gpu-worker-01,debug-threads=on", "-device"])
        .arg(format!(r#"{{"driver":"vfio-pci","host":"{address}","id":"hostdev0"}}"#))
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    plan.clusters[0].nodes[1].devices = vec![Device {
        source: DeviceSource::Pci(address.into()),
        kind: DeviceKind::Gpu,
        vendor_id: None,
        device_id: None,
    }];
    let error = bench.start(&plan).unwrap_err().to_string();
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    assert!(error.contains(address) && error.contains("other-gpu-worker-01"), "{error}");
    assert!(bench.fake.observe().unwrap().domain(&plan.clusters[0].nodes[1].domain).is_none());
}

#[test]
fn nodes_of_a_shape_have_one_template() {
    let (bench, mut plan) = (Bench::new(), plan());
    let keys = |plan: &Plan| {
        bench.with(plan, |_, start| {
            plan.nodes().map(|(_, node)| start.key(node).unwrap().id()).collect::<Vec<_>>()
        })
    };
    let same = keys(&plan);
    assert_eq!(same[0], same[1], "a node's name, disk or address is in the key");
    plan.clusters[0].nodes[1].cpus = 2;
    let other = keys(&plan);
    assert_eq!(same[0], other[0]);
    assert_ne!(other[0], other[1]);
}

#[test]
fn a_start_that_failed_at_any_call_is_completed_by_the_next_one() {
    let plan = plan();
    let mut call = 0;
    loop {
        let bench = Bench::new();
        bench.fake.fail_at(Some(call));
        let first = bench.start(&plan);
        let reached = bench.fake.calls() > call;
        bench.fake.fail_at(None);
        bench.start(&plan).unwrap();
        assert_eq!(bench.ours(), 3, "after a fault at call {call}");
        if !reached {
            first.unwrap();
            assert!(call >= 4, "only {call} calls were ever made");
            break;
        }
        assert!(first.is_err(), "the fault at call {call} went unnoticed");
        call += 1;
    }
}

#[test]
fn a_second_start_changes_nothing() {
    let (bench, plan) = (Bench::new(), plan());
    bench.start(&plan).unwrap();
    let before = bench.fake.observe().unwrap();
    bench.fake.fail_at(None);
    bench.start(&plan).unwrap();
    assert_eq!(bench.fake.observe().unwrap(), before);
}

#[test]
fn a_destroy_that_failed_at_any_call_is_completed_by_the_next_one() {
    let plan = plan();
    let mut call = 0;
    loop {
        let bench = Bench::new();
        bench.start(&plan).unwrap();
        bench.fake.fail_at(Some(call));
        let first = bench.session().destroy();
        let reached = bench.fake.calls() > call;
        bench.fake.fail_at(None);
        bench.session().destroy().unwrap();
        assert_eq!(bench.ours(), 0, "after a fault at call {call}");
        assert!(!bench.site.folder.path().exists());
        if !reached {
            first.unwrap();
            break;
        }
        call += 1;
    }
    assert!(call >= 4, "only {call} calls were ever made");
}

#[test]
fn strangers_are_named_and_never_touched() {
    let plan = plan();
    let other = Mark { lab: "other-lab".into(), cluster: "hpc".into(), plan: "p".into(), generation: 1 };
    for mark in [None, Some(other)] {
        let bench = Bench::new();
        let domain =
            Domain { name: "hpc-compute-01".into(), state: DomainState::Running, mark: mark.clone() };
        let network = LabNetwork { name: "hpc-network".into(), active: true, mark };
        bench.fake.plant(domain.clone());
        bench.fake.plant_network(network.clone());
        let error = bench.start(&plan).unwrap_err().to_string();
        assert!(error.contains("domain `hpc-compute-01` exists and was not made by this lab"), "{error}");
        bench.session().destroy().unwrap();
        let observed = bench.fake.observe().unwrap();
        assert_eq!((observed.domains, observed.networks), (vec![domain], vec![network]));
    }
}

#[test]
fn a_changed_file_does_not_change_what_runs() {
    let (bench, plan) = (Bench::new(), plan());
    bench.start(&plan).unwrap();
    let changed = Plan { id: "another".into(), ..plan };
    let error = bench.start(&changed).unwrap_err();
    assert!(matches!(error, Error::Changed { .. }), "{error}");
    assert_eq!(bench.ours(), 3);
}

#[test]
fn a_disk_that_exists_is_kept() {
    let (bench, plan) = (Bench::new(), plan());
    bench.start(&plan).unwrap();
    let disk = bench.site.folder.path().join("disks/hpc-controller.qcow2");
    let before = fs::metadata(&disk).unwrap().modified().unwrap();
    bench.fake.destroy_domain("hpc-controller").unwrap();
    bench.start(&plan).unwrap();
    assert_eq!(fs::metadata(&disk).unwrap().modified().unwrap(), before);
}

#[test]
fn a_disk_is_not_started_on_another_base() {
    let (mut bench, plan) = (Bench::new(), plan());
    bench.start(&plan).unwrap();
    for node in ["hpc-controller", "hpc-compute-01"] {
        bench.fake.destroy_domain(node).unwrap();
    }
    bench.images.get_mut("debian-13").unwrap().identity.push('x');
    let error = bench.start(&plan).unwrap_err();
    assert!(matches!(error, Error::OtherBase { .. }), "{error}");
    assert_eq!(bench.count(DomainState::Running), 0);
}

#[test]
fn an_aarch64_node_does_not_boot_by_itself() {
    let mut node = plan().clusters[0].nodes[0].clone();
    node.image = ImageName::Disk("/a/disk.qcow2".into());
    node.arch = Arch::Aarch64;
    let error = crate::own_image(&node).unwrap_err().to_string();
    assert!(error.contains("needs a kernel and an initramfs beside it"), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let (bench, mut plan) = (Bench::new(), plan());
    plan.clusters[0].nodes[0].image = ImageName::File("/a/disk.qcow2".into());
    let store = image::Store::new(bench.folder.path());
    let found = crate::images(&plan, &store, &image::Options::default(), &Silent, &Cancel::new());
    assert!(found.unwrap_err().to_string().contains("/a/disk.qcow2"));
}

#[test]
fn a_snapshot_that_fails_at_any_call_is_none_and_lets_the_nodes_go_on() {
    let plan = plan();
    let mut call = 0;
    loop {
        let mut bench = Bench::new();
        bench.site.place = Place::Private;
        bench.start(&plan).unwrap();
        bench.fake.fail_at(Some(call));
        // Machines that are not there have no process whose memory could be saved, so it always fails in the end.
        let taken =
            bench.with(&plan, |session, start| session.take_snapshot("now", start, &Silent, &Cancel::new()));
        let reached = bench.fake.calls() > call;
        bench.fake.fail_at(None);
        assert!(taken.is_err(), "{taken:?}");
        assert_eq!(crate::snapshots(&bench.site.folder).len(), 0, "after a fault at call {call}");
        let left: Vec<_> = fs::read_dir(bench.site.folder.snapshots()).into_iter().flatten().collect();
        assert!(left.is_empty(), "{left:?} after a fault at call {call}");
        // Only a fault in letting a node go on can leave one held, and the next start mends that.
        assert!(bench.count(DomainState::Running) >= 1, "after a fault at call {call}");
        bench.start(&plan).unwrap();
        assert_eq!(bench.count(DomainState::Running), 2, "after a fault at call {call}");
        if !reached {
            assert!(call >= 6, "only {call} calls were ever made");
            break;
        }
        call += 1;
    }
}

#[test]
fn the_hosts_machines_are_not_looked_into() {
    let (bench, plan) = (Bench::new(), plan());
    bench.start(&plan).unwrap();
    let taken =
        bench.with(&plan, |session, start| session.take_snapshot("now", start, &Silent, &Cancel::new()));
    assert!(matches!(taken, Err(Error::NotPrivate)), "{taken:?}");
    assert!(matches!(bench.site.fork("x"), Err(Error::NotPrivate)));
}

#[test]
fn a_revert_that_was_killed_is_completed_or_given_up_by_the_next_start() {
    let mut bench = Bench::new();
    bench.site.place = Place::Private;
    let plan = plan();
    bench.start(&plan).unwrap();
    let marker = bench.site.folder.path().join("reverting");
    fs::write(&marker, "gone").unwrap();
    // There is no such snapshot, so nobody knows what the nodes are: they boot.
    bench.start(&plan).unwrap();
    assert!(!marker.exists());
    assert_eq!(bench.count(DomainState::Running), 2);
}
