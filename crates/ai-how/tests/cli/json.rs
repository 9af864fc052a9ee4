//! `--format json`: every command takes it, and what it writes is JSON, also when there is nothing to do.

use std::fs;

use ai_how::cli::Cli;
use clap::CommandFactory;
use serde_json::{Value, json};

use crate::home::{Home, LAB};

/// Who has no such form: what goes to and comes from a node as it is, and what is written for a shell or for `man`.
const WITHOUT: [&str; 7] = ["completion", "console", "cp", "logs", "man", "prompt run", "ssh"];

#[test]
fn every_command_takes_it() {
    fn walk(command: &clap::Command, path: &str, without: &mut Vec<String>) {
        let inner = || command.get_subcommands().filter(|inner| !inner.is_hide_set());
        for inner in inner().filter(|inner| inner.get_name() != "help") {
            walk(inner, format!("{path} {}", inner.get_name()).trim_start(), without);
        }
        if command.is_subcommand_required_set() {
            return;
        }
        let format = command.get_arguments().find(|argument| argument.get_long() == Some("format"));
        let takes = format.is_some_and(|format| {
            format.get_possible_values().iter().any(|value| value.get_name() == "json")
        });
        if !takes {
            without.push(path.to_owned());
        }
    }
    let mut root = Cli::command();
    // Options of `test` are those of its verbs only then.
    root.build();
    let mut without = Vec::new();
    walk(&root, "", &mut without);
    without.sort();
    assert_eq!(without, WITHOUT);
}

/// A home with the lab, and its folder as `cluster status` names it.
fn home() -> (Home, Value) {
    let home = Home::new();
    home.write("lab.yaml", LAB);
    let status = home.run(["cluster", "status", "lab.yaml", "--format", "json"]).json();
    (home, status)
}

/// What is left of a lab that was started: its disks, and what was written down of it.
fn leave(home: &Home, folder: &str) {
    for name in ["controller", "compute-01"] {
        home.write(format!("{folder}/disks/hpc-{name}.qcow2"), "");
    }
    home.write(format!("{folder}/plan.json"), home.run(["plan", "lab.yaml", "--format", "json"]).succeeds());
}

#[test]
fn a_lab_that_does_not_run_is_told_in_json() {
    let (home, status) = home();
    let lab = &status["lab"];
    let run = |words: &str| home.run(words.split_whitespace().chain(["--format", "json"]));
    let off = json!({"lab": lab, "running": false});
    let stops = json!({"lab": lab, "stops": [], "dry_run": true});
    for command in [
        "cluster stop lab.yaml",
        "hpc stop lab.yaml",
        "system stop lab.yaml",
        "node stop compute-01 --file lab.yaml",
    ] {
        let ran = run(command);
        assert_eq!((ran.out.lines().count(), ran.code), (1, Some(0)), "{command}: {ran:#?}");
        assert!(ran.err.contains("does not run"), "{command}: {ran:#?}");
        assert_eq!(ran.json(), off, "{command}");
        assert_eq!(run(&format!("{command} --dry-run")).json(), stops, "{command}");
    }
    assert_eq!(run("node add --file lab.yaml").json(), off);
    let gone =
        |dry_run: bool| json!({"lab": lab, "clusters": null, "removed": [], "forks": [], "dry_run": dry_run});
    for command in ["cluster destroy lab.yaml", "system destroy lab.yaml"] {
        assert_eq!(run(command).json(), gone(false), "{command}");
        assert_eq!(run(&format!("{command} --dry-run")).json(), gone(true), "{command}");
    }
    assert_eq!(run("test --file lab.yaml stop-cluster").json(), gone(false));
    assert_eq!(run("image rm --templates").json(), json!([]));
    assert!(!home.path("state/labs").exists());
}

#[test]
fn a_destroy_says_what_goes_and_what_lives_on() {
    let (home, status) = home();
    let folder = status["folder"].as_str().unwrap();
    leave(&home, folder);
    leave(&home, &format!("{folder}+trial"));
    let destroy = |words: &str| {
        let all = ["cluster", "destroy", "lab.yaml", "--format", "json"].into_iter();
        home.run(all.chain(words.split_whitespace()))
    };
    let told = |clusters: Value, nodes: Value, dry_run: bool| {
        let lab = &status["lab"];
        json!({"lab": lab, "clusters": clusters, "removed": nodes, "forks": ["trial"], "dry_run": dry_run})
    };
    let both = json!(["controller", "compute-01"]);
    assert_eq!(destroy("--dry-run").json(), told(Value::Null, both.clone(), true));
    assert_eq!(destroy("--dry-run --cluster hpc").json(), told(json!(["hpc"]), both.clone(), true));
    destroy("").fails(2, &["--force"]);
    assert!(home.path(folder).exists());
    let ran = destroy("--force --cluster hpc");
    assert!(ran.err.contains("its forks live on: trial"), "{ran:#?}");
    assert_eq!(ran.json(), told(json!(["hpc"]), both, false));
    assert!(!home.path(folder).exists());
}

#[test]
fn several_clusters_are_one_document() {
    // Two SLURM clusters, and one of Kubernetes.
    let home = Home::new();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/two-clusters.yaml");
    let cloud = r#"
  cloud:
    kind: kubernetes
    networks: {lan: {subnet: 10.213.79.0/24}}
    control_plane: {name: control-plane}
    nodes: [{name: worker-01}]
"#;
    home.write("lab.yaml", fs::read_to_string(example).unwrap() + cloud);
    let plan = home.run(["plan", "lab.yaml", "--format", "json"]).json();
    let clusters = plan["clusters"].as_array().unwrap();
    let nodes: Vec<&Value> =
        clusters.iter().flat_map(|cluster| cluster["nodes"].as_array().unwrap()).collect();
    let run = |words: &str| home.run(words.split_whitespace().chain(["-f", "json"])).json();
    let start = run("system start lab.yaml --dry-run");
    assert_eq!(start["nodes"].as_array().unwrap().len(), nodes.len(), "{start:#}");
    home.run(["hpc", "start", "lab.yaml", "--dry-run", "--fork", "x"]).fails(2, &["there is no fork `x`"]);
    assert_eq!(run("system stop lab.yaml")["running"], false);
    assert_eq!(run("hpc status lab.yaml").as_array().unwrap().len(), 2);
    assert_eq!(run("cloud status lab.yaml")["cluster_name"], clusters[2]["name"]);

    let status = home.run(["cluster", "status", "lab.yaml", "--format", "json"]).json();
    let folder = status["folder"].as_str().unwrap();
    home.write(format!("{folder}/plan.json"), plan.to_string());
    let disk = |node: &Value| home.path(folder).join(node["disk"].as_str().unwrap());
    for node in &nodes {
        home.write(disk(node), "");
    }
    let gone = run("hpc destroy lab.yaml --force");
    assert_eq!(gone["clusters"], json!([clusters[0]["name"], clusters[1]["name"]]));
    let removed = gone["removed"].as_array().unwrap();
    assert_eq!(removed.len(), nodes.len() - 2, "{gone:#}");
    for node in nodes {
        assert_eq!(disk(node).exists(), !removed.contains(&node["label"]), "{node:#}");
    }
}

#[test]
fn a_snapshot_that_was_removed_is_named() {
    let (home, status) = home();
    let folder = status["folder"].as_str().unwrap();
    let snapshot = json!({
        "format": 1, "name": "before", "created": "2026-01-02T03:04:05Z", "plan": "x", "nodes": [], "emulator": "x",
    });
    for place in ["snapshots", "node-snapshots/hpc-compute-01"] {
        home.write(format!("{folder}/{place}/before/snapshot.json"), snapshot.to_string());
    }
    let rm = |words: &str| home.run(words.split_whitespace().chain(["--format", "json"]));
    let told =
        |node: Value| json!({"lab": status["lab"], "node": node, "snapshot": "before", "removed": true});
    assert_eq!(rm("cluster snapshot rm before lab.yaml").json(), told(Value::Null));
    assert_eq!(rm("node snapshot rm compute-01 before --file lab.yaml").json(), told("compute-01".into()));
    rm("cluster snapshot rm before lab.yaml").fails(2, &["no snapshot `before`"]);
}

#[test]
fn openssh_and_programs_are_told_the_same_way_to_a_node() {
    let (home, status) = home();
    let folder = status["folder"].as_str().unwrap();
    leave(&home, folder);
    let run = |more: &[&str]| home.run([&["ssh-config", "--file", "lab.yaml"], more].concat());
    let hosts = run(&["--format", "json"]).json();
    let host = &hosts[1];
    assert_eq!(hosts.as_array().unwrap().len(), 2, "{hosts:#}");
    let proxy = host["proxy_command"].as_str().unwrap();
    assert!(proxy.contains(" lab-proxy ") && proxy.contains(folder), "{host:#}");
    let expected = json!({
        "host": "compute-01",
        "aliases": ["hpc-compute-01"],
        "address": "10.213.77.11",
        "port": 22,
        "user": "root",
        "identity_file": format!("{folder}/ssh/id_ed25519"),
        "image_identity_file": null,
        "host_key_alias": "hpc-compute-01",
        "known_hosts_file": format!("{folder}/ssh/known_hosts"),
        "strict_host_key_checking": "yes",
        "proxy_command": proxy,
    });
    assert_eq!(host, &expected);
    let text = run(&[]).succeeds();
    for words in [
        "Host compute-01 hpc-compute-01\n".to_owned(),
        "  HostName 10.213.77.11\n  HostKeyAlias hpc-compute-01\n".to_owned(),
        format!("  IdentityFile {folder}/ssh/id_ed25519\n"),
        format!("  UserKnownHostsFile {folder}/ssh/known_hosts\n"),
        format!("  ProxyCommand {proxy}\n"),
    ] {
        assert!(text.contains(&words), "{words} is missing in {text}");
    }
}

#[test]
fn a_report_names_what_it_wrote() {
    let home = Home::new()
        .with_namespaces()
        .with_fake("qemu-system-x86_64", "emulator")
        .with_fake("mmdebstrap", "builder-that-fails");
    home.run(["cluster", "start", "lab.yaml"]);
    let told = home.run(["report", "state/runs/latest", "--format", "json"]).json();
    assert_eq!(
        told,
        json!({"report": "state/runs/latest/report.html", "junit": "state/runs/latest/junit.xml"})
    );
}

#[test]
fn packer_templates_and_inventories_have_it_too() {
    let home = Home::new()
        .with(&["ssh-keygen", "unshare", "sh"])
        .with_fake("qemu-system-x86_64", "emulator")
        .with_fake("ansible-playbook", "ansible-playbook");
    let packer = ["image", "packer", "lab.yaml", "--output", "out", "--format", "json"];
    let of = |name: &str| json!({"name": name, "folder": format!("out/{name}"), "image": null});
    assert_eq!(home.run(packer).json(), json!([of("hpc-controller"), of("hpc-compute")]));

    let hosts = home.run(["inventory", "generate-hpc", "lab.yaml", "hpc", "--format", "json"]).json();
    assert_eq!(hosts["all"]["hosts"]["hpc-compute01"]["ansible_host"], "10.213.77.11");
    assert_eq!(hosts["all"]["children"]["hpc_compute_nodes"]["hosts"], json!({"hpc-compute01": {}}));
}
