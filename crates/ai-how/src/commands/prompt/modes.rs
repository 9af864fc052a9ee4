//! `ai-how prompt smoke`, `diag` and `selftest`: one boot in a mode of the init, held against what it should say.

use appliance::transcript::{INIT, Marker, SHUTTING_DOWN, Step};
use events::{EventKind, Level, Outcome};
use system::cancel::Cancel;

use super::{
    bench::{self, Bench, Judged, SUITE, Trial},
    boot::Boot,
    machine::Wish,
};
use crate::{cli::PromptTest, exit, failure::Failure, settings::Settings};

/// What is said at the stub prompt, which says it again.
const WORDS: &str = "hello from the host";

/// What ends every prompt.
const EXIT: &str = "/exit\n";

/// What is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// To the prompt, a word there, and off.
    Smoke,
    /// What the init finds.
    Diag,
    /// Whether llama.cpp starts.
    Selftest,
}

/// What a machine is asked, and what it should say.
struct Expected {
    /// For the kernel's command line.
    append: Vec<String>,
    steps: Vec<Step>,
    /// Lines that must be as they are here, where there is one that begins like them up to the `=`.
    exact: Vec<String>,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Diag => "diag",
            Self::Selftest => "selftest",
        }
    }

    fn expected(self, with_model: bool) -> Expected {
        let found = |what: &str| Step::of(Marker::Begins(format!("zosia: {what}=")));
        let llama = "zosia: llama_bin=llama-cli".to_owned();
        let mut expected = match (self, with_model) {
            (Self::Smoke, true) => Expected {
                append: Vec::new(),
                steps: vec![
                    Step::of(Marker::Begins("zosia: starting llama-cli (model /models/".to_owned())),
                    Step { marker: Marker::Prompt, reply: EXIT.to_owned() },
                ],
                exact: Vec::new(),
            },
            (Self::Smoke, false) => Expected {
                append: Vec::new(),
                steps: vec![
                    Step::of(Marker::line("zosia: model not found in /models; starting stub prompt")),
                    Step { marker: Marker::Prompt, reply: format!("{WORDS}\n") },
                    Step::of(Marker::line(format!("assistant: {WORDS}"))),
                    Step { marker: Marker::Prompt, reply: EXIT.to_owned() },
                ],
                exact: Vec::new(),
            },
            (Self::Diag, with_model) => Expected {
                append: vec!["zosia.diag=1".to_owned()],
                steps: vec![
                    Step::of(Marker::line("zosia: diag")),
                    found("model_dev"),
                    found("llama_bin"),
                    found("model_path"),
                ],
                exact: match with_model {
                    true => vec!["zosia: model_dev=/dev/vda".to_owned(), llama],
                    false => {
                        vec!["zosia: model_dev=none".to_owned(), llama, "zosia: model_path=none".to_owned()]
                    }
                },
            },
            (Self::Selftest, _) => Expected {
                append: vec!["zosia.selftest=1".to_owned()],
                steps: vec![
                    Step::of(Marker::line("zosia: selftest")),
                    found("llama_bin"),
                    Step::of(Marker::Has("--help".to_owned())),
                ],
                exact: vec![llama],
            },
        };
        expected.steps.insert(0, Step::of(Marker::line(INIT)));
        expected.steps.push(Step::of(Marker::line(SHUTTING_DOWN)));
        expected
    }
}

/// What is wrong with a boot, if anything is.
fn wrong(boot: &Boot, mode: Mode, with_model: bool, exact: &[String]) -> Option<String> {
    let lines: Vec<String> = boot.heard.lines().collect();
    other_lines(&lines, exact)
        .or_else(|| (mode == Mode::Diag && with_model).then(|| no_model(&lines)).flatten())
        // What was found tells more than what did not follow from it.
        .or_else(|| boot.end.as_ref().err().map(ToString::to_string))
        .or_else(|| bad_end(&lines))
}

/// A line that is another than it should be.
fn other_lines(lines: &[String], exact: &[String]) -> Option<String> {
    exact.iter().find_map(|wanted| {
        let begin = wanted.split_inclusive('=').next()?;
        let line = lines.iter().find(|line| line.starts_with(begin) && *line != wanted)?;
        Some(format!("the machine said `{line}` instead of `{wanted}`"))
    })
}

/// On a model disk of somebody else's the model may have any name.
fn no_model(lines: &[String]) -> Option<String> {
    let path = lines.iter().find_map(|line| line.strip_prefix("zosia: model_path="))?;
    (!path.starts_with("/models/"))
        .then(|| format!("the machine found no model on its disk: `zosia: model_path={path}`"))
}

/// A program that failed.
pub(super) fn bad_end(lines: &[String]) -> Option<String> {
    let line = lines.iter().find(|line| line.starts_with("zosia: ") && line.contains("ended with status"))?;
    Some(format!("the machine said `{line}`"))
}

pub(super) fn run(
    mode: Mode,
    arguments: &PromptTest,
    settings: &Settings,
    cancel: &Cancel,
) -> Result<u8, Failure> {
    let with_model = arguments.machine.model.is_some();
    let Expected { append, steps, exact } = mode.expected(with_model);
    let wish = Wish::new(&arguments.machine, &append)?;
    let bench = Bench::new(&wish, &arguments.machine, arguments.timeout, settings, cancel)?;
    let of = wish.node()?.label.clone();
    bench.run(mode.name(), &wish, arguments.format, |run| {
        bench.images(run, &wish)?;
        bench::tests(run, || {
            let trial = Trial { wish: &wish, check: mode.name(), of: &of, console: "", steps };
            let judge = |boot: &Boot| {
                let wrong = wrong(boot, mode, with_model, &exact);
                let outcome = if wrong.is_none() { Outcome::Passed } else { Outcome::Failed };
                Judged { outcome, reason: wrong.unwrap_or_default(), value: (outcome, times(boot)) }
            };
            let (outcome, times) = bench.check(run, trial, judge)?;
            if let Some(message) = times {
                run.sink().emit(EventKind::Notice { level: Level::Info, message });
            }
            match outcome {
                Outcome::Passed => Ok(()),
                _ => Err(Failure::new(exit::TESTS, format!("{SUITE}/{} failed", mode.name()))),
            }
        })
    })
}

/// How long it took, in words.
fn times(boot: &Boot) -> Option<String> {
    let power_on = boot.heard.prompt()?;
    let kernel = boot.kernel_to_prompt.map(|seconds| format!("{seconds:.2} s after the kernel's start, "));
    let off = boot.off.map(|seconds| format!("; off after {seconds:.2} s")).unwrap_or_default();
    Some(format!("prompt {}{power_on:.2} s after power-on{off}", kernel.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use appliance::transcript::{Limits, Next, Transcript};

    use super::*;

    /// What is wrong with a machine that says this and goes off, and what it was told.
    fn judged(mode: Mode, with_model: bool, said: &str) -> (Option<String>, String) {
        let Expected { steps, exact, .. } = mode.expected(with_model);
        let limits = Limits { markers: Duration::from_secs(30), end: Duration::from_secs(5) };
        let mut heard = Transcript::new(steps, limits);
        let mut typed = String::new();
        for line in said.split_inclusive('\n') {
            if let Next::Type(text) = heard.hear(1.0, line.as_bytes()).unwrap() {
                typed.push_str(&text);
            }
        }
        let end = heard.end();
        let boot = Boot { heard, end, off: Some(1.0), kernel_to_prompt: None };
        (wrong(&boot, mode, with_model, &exact), typed)
    }

    const STUB: &str = "zosia: init\r\nzosia: no virtio model disk found (/dev/vda..)\r\nzosia: model not found in /models; starting stub prompt\r\nzosia (stub): no model loaded\r\nType /poweroff to exit.\r\n> hello from the host\r\nassistant: hello from the host\r\n> /exit\r\nzosia: shutting down\r\n";

    #[test]
    fn smoke_talks_to_the_stub_and_ends_it() {
        assert_eq!(judged(Mode::Smoke, false, STUB), (None, "hello from the host\n/exit\n".to_owned()));
        let mute = STUB.replace("assistant: hello from the host", "assistant:");
        let (why, _) = judged(Mode::Smoke, false, &mute);
        assert!(why.unwrap().contains("before `assistant: hello from the host`"));
    }

    #[test]
    fn smoke_comes_to_the_prompt_of_a_model_and_ends_it() {
        let said = "zosia: init\nzosia: starting llama-cli (model /models/model.gguf)\n\u{1b}[32m\n> /exit\n\nzosia: shutting down\n";
        assert_eq!(judged(Mode::Smoke, true, said), (None, EXIT.to_owned()));
        let killed =
            said.replace("\nzosia: shutting", "\nzosia: llama-cli ended with status 139\nzosia: shutting");
        let (why, _) = judged(Mode::Smoke, true, &killed);
        assert_eq!(why.unwrap(), "the machine said `zosia: llama-cli ended with status 139`");
        let (why, _) = judged(Mode::Smoke, true, STUB);
        assert!(why.unwrap().contains("zosia: starting llama-cli"));
    }

    #[test]
    fn diag_finds_what_was_given_and_nothing_else() {
        let said = |dev: &str, path: &str| {
            format!(
                "zosia: init\nzosia: diag\nzosia: model_dev={dev}\nzosia: llama_bin=llama-cli\nzosia: model_path={path}\nzosia: shutting down\n"
            )
        };
        let why = |with_model, dev, path| judged(Mode::Diag, with_model, &said(dev, path)).0;
        assert_eq!(why(false, "none", "none"), None);
        assert_eq!(why(true, "/dev/vda", "/models/model.gguf"), None);
        assert_eq!(
            why(true, "none", "none").unwrap(),
            "the machine said `zosia: model_dev=none` instead of `zosia: model_dev=/dev/vda`"
        );
        assert!(why(true, "/dev/vda", "none").unwrap().contains("no model on its disk"));
        assert!(why(false, "/dev/vda", "none").unwrap().contains("instead of `zosia: model_dev=none`"));
        let none = said("none", "none").replace("llama-cli", "none");
        assert!(judged(Mode::Diag, false, &none).0.unwrap().contains("llama_bin=none"));
    }

    #[test]
    fn selftest_wants_the_help_and_a_good_end() {
        let said = "zosia: init\nzosia: selftest\nzosia: llama_bin=llama-cli\n-h,    --help, --usage   print usage and exit\nzosia: shutting down\n";
        assert_eq!(judged(Mode::Selftest, false, said).0, None);
        let failed = said.replace("zosia: shut", "zosia: llama-cli --help ended with status 1\nzosia: shut");
        assert!(judged(Mode::Selftest, false, &failed).0.unwrap().contains("ended with status 1"));
        let silent = said.replace("--help", "help");
        assert!(judged(Mode::Selftest, true, &silent).0.unwrap().contains("before a line with `--help`"));
    }
}
