//! JUnit XML, as CI servers read it.
//!
//! One test suite per suite. A test case is named after its check; its class name is `suite.node`, because GitLab and
//! Jenkins tell test cases apart by class name and name only, and Jenkins shows what stands before the dot as a
//! package. A fork is a property: which one a check was given differs from run to run. What failed without a check being involved (a node that did not boot, a playbook) is a test case in a
//! suite named `ai-how`, so that it is red in CI too.

use std::time::Duration;

use events::{Event, Outcome, Phase};
use jiff::{SignedDuration, Timestamp};
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use crate::run::{CheckRun, PhaseRun, Run};
use crate::text;

/// The name of the report as a whole, and of the suite of what failed outside of any check.
const OWN_SUITE: &str = "ai-how";

/// The JUnit XML of a run.
///
/// # Errors
///
/// When the XML writer fails, which it does for no input known.
pub fn render(events: &[Event]) -> Result<String, quick_junit::SerializeError> {
    let run = Run::from_events(events);
    let mut report = Report::new(OWN_SUITE);
    report.set_time(duration(run.seconds));
    if let Some(suite) = own_suite(&run) {
        report.add_test_suite(suite);
    }
    let mut names: Vec<&str> = Vec::new();
    for check in &run.checks {
        if !names.contains(&check.suite.as_str()) {
            names.push(&check.suite);
        }
    }
    for name in names {
        report.add_test_suite(suite(&run, name));
    }
    report.to_string()
}

/// Everything of one suite.
fn suite(run: &Run, name: &str) -> TestSuite {
    let checks = || run.checks.iter().filter(|check| check.suite == name);
    let start = checks().map(|check| check.start).fold(f64::INFINITY, f64::min);
    let end = checks().map(|check| check.start + check.seconds).fold(start, f64::max);
    let mut suite = empty_suite(run, name, start);
    suite.set_time(duration(end - start));
    suite.add_test_cases(checks().map(|check| check_case(run, check)));
    suite
}

/// Phases that failed, or the run itself when nothing else tells why it did.
fn own_suite(run: &Run) -> Option<TestSuite> {
    // The phase of the tests fails because a check did, and that check is in the report.
    let told_by_checks =
        |phase: &&PhaseRun| phase.phase == Phase::Tests && run.failed_checks().next().is_some();
    let mut cases: Vec<TestCase> = run
        .failed_phases()
        .filter(|phase| !told_by_checks(phase))
        .map(|phase| {
            let reason = format!("the {} phase {}", phase.phase, verb(phase.outcome));
            let status = non_success(phase.outcome, &reason, &evidence(run, phase.phase));
            case(run, &phase.phase.to_string(), OWN_SUITE, phase.start, phase.seconds, status)
        })
        .collect();
    if cases.is_empty() && run.failed_checks().next().is_none() {
        let (outcome, message) = match &run.finish {
            None => (Outcome::Interrupted, "the run was killed: its record has no end"),
            Some(finish) => (finish.outcome, finish.message.as_str()),
        };
        if outcome != Outcome::Passed && outcome != Outcome::Skipped {
            let status = non_success(outcome, text::first_line(message), message);
            cases.push(case(run, "run", OWN_SUITE, 0.0, run.seconds, status));
        }
    }
    if cases.is_empty() {
        return None;
    }
    let mut suite = empty_suite(run, OWN_SUITE, 0.0);
    suite.set_time(duration(run.seconds));
    suite.add_test_cases(cases);
    Some(suite)
}

/// What is known about why a phase failed.
fn evidence(run: &Run, phase: Phase) -> String {
    let mut lines: Vec<String> = match phase {
        Phase::Boot => run.failed_nodes().map(|(node, cause)| format!("{}: {cause}", node.name)).collect(),
        Phase::Deploy => run
            .failed_tasks()
            .map(|task| {
                format!("{}: {} / {}: {}: {}", task.node, task.play, task.task, task.status, task.message)
            })
            .collect(),
        Phase::Image | Phase::Tests | Phase::Cleanup => Vec::new(),
    };
    lines
        .extend(run.finish.iter().map(|finish| finish.message.clone()).filter(|message| !message.is_empty()));
    lines.join("\n")
}

fn check_case(run: &Run, check: &CheckRun) -> TestCase {
    let output = text::plain(&check.output);
    let status = match check.outcome {
        Outcome::Passed => TestCaseStatus::success(),
        Outcome::Skipped => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(text::plain(&check.reason));
            status
        }
        Outcome::Failed | Outcome::Interrupted => {
            non_success(check.outcome, &check.reason, &format!("{}\n\n{output}", check.reason))
        }
    };
    let class =
        if check.node.is_empty() { check.suite.clone() } else { format!("{}.{}", check.suite, check.node) };
    let passed = check.outcome == Outcome::Passed;
    let mut case = case(run, &check.check, &class, check.start, check.seconds, status);
    if !check.fork.is_empty() {
        case.add_property(Property::new("fork", text::plain(&check.fork)));
    }
    // Viewers show the text of a failure beside its system-out; once is enough.
    if passed && !output.trim().is_empty() {
        case.set_system_out(output);
    }
    case
}

fn case(run: &Run, name: &str, class: &str, start: f64, seconds: f64, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(text::plain(name), status);
    case.set_classname(text::plain(class)).set_time(duration(seconds));
    case.extra.extend(moment(run, start).map(|time| ("timestamp".into(), time.into())));
    case
}

fn empty_suite(run: &Run, name: &str, start: f64) -> TestSuite {
    let mut suite = TestSuite::new(text::plain(name));
    suite.extra.extend(moment(run, start).map(|time| ("timestamp".into(), time.into())));
    let properties = [
        ("run", &run.name),
        ("lab", &run.lab),
        ("file", &run.file),
        ("command", &run.command),
        ("accelerator", &run.accelerator),
    ];
    for (name, value) in properties {
        suite.add_property(Property::new(name, text::plain(value)));
    }
    suite
}

/// A failure, or an error when the run did not get to the end of it.
fn non_success(outcome: Outcome, reason: &str, description: &str) -> TestCaseStatus {
    let kind = if outcome == Outcome::Interrupted { NonSuccessKind::Error } else { NonSuccessKind::Failure };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(outcome.to_string()).set_message(text::plain(reason));
    let description = text::plain(description);
    if !description.trim().is_empty() {
        status.set_description(description.trim_end());
    }
    status
}

fn verb(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Interrupted => "was interrupted",
        Outcome::Passed | Outcome::Failed | Outcome::Skipped => "failed",
    }
}

/// A moment of the run, ISO 8601 in UTC with milliseconds.
fn moment(run: &Run, seconds: f64) -> Option<String> {
    let after = SignedDuration::try_from_secs_f64(seconds).ok()?;
    let moment: Timestamp = run.started?.checked_add(after).ok()?;
    Some(format!("{moment:.3}"))
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
