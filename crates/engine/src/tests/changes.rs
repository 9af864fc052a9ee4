//! A lab whose file changed, and one that was changed behind our back.

use std::fs;

use config::model::Image as ImageName;
use lab::{DomainState, Hypervisor};
use plan::{Plan, change::Action, model::NodePlan};

use super::{Bench, plan};
use crate::{Error, Scope, changes::virtual_gib};

/// The plan with another `compute-02`.
fn changed(change: impl FnOnce(&mut NodePlan)) -> Plan {
    let mut plan = plan();
    change(&mut plan.clusters[0].nodes[2]);
    plan.identified()
}

/// The plan without `compute-02`.
fn without() -> Plan {
    let mut plan = plan();
    plan.clusters[0].nodes.pop();
    plan.identified()
}

impl Bench {
    /// What a start would do with each node that does not stay as it is.
    fn actions(&self, plan: &Plan) -> Vec<(String, Action)> {
        let changes = self.session().changes(plan, &Scope::Lab).unwrap();
        let changes = changes.nodes.into_iter().filter(|change| change.action != Action::None);
        changes.map(|change| (change.node, change.action)).collect()
    }

    /// How often the lab had been started when a node was.
    fn generation(&self, domain: &str) -> u64 {
        self.fake.observe().unwrap().domain(domain).unwrap().mark.as_ref().unwrap().generation
    }

    fn disk(&self, node: &str) -> std::path::PathBuf {
        self.site.folder.path().join(format!("disks/hpc-{node}.qcow2"))
    }
}

fn one(node: &str, action: Action) -> Vec<(String, Action)> {
    vec![(node.to_owned(), action)]
}

#[test]
fn nothing_changes_where_nothing_is_to_change() {
    let bench = Bench::new();
    assert_eq!(bench.actions(&plan()).len(), 3);
    assert!(bench.actions(&plan()).iter().all(|(_, action)| *action == Action::Create));
    bench.start(&plan()).unwrap();
    assert_eq!(bench.actions(&plan()), []);
    assert!(bench.session().changes(&plan(), &Scope::Lab).unwrap().is_empty());
}

#[test]
fn a_node_that_changed_restarts_and_no_other() {
    let bench = Bench::new();
    bench.start(&plan()).unwrap();
    let disk = fs::metadata(bench.disk("compute-02")).unwrap().modified().unwrap();
    let wanted = changed(|node| node.cpus = 2);
    assert_eq!(bench.actions(&wanted), one("compute-02", Action::Restart));
    bench.start(&wanted).unwrap();
    assert_eq!(bench.actions(&wanted), []);
    assert_eq!(
        ["controller", "compute-01", "compute-02"].map(|node| bench.generation(&format!("hpc-{node}"))),
        [1, 1, 2]
    );
    assert_eq!(
        fs::metadata(bench.disk("compute-02")).unwrap().modified().unwrap(),
        disk,
        "its disk is another"
    );
}

#[test]
fn a_disk_grows_while_its_node_runs_and_while_it_is_off() {
    let bench = Bench::new();
    bench.start(&plan()).unwrap();
    let wanted = changed(|node| node.disk_gib = 3);
    assert_eq!(bench.actions(&wanted), one("compute-02", Action::Live));
    bench.start(&wanted).unwrap();
    assert_eq!(virtual_gib(&bench.disk("compute-02")), Some(3));
    assert_eq!(
        (bench.actions(&wanted), bench.generation("hpc-compute-02")),
        (vec![], 2),
        "it was not marked anew"
    );
    bench.fake.destroy_domain("hpc-compute-02").unwrap();
    let wanted = changed(|node| node.disk_gib = 4);
    assert_eq!(bench.actions(&wanted), one("compute-02", Action::Start));
    bench.start(&wanted).unwrap();
    assert_eq!(virtual_gib(&bench.disk("compute-02")), Some(4));
}

#[test]
fn what_would_lose_a_disk_is_done_only_when_that_is_said() {
    let smaller = changed(|node| node.disk_gib = 1);
    let other = changed(|node| node.arch = config::model::Arch::Aarch64);
    for (wanted, action) in
        [(without(), Action::Remove), (smaller, Action::Recreate), (other, Action::Recreate)]
    {
        for off in [false, true] {
            let bench = Bench::new();
            bench.start(&plan()).unwrap();
            if off {
                bench.fake.destroy_domain("hpc-compute-02").unwrap();
            }
            assert_eq!(bench.actions(&wanted), one("compute-02", action), "off: {off}");
            let before = bench.fake.observe().unwrap();
            let error = bench.start(&wanted).unwrap_err();
            assert!(matches!(&error, Error::WouldLose { nodes } if nodes == &["compute-02"]), "{error}");
            assert_eq!(bench.fake.observe().unwrap(), before);
            assert!(bench.disk("compute-02").exists());
        }
    }
}

#[test]
fn a_node_that_is_gone_from_the_file_goes_with_its_disk_and_its_address() {
    let bench = Bench::new();
    bench.start(&plan()).unwrap();
    bench.start_part(&without(), &Scope::Lab, true).unwrap();
    let observed = bench.fake.observe().unwrap();
    assert!(observed.domain("hpc-compute-02").is_none() && !bench.disk("compute-02").exists());
    assert_eq!(observed.network("hpc-lan").unwrap().reservations.len(), 2);
    assert_eq!(["controller", "compute-01"].map(|node| bench.generation(&format!("hpc-{node}"))), [1, 1]);
    // And it comes back as a new one, with its address.
    assert_eq!(bench.actions(&plan()), one("compute-02", Action::Create));
    bench.start(&plan()).unwrap();
    assert_eq!(bench.fake.observe().unwrap().network("hpc-lan").unwrap().reservations.len(), 3);
}

#[test]
fn a_network_that_changed_is_made_anew_and_its_nodes_restart() {
    let bench = Bench::new();
    bench.start(&plan()).unwrap();
    let mut wanted = plan();
    wanted.clusters[0].networks[0].domain = "another.internal".into();
    let wanted = wanted.identified();
    assert!(bench.actions(&wanted).iter().all(|(_, action)| *action == Action::Restart));
    bench.start(&wanted).unwrap();
    assert_eq!((bench.actions(&wanted), bench.count(DomainState::Running)), (vec![], 3));
}

#[test]
fn what_was_changed_behind_our_back_is_told_and_mended() {
    let bench = Bench::new();
    bench.start(&plan()).unwrap();
    bench.fake.change(|observed| {
        let node = observed.domains.iter_mut().find(|domain| domain.name == "hpc-compute-01").unwrap();
        node.shape.cpus = 7;
        node.shape.disks.push("/etc/shadow".into());
    });
    let changes = bench.session().changes(&plan(), &Scope::Lab).unwrap();
    let changed = changes.nodes.iter().find(|change| change.node == "compute-01").unwrap();
    let drift: Vec<String> = changed.drift.iter().map(ToString::to_string).collect();
    assert_eq!(drift[0], "cpus 7 -> 1");
    assert!(drift[1].starts_with("disks ") && drift[1].contains("/etc/shadow"), "{drift:?}");
    bench.start(&plan()).unwrap();
    assert_eq!(bench.actions(&plan()), []);
    // A network that somebody took away, and one that keeps no addresses any more.
    bench.fake.change(|observed| observed.networks[0].reservations.clear());
    bench.start(&plan()).unwrap();
    assert_eq!(bench.fake.observe().unwrap().networks[0].reservations.len(), 3);
    bench.fake.destroy_network("hpc-lan").unwrap();
    assert!(bench.actions(&plan()).iter().all(|(_, action)| *action == Action::Restart));
    bench.start(&plan()).unwrap();
    assert!(bench.session().changes(&plan(), &Scope::Lab).unwrap().is_empty());
}

#[test]
fn what_is_not_meant_stays_as_it_is() {
    let bench = Bench::new();
    bench.start(&plan()).unwrap();
    // Everything about the file changed, and one node is meant.
    let mut wanted = without();
    wanted.clusters[0].networks[0].domain = "another.internal".into();
    for node in &mut wanted.clusters[0].nodes {
        node.cpus = 2;
    }
    let wanted = wanted.identified();
    let scope = Scope::Nodes(["hpc-compute-01".to_owned()].into());
    bench.start_part(&wanted, &scope, true).unwrap();
    let observed = bench.fake.observe().unwrap();
    let cpus = ["controller", "compute-01", "compute-02"]
        .map(|node| observed.domain(&format!("hpc-{node}")).unwrap().shape.cpus);
    assert_eq!(cpus, [1, 2, 1]);
    // What was not done is still to be done.
    assert_eq!(bench.actions(&wanted).len(), 3);
    assert!(bench.session().changes(&wanted, &scope).unwrap().is_empty());
}

#[test]
fn a_node_that_is_named_starts_even_where_it_does_not_start_by_itself() {
    let bench = Bench::new();
    let wanted = changed(|node| node.auto_start = false);
    bench.start(&wanted).unwrap();
    assert_eq!(bench.count(DomainState::Running), 2);
    bench.start_part(&wanted, &Scope::Nodes(["hpc-compute-02".to_owned()].into()), false).unwrap();
    assert_eq!(bench.count(DomainState::Running), 3);
    assert_eq!(bench.actions(&wanted), [], "a start of the cluster leaves it alone");
}

#[test]
fn what_was_written_down_is_found_again_in_the_marks() {
    let bench = Bench::new();
    bench.start(&plan()).unwrap();
    fs::remove_file(bench.site.folder.plan()).unwrap();
    let rebuilt = bench.session().plan(&plan()).unwrap().unwrap();
    assert_eq!(rebuilt, plan());
    assert_eq!(bench.actions(&without()), one("compute-02", Action::Remove));
    bench.start(&plan()).unwrap();
    assert_eq!(bench.site.plan().unwrap().unwrap(), plan());
}

#[test]
fn a_cluster_is_destroyed_without_the_other() {
    let bench = Bench::new();
    let mut both = plan();
    let mut other = both.clusters[0].clone();
    let renamed = |text: &str| text.replace("hpc", "two");
    (other.key, other.name) = ("two".into(), "two".into());
    for network in &mut other.networks {
        network.name = renamed(&network.name);
        network.bridge = "two0".into();
    }
    for node in &mut other.nodes {
        for text in [&mut node.domain, &mut node.disk, &mut node.ready, &mut node.console] {
            *text = renamed(text);
        }
        node.interfaces[0].network = renamed(&node.interfaces[0].network);
    }
    both.clusters.push(other);
    let both = both.identified();
    bench.start(&both).unwrap();
    assert_eq!(bench.ours(), 8);
    let scope = Scope::Cluster("two".into());
    bench.session().destroy_part(&both, &scope).unwrap();
    let networks = || bench.fake.observe().unwrap().networks.len();
    assert_eq!(networks(), 1);
    bench.start_part(&both, &Scope::Cluster("hpc".into()), false).unwrap();
    assert_eq!(networks(), 1, "a cluster that was not meant got its network");
    assert_eq!(bench.ours(), 4);
    assert!(bench.disk("controller").exists());
    let left = fs::read_dir(bench.site.folder.path().join("disks")).unwrap().flatten();
    assert!(left.into_iter().all(|file| file.file_name().to_string_lossy().starts_with("hpc-")));
    bench.session().destroy_part(&both, &Scope::Cluster("hpc".into())).unwrap();
    assert_eq!(
        (bench.ours(), bench.site.folder.path().exists()),
        (0, false),
        "the last one takes the lab along"
    );
}

#[test]
fn an_image_that_is_another_is_one_to_lose_a_disk_for() {
    let bench = Bench::new();
    bench.start(&plan()).unwrap();
    let wanted = changed(|node| node.image = ImageName::Built("debian-14".into()));
    assert_eq!(bench.actions(&wanted), one("compute-02", Action::Recreate));
}

#[test]
fn a_copy_that_was_left_half_made_is_made_again() {
    let bench = Bench::new();
    bench.start(&plan()).unwrap();
    // Its processors are held, and its disk is not ready.
    bench.fake.suspend_domain("hpc-compute-02").unwrap();
    fs::write(bench.disk("compute-02").with_extension("unready"), "").unwrap();
    assert_eq!(bench.actions(&plan()), one("compute-02", Action::Create));
    bench.start(&plan()).unwrap();
    assert_eq!((bench.count(DomainState::Running), bench.generation("hpc-compute-02")), (3, 2));
}

#[test]
fn a_part_is_started_with_all_images_while_a_revert_waits() {
    let bench = Bench::new();
    bench.start(&plan()).unwrap();
    let scope = Scope::Nodes(["hpc-compute-01".to_owned()].into());
    let nodes = || bench.site.may_boot(&scope, &plan()).nodes().count();
    assert_eq!(nodes(), 1);
    fs::write(bench.site.folder.path().join("reverting"), "/before").unwrap();
    assert_eq!(nodes(), 3);
    // It cannot be completed here, so the nodes boot, and nothing waits any more.
    bench.start_part(&plan(), &scope, false).unwrap();
    assert_eq!(nodes(), 1);
}
