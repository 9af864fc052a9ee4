//! Snapshots: a cluster that works goes back to one moment as a whole, and a command that is killed leaves no half of one.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    bench::{Bench, words},
    start::{MACHINES, Start},
};

const NODES: [&str; 2] = ["controller", "compute-01"];

/// How long a node may take to answer over SSH. A connection that nobody ends hangs for a quarter of an hour.
const SSH_LIMIT: Duration = Duration::from_secs(60);

/// Both sides of the clock's comparison have something to do between.
const CLOCK_TOLERANCE: f64 = 2.0;

/// One fact a line: the clock first and at once, then the uptime, what is in memory alone, and the files.
const FACTS: &str = "date +%s.%N; read -r uptime idle </proc/uptime; echo uptime $uptime; \
    echo boot $(</proc/sys/kernel/random/boot_id); echo nonce $(cat /run/nonce); echo files $(cd /root; ls); \
    echo munge $(munge -n | unmunge --keys=STATUS); ";

/// A job that tells every second that it runs.
const JOB: &str = "sbatch --parsable --nodelist=compute-01 --output=/root/ticks --wrap='for i in $(seq 900); do date +%s; sleep 1; done'";

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// What a node says of itself.
#[derive(Debug)]
struct Node {
    facts: BTreeMap<String, String>,
    /// When it was asked, what its clock said, and when that was heard.
    clocks: [f64; 3],
}

impl Node {
    /// Asks a node, in one session, for its facts and for more lines of that kind.
    fn ask(bench: &Bench, node: &str, more: &str) -> Self {
        let asked = now();
        let script = format!("{FACTS}{more}");
        let mut ssh = bench.command(&["ssh", "--file", "bench.yaml", node, &script]);
        let mut ssh = ssh.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(ssh.stdout.take().unwrap());
        let (teller, told) = mpsc::channel();
        thread::spawn(move || {
            let (mut clock, mut rest) = (String::new(), String::new());
            output.read_line(&mut clock).unwrap();
            let heard = now();
            output.read_to_string(&mut rest).unwrap();
            // Nobody listens any more when it came too late.
            let _ = teller.send((clock, heard, rest));
        });
        let Ok((clock, heard, rest)) = told.recv_timeout(SSH_LIMIT) else {
            ssh.kill().unwrap();
            panic!("{node} did not answer within {SSH_LIMIT:?}")
        };
        assert!(ssh.wait().unwrap().success(), "{node}: {clock}{rest}");
        let said = clock.trim().parse().unwrap_or_else(|_| panic!("{node}: {clock:?} is no time"));
        let facts = rest.lines().map(|line| line.split_once(' ').unwrap_or((line, "")));
        Self {
            facts: facts.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            clocks: [asked, said, heard],
        }
    }

    fn fact(&self, name: &str) -> &str {
        self.facts.get(name).unwrap_or_else(|| panic!("no {name} in {self:#?}"))
    }

    fn numbers(&self, name: &str) -> Vec<f64> {
        self.fact(name).split(' ').map(|word| word.parse().unwrap()).collect()
    }

    fn uptime(&self) -> f64 {
        self.numbers("uptime")[0]
    }

    /// Its clock is the host's.
    fn assert_on_time(&self) {
        let [asked, said, heard] = self.clocks;
        assert!(said > asked - CLOCK_TOLERANCE && said < heard + CLOCK_TOLERANCE, "{self:#?}");
    }

    /// And who has a credential of it believes it.
    fn assert_well(&self) {
        self.assert_on_time();
        assert_eq!(self.fact("munge"), "STATUS: Success (0)", "{self:#?}");
    }
}

fn on(bench: &Bench, node: &str, script: &str) -> String {
    bench.ok(&["ssh", "--file", "bench.yaml", node, script])
}

fn snapshot(bench: &Bench, arguments: &[&str]) -> Output {
    bench.run(&[&["cluster", "snapshot"], arguments, &["bench.yaml"]].concat())
}

fn snapshot_ok(bench: &Bench, arguments: &[&str]) -> String {
    let output = snapshot(bench, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", words(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// It is refused, with this status and these words.
fn assert_refused(bench: &Bench, arguments: &[&str], status: i32, why: &str) {
    let output = snapshot(bench, arguments);
    assert!(words(&output).contains(why), "{arguments:?}: {}", words(&output));
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", words(&output));
}

/// Waits for a program to end.
fn assert_ends(child: &mut Child, what: &str) {
    let limit = Instant::now() + SSH_LIMIT;
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < limit, "{what} goes on");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Where the lab keeps its snapshots.
fn store(bench: &Bench) -> PathBuf {
    let mut labs = fs::read_dir(bench.path("state/labs")).unwrap().flatten();
    labs.next().unwrap().path().join("snapshots")
}

/// What is in there, whole or not.
fn stored(bench: &Bench) -> Vec<String> {
    let entries = fs::read_dir(store(bench)).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The names of the snapshots, each of which has two nodes and takes room.
fn listed(bench: &Bench) -> Vec<String> {
    let list: serde_json::Value =
        serde_json::from_str(&snapshot_ok(bench, &["list", "--format", "json"])).unwrap();
    let name = |snapshot: &serde_json::Value| {
        assert_eq!(snapshot["nodes"].as_array().unwrap().len(), 2, "{list}");
        assert!(snapshot["size_mib"].as_u64().unwrap() > 0, "{list}");
        snapshot["name"].as_str().unwrap().to_owned()
    };
    list.as_array().unwrap().iter().map(name).collect()
}

/// A cluster at the moment of its snapshot, and what was done to it since.
struct Then {
    job: String,
    nodes: BTreeMap<&'static str, Node>,
    /// Seconds that are gone: the snapshot is older, and the way back did not begin.
    gone: [f64; 2],
}

impl Then {
    /// Goes back to it: the cluster is what it was, and its work goes on.
    fn assert_is_back_after_a_revert(&self, bench: &Bench) {
        let watch = Instant::now();
        snapshot_ok(bench, &["revert", "before"]);
        let took = watch.elapsed().as_secs_f64();
        let mut nodes = BTreeMap::new();
        // A growing file takes some time to be seen growing, which is not the controller's.
        let grows = "one=$(wc -l </root/ticks); sleep 3; two=$(wc -l </root/ticks); \
                     echo ticks $(</root/ticks); echo lines $one $two";
        nodes.insert("compute-01", Node::ask(bench, "compute-01", grows));
        // The node has one processor, and the job has it until it is cancelled.
        let job = &self.job;
        let works = format!(
            "echo jobs $(squeue --noheader --format='%i %T'); echo states $(sinfo --noheader --format=%T); \
             echo step $(srun --overlap --jobid={job} hostname); scancel {job}; echo new $(srun -N1 hostname); \
             echo later $(sinfo --noheader --format=%T)"
        );
        nodes.insert("controller", Node::ask(bench, "controller", &works));

        for (name, node) in &nodes {
            let then = &self.nodes[name];
            node.assert_well();
            assert_eq!(node.fact("nonce"), then.fact("nonce"), "{name}: what is in memory alone");
            assert_eq!(node.fact("boot"), then.fact("boot"), "{name} booted");
            assert!(!node.fact("files").contains("since"), "{node:#?}");
            // Less than the host's time, by what is gone.
            let [from, to] = self.gone;
            let most = then.uptime() + node.clocks[2] - then.clocks[0] - (to - from) + CLOCK_TOLERANCE;
            assert!(node.uptime() > then.uptime() && node.uptime() < most, "{most} {then:#?} {node:#?}");
        }
        let (controller, compute) = (&nodes["controller"], &nodes["compute-01"]);
        assert_eq!(controller.fact("jobs"), format!("{job} RUNNING"));
        assert_eq!((controller.fact("step"), controller.fact("new")), ("compute-01", "compute-01"));
        for states in ["states", "later"] {
            let bad =
                |state: &&str| ["drain", "down", "fail", "unk", "*"].iter().any(|word| state.contains(word));
            assert_eq!(controller.fact(states).split(' ').find(bad), None, "{controller:#?}");
        }
        assert!(compute.numbers("lines")[1] > compute.numbers("lines")[0], "{compute:#?}");
        // Until its clock is set, a node is where it was in time.
        let in_vain = |tick: &f64| (self.gone[0] + took..self.gone[1]).contains(tick);
        assert_eq!(compute.numbers("ticks").into_iter().find(in_vain), None, "{:?} {compute:#?}", self.gone);
    }
}

#[test]
fn a_cluster_goes_back_to_a_snapshot_and_its_job_goes_on() {
    let bench = Bench::new();
    bench.ok(&["cluster", "start", "bench.yaml"]);
    assert_eq!(snapshot_ok(&bench, &["list"]), "");
    assert_refused(&bench, &["revert", "before"], 2, "there is no snapshot `before`; there are: none");

    let job = on(&bench, "controller", JOB).trim().to_owned();
    let mut nodes = BTreeMap::new();
    for node in NODES {
        let more = "until [ -s /root/ticks ]; do sleep 0.2; done";
        on(
            &bench,
            node,
            &format!("echo $RANDOM$RANDOM >/run/nonce; [ $(hostname) = controller ] || {{ {more}; }}"),
        );
        nodes.insert(node, Node::ask(&bench, node, ""));
    }
    snapshot_ok(&bench, &["create", "before"]);
    assert_eq!(listed(&bench), ["before"]);
    let text = snapshot_ok(&bench, &["list"]);
    assert!(
        text.starts_with("  before  ") && text.contains("  2 nodes") && text.contains(" MiB\n"),
        "{text}"
    );

    // What was taken goes on, on the host's time, and the snapshot knows nothing of it.
    let taken = now();
    for (node, then) in &nodes {
        let later = Node::ask(&bench, node, "");
        later.assert_well();
        assert!(later.uptime() > then.uptime(), "{later:#?}");
    }
    thread::sleep(Duration::from_secs(3));
    on(&bench, "compute-01", "touch /root/since; rm /run/nonce; sync");
    on(&bench, "controller", &format!("touch /root/since; scancel {job}; sync"));
    let then = Then { job, nodes, gone: [taken + CLOCK_TOLERANCE, now()] };

    // A session that is open hears of its end, and does not hold up the next.
    let mut kept = bench.command(&["ssh", "--file", "bench.yaml", "compute-01", "sleep 600"]);
    let mut kept = kept.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    thread::sleep(Duration::from_secs(2));
    then.assert_is_back_after_a_revert(&bench);
    assert_ends(&mut kept, "a session of before the revert");

    // As often as one likes: what a node did since is in no snapshot.
    then.assert_is_back_after_a_revert(&bench);
    let status: serde_json::Value =
        serde_json::from_str(&bench.ok(&["cluster", "status", "bench.yaml", "--format", "json"])).unwrap();
    let ready = status["nodes"].as_array().unwrap().iter().filter(|node| node["ready"] == true).count();
    assert_eq!(ready, 2, "{status}");

    names_are_looked_at(&bench);

    // Nodes run on without the snapshot that they went back to; and an unused one goes with the lab.
    snapshot_ok(&bench, &["rm", "before"]);
    assert_eq!((listed(&bench), stored(&bench)), (vec![], vec![]));
    assert_refused(&bench, &["revert", "before"], 2, "there is no snapshot `before`; there are: none");
    for (node, then) in &then.nodes {
        let later = Node::ask(&bench, node, "cat /usr/bin/* /usr/sbin/* | wc -c");
        later.assert_well();
        assert_eq!(later.fact("boot"), then.fact("boot"));
    }
    assert_eq!(on(&bench, "controller", "srun -N1 hostname"), "compute-01\n");
    snapshot_ok(&bench, &["create", "last"]);
    a_job_outlives_the_hours_until_a_revert(&bench);
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);
    bench.assert_clean("a snapshot");
    assert_eq!(fs::read_dir(bench.path("state/labs")).unwrap().count(), 0);
}

/// To SLURM a job of two hours ago has long been over its limit of ten minutes when the clocks are set.
fn a_job_outlives_the_hours_until_a_revert(bench: &Bench) {
    on(bench, "controller", "scancel --user root; systemctl stop slurmctld");
    on(bench, "compute-01", "systemctl stop slurmd");
    let then = now() - 7200.0;
    for (node, services) in [("controller", "munge slurmctld"), ("compute-01", "munge slurmd")] {
        on(bench, node, &format!("date -s @{then:.0} >/dev/null; systemctl restart {services}"));
    }
    let submit = "until sinfo -h -o %T | grep -qx idle; do sleep 0.5; done; \
                  job=$(sbatch --parsable -t 10 --wrap 'sleep 3000'); \
                  until [ \"$(squeue -h -j $job -o %T)\" = RUNNING ]; do sleep 0.5; done; date +%s";
    let asked: f64 = on(bench, "controller", submit).trim().parse().unwrap();
    assert!(now() - asked > 7000.0, "the clock was not set back");
    snapshot_ok(bench, &["create", "hours"]);
    snapshot_ok(bench, &["revert", "hours"]);
    // slurmctld looks at limits every half minute.
    thread::sleep(Duration::from_secs(35));
    // A node that it has asked and not heard from yet has an asterisk for a moment.
    let state = "date +%s; squeue -h -o %T; for _ in $(seq 60); do sinfo -h -o %T | grep -qF '*' || break; sleep 1; done; \
                 sinfo -h -o %T";
    let found = on(bench, "controller", state);
    let found: Vec<&str> = found.lines().collect();
    assert!((now() - found[0].parse::<f64>().unwrap()).abs() < 60.0, "the clock was not set: {found:?}");
    assert_eq!(found[1..], ["RUNNING", "allocated"]);
}

fn names_are_looked_at(bench: &Bench) {
    let hint = "there is a snapshot `before` already; `ai-how cluster snapshot rm before` removes it";
    assert_refused(bench, &["create", "before"], 1, hint);
    for name in [".x", "a/b", "..", "", "a b"] {
        assert_refused(bench, &["create", name], 2, &format!("`{name}` is no name for this"));
        assert_refused(
            bench,
            &["revert", name],
            2,
            &format!("there is no snapshot `{name}`; there are: before"),
        );
        assert_refused(bench, &["rm", name], 2, &format!("there is no snapshot `{name}`; there are: before"));
    }
    assert_eq!(stored(bench), ["before"]);
}

/// After a start both nodes answer, neither of which was booted by it, and they know how late it is.
fn assert_usable_after_a_start(bench: &Bench, after: &str) {
    let start = bench.command(&[&MACHINES[..], &["bench.yaml"]].concat());
    let told = Start::of(bench, start, "again").done();
    assert_eq!((told.copied_and_booted(), told.warnings()), ((0, 0), Vec::new()), "{after}: {told:?}");
    for name in NODES {
        let node = Node::ask(bench, name, "echo name $(hostname)");
        assert_eq!(node.fact("name"), name, "{after}");
        node.assert_on_time();
    }
}

/// What is in the memory of each node alone.
fn nonces(bench: &Bench) -> [String; 2] {
    NODES.map(|node| on(bench, node, "cat /run/nonce").trim().to_owned())
}

#[test]
fn killed_at_any_moment_there_are_whole_snapshots_and_a_lab() {
    let bench = Bench::new();
    bench.ok(&["cluster", "start", "--no-deploy", "bench.yaml"]);
    for node in NODES {
        on(&bench, node, &format!("echo {node} >/run/nonce"));
    }
    snapshot_ok(&bench, &["create", "whole"]);
    let spawn = |verb: &str, name: &str| {
        let command = bench.command(&["cluster", "snapshot", verb, name, "bench.yaml", "--format", "json"]);
        Start::of(&bench, command, verb)
    };

    let staging = || store(&bench).join(".half.making");
    let has_memory = || {
        let nodes = fs::read_dir(staging()).into_iter().flatten().flatten();
        nodes.into_iter().any(|node| node.path().join("memory").exists())
    };
    let moments: [(&str, &dyn Fn() -> bool); 2] =
        [("its folder", &|| staging().exists()), ("a memory", &has_memory)];
    for (moment, is_there) in moments {
        let mut create = spawn("create", "half");
        create.wait_until(moment, |_| is_there());
        create.kill();
        let after = format!("kill -9 when there was {moment}");
        assert_eq!(listed(&bench), ["whole"], "{after}");
        // Nodes that were held go on, and are those that they were.
        thread::sleep(Duration::from_secs(3));
        assert_usable_after_a_start(&bench, &after);
        assert_eq!(nonces(&bench), NODES, "{after}");
    }
    snapshot_ok(&bench, &["create", "half"]);
    assert_eq!((listed(&bench).len(), stored(&bench)), (2, vec!["half".to_owned(), "whole".to_owned()]));

    let started: &dyn Fn() -> bool = &|| true;
    let is_on_its_way: &dyn Fn() -> bool = &|| store(&bench).with_file_name("reverting").exists();
    let moments = [(started, 100), (started, 400), (started, 800), (is_on_its_way, 0), (is_on_its_way, 300)];
    for (number, (is_there, wait)) in moments.into_iter().enumerate() {
        on(&bench, "controller", "echo since >/run/nonce");
        on(&bench, "compute-01", "echo since >/run/nonce");
        let mut revert = spawn("revert", "whole");
        revert.wait_until("its begin", |_| is_there());
        thread::sleep(Duration::from_millis(wait));
        let killed = revert.kill_if_it_runs();
        let after = format!("kill -9 of a revert, number {number}");
        assert_eq!(listed(&bench), ["whole", "half"], "{after}");
        assert_usable_after_a_start(&bench, &after);
        // All of then or all of now.
        let found = nonces(&bench);
        assert!(found == NODES || (found == ["since"; 2] && killed), "{after}: {found:?}");
        println!("{after}: killed {killed}, {found:?}");
    }
    snapshot_ok(&bench, &["revert", "half"]);
    assert_eq!(nonces(&bench), NODES);
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);
    bench.assert_clean("snapshots and reverts that were killed");
}
