//! A run on a terminal: one line for the phase, one for each node, and above them what is settled.
//!
//! ```text
//! boot: passed in 8.4s
//!   FAIL slurm/partition-up compute-02 0.31s: partition gpu is down
//!        | gpu  down  1:00:00  1  idle*  compute-02
//! tests  12.3s  31 passed, 1 failed, 3 running
//!   controller  ready    0.2s  slurm/munge-roundtrip
//!   compute-01  ready    1.9s  fabric/latency
//!   compute-02  booting  9.1s
//! ```

use std::collections::BTreeMap;
use std::fmt::Write;

use events::{Event, EventKind, NodeState, TaskStatus};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::narrator::Detail;
use super::{Narrator, Options, Paint, Summary, Verbosity};
use crate::reporter::Reporter;
use crate::run::{Counts, place};
use crate::text::{self, count};

/// Nodes beyond these get no line: a lab that fills the screen is read from the phase's line.
const MOST_NODE_LINES: usize = 20;

#[derive(Debug)]
pub(super) struct Live {
    narrator: Narrator,
    summary: Summary,
    paint: Paint,
    screen: MultiProgress,
    phase: ProgressBar,
    nodes: BTreeMap<String, Node>,
    checks: Counts,
    tasks: Tasks,
    running: usize,
}

/// A node's line.
#[derive(Debug)]
struct Node {
    state: NodeState,
    bar: ProgressBar,
    /// What it is at, as its line says it; empty when it waits.
    activity: String,
}

/// A line whose seconds pass.
const BUSY: &str = "  {prefix}  {spent}  {wide_msg}";
/// A line that waits.
const IDLE: &str = "  {prefix}           {wide_msg}";

#[derive(Debug, Default)]
struct Tasks {
    done: usize,
    changed: usize,
    failed: usize,
}

impl Live {
    pub(super) fn new(options: &Options) -> Self {
        let paint = Paint { colour: options.facts.colour };
        let detail = match options.verbosity {
            Verbosity::Quiet | Verbosity::Normal => Detail::Results,
            Verbosity::Verbose => Detail::All,
        };
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let phase = screen.add(ProgressBar::no_length().with_style(style("{prefix}  {spent}  {wide_msg}")));
        Self {
            narrator: Narrator::new(detail, paint),
            summary: Summary::new(options, paint),
            paint,
            screen,
            phase,
            nodes: BTreeMap::new(),
            checks: Counts::default(),
            tasks: Tasks::default(),
            running: 0,
        }
    }

    /// Whether the terminal can do what this needs.
    pub(super) fn is_visible(&self) -> bool {
        !self.screen.is_hidden()
    }

    fn begin_phase(&mut self, name: &str) {
        self.phase.set_prefix(self.paint.strong(name));
        self.phase.set_message("");
        self.phase.reset_elapsed();
        self.phase.tick();
    }

    fn node_state(&mut self, name: &str, state: NodeState, detail: &str) {
        if !self.nodes.contains_key(name) {
            let bar = if self.nodes.len() < MOST_NODE_LINES {
                self.screen.add(ProgressBar::no_length())
            } else {
                ProgressBar::hidden()
            };
            self.nodes.insert(name.to_owned(), Node { state, bar, activity: String::new() });
        }
        if let Some(node) = self.nodes.get_mut(name) {
            // Starting and booting are one wait to a person, and its seconds go on.
            if state != NodeState::Booting {
                node.bar.reset_elapsed();
            }
            node.state = state;
            let moves = matches!(state, NodeState::Starting | NodeState::Booting | NodeState::Stopping);
            node.bar.set_style(style(if moves { BUSY } else { IDLE }));
            node.bar.set_message(text::plain(text::first_line(detail)));
        }
        // A name that is longer than the others moves them all.
        let width = self.nodes.keys().map(|name| name.chars().count()).max().unwrap_or_default();
        for (name, node) in &self.nodes {
            let word = format!("{:<8}", node.state.to_string());
            let word = match node.state {
                NodeState::Ready => self.paint.good(&word),
                NodeState::Failed => self.paint.bad(&word),
                NodeState::Starting | NodeState::Booting => self.paint.warn(&word),
                NodeState::Defined | NodeState::Stopping | NodeState::Stopped => self.paint.faint(&word),
            };
            node.bar.set_prefix(format!("{:<width$}  {word}", text::plain(name)));
        }
        let ready = self.nodes.values().filter(|node| node.state == NodeState::Ready).count();
        self.phase.set_message(format!("{ready} of {} ready", count(self.nodes.len(), "node")));
    }

    /// A node begins something.
    fn begin(&mut self, node: &str, activity: &str) {
        if let Some(node) = self.nodes.get_mut(node) {
            activity.clone_into(&mut node.activity);
            node.bar.reset_elapsed();
            node.bar.set_style(style(BUSY));
            node.bar.set_message(text::plain(activity));
        }
    }

    /// A node is done with something. When it does several at once, the one it began last stays on its line.
    fn end(&mut self, node: &str, activity: &str) {
        if let Some(node) = self.nodes.get_mut(node).filter(|node| node.activity == activity) {
            node.idle();
        }
    }

    /// A node of a fork has a line for as long as something goes on there.
    fn forget(&mut self, name: &str) {
        if self.nodes.get(name).is_some_and(|node| node.activity.is_empty())
            && let Some(node) = self.nodes.remove(name)
        {
            node.bar.finish_and_clear();
            self.screen.remove(&node.bar);
        }
    }

    fn show_tasks(&self) {
        let Tasks { done, changed, failed } = &self.tasks;
        let mut message = format!("{}, {changed} changed", count(*done, "task"));
        if *failed > 0 {
            message.push_str(&format!(", {failed} failed"));
        }
        self.phase.set_message(message);
    }

    fn show_checks(&self) {
        let running = if self.running > 0 { format!(", {} running", self.running) } else { String::new() };
        self.phase.set_message(format!("{}{running}", self.checks));
    }

    fn print(&self, lines: &[String]) {
        if !lines.is_empty() {
            // A terminal that has gone away has nobody to tell it to.
            let _ = self.screen.println(lines.join("\n"));
        }
    }
}

impl Node {
    fn idle(&mut self) {
        self.activity.clear();
        self.bar.set_style(style(IDLE));
        self.bar.set_message("");
    }
}

impl Reporter for Live {
    fn event(&mut self, event: &Event) {
        self.summary.event(event);
        let lines = self.narrator.lines(event);
        self.print(&lines);
        match &event.kind {
            EventKind::PhaseStarted { phase } => self.begin_phase(&phase.to_string()),
            EventKind::PhaseFinished { .. } => {
                self.begin_phase("");
                self.nodes.values_mut().for_each(Node::idle);
            }
            EventKind::Progress { subject, message } => {
                let message = text::plain(text::first_line(message));
                match self.nodes.get(subject) {
                    Some(node) => node.bar.set_message(message),
                    None => self.phase.set_message(format!("{}: {message}", text::plain(subject))),
                }
            }
            EventKind::NodeState { node, state, detail } => self.node_state(node, *state, detail),
            EventKind::Task { play: _, task, node, status, message: _, seconds: _ } => {
                self.tasks.done += 1;
                self.tasks.changed += usize::from(*status == TaskStatus::Changed);
                self.tasks.failed +=
                    usize::from(matches!(status, TaskStatus::Failed | TaskStatus::Unreachable));
                // What a node does after a task is known when that is over too; until then, for how long.
                self.begin(node, &["since ", task].concat());
                self.show_tasks();
            }
            EventKind::CheckStarted { suite, check, node, fork } => {
                self.running += 1;
                if !fork.is_empty() {
                    self.node_state(&place(node, fork), NodeState::Ready, "");
                }
                self.begin(&place(node, fork), &[suite, "/", check].concat());
                self.show_checks();
            }
            EventKind::CheckFinished { suite, check, node, fork, outcome, .. } => {
                self.running = self.running.saturating_sub(1);
                self.checks.add(*outcome);
                self.end(&place(node, fork), &[suite, "/", check].concat());
                if !fork.is_empty() {
                    self.forget(&place(node, fork));
                }
                self.show_checks();
            }
            EventKind::RunStarted { .. }
            | EventKind::Notice { .. }
            | EventKind::Measured { .. }
            | EventKind::RunFinished { .. } => {}
        }
    }

    fn tick(&mut self) {
        self.phase.tick();
        self.nodes.values().for_each(|node| node.bar.tick());
    }

    fn finish(&mut self) {
        self.print(&self.summary.lines());
        self.phase.finish_and_clear();
        self.nodes.values().for_each(|node| node.bar.finish_and_clear());
    }
}

/// A line with `{spent}`, the time since its activity began.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner()).with_key(
        "spent",
        |state: &ProgressState, out: &mut dyn Write| {
            let spent = state.elapsed().as_secs_f64();
            // Tenths are enough to see it move.
            let spent = if spent < 60.0 { format!("{spent:.1}s") } else { text::seconds(spent) };
            let _ = write!(out, "{spent:>7}");
        },
    )
}
