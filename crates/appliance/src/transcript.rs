//! What a machine says on its console, held against what it should say: marker after marker in their order, each before its
//! deadline, and a clean end.
//!
//! It is fed with what comes and when, and reads no clock and no console itself.

use std::time::Duration;

/// The first line of every boot.
pub const INIT: &str = "zosia: init";

/// The last line before the power goes.
pub const SHUTTING_DOWN: &str = "zosia: shutting down";

/// How a prompt begins, at the start of a line.
const PROMPT: &str = "> ";

/// How much of the console is kept, bytes; of more the middle is lost.
const KEPT: usize = 1 << 20;

/// How much of one line is kept, bytes.
const LONGEST: usize = 4096;

/// Something that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marker {
    /// A whole line.
    Line(String),
    /// A line that begins so.
    Begins(String),
    /// A line with this in it.
    Has(String),
    /// The prompt, at which the machine waits for input.
    Prompt,
}

impl Marker {
    /// A whole line.
    pub fn line(text: impl Into<String>) -> Self {
        Self::Line(text.into())
    }

    /// Whether a line without colours is it.
    pub fn is(&self, line: &str) -> bool {
        match self {
            Self::Line(text) => line == text,
            Self::Begins(text) => line.starts_with(text.as_str()),
            Self::Has(text) => line.contains(text.as_str()),
            Self::Prompt => line.starts_with(PROMPT),
        }
    }
}

impl std::fmt::Display for Marker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line(text) => write!(f, "`{text}`"),
            Self::Begins(text) => write!(f, "a line that begins with `{text}`"),
            Self::Has(text) => write!(f, "a line with `{text}`"),
            Self::Prompt => f.write_str("the prompt"),
        }
    }
}

/// A marker with what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is waited for.
    pub marker: Marker,
    /// What is typed when it came; nothing when it is empty.
    pub reply: String,
}

impl Step {
    /// A marker that is only waited for.
    pub fn of(marker: Marker) -> Self {
        Self { marker, reply: String::new() }
    }
}

/// Deadlines, each counted from power-on but the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For all markers.
    pub markers: Duration,
    /// From the last line to the power being off.
    pub end: Duration,
}

/// Why a transcript is not what it should be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Failure {
    /// A marker did not come in time.
    #[error("{marker} did not come within {limit:.0} s; the last line was `{last}`")]
    Late {
        /// Which.
        marker: String,
        /// The deadline, seconds.
        limit: f64,
        /// What came last.
        last: String,
    },
    /// The machine went off too soon.
    #[error("the machine went off before {marker}; the last line was `{last}`")]
    Off {
        /// What was waited for.
        marker: String,
        /// What came last.
        last: String,
    },
    /// All markers came, and then the machine stayed on.
    #[error("the machine said `{SHUTTING_DOWN}` and did not go off within {limit:.0} s")]
    Stayed {
        /// The deadline, seconds.
        limit: f64,
    },
    /// It booted twice.
    #[error("the machine booted again: `{INIT}` came twice")]
    Again,
    /// Its kernel ended instead of its init.
    #[error("the kernel panicked: `{0}`")]
    Panic(String),
}

/// What is to be done after something was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Listen on.
    Listen,
    /// Type this.
    Type(String),
}

/// A console that is listened to.
#[derive(Debug)]
pub struct Transcript {
    steps: Vec<Step>,
    limits: Limits,
    /// How many markers came, and when: seconds since power-on.
    times: Vec<f64>,
    /// Everything that was said.
    text: String,
    /// The line that has no end yet.
    line: String,
    last: String,
    boots: usize,
    panic: Option<String>,
}

impl Transcript {
    /// Waits for these markers in this order.
    pub fn new(steps: Vec<Step>, limits: Limits) -> Self {
        Self {
            steps,
            limits,
            times: Vec::new(),
            text: String::new(),
            line: String::new(),
            last: String::new(),
            boots: 0,
            panic: None,
        }
    }

    /// Hears bytes that came at a time, seconds since power-on.
    ///
    /// # Errors
    /// It booted again, or its kernel panicked.
    pub fn hear(&mut self, at: f64, bytes: &[u8]) -> Result<Next, Failure> {
        let mut typed = String::new();
        for c in String::from_utf8_lossy(bytes).chars() {
            if self.text.len() < KEPT {
                self.text.push(c);
            }
            match c {
                '\n' => {
                    let line = std::mem::take(&mut self.line);
                    self.end_line(at, line.trim_end(), &mut typed);
                }
                // What a program writes over is not what it says.
                '\r' => {}
                '\u{8}' => drop(self.line.pop()),
                c if self.line.len() < LONGEST => {
                    self.line.push(c);
                    // A prompt has no end of its own.
                    if c == ' ' && self.wants(&Marker::Prompt) && Marker::Prompt.is(&plain(&self.line)) {
                        self.came(at, &mut typed);
                    }
                }
                _ => {}
            }
        }
        if self.boots > 1 {
            return Err(Failure::Again);
        }
        match &self.panic {
            Some(line) => Err(Failure::Panic(line.clone())),
            None if typed.is_empty() => Ok(Next::Listen),
            None => Ok(Next::Type(typed)),
        }
    }

    fn end_line(&mut self, at: f64, line: &str, typed: &mut String) {
        let line = plain(line);
        if line == INIT {
            self.boots += 1;
        }
        if line.contains("Kernel panic - not syncing") {
            self.panic = Some(line.clone());
        }
        if self.steps.get(self.times.len()).is_some_and(|step| step.marker.is(&line)) {
            self.came(at, typed);
        }
        if !line.is_empty() {
            self.last = line;
        }
    }

    fn wants(&self, marker: &Marker) -> bool {
        self.steps.get(self.times.len()).is_some_and(|step| step.marker == *marker)
    }

    fn came(&mut self, at: f64, typed: &mut String) {
        if let Some(step) = self.steps.get(self.times.len()) {
            typed.push_str(&step.reply);
        }
        self.times.push(at);
    }

    /// Looks at the time.
    ///
    /// # Errors
    /// A marker is late, or the machine stays on.
    pub fn look(&self, at: f64) -> Result<(), Failure> {
        let (limit, end) = (self.limits.markers.as_secs_f64(), self.limits.end.as_secs_f64());
        match self.steps.get(self.times.len()) {
            Some(_) if at > limit => Err(self.late(limit)),
            None if self.times.last().is_some_and(|last| at > last + end) => {
                Err(Failure::Stayed { limit: end })
            }
            _ => Ok(()),
        }
    }

    fn late(&self, limit: f64) -> Failure {
        Failure::Late { marker: self.waits_for(), limit, last: self.last_line() }
    }

    fn waits_for(&self) -> String {
        self.steps.get(self.times.len()).map(|step| step.marker.to_string()).unwrap_or_default()
    }

    fn last_line(&self) -> String {
        let open = plain(&self.line);
        let line = if open.trim().is_empty() { &self.last } else { &open };
        line.chars().take(160).collect()
    }

    /// The machine is off.
    ///
    /// # Errors
    /// Not all markers came.
    pub fn end(&self) -> Result<(), Failure> {
        if self.times.len() < self.steps.len() {
            return Err(Failure::Off { marker: self.waits_for(), last: self.last_line() });
        }
        Ok(())
    }

    /// When each marker came, seconds since power-on; those that did not come are not there.
    pub fn times(&self) -> &[f64] {
        &self.times
    }

    /// When the prompt came, or else the marker after [`INIT`], seconds since power-on.
    pub fn prompt(&self) -> Option<f64> {
        let prompt = self.steps.iter().position(|step| step.marker == Marker::Prompt).unwrap_or(1);
        self.times.get(prompt).copied()
    }

    /// All that was said, as it came.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The lines that were said, without what colours them.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.text.lines().map(|line| plain(line.trim_end()))
    }
}

/// A line without the sequences that tell a terminal how to show it.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // `ESC [` and parameters up to a letter; any other is one character.
            if chars.next() == Some('[') {
                for c in chars.by_ref() {
                    if ('@'..='~').contains(&c) {
                        break;
                    }
                }
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript(reply: &str) -> Transcript {
        let prompt = Step { marker: Marker::Prompt, reply: reply.to_owned() };
        let steps = vec![Step::of(Marker::line(INIT)), prompt, Step::of(Marker::line(SHUTTING_DOWN))];
        let limits = Limits { markers: Duration::from_secs(30), end: Duration::from_secs(5) };
        Transcript::new(steps, limits)
    }

    #[test]
    fn markers_come_in_their_order_with_their_times() {
        let mut heard = transcript("/exit\n");
        assert_eq!(heard.hear(1.0, b"noise\r\nzosia: in").unwrap(), Next::Listen);
        assert_eq!(heard.hear(1.5, b"it\r\n").unwrap(), Next::Listen);
        assert_eq!(
            heard.hear(2.0, b"hello\r\n\x1b[1m\x1b[32m\r\n> ").unwrap(),
            Next::Type("/exit\n".to_owned())
        );
        assert_eq!(heard.hear(2.5, b"/exit\r\nzosia: shutting down\r\n").unwrap(), Next::Listen);
        assert_eq!(heard.times(), [1.5, 2.0, 2.5]);
        assert_eq!(heard.prompt(), Some(2.0));
        heard.look(7.4).unwrap();
        heard.end().unwrap();
    }

    #[test]
    fn a_machine_that_prints_its_first_line_and_hangs_fails() {
        let mut heard = transcript("");
        heard.hear(1.0, b"zosia: init\n").unwrap();
        heard.look(30.0).unwrap();
        let told = heard.look(30.1).unwrap_err().to_string();
        assert_eq!(told, "the prompt did not come within 30 s; the last line was `zosia: init`");
    }

    #[test]
    fn a_machine_that_goes_off_too_soon_or_not_at_all_fails() {
        let mut heard = transcript("");
        heard.hear(1.0, b"zosia: init\nzosia: shutting down\n").unwrap();
        let told = heard.end().unwrap_err().to_string();
        assert_eq!(told, "the machine went off before the prompt; the last line was `zosia: shutting down`");
        let mut heard = transcript("");
        heard.hear(1.0, b"zosia: init\n> \nzosia: shutting down\n").unwrap();
        heard.look(6.0).unwrap();
        assert_eq!(heard.look(6.1).unwrap_err(), Failure::Stayed { limit: 5.0 });
    }

    #[test]
    fn a_second_boot_and_a_panic_are_noticed_at_once() {
        let mut heard = transcript("");
        heard.hear(1.0, b"zosia: init\n").unwrap();
        assert_eq!(heard.hear(2.0, b"zosia: init\n").unwrap_err(), Failure::Again);
        let mut heard = transcript("");
        let panic = b"[    1.0] Kernel panic - not syncing: Attempted to kill init!\n";
        assert!(matches!(heard.hear(1.0, panic).unwrap_err(), Failure::Panic(_)));
    }

    #[test]
    fn markers_out_of_order_do_not_count() {
        let mut heard = transcript("");
        heard.hear(1.0, b"zosia: shutting down\n> \nzosia: init\n").unwrap();
        assert_eq!(heard.times().len(), 1);
    }

    #[test]
    fn what_colours_a_line_or_is_written_over_is_no_part_of_it() {
        assert_eq!(plain("\u{1b}[35m[ Generation: 3.1 t/s ]\u{1b}[0m"), "[ Generation: 3.1 t/s ]");
        let mut heard = transcript("");
        heard.hear(1.0, b"|\x08/\x08zosia: init\r\n").unwrap();
        assert_eq!(heard.times().len(), 1);
    }

    #[test]
    fn a_console_that_never_ends_is_not_kept_whole() {
        let mut heard = transcript("");
        for _ in 0..64 {
            heard.hear(1.0, &[b'x'; 1 << 16]).unwrap();
        }
        assert!(heard.text().len() <= KEPT + 4);
    }
}
