//! After `e2e`, passed, failed, interrupted or killed, nothing of ours stays outside the run's folder and the cache.

use std::{fs, os::unix::process::ExitStatusExt};

use crate::bench::{Bench, signal};

/// Everything a run leaves, by the names people look for.
fn assert_report(bench: &Bench) {
    let run = bench.path("state/runs/latest");
    for name in
        ["events.jsonl", "plan.json", "junit.xml", "report.html", "libvirtd.log", "ansible/ansible.log"]
    {
        assert!(fs::metadata(run.join(name)).is_ok_and(|data| data.is_file()), "{name} is missing");
    }
    for domain in ["hpc-controller", "hpc-compute-01"] {
        let console = fs::read_to_string(run.join("consoles").join(format!("{domain}.log"))).unwrap();
        assert!(
            console.contains("Debian GNU/Linux 13"),
            "the console of {domain} has no login prompt: {console}"
        );
        assert!(run.join("xml").join(format!("{domain}.xml")).exists());
    }
}

#[test]
fn nothing_stays_after_a_run_that_passed_and_one_that_failed() {
    let bench = Bench::new();
    let status = bench.e2e("good", &["--cold"]).wait().unwrap();
    assert_eq!(status.code(), Some(0), "{}", bench.log());
    assert!(bench.log().contains("\n1 passed, 0 failed"), "{}", bench.log());
    bench.assert_clean("a run that passed");
    assert_report(&bench);
    assert_eq!(fs::read_dir(bench.path("state/labs")).unwrap().count(), 0);

    let status = bench.e2e("broken", &[]).wait().unwrap();
    assert_eq!(status.code(), Some(5), "{}", bench.log());
    assert!(bench.log().contains("\n1 passed, 1 failed"), "{}", bench.log());
    bench.assert_clean("a run that failed");
    let junit = fs::read_to_string(bench.path("state/runs/latest/junit.xml")).unwrap();
    assert!(junit.contains("failures=\"1\"") && junit.contains("name=\"wrong\""), "{junit}");
}

#[test]
fn nothing_stays_after_an_interruption() {
    let bench = Bench::new();
    // Copies are deployed already; only nodes that boot are given to Ansible.
    let moments: [(&str, &[&str]); 3] =
        [("\"booting\"", &[]), ("\"booting\"", &["--cold"]), ("\"event\":\"task\"", &["--cold"])];
    for (event, options) in moments {
        let mut child = bench.e2e("good", options);
        bench.wait_for_event(&mut child, event);
        signal("INT", child.id());
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(130), "{}", bench.log());
        bench.assert_clean(&format!("Ctrl-C at {event}"));
        assert!(
            bench.events().contains("\"run-finished\",\"outcome\":\"interrupted\""),
            "{}",
            bench.events()
        );
        assert!(bench.path("state/runs/latest/report.html").exists());
    }
}

#[test]
fn nothing_stays_after_a_kill_at_any_moment() {
    let bench = Bench::new();
    let moments: [(&str, &[&str]); 8] = [
        ("run-started", &[]),
        ("\"starting\"", &[]),
        ("\"booting\"", &[]),
        ("\"booting\"", &["--cold"]),
        ("\"ready\"", &[]),
        ("\"ready\"", &["--cold"]),
        ("\"event\":\"task\"", &["--cold"]),
        ("\"phase\":\"tests\"", &[]),
    ];
    for (event, options) in moments {
        let mut child = bench.e2e("good", options);
        bench.wait_for_event(&mut child, event);
        signal("KILL", child.id());
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        bench.assert_clean(&format!("kill -9 at {event}"));
    }
    // What the killed run told is told in full.
    let run = bench.path("state/runs/latest");
    assert!(!run.join("report.html").exists());
    bench.ok(&["report", run.to_str().unwrap()]);
    assert!(run.join("report.html").exists());
}
