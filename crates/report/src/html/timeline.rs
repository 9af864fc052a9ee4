//! Where every bar of the timeline stands.
//!
//! Horizontal places are percentages of the time axis, so that the picture fills whatever width it is given and can be
//! stretched; vertical ones are pixels. Bars of one node that overlap in time are put on rows below each other.

use events::{NodeState, Outcome, TaskStatus};
use serde::Serialize;

use super::evidence::{self, Failure};
use crate::run::{CheckRun, NodeRun, PhaseRun, Run};
use crate::text;

/// The height of a row of bars, pixels.
const ROW: u32 = 18;
/// The space between lanes, pixels.
const GAP: u32 = 10;
/// The height of the time axis, pixels.
const AXIS: u32 = 22;
/// The narrowest bar, percent: one that took no time can be seen and pointed at.
const NARROWEST: f64 = 0.12;

/// The picture.
#[derive(Debug, Serialize)]
pub(super) struct Timeline {
    /// Pixels.
    height: u32,
    /// The longest name of a lane, characters.
    name_length: usize,
    ticks: Vec<Tick>,
    /// Vertical bands in which a phase ran.
    bands: Vec<Band>,
    lanes: Vec<Lane>,
}

#[derive(Debug, Serialize)]
struct Tick {
    x: f64,
    label: String,
}

#[derive(Debug, Serialize)]
struct Band {
    x: f64,
    width: f64,
}

#[derive(Debug, Serialize)]
struct Lane {
    name: String,
    /// Pixels.
    y: u32,
    /// Pixels.
    height: u32,
    bars: Vec<Bar>,
    /// When the node was ready: a thin line under its bars.
    ready: Option<Band>,
}

#[derive(Debug, Serialize)]
struct Bar {
    x: f64,
    width: f64,
    y: u32,
    height: u32,
    /// `phase`, `boot`, `task` or `check`.
    kind: &'static str,
    /// `passed`, `failed`, `skipped`, `interrupted`, `changed`, `starting`, `booting` or `stopping`.
    status: &'static str,
    /// Written in the bar; empty where there is no room for it.
    label: String,
    /// Shown when pointed at.
    title: String,
    /// Where its failure is told; empty when it has none.
    anchor: String,
}

/// What a bar shows before it has a place.
struct Span {
    start: f64,
    seconds: f64,
    kind: &'static str,
    status: &'static str,
    label: String,
    title: String,
    anchor: String,
}

/// Places everything; nothing when nothing took any time.
pub(super) fn place(run: &Run, failures: &[Failure]) -> Option<Timeline> {
    let spans_end = run
        .tasks
        .iter()
        .map(|task| task.start + task.seconds)
        .chain(run.checks.iter().map(|check| check.start + check.seconds))
        .chain(run.phases.iter().map(|phase| phase.start + phase.seconds));
    let end = spans_end.fold(run.seconds, f64::max);
    if end <= 0.0 {
        return None;
    }
    let axis = Axis { end };
    let mut y = AXIS;
    let mut lanes = Vec::new();
    let mut add = |name: String, spans: Vec<Span>, ready: Option<Band>| {
        let (bars, rows) = axis.bars(spans, y);
        let height = rows * ROW;
        lanes.push(Lane { name, y, height, bars, ready });
        y += height + GAP;
    };
    if !run.phases.is_empty() {
        add("phases".into(), run.phases.iter().map(phase_span).collect(), None);
    }
    for node in nodes(run) {
        let states = run.nodes.iter().find(|known| known.name == node);
        let ready = states.and_then(|node| axis.ready(node));
        let name = if node.is_empty() { "no node".into() } else { node.clone() };
        add(name, node_spans(run, &node, states, end, failures), ready);
    }
    let bands = run.phases.iter().step_by(2).map(|phase| axis.band(phase.start, phase.seconds)).collect();
    let name_length = lanes.iter().map(|lane| lane.name.chars().count()).max().unwrap_or_default();
    Some(Timeline { height: y, name_length, ticks: axis.ticks(), bands, lanes })
}

/// Every node that anything is known of, those with a life of their own first.
fn nodes(run: &Run) -> Vec<String> {
    let mut nodes: Vec<String> = run.nodes.iter().map(|node| node.name.clone()).collect();
    let tasks = run.tasks.iter().map(|task| task.node.clone());
    for node in tasks.chain(run.checks.iter().map(CheckRun::place)) {
        if !nodes.contains(&node) {
            nodes.push(node);
        }
    }
    nodes
}

fn phase_span(phase: &PhaseRun) -> Span {
    let PhaseRun { phase, start, seconds, outcome } = phase;
    let title = format!("{phase}: {outcome}, {}", text::seconds(*seconds));
    Span {
        start: *start,
        seconds: *seconds,
        kind: "phase",
        status: outcome_class(*outcome),
        label: phase.to_string(),
        title,
        anchor: String::new(),
    }
}

fn node_spans(run: &Run, node: &str, states: Option<&NodeRun>, end: f64, failures: &[Failure]) -> Vec<Span> {
    let mut spans = Vec::new();
    let states = states.map_or(&[][..], |node| &node.states);
    for (index, (start, state, detail)) in states.iter().enumerate() {
        let until = states.get(index + 1).map_or(end, |(next, ..)| *next);
        let (status, seconds) = match state {
            NodeState::Starting => ("starting", until - start),
            NodeState::Booting => ("booting", until - start),
            NodeState::Stopping => ("stopping", until - start),
            NodeState::Failed => ("failed", 0.0),
            NodeState::Defined | NodeState::Ready | NodeState::Stopped => continue,
        };
        let mut title = format!("{node} {state}");
        if seconds > 0.0 {
            title.push_str(&format!(", {}", text::seconds(seconds)));
        }
        if !detail.is_empty() {
            title.push_str(&format!("\n{}", text::plain(detail)));
        }
        let label = state.to_string();
        let anchor = if *state == NodeState::Failed {
            evidence::anchor(failures, "node", evidence::NOT_READY, node)
        } else {
            String::new()
        };
        spans.push(Span { start: *start, seconds, kind: "boot", status, label, title, anchor });
    }
    for task in run.tasks.iter().filter(|task| task.node == node) {
        let status = match task.status {
            TaskStatus::Ok => "passed",
            TaskStatus::Changed => "changed",
            TaskStatus::Skipped => "skipped",
            TaskStatus::Failed | TaskStatus::Unreachable => "failed",
        };
        let seconds = text::seconds(task.seconds);
        let mut title = format!("task {} / {}\n{node}: {}, {seconds}", task.play, task.task, task.status);
        if !task.message.is_empty() {
            title.push_str(&format!("\n{}", text::first_line(&text::plain(&task.message))));
        }
        let (start, seconds) = (task.start, task.seconds);
        let anchor = evidence::anchor(failures, "task", &format!("{} / {}", task.play, task.task), node);
        spans.push(Span { start, seconds, kind: "task", status, label: String::new(), title, anchor });
    }
    for check in run.checks.iter().filter(|check| check.place() == node) {
        let seconds = text::seconds(check.seconds);
        let mut title =
            format!("check {}/{}\n{node}: {}, {seconds}", check.suite, check.check, check.outcome);
        if !check.reason.is_empty() {
            title.push_str(&format!("\n{}", text::first_line(&text::plain(&check.reason))));
        }
        spans.push(Span {
            start: check.start,
            seconds: check.seconds,
            kind: "check",
            status: outcome_class(check.outcome),
            label: String::new(),
            title,
            anchor: evidence::anchor(failures, "check", &format!("{}/{}", check.suite, check.check), node),
        });
    }
    spans
}

/// The name an outcome has in the style sheet.
pub(super) fn outcome_class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Skipped => "skipped",
        Outcome::Interrupted => "interrupted",
    }
}

/// From seconds to percent.
#[derive(Clone, Copy)]
struct Axis {
    /// Seconds at 100 %. Greater than zero.
    end: f64,
}

impl Axis {
    fn at(self, seconds: f64) -> f64 {
        percent(seconds / self.end)
    }

    fn band(self, start: f64, seconds: f64) -> Band {
        Band { x: self.at(start), width: self.at(seconds) }
    }

    /// Puts spans on rows and returns how many rows that takes, at least one.
    fn bars(self, mut spans: Vec<Span>, top: u32) -> (Vec<Bar>, u32) {
        spans.sort_by(|one, other| one.start.total_cmp(&other.start));
        // When each row is free again.
        let mut rows: Vec<f64> = Vec::new();
        let mut bars = Vec::with_capacity(spans.len());
        for span in spans {
            // Clocks of two processes differ by a little: that much overlap is none.
            let free = rows.iter().position(|&until| until <= span.start + 0.02);
            let row = free.unwrap_or(rows.len());
            // A quick one is drawn wider than it took: side by side, a hundred of them would take a hundred rows.
            let until = span.start + span.seconds;
            match rows.get_mut(row) {
                Some(known) => *known = until,
                None => rows.push(until),
            }
            bars.push(Bar {
                x: self.at(span.start),
                width: self.at(span.seconds).max(NARROWEST),
                y: top + u32::try_from(row).unwrap_or_default() * ROW,
                height: ROW - 3,
                kind: span.kind,
                status: span.status,
                label: if self.has_room(&span) { span.label } else { String::new() },
                title: span.title,
                anchor: span.anchor,
            });
        }
        (bars, u32::try_from(rows.len()).unwrap_or_default().max(1))
    }

    /// Whether a label can be read in its bar when the picture is about as wide as a screen.
    fn has_room(self, span: &Span) -> bool {
        let letters = f64::from(u32::try_from(span.label.len()).unwrap_or(u32::MAX));
        self.at(span.seconds) > 0.6 * letters + 1.0
    }

    fn ready(self, node: &NodeRun) -> Option<Band> {
        let ready = node.states.iter().position(|(_, state, _)| *state == NodeState::Ready)?;
        let (start, ..) = node.states.get(ready)?;
        let until = node.states.get(ready + 1).map_or(self.end, |(next, ..)| *next);
        Some(self.band(*start, until - start))
    }

    /// Six to twelve ticks at round seconds.
    fn ticks(self) -> Vec<Tick> {
        const STEPS: [f64; 16] =
            [0.01, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];
        let step = STEPS.into_iter().find(|step| self.end / step <= 12.0).unwrap_or(self.end / 10.0);
        let ticks = (0_u32..).map(|index| f64::from(index) * step).take_while(|&second| second <= self.end);
        ticks.map(|second| Tick { x: self.at(second), label: tick_label(second, step) }).collect()
    }
}

fn tick_label(second: f64, step: f64) -> String {
    if step < 1.0 {
        format!("{second:.1} s")
    } else if second < 120.0 && step < 60.0 {
        format!("{second:.0} s")
    } else {
        let (minutes, seconds) = ((second / 60.0).floor(), second % 60.0);
        format!("{minutes:.0}:{seconds:02.0}")
    }
}

/// A share in percent, with as many digits as matter.
fn percent(share: f64) -> f64 {
    (share * 100_000.0).round() / 1000.0
}
