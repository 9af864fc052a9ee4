//! A lab that is changed while it runs: what changed comes to be, and nothing else is touched.

use std::{
    fs,
    process::{Command, Output},
    time::{Duration, Instant},
};

use crate::bench::{Bench, words};

impl Bench {
    fn on(&self, node: &str, script: &str) -> String {
        self.ok(&["ssh", "--file", "bench.yaml", node, script]).trim().to_owned()
    }

    /// The process that emulates a node.
    pub(crate) fn emulator(&self, node: &str) -> String {
        let folder = self.path("state").display().to_string();
        let pid = system::host::guest_process(&format!("hpc-{node}"), &folder);
        pid.unwrap_or_else(|| panic!("{node} does not run")).to_string()
    }

    /// Asks the private lab's libvirt, as somebody would behind our back.
    pub(crate) fn virsh(&self, arguments: &[&str]) -> Output {
        let lab = fs::read_dir(self.path("state/labs")).unwrap().flatten().next().unwrap().path();
        let sockets = fs::File::open(lab.join("sockets")).unwrap();
        use std::os::fd::AsRawFd;
        let socket = format!("/proc/{}/fd/{}/libvirt-sock", std::process::id(), sockets.as_raw_fd());
        let uri = format!("qemu:///system?socket={socket}");
        let output = Command::new("virsh").args(["-q", "-c", &uri]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", words(&output));
        output
    }
}

const START: [&str; 4] = ["cluster", "start", "bench.yaml", "--no-deploy"];

#[test]
fn one_node_changes_and_the_other_does_not_notice() {
    let bench = Bench::new();
    bench.ok(&START);
    let node = |arguments: &[&str]| bench.ok(&[&["node"], arguments, &["--file", "bench.yaml"]].concat());
    let diff = || bench.ok(&["plan", "bench.yaml", "--diff"]);
    let (controller, compute) = (bench.emulator("controller"), bench.emulator("compute-01"));
    bench.on("compute-01", "echo kept > kept && sync");
    assert!(diff().contains("everything is as the file has it"), "{}", diff());

    // A disk grows under a file system that is in use.
    node(&["resize", "compute-01", "--disk-gib", "5", "--no-deploy"]);
    assert_eq!(bench.on("compute-01", "df --output=size -BG / | tail -1"), "5G");
    assert_eq!(bench.emulator("compute-01"), compute, "it restarted for its disk");

    // A snapshot of one node is no matter of the others.
    node(&["snapshot", "create", "compute-01", "before"]);
    bench.on("compute-01", "touch later");
    bench.on("controller", "touch later");
    node(&["snapshot", "revert", "compute-01", "before"]);
    assert_eq!((bench.on("compute-01", "ls"), bench.on("controller", "ls")), ("kept".into(), "later".into()));
    node(&["snapshot", "rm", "compute-01", "before"]);

    // Its card is taken behind our back: that is told, and mended by a restart, which gives it its new size too.
    bench.virsh(&["detach-interface", "hpc-compute-01", "network"]);
    let told = diff();
    assert!(told.contains("restart") && told.contains("changed behind our back: cards none ->"), "{told}");
    // It has no network, and is asked to power off all the same: nobody waits until its time is over.
    let watch = Instant::now();
    node(&["resize", "compute-01", "--cpus", "2", "--memory-mib", "704", "--no-deploy"]);
    assert!(watch.elapsed() < Duration::from_secs(90), "a restart took {:?}", watch.elapsed());
    assert_eq!(bench.on("compute-01", "nproc; cat kept"), "2\nkept");
    assert!(diff().contains("everything is as the file has it"), "{}", diff());
    assert_eq!(bench.emulator("controller"), controller, "the controller restarted");

    // What was written down is lost, and found again in the marks.
    let lab = fs::read_dir(bench.path("state/labs")).unwrap().flatten().next().unwrap().path();
    fs::remove_file(lab.join("plan.json")).unwrap();
    assert_eq!(bench.on("compute-01", "hostname"), "compute-01");
    bench.ok(&START);
    assert!(lab.join("plan.json").exists());

    node(&["stop", "compute-01"]);
    let watch = Instant::now();
    for [verb, what] in [["ssh", "true"], ["logs", "--journal"]] {
        let output = bench.run(&[verb, "--file", "bench.yaml", "compute-01", what]);
        assert_eq!(output.status.code(), Some(1), "{}", words(&output));
        assert!(words(&output).contains("ai-how node start compute-01"), "{}", words(&output));
    }
    assert!(watch.elapsed() < Duration::from_secs(30), "an answer took {:?}", watch.elapsed());
    let status = bench.ok(&["cluster", "status", "bench.yaml"]);
    assert!(status.contains("compute-01") && status.contains("off"), "{status}");
    assert_eq!(bench.emulator("controller"), controller);
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);
    bench.assert_clean("changes");
}

#[test]
fn a_node_joins_a_cluster_that_takes_jobs_and_leaves_it() {
    let bench = Bench::new();
    bench.ok(&["cluster", "start", "bench.yaml"]);
    let before = fs::read_to_string(bench.path("bench.yaml")).unwrap();
    let nodes = ["controller", "compute-01"].map(|node| bench.emulator(node));
    bench.ok(&["node", "add", "--file", "bench.yaml"]);
    assert_eq!(bench.on("controller", "srun -N2 hostname | sort"), "compute-01\ncompute-02");

    // A start that has nothing to do takes no time.
    let watch = Instant::now();
    bench.ok(&["cluster", "start", "bench.yaml"]);
    assert!(watch.elapsed().as_secs() < 5, "a start of what runs took {:?}", watch.elapsed());

    let refused = bench.run(&["node", "remove", "compute-02", "--file", "bench.yaml"]);
    assert_eq!(refused.status.code(), Some(2), "{}", words(&refused));
    bench.ok(&["node", "remove", "compute-02", "--file", "bench.yaml", "--force"]);
    assert_eq!(bench.on("controller", "sinfo -ho %N"), "compute-01");
    assert_eq!(fs::read_to_string(bench.path("bench.yaml")).unwrap(), before);
    assert_eq!(["controller", "compute-01"].map(|node| bench.emulator(node)), nodes, "a node restarted");
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);
    bench.assert_clean("a node that came and went");
}
