//! What failed, each with everything that is known about it.

use events::{Outcome, Phase};
use plan::model::Plan;
use serde::Serialize;

use super::{Attachment, NO_END};
use crate::run::Run;
use crate::text;

/// How much of a node's console stands beside a failure.
const CONSOLE_LINES: usize = 40;
/// How much is shown of what a check or task printed.
const OUTPUT_BYTES: usize = 16 * 1024;

/// What is said of a node that failed.
pub(super) const NOT_READY: &str = "did not get ready";

/// One failure.
#[derive(Debug, Serialize)]
pub(super) struct Failure {
    /// Its place in the page.
    anchor: String,
    /// `check`, `task`, `node`, `phase` or `run`.
    kind: &'static str,
    /// `failed` or `interrupted`.
    status: &'static str,
    /// What failed.
    name: String,
    /// Where; empty for the whole run.
    node: String,
    /// How long it took; empty when that is not known.
    spent: String,
    /// Why.
    reason: String,
    /// What was printed.
    output: String,
    /// The end of the node's console; empty when there is none.
    console: String,
    /// The attachment that end is from.
    console_name: String,
}

/// Every failure of a run: what broke first comes first, so nodes before tasks before checks.
pub(super) fn collect(run: &Run, plan: Option<&Plan>, attachments: &[Attachment]) -> Vec<Failure> {
    let mut failures: Vec<Failure> = Vec::new();
    for (node, cause) in run.failed_nodes() {
        failures.push(Failure::new("node", "failed", NOT_READY, &node.name, cause));
    }
    for task in run.failed_tasks() {
        let name = format!("{} / {}", task.play, task.task);
        let status = if task.status == events::TaskStatus::Unreachable { "unreachable" } else { "failed" };
        let (reason, output) = task.message.split_once('\n').unwrap_or((&task.message, ""));
        let mut failure = Failure::new("task", status, &name, &task.node, reason);
        failure.spent = text::seconds(task.seconds);
        failure.output = text::cut_middle(&text::plain(output), OUTPUT_BYTES);
        failures.push(failure);
    }
    for check in run.failed_checks() {
        let status = super::timeline::outcome_class(check.outcome);
        let name = format!("{}/{}", check.suite, check.check);
        let mut failure = Failure::new("check", status, &name, &check.place(), &check.reason);
        failure.spent = text::seconds(check.seconds);
        failure.output = text::cut_middle(&text::plain(&check.output), OUTPUT_BYTES);
        failures.push(failure);
    }
    for phase in run.failed_phases() {
        let told = match phase.phase {
            Phase::Boot => run.failed_nodes().next().is_some(),
            Phase::Deploy => run.failed_tasks().next().is_some(),
            Phase::Tests => run.failed_checks().next().is_some(),
            Phase::Image | Phase::Cleanup => false,
        };
        if !told {
            let status = super::timeline::outcome_class(phase.outcome);
            let message = run.finish.as_ref().map_or("", |finish| &finish.message);
            let mut failure = Failure::new("phase", status, &phase.phase.to_string(), "", message);
            failure.spent = text::seconds(phase.seconds);
            failures.push(failure);
        }
    }
    if failures.is_empty() {
        failures.extend(run_failure(run));
    }
    for (index, failure) in failures.iter_mut().enumerate() {
        failure.anchor = format!("failure-{}", index + 1);
        if let Some(console) = console(plan, attachments, &failure.node) {
            failure.console = text::tail(&text::plain(&console.text), CONSOLE_LINES).to_owned();
            failure.console_name.clone_from(&console.name);
        }
    }
    failures
}

/// Where the failure of something is told; empty when it did not fail.
pub(super) fn anchor(failures: &[Failure], kind: &str, name: &str, node: &str) -> String {
    let (name, node) = (text::plain(name), text::plain(node));
    let told = failures.iter().find(|told| told.kind == kind && told.name == name && told.node == node);
    told.map(|told| told.anchor.clone()).unwrap_or_default()
}

/// The run itself, when it failed and nothing else tells why.
fn run_failure(run: &Run) -> Option<Failure> {
    match &run.finish {
        None => Some(Failure::new("run", "interrupted", &run.command, "", NO_END)),
        Some(finish) if finish.outcome == Outcome::Failed || finish.outcome == Outcome::Interrupted => {
            let status = super::timeline::outcome_class(finish.outcome);
            Some(Failure::new("run", status, &run.command, "", &finish.message))
        }
        Some(_) => None,
    }
}

/// A node's console among the attachments: by the plan's path for it, else by its name.
fn console<'a>(plan: Option<&Plan>, attachments: &'a [Attachment], node: &str) -> Option<&'a Attachment> {
    if node.is_empty() {
        return None;
    }
    let planned = plan.and_then(|plan| plan.find(node));
    let by_plan = planned.and_then(|node| attachments.iter().find(|file| file.name == node.console));
    by_plan.or_else(|| {
        attachments.iter().find(|file| {
            let stem = file.name.strip_prefix("consoles/").and_then(|name| name.strip_suffix(".log"));
            stem.is_some_and(|stem| {
                stem == node || stem.strip_suffix(node).is_some_and(|cluster| cluster.ends_with('-'))
            })
        })
    })
}

impl Failure {
    fn new(kind: &'static str, status: &'static str, name: &str, node: &str, reason: &str) -> Self {
        Self {
            anchor: String::new(),
            kind,
            status,
            name: text::plain(name),
            node: text::plain(node),
            spent: String::new(),
            reason: text::plain(reason),
            output: String::new(),
            console: String::new(),
            console_name: String::new(),
        }
    }
}
