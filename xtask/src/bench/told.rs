//! What a run of ai-how tells about itself: the events in its folder.

use std::path::Path;

use events::{Event, EventKind, Level, NodeState, Phase};
use jiff::Timestamp;

use crate::Failure;

/// What a node that starts is told to be when it is a copy.
const COPIED: &str = "copied from a template";

/// The events of one run.
#[derive(Debug)]
pub(crate) struct Told(Vec<Event>);

impl Told {
    /// Reads the events of a run's folder.
    pub(crate) fn read(run: &Path) -> Result<Self, Failure> {
        let path = run.join(report::record::FILE);
        let events = report::read(&path)?;
        match events.first().map(|event| &event.kind) {
            Some(EventKind::RunStarted { .. }) => Ok(Self(events)),
            _ => Err(format!("{}: it does not begin with the start of a run", path.display()).into()),
        }
    }

    /// How long a phase took, seconds.
    pub(crate) fn phase(&self, wanted: Phase) -> Option<f64> {
        self.0.iter().find_map(|event| match event.kind {
            EventKind::PhaseFinished { phase, seconds, .. } if phase == wanted => Some(seconds),
            _ => None,
        })
    }

    /// Seconds from `start` until the last node said that it is ready.
    pub(crate) fn ready_after(&self, start: Timestamp) -> Option<f64> {
        self.last_after(start, NodeState::Ready)
    }

    /// Seconds from `start` until the processors of the last node ran.
    pub(crate) fn running_after(&self, start: Timestamp) -> Option<f64> {
        self.last_after(start, NodeState::Booting)
    }

    fn last_after(&self, start: Timestamp, wanted: NodeState) -> Option<f64> {
        let is = |event: &&Event| matches!(event.kind, EventKind::NodeState { state, .. } if state == wanted);
        let last = self.0.iter().filter(is).map(|event| event.time).max()?;
        Some(last.duration_since(start).as_secs_f64())
    }

    /// Fails unless this was a warm start: every node a copy of a template, and nothing done by Ansible.
    pub(crate) fn expect_copies(&self) -> Result<(), Failure> {
        let cold = self.0.iter().find_map(|event| match &event.kind {
            EventKind::NodeState { node, state: NodeState::Booting, detail } if detail != COPIED => {
                Some(format!("{node} booted"))
            }
            EventKind::Task { node, task, .. } => Some(format!("Ansible did {task:?} on {node}")),
            _ => None,
        });
        let Some(cold) = cold else { return Ok(()) };
        let warnings: Vec<&str> = self.0.iter().filter_map(warning).collect();
        Err(format!("this was no start from templates: {cold}; warnings: [{}]", warnings.join("; ")).into())
    }

    /// What was measured for each node under that name, in the order of the events.
    pub(crate) fn measured(&self, wanted: &str) -> Vec<(&str, f64)> {
        let values = self.0.iter().filter_map(|event| match &event.kind {
            EventKind::Measured { figure, node, value, .. } if figure == wanted => {
                Some((node.as_str(), *value))
            }
            _ => None,
        });
        values.collect()
    }
}

fn warning(event: &Event) -> Option<&str> {
    match &event.kind {
        EventKind::Notice { level: Level::Warning, message } => Some(message),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = r#"{"time":"2025-01-01T00:00:00Z","event":"run-started","format":1,"run":"r","command":"c","lab":"lab","file":"f","accelerator":"tcg"}
{"time":"2025-01-01T00:00:01Z","event":"phase-started","phase":"boot"}
{"time":"2025-01-01T00:00:02Z","event":"node-state","node":"a","state":"booting","detail":""}
{"time":"2025-01-01T00:00:20.5Z","event":"node-state","node":"a","state":"ready","detail":""}
{"time":"2025-01-01T00:00:20.5Z","event":"measured","figure":"power-on-to-ready","node":"a","value":18.5,"unit":"s"}
{"time":"2025-01-01T00:00:25Z","event":"node-state","node":"b","state":"ready","detail":""}
{"time":"2025-01-01T00:00:25Z","event":"measured","figure":"power-on-to-ready","node":"b","value":16.0,"unit":"s"}
{"time":"2025-01-01T00:00:26Z","event":"phase-finished","phase":"boot","outcome":"passed","seconds":25.0}
"#;

    fn told(record: &str) -> Result<Told, Failure> {
        let run = tempfile::tempdir().unwrap();
        std::fs::write(run.path().join("events.jsonl"), record).unwrap();
        Told::read(run.path())
    }

    #[test]
    fn a_run_tells_its_phases_and_nodes() {
        let told = told(RUN).unwrap();
        assert_eq!(told.phase(Phase::Boot), Some(25.0));
        assert_eq!(told.phase(Phase::Deploy), None);
        let start = "2024-12-31T23:59:59.5Z".parse().unwrap();
        assert_eq!(told.ready_after(start), Some(25.5));
        assert_eq!(told.running_after(start), Some(2.5));
        assert_eq!(told.measured("power-on-to-ready"), [("a", 18.5), ("b", 16.0)]);
    }

    #[test]
    fn a_start_with_boots_or_ansible_is_not_warm() {
        let why = |record: &str| told(record).unwrap().expect_copies().unwrap_err().to_string();
        let notice =
            r#"{"time":"2025-01-01T00:00:02Z","event":"notice","level":"warning","message":"no room"}"#;
        assert!(why(&format!("{RUN}{notice}\n")).contains("a booted; warnings: [no room]"));
        let warm = RUN.replace(r#""detail":""}"#, r#""detail":"copied from a template"}"#);
        told(&warm).unwrap().expect_copies().unwrap();
        let task = r#"{"time":"2025-01-01T00:00:27Z","event":"task","play":"p","task":"munge","node":"b","status":"ok","message":"","seconds":1.0}"#;
        assert!(why(&format!("{warm}{task}\n")).contains("Ansible did \"munge\" on b"));
    }

    #[test]
    fn what_is_no_run_is_refused() {
        assert!(told("").is_err());
        assert!(told(RUN.lines().nth(1).unwrap()).is_err());
        let newer = RUN.replace("\"format\":1", "\"format\":999");
        assert!(told(&newer).unwrap_err().to_string().contains("999"));
    }
}
