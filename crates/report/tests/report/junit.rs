use events::{EventKind, NodeState, Outcome, Phase};
use quick_junit::{Report, TestCase, TestCaseStatus};

use crate::fixture::{self, FAILURES};

fn parse(events: &[events::Event]) -> Report {
    let xml = ai_how_report::junit::render(events).expect("XML");
    Report::deserialize_from_str(&xml).expect("our own XML is JUnit")
}

fn find<'a>(report: &'a Report, suite: &str, class: &str, name: &str) -> &'a TestCase {
    let suite = report.test_suites.iter().find(|known| known.name.as_str() == suite).expect("the suite");
    let mut cases = suite.test_cases.iter();
    cases
        .find(|case| {
            case.name.as_str() == name && case.classname.as_ref().is_some_and(|known| known.as_str() == class)
        })
        .expect("the test case")
}

#[test]
fn every_check_is_a_test_case_in_its_suite() {
    let report = parse(&fixture::events());
    let names: Vec<&str> = report.test_suites.iter().map(|suite| suite.name.as_str()).collect();
    assert_eq!(names, ["slurm", "fabric", "storage"]);
    assert_eq!((report.tests, report.failures, report.errors, report.skipped), (81, 3, 0, 1));
    let case = find(&report, "slurm", "slurm.controller", "munge-roundtrip");
    assert!(matches!(case.status, TestCaseStatus::Success { .. }));
    assert!(case.time.is_some_and(|time| time.as_secs_f64() > 0.05) && case.timestamp.is_some());
    let suite = report.test_suites.first().expect("a suite");
    let properties: Vec<(&str, &str)> =
        suite.properties.iter().map(|known| (known.name.as_str(), known.value.as_str())).collect();
    assert!(properties.contains(&("accelerator", "tcg")) && properties.contains(&("lab", "demo")));
}

#[test]
fn a_failure_has_its_reason_and_output_without_control_characters() {
    let report = parse(&fixture::events());
    for (suite, check, node, reason, output) in FAILURES {
        let case = find(&report, suite, &format!("{suite}.{node}"), check);
        let TestCaseStatus::NonSuccess { message, description, .. } = &case.status else {
            panic!("{check} is not a failure");
        };
        assert_eq!(message.as_ref().expect("a message").as_str(), reason);
        let description = description.as_ref().expect("a description").as_str();
        let last = output
            .trim_end()
            .lines()
            .last()
            .expect("output")
            .replace("\u{1b}[31m", "")
            .replace("\u{1b}[0m", "");
        assert!(description.contains(reason) && description.contains(&last), "{description}");
    }
    let xml = ai_how_report::junit::render(&fixture::events()).expect("XML");
    assert!(!xml.chars().any(|char| char.is_control() && char != '\n'), "control characters");
    let skipped = find(&report, "storage", "storage.controller", "hugepages");
    let TestCaseStatus::Skipped { message, .. } = &skipped.status else { panic!("not skipped") };
    assert_eq!(message.as_ref().expect("a message").as_str(), "the controller runs no jobs");
}

#[test]
fn a_failed_boot_is_red_without_any_check() {
    let report = parse(&fixture::stamp(vec![
        (0.0, EventKind::PhaseStarted { phase: Phase::Boot }),
        (
            9.0,
            EventKind::NodeState {
                node: "compute-01".into(),
                state: NodeState::Failed,
                detail: "kernel panic".into(),
            },
        ),
        (9.0, EventKind::PhaseFinished { phase: Phase::Boot, outcome: Outcome::Failed, seconds: 9.0 }),
        (
            9.1,
            EventKind::RunFinished {
                outcome: Outcome::Failed,
                exit_code: 1,
                seconds: 9.1,
                message: "1 node failed".into(),
            },
        ),
    ]));
    let case = find(&report, "ai-how", "ai-how", "boot");
    let TestCaseStatus::NonSuccess { description, .. } = &case.status else { panic!("not a failure") };
    assert_eq!(
        description.as_ref().expect("a description").as_str(),
        "compute-01: kernel panic\n1 node failed"
    );
}

#[test]
fn a_killed_run_has_an_error_for_the_check_it_was_at() {
    let mut events = fixture::events();
    let begun = |event: &events::Event| matches!(event.kind, EventKind::CheckStarted { .. });
    let cut = events.iter().position(begun).expect("a check") + 1;
    events.truncate(cut);
    let report = parse(&events);
    // The check and the phase it was in; the phase is told by the check.
    assert_eq!((report.tests, report.errors), (1, 1));
}

#[test]
fn a_fork_is_a_property_because_which_one_it_was_differs_from_run_to_run() {
    let mut events = fixture::events();
    for event in &mut events {
        match &mut event.kind {
            EventKind::CheckStarted { check, fork, .. } | EventKind::CheckFinished { check, fork, .. }
                if check == "munge-roundtrip" =>
            {
                "test-1".clone_into(fork);
            }
            _ => {}
        }
    }
    let report = parse(&events);
    assert_eq!(report.tests, 81, "a start and an end on a fork are one test case");
    let case = find(&report, "slurm", "slurm.controller", "munge-roundtrip");
    let properties: Vec<(&str, &str)> =
        case.properties.iter().map(|known| (known.name.as_str(), known.value.as_str())).collect();
    assert_eq!(properties, [("fork", "test-1")]);
}
