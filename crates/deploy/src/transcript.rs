//! What one run of ansible-playbook says, and how it ended.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
};

use events::{Sink, TaskStatus};
use system::{
    file,
    process::{self, Command, Stream},
};

use crate::{
    Error, NodeSummary,
    lines::{Counts, Line, Task},
};

/// What Ansible says while it runs: events go to the sink, everything else to the log.
pub(crate) struct Transcript<'a> {
    path: &'a Path,
    log: File,
    bad: Vec<Task>,
    end: Option<BTreeMap<String, Counts>>,
}

impl<'a> Transcript<'a> {
    pub(crate) fn new(path: &'a Path) -> Result<Self, Error> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(file::Error::new("open", path))?;
        Ok(Self { path, log, bad: Vec::new(), end: None })
    }

    pub(crate) fn follow(
        mut self,
        command: &Command,
        sink: &dyn Sink,
    ) -> Result<BTreeMap<String, NodeSummary>, Error> {
        let ended = command.stream(|stream, line| self.take(stream, line, sink));
        self.verdict(ended)
    }

    fn take(&mut self, stream: Stream, line: &str, sink: &dyn Sink) {
        match Line::read(line).filter(|_| stream == Stream::Out) {
            Some(Line::Task(task)) => {
                sink.emit(task.event());
                if task.is_bad() {
                    self.bad.push(task);
                }
            }
            Some(Line::End { nodes }) => self.end = Some(nodes),
            // A log that cannot be written is no reason to fail a deploy that works.
            None => drop(self.log.write_all(line.as_bytes())),
        }
    }

    fn verdict(self, ended: Result<(), process::Error>) -> Result<BTreeMap<String, NodeSummary>, Error> {
        let log = self.path.to_owned();
        match ended {
            Err(process::Error::Cancelled { .. }) => return Err(Error::Interrupted),
            Err(process::Error::TimedOut { limit, .. }) => {
                return Err(Error::TimedOut { seconds: limit.as_secs_f64(), log });
            }
            _ => {}
        }
        let others = self.bad.len().saturating_sub(1);
        if let Some(Task { task, node, status, message, .. }) = self.bad.into_iter().next() {
            return Err(match status {
                TaskStatus::Unreachable => Error::Unreachable { node, task, message, others, log },
                _ => Error::TaskFailed { node, task, message, others, log },
            });
        }
        match (ended, self.end) {
            (Ok(()), Some(nodes)) => {
                Ok(nodes.into_iter().map(|(node, counts)| (node, NodeSummary::from(counts))).collect())
            }
            (ended, _) => Err(Error::Ended { log, source: ended.err() }),
        }
    }
}
