//! Everything that changes a lab, with each of its calls of libvirt refused, unanswered, and the last thing its process did.
//! After each: the next start gives what the plan wants, no node that was to stay has another disk, strangers are as they
//! were, and a destroy leaves nothing.

use std::{env, fs, os::unix::fs::MetadataExt, path::Path, process::Command};

use lab::{Domain, DomainState, Network, Shape, fake::Fault};
use plan::{Plan, model::NodePlan};
use render::Mark;
use system::cancel::Cancel;

use super::{Bench, plan};
use crate::{Error, Scope};

/// Tells the child process what to do: `folder work call fault`.
const ORDER: &str = "AI_HOW_TEST_ORDER";

const FAULTS: [Fault; 4] = [Fault::Refused, Fault::TimedOut, Fault::KilledBefore, Fault::KilledAfter];

/// The nodes that are there before and after, with their disks.
const STAYING: [&str; 2] = ["disks/hpc-controller.qcow2", "disks/hpc-compute-01.qcow2"];

/// One node has other processors, one a larger disk, one is gone, and one is new.
fn other_plan() -> Plan {
    let mut plan = plan();
    let nodes = &mut plan.clusters[0].nodes;
    nodes[0].disk_gib += 1;
    nodes[1].cpus += 1;
    let renamed = |text: &str| text.replace("compute-02", "compute-03");
    let gone = nodes.pop().unwrap();
    let mut new = NodePlan {
        name: renamed(&gone.name),
        label: renamed(&gone.label),
        domain: renamed(&gone.domain),
        disk: renamed(&gone.disk),
        console: renamed(&gone.console),
        ready: renamed(&gone.ready),
        ..gone
    };
    new.interfaces[0].address = [127, 9, 8, 13].into();
    new.interfaces[0].mac = "52:54:00:00:00:03".into();
    nodes.push(new);
    plan.identified()
}

/// Something that changes a lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Start,
    Change,
    Stop,
    DestroyCluster,
    Destroy,
}

impl Work {
    const ALL: [Self; 5] = [Self::Start, Self::Change, Self::Stop, Self::DestroyCluster, Self::Destroy];

    fn run(self, bench: &Bench) -> Result<(), Error> {
        match self {
            Self::Start => bench.start(&plan()),
            Self::Change => bench.start_part(&other_plan(), &Scope::Lab, true),
            Self::Stop => {
                bench.session().stop(&plan(), &Scope::Lab, Some(0.1), &events::Silent, &Cancel::new())
            }
            Self::DestroyCluster => bench.session().destroy_part(&plan(), &Scope::Cluster("hpc".into())),
            Self::Destroy => bench.session().destroy(),
        }
    }

    /// What the lab is to be in the end.
    fn wanted(self) -> Plan {
        if self == Self::Change { other_plan() } else { plan() }
    }
}

/// Objects of others with names that are nearly ours, or ours.
fn strangers() -> (Vec<Domain>, Vec<Network>) {
    let other = Mark { lab: "lab-000000000".into(), cluster: "hpc".into(), ..Mark::default() };
    let domain = |name: &str, mark: Option<&Mark>| Domain {
        name: name.into(),
        state: DomainState::Running,
        mark: mark.cloned(),
        shape: Shape::default(),
    };
    let network = |name: &str, mark: Option<&Mark>| Network {
        name: name.into(),
        active: true,
        mark: mark.cloned(),
        reservations: Vec::new(),
    };
    (
        vec![
            domain("hpc-compute-0", None),
            domain("hpc-compute-02-old", None),
            domain("hpc-compute-04", Some(&other)),
            domain("template-0123456789abcdef", Some(&other)),
        ],
        vec![network("hpc-la", None), network("hpc-lan-2", None), network("hpc-network", Some(&other))],
    )
}

impl Bench {
    fn plant_strangers(&self) {
        let (domains, networks) = strangers();
        domains.into_iter().for_each(|domain| self.fake.plant(domain));
        networks.into_iter().for_each(|network| self.fake.plant_network(network));
    }

    fn assert_strangers_unharmed(&self, when: &str) {
        let (domains, networks) = strangers();
        self.fake.change(|observed| {
            for domain in domains {
                assert!(observed.domains.contains(&domain), "{} was changed {when}", domain.name);
            }
            for network in networks {
                assert!(observed.networks.contains(&network), "{} was changed {when}", network.name);
            }
        });
    }

    /// What tells one file from another that has its name.
    fn files(&self) -> [Option<u64>; 2] {
        STAYING.map(|name| fs::metadata(self.site.folder.path().join(name)).ok().map(|file| file.ino()))
    }
}

#[test]
fn whatever_goes_wrong_wherever_the_next_start_mends_it() {
    let points = |(work, fault)| {
        let points = (0..100).take_while(|call| survives(work, *call, fault)).count();
        assert!(points < 100, "{work:?} never ends");
        points
    };
    let kinds = Work::ALL.into_iter().flat_map(|work| FAULTS.map(|fault| (work, fault)));
    let points: usize = crate::together(kinds, points).into_iter().sum();
    assert!(points >= 150, "only {points} points were reached");
}

/// Does a work that meets a fault, and looks at what comes after. `false` when there are not so many calls.
fn survives(work: Work, call: usize, fault: Fault) -> bool {
    let when = format!("after {fault:?} at call {call} of {work:?}");
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::at(folder.path());
    bench.plant_strangers();
    if work != Work::Start {
        bench.start(&plan()).unwrap();
    }
    let before = bench.files();
    let reached = match fault {
        Fault::Refused | Fault::TimedOut => {
            bench.fake.fail_at(Some((call, fault)));
            let done = work.run(&bench);
            let reached = bench.fake.calls() > call;
            assert!(reached || done.is_ok(), "{done:?} {when}");
            bench.fake.fail_at(None);
            reached
        }
        Fault::KilledBefore | Fault::KilledAfter => {
            drop(bench);
            !child(folder.path(), work, call, fault)
        }
    };
    let bench = Bench::at(folder.path());
    bench.assert_strangers_unharmed(&when);
    let destroying = matches!(work, Work::Destroy | Work::DestroyCluster);
    bench.start_part(&work.wanted(), &Scope::Lab, true).unwrap_or_else(|error| panic!("{error} {when}"));
    let changes = bench.session().changes(&work.wanted(), &Scope::Lab).unwrap();
    assert!(changes.is_empty(), "{changes:#?} {when}");
    assert_eq!(bench.ours(), 4, "{when}");
    if !destroying && work != Work::Start {
        assert_eq!(bench.files(), before, "a disk is another one {when}");
    }
    bench.assert_strangers_unharmed(&when);
    bench.session().destroy().unwrap();
    assert_eq!((bench.ours(), bench.site.folder.path().exists()), (0, false), "{when}");
    bench.assert_strangers_unharmed(&when);
    reached
}

/// Does a work in a process of its own, which is killed at a call. `true` when it lived.
#[expect(clippy::disallowed_methods, reason = "this test's own program, to be killed")]
fn child(folder: &Path, work: Work, call: usize, fault: Fault) -> bool {
    let order = format!("{} {work:?} {call} {fault:?}", folder.display());
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "tests::kills::does_what_it_is_told", "--ignored"])
        .env(ORDER, order)
        .output()
        .unwrap();
    use std::os::unix::process::ExitStatusExt;
    assert!(child.status.signal().is_some() || child.status.success(), "{child:?}");
    child.status.success()
}

#[test]
#[ignore = "is started by another test, to be killed"]
#[expect(clippy::disallowed_methods, reason = "the order is in the environment")]
fn does_what_it_is_told() {
    let order = env::var(ORDER).unwrap();
    let words: Vec<&str> = order.split(' ').collect();
    let work = Work::ALL.into_iter().find(|work| format!("{work:?}") == words[1]).unwrap();
    let fault = FAULTS.into_iter().find(|fault| format!("{fault:?}") == words[3]).unwrap();
    let bench = Bench::at(Path::new(words[0]));
    bench.fake.fail_at(Some((words[2].parse().unwrap(), fault)));
    work.run(&bench).unwrap();
}
