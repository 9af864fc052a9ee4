//! The last words of a run: seconds per phase, what failed, where the report is, and the counts.

use std::path::PathBuf;

use events::{Event, EventKind, Outcome, TaskStatus};

use super::{Options, Paint};
use crate::run::Run;
use crate::text;

/// Collects events and tells the end of the run.
#[derive(Debug)]
pub(super) struct Summary {
    paint: Paint,
    report: Option<PathBuf>,
    /// What the summary is about; tasks that went well and output, the bulk of a run, are not.
    events: Vec<Event>,
}

impl Summary {
    pub(super) fn new(options: &Options, paint: Paint) -> Self {
        Self { paint, report: options.report.clone(), events: Vec::new() }
    }

    pub(super) fn event(&mut self, event: &Event) {
        let mut event = event.clone();
        match &mut event.kind {
            EventKind::Task { status: TaskStatus::Failed | TaskStatus::Unreachable, .. } => {}
            EventKind::Task { .. } | EventKind::Progress { .. } | EventKind::Measured { .. } => return,
            EventKind::CheckFinished { output, .. } => output.clear(),
            _ => {}
        }
        self.events.push(event);
    }

    /// The last lines. The very last is the counts alone, when there were checks: programs read it.
    pub(super) fn lines(&self) -> Vec<String> {
        let run = Run::from_events(&self.events);
        let paint = self.paint;
        let mut lines = vec![String::new()];
        for phase in &run.phases {
            let outcome = format!("{:<11}", phase.outcome.to_string());
            let outcome = match phase.outcome {
                Outcome::Passed => paint.good(&outcome),
                Outcome::Skipped => paint.warn(&outcome),
                Outcome::Failed | Outcome::Interrupted => paint.bad(&outcome),
            };
            lines.push(format!(
                "{:<8} {outcome} {:>8}",
                phase.phase.to_string(),
                text::seconds(phase.seconds)
            ));
        }
        if !run.phases.is_empty() {
            lines.push(String::new());
        }
        let failed = paint.bad("FAIL");
        for (node, cause) in run.failed_nodes() {
            lines.push(format!("{failed} node {}: {}", text::plain(&node.name), one_line(cause)));
        }
        for task in run.failed_tasks() {
            let name = text::plain(&format!("{} / {} on {}", task.play, task.task, task.node));
            lines.push(format!("{failed} task {name}: {}", one_line(&task.message)));
        }
        for check in run.failed_checks() {
            let name = text::plain(&format!("{}/{} {}", check.suite, check.check, check.place()));
            let word = if check.outcome == Outcome::Failed { "FAIL" } else { "INTERRUPTED" };
            lines.push(format!("{} {}: {}", paint.bad(word), name.trim_end(), one_line(&check.reason)));
        }
        lines.push(self.verdict(&run));
        if let Some(report) = &self.report {
            lines.push(format!("report: {}", report.display()));
        }
        let counts = run.counts();
        if counts.total() > 0 {
            lines.push(counts.to_string());
        }
        lines
    }

    fn verdict(&self, run: &Run) -> String {
        let after = text::seconds(run.seconds);
        let paint = self.paint;
        let Some(finish) = &run.finish else {
            return format!("{} after {after}: the record has no end", paint.bad("run interrupted"));
        };
        let mut line = match run.outcome() {
            Outcome::Passed => format!("{} in {after}", paint.good("run passed")),
            Outcome::Skipped => {
                format!("{} in {after}: every check was skipped", paint.warn("nothing tested"))
            }
            Outcome::Interrupted => format!("{} after {after}", paint.bad("run interrupted")),
            Outcome::Failed => format!("{} after {after}", paint.bad("run failed")),
        };
        if !finish.message.is_empty() {
            line.push_str(&format!(": {}", text::plain(&finish.message)));
        }
        line
    }
}

/// The gist of a reason; all of it was said when it happened.
fn one_line(reason: &str) -> String {
    text::plain(text::first_line(reason))
}
