//! What goes wrong in a lab is told once, with what to do, and leaves nothing.

use std::{fs, os::unix::fs::symlink, path::Path, process::Stdio, thread, time::Duration};

use crate::{
    bench::{Bench, signal, words},
    start::{MACHINES, Start},
};

#[test]
fn a_node_that_never_gets_ready_shows_the_end_of_its_console() {
    let bench = Bench::new();
    let home = std::env::var("HOME").unwrap_or_default();
    let users = std::env::var("AI_HOW_CACHE").unwrap_or(format!("{home}/.cache/ai-how"));
    // A verdict that calls this host far quicker than it is, so that the wait is short.
    bench.ok(&["doctor"]);
    let verdict = fs::read_to_string(Path::new(&users).join("accelerator.json")).unwrap();
    let mut verdict: serde_json::Value = serde_json::from_str(&verdict).unwrap();
    verdict["slowness"] = 0.4.into();
    let cache = bench.path("cache");
    fs::create_dir(&cache).unwrap();
    fs::write(cache.join("accelerator.json"), verdict.to_string()).unwrap();
    symlink(Path::new(&users).join("images"), cache.join("images")).unwrap();

    let output = bench
        .command(&["cluster", "start", "--cold", "bench.yaml"])
        .env("AI_HOW_CACHE", &cache)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    let said = words(&output);
    assert!(said.contains("did not get ready: it said nothing within 6 s"), "{said}");
    assert!(said.contains("The end of its console") && said.contains("consoles/hpc-"), "{said}");
    // Its machines are off, its disks wait for the next start or for a destroy.
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);
    bench.assert_clean("a start that failed");
}

#[test]
fn a_machine_that_crashes_tells_how() {
    let bench = Bench::new();
    let start = bench.command(&[&MACHINES[..], &["--cold", "bench.yaml"]].concat());
    let mut start = Start::of(&bench, start, "crash");
    start.wait_for("\"node\":\"controller\",\"state\":\"booting\"");
    signal("SEGV", bench.emulator("controller"));
    let (code, told) = start.ended();
    assert!(code == Some(1) && told.contains("the machine went off: "), "{code:?}: {told}");
    assert!(told.contains("shutting down, reason=crashed"), "{told}");
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);
    bench.assert_clean("a crash");
}

#[test]
fn a_libvirt_that_is_killed_comes_back_and_keeps_its_machines() {
    let bench = Bench::new();
    bench.ok(&["cluster", "start", "--no-deploy", "bench.yaml"]);
    signal("KILL", libvirt(&bench).pid);
    let status = bench.ok(&["cluster", "status", "bench.yaml"]);
    assert_eq!(status.matches("running").count(), 2, "{status}");
    assert_eq!(bench.ok(&["ssh", "--file", "bench.yaml", "controller", "hostname"]), "controller\n");

    // In the middle of a change: that one may fail, and says of whom; the next one does what is left.
    for round in ["first", "second"] {
        bench.ok(&["node", "stop", "compute-01", "--file", "bench.yaml"]);
        let start = bench.command(&[&MACHINES[..], &["bench.yaml"]].concat());
        let mut start = Start::of(&bench, start, round);
        start.wait_for("\"state\":\"starting\"");
        signal("KILL", libvirt(&bench).pid);
        let (code, told) = start.ended();
        assert!(code == Some(0) || (code == Some(3) && told.contains("libvirt")), "{code:?}: {told}");
        bench.ok(&[&MACHINES[..], &["bench.yaml"]].concat());
        let status = bench.ok(&["cluster", "status", "bench.yaml"]);
        assert_eq!(status.matches("ready").count(), 2, "{status}");
    }
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);
    bench.assert_clean("a killed libvirt");
}

#[test]
fn a_lab_that_is_just_ending_is_destroyed_too() {
    let bench = Bench::new();
    let mut start = Start::of(&bench, bench.command(&[&MACHINES[..], &["bench.yaml"]].concat()), "killed");
    start.wait_for("\"state\":\"starting\"");
    // As in the moment between the end of its libvirt and its own, which is too short to meet: its keeper hears nothing.
    let Libvirt { pid, keeper } = libvirt(&bench);
    signal("STOP", &keeper);
    signal("KILL", pid);
    start.kill();
    let destroy = bench
        .command(&["cluster", "destroy", "bench.yaml", "--force"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Nothing tells that a command waits; one that is not there yet after this time is only not held up.
    thread::sleep(Duration::from_secs(1));
    signal("CONT", keeper);
    let output = destroy.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    bench.assert_clean("a destroy when the lab was ending");
}

/// Process ids of a lab's own libvirt and of its keeper.
struct Libvirt {
    pid: String,
    keeper: String,
}

/// The libvirt whose keeper names this bench's folder.
fn libvirt(bench: &Bench) -> Libvirt {
    let folder = bench.path("state").display().to_string();
    let read = |path: String| {
        fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " ")).unwrap_or_default()
    };
    let processes =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut found = processes
        .filter(|pid| pid.parse::<u32>().is_ok() && read(format!("/proc/{pid}/cmdline")).contains("libvirtd"))
        .filter_map(|pid| {
            let status = read(format!("/proc/{pid}/status"));
            let keeper = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().to_owned();
            read(format!("/proc/{keeper}/cmdline")).contains(&folder).then_some(Libvirt { pid, keeper })
        });
    let libvirt = found.next().unwrap();
    assert!(found.next().is_none(), "the lab has two");
    libvirt
}
