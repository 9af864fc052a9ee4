//! Labs of appliances: their life, and the suite that proves them, with its sabotages.

use std::{
    fs,
    io::{Read, Write},
    path::PathBuf,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::bench::{Bench, words};

/// One without a model, and one with. Threads of llama.cpp that share a busy processor wait for each other, so there is one.
const TWO: &str = r#"version: "2.0"
name: bench
clusters:
  prompts:
    kind: appliance
    defaults: {cpus: 1, memory_mib: 256}
    nodes:
      - {name: prompt-01}
      - {name: prompt-02, model: tiny.gguf, memory_mib: 448}
"#;

/// One with a model, for which every check is.
const ONE: &str = r#"version: "2.0"
name: bench
clusters:
  prompts:
    kind: appliance
    model: tiny.gguf
    defaults: {cpus: 1, memory_mib: 448}
    nodes: [{name: prompt-01}]
"#;

/// How long a console may take to answer on a host that does much else.
const PATIENCE: Duration = Duration::from_secs(120);

/// A bench whose lab is this one.
fn bench(config: &str) -> Bench {
    let bench = Bench::new();
    fs::write(bench.path("bench.yaml"), config).unwrap();
    bench.ok(&["prompt", "tiny-model", "tiny.gguf"]);
    bench
}

/// The program where there is no Ansible.
fn without_ansible(bench: &Bench, arguments: &[&str]) -> Command {
    let mut command = bench.command(arguments);
    command.env("AI_HOW_ANSIBLE", "/nowhere");
    command
}

/// Runs it to its good end.
fn ok(bench: &Bench, arguments: &[&str]) {
    let output = without_ansible(bench, arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", words(&output));
}

/// What became of the checks of the newest run: suite and check, node, outcome.
fn checks(bench: &Bench) -> Vec<[String; 3]> {
    let events = bench.events();
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let text = |event: &Value, key: &str| event[key].as_str().unwrap().to_owned();
    let ended = events.filter(|event| event["event"] == "check-finished");
    let told = |event: Value| {
        let check = format!("{}/{}", text(&event, "suite"), text(&event, "check"));
        [check, text(&event, "node"), text(&event, "outcome")]
    };
    ended.map(told).collect()
}

fn lab(bench: &Bench) -> PathBuf {
    fs::read_dir(bench.path("state/labs")).unwrap().next().unwrap().unwrap().path()
}

/// Types on a node's console until it is answered so.
fn console_answers(bench: &Bench, node: &str, question: &str, answer: &str) {
    let mut console = bench.command(&["console", "--file", "bench.yaml", node]);
    let console = console.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut console = console.spawn().unwrap();
    let (teller, told) = mpsc::channel();
    let reader = thread::spawn({
        let (mut output, answer) = (console.stdout.take().unwrap(), answer.to_owned());
        move || {
            let (mut seen, mut buffer) = (String::new(), [0; 1024]);
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
                if seen.contains(&answer) {
                    break;
                }
            }
            // Nobody listens any more when it came too late.
            let _ = teller.send(());
            seen
        }
    });
    console.stdin.as_mut().unwrap().write_all(question.as_bytes()).unwrap();
    let in_time = told.recv_timeout(PATIENCE).is_ok();
    // The machine runs on, so the program waits for it; ending it is ours.
    console.kill().unwrap();
    console.wait().unwrap();
    let seen = reader.join().unwrap();
    assert!(in_time && seen.contains(answer), "{seen}");
}

#[test]
fn appliances_live_answer_and_pass_their_suite() {
    let bench = bench(TWO);
    let start = ["cluster", "start", "bench.yaml"];
    ok(&bench, &start);
    let status = bench.ok(&["cluster", "status", "bench.yaml", "--format", "json"]);
    let status: Value = serde_json::from_str(&status).unwrap();
    let folder = lab(&bench).display().to_string();
    for node in status["nodes"].as_array().unwrap() {
        assert_eq!((&node["ready"], &node["address"]), (&Value::Bool(true), &Value::Null), "{node}");
        // Whose emulator it is can be seen, so it would be told if it stayed.
        let domain = node["domain"].as_str().unwrap();
        assert!(system::host::guest_process(domain, &folder).is_some(), "{domain}");
    }
    console_answers(&bench, "prompt-01", "hello you\n", "assistant: hello you");
    let refused = bench.run(&["ssh", "--file", "bench.yaml", "prompt-01", "true"]);
    assert_eq!(refused.status.code(), Some(2));
    let told = "prompt-01 is an appliance: it has no SSH; `ai-how console prompt-01` attaches to its prompt";
    assert!(words(&refused).contains(told), "{}", words(&refused));

    // Beside a cluster that has nothing to deploy, Ansible is asked for nothing.
    ok(&bench, &["test", "deploy-ansible", "--file", "bench.yaml"]);
    ok(&bench, &["test", "run-tests", "appliance", "--file", "bench.yaml"]);
    let checks = checks(&bench);
    let with = |wanted: &str| checks.iter().filter(|[.., outcome]| outcome == wanted).count();
    assert_eq!((with("passed"), with("skipped"), checks.len()), (13, 1, 14), "{checks:?}");
    let skipped = ["appliance/perf", "prompt-01", "skipped"].map(str::to_owned);
    assert!(checks.contains(&skipped), "{checks:?}");
    // What the checks started is recorded with the run, and nothing of it is in the lab.
    let records = bench.path("state/runs/latest/runs/prompt-02/latest");
    assert!(fs::read_to_string(records.join("events.jsonl")).unwrap().contains("\"check\":\"perf\""));
    assert!(!lab(&bench).join("work").exists());

    // What runs is known without the record, and a start finds everything as it should be.
    let record = lab(&bench).join("plan.json");
    fs::remove_file(&record).unwrap();
    assert!(bench.ok(&["topology"]).contains("prompt-02"));
    assert!(bench.ok(&["vm", "status", "prompts-prompt-01"]).contains("running"));
    ok(&bench, &start);
    assert!(record.exists() && !bench.events().contains("\"booting\""), "{}", bench.events());

    bench.ok(&["cluster", "stop", "bench.yaml"]);
    ok(&bench, &start);
    // The log has the boot of before, too.
    ok(&bench, &["test", "run-test", "console-clean", "--file", "bench.yaml"]);
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);
    bench.assert_clean("a destroy");
}

#[test]
fn every_sabotage_of_an_appliance_is_noticed() {
    let bench = bench(ONE);
    let list: Value = serde_json::from_str(&bench.ok(&["test", "list-tests", "--format", "json"])).unwrap();
    let suite = list["suites"].as_array().unwrap().iter().find(|suite| suite["name"] == "appliance").unwrap();
    let count = |check: &Value| check["sabotages"].as_u64().unwrap();
    let expected: u64 = suite["checks"].as_array().unwrap().iter().map(count).sum();

    ok(&bench, &["test", "sabotage", "appliance", "--file", "bench.yaml"]);
    let checks = checks(&bench);
    assert!(checks.iter().all(|[.., outcome]| outcome == "passed"), "{checks:?}");
    let sabotages = checks.iter().filter(|[check, ..]| check.starts_with("sabotage/appliance/")).count();
    assert_eq!(u64::try_from(sabotages).unwrap(), expected, "{checks:?}");
    bench.assert_clean("a sabotage");
}
