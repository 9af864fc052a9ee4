//! What ansible-playbook prints: lines for people, and among them those of the callback plugin `ai_how_events`, which
//! start with the ASCII record separator and hold JSON.

use std::collections::BTreeMap;

use events::{EventKind, TaskStatus};
use serde::Deserialize;

/// What the callback plugin says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Line {
    /// A task is over on a node.
    Task(Task),
    /// Ansible is done with all nodes.
    End {
        /// What it counted.
        nodes: BTreeMap<String, Counts>,
    },
}

/// A task's result on a node.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Task {
    play: String,
    pub(crate) task: String,
    pub(crate) node: String,
    pub(crate) status: TaskStatus,
    pub(crate) message: String,
    seconds: f64,
}

/// Ansible's own counts of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct Counts {
    pub(crate) ok: u32,
    pub(crate) changed: u32,
    pub(crate) skipped: u32,
    pub(crate) failures: u32,
    pub(crate) unreachable: u32,
}

impl Line {
    /// Reads a line; `None` when it is one for people, or was cut off.
    pub(crate) fn read(line: &str) -> Option<Self> {
        serde_json::from_str(line.strip_prefix('\u{1e}')?).ok()
    }
}

impl Task {
    /// The event of it.
    pub(crate) fn event(&self) -> EventKind {
        EventKind::Task {
            play: self.play.clone(),
            task: self.task.clone(),
            node: self.node.clone(),
            status: self.status,
            message: self.message.clone(),
            seconds: self.seconds,
        }
    }

    /// Whether it ends the deploy of its node.
    pub(crate) fn is_bad(&self) -> bool {
        matches!(self.status, TaskStatus::Failed | TaskStatus::Unreachable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: &str = "\u{1e}{\"event\": \"task\", \"play\": \"Nodes\", \"task\": \"munge : Run munged\", \
                          \"node\": \"compute-01\", \"status\": \"failed\", \"message\": \"no such unit\", \
                          \"seconds\": 1.25}\n";

    #[test]
    fn a_result_becomes_an_event() {
        let Some(Line::Task(task)) = Line::read(FAILED) else { panic!("{FAILED}") };
        assert!(task.is_bad());
        let wanted = EventKind::Task {
            play: "Nodes".into(),
            task: "munge : Run munged".into(),
            node: "compute-01".into(),
            status: TaskStatus::Failed,
            message: "no such unit".into(),
            seconds: 1.25,
        };
        assert_eq!(task.event(), wanted);
    }

    #[test]
    fn a_torn_line_is_not_a_result() {
        assert_eq!(Line::read(&FAILED[..60]), None);
    }

    #[test]
    fn a_line_for_people_is_not_a_result_even_if_it_holds_one() {
        assert_eq!(Line::read(FAILED.trim_start_matches('\u{1e}')), None);
        assert_eq!(Line::read("TASK [base : Name the nodes] ****\n"), None);
    }

    #[test]
    fn the_last_line_counts() {
        let line = "\u{1e}{\"event\": \"end\", \"nodes\": {\"n\": {\"ok\": 7, \"failures\": 0, \"unreachable\": 0, \
                    \"changed\": 3, \"skipped\": 1, \"rescued\": 0, \"ignored\": 0}}}\n";
        let Some(Line::End { nodes }) = Line::read(line) else { panic!("{line}") };
        assert_eq!(nodes["n"], Counts { ok: 7, changed: 3, skipped: 1, failures: 0, unreachable: 0 });
    }
}
