//! What holds for the suites that are built into the program.

#![expect(clippy::panic, reason = "a test that panics says why it failed")]

use std::collections::HashSet;

use ai_how_harness::{Suites, suite::Suite};
use system::process::Command;

fn suites() -> Suites {
    Suites::embedded().unwrap_or_else(|error| panic!("{error}"))
}

fn checks(suites: &Suites) -> impl Iterator<Item = (&Suite, &ai_how_harness::suite::Check)> {
    suites.iter().flat_map(|suite| suite.checks.iter().map(move |check| (suite, check)))
}

#[test]
fn they_are_the_promised_ones() {
    let suites = suites();
    let names: Vec<&str> = suites.iter().map(|suite| suite.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "basic-infrastructure",
            "slurm-controller",
            "slurm-compute",
            "slurm-jobs",
            "slurm-recovery",
            "appliance"
        ]
    );
    assert!(checks(&suites).count() >= 40);
}

#[test]
fn every_check_has_a_sabotage() {
    let suites = suites();
    let without: Vec<String> = checks(&suites)
        .filter(|(suite, check)| !suite.sabotages.iter().any(|sabotage| sabotage.check == check.name))
        .map(|(suite, check)| format!("{}/{}", suite.name, check.name))
        .collect();
    assert!(without.is_empty(), "no sabotage for {}", without.join(", "));
}

#[test]
fn a_name_is_enough_to_run_a_check() {
    let suites = suites();
    let mut seen = HashSet::new();
    for (_, check) in checks(&suites) {
        assert!(seen.insert(&check.name), "several suites have a check named {}", check.name);
        assert!(suites.check(&check.name).is_ok());
    }
}

#[test]
fn the_ones_on_disk_are_the_embedded_ones() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/suites");
    let read = Suites::read(&folder).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(read.list(), suites().list());
}

#[test]
fn every_snippet_is_bash() {
    let suites = suites();
    let snippets = suites.iter().flat_map(|suite| {
        let runs = suite.checks.iter().map(|check| (check.name.as_str(), check.run.as_str()));
        let breaks = suite.sabotages.iter().flat_map(|sabotage| {
            [Some(&sabotage.break_it), sabotage.mend.as_ref(), sabotage.settle.as_ref()]
                .into_iter()
                .flatten()
                .map(|script| (sabotage.title.as_str(), script.as_str()))
        });
        runs.chain(breaks)
    });
    for (name, script) in snippets {
        let parsed = Command::new("bash").args(["-O", "extglob", "-n"]).input(script).run();
        assert!(parsed.is_ok(), "{name}: {parsed:?}");
    }
}
