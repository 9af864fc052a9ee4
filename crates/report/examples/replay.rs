//! Tells a kept run again, as fast as it happened or faster: `cargo run --example replay -- RUN_FOLDER [SPEED]`.
//!
//! It is also how a program wires the crate: terminal facts in, a [`Recorder`] between the workers and the reporters,
//! files at the end.

use std::error::Error;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;

use ai_how_report::terminal::{self, Facts, Options, Verbosity};
use ai_how_report::{Recorder, read, replay};
use events::Sink;
use jiff::{SignedDuration, Timestamp};

/// The time of the event that is told now, in microseconds: a replay's clock is that of its record.
static NOW: AtomicI64 = AtomicI64::new(0);

fn clock() -> Timestamp {
    Timestamp::from_microsecond(NOW.load(Ordering::Relaxed)).unwrap_or_default()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("name the folder of a run")?);
    let speed: f64 = arguments.next().map_or(Ok(1.0), |speed| speed.parse())?;
    let events = read(&folder.join("events.jsonl"))?;

    let again = folder.join("again");
    let facts = Facts { tty: io::stderr().is_terminal(), ci: false, colour: io::stderr().is_terminal() };
    let report = Some(again.join(replay::REPORT));
    let reporter = terminal::stderr(Options { facts, verbosity: Verbosity::Normal, report });
    let recorder = Recorder::create(&again, clock, vec![reporter])?;
    let mut last = events.first().map_or(Timestamp::UNIX_EPOCH, |event| event.time);
    for event in events {
        let pause: SignedDuration = event.time.duration_since(last);
        #[expect(clippy::disallowed_methods, reason = "the pauses of a run are what is replayed")]
        thread::sleep(pause.unsigned_abs().div_f64(speed));
        last = event.time;
        NOW.store(event.time.as_microsecond(), Ordering::Relaxed);
        recorder.emit(event.kind);
    }
    recorder.finish();
    replay::write_artifacts(&again)?;
    Ok(())
}
