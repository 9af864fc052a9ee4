//! Starts, changes, stops and destroys of a real lab of three nodes that are killed at their calls of libvirt, or whose calls
//! fail: the next start gives what the file says, nothing that was to stay is lost, and a destroy leaves nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::bench::{Bench, words};

/// A controller, `compute-01` with a disk of so many GiB, and another node.
fn config(disk_gib: u32, other: &str) -> String {
    format!(
        r#"version: "2.0"
name: bench
clusters:
  hpc:
    kind: slurm
    networks: {{lan: {{subnet: 192.168.193.0/24}}}}
    defaults: {{cpus: 1, memory_mib: 640, disk_gib: 4}}
    controller: {{address: 192.168.193.10}}
    nodes:
      - {{name: compute-01, address: 192.168.193.11, disk_gib: {disk_gib}}}
      - {{name: {other}, address: 192.168.193.12}}
"#
    )
}

const START: [&str; 5] = ["cluster", "start", "bench.yaml", "--no-deploy", "--force"];
const FAULTS: [&str; 4] = ["before", "after", "refused", "unanswered"];

/// A lab whose commands meet faults.
struct Broken {
    bench: Bench,
    shim: PathBuf,
    /// How many faults were met.
    points: u32,
}

impl Broken {
    fn new() -> Self {
        let bench = Bench::new();
        let shim = bench.path("kills.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/kills.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&shim)
            .arg(source)
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", words(&built));
        Self { bench, shim, points: 0 }
    }

    fn write(&self, config: &str) {
        fs::write(self.bench.path("bench.yaml"), config).unwrap();
    }

    /// Does it with a fault at a call; `false` when there are not so many calls.
    fn meets(&mut self, arguments: &[&str], call: u32, fault: &str) -> bool {
        let told = self.bench.path("told");
        let _ = fs::remove_file(&told);
        let mut command = self.bench.command(arguments);
        command.env("LD_PRELOAD", &self.shim).env("AI_HOW_TEST_CALL", call.to_string());
        let output = command.env("AI_HOW_TEST_FAULT", fault).env("AI_HOW_TEST_TOLD", &told).output().unwrap();
        let reached = told.exists();
        assert!(reached || output.status.success(), "{arguments:?}: {}", words(&output));
        self.points += u32::from(reached);
        reached
    }

    fn assert_converged(&self, when: &str) {
        let started = self.bench.run(&START);
        assert!(started.status.success(), "{when}: {}", words(&started));
        let diff = self.bench.ok(&["plan", "bench.yaml", "--diff"]);
        assert!(diff.contains("everything is as the file has it"), "{when}: {diff}");
        let status = self.bench.ok(&["cluster", "status", "bench.yaml"]);
        assert_eq!(status.matches("ready").count(), 3, "{when}: {status}");
    }

    fn lab(&self) -> PathBuf {
        fs::read_dir(self.bench.path("state/labs")).unwrap().flatten().next().unwrap().path()
    }
}

#[test]
fn a_lab_survives_its_commands() {
    let mut lab = Broken::new();
    let configs = [config(4, "compute-02"), config(5, "compute-03")];

    // Starts of what is not there. A private lab ends with the command that makes it.
    lab.write(&configs[0]);
    for (call, fault) in (1..14).step_by(3).zip(FAULTS.iter().cycle()) {
        if !lab.meets(&START, call, fault) {
            break;
        }
        lab.assert_converged(&format!("{fault} at call {call} of a start"));
        lab.bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);
    }

    // Changes of what runs: a node goes, another comes, and a disk grows.
    lab.bench.ok(&START);
    lab.bench.ok(&["ssh", "--file", "bench.yaml", "controller", "echo kept > kept && sync"]);
    let foreign = plant(&lab);
    let mut gib = 4;
    for (call, fault) in (0..11).zip(FAULTS.iter().cycle()) {
        gib += 1;
        lab.write(&config(gib, if gib % 2 == 0 { "compute-02" } else { "compute-03" }));
        if !lab.meets(&START, call, fault) {
            break;
        }
        let when = format!("{fault} at call {call} of a change");
        lab.assert_converged(&when);
        let kept = lab.bench.ok(&["ssh", "--file", "bench.yaml", "controller", "cat kept"]);
        assert_eq!(kept, "kept\n", "{when}");
    }
    assert_unharmed(&lab, &foreign);

    // Snapshots hold all nodes for a moment, with the same calls as a deployment that keeps its nodes as templates.
    for (call, fault) in (0..12).step_by(2).zip(FAULTS.iter().cycle()) {
        let name = format!("at-{call}");
        if !lab.meets(&["cluster", "snapshot", "create", &name, "bench.yaml"], call, fault) {
            break;
        }
        let when = format!("{fault} at call {call} of a snapshot");
        lab.assert_converged(&when);
        lab.bench.ok(&["exec", "--file", "bench.yaml", "--all", "--timeout", "60", "--", "true"]);
    }

    // After a stop all nodes boot, which takes long, so there are fewer of them.
    for (arguments, what, points) in [
        (&["cluster", "stop", "bench.yaml"][..], "a stop", &[(2, "after"), (6, "unanswered")][..]),
        (
            &["cluster", "destroy", "bench.yaml", "--force"],
            "a destroy",
            &[(0, "before"), (2, "after"), (4, "refused"), (6, "unanswered")],
        ),
    ] {
        for &(call, fault) in points {
            if !lab.meets(arguments, call, fault) {
                break;
            }
            lab.assert_converged(&format!("{fault} at call {call} of {what}"));
        }
    }
    lab.bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);
    lab.bench.assert_clean("all of that");
    assert!(lab.points >= 25, "only {} faults were met", lab.points);
}

/// Puts a network, a domain and a disk there that are nobody's, with names that are nearly ours.
fn plant(lab: &Broken) -> PathBuf {
    let define = |kind: &str, xml: &str| {
        let path = lab.bench.path("foreign.xml");
        fs::write(&path, xml).unwrap();
        lab.bench.virsh(&[kind, &path.display().to_string()]);
    };
    define("net-define", "<network><name>hpc-lan-2</name><bridge name='hpc2'/></network>");
    define(
        "define",
        "<domain type='qemu'><name>hpc-compute-02-old</name><memory unit='MiB'>64</memory>
         <os><type machine='q35'>hvm</type></os></domain>",
    );
    let disk = lab.lab().join("disks/hpc-compute-0.qcow2");
    fs::write(&disk, "of somebody else").unwrap();
    disk
}

fn assert_unharmed(lab: &Broken, disk: &Path) {
    let listed = |arguments: &[&str]| words(&lab.bench.virsh(arguments));
    let networks = listed(&["net-list", "--all", "--name"]);
    assert!(networks.contains("hpc-lan-2"), "{networks}");
    let domains = listed(&["list", "--all", "--name"]);
    assert!(domains.contains("hpc-compute-02-old"), "{domains}");
    assert_eq!(fs::read_to_string(disk).unwrap(), "of somebody else");
}
