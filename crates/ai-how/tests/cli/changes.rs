//! Changing what a lab is, as far as that needs no machine: the file, what would be done, and what is asked.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::home::{Home, LAB};

fn home() -> Home {
    let home = Home::new();
    home.write("lab.yaml", LAB);
    home
}

fn text(home: &Home) -> String {
    fs::read_to_string(home.path("lab.yaml")).unwrap()
}

#[test]
fn what_would_be_done_is_told_and_nothing_is_touched() {
    let home = home();
    let diff = home.run(["plan", "lab.yaml", "--diff"]).succeeds();
    assert!(diff.contains("to create") && diff.contains("compute-01"), "{diff}");
    let json = home.run(["plan", "lab.yaml", "--diff", "--format", "json"]).json();
    assert_eq!(json["nodes"][0]["action"], "create");
    assert_eq!(home.run(["cluster", "start", "lab.yaml", "--dry-run"]).succeeds(), diff);
    home.run(["cluster", "stop", "lab.yaml", "--dry-run"]).succeeds();
    home.run(["cluster", "destroy", "lab.yaml", "--dry-run"]).succeeds();
    let before = text(&home);
    let added = home.run(["node", "add", "--file", "lab.yaml", "--dry-run"]);
    assert!(added.err.contains("+ - {") && added.out.contains("to create"), "{added:#?}");
    assert_eq!(text(&home), before);
    assert!(!home.path("state").exists(), "a dry run made a folder");
    home.run(["plan", "lab.yaml", "--diff", "--format", "dot"]).fails(2, &["--diff"]);
    home.run(["plan", "lab.yaml", "--cluster", "hpc"]).fails(2, &["--diff"]);
}

#[test]
fn a_node_is_added_resized_and_removed_in_the_file() {
    let home = home();
    fs::set_permissions(home.path("lab.yaml"), fs::Permissions::from_mode(0o640)).unwrap();
    let before = text(&home);
    home.run(["node", "add", "--file", "lab.yaml", "--memory-mib", "1024"]).succeeds();
    let plan = home.run(["plan", "lab.yaml", "--format", "json"]).json();
    let nodes = plan["clusters"][0]["nodes"].as_array().unwrap().clone();
    let last = nodes.last().unwrap();
    assert_eq!(last["memory_mib"], 1024, "{last}");
    let name = last["name"].as_str().unwrap().to_owned();
    home.run(["node", "resize", &name, "--file", "lab.yaml", "--cpus", "2"]).succeeds();
    assert!(text(&home).contains("cpus: 2"), "{}", text(&home));
    // Nothing of it exists, so nothing is asked.
    home.run(["node", "remove", &name, "--file", "lab.yaml"]).succeeds();
    assert_eq!(text(&home), before);
    let mode = fs::metadata(home.path("lab.yaml")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o640);
}

#[test]
fn nobody_loses_an_address_to_another_node() {
    let home = Home::new();
    home.write("lab.yaml", LAB);
    for _ in 0..2 {
        home.run(["node", "add", "--file", "lab.yaml"]).succeeds();
    }
    let addresses = || {
        let plan = home.run(["plan", "lab.yaml", "--format", "json"]).json();
        let nodes = plan["clusters"][0]["nodes"].as_array().unwrap().clone();
        let address = |node: &serde_json::Value| {
            (node["name"].as_str().unwrap().to_owned(), node["interfaces"][0]["address"].clone())
        };
        nodes.iter().map(address).collect::<Vec<_>>()
    };
    let mut before = addresses();
    let removed = before.remove(1).0;
    home.run(["node", "remove", &removed, "--file", "lab.yaml"]).succeeds();
    assert_eq!(addresses(), before);
}

#[test]
fn what_cannot_be_changed_is_refused_and_the_file_stays() {
    let home = home();
    let before = text(&home);
    let file = ["--file", "lab.yaml"];
    let refused = |arguments: &[&str], code: i32, words: &[&str]| {
        let ran = home.run([arguments, &file].concat());
        assert_eq!((ran.code, ran.out.as_str()), (Some(code), ""), "{ran:#?}");
        for word in words {
            assert!(ran.err.contains(word), "`{word}` is missing in {ran:#?}");
        }
        assert_eq!(text(&home), before);
    };
    refused(&["node", "remove", "controller"], 4, &["controller", "lab.yaml stays as it is"]);
    refused(&["node", "remove", "nobody"], 2, &["nobody", "compute-01"]);
    refused(&["node", "resize", "compute-01"], 2, &["--cpus"]);
    refused(&["node", "resize", "compute-01", "--cpus", "0"], 4, &["cpus"]);
    refused(&["node", "resize", "compute-01", "--cpus", "-3"], 2, &["-3"]);
    refused(&["node", "resize", "compute-01", "--disk-gib", "99999999999"], 4, &["disk_gib"]);
    for name in ["../../etc", "a b", "$(reboot)", "x\"y", "knoten-ü", &"n".repeat(300)] {
        refused(&["node", "add", name], 4, &["lab.yaml"]);
    }
    refused(&["node", "add", "compute-01"], 4, &["compute-01"]);
    refused(&["node", "add", "x", "--like", "controller"], 4, &["controller"]);
}

#[test]
fn a_cluster_is_named_by_its_name_and_an_unknown_one_is_told() {
    let home = home();
    home.run(["cluster", "start", "lab.yaml", "--dry-run", "--cluster", "hpc"]).succeeds();
    home.run(["cluster", "start", "lab.yaml", "--dry-run", "--cluster", "hpd"]).fails(2, &["hpd", "hpc"]);
    home.run(["cluster", "status", "lab.yaml", "--cluster", "hpd"]).fails(2, &["hpd", "hpc"]);
}

#[test]
fn without_a_terminal_nothing_is_lost_that_nobody_agreed_to() {
    let home = home();
    // What there is of a lab that does not run.
    let lab = home.run(["cluster", "status", "lab.yaml", "--format", "json"]).json();
    let disks = format!("{}/disks", lab["folder"].as_str().unwrap());
    fs::create_dir_all(&disks).unwrap();
    fs::write(format!("{disks}/hpc-compute-01.qcow2"), "").unwrap();
    home.run(["cluster", "destroy", "lab.yaml"]).fails(2, &["--force"]);
    assert!(home.path(&disks).exists());
    let told = home.run(["cluster", "destroy", "lab.yaml", "--dry-run"]).succeeds();
    assert_eq!(told, "would remove: compute-01\n");
    home.run(["cluster", "destroy", "lab.yaml", "--force"]).succeeds();
    assert!(!home.path(&disks).exists());
}
