//! A run as its events tell it: phases, nodes, tasks and checks with their place in time.
//!
//! Whatever had begun and has no end when the events stop is told as interrupted, so that the record of a killed run
//! reads like any other.

use std::collections::BTreeMap;

use events::{Event, EventKind, Level, NodeState, Outcome, Phase, TaskStatus};
use jiff::Timestamp;

/// A run. Every time is in seconds since its first event.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// The run's own name.
    pub name: String,
    /// What the user typed.
    pub command: String,
    /// The lab's name.
    pub lab: String,
    /// The file the lab came from.
    pub file: String,
    /// `kvm` or `tcg`; empty when no machine was started.
    pub accelerator: String,
    /// When the first event happened; absent when there is none.
    pub started: Option<Timestamp>,
    /// How long the run took, or how far its record goes.
    pub seconds: f64,
    /// How it ended; absent when it was killed or goes on.
    pub finish: Option<Finish>,
    /// In the order in which they began.
    pub phases: Vec<PhaseRun>,
    /// In the order in which they appeared.
    pub nodes: Vec<NodeRun>,
    /// In the order in which they finished.
    pub tasks: Vec<TaskRun>,
    /// In the order in which they began.
    pub checks: Vec<CheckRun>,
    /// In the order in which they were measured.
    pub measured: Vec<Figure>,
    /// In the order in which they were given.
    pub notices: Vec<Notice>,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Finish {
    /// How it went.
    pub outcome: Outcome,
    /// The program's exit status.
    pub exit_code: u8,
    /// The error as the user is told it; empty when there is none.
    pub message: String,
}

/// A part of a run.
#[derive(Debug, Clone)]
pub struct PhaseRun {
    /// Which part.
    pub phase: Phase,
    /// When it began.
    pub start: f64,
    /// How long it took.
    pub seconds: f64,
    /// How it went.
    pub outcome: Outcome,
}

/// A node's life in a run.
#[derive(Debug, Clone)]
pub struct NodeRun {
    /// Its host name.
    pub name: String,
    /// When it entered which state, and what led there.
    pub states: Vec<(f64, NodeState, String)>,
}

/// One Ansible task on one node.
#[derive(Debug, Clone)]
pub struct TaskRun {
    /// The play's name.
    pub play: String,
    /// The task's name.
    pub task: String,
    /// The node's host name.
    pub node: String,
    /// What Ansible says of it.
    pub status: TaskStatus,
    /// Ansible's message.
    pub message: String,
    /// When it began.
    pub start: f64,
    /// How long it took.
    pub seconds: f64,
}

/// One check on one node.
#[derive(Debug, Clone)]
pub struct CheckRun {
    /// The suite's name.
    pub suite: String,
    /// The check's name.
    pub check: String,
    /// The node's host name.
    pub node: String,
    /// The fork that the node is of; empty when it is the lab's own.
    pub fork: String,
    /// How it went.
    pub outcome: Outcome,
    /// Why, unless it passed.
    pub reason: String,
    /// What it printed.
    pub output: String,
    /// When it began.
    pub start: f64,
    /// How long it took.
    pub seconds: f64,
}

impl CheckRun {
    /// Where it ran, as people are told.
    pub fn place(&self) -> String {
        place(&self.node, &self.fork)
    }
}

/// A node, or `NODE@FORK` when it is a fork's.
pub(crate) fn place(node: &str, fork: &str) -> String {
    if fork.is_empty() { node.to_owned() } else { format!("{node}@{fork}") }
}

/// A measured figure.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What was measured.
    pub figure: String,
    /// The node it belongs to; empty for the whole run.
    pub node: String,
    /// The value.
    pub value: f64,
    /// Its unit.
    pub unit: String,
}

/// Something a person should know.
#[derive(Debug, Clone)]
pub struct Notice {
    /// How much it matters.
    pub level: Level,
    /// One line.
    pub message: String,
}

/// How many checks went how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Did what they should.
    pub passed: usize,
    /// Did not.
    pub failed: usize,
    /// Were not tried.
    pub skipped: usize,
    /// Were begun and not finished.
    pub interrupted: usize,
}

impl Counts {
    /// Counts one more.
    pub fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Skipped => self.skipped += 1,
            Outcome::Interrupted => self.interrupted += 1,
        }
    }

    /// All of them.
    pub fn total(self) -> usize {
        self.passed + self.failed + self.skipped + self.interrupted
    }
}

/// `76 passed, 3 failed`, then `, 1 skipped` and `, 1 interrupted` where there are any. Programs read this line.
impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        if self.interrupted > 0 {
            write!(f, ", {} interrupted", self.interrupted)?;
        }
        Ok(())
    }
}

impl Run {
    /// Tells a run from its events, which may stop anywhere.
    pub fn from_events(events: &[Event]) -> Self {
        let mut telling = Telling::default();
        for event in events {
            telling.event(event);
        }
        telling.end()
    }

    /// How many checks went how.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for check in &self.checks {
            counts.add(check.outcome);
        }
        counts
    }

    /// How the run as a whole went. A run without an end was interrupted; one in which every check was skipped proved
    /// nothing and counts as skipped.
    pub fn outcome(&self) -> Outcome {
        let counts = self.counts();
        match self.finish.as_ref().map(|finish| finish.outcome) {
            None => Outcome::Interrupted,
            Some(Outcome::Passed) if counts.total() > 0 && counts.skipped == counts.total() => {
                Outcome::Skipped
            }
            Some(outcome) => outcome,
        }
    }

    /// Checks that failed or were interrupted, in the order in which they began.
    pub fn failed_checks(&self) -> impl Iterator<Item = &CheckRun> {
        self.checks.iter().filter(|check| is_bad(check.outcome))
    }

    /// Phases that failed or were interrupted.
    pub fn failed_phases(&self) -> impl Iterator<Item = &PhaseRun> {
        self.phases.iter().filter(|phase| is_bad(phase.outcome))
    }

    /// Tasks that failed. None when the deploy phase passed: what fails there is what the playbook ignores or
    /// rescues.
    pub fn failed_tasks(&self) -> impl Iterator<Item = &TaskRun> {
        let ignored =
            self.phases.iter().any(|phase| phase.phase == Phase::Deploy && phase.outcome == Outcome::Passed);
        self.tasks.iter().filter(move |task| {
            !ignored && matches!(task.status, TaskStatus::Failed | TaskStatus::Unreachable)
        })
    }

    /// Nodes that failed, with the cause.
    pub fn failed_nodes(&self) -> impl Iterator<Item = (&NodeRun, &str)> {
        self.nodes.iter().filter_map(|node| {
            let cause = node.states.iter().find(|(_, state, _)| *state == NodeState::Failed)?;
            Some((node, cause.2.as_str()))
        })
    }
}

impl NodeRun {
    /// Seconds from its first state to ready, when it got there.
    pub fn boot_seconds(&self) -> Option<f64> {
        let begun = self.states.iter().find(|(_, state, _)| *state != NodeState::Defined)?.0;
        let ready = self.states.iter().find(|(_, state, _)| *state == NodeState::Ready)?.0;
        Some(ready - begun)
    }
}

/// Whether something ended in a way that needs a person's attention.
pub(crate) fn is_bad(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Failed | Outcome::Interrupted)
}

/// A run on its way from events, with what is still open.
#[derive(Default)]
struct Telling {
    run: Run,
    /// The phase without an end, an index into `run.phases`.
    phase: Option<usize>,
    /// Checks without an end by suite, check and place; indexes into `run.checks`.
    checks: BTreeMap<(String, String, String), usize>,
    /// The checks each place told of last.
    sessions: BTreeMap<String, Session>,
}

/// Seconds within which results of one node were told together.
const SAME_MOMENT: f64 = 0.2;

/// Checks of a node that were told together.
#[derive(Default)]
struct Session {
    /// When the last of them was told.
    told: f64,
    /// Indexes into `run.checks`.
    checks: Vec<usize>,
}

impl Telling {
    fn event(&mut self, event: &Event) {
        let started = *self.run.started.get_or_insert(event.time);
        let now = event.time.duration_since(started).as_secs_f64();
        self.run.seconds = self.run.seconds.max(now);
        let run = &mut self.run;
        match event.kind.clone() {
            EventKind::RunStarted { format: _, run: name, command, lab, file, accelerator } => {
                *run = Run { name, command, lab, file, accelerator, ..std::mem::take(run) };
            }
            EventKind::Notice { level, message } => run.notices.push(Notice { level, message }),
            EventKind::PhaseStarted { phase } => {
                self.phase = Some(run.phases.len());
                run.phases.push(PhaseRun { phase, start: now, seconds: 0.0, outcome: Outcome::Interrupted });
            }
            EventKind::PhaseFinished { phase, outcome, seconds } => {
                let open = self.phase.take().and_then(|index| run.phases.get_mut(index));
                match open.filter(|open| open.phase == phase) {
                    Some(open) => (open.outcome, open.seconds) = (outcome, seconds),
                    None => run.phases.push(PhaseRun { phase, start: begin(now, seconds), seconds, outcome }),
                }
            }
            EventKind::Progress { .. } => {}
            EventKind::NodeState { node, state, detail } => {
                match run.nodes.iter_mut().find(|known| known.name == node) {
                    Some(known) => known.states.push((now, state, detail)),
                    None => run.nodes.push(NodeRun { name: node, states: vec![(now, state, detail)] }),
                }
            }
            EventKind::Task { play, task, node, status, message, seconds } => {
                let start = begin(now, seconds);
                run.tasks.push(TaskRun { play, task, node, status, message, start, seconds });
            }
            EventKind::CheckStarted { suite, check, node, fork } => {
                self.checks.insert((suite.clone(), check.clone(), place(&node, &fork)), run.checks.len());
                run.checks.push(CheckRun {
                    suite,
                    check,
                    node,
                    fork,
                    outcome: Outcome::Interrupted,
                    reason: "the run ended before this check did".into(),
                    output: String::new(),
                    start: now,
                    seconds: 0.0,
                });
            }
            EventKind::CheckFinished { suite, check, node, fork, outcome, seconds, reason, output } => {
                let place = place(&node, &fork);
                let open = self.checks.remove(&(suite.clone(), check.clone(), place.clone()));
                let start = begin(now, seconds);
                let index = open.unwrap_or(run.checks.len());
                let session = self.sessions.entry(place).or_default();
                if now - session.told > SAME_MOMENT {
                    session.checks.clear();
                }
                // Checks of one session are told together at its end, and ran one after the other before it.
                for earlier in &session.checks {
                    if let Some(check) = run.checks.get_mut(*earlier) {
                        check.start = (check.start - seconds).max(0.0);
                    }
                }
                session.told = now;
                session.checks.push(index);
                let finished = CheckRun { suite, check, node, fork, outcome, reason, output, start, seconds };
                match run.checks.get_mut(index) {
                    Some(open) => *open = finished,
                    None => run.checks.push(finished),
                }
            }
            EventKind::Measured { figure, node, value, unit } => {
                run.measured.push(Figure { figure, node, value, unit });
            }
            EventKind::RunFinished { outcome, exit_code, seconds, message } => {
                run.seconds = run.seconds.max(seconds);
                run.finish = Some(Finish { outcome, exit_code, message });
            }
        }
    }

    fn end(mut self) -> Run {
        let end = self.run.seconds;
        if let Some(phase) = self.phase.and_then(|index| self.run.phases.get_mut(index)) {
            phase.seconds = end - phase.start;
        }
        for index in self.checks.into_values() {
            if let Some(check) = self.run.checks.get_mut(index) {
                check.seconds = end - check.start;
            }
        }
        self.run
    }
}

/// When something began that ends now and took so long.
fn begin(now: f64, seconds: f64) -> f64 {
    (now - seconds).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_told_together_are_shown_one_after_the_other() {
        let check = |at: i64, check: &str, node: &str, seconds: f64| Event {
            time: Timestamp::from_millisecond(at).unwrap(),
            kind: EventKind::CheckFinished {
                suite: "s".into(),
                check: check.into(),
                node: node.into(),
                fork: String::new(),
                outcome: Outcome::Passed,
                seconds,
                reason: String::new(),
                output: String::new(),
            },
        };
        let run = Run::from_events(&[
            check(0, "first", "b", 0.0),
            check(10_000, "a", "n", 1.0),
            check(10_001, "b", "n", 2.0),
            check(10_002, "c", "n", 3.0),
            check(20_000, "later", "n", 1.0),
        ]);
        let starts: Vec<f64> = run.checks.iter().map(|check| check.start.round()).collect();
        assert_eq!(starts, [0.0, 4.0, 5.0, 7.0, 19.0]);
    }
}
