//! A run as lines, for pipes and CI logs.

use std::io::Write;

use events::Event;

use super::narrator::Detail;
use super::{Narrator, Options, Paint, Summary, Verbosity};
use crate::reporter::Reporter;

pub(super) struct Plain {
    narrator: Narrator,
    summary: Summary,
    /// Gone once the reader is.
    out: Option<Box<dyn Write + Send>>,
}

impl Plain {
    pub(super) fn new(options: &Options, out: Box<dyn Write + Send>) -> Self {
        let paint = Paint { colour: options.facts.colour };
        let detail = match options.verbosity {
            Verbosity::Quiet => Detail::Failures,
            Verbosity::Normal => Detail::Facts,
            Verbosity::Verbose => Detail::All,
        };
        Self { narrator: Narrator::new(detail, paint), summary: Summary::new(options, paint), out: Some(out) }
    }

    fn write(&mut self, lines: &[String]) {
        if let Some(out) = &mut self.out {
            let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
            if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
                self.out = None;
            }
        }
    }
}

impl Reporter for Plain {
    fn event(&mut self, event: &Event) {
        self.summary.event(event);
        let lines = self.narrator.lines(event);
        self.write(&lines);
    }

    fn finish(&mut self) {
        let lines = self.summary.lines();
        self.write(&lines);
    }
}
