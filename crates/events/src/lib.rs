//! What happened: the one interface between the rooms that work (engine, deploy, harness, image) and the room that
//! shows it (report).
//!
//! Workers call [`Sink::emit`] and never print. The report stamps each [`EventKind`] with the time, writes it to
//! `events.jsonl` and hands it to every reporter, so a run that is replayed takes the same path as a live one. An
//! event carries facts, never a secret, and every text in it is meant for a person.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The version of the line format of `events.jsonl`. A reader refuses a file with a newer one.
pub const FORMAT: u32 = 1;

/// One line of `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened, UTC.
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Where workers put what happened. Emitting never fails and never blocks for long: a reporter that is in trouble
/// says so itself.
pub trait Sink: Send + Sync {
    /// Hands over one fact.
    fn emit(&self, kind: EventKind);
}

/// A sink that forgets, for callers that only want the result.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Sink for Silent {
    fn emit(&self, _: EventKind) {}
}

/// Every kind of fact. Seconds are wall-clock seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum EventKind {
    /// The first event of every run.
    RunStarted {
        /// [`FORMAT`] of the writer.
        format: u32,
        /// The run's own name, also that of its folder.
        run: String,
        /// What the user typed, without the program's path.
        command: String,
        /// The lab, as its file names it.
        lab: String,
        /// The file the lab came from.
        file: String,
        /// `kvm` or `tcg`; empty when no machine is started by this run.
        accelerator: String,
    },
    /// Something a person should know and no other event says.
    Notice {
        /// How much it matters.
        level: Level,
        /// One line.
        message: String,
    },
    /// A part of the run begins. Phases do not nest.
    PhaseStarted {
        /// Which part.
        phase: Phase,
    },
    /// A part of the run is over.
    PhaseFinished {
        /// Which part.
        phase: Phase,
        /// How it went.
        outcome: Outcome,
        /// How long it took.
        seconds: f64,
    },
    /// A long step tells how far it is, for a person who waits. Never needed to understand the result.
    Progress {
        /// What is being worked on: an image, a node.
        subject: String,
        /// What it is doing now.
        message: String,
    },
    /// A node is in a new state.
    NodeState {
        /// The node's host name.
        node: String,
        /// The state it is in now.
        state: NodeState,
        /// What led there, when that is worth a word; the cause for [`NodeState::Failed`].
        detail: String,
    },
    /// Ansible finished one task on one node.
    Task {
        /// The play's name.
        play: String,
        /// The task's name.
        task: String,
        /// The node's host name.
        node: String,
        /// What Ansible says of it.
        status: TaskStatus,
        /// Ansible's message when it failed or was skipped, else empty.
        message: String,
        /// From the task's start to this node's result.
        seconds: f64,
    },
    /// A check begins on a node.
    CheckStarted {
        /// The suite's name.
        suite: String,
        /// The check's name, unique in its suite.
        check: String,
        /// The node's host name.
        node: String,
        /// The fork that the node is of; empty when it is the lab's own.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        fork: String,
    },
    /// A check is over on a node.
    CheckFinished {
        /// The suite's name.
        suite: String,
        /// The check's name.
        check: String,
        /// The node's host name.
        node: String,
        /// The fork that the node is of; empty when it is the lab's own.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        fork: String,
        /// How it went.
        outcome: Outcome,
        /// How long it took.
        seconds: f64,
        /// Why it failed or was skipped; empty when it passed.
        reason: String,
        /// What the check printed, stdout and stderr, at most the last few kilobytes.
        output: String,
    },
    /// A figure that was measured in this run.
    Measured {
        /// What was measured, in kebab case: `node-memory-pss`, `boot-to-ready`.
        figure: String,
        /// The node it belongs to, empty for the whole run.
        node: String,
        /// The value.
        value: f64,
        /// `s`, `MiB`, `%`.
        unit: String,
    },
    /// The last event of every run that was not killed.
    RunFinished {
        /// How it went.
        outcome: Outcome,
        /// The exit status the program ends with.
        exit_code: u8,
        /// How long the whole run took.
        seconds: f64,
        /// The error as the user is told it; empty when there is none.
        message: String,
    },
}

/// How much a notice matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Good to know.
    Info,
    /// Worth a look; the run goes on.
    Warning,
    /// The run fails because of it.
    Error,
}

/// The parts of a run, in the order in which they happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Building the node image, or finding it in the cache.
    Image,
    /// From the first domain to the last node that said it is ready.
    Boot,
    /// Ansible.
    Deploy,
    /// Suites and their checks.
    Tests,
    /// Taking the lab down.
    Cleanup,
}

/// How something went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It did what it should.
    Passed,
    /// It did not.
    Failed,
    /// It was not tried, and says why.
    Skipped,
    /// The user, or a lost parent, stopped it.
    Interrupted,
}

/// The life of a node:
///
/// ```text
/// defined ─> starting ─> booting ─> ready ─> stopping ─> stopped
///    └───────────┴──────────┴─────────┴─> failed
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// Libvirt knows it.
    Defined,
    /// It waits for its turn, or for memory.
    Starting,
    /// Its processors run.
    Booting,
    /// The guest itself said so.
    Ready,
    /// It was asked to power off.
    Stopping,
    /// It is off.
    Stopped,
    /// It will not get ready.
    Failed,
}

/// What Ansible says of a task on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskStatus {
    /// Nothing had to be done.
    Ok,
    /// Something was changed.
    Changed,
    /// A condition said no.
    Skipped,
    /// It failed.
    Failed,
    /// The node could not be reached.
    Unreachable,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Image => "image",
            Self::Boot => "boot",
            Self::Deploy => "deploy",
            Self::Tests => "tests",
            Self::Cleanup => "cleanup",
        })
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Interrupted => "interrupted",
        })
    }
}

impl std::fmt::Display for NodeState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Defined => "defined",
            Self::Starting => "starting",
            Self::Booting => "booting",
            Self::Ready => "ready",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        })
    }
}

impl std::fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Changed => "changed",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Unreachable => "unreachable",
        })
    }
}
