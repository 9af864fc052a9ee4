//! What is said about each event, a line at a time.

use std::collections::BTreeMap;

use events::{Event, EventKind, Level, NodeState, Outcome, TaskStatus};
use jiff::Timestamp;

use super::Paint;
use crate::run::place;
use crate::text::{self, count};

/// How many of the last lines of a failed check's output are shown.
const OUTPUT_LINES: usize = 20;

/// After so many seconds without a word, the next sign of progress is worth one.
const LONG_SILENCE: f64 = 30.0;

/// Which events are worth a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Detail {
    /// Failures only.
    Failures,
    /// What a display that shows the rest cannot show: results of phases, failures, skips.
    Results,
    /// Also nodes that are ready, checks that passed, tasks that changed something.
    Facts,
    /// Everything.
    All,
}

/// Makes lines from events.
#[derive(Debug)]
pub(super) struct Narrator {
    detail: Detail,
    paint: Paint,
    /// When each node began to start.
    begun: BTreeMap<String, Timestamp>,
    /// The play that was last announced.
    play: String,
    /// Nodes on which the task that runs now changed something.
    changed: Option<Changed>,
    spoken: Option<Timestamp>,
}

#[derive(Debug)]
struct Changed {
    play: String,
    task: String,
    nodes: Vec<String>,
    /// The slowest node's.
    seconds: f64,
}

impl Narrator {
    pub(super) fn new(detail: Detail, paint: Paint) -> Self {
        let begun = BTreeMap::new();
        Self { detail, paint, begun, play: String::new(), changed: None, spoken: None }
    }

    /// The lines that this event is worth, without newlines.
    pub(super) fn lines(&mut self, event: &Event) -> Vec<String> {
        let mut lines = Vec::new();
        if !matches!(event.kind, EventKind::Task { .. } | EventKind::Progress { .. }) {
            self.say_changed(&mut lines);
        }
        match &event.kind {
            EventKind::RunStarted { .. } => self.run_started(&event.kind, &mut lines),
            EventKind::Notice { level, message } => self.notice(*level, message, &mut lines),
            EventKind::PhaseStarted { phase } => {
                if self.detail >= Detail::Facts {
                    lines.push(self.paint.strong(&format!("{phase}: started")));
                }
            }
            EventKind::PhaseFinished { phase, outcome, seconds } => {
                self.play.clear();
                if self.detail >= Detail::Results || *outcome == Outcome::Failed {
                    let outcome = self.outcome(*outcome, &outcome.to_string());
                    lines.push(format!("{phase}: {outcome} in {}", text::seconds(*seconds)));
                }
            }
            EventKind::Progress { subject, message } => {
                let silence =
                    self.spoken.map_or(0.0, |spoken| event.time.duration_since(spoken).as_secs_f64());
                if self.detail >= Detail::All || (self.detail == Detail::Facts && silence > LONG_SILENCE) {
                    lines.push(
                        self.paint
                            .faint(&text::plain(&format!("  {subject}: {}", text::first_line(message)))),
                    );
                }
            }
            EventKind::NodeState { node, state, detail } => {
                self.node_state(event.time, node, *state, detail, &mut lines);
            }
            EventKind::Task { .. } => self.task(&event.kind, &mut lines),
            EventKind::CheckStarted { .. } => {}
            EventKind::CheckFinished { .. } => self.check(&event.kind, &mut lines),
            EventKind::Measured { figure, node, value, unit } => {
                if self.detail >= Detail::All {
                    let of = if node.is_empty() { String::new() } else { format!(" of {node}") };
                    lines.push(self.paint.faint(&text::plain(&format!("  {figure}{of}: {value} {unit}"))));
                }
            }
            // Told by the summary, which has the last word.
            EventKind::RunFinished { .. } => {}
        }
        if !lines.is_empty() || self.spoken.is_none() {
            self.spoken = Some(event.time);
        }
        lines
    }

    fn run_started(&self, kind: &EventKind, lines: &mut Vec<String>) {
        let EventKind::RunStarted { command, lab, file, accelerator, run, .. } = kind else { return };
        if self.detail < Detail::Results {
            return;
        }
        let mut line = format!("{}: lab {}", self.paint.strong(&text::plain(command)), text::plain(lab));
        for (name, value) in [("from", file), ("on", accelerator), ("run", run)] {
            if !value.is_empty() {
                line.push_str(&format!(", {name} {}", text::plain(value)));
            }
        }
        lines.push(line);
    }

    fn notice(&self, level: Level, message: &str, lines: &mut Vec<String>) {
        let message = text::plain(message);
        match level {
            Level::Info if self.detail < Detail::Results => {}
            Level::Info => lines.push(format!("note: {message}")),
            Level::Warning => lines.push(format!("{} {message}", self.paint.warn("warning:"))),
            Level::Error => lines.push(format!("{} {message}", self.paint.bad("error:"))),
        }
    }

    fn node_state(
        &mut self,
        now: Timestamp,
        node: &str,
        state: NodeState,
        detail: &str,
        lines: &mut Vec<String>,
    ) {
        let node_name = text::plain(node);
        let why = if detail.is_empty() { String::new() } else { format!(": {}", text::plain(detail)) };
        match state {
            NodeState::Starting | NodeState::Booting => {
                self.begun.entry(node.to_owned()).or_insert(now);
            }
            // It may start again in the same run.
            NodeState::Stopped => drop(self.begun.remove(node)),
            _ => {}
        }
        match state {
            NodeState::Failed => {
                lines.push(format!("  {} node {node_name}{why}", self.paint.bad("FAIL")));
            }
            NodeState::Ready if self.detail >= Detail::Facts => {
                let after = self.begun.get(node).map_or_else(String::new, |&begun| {
                    format!(" after {}", text::seconds(now.duration_since(begun).as_secs_f64()))
                });
                lines.push(format!("  node {node_name} {}{after}{why}", self.paint.good("ready")));
            }
            _ if self.detail >= Detail::All => {
                lines.push(self.paint.faint(&format!("  node {node_name} {state}{why}")));
            }
            _ => {}
        }
    }

    fn task(&mut self, kind: &EventKind, lines: &mut Vec<String>) {
        let EventKind::Task { play, task, node, status, message, seconds } = kind else { return };
        if self.changed.as_ref().is_some_and(|changed| changed.play != *play || changed.task != *task) {
            self.say_changed(lines);
        }
        if self.play != *play && self.detail >= Detail::Facts {
            lines.push(format!("  play {}", text::plain(play)));
            self.play.clone_from(play);
        }
        match status {
            TaskStatus::Failed | TaskStatus::Unreachable => {
                let word = if *status == TaskStatus::Failed { "FAIL" } else { "UNREACHABLE" };
                lines.push(format!(
                    "    {} {} on {} {}",
                    self.paint.bad(word),
                    text::plain(task),
                    text::plain(node),
                    self.paint.faint(&text::seconds(*seconds)),
                ));
                push_indented(lines, message, OUTPUT_LINES);
            }
            _ if self.detail == Detail::All => {
                let line = format!("    {status} {} on {} {}", task, node, text::seconds(*seconds));
                lines.push(self.paint.faint(&text::plain(&line)));
            }
            TaskStatus::Changed if self.detail == Detail::Facts => {
                let changed = self.changed.get_or_insert_with(|| Changed {
                    play: play.clone(),
                    task: task.clone(),
                    nodes: Vec::new(),
                    seconds: 0.0,
                });
                changed.nodes.push(node.clone());
                changed.seconds = changed.seconds.max(*seconds);
            }
            TaskStatus::Ok | TaskStatus::Changed | TaskStatus::Skipped => {}
        }
    }

    /// Says which nodes the last task changed, once it is over on all of them.
    fn say_changed(&mut self, lines: &mut Vec<String>) {
        if let Some(Changed { task, mut nodes, seconds, .. }) = self.changed.take() {
            nodes.sort();
            let nodes = if nodes.len() > 4 { count(nodes.len(), "node") } else { nodes.join(", ") };
            let line = format!("    changed {task} on {nodes} {}", text::seconds(seconds));
            lines.push(text::plain(&line));
        }
    }

    fn check(&self, kind: &EventKind, lines: &mut Vec<String>) {
        let EventKind::CheckFinished { suite, check, node, fork, outcome, seconds, reason, output } = kind
        else {
            return;
        };
        let (word, wanted) = match outcome {
            Outcome::Passed => ("PASS", Detail::Facts),
            Outcome::Skipped => ("SKIP", Detail::Results),
            Outcome::Failed => ("FAIL", Detail::Failures),
            Outcome::Interrupted => ("INTERRUPTED", Detail::Failures),
        };
        if self.detail < wanted {
            return;
        }
        let name = text::plain(&[suite, "/", check, " ", &place(node, fork)].concat());
        let word = self.outcome(*outcome, word);
        let mut line = format!("  {word} {} {}", name.trim_end(), self.paint.faint(&text::seconds(*seconds)));
        if *outcome == Outcome::Skipped {
            line.push_str(&format!(": {}", text::plain(text::first_line(reason))));
        } else if *outcome != Outcome::Passed {
            line.push_str(&format!(": {}", text::plain(reason)));
        }
        lines.push(line);
        if *outcome != Outcome::Passed && *outcome != Outcome::Skipped {
            push_indented(lines, output, OUTPUT_LINES);
        } else if self.detail == Detail::All {
            push_indented(lines, output, usize::MAX);
        }
    }

    fn outcome(&self, outcome: Outcome, word: &str) -> String {
        match outcome {
            Outcome::Passed => self.paint.good(word),
            Outcome::Failed | Outcome::Interrupted => self.paint.bad(word),
            Outcome::Skipped => self.paint.warn(word),
        }
    }
}

/// The last lines of something a node printed, set off from our own words.
fn push_indented(lines: &mut Vec<String>, output: &str, most: usize) {
    let output = text::plain(output);
    let shown = text::tail(&output, most);
    let left_out = output.trim_end().lines().count() - shown.lines().count();
    if left_out > 0 {
        lines.push(format!("       | [{} before this]", count(left_out, "line")));
    }
    lines.extend(shown.lines().map(|line| format!("       | {line}").trim_end().to_owned()));
}
