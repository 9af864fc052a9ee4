//! Forks: the running lab once more beside itself, neither seeing the other.

use std::{fs, path::PathBuf, thread, time::Duration};

use crate::{
    bench::{Bench, words},
    start::Start,
};

#[test]
fn a_fork_goes_on_by_itself_and_outlives_its_parent() {
    let bench = Bench::new();
    bench.ok(&["cluster", "start", "bench.yaml"]);
    let on = |fork: &[&str], node: &str, command: &str| {
        bench.ok(&[&["ssh", "--file", "bench.yaml"], fork, &[node, command]].concat())
    };
    let (parent, one, two): (&[&str], &[&str], &[&str]) = (&[], &["--fork", "try1"], &["--fork", "try2"]);
    // A job that runs, and something that is in memory alone.
    on(parent, "controller", "sbatch -N1 --wrap 'sleep 600' && echo nonce >/run/nonce");
    let started = wait_for_job(&|| on(parent, "controller", "squeue -h -o '%i %T %N'"));

    bench.ok(&["cluster", "fork", "try", "bench.yaml", "--count", "2"]);
    let status = bench.ok(&["cluster", "status", "bench.yaml"]);
    assert!(status.contains("fork try1") && status.contains("fork try2"), "{status}");
    for fork in [one, two] {
        let said = on(fork, "controller", "cat /run/nonce; squeue -h -o '%i %T %N'; hostname; date +%s");
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[..3], ["nonce", started.as_str(), "controller"], "{said}");
        let late = now() - lines[3].parse::<i64>().unwrap();
        assert!(late.abs() <= 3, "the clock is {late} s late");
    }

    // What happens in one does not in the others.
    on(one, "controller", "scancel 1; echo one >/root/mark");
    assert_eq!(on(one, "compute-01", "hostname; cat /root/mark 2>/dev/null || true"), "compute-01\n");
    let elsewhere = "cat /root/mark 2>/dev/null; squeue -h -o '%i %T %N'";
    assert_eq!(on(two, "controller", elsewhere).trim(), started);
    assert_eq!(on(parent, "controller", elsewhere).trim(), started);

    // A name is taken once, and has to be one.
    for (name, why) in [("try1", "there is a fork `try1` already"), ("a/b", "is no name for this")] {
        let refused = bench.run(&["cluster", "fork", name, "bench.yaml"]);
        assert!(words(&refused).contains(why), "{}", words(&refused));
        assert!(!refused.status.success());
    }

    let destroyed = bench.run(&["cluster", "destroy", "bench.yaml", "--force"]);
    assert!(words(&destroyed).contains("its forks live on: try1, try2"), "{}", words(&destroyed));
    assert_eq!(on(one, "controller", "srun -N1 hostname"), "compute-01\n");
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force", "--fork", "try1"]);
    assert_eq!(on(two, "controller", elsewhere).trim(), started);
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force", "--fork", "try2"]);
    bench.assert_clean("forks");
}

#[test]
fn a_fork_that_is_killed_leaves_the_lab_as_it_was_and_nothing_else() {
    let bench = Bench::new();
    bench.ok(&["cluster", "start", "--no-deploy", "bench.yaml"]);
    let labs = bench.path("state/labs");
    let is_there = |suffix: &str| {
        let folders = fs::read_dir(&labs).unwrap().flatten().map(|entry| entry.path());
        folders.into_iter().any(|path| path.to_string_lossy().ends_with(suffix))
    };
    let frozen = |name: &str| {
        let lab: PathBuf = fs::read_dir(&labs).unwrap().flatten().next().unwrap().path();
        lab.join("snapshots/.fork.making").join(name).exists()
    };
    let moments: [(&str, &dyn Fn() -> bool); 4] = [
        ("the first machine is being frozen", &|| frozen("")),
        ("a memory is being saved", &|| frozen("hpc-controller/memory")),
        ("the fork has a folder", &|| is_there("+try")),
        ("the fork has a libvirt", &|| {
            is_there("+try")
                && fs::read_dir(&labs).unwrap().flatten().any(|entry| {
                    entry.path().join("sockets/libvirt-sock").exists()
                        && entry.path().to_string_lossy().ends_with("+try")
                })
        }),
    ];
    for (moment, is_now) in moments {
        let mut fork = bench.command(&["cluster", "fork", "try", "bench.yaml"]).spawn().unwrap();
        while !is_now() {
            assert!(fork.try_wait().unwrap().is_none(), "it was over before: {moment}");
            thread::sleep(Duration::from_millis(1));
        }
        fork.kill().unwrap();
        fork.wait().unwrap();
        // Its nodes go on by themselves.
        let paused = || bench.ok(&["cluster", "status", "bench.yaml"]).contains("paused");
        let limit = std::time::Instant::now() + Duration::from_secs(20);
        while paused() {
            assert!(std::time::Instant::now() < limit, "still held: {moment}");
            thread::sleep(Duration::from_millis(100));
        }
        let asked = bench.run(&["ssh", "--file", "bench.yaml", "compute-01", "hostname"]);
        assert!(words(&asked).contains("compute-01"), "{moment}: {}", words(&asked));
        let status = bench.run(&["cluster", "status", "bench.yaml", "--fork", "try"]);
        assert!(!words(&status).contains("running"), "{moment}: {}", words(&status));
    }
    // None of that is in the way of the next one.
    bench.ok(&["cluster", "fork", "try", "bench.yaml"]);
    let ssh = ["ssh", "--file", "bench.yaml", "--fork", "try", "compute-01", "hostname"];
    assert_eq!(bench.ok(&ssh), "compute-01\n");
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force", "--fork", "try"]);
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);
    bench.assert_clean("forks that were killed");
}

/// Checks that ruin where they run, and one that would notice.
const SUITE: &str = "\
name: ruin
description: What ruins a node does so on a fork
kinds: [slurm]
checks:
  - {name: whole, description: Nothing is ruined, on: each, timeout: 5, run: 'test ! -e /root/ruined'}
  - name: ruinous
    description: It ruins the node
    on: first-compute
    timeout: 20
    destructive: true
    run: 'test ! -e /root/ruined; touch /root/ruined; sync; echo seen >/dev/console; rm -rf /etc/ssh /root/.ssh'
  - {name: slow, description: It takes its time, on: controller, timeout: 100, destructive: true, run: 'touch /root/ruined; sleep 90'}
";

#[test]
fn what_is_destructive_runs_on_a_fork_that_goes() {
    let bench = Bench::new();
    // Forks lack the cluster beside it, whose node cannot be frozen.
    let config = fs::read_to_string(bench.path("bench.yaml")).unwrap();
    let mixed = format!("{config}  prompts: {{kind: appliance, nodes: [{{name: prompt-01}}]}}\n");
    fs::write(bench.path("bench.yaml"), mixed).unwrap();
    bench.ok(&["cluster", "start", "--no-deploy", "bench.yaml"]);
    let suite = bench.path("suites/ruin");
    fs::create_dir_all(&suite).unwrap();
    fs::write(suite.join("suite.yaml"), SUITE).unwrap();
    let command = |check| {
        let words =
            ["test", "--file", "bench.yaml", "--format", "json", "--suites", "suites", "run-test", check];
        bench.command(&words)
    };
    let told = Start::of(&bench, command("ruinous"), "ruinous").done();
    let fork = told.fork_of("ruinous");
    assert!(fork.starts_with("test-"), "{fork}");
    // Its console is kept, and the fork is not.
    let console = bench.path("state/runs/latest/consoles").join(format!("hpc-compute-01@{fork}.log"));
    assert!(fs::read_to_string(&console).unwrap().contains("seen"), "{console:?}");
    assert_eq!(forks(&bench), Vec::<String>::new());
    assert_eq!(Start::of(&bench, command("whole"), "whole").done().fork_of("whole"), "");

    // Killed while a fork is in use: it ends with the command, and the lab is as it was.
    let mut killed = Start::of(&bench, command("slow"), "slow");
    killed.wait_for("check-started");
    assert_eq!(forks(&bench).len(), 1);
    killed.kill();
    let limit = std::time::Instant::now() + Duration::from_secs(20);
    while !forks(&bench).is_empty() {
        assert!(std::time::Instant::now() < limit, "still there: {:?}", forks(&bench));
        thread::sleep(Duration::from_millis(50));
    }
    Start::of(&bench, command("whole"), "whole").done();
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);
    bench.assert_clean("checks on forks");
}

/// The forks of the lab.
fn forks(bench: &Bench) -> Vec<String> {
    let status = bench.ok(&["cluster", "status", "bench.yaml", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let names = status["forks"].as_array().unwrap().iter();
    names.map(|name| name.as_str().unwrap().to_owned()).collect()
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

fn wait_for_job(queue: &dyn Fn() -> String) -> String {
    for _ in 0..60 {
        let jobs = queue();
        if jobs.contains("RUNNING") {
            return jobs.trim().to_owned();
        }
        thread::sleep(Duration::from_secs(1));
    }
    panic!("no job runs: {}", queue());
}
