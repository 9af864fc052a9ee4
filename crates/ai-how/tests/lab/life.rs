//! The life of a cluster: start, look, stop, start again, destroy.

use std::{collections::BTreeSet, fs, io::Write, process::Stdio};

use crate::{
    bench::{Bench, words},
    host,
};

#[test]
fn a_cluster_lives_over_a_stop_and_leaves_nothing() {
    let bench = Bench::new();
    let file = ["cluster", "start", "--no-deploy", "bench.yaml"];
    bench.ok(&file);
    let status: serde_json::Value =
        serde_json::from_str(&bench.ok(&["cluster", "status", "bench.yaml", "--format", "json"])).unwrap();
    let ready = status["nodes"].as_array().unwrap().iter().filter(|node| node["ready"] == true).count();
    assert_eq!(ready, 2, "{status}");
    only_the_keeper_stays(&bench);
    what_runs_is_known_without_the_record(&bench);

    // Every node is who the plan says it is, and reaches the other by name.
    let on = |node: &str, command: &str| bench.ok(&["ssh", "--file", "bench.yaml", node, command]);
    assert_eq!(on("controller", "hostname"), "controller\n");
    assert_ne!(on("controller", "cat /etc/machine-id"), on("compute-01", "cat /etc/machine-id"));
    assert_eq!(bench.run(&["ssh", "--file", "bench.yaml", "compute-01", "exit 7"]).status.code(), Some(7));
    on("compute-01", "echo kept > ~/kept && sync");

    // A second start finds everything as it should be.
    bench.ok(&file);
    assert!(!bench.events().contains("\"booting\""), "{}", bench.events());

    // Two at once: one works, the other says why it does not.
    let mut first = bench
        .command(&["test", "deploy-ansible", "--file", "bench.yaml"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    bench.wait_for_event(&mut first, "\"event\":\"task\"");
    let second = bench.run(&["cluster", "stop", "bench.yaml"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(words(&second).contains("another ai-how is at work on the lab bench-"), "{}", words(&second));
    assert!(first.wait().unwrap().success());

    // Deployed twice, changed once.
    bench.ok(&["test", "deploy-ansible", "--file", "bench.yaml"]);
    assert!(bench.events().contains("\"status\":\"ok\""));
    assert!(!bench.events().contains("\"status\":\"changed\""), "{}", bench.events());

    // One test is one test.
    bench.ok(&["test", "run-test", "slurm-controller/slurmctld-answers", "--file", "bench.yaml"]);
    assert_eq!(bench.events().matches("\"check-finished\"").count(), 1);

    console_answers(&bench);
    every_node_is_at_hand(&bench);

    bench.ok(&["cluster", "stop", "bench.yaml"]);
    bench.ok(&file);
    assert_eq!(on("compute-01", "cat ~/kept"), "kept\n");

    bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);
    bench.assert_clean("a destroy");
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);
}

/// While a cluster runs there is no process of ours but its keeper, with the `unshare` that it is the child of.
fn only_the_keeper_stays(bench: &Bench) {
    let lines: Vec<String> = host::processes(&bench.path("")).into_iter().map(|(_, line)| line).collect();
    let program = |line: &str| {
        line.split(' ').next().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned()
    };
    let ours: Vec<&String> = lines.iter().filter(|line| program(line) == "ai-how").collect();
    assert!(matches!(ours[..], [keeper] if keeper.contains(" lab-keeper ")), "{ours:#?}");
    let programs: BTreeSet<String> = lines.iter().map(|line| program(line)).collect();
    let known = ["unshare", "ai-how", "dnsmasq", "libvirtd", "qemu-system-x86_64"].map(str::to_owned);
    assert!(programs.is_subset(&known.into()), "{lines:#?}");
}

/// Without `plan.json` the marks of machines tell what runs.
fn what_runs_is_known_without_the_record(bench: &Bench) {
    let lab = fs::read_dir(bench.path("state/labs")).unwrap().next().unwrap().unwrap().path();
    // A machine that is started by its name is of the same file.
    bench.ok(&["vm", "start", "hpc-compute-01"]);
    let file = fs::canonicalize(bench.path("bench.yaml")).unwrap();
    assert_eq!(fs::read_to_string(lab.join("file")).unwrap(), file.display().to_string());
    let (record, away) = (lab.join("plan.json"), bench.path("away"));
    fs::rename(&record, &away).unwrap();
    assert!(bench.ok(&["topology"]).contains("compute-01"));
    assert!(bench.ok(&["vm", "status", "hpc-compute-01"]).contains("running"));
    assert!(bench.ok(&["ssh-config", "--file", "bench.yaml"]).contains("Host compute-01"));
    assert_eq!(bench.ok(&["ssh", "--file", "bench.yaml", "compute-01", "hostname"]), "compute-01\n");
    fs::rename(&away, &record).unwrap();
}

/// Commands on several nodes, files to and from them, their logs, and programs that only know OpenSSH.
fn every_node_is_at_hand(bench: &Bench) {
    let exec = |arguments: &[&str]| bench.run(&[&["exec", "--file", "bench.yaml"], arguments].concat());
    let said = |output: &std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let all = exec(&["--all", "--", "hostname; exit 0"]);
    assert_eq!(said(&all), "controller: controller\ncompute-01: compute-01\n");
    let failed = exec(&["--role", "compute", "--format", "json", "--", "echo out; exit 3"]);
    assert_eq!(failed.status.code(), Some(1));
    let answer: serde_json::Value = serde_json::from_str(&said(&failed)).unwrap();
    let expected = serde_json::json!([{"node": "compute-01", "code": 3, "stdout": "out\n", "stderr": ""}]);
    assert_eq!(answer["nodes"], expected);
    let late = exec(&["--node", "controller", "--timeout", "1", "--", "sleep 20"]);
    assert!(words(&late).contains("did not finish within 1 s"), "{}", words(&late));

    let (file, back) = (bench.path("file").display().to_string(), bench.path("back").display().to_string());
    std::fs::write(&file, "carried\n").unwrap();
    bench.ok(&["cp", "--file", "bench.yaml", &file, "controller:/root/file"]);
    bench.ok(&["cp", "--file", "bench.yaml", "hpc-controller:/root/file", &back]);
    assert_eq!(std::fs::read_to_string(&back).unwrap(), "carried\n");

    let journal =
        ["logs", "--file", "bench.yaml", "controller", "--journal", "--unit", "slurmctld", "-n", "1"];
    assert_eq!(bench.ok(&journal).lines().count(), 1);

    // OpenSSH by itself, from outside of the lab, with more than one buffer of data.
    let config = bench.path("ssh.conf");
    std::fs::write(&config, bench.ok(&["ssh-config", "--file", "bench.yaml"])).unwrap();
    let ssh = std::process::Command::new("ssh")
        .arg("-F")
        .arg(&config)
        .args(["compute-01", "hostname; head -c 1000000 /dev/zero | wc -c; head -c 1000000 /dev/zero"])
        .output()
        .unwrap();
    let (head, rest) = ssh.stdout.split_at(b"compute-01\n1000000\n".len());
    assert_eq!(String::from_utf8_lossy(head), "compute-01\n1000000\n", "{}", words(&ssh));
    assert_eq!(rest.len(), 1_000_000);
}

/// Typing on the console gets a shell, without a password.
fn console_answers(bench: &Bench) {
    let mut console = bench.command(&["console", "--file", "bench.yaml", "compute-01"]);
    let mut console =
        console.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut keys = console.stdin.take().unwrap();
    let (teller, told) = std::sync::mpsc::channel();
    let reader = std::thread::spawn({
        let mut output = console.stdout.take().unwrap();
        move || {
            let (mut seen, mut buffer) = (String::new(), [0; 1024]);
            while let Ok(count @ 1..) = std::io::Read::read(&mut output, &mut buffer) {
                seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
                if seen.contains("answer=42") {
                    break;
                }
            }
            // Nobody listens any more when it came too late.
            let _ = teller.send(());
            seen
        }
    });
    // The first key wakes the login; keys that come before the shell is there are lost, so they are typed again.
    for _ in 0..60 {
        if keys.write_all(b"\necho answer=$((6*7))\n").is_err()
            || told.recv_timeout(std::time::Duration::from_secs(1)).is_ok()
        {
            break;
        }
    }
    // The machine runs on, so the program waits for it; ending it is ours.
    console.kill().unwrap();
    console.wait().unwrap();
    assert!(reader.join().unwrap().contains("answer=42"));
}
