//! Events as JSON lines on stdout, for programs: the same lines as in the record.

use std::fmt;
use std::io::Write;

use events::Event;

use crate::record;
use crate::reporter::Reporter;

/// Writes every event as one line of JSON.
pub struct JsonLines {
    /// Gone once the reader is.
    out: Option<Box<dyn Write + Send>>,
}

impl JsonLines {
    /// Writes to `out`, which is stdout for `--format json`.
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self { out: Some(out) }
    }
}

impl Reporter for JsonLines {
    fn event(&mut self, event: &Event) {
        if let Some(out) = &mut self.out {
            let written =
                record::line(event).and_then(|line| out.write_all(&line)).and_then(|()| out.flush());
            if written.is_err() {
                self.out = None;
            }
        }
    }
}

impl fmt::Debug for JsonLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLines").field("open", &self.out.is_some()).finish()
    }
}
