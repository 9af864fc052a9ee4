//! A realistic run: three nodes, 120 Ansible results, 81 checks of which three fail and one is skipped.

use ai_how_report::html::Attachment;
use config::hardware::Hardware;
use config::model::{Arch, Image, Partition, Role, Slurm};
use events::{Event, EventKind, FORMAT, Level, NodeState, Outcome, Phase, TaskStatus};
use jiff::{SignedDuration, Timestamp};
use plan::model::{ClusterPlan, InterfacePlan, NetworkPlan, NodePlan, Plan};

pub(crate) const NODES: [&str; 3] = ["controller", "compute-01", "compute-02"];

/// Suite, check and node of what fails, with the reason and the output.
pub(crate) const FAILURES: [(&str, &str, &str, &str, &str); 3] = [
    (
        "slurm",
        "partition-up",
        "compute-02",
        "partition gpu is down on compute-02",
        "PARTITION AVAIL  TIMELIMIT  NODES  STATE NODELIST\n\
         debug*       up    1:00:00      2   idle compute-[01-02]\n\
         gpu        down   12:00:00      1  down* compute-02\n\
         \u{1b}[31mexpected state idle, found down*\u{1b}[0m\n",
    ),
    (
        "fabric",
        "mpi-latency",
        "compute-02",
        "8-byte latency is 412 us, at most 150 us is allowed",
        "# OSU MPI Latency Test v7.5\n# Size          Latency (us)\n8                   412.07\n16                  413.90\n",
    ),
    (
        "storage",
        "scratch-writable",
        "compute-01",
        "cannot write to /scratch: <script>alert('no space left')</script>",
        "dd: error writing '/scratch/probe': No space left on device & </pre><script>alert(1)</script>\n",
    ),
];

pub(crate) const SUITES: [(&str, [&str; 9]); 3] = [
    (
        "slurm",
        [
            "munge-roundtrip",
            "slurmd-active",
            "partition-up",
            "srun-hostname",
            "sbatch-array",
            "cgroup-limits",
            "accounting-row",
            "node-idle",
            "prolog-epilog",
        ],
    ),
    (
        "fabric",
        [
            "link-up",
            "mtu-9000",
            "ping-all",
            "mpi-hello",
            "mpi-latency",
            "mpi-bandwidth",
            "dns-forward",
            "dns-reverse",
            "time-in-sync",
        ],
    ),
    (
        "storage",
        [
            "home-mounted",
            "home-same-everywhere",
            "scratch-writable",
            "scratch-quota",
            "root-free",
            "swap-off",
            "tmp-sticky",
            "fsync-honest",
            "hugepages",
        ],
    ),
];

const ROLES: [&str; 10] =
    ["base", "chrony", "hosts", "munge", "slurm-common", "slurmctld", "slurmd", "nfs", "mpi", "verify"];
const STEPS: [&str; 4] =
    ["install packages", "write configuration", "start service", "wait until it answers"];

/// Events with their second, in any order.
struct Story {
    events: Vec<(f64, EventKind)>,
    seed: u64,
}

impl Story {
    fn at(&mut self, second: f64, kind: EventKind) {
        self.events.push((second, kind));
    }

    /// Between `least` and `most`, the same in every run of the tests.
    fn some(&mut self, least: f64, most: f64) -> f64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = f64::from(u32::try_from(self.seed >> 40).unwrap_or_default()) / f64::from(1_u32 << 24);
        ((least + share * (most - least)) * 1000.0).round() / 1000.0
    }

    fn phase(&mut self, phase: Phase, start: f64, end: f64, outcome: Outcome) {
        self.at(start, EventKind::PhaseStarted { phase });
        self.at(end, EventKind::PhaseFinished { phase, outcome, seconds: end - start });
    }
}

/// The whole run.
pub(crate) fn events() -> Vec<Event> {
    let mut story = Story { events: Vec::new(), seed: 7 };
    story.at(
        0.0,
        EventKind::RunStarted {
            format: FORMAT,
            run: "2026-11-21-0900-demo".into(),
            command: "test run config/demo.yaml".into(),
            lab: "demo".into(),
            file: "config/demo.yaml".into(),
            accelerator: "tcg".into(),
        },
    );
    let notice =
        "/dev/kvm opens but does not run a guest: TCG is used and every timeout is 6.2 times as long";
    story.at(0.05, EventKind::Notice { level: Level::Warning, message: notice.into() });
    story.phase(Phase::Image, 0.1, 0.52, Outcome::Passed);
    boot(&mut story, 0.6);
    let deployed = deploy(&mut story, 10.0);
    let tested = tests(&mut story, deployed + 0.1);
    for (node, value) in NODES.iter().zip([412.0, 288.5, 291.25]) {
        let (figure, unit) = ("node-memory-pss".into(), "MiB".into());
        story.at(tested, EventKind::Measured { figure, node: (*node).into(), value, unit });
    }
    story.phase(Phase::Cleanup, tested + 0.1, tested + 1.3, Outcome::Passed);
    for node in NODES {
        let kind = |state| EventKind::NodeState { node: node.into(), state, detail: String::new() };
        story.at(tested + 0.2, kind(NodeState::Stopping));
        story.at(tested + 1.2, kind(NodeState::Stopped));
    }
    story.at(
        tested + 1.4,
        EventKind::RunFinished {
            outcome: Outcome::Failed,
            exit_code: 4,
            seconds: tested + 1.4,
            message: "3 of 81 checks failed".into(),
        },
    );
    stamp(story.events)
}

/// Gives events their time, in its order.
pub(crate) fn stamp(mut events: Vec<(f64, EventKind)>) -> Vec<Event> {
    events.sort_by(|one, other| one.0.total_cmp(&other.0));
    let start: Timestamp = "2026-11-21T09:00:00Z".parse().expect("a timestamp");
    events
        .into_iter()
        .map(|(second, kind)| Event { time: start + SignedDuration::from_secs_f64(second), kind })
        .collect()
}

fn boot(story: &mut Story, start: f64) {
    let mut last: f64 = start;
    for (index, node) in NODES.iter().enumerate() {
        let waits = start + 0.2 * index as f64;
        let begun = waits + story.some(0.3, 0.9);
        let ready = begun + story.some(5.5, 7.6);
        last = last.max(ready);
        let state =
            |state, detail: &str| EventKind::NodeState { node: (*node).into(), state, detail: detail.into() };
        story.at(start, state(NodeState::Defined, ""));
        story.at(waits, state(NodeState::Starting, "waits for memory"));
        story.at(begun, state(NodeState::Booting, ""));
        story.at(ready, state(NodeState::Ready, ""));
        let value = ready - waits;
        let (figure, unit) = ("boot-to-ready".into(), "s".into());
        story.at(ready, EventKind::Measured { figure, node: (*node).into(), value, unit });
    }
    story.phase(Phase::Boot, start, last + 0.05, Outcome::Passed);
}

fn deploy(story: &mut Story, start: f64) -> f64 {
    let mut now = start + 0.8;
    for role in ROLES {
        let play = if role == "slurmctld" { "SLURM controller" } else { "SLURM cluster" };
        for step in STEPS {
            let mut longest: f64 = 0.0;
            for node in NODES {
                let seconds = if step == STEPS[0] { story.some(0.8, 3.2) } else { story.some(0.15, 0.7) };
                longest = longest.max(seconds);
                let (status, message) = match (role, step, node) {
                    ("slurmctld", _, "compute-01" | "compute-02") => {
                        (TaskStatus::Skipped, "Conditional result was False")
                    }
                    (_, "install packages" | "write configuration", _) => (TaskStatus::Changed, ""),
                    _ => (TaskStatus::Ok, ""),
                };
                let seconds = if status == TaskStatus::Skipped { 0.02 } else { seconds };
                story.at(
                    now + seconds,
                    EventKind::Task {
                        play: play.into(),
                        task: format!("{role} : {step}"),
                        node: node.into(),
                        status,
                        message: message.into(),
                        seconds,
                    },
                );
            }
            now += longest + 0.04;
        }
    }
    story.phase(Phase::Deploy, start, now + 0.3, Outcome::Passed);
    now + 0.3
}

fn tests(story: &mut Story, start: f64) -> f64 {
    let mut last = start;
    for node in NODES {
        // Two checks at a time on each node.
        let mut free = [start + 0.1, start + 0.15];
        for (suite, checks) in SUITES {
            for check in checks {
                let worker = usize::from(free[1] < free[0]);
                let begun = free[worker];
                let seconds = story.some(0.08, 1.9);
                free[worker] = begun + seconds + 0.03;
                last = last.max(free[worker]);
                let name = |kind: fn(String, String, String) -> EventKind| {
                    kind(suite.into(), check.into(), node.into())
                };
                story.at(
                    begun,
                    name(|suite, check, node| EventKind::CheckStarted {
                        suite,
                        check,
                        node,
                        fork: String::new(),
                    }),
                );
                let failure =
                    FAILURES.iter().find(|failure| (failure.0, failure.1, failure.2) == (suite, check, node));
                let (outcome, reason, output) = match failure {
                    Some((.., reason, output)) => (Outcome::Failed, *reason, *output),
                    None if (check, node) == ("hugepages", "controller") => {
                        (Outcome::Skipped, "the controller runs no jobs", "")
                    }
                    None if check == "ping-all" => {
                        (Outcome::Passed, "", "3 packets transmitted, 3 received\n")
                    }
                    None => (Outcome::Passed, "", ""),
                };
                story.at(
                    begun + seconds,
                    EventKind::CheckFinished {
                        suite: suite.into(),
                        check: check.into(),
                        node: node.into(),
                        fork: String::new(),
                        outcome,
                        seconds,
                        reason: reason.into(),
                        output: output.into(),
                    },
                );
            }
        }
    }
    story.phase(Phase::Tests, start, last + 0.1, Outcome::Failed);
    last + 0.1
}

/// The plan of that run: two networks, two partitions.
pub(crate) fn plan() -> Plan {
    let network = |key: &str, third: u8| NetworkPlan {
        key: key.into(),
        name: format!("demo-{key}"),
        uuid: "8c6a1c5e-6d0e-5d7e-9b1a-2f3c4d5e6f70".parse().expect("a UUID"),
        bridge: format!("aihow-{key}"),
        domain: "demo.lab".into(),
        subnet: format!("10.10.{third}.0/24").parse().expect("a network"),
        gateway: [10, 10, third, 1].into(),
        dhcp_start: [10, 10, third, 200].into(),
        dhcp_end: [10, 10, third, 250].into(),
        dns_servers: Vec::new(),
    };
    let node = |index: u8| {
        let name = NODES[usize::from(index)];
        let role = if index == 0 { Role::Controller } else { Role::Compute };
        let interface = |network: &str, third: u8| InterfacePlan {
            network: format!("demo-{network}"),
            mac: format!("52:54:00:0a:{third:02x}:{:02x}", index + 10),
            address: [10, 10, third, index + 10].into(),
        };
        let mut interfaces = vec![interface("lan", 0)];
        interfaces.extend((index > 0).then(|| interface("fabric", 1)));
        NodePlan {
            name: name.into(),
            label: name.into(),
            domain: format!("demo-{name}"),
            uuid: "8c6a1c5e-6d0e-5d7e-9b1a-2f3c4d5e6f71".parse().expect("a UUID"),
            role,
            arch: Arch::default(),
            cpus: 2,
            memory_mib: if index == 0 { 1536 } else { 2048 },
            disk_gib: 10,
            image: Image::Built("debian-13".into()),
            append: String::new(),
            uefi: false,
            interfaces,
            auto_start: true,
            hardware: Hardware::default(),
            first_cpu: None,
            devices: Vec::new(),
            mounts: Vec::new(),
            disk: format!("disks/demo-{name}.qcow2"),
            console: format!("consoles/demo-{name}.log"),
            ready: format!("ready/demo-{name}.jsonl"),
        }
    };
    let partition = |name: &str, nodes: &[&str], max_time: &str| Partition {
        name: name.into(),
        nodes: nodes.iter().map(|&node| node.into()).collect(),
        max_time: max_time.into(),
    };
    let slurm = Slurm {
        partitions: vec![
            partition("debug", &NODES[1..], "01:00:00"),
            partition("gpu", &NODES[2..], "12:00:00"),
        ],
        default_partition: "debug".into(),
    };
    Plan {
        format: plan::model::FORMAT,
        lab: "demo".into(),
        id: "0123456789abcdef".into(),
        clusters: vec![ClusterPlan {
            key: "demo".into(),
            name: "demo".into(),
            kind: "slurm".into(),
            slurm: Some(slurm),
            kubernetes: None,
            networks: vec![network("lan", 0), network("fabric", 1)],
            nodes: (0..3).map(node).collect(),
        }],
    }
}

/// What lies in the folder of that run.
pub(crate) fn attachments() -> Vec<Attachment> {
    let console = |node: &str| {
        let boot = (0..400).map(|line| {
            format!("[{:10.6}] systemd[1]: Started unit-{line:03}.service.\r\n", f64::from(line) * 0.0171)
        });
        let end = "\u{1b}[0;32m  OK  \u{1b}[0m Reached target multi-user.target.\r\n";
        let end = format!("{end}\r\nDebian GNU/Linux 13 {node} ttyS0\r\n\r\n{node} login: \r\n");
        boot.collect::<String>() + &end
    };
    let mut files: Vec<Attachment> = NODES
        .iter()
        .map(|node| Attachment { name: format!("consoles/demo-{node}.log"), text: console(node) })
        .collect();
    files.push(Attachment {
        name: "ansible.log".into(),
        text: (0..20_000).map(|line| format!("ok: [compute-01] => line {line}\n")).collect(),
    });
    files.push(Attachment {
        name: "xml/demo-controller.xml".into(),
        text: "<domain type='qemu'>\n  <name>demo-controller</name>\n</domain>\n".into(),
    });
    files
}
