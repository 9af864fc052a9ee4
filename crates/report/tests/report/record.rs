use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use ai_how_report::{RecordError, Recorder, Reporter, read};
use events::{Event, EventKind, Level, Sink};
use jiff::Timestamp;

use crate::fixture;

fn clock() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

/// Remembers what it was told.
#[derive(Clone, Default)]
struct Memory {
    events: Arc<Mutex<Vec<Event>>>,
    finished: Arc<Mutex<usize>>,
}

impl Reporter for Memory {
    fn event(&mut self, event: &Event) {
        self.events.lock().expect("no panic while locked").push(event.clone());
    }

    fn finish(&mut self) {
        *self.finished.lock().expect("no panic while locked") += 1;
    }
}

fn write_record(folder: &Path, events: &[Event]) -> Vec<u8> {
    let lines: Vec<String> =
        events.iter().map(|event| serde_json::to_string(event).expect("events are JSON") + "\n").collect();
    fs::write(folder.join("events.jsonl"), lines.concat()).expect("a folder of ours");
    lines.concat().into_bytes()
}

#[test]
fn what_is_recorded_is_read_back_and_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("runs/one");
    let memory = Memory::default();
    let recorder = Recorder::create(&folder, clock, vec![Box::new(memory.clone())]).expect("a new record");
    let story = fixture::events();
    for event in &story {
        recorder.emit(event.kind.clone());
    }
    // The record is whole before anyone waits for anything.
    let read_back = read(&folder.join("events.jsonl")).expect("a record");
    recorder.finish();
    recorder.finish();
    assert_eq!(read_back.len(), story.len());
    assert!(read_back.iter().zip(&story).all(|(read, told)| read.kind == told.kind && read.time == clock()));
    assert_eq!(*memory.events.lock().expect("no panic while locked"), read_back);
    assert_eq!(*memory.finished.lock().expect("no panic while locked"), 1);
}

#[test]
fn a_record_is_never_written_over() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(Recorder::create(folder.path(), clock, Vec::new()).expect("a new record"));
    let error = Recorder::create(folder.path(), clock, Vec::new()).expect_err("there is one");
    assert!(matches!(error, RecordError::Create { .. }), "{error}");
}

#[test]
fn many_workers_emit_at_once_and_no_line_is_torn() {
    let folder = tempfile::tempdir().expect("a folder");
    let recorder = Recorder::create(folder.path(), clock, Vec::new()).expect("a new record");
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let recorder = &recorder;
            scope.spawn(move || {
                for turn in 0..50 {
                    let message = format!("{worker} {turn} {}", "x".repeat(5000));
                    recorder.emit(EventKind::Notice { level: Level::Info, message });
                }
            });
        }
    });
    assert_eq!(read(&folder.path().join("events.jsonl")).expect("a record").len(), 400);
}

#[test]
fn a_record_cut_at_any_byte_is_read_up_to_its_last_whole_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.jsonl");
    let events: Vec<Event> = fixture::events().into_iter().take(4).collect();
    let bytes = write_record(folder.path(), &events);
    for length in 0..=bytes.len() {
        let kept = bytes.get(..length).expect("within");
        fs::write(&path, kept).expect("a folder of ours");
        // A line that only misses its newline is whole.
        let whole = kept.iter().filter(|&&byte| byte == b'\n').count();
        let whole = whole + usize::from(kept.ends_with(b"}") && bytes.get(length) == Some(&b'\n'));
        match read(&path) {
            Ok(read) => assert_eq!(read, events.get(..whole).expect("within")),
            Err(RecordError::Empty { .. }) => assert_eq!(whole, 0),
            Err(error) => panic!("{length} bytes: {error}"),
        }
    }
}

#[test]
fn a_broken_line_in_the_middle_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.jsonl");
    let mut bytes = write_record(folder.path(), &fixture::events());
    bytes.splice(0..0, b"{\"event\":\"run-started\"\n".iter().copied());
    fs::write(&path, bytes).expect("a folder of ours");
    let error = read(&path).expect_err("the first line is torn").to_string();
    assert!(error.contains("events.jsonl:1: not an event"), "{error}");
}

#[test]
fn a_newer_format_is_refused_even_when_it_has_events_we_do_not_know() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.jsonl");
    fs::write(&path, "{\"event\":\"begun\",\"format\":2}\n{\"event\":\"later\"}\n")
        .expect("a folder of ours");
    let error = read(&path).expect_err("it is newer").to_string();
    assert!(error.contains("format 2") && error.contains("up to 1"), "{error}");
}
