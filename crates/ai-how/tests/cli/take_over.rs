//! Machines of the tool of version 1.0, taken over from its state files.

use std::{fs, path::Path, process::Command};

use crate::home::Home;

const FILE: &str = r#"version: "1.0"
metadata: {name: w, description: x}
clusters:
  hpc:
    name: hpc
    base_image_path: images/base.qcow2
    network: {subnet: 10.213.78.0/24, bridge: virbr78}
    controller: {cpu_cores: 1, memory_gb: 1, disk_gb: 10, ip_address: 10.213.78.10}
    compute_nodes: [{cpu_cores: 1, memory_gb: 1, disk_gb: 10, ip: 10.213.78.11}]
    slurm_config: {partitions: [debug], default_partition: debug}
"#;

fn qemu_img(arguments: &[&str]) {
    let ran = Command::new("qemu-img").args(arguments).output().unwrap();
    assert!(ran.status.success(), "{arguments:?}: {ran:?}");
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// What the tool left: a base, a machine's disk on top of it, and a state file that names that.
fn home() -> Home {
    let home = Home::new().with(&["qemu-img"]);
    home.write("w.yaml", FILE);
    fs::create_dir_all(home.path("images")).unwrap();
    fs::create_dir_all(home.path("old")).unwrap();
    let (raw, base) = (text(&home.write("base.raw", [b'b'; 4096])), text(&home.path("images/base.qcow2")));
    qemu_img(&["convert", "-f", "raw", "-O", "qcow2", &raw, &base]);
    let volume = text(&home.path("old/hpc-controller.qcow2"));
    qemu_img(&["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", &base, &volume]);
    home.write("state.json", state(&volume, "2.0"));
    home
}

fn state(volume: &str, version: &str) -> String {
    format!(
        r#"{{"cluster_name":"hpc","cluster_type":"hpc","state_file_version":"{version}","compute_nodes":[],"worker_nodes":[],
        "controller":{{"name":"hpc-controller","state":"shutoff","volume_path":"{volume}"}}}}"#
    )
}

#[test]
fn a_machine_brings_its_disk_and_leaves_the_old_one_as_it_was() {
    let home = home();
    let volume = home.path("old/hpc-controller.qcow2");
    let before = fs::read(&volume).unwrap();
    let take = ["cluster", "take-over", "w.yaml", "--from", "state.json"];
    let told = home.run([&take[..], &["--dry-run"]].concat()).succeeds();
    assert!(told.contains("controller") && told.contains("hpc-controller.qcow2"), "{told}");
    let json = [&take[..], &["--format", "json"]].concat();
    let would = home.run([&json[..], &["--dry-run"]].concat()).json();
    assert_eq!(would[0]["from"], text(&volume), "{would:#}");
    assert!(!home.path("state/labs").exists());
    let taken = home.run(json).json();
    assert_eq!((&taken, &taken[0]["node"]), (&would, &"controller".into()));

    // The disk is one by itself, with what the machine and its base had.
    let vm = home.run(["vm", "status", "hpc-controller", "-f", "json"]).json();
    assert_eq!(vm["state"], "shutoff");
    let disk = vm["volume_path"].as_str().unwrap().to_owned();
    assert_eq!(taken[0]["disk"], disk);
    let content = text(&home.path("content.raw"));
    assert_eq!(fs::read(&volume).unwrap(), before, "the old disk was touched");
    fs::remove_dir_all(home.path("old")).unwrap();
    qemu_img(&["convert", "-f", "qcow2", "-O", "raw", &disk, &content]);
    assert_eq!(fs::read(&content).unwrap()[..4096], [b'b'; 4096]);

    // Who renders or moves the file is told where its lab is.
    home.write("rendered.yaml", FILE);
    let moved = home.run(["hpc", "status", "rendered.yaml"]);
    assert!(moved.err.contains("this file has no lab; w-") && moved.err.contains("/w.yaml"), "{moved:#?}");
    assert_eq!(home.run(["hpc", "status", "w.yaml"]).err, "");

    // The next start goes on with it, and makes the other node anew.
    let diff = home.run(["plan", "w.yaml", "--diff", "--format", "json"]).json();
    let actions: Vec<_> =
        diff["nodes"].as_array().unwrap().iter().map(|node| node["action"].clone()).collect();
    assert_eq!(actions, ["start", "create"]);
    home.run(["cluster", "destroy", "w.yaml", "--force"]).succeeds();
}

#[test]
fn what_cannot_be_taken_over_is_told_and_nothing_is_half_done() {
    let home = home();
    let volume = text(&home.path("old/hpc-controller.qcow2"));
    let take = |file: &str| home.run(["cluster", "take-over", "w.yaml", "--from", file]);
    take("none.json").fails(2, &["none.json"]);
    for (content, words) in [
        ("{".to_owned(), "no state file of version 1.0"),
        (state(&volume, "3.0"), "version 3.0"),
        (state("/nowhere.qcow2", "2.0"), "/nowhere.qcow2"),
        (r#"{"cluster_name":"x","cluster_type":"hpc","controller":null,"compute_nodes":[],"worker_nodes":[]}"#.to_owned(), "no machines"),
    ] {
        home.write("bad.json", &content);
        take("bad.json").fails(4, &[words]);
    }
    home.write("bad.json", state(&volume, "2.0").replace("hpc-controller\"", "hpc-nobody\""));
    take("bad.json").fails(2, &["hpc-nobody"]);
    assert!(!home.path("state/labs").exists(), "something was made");
    home.write("bad.json", state(&text(&home.path("old")), "2.0"));
    take("bad.json").fails(4, &["/old"]);
    assert!(!home.path("state/labs").exists(), "something was made");
    home.run(["cluster", "take-over", "w.yaml", "--from", "state.json", "--from", "state.json"])
        .fails(4, &["hpc-controller is in these state files twice"]);

    // One that lost its end is not taken for one with zeros there.
    let (raw, cut) = (text(&home.write("full.raw", vec![7; 1 << 20])), home.path("old/cut.qcow2"));
    qemu_img(&["convert", "-f", "raw", "-O", "qcow2", &raw, &text(&cut)]);
    fs::OpenOptions::new().write(true).open(&cut).unwrap().set_len(700_000).unwrap();
    home.write("cut.json", state(&text(&cut), "2.0"));
    take("cut.json").fails(1, &["cut.qcow2", "damaged"]);

    // One disk that cannot be read is enough.
    let broken = text(&home.write("old/hpc-compute-01.qcow2", "no disk"));
    home.write(
        "two.json",
        state(&volume, "2.0").replace(
            r#""compute_nodes":[]"#,
            &format!(
                r#""compute_nodes":[{{"name":"hpc-compute-01","state":"shutoff","volume_path":"{broken}"}}]"#
            ),
        ),
    );
    take("two.json").fails(1, &["hpc-compute-01.qcow2"]);
    let disks = || {
        fs::read_dir(
            fs::read_dir(home.path("state/labs")).unwrap().next().unwrap().unwrap().path().join("disks"),
        )
    };
    assert_eq!(disks().unwrap().count(), 0, "a disk was left");
    take("state.json").succeeds();
    take("state.json").fails(1, &["controller has a disk already"]);
}
