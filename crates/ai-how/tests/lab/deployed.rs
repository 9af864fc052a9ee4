//! Deployed templates: a cluster that was deployed once comes back without Ansible, with secrets of its own.

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    bench::{Bench, words},
    start::{Cache, Start},
};

const START: [&str; 5] = ["cluster", "start", "--format", "json", "bench.yaml"];

#[test]
fn a_cluster_comes_back_deployed_and_no_template_has_its_secrets() {
    let bench = Bench::new();
    let cache = Cache::new(&bench);
    let plan = || {
        let output = cache.command(&bench, &["plan", "bench.yaml"]).output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(cache.command(&bench, &["image", "build"]).output().unwrap().status.success());
    assert!(plan().contains("because no deployed node like controller was kept yet"), "{}", plan());

    // Killed when a template has a copy of a node's disk, with the secrets on it.
    let mut killed = Start::of(&bench, cache.command(&bench, &START), "killed");
    let has_a_disk = |folder: &PathBuf| folder.join("node.qcow2").exists();
    killed.wait_until("a node's disk", |_| cache.templates().1.iter().any(has_a_disk));
    killed.kill();
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);
    assert!(plan().contains("because no deployed node like controller was kept yet"), "{}", plan());

    let first = Start::of(&bench, cache.command(&bench, &START), "first");
    let first = first.done();
    assert!(first.tasks() > 0);
    // Of each role; that of the shape was there.
    assert_eq!(first.made(), 2, "{first:?}");
    let in_lab = |command: &str| bench.ok(&["ssh", "--file", "bench.yaml", "controller", command]);
    assert_eq!(in_lab("srun -N1 hostname"), "compute-01\n");
    let munge_key = fs::read(secret(&bench)).unwrap();
    let host_key = in_lab("sed -n 2p /etc/ssh/ssh_host_ed25519_key").trim().to_owned();
    let (templates, others) = cache.templates();
    assert_eq!((templates.len(), others.len()), (3, 0));
    // A piece of the key that can be an argument.
    let is_word = |piece: &&[u8]| !piece.contains(&0) && !piece.contains(&b'\n');
    let piece = munge_key.windows(16).find(is_word).unwrap();
    for template in &templates {
        let [looked_at, munge, host] = holds(&bench, template, [b"slurmd", piece, host_key.as_bytes()]);
        assert!(looked_at, "nothing was looked at in {}", template.display());
        assert!(!munge, "the munge key is in {}", template.display());
        assert!(!host, "a host key is in {}", template.display());
    }

    // A second start of what runs does nothing.
    let again = Start::of(&bench, cache.command(&bench, &START), "again").done();
    assert_eq!((again.tasks(), again.copied_and_booted()), (0, (0, 0)));

    // Disks that are deployed come back so after a stop, without templates.
    bench.ok(&["cluster", "stop", "bench.yaml"]);
    let stopped = Start::of(&bench, cache.command(&bench, &START), "stopped").done();
    assert_eq!((stopped.tasks(), stopped.copied_and_booted()), (0, (0, 2)));
    assert_eq!(in_lab("srun -N1 hostname"), "compute-01\n");
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);

    assert!(plan().contains("copies of its deployed nodes, without Ansible"), "{}", plan());
    let second = Start::of(&bench, cache.command(&bench, &START), "second").done();
    assert_eq!((second.tasks(), second.made(), second.copied_and_booted()), (0, 0, (2, 0)), "{second:?}");
    assert_eq!(in_lab("srun -N1 hostname"), "compute-01\n");
    assert_ne!(fs::read(secret(&bench)).unwrap(), munge_key, "another lab has another key");
    assert_eq!(in_lab("systemctl --failed --no-legend"), "");
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);

    // What the key depends on is told when it changed.
    let config = fs::read_to_string(bench.path("bench.yaml")).unwrap();
    fs::write(bench.path("bench.yaml"), config.replace("name: compute-01", "name: compute-02")).unwrap();
    assert!(plan().contains("changed since the last one was kept: cluster"), "{}", plan());
    bench.assert_clean("deployed templates");
}

fn secret(bench: &Bench) -> std::path::PathBuf {
    let labs = fs::read_dir(bench.path("state/labs")).unwrap().flatten();
    let keys = labs.map(|lab| lab.path().join("secrets/munge.key"));
    keys.into_iter().find(|path| path.exists()).unwrap()
}

/// Which of these are anywhere where a copy of a template could read them: its memory, its device state, its disk with the
/// blocks of no file.
fn holds(bench: &Bench, template: &Path, texts: [&[u8]; 3]) -> [bool; 3] {
    let raw = bench.path("raw");
    let mut convert = Command::new("qemu-img");
    convert.args(["convert", "-O", "raw"]).arg(template.join("disk.qcow2")).arg(&raw);
    assert!(convert.status().unwrap().success());
    let found = texts.map(|text| {
        let mut grep = Command::new("grep");
        // What is not written is zeros: as the ends of lines they cost nothing, as one line of gigabytes they cost minutes.
        grep.env("LC_ALL", "C").args(["-zaqF", "-e"]).arg(OsStr::from_bytes(text));
        let status = grep.args([&raw, &template.join("memory"), &template.join("state")]).status().unwrap();
        assert!(status.code().is_some_and(|code| code <= 1), "{status}");
        status.success()
    });
    fs::remove_file(raw).unwrap();
    found
}
