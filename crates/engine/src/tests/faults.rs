//! Starting and destroying over a hypervisor that fails at every call in turn: the next start converges, destroy leaves
//! nothing, and strangers stay as they are.

use std::fs;

use config::hardware::{Device, DeviceKind, DeviceSource};
use config::model::{Arch, Image as ImageName};
use events::Silent;
use lab::{Domain, DomainState, Hypervisor, Network as LabNetwork, Shape, fake::Fault};
use plan::Plan;
use render::Mark;
use system::cancel::Cancel;

use super::{Bench, plan};
use crate::{Error, Place, Snapshots};

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

/// A stop that was killed asked it, and it goes off when the next start already looks.
#[test]
fn a_node_that_is_powering_off_is_awaited_and_started_again() {
    let (bench, plan) = (Bench::new(), plan());
    bench.start(&plan).unwrap();
    let node = &plan.clusters[0].nodes[1];
    let word = bench.site.folder.path().join(&node.ready);
    system::file::write(&word, guest::ready::STOPPING.as_bytes()).unwrap();
    let guest = bench.fake.clone();
    let domain = node.domain.clone();
    let goes_off = std::thread::spawn(move || {
        system::clock::sleep(std::time::Duration::from_millis(300));
        guest.destroy_domain(&domain).unwrap();
    });
    bench.start(&plan).unwrap();
    goes_off.join().unwrap();
    assert!(bench.fake.observe().unwrap().domain(&node.domain).is_some());
    assert!(!guest::ready::is_stopping(&word));
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
        bench.fake.fail_at(Some((call, Fault::Refused)));
        let first = bench.start(&plan);
        let reached = bench.fake.calls() > call;
        bench.fake.fail_at(None);
        bench.start(&plan).unwrap();
        assert_eq!(bench.ours(), 4, "after a fault at call {call}");
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
        bench.fake.fail_at(Some((call, Fault::Refused)));
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
    let other = Mark { lab: "other-lab".into(), cluster: "hpc".into(), ..Mark::default() };
    for mark in [None, Some(other)] {
        let bench = Bench::new();
        let domain = Domain {
            name: "hpc-compute-01".into(),
            state: DomainState::Running,
            mark: mark.clone(),
            shape: Shape::default(),
        };
        let network = LabNetwork { name: "hpc-network".into(), active: true, mark, reservations: Vec::new() };
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
    for node in ["hpc-controller", "hpc-compute-01", "hpc-compute-02"] {
        bench.fake.destroy_domain(node).unwrap();
    }
    bench.images.get_mut("debian-13").unwrap().identity.push('x');
    let error = bench.start(&plan).unwrap_err();
    assert!(matches!(error, Error::OtherBase { .. }), "{error}");
    assert_eq!(bench.count(DomainState::Running), 0);
}

#[test]
fn a_disk_that_was_taken_over_lies_on_nothing() {
    let (mut bench, mut plan) = (Bench::new(), plan());
    let image = bench.folder.join("disk.qcow2").display().to_string();
    for kernel in ["disk.vmlinuz", "disk.initrd"] {
        fs::write(bench.folder.join(kernel), "").unwrap();
    }
    plan.clusters[0].nodes.iter_mut().for_each(|node| node.image = ImageName::File(image.clone()));
    let plan = plan.identified();
    let store = image::Store::new(&bench.folder);
    bench.images = crate::images(&plan, &store, &image::Options::default(), &Silent, &Cancel::new()).unwrap();
    let volume = bench.folder.join("old.qcow2");
    fs::copy(&image, &volume).unwrap();
    let taken = crate::Taken { node: &plan.clusters[0].nodes[0], volume };
    bench.site.take_over(&plan, None, &[taken], &|_| ()).unwrap();

    // The image is built again after the first start.
    bench.start(&plan).unwrap();
    bench.fake.destroy_domain("hpc-controller").unwrap();
    bench.fake.destroy_domain("hpc-compute-01").unwrap();
    bench.images.values_mut().for_each(|base| base.identity.push('x'));
    let part =
        |domain: &str| bench.start_part(&plan, &crate::Scope::Nodes([domain.to_owned()].into()), false);
    part("hpc-controller").unwrap();
    assert!(matches!(part("hpc-compute-01"), Err(Error::OtherBase { .. })));
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
    let store = image::Store::new(&bench.folder);
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
        bench.fake.fail_at(Some((call, Fault::Refused)));
        // Machines that are not there have no process whose memory could be saved, so it always fails in the end.
        let taken = bench.with(&plan, |session, start| {
            let snapshots = Snapshots::of_lab(&bench.site.folder);
            session.take_snapshot(&snapshots, "now", start, &Silent, &Cancel::new())
        });
        let reached = bench.fake.calls() > call;
        bench.fake.fail_at(None);
        assert!(taken.is_err(), "{taken:?}");
        assert_eq!(Snapshots::of_lab(&bench.site.folder).list().len(), 0, "after a fault at call {call}");
        let left: Vec<_> = fs::read_dir(bench.site.folder.snapshots()).into_iter().flatten().collect();
        assert!(left.is_empty(), "{left:?} after a fault at call {call}");
        // Only a fault in letting a node go on can leave one held, and the next start mends that.
        assert!(bench.count(DomainState::Running) >= 1, "after a fault at call {call}");
        bench.start(&plan).unwrap();
        assert_eq!(bench.count(DomainState::Running), 3, "after a fault at call {call}");
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
    let taken = bench.with(&plan, |session, start| {
        let snapshots = Snapshots::of_lab(&bench.site.folder);
        session.take_snapshot(&snapshots, "now", start, &Silent, &Cancel::new())
    });
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
    assert_eq!(bench.count(DomainState::Running), 3);
}
