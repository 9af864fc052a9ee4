use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use ai_how_report::json::JsonLines;
use ai_how_report::replay::play;
use ai_how_report::terminal::{Facts, Options, Verbosity, lines};

use crate::fixture;

/// A place to write to that can be looked at afterwards.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic while locked").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic while locked").clone()).expect("text")
    }
}

fn told(verbosity: Verbosity, colour: bool) -> String {
    let paper = Paper::default();
    let facts = Facts { tty: false, ci: true, colour };
    let options = Options { facts, verbosity, report: Some("runs/demo/report.html".into()) };
    play(&fixture::events(), &mut [lines(options, Box::new(paper.clone()))]);
    paper.text()
}

#[test]
fn plain_lines() {
    insta::assert_snapshot!(told(Verbosity::Normal, false));
}

#[test]
fn quiet_lines_are_failures_and_the_end() {
    insta::assert_snapshot!(told(Verbosity::Quiet, false));
}

#[test]
fn verbose_lines_hold_every_task_and_output() {
    let told = told(Verbosity::Verbose, false);
    assert_eq!(
        told.lines()
            .filter(|line| line.starts_with("    ok ")
                || line.starts_with("    changed ")
                || line.starts_with("    skipped "))
            .count(),
        120
    );
    assert!(told.contains("       | 3 packets transmitted, 3 received"));
}

#[test]
fn the_last_line_is_for_programs() {
    for verbosity in [Verbosity::Quiet, Verbosity::Normal, Verbosity::Verbose] {
        for colour in [false, true] {
            assert_eq!(told(verbosity, colour).lines().last(), Some("77 passed, 3 failed, 1 skipped"));
        }
    }
}

#[test]
fn colour_changes_no_word_and_nodes_send_no_escapes() {
    let colourful = told(Verbosity::Normal, true);
    let mut words = colourful.clone();
    for code in ["1;31", "32", "33", "1", "2", "0"] {
        words = words.replace(&format!("\u{1b}[{code}m"), "");
    }
    assert_eq!(words, told(Verbosity::Normal, false));
    assert!(!told(Verbosity::Verbose, false).contains('\u{1b}'));
}

#[test]
fn json_lines_are_the_record() {
    let paper = Paper::default();
    play(&fixture::events(), &mut [Box::new(JsonLines::new(Box::new(paper.clone())))]);
    let read: Vec<events::Event> =
        paper.text().lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    assert_eq!(read, fixture::events());
}
