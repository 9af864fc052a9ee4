//! What goes wrong in a lab is told once, with what to do, and leaves nothing.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use crate::bench::{Bench, words};

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
    bench.ok(&["cluster", "destroy", "bench.yaml"]);
    bench.assert_clean("a start that failed");
}

#[test]
fn a_libvirt_that_is_killed_comes_back_and_keeps_its_machines() {
    let bench = Bench::new();
    bench.ok(&["cluster", "start", "--no-deploy", "bench.yaml"]);
    let pids = libvirts(&bench);
    assert_eq!(pids.len(), 1, "{pids:?}");
    assert!(Command::new("kill").args(["-9", &pids[0]]).status().unwrap().success());
    let status = bench.ok(&["cluster", "status", "bench.yaml"]);
    assert_eq!(status.matches("running").count(), 2, "{status}");
    assert_eq!(bench.ok(&["ssh", "--file", "bench.yaml", "controller", "hostname"]), "controller\n");
    bench.ok(&["cluster", "destroy", "bench.yaml"]);
    bench.assert_clean("a killed libvirt");
}

/// The lab's own libvirt: the one whose keeper names this bench's folder.
fn libvirts(bench: &Bench) -> Vec<String> {
    let folder = bench.path("state").display().to_string();
    let read = |path: String| {
        fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " ")).unwrap_or_default()
    };
    let processes =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    processes
        .filter(|pid| pid.parse::<u32>().is_ok() && read(format!("/proc/{pid}/cmdline")).contains("libvirtd"))
        .filter(|pid| {
            let status = read(format!("/proc/{pid}/status"));
            let parent = status
                .lines()
                .find_map(|line| line.strip_prefix("PPid:"))
                .unwrap_or_default()
                .trim()
                .to_owned();
            read(format!("/proc/{parent}/cmdline")).contains(&folder)
        })
        .collect()
}
