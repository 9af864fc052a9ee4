//! `ai-how lab-ask`: what checks of appliances type on a node's console, and what it answers there.

use std::{fs, path::PathBuf, time::Duration};

use appliance::transcript::{Failure as Wrong, Limits, Marker, Step, Transcript};
use guest::console::{self, Console};
use system::{cancel::Cancel, clock::Stopwatch, file};

use crate::{exit, failure::Failure, output};

/// How long one wait for the next words is at most.
const LOOK: Duration = Duration::from_millis(200);

/// What gives up an answer, as Ctrl-C does on a terminal. It is for who talks: at its prompt llama.cpp ends with it, and while
/// it loads a model it hangs from then on.
const INTERRUPT: &str = "\u{3}";

/// How long somebody must have been talking on who is interrupted: the prompt comes sooner after the last word.
const TALKS: Duration = Duration::from_secs(2);

/// What is asked, and where.
#[derive(Debug)]
pub(crate) struct Question {
    /// The console's socket.
    pub(crate) socket: PathBuf,
    /// All that was said on it.
    pub(crate) log: PathBuf,
    /// One line.
    pub(crate) text: String,
    /// How long the answer may take.
    pub(crate) limit: Duration,
    /// Who has said so many words need not say more; all are wanted where it is 0.
    pub(crate) words: usize,
}

/// Waits for the prompt, types the line there, and prints what is answered, up to the next prompt. Who talks for longer is
/// interrupted, and what was said by then is the answer.
pub(crate) fn run(question: &Question, cancel: &Cancel) -> Result<u8, Failure> {
    let failed = |error: console::Error| Failure::new(exit::FAILED, error);
    let socket = &question.socket;
    let (folder, name) = (socket.parent().unwrap_or(socket), socket.file_name().unwrap_or_default());
    let name = name.to_string_lossy();
    let domain = name.strip_suffix(".console").unwrap_or(&name);
    let watch = Stopwatch::start();
    let console = Console::open(folder, domain, domain).map_err(failed)?;
    await_prompt(&console, question, cancel)?;
    console.say(&format!("{}\n", question.text)).map_err(failed)?;
    let mut heard = Heard::of(question);
    let mut interrupted = None;
    loop {
        check_interrupted(cancel)?;
        let at = watch.elapsed();
        let bytes = console.hear(LOOK).map_err(failed)?;
        match heard.hear(at, bytes.as_deref()).map_err(|wrong| Failure::new(exit::FAILED, wrong))? {
            Next::Done => break,
            // Who does not let himself be interrupted has answered all the same.
            Next::Listen if interrupted.is_some_and(|since| at > since + question.limit) => break,
            Next::Listen => {}
            // Otherwise the next question would be asked into this answer.
            Next::Interrupt => {
                console.say(INTERRUPT).map_err(failed)?;
                interrupted.get_or_insert(at);
            }
        }
    }
    let answer = heard.answer();
    if !answer.is_empty() {
        output::data(format_args!("{answer}\n"))?;
        return Ok(exit::OK);
    }
    let Question { text, limit, .. } = question;
    let message = match heard.is_over() {
        true => format!("`{text}` was answered with nothing"),
        false => format!(
            "`{text}` was not answered within {:.0} s; is another console attached?",
            limit.as_secs_f64()
        ),
    };
    Err(Failure::new(exit::FAILED, message))
}

fn check_interrupted(cancel: &Cancel) -> Result<(), Failure> {
    if cancel.requested() { Err(engine::Error::Interrupted.into()) } else { Ok(()) }
}

/// Waits until the machine is at its prompt, which the log tells. A model may be loaded long after its machine was ready.
fn await_prompt(
    console: &Console,
    Question { log, limit, .. }: &Question,
    cancel: &Cancel,
) -> Result<(), Failure> {
    let failed = |message: String| Failure::new(exit::FAILED, message);
    let watch = Stopwatch::start();
    loop {
        let said = fs::read(log).map_err(file::Error::new("read", log))?;
        if is_at_prompt(&said) {
            return Ok(());
        }
        check_interrupted(cancel)?;
        if watch.elapsed() >= *limit {
            let (last, limit) = (file::tail(log, 1), limit.as_secs_f64());
            return Err(failed(format!(
                "it is not at its prompt after {limit:.0} s; its last line is `{last}`"
            )));
        }
        // A machine whose console is not read stands still after some hundred bytes.
        if console.hear(LOOK).map_err(|error| failed(error.to_string()))?.is_none() {
            return Err(failed("it went off before it was at its prompt".to_owned()));
        }
    }
}

/// Whether what was said ends with a prompt.
fn is_at_prompt(said: &[u8]) -> bool {
    // It has no end of its own.
    let open = said.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut line = Transcript::new(Vec::new(), UNLIMITED);
    line.hear(0.0, open).is_ok() && line.lines().last().is_some_and(|line| line.starts_with('>'))
}

/// When it is late is told here.
const UNLIMITED: Limits = Limits { markers: Duration::MAX, end: Duration::MAX };

/// What is to be done after something was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Listen,
    Interrupt,
    Done,
}

/// What was heard since a line was typed.
struct Heard<'a> {
    question: &'a Question,
    transcript: Transcript,
    /// When it had said enough.
    enough: Option<Duration>,
    interrupted: bool,
}

impl<'a> Heard<'a> {
    fn of(question: &'a Question) -> Self {
        // The terminal in the machine repeats what is typed; after that comes what is answered.
        let steps = vec![Step::of(Marker::Has(question.text.clone())), Step::of(Marker::Prompt)];
        Self { question, transcript: Transcript::new(steps, UNLIMITED), enough: None, interrupted: false }
    }

    /// Hears what came by a time since the question; nothing when the machine is off.
    fn hear(&mut self, at: Duration, bytes: Option<&[u8]>) -> Result<Next, Wrong> {
        let Some(bytes) = bytes else {
            self.transcript.end()?;
            return Ok(Next::Done);
        };
        self.transcript.hear(at.as_secs_f64(), bytes)?;
        if self.is_over() {
            return Ok(Next::Done);
        }
        if self.interrupted {
            return Ok(Next::Listen);
        }
        let is_late = at >= self.question.limit;
        if self.transcript.times().is_empty() {
            // Nobody has read the question, and nobody is to find an interrupt behind it later.
            return Ok(if is_late { Next::Done } else { Next::Listen });
        }
        if self.has_enough() {
            self.enough.get_or_insert(at);
        }
        let talks = !bytes.is_empty() && self.enough.is_some_and(|since| at >= since + TALKS);
        self.interrupted = is_late || talks;
        Ok(if self.interrupted { Next::Interrupt } else { Next::Listen })
    }

    fn has_enough(&self) -> bool {
        let wanted = self.question.words;
        wanted > 0 && self.answer().split_whitespace().count() >= wanted
    }

    /// Whether the prompt is back.
    fn is_over(&self) -> bool {
        self.transcript.times().len() == 2
    }

    /// The lines between the question and the next prompt.
    fn answer(&self) -> String {
        let lines = self.transcript.lines().skip_while(|line| !line.contains(&self.question.text)).skip(1);
        let lines: Vec<String> = lines.collect();
        // Behind the prompt there was nothing yet when it came.
        let end = if self.is_over() { lines.iter().rposition(|line| line.starts_with('>')) } else { None };
        lines[..end.unwrap_or(lines.len())].join("\n").trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(text: &str, words: usize) -> Question {
        let (socket, log) = (PathBuf::new(), PathBuf::new());
        Question { socket, log, text: text.to_owned(), limit: Duration::from_secs(5), words }
    }

    #[test]
    fn a_prompt_is_a_line_without_an_end() {
        let at = |said: &str| is_at_prompt(said.as_bytes());
        assert!(
            at("Type /poweroff to exit.\r\n> ") && at("\u{1b}[1m\u{1b}[32m\r\n> ") && at("> half a quest")
        );
        assert!(
            !at("") && !at("Loading model... |\u{8}-") && !at("> a quotation\r\n") && !at("assistant: > ")
        );
    }

    /// The answer, and what was to be done after each of what was said, at a time in milliseconds.
    fn heard(words: usize, said: &[(u64, &str)]) -> (String, Vec<Next>) {
        let question = question("hello there", words);
        let mut heard = Heard::of(&question);
        let mut hear =
            |(at, text): &(u64, &str)| heard.hear(Duration::from_millis(*at), Some(text.as_bytes())).unwrap();
        let next = said.iter().map(&mut hear).collect();
        (heard.answer(), next)
    }

    #[test]
    fn the_answer_is_what_comes_between_the_question_and_the_prompt() {
        let (stub, next) = heard(0, &[(100, "hello there\r\n"), (200, "assistant: hello there\r\n> ")]);
        assert_eq!((stub.as_str(), next), ("assistant: hello there", vec![Next::Listen, Next::Done]));
        // A model speaks in colours, and its prompt has an empty line before it.
        let model =
            [(100, "\u{1b}[32mhello there\u{1b}[0m\r\n"), (200, "\r\none\r\ntwo\u{1b}[32m\r\n\r\n> ")];
        assert_eq!(heard(0, &model).0, "one\ntwo");
    }

    #[test]
    fn what_was_said_before_is_no_answer() {
        let (answer, next) = heard(0, &[(100, "of before\r\n> "), (200, "hello there\r\n"), (300, "yes")]);
        assert_eq!((answer.as_str(), next[2]), ("yes", Next::Listen));
    }

    #[test]
    fn who_talks_on_is_interrupted_once() {
        let long =
            [(100, "hello there\r\n"), (1000, "well"), (5000, ", well"), (5100, "^C"), (5200, "\r\n> ")];
        let (answer, next) = heard(0, &long);
        let expected = [Next::Listen, Next::Listen, Next::Interrupt, Next::Listen, Next::Done];
        assert_eq!((answer.as_str(), &next[..]), ("well, well^C", &expected[..]));
    }

    #[test]
    fn who_has_said_enough_is_interrupted_while_he_talks() {
        let said =
            [(100, "hello there\r\n"), (1000, "one two"), (2900, " three"), (3000, ""), (3100, " four")];
        let (_, next) = heard(2, &said);
        assert_eq!(next, [Next::Listen, Next::Listen, Next::Listen, Next::Listen, Next::Interrupt]);
        // His last words are followed by the prompt, which an interrupt would end.
        let (answer, next) =
            heard(2, &[(100, "hello there\r\n"), (1000, "one two"), (3500, ""), (3600, "\r\n> ")]);
        assert_eq!((answer.as_str(), next[2], next[3]), ("one two", Next::Listen, Next::Done));
    }

    #[test]
    fn who_did_not_read_the_question_is_not_interrupted() {
        assert_eq!(heard(0, &[(5100, "")]), (String::new(), vec![Next::Done]));
    }

    #[test]
    fn a_machine_that_goes_off_does_not_answer() {
        let question = question("hello", 0);
        let off = Heard::of(&question).hear(Duration::ZERO, None);
        assert!(matches!(off, Err(Wrong::Off { .. })));
    }
}
