//! Appliances beside a SLURM cluster: a disk that is only a sign, no network, no agent, and nothing to lose.

use std::fs;

use config::model::{Image as ImageName, Role};
use events::Silent;
use image::{Backing, Base, Boot};
use lab::DomainState;
use plan::{
    Plan,
    change::Action,
    model::{ClusterPlan, NodePlan},
};
use system::cancel::Cancel;

use super::{Bench, plan};
use crate::{Error, Scope, title};

/// The lab with two appliances, of which the second has a model.
fn mixed() -> Plan {
    let mut plan = plan();
    let like = plan.clusters[0].nodes[1].clone();
    let prompt = |name: &str, model: Option<&str>| NodePlan {
        name: name.into(),
        label: name.into(),
        domain: format!("prompts-{name}"),
        role: Role::Appliance,
        disk_gib: 0,
        image: ImageName::Appliance(model.map(str::to_owned)),
        interfaces: Vec::new(),
        disk: format!("disks/prompts-{name}.qcow2"),
        console: format!("consoles/prompts-{name}.log"),
        ready: format!("ready/prompts-{name}.jsonl"),
        ..like.clone()
    };
    let nodes = vec![prompt("prompt-01", None), prompt("prompt-02", Some("/models/one.gguf"))];
    plan.clusters.push(ClusterPlan { nodes, ..ClusterPlan::of_appliances("prompts") });
    plan.identified()
}

/// Images for every node of these plans; models lie on disks of a megabyte.
fn bench(plans: &[&Plan]) -> Bench {
    let mut bench = Bench::new();
    for node in plans.iter().flat_map(|plan| plan.nodes()).map(|(_, node)| node) {
        if let ImageName::Appliance(model) = &node.image {
            let disk = match model {
                Some(model) => {
                    let path = bench.folder.join(model.replace('/', "-"));
                    fs::write(&path, vec![0; 1 << 20]).unwrap();
                    Backing::Raw(path)
                }
                None => Backing::Nothing,
            };
            let (kernel, initrd) = ("/vmlinux".into(), "/initrd".into());
            let identity = title(node);
            let boot = Boot::Kernel { kernel, initrd };
            let base = Base { name: "prompt".into(), disk, boot, firmware: None, identity };
            bench.images.insert(title(node), base);
        }
    }
    bench
}

/// What a disk lies on.
fn backing(bench: &Bench, disk: &str) -> String {
    let path = bench.site.folder.path().join(disk);
    system::process::Command::new("qemu-img").arg("info").arg(path).run().unwrap()
}

#[test]
fn they_start_and_go_with_the_others() {
    let plan = mixed();
    let bench = bench(&[&plan]);
    bench.start(&plan).unwrap();
    // Five machines and one network.
    assert_eq!((bench.count(DomainState::Running), bench.ours()), (5, 6));
    assert!(bench.session().changes(&plan, &Scope::Lab).unwrap().is_empty());
    assert!(!backing(&bench, "disks/prompts-prompt-01.qcow2").contains("backing file"));
    assert!(backing(&bench, "disks/prompts-prompt-02.qcow2").contains("-models-one.gguf"));
    // Nobody is told a way to them over SSH.
    let ssh = fs::read_to_string(bench.site.folder.path().join("ssh/config")).unwrap();
    assert!(ssh.contains("compute-01") && !ssh.contains("prompt") && !ssh.contains("0.0.0.0"), "{ssh}");
    bench.session().destroy().unwrap();
    assert_eq!((bench.ours(), bench.site.folder.path().exists()), (0, false));
}

#[test]
fn they_are_stopped_without_being_asked() {
    let plan = mixed();
    let bench = bench(&[&plan]);
    bench.start(&plan).unwrap();
    let scope = Scope::Cluster("prompts".into());
    bench.session().stop(&plan, &scope, Some(1000.0), &Silent, &Cancel::new()).unwrap();
    assert_eq!(bench.count(DomainState::Running), 3);
    let changes = bench.session().changes(&plan, &Scope::Lab).unwrap();
    let starts = changes.nodes.iter().filter(|change| change.action == Action::Start);
    assert_eq!(starts.count(), 2);
    bench.start(&plan).unwrap();
    assert_eq!(bench.count(DomainState::Running), 5);
}

#[test]
fn another_model_is_a_restart_that_loses_nothing() {
    let plan = mixed();
    let mut other = mixed();
    let [first, second] = &mut other.clusters[1].nodes[..] else { panic!("two appliances") };
    first.append = "zosia.ci=1".into();
    second.image = ImageName::Appliance(Some("/models/other.gguf".into()));
    let other = other.identified();
    let bench = bench(&[&plan, &other]);
    bench.start(&plan).unwrap();
    let changes = bench.session().changes(&other, &Scope::Lab).unwrap();
    assert_eq!(changes.losers(), Vec::<String>::new());
    let restarts = changes.nodes.iter().filter(|change| change.action == Action::Restart);
    assert_eq!(restarts.count(), 2);
    bench.start(&other).unwrap();
    assert!(bench.session().changes(&other, &Scope::Lab).unwrap().is_empty());
    assert!(backing(&bench, "disks/prompts-prompt-02.qcow2").contains("-models-other.gguf"));
}

#[test]
fn an_image_that_was_built_anew_is_booted() {
    let plan = mixed();
    let mut bench = bench(&[&plan]);
    bench.start(&plan).unwrap();
    let scope = Scope::Cluster("prompts".into());
    bench.session().stop(&plan, &scope, Some(0.1), &Silent, &Cancel::new()).unwrap();
    for base in bench.images.values_mut().filter(|base| base.name == "prompt") {
        base.identity.push_str(" of another day");
    }
    bench.start(&plan).unwrap();
    assert_eq!(bench.count(DomainState::Running), 5);
}

#[test]
fn a_lost_plan_is_found_in_their_marks() {
    let plan = mixed();
    let bench = bench(&[&plan]);
    bench.start(&plan).unwrap();
    fs::remove_file(bench.site.folder.plan()).unwrap();
    let found = bench.session().plan(&plan).unwrap().unwrap();
    let prompts = found.clusters.iter().find(|cluster| cluster.name == "prompts").unwrap();
    assert_eq!((prompts.kind.as_str(), &prompts.nodes), ("appliance", &plan.clusters[1].nodes));
}

#[test]
fn a_lab_with_one_is_not_kept_as_a_snapshot() {
    let plan = mixed();
    let bench = bench(&[&plan]);
    bench.start(&plan).unwrap();
    assert_eq!(plan.clusters[1].nodes[0].uncopyable(), Some("it is an appliance, which keeps nothing"));
    let name = &plan.clusters[1].nodes[0];
    assert!(matches!(crate::own_image(name), Err(Error::Unsupported { .. })));
}
