//! `ai-how prompt perf`: how many tokens a second a model generates, in a machine that is started for it.

use appliance::{
    matrix::{Combination, MOST_THREADS},
    perf::{PERF, Speed},
    results::Row,
    transcript::{INIT, Marker, SHUTTING_DOWN, Step},
};
use events::Outcome;
use system::{cancel::Cancel, clock};

use super::{
    bench::{self, Bench, Judged, SUITE, Trial},
    boot::Boot,
    machine::Wish,
    modes::bad_end,
    results::ResultsFile,
};
use crate::{
    cli::{Format, Measuring, Profile, PromptMachine, PromptPerf},
    exit,
    failure::Failure,
    output,
    run::Run,
    settings::Settings,
};

/// How many tokens are generated unless told otherwise.
const TOKENS: u32 = 64;

/// What goes with Phi-3.5 mini: processors, and as many threads; tokens; arguments.
const PHI35_FAST: (u32, u32, &str) = (6, 128, "-b,256,-c,1024");

pub(super) fn run(arguments: &PromptPerf, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    let (mut machine, measuring) = (arguments.machine.clone(), &arguments.measuring);
    let mut args = arguments.args.clone();
    let mut tokens = TOKENS;
    if arguments.profile == Profile::Phi35Fast {
        let (cpus, many, own) = PHI35_FAST;
        machine.cpus = machine.cpus.or(Some(cpus));
        tokens = many;
        // Of the same argument twice the last one counts, which is the user's.
        args = format!("{own},{args}");
    }
    require_model(&machine)?;
    let threads = match arguments.threads {
        Some(threads) => threads,
        None => Wish::new(&machine, &[])?.size.cpus.min(MOST_THREADS),
    };
    let combination = Combination::new(threads, arguments.batch_threads.unwrap_or(threads), &args);
    let combination = combination.map_err(|error| Failure::new(exit::USAGE, error))?;
    let wish = wish(&machine, &combination, measuring.tokens.unwrap_or(tokens))?;
    let bench = Bench::new(&wish, &machine, measuring.timeout, settings, cancel)?;
    let gauge = Gauge { bench: &bench, measuring, tokens: measuring.tokens.unwrap_or(tokens) };
    let mut results = measuring.results.as_deref().map(ResultsFile::open).transpose()?;
    let mut lines = Lines::new(&bench, measuring.format);
    let code = bench.run("perf", &wish, measuring.format, |run| {
        bench.images(run, &wish)?;
        bench::tests(run, || {
            let mut bad = 0;
            for number in 1..=measuring.runs {
                let check = numbered("perf", number, measuring.runs);
                let (row, _) = gauge.measure(run, &wish, &combination, &check)?;
                if let Some(results) = &mut results {
                    results.add(row.clone())?;
                }
                lines.tell(&row)?;
                bad += u32::from(!row.ok);
                if !row.ok && !measuring.no_fail_fast {
                    return Err(bench::failed(format!("{SUITE}/{check} failed")));
                }
            }
            let runs = measuring.runs;
            if bad == 0 || measuring.no_fail_fast {
                Ok(())
            } else {
                Err(bench::failed(format!("{bad} of {runs} runs failed")))
            }
        })
    });
    lines.end()?;
    code
}

/// Without a model there is nothing to measure.
pub(super) fn require_model(machine: &PromptMachine) -> Result<(), Failure> {
    if machine.model.is_some() {
        return Ok(());
    }
    let message = "perf requires model + llama binary, and no model is named. Name a GGUF file or a model disk; \
                   `ai-how prompt tiny-model` writes a small one";
    Err(Failure::new(exit::USAGE, message))
}

/// The machine that measures these settings.
pub(super) fn wish(machine: &PromptMachine, combination: &Combination, tokens: u32) -> Result<Wish, Failure> {
    let mut append = vec!["zosia.perf=1".to_owned(), format!("zosia.perf.tokens={tokens}")];
    append.extend(combination.words());
    Wish::new(machine, &append)
}

/// The name of a check that runs several times.
pub(super) fn numbered(name: &str, number: u32, runs: u32) -> String {
    if runs == 1 { name.to_owned() } else { format!("{name} run {number}") }
}

/// What measures.
pub(super) struct Gauge<'a> {
    pub(super) bench: &'a Bench<'a>,
    pub(super) measuring: &'a Measuring,
    pub(super) tokens: u32,
}

impl Gauge<'_> {
    /// Measures once: a row, and the rate without load time.
    pub(super) fn measure(
        &self,
        run: &Run,
        wish: &Wish,
        combination: &Combination,
        check: &str,
    ) -> Result<(Row, Option<f64>), Failure> {
        let label = combination.label();
        let steps = [INIT, PERF, SHUTTING_DOWN].map(|line| Step::of(Marker::line(line)));
        let console: String =
            check.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(80).collect();
        let trial = Trial { wish, check, of: &label, console: &console, steps: steps.to_vec() };
        let (speed, ok) = self.bench.check(run, trial, |boot| judge(self.measuring, boot))?;
        for (figure, value, unit) in [
            ("tokens-per-second", speed.map(|speed| speed.tok_per_s), "tok/s"),
            ("tokens-per-second-without-load", speed.and_then(|speed| speed.without_load()), "tok/s"),
            ("load-seconds", speed.and_then(|speed| speed.load()), "s"),
        ] {
            bench::measure(run.sink(), figure, &label, value, unit);
        }
        let row = Row {
            timestamp: clock::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            threads: Some(combination.threads),
            batch_threads: Some(combination.batch_threads),
            args: combination.args.clone(),
            tokens: self.tokens,
            seconds: speed.map(|speed| speed.seconds),
            tok_per_s: speed.map(|speed| speed.tok_per_s),
            ok,
        };
        Ok((row, speed.and_then(|speed| speed.without_load())))
    }
}

/// What a boot is worth.
fn judge(measuring: &Measuring, boot: &Boot) -> Judged<(Option<Speed>, bool)> {
    let lines: Vec<String> = boot.heard.lines().collect();
    let end = boot.end.as_ref().err().map(ToString::to_string);
    let (speed, broken) = match Speed::of(lines.iter().cloned()) {
        Ok(speed) => (Some(speed), end.or_else(|| bad_end(&lines))),
        Err(none) => (None, Some(end.map_or_else(|| none.to_string(), |end| format!("{none}; {end}")))),
    };
    let least = measuring.min_tok_s;
    let slow = speed
        .filter(|speed| speed.tok_per_s < least)
        .map(|speed| format!("{:.2} tokens a second are fewer than --min-tok-s {least}", speed.tok_per_s));
    let ok = broken.is_none() && slow.is_none();
    let (outcome, reason) = match (broken, slow) {
        // Who wants no failure wants to know all the same that there is no rate.
        (Some(reason), _) if measuring.no_fail_fast => (Outcome::Skipped, reason),
        (Some(reason), _) => (Outcome::Failed, reason),
        (None, Some(reason)) if !measuring.no_fail_fast => (Outcome::Failed, reason),
        (None, _) => (Outcome::Passed, String::new()),
    };
    Judged { outcome, reason, value: (speed, ok) }
}

/// A line for each run on standard output, when it ends; on a terminal that shows progress at the same time, when all end.
struct Lines {
    format: Format,
    hold: bool,
    held: Vec<String>,
}

impl Lines {
    fn new(bench: &Bench<'_>, format: Format) -> Self {
        Self { format, hold: bench.shows_progress(), held: Vec::new() }
    }

    fn tell(&mut self, row: &Row) -> Result<(), Failure> {
        match (self.format, self.hold) {
            // The events of the run have it.
            (Format::Json, _) => Ok(()),
            (Format::Text, false) => output::data(format_args!("{row}\n")),
            (Format::Text, true) => {
                self.held.push(format!("{row}\n"));
                Ok(())
            }
        }
    }

    fn end(self) -> Result<(), Failure> {
        output::data(self.held.concat())
    }
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, time::Duration};

    use appliance::transcript::{Limits, Transcript};

    use super::*;

    fn judged(min_tok_s: f64, no_fail_fast: bool, said: &str) -> (Outcome, String, bool) {
        let steps = [INIT, PERF, SHUTTING_DOWN].map(|line| Step::of(Marker::line(line)));
        let limits = Limits { markers: Duration::from_secs(30), end: Duration::from_secs(5) };
        let mut heard = Transcript::new(steps.to_vec(), limits);
        heard.hear(1.0, said.as_bytes()).unwrap();
        let end = heard.end();
        let boot = Boot { heard, end, off: Some(1.0), kernel_to_prompt: None };
        let measuring = Measuring {
            tokens: None,
            min_tok_s,
            timeout: 1,
            runs: 1,
            no_fail_fast,
            results: None::<PathBuf>,
            format: Format::Text,
        };
        let Judged { outcome, reason, value: (_, ok) } = judge(&measuring, &boot);
        (outcome, reason, ok)
    }

    const SAID: &str = "zosia: init\nzosia: perf\nwords\nzosia: perf tokens=64 seconds=3.200 tok_per_s=20.00\nzosia: shutting down\n";

    #[test]
    fn a_rate_passes_from_the_least_on() {
        assert_eq!(judged(20.0, false, SAID), (Outcome::Passed, String::new(), true));
        let (outcome, reason, ok) = judged(20.01, false, SAID);
        assert_eq!((outcome, ok), (Outcome::Failed, false));
        assert_eq!(reason, "20.00 tokens a second are fewer than --min-tok-s 20.01");
        assert_eq!(judged(20.01, true, SAID), (Outcome::Passed, String::new(), false));
    }

    #[test]
    fn what_gave_no_rate_or_no_clean_end_is_told_in_any_case() {
        let none = SAID.replace(
            "zosia: perf tokens=64 seconds=3.200 tok_per_s=20.00",
            "zosia: llama-cli ended with status 1",
        );
        let (outcome, reason, ok) = judged(0.0, false, &none);
        assert_eq!((outcome, ok), (Outcome::Failed, false));
        assert!(
            reason.starts_with("perf output line not found") && reason.contains("ended with status 1"),
            "{reason}"
        );
        let (outcome, reason, ok) = judged(0.0, true, "zosia: init\n");
        assert_eq!((outcome, ok), (Outcome::Skipped, false));
        assert!(
            reason.starts_with("perf marker not found in VM output") && reason.contains("went off before"),
            "{reason}"
        );
        let (outcome, reason, ok) = judged(0.0, false, &SAID.replace("zosia: shutting down\n", ""));
        assert_eq!((outcome, ok), (Outcome::Failed, false));
        assert!(reason.contains("went off before `zosia: shutting down`"), "{reason}");
    }

    #[test]
    fn runs_are_told_apart_where_there_are_several() {
        assert_eq!(numbered("perf", 1, 1), "perf");
        assert_eq!(numbered("perf", 2, 3), "perf run 2");
    }
}
