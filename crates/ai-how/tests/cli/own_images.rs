//! qcow2 files of the user's: told by `plan`, and refused before anything is made when they are of no use.

use std::{fs, process::Command};

use crate::home::{Home, LAB};

/// A lab that boots `images/own.qcow2`, on a host that can run machines.
fn home() -> Home {
    let home = Home::new().with(&["qemu-img"]).with_fake("qemu-system-x86_64", "emulator");
    home.write("own.yaml", LAB.replace("image: debian-13", "image: images/own.qcow2"));
    fs::create_dir(home.path("images")).unwrap();
    home
}

fn make(home: &Home, size: &str) {
    let mut make = Command::new("qemu-img");
    make.args(["create", "-q", "-f", "qcow2"]).arg(home.path("images/own.qcow2")).arg(size);
    assert!(make.status().unwrap().success());
}

#[test]
fn what_cannot_be_booted_is_refused_before_anything_is_made() {
    let home = home();
    let refused = |words: &str| {
        let ran = home.run(["cluster", "start", "own.yaml", "--no-deploy"]);
        assert_eq!(ran.code, Some(4), "{ran:#?}");
        assert!(ran.err.contains("nodes cannot boot") && ran.err.contains(words), "{ran:#?}");
        assert_eq!(home.names("state/labs"), Vec::<String>::new());
        // The verdict about this host is known by now, so the plan tells how the lab would start.
        let plan = home.run(["plan", "own.yaml"]).succeeds();
        assert!(plan.contains("start: not possible") && plan.contains(words), "{plan}");
    };
    refused("there is no such file");
    fs::create_dir(home.path("images/own.qcow2")).unwrap();
    refused("it is no file");
    fs::remove_dir(home.path("images/own.qcow2")).unwrap();
    home.write("images/own.qcow2", "no disk at all");
    refused("it is not a qcow2 file");
    make(&home, "3G");
    refused("it holds a disk of 3 GiB, and the node's has 2 GiB");
    make(&home, "1G");
    home.write("images/own.vmlinuz", "");
    refused("own.initrd cannot be read");
    fs::remove_file(home.path("images/own.vmlinuz")).unwrap();
    home.run(["cluster", "start", "own.yaml", "--ssh-key", "none"]).fails(2, &["cannot read none"]);
}

#[test]
fn a_plan_tells_how_a_file_starts_wherever_it_is_asked() {
    let home = home();
    make(&home, "1G");
    home.run(["doctor"]);
    let plan = || home.run(["plan", "own.yaml"]).succeeds();
    let alone = plan();
    let path = home.path("images/own.qcow2").display().to_string();
    assert!(alone.contains(&path), "{alone}");
    let words = "boots controller, because nothing of ours is in its image";
    assert!(alone.contains(words) && alone.contains("SLURM is not deployed"), "{alone}");
    assert!(!alone.contains("copies"), "{alone}");
    let mut elsewhere = home.command(["plan", "../own.yaml"]);
    let elsewhere = elsewhere.current_dir(home.path("images")).output().unwrap();
    assert_eq!(String::from_utf8(elsewhere.stdout).unwrap(), alone);

    for name in ["images/own.vmlinuz", "images/own.initrd"] {
        home.write(name, "");
    }
    let with_kernel = plan();
    assert!(with_kernel.contains("boots one machine of each new shape"), "{with_kernel}");
    assert!(with_kernel.contains("then a deploy with Ansible"), "{with_kernel}");
}

#[test]
fn a_file_of_version_1_is_relative_to_the_top_of_its_repository() {
    let home = home();
    make(&home, "1G");
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/workstation-1.0.yaml");
    let old = fs::read_to_string(example).unwrap().replace("${HOME}/images/hpc-controller", "images/own");
    fs::create_dir(home.path(".git")).unwrap();
    home.write("config/old.yaml", old);
    let plan = home.run(["plan", "config/old.yaml", "--format", "json"]).json();
    let image = &plan["clusters"][0]["nodes"][0]["image"];
    assert_eq!(image["disk"], home.path("images/own.qcow2").display().to_string(), "{image}");
}
