//! The live end of the record: stamps, keeps, fans out.
//!
//! The record is written by whoever emits, under a lock, so that order in the file is order in time and nothing that
//! was emitted waits in memory. Reporters run on a thread of their own: a terminal that is held up holds up no worker.

use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use events::{Event, EventKind, Level, Sink};
use jiff::Timestamp;

use crate::record::{RecordError, Writer};
use crate::reporter::Reporter;

/// How often reporters are ticked while nothing happens.
const TICK: Duration = Duration::from_millis(120);

/// Where a live run puts what happens.
///
/// When the record cannot be written any more (a full disk), reporters are told so once, as a warning, and the run
/// goes on.
#[derive(Debug)]
pub struct Recorder {
    clock: fn() -> Timestamp,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Gone after the first write that failed.
    record: Option<Writer>,
    /// Gone after [`Recorder::finish`].
    reporters: Option<(Sender<Event>, JoinHandle<()>)>,
}

impl Recorder {
    /// Begins the record of a run in `folder`, which is created when it is missing, and starts the reporters.
    ///
    /// # Errors
    ///
    /// When the record cannot be created, or there is one already.
    pub fn create(
        folder: &Path,
        clock: fn() -> Timestamp,
        reporters: Vec<Box<dyn Reporter>>,
    ) -> Result<Self, RecordError> {
        Ok(Self::start(Writer::create(folder)?, clock, reporters))
    }

    fn start(record: Writer, clock: fn() -> Timestamp, reporters: Vec<Box<dyn Reporter>>) -> Self {
        let (sender, receiver) = mpsc::channel();
        let thread = thread::spawn(move || tell(&receiver, reporters));
        let state = State { record: Some(record), reporters: Some((sender, thread)) };
        Self { clock, state: Mutex::new(state) }
    }

    /// Waits until every reporter has told everything and said its last word. Later events still reach the record,
    /// a second call does nothing.
    pub fn finish(&self) {
        // The lock is given back before the wait, so that a worker that still emits is not held up.
        let reporters = self.lock().reporters.take();
        if let Some((sender, thread)) = reporters {
            drop(sender);
            // A reporter that panicked has already said so on stderr; the record is whole.
            let _ = thread.join();
        }
    }

    /// A worker that panicked while it emitted leaves the state usable: each step in there is complete in itself.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Recorder {
    fn emit(&self, kind: EventKind) {
        let mut state = self.lock();
        let event = Event { time: (self.clock)(), kind };
        let failure = state.record.as_mut().and_then(|record| {
            let error = record.append(&event).err()?;
            Some(Event {
                time: event.time,
                kind: EventKind::Notice {
                    level: Level::Warning,
                    message: format!(
                        "cannot write {}: {error}; the run goes on, its record and report end here",
                        record.path.display()
                    ),
                },
            })
        });
        if failure.is_some() {
            state.record = None;
        }
        if let Some((sender, _)) = &state.reporters {
            for event in [event].into_iter().chain(failure) {
                // Nobody listens when a reporter panicked.
                let _ = sender.send(event);
            }
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The reporters' thread.
fn tell(events: &Receiver<Event>, mut reporters: Vec<Box<dyn Reporter>>) {
    loop {
        match events.recv_timeout(TICK) {
            Ok(event) => reporters.iter_mut().for_each(|reporter| reporter.event(&event)),
            Err(RecvTimeoutError::Timeout) => reporters.iter_mut().for_each(|reporter| reporter.tick()),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    reporters.iter_mut().for_each(|reporter| reporter.finish());
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::mpsc::Receiver;

    use super::*;

    struct Told(Sender<Event>);

    impl Reporter for Told {
        fn event(&mut self, event: &Event) {
            let _ = self.0.send(event.clone());
        }
    }

    /// A recorder whose record takes no byte, like one on a full disk, and what its reporter is told.
    fn on_a_full_disk() -> (Recorder, Receiver<Event>) {
        let (sender, told) = mpsc::channel();
        let file = File::options().append(true).open("/dev/full").expect("/dev/full");
        let record = Writer { path: "/dev/full".into(), file };
        (Recorder::start(record, || Timestamp::UNIX_EPOCH, vec![Box::new(Told(sender))]), told)
    }

    #[test]
    fn a_full_disk_is_said_once_and_the_run_goes_on() {
        let (recorder, told) = on_a_full_disk();
        let step = |subject: &str| EventKind::Progress { subject: subject.into(), message: String::new() };
        recorder.emit(step("one"));
        recorder.emit(step("two"));
        recorder.finish();
        let told: Vec<EventKind> = told.into_iter().map(|event| event.kind).collect();
        assert!(
            matches!(&told[..], [one, EventKind::Notice { level: Level::Warning, message }, two]
            if *one == step("one") && *two == step("two") && message.contains("/dev/full")),
            "{told:?}"
        );
    }
}
