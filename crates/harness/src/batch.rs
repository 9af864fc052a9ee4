//! Several snippets in one session: the script that runs them, and taking its output apart again.

use std::{fmt::Write, time::Duration};

use system::{clock, process::Output};

use crate::variables::{Variables, quoted};

/// How every line that is ours begins.
const MARK: &str = "@ai-how ";

/// What a session may take beyond its steps, on a fast host: connecting, and starting a shell.
const SESSION: Duration = Duration::from_secs(20);

/// One snippet of a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<'a> {
    pub(crate) script: &'a str,
    /// On a fast host.
    pub(crate) timeout: Duration,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Done {
    pub(crate) end: End,
    pub(crate) seconds: f64,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself, with this status.
    Exit(i32),
    /// It was ended when its time was over.
    TimedOut(Duration),
    /// The session ended before the step did.
    Lost(String),
}

/// The script that runs `steps` on the node that `variables` are of.
pub(crate) fn script(variables: &Variables<'_>, slowness: f64, steps: &[Step<'_>]) -> String {
    let mut script = variables.source();
    let patience = slowness.max(1.0).ceil();
    // Writing to a String cannot fail.
    let _ = writeln!(script, "export SLOWNESS={patience} HOST_TIME={}", clock::now().as_second());
    script.push_str(include_str!("words.sh"));
    script.push_str(include_str!("batch.sh"));
    for (index, step) in steps.iter().enumerate() {
        let seconds = scaled(step.timeout, slowness).as_secs_f64();
        let _ = writeln!(script, "attempt {index} {seconds:.3} {}", quoted(step.script));
    }
    script
}

/// How long the whole session may take.
pub(crate) fn deadline(slowness: f64, steps: &[Step<'_>]) -> Duration {
    scaled(SESSION + steps.iter().map(|step| step.timeout).sum(), slowness)
}

/// What became of each step, from what the session left behind.
pub(crate) fn results(output: &Output, slowness: f64, steps: &[Step<'_>]) -> Vec<Done> {
    let lost = || {
        let words = output.stderr.lines().rfind(|line| !line.trim().is_empty() && !line.starts_with(MARK));
        format!(
            "the session ended early with status {}: {}",
            output.code,
            words.unwrap_or("nothing was said")
        )
    };
    let result = |(index, step): (usize, &Step<'_>)| {
        let (stdout, trailer) = section(&output.stdout, index);
        let (stderr, _) = section(&output.stderr, index);
        let mut trailer = trailer.split_whitespace();
        let end = match trailer.next() {
            Some("timeout") => End::TimedOut(scaled(step.timeout, slowness)),
            Some(code) => code.parse().map_or_else(|_| End::Lost(lost()), End::Exit),
            None => End::Lost(lost()),
        };
        let micros: f64 = trailer.next().and_then(|micros| micros.parse().ok()).unwrap_or(0.0);
        Done { end, seconds: micros / 1e6, stdout, stderr }
    };
    steps.iter().enumerate().map(result).collect()
}

/// A step's part of a stream and what its end mark says; up to the end of the stream when there is none.
fn section(stream: &str, index: usize) -> (String, &str) {
    let Some((_, rest)) = stream.split_once(&format!("\n{MARK}begin {index}\n")) else {
        return (String::new(), "");
    };
    let Some((body, rest)) = rest.split_once(&format!("\n{MARK}end {index} ")) else {
        return (rest.to_owned(), "");
    };
    (body.to_owned(), rest.lines().next().unwrap_or_default())
}

fn scaled(time: Duration, slowness: f64) -> Duration {
    time.mul_f64(slowness.max(1.0))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::fixture;

    /// Runs the steps with the bash of this host.
    fn run(steps: &[(&str, u64)]) -> Vec<Done> {
        let cluster = fixture::cluster();
        let variables = Variables { cluster: &cluster, node: &cluster.nodes[0] };
        let steps: Vec<Step<'_>> = steps
            .iter()
            .map(|&(script, millis)| Step { script, timeout: Duration::from_millis(millis) })
            .collect();
        let script = script(&variables, 1.0, &steps);
        let output = system::process::Command::new("bash").input(script).output().unwrap();
        results(&output, 1.0, &steps)
    }

    #[test]
    fn each_step_has_its_own_output_and_status() {
        let done = run(&[
            ("echo $NODE; echo why >&2", 5000),
            ("echo -n two; exit 3", 5000),
            ("false; echo no", 5000),
        ]);
        assert_eq!(
            (&done[0].end, done[0].stdout.as_str(), done[0].stderr.as_str()),
            (&End::Exit(0), "controller\n", "why\n")
        );
        assert_eq!((&done[1].end, done[1].stdout.as_str()), (&End::Exit(3), "two"));
        assert_eq!((&done[2].end, done[2].stdout.as_str()), (&End::Exit(1), ""));
        assert!(done[0].seconds > 0.0);
    }

    #[test]
    fn a_hung_step_does_not_eat_the_others() {
        let done = run(&[("echo before; sleep 60", 300), ("echo after", 5000)]);
        assert_eq!(
            (&done[0].end, done[0].stdout.as_str()),
            (&End::TimedOut(Duration::from_millis(300)), "before\n")
        );
        assert_eq!((&done[1].end, done[1].stdout.as_str()), (&End::Exit(0), "after\n"));
    }

    #[test]
    fn a_hung_step_may_clean_up() {
        let done = run(&[("trap 'echo cleaned' EXIT; sleep 60", 300), ("echo after", 5000)]);
        assert_eq!(
            (&done[0].end, done[0].stdout.as_str()),
            (&End::TimedOut(Duration::from_millis(300)), "cleaned\n")
        );
        assert_eq!(done[1].stdout, "after\n");
    }

    #[test]
    fn a_step_that_ignores_the_request_to_end_is_killed() {
        let done = run(&[("trap '' TERM; while true; do pause 1; done", 300), ("echo after", 5000)]);
        assert!(matches!(done[0].end, End::TimedOut(_)));
        assert_eq!(done[1].stdout, "after\n");
    }

    #[test]
    fn what_a_step_leaves_running_ends_with_it() {
        let done = run(&[("sleep 60 & echo $!", 5000), ("pause 0.1; echo still here", 5000)]);
        // A dead process that nobody has reaped yet has no command line.
        let process = Path::new("/proc").join(done[0].stdout.trim()).join("cmdline");
        assert_eq!(system::file::read(&process).unwrap_or_default(), "");
        assert_eq!(done[1].stdout, "still here\n");
    }

    #[test]
    fn a_step_with_broken_syntax_fails_alone() {
        let done = run(&[("if then", 5000), ("echo 'it''s' \"fine\"", 5000)]);
        assert_ne!(done[0].end, End::Exit(0));
        assert_eq!(done[1].stdout, "its fine\n", "{done:?}");
    }

    #[test]
    fn the_words_work() {
        let done = run(&[
            ("same colour red blue", 5000),
            ("n=0; third() { ((++n == 3)); }; eventually 5 third; echo $n", 5000),
            ("eventually 0 false || fail it never came", 5000),
            (
                "scontrol() { echo 'JobId=7 JobState=COMPLETED Reason=None'; }; job_gets 7 'COMPLETED|TIMEOUT' 0; job_gets 7 FAILED 0",
                5000,
            ),
        ]);
        assert_eq!(
            (&done[0].end, done[0].stderr.as_str()),
            (&End::Exit(1), "colour is 'red', expected 'blue'\n")
        );
        assert_eq!(done[1].stdout, "3\n");
        assert_eq!(done[2].stderr, "it never came\n");
        assert_eq!(done[3].stderr, "job 7 is COMPLETED but should be FAILED\n");
    }

    /// Tells its arguments; as `diag` it fails, and the reason is in its record.
    const PROGRAM: &str = r#"#!/bin/sh
printf '%s|' "$@"
[ "$2" = diag ] || exit 0
mkdir -p runs/one && ln -s one runs/latest
echo '{"event":"check-finished","outcome":"failed","reason":"it said `a \"b\"`","output":"x"}' >runs/one/events.jsonl
echo '0 passed, 1 failed' >&2
exit 5
"#;

    #[test]
    fn the_words_for_appliances_ask_the_program() {
        let folder = tempfile::tempdir().unwrap();
        system::file::write(&folder.path().join("program"), PROGRAM.as_bytes()).unwrap();
        let environment =
            "chmod +x program; AI_HOW=./program AI_HOW_RUNS=runs PLACE=private CONSOLE=c CONSOLE_LOG=l";
        let before = format!("cd {}; {environment}", folder.path().display());
        let script = |line: &str| format!("{before}; {line}");
        let steps = [
            "prompt smoke",
            "NODE_MODEL=/m.gguf NODE_APPEND=zosia.llama_threads=2; prompt run zosia.ci=1 --tokens 8",
            "echo 'a \"b c\"' >append; echo x >model; prompt perf",
            "rm model append; prompt diag",
            "ask -n 3 30 what is it",
            "ask 7 -x",
        ]
        .map(script);
        let done = run(&steps.iter().map(|step| (step.as_str(), 5000)).collect::<Vec<_>>());
        let said: Vec<&str> = done.iter().map(|done| done.stdout.as_str()).collect();
        let machine = "--lab|private|--arch|x86_64|--cpus|1|--memory-mib|768|--append";
        assert_eq!(said[0], format!("prompt|smoke|{machine}||"));
        let append = "zosia.llama_threads=2 zosia.ci=1";
        assert_eq!(said[1], format!("prompt|run|/m.gguf|{machine}|{append}|--tokens|8|"));
        let model = folder.path().join("model").display().to_string();
        assert_eq!(said[2], format!("prompt|perf|{model}|{machine}| a \"b c\"|"));
        let why = done[3].stderr.lines().last();
        assert_eq!((&done[3].end, why), (&End::Exit(1), Some("it said `a \"b\"`")));
        assert_eq!(said[4], "lab-ask|--|c|l|30|3|what is it|");
        assert_eq!(said[5], "lab-ask|--|c|l|7|0|-x|");
    }

    #[test]
    fn a_session_that_ends_early_loses_only_the_rest() {
        let output = Output {
            code: 255,
            stdout: "\n@ai-how begin 0\nok\n\n@ai-how end 0 0 1500000\n\n@ai-how begin 1\nhalf".to_owned(),
            stderr: "\n@ai-how begin 0\n\n@ai-how end 0 0 1500000\nbroken pipe\n".to_owned(),
        };
        let step = Step { script: "", timeout: Duration::from_secs(1) };
        let done = results(&output, 1.0, &[step, step, step]);
        assert_eq!((&done[0].end, done[0].seconds), (&End::Exit(0), 1.5));
        assert_eq!(done[1].stdout, "half");
        let End::Lost(reason) = &done[2].end else { panic!("{done:?}") };
        assert_eq!(reason, "the session ended early with status 255: broken pipe");
    }
}
