//! `ai-how lab-ask`: what checks of appliances type on a node's console, and what it answers there.

use std::{path::Path, time::Duration};

use appliance::transcript::{Failure as Wrong, Limits, Marker, Next, Step, Transcript};
use guest::console::{self, Console};
use system::{cancel::Cancel, clock::Stopwatch};

use crate::{exit, failure::Failure, output};

/// How long one wait for the next words is at most.
const LOOK: Duration = Duration::from_millis(200);

/// What gives up an answer, as Ctrl-C does on a terminal.
const INTERRUPT: &str = "\u{3}";

/// How long a prompt may take to come back when an answer was given up.
const BACK: Duration = Duration::from_secs(2);

/// Types a line on the console of this socket, and prints what is answered, up to the next prompt. Who talks for longer than
/// `limit` is interrupted, and what was said by then is the answer.
pub(crate) fn run(socket: &Path, limit: Duration, text: &str, cancel: &Cancel) -> Result<u8, Failure> {
    let failed = |error: console::Error| Failure::new(exit::FAILED, error);
    let (folder, file) = (socket.parent().unwrap_or(socket), socket.file_name().unwrap_or_default());
    let file = file.to_string_lossy();
    let domain = file.strip_suffix(".console").unwrap_or(&file);
    let console = Console::open(folder, domain, domain).map_err(failed)?;
    console.say(&format!("{text}\n")).map_err(failed)?;
    let mut heard = Heard::of(text, limit);
    let watch = Stopwatch::start();
    let silent = loop {
        if cancel.requested() {
            return Err(engine::Error::Interrupted.into());
        }
        let bytes = console.hear(LOOK).map_err(failed)?;
        match heard.hear(watch.seconds(), bytes.as_deref()) {
            Ok(false) => {}
            Ok(true) => break None,
            Err(wrong) => break Some(wrong),
        }
    };
    if let Some(Wrong::Late { .. }) = silent {
        // Otherwise the next question would be asked into this answer.
        console.say(INTERRUPT).map_err(failed)?;
        let watch = Stopwatch::start();
        while watch.elapsed() < BACK.max(limit / 4) && !heard.is_over() {
            let Some(bytes) = console.hear(LOOK).map_err(failed)? else { break };
            // It is late already.
            let _ = heard.hear(0.0, Some(&bytes));
        }
    }
    let answer = heard.answer();
    match silent {
        // Some have much to say.
        None | Some(Wrong::Late { .. }) if !answer.is_empty() => {
            output::data(format_args!("{answer}\n"))?;
            Ok(exit::OK)
        }
        None => Err(Failure::new(exit::FAILED, format!("`{text}` was answered with nothing"))),
        Some(Wrong::Late { .. }) => {
            let message = format!(
                "`{text}` was not answered within {:.0} s; a console has room for one: is another attached?",
                limit.as_secs_f64()
            );
            Err(Failure::new(exit::FAILED, message))
        }
        Some(wrong) => Err(Failure::new(exit::FAILED, wrong)),
    }
}

/// What was heard since a line was typed.
struct Heard {
    transcript: Transcript,
    question: String,
}

impl Heard {
    fn of(question: &str, limit: Duration) -> Self {
        // The terminal in the machine repeats what is typed; after that comes what is answered.
        let steps = vec![Step::of(Marker::Has(question.to_owned())), Step::of(Marker::Prompt)];
        let limits = Limits { markers: limit, end: Duration::MAX };
        Self { transcript: Transcript::new(steps, limits), question: question.to_owned() }
    }

    /// Hears what came by a time, seconds since the question; nothing when the machine is off. Whether the answer is over.
    fn hear(&mut self, at: f64, bytes: Option<&[u8]>) -> Result<bool, Wrong> {
        let Some(bytes) = bytes else { return self.transcript.end().map(|()| true) };
        let (Next::Listen | Next::Type(_)) = self.transcript.hear(at, bytes)?;
        if self.is_over() {
            return Ok(true);
        }
        self.transcript.look(at)?;
        Ok(false)
    }

    /// Whether the prompt is back.
    fn is_over(&self) -> bool {
        self.transcript.times().len() == 2
    }

    /// The lines between the question and the next prompt.
    fn answer(&self) -> String {
        let lines: Vec<String> =
            self.transcript.lines().skip_while(|line| !line.contains(&self.question)).skip(1).collect();
        let end = if self.is_over() { lines.iter().rposition(|line| Marker::Prompt.is(line)) } else { None };
        lines[..end.unwrap_or(lines.len())].join("\n").trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(limit: u64, said: &[(f64, &str)]) -> (Heard, Result<bool, Wrong>) {
        let mut heard = Heard::of("hello there", Duration::from_secs(limit));
        let mut last = Ok(false);
        for (at, text) in said {
            last = heard.hear(*at, Some(text.as_bytes()));
        }
        (heard, last)
    }

    #[test]
    fn the_answer_is_what_comes_between_the_question_and_the_prompt() {
        let (stub, over) = heard(5, &[(0.1, "hello there\r\n"), (0.2, "assistant: hello there\r\n> ")]);
        assert_eq!((stub.answer().as_str(), over), ("assistant: hello there", Ok(true)));
        // A model speaks in colours, and its prompt has an empty line before it.
        let (model, over) = heard(
            5,
            &[(0.1, "\u{1b}[32mhello there\u{1b}[0m\r\n"), (0.2, "\r\none\r\ntwo\u{1b}[32m\r\n\r\n> ")],
        );
        assert_eq!((model.answer().as_str(), over), ("one\ntwo", Ok(true)));
    }

    #[test]
    fn what_was_asked_before_is_no_answer() {
        let (early, over) = heard(5, &[(0.1, "of before\r\n> "), (0.2, "hello there\r\n"), (0.3, "yes")]);
        assert_eq!((early.answer().as_str(), over), ("yes", Ok(false)));
    }

    #[test]
    fn who_talks_on_is_late_and_has_said_something() {
        let (long, late) = heard(5, &[(0.1, "hello there\r\n"), (1.0, "well"), (5.1, ", well")]);
        assert!(matches!(late, Err(Wrong::Late { .. })), "{late:?}");
        assert_eq!(long.answer(), "well, well");
        let (silent, late) = heard(5, &[(5.1, "")]);
        assert!(matches!(late, Err(Wrong::Late { .. })), "{late:?}");
        assert_eq!(silent.answer(), "");
    }

    #[test]
    fn a_machine_that_goes_off_does_not_answer() {
        let mut off = Heard::of("hello there", Duration::from_secs(5));
        assert!(matches!(off.hear(0.1, None), Err(Wrong::Off { .. })));
    }
}
