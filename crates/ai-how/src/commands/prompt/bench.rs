//! Where appliances are tested: a run with a check for each machine that is started, listened to, and gone again.

use std::{path::Path, time::Duration};

use appliance::transcript::{Limits, Step};
use engine::Site;
use events::{EventKind, Level, NodeState, Outcome, Phase, Sink};
use lab::accelerator::Verdict;
use system::{cancel::Cancel, clock::Stopwatch};

use super::{
    boot::Boot,
    machine::{END_LIMIT, Machine, Wish},
};
use crate::{
    cli::{Format, PromptMachine},
    commands::cluster,
    exit,
    failure::Failure,
    run::{About, Run},
    settings::Settings,
};

/// The suite that checks of appliances are of.
pub(super) const SUITE: &str = "prompt";

/// What holds for all machines of a command.
pub(super) struct Bench<'a> {
    site: Site,
    verdict: Verdict,
    /// Until the last marker, from power-on.
    limit: Duration,
    /// From the last marker until the power is off.
    end_limit: Duration,
    settings: &'a Settings,
    cancel: &'a Cancel,
}

/// A machine that is tested.
pub(super) struct Trial<'a> {
    pub(super) wish: &'a Wish,
    /// The check's name.
    pub(super) check: &'a str,
    /// Whose the figures are: the machine, or the settings that it is started with.
    pub(super) of: &'a str,
    /// Tells its console from the others of the run; empty when it is the only one.
    pub(super) console: &'a str,
    pub(super) steps: Vec<Step>,
}

/// What somebody thinks of a boot.
pub(super) struct Judged<T> {
    pub(super) outcome: Outcome,
    /// Why; empty when it passed.
    pub(super) reason: String,
    pub(super) value: T,
}

impl<'a> Bench<'a> {
    /// For machines like this one, each of which may take `limit` seconds on a host with KVM.
    pub(super) fn new(
        wish: &Wish,
        machine: &PromptMachine,
        limit: u64,
        settings: &'a Settings,
        cancel: &'a Cancel,
    ) -> Result<Self, Failure> {
        let site = wish.site(machine, settings)?;
        let verdict = wish.verdict(settings, cancel)?;
        let slowness = verdict.slowness(wish.node()?.arch);
        let limit = Duration::from_secs(limit).mul_f64(slowness);
        Ok(Self { site, verdict, limit, end_limit: END_LIMIT.mul_f64(slowness), settings, cancel })
    }

    /// Whether somebody asked to stop.
    pub(super) fn check_interrupted(&self) -> Result<(), Failure> {
        if self.cancel.requested() { Err(engine::Error::Interrupted.into()) } else { Ok(()) }
    }

    /// How its machines run.
    pub(super) fn accelerators(&self) -> String {
        self.verdict.accelerators()
    }

    /// Whether what is written goes to the terminal that progress is shown on.
    pub(super) fn shows_progress(&self) -> bool {
        self.settings.facts.tty
    }

    /// Does the work as a run with a folder and a report of its own.
    pub(super) fn run(
        &self,
        verb: &str,
        wish: &Wish,
        format: Format,
        work: impl FnOnce(&Run) -> Result<(), Failure>,
    ) -> Result<u8, Failure> {
        let file = wish.model.as_deref().unwrap_or_default();
        let about = About { verb, plan: &wish.plan, file: Path::new(file), verdict: &self.verdict, format };
        let run = Run::start(&about, self.settings, self.site.folder.path())?;
        let result = work(&run);
        run.finish(result)
    }

    /// Builds what the machines boot, as a phase of the run.
    pub(super) fn images(&self, run: &Run, wish: &Wish) -> Result<(), Failure> {
        cluster::images(&wish.plan, run, self.settings, self.cancel).map(drop)
    }

    /// Tests one machine: a check of the run, with its console and its figures.
    ///
    /// # Errors
    /// Nobody could judge: there was no machine, somebody asked to stop, or something of it stays.
    pub(super) fn check<T>(
        &self,
        run: &Run,
        trial: Trial<'_>,
        judge: impl FnOnce(&Boot) -> Judged<T>,
    ) -> Result<T, Failure> {
        let watch = Stopwatch::start();
        let (suite, check, node) =
            (SUITE.to_owned(), trial.check.to_owned(), trial.wish.node()?.label.clone());
        let fork = String::new();
        run.sink().emit(EventKind::CheckStarted {
            suite: suite.clone(),
            check: check.clone(),
            node: node.clone(),
            fork: fork.clone(),
        });
        let finished = |outcome, reason, output| {
            let (suite, check, node, fork) = (suite, check, node, fork);
            let seconds = watch.seconds();
            run.sink().emit(EventKind::CheckFinished {
                suite,
                check,
                node,
                fork,
                outcome,
                seconds,
                reason,
                output,
            });
        };
        let (of, steps) = (trial.of, trial.steps);
        let (booted, ended) = self.boot(run, trial.wish, trial.console, steps);
        match booted {
            Ok(boot) => {
                self.measured(run, of, &boot);
                let Judged { outcome, reason, value } = judge(&boot);
                finished(outcome, reason, boot.last_lines());
                ended.map(|()| value)
            }
            Err(failure) => {
                let outcome = if failure.is_interruption() { Outcome::Interrupted } else { Outcome::Failed };
                finished(outcome, failure.message(), String::new());
                Err(failure)
            }
        }
    }

    /// One machine from nothing to nothing: what it said, and whether it is gone.
    fn boot(
        &self,
        run: &Run,
        wish: &Wish,
        console: &str,
        steps: Vec<Step>,
    ) -> (Result<Boot, Failure>, Result<(), Failure>) {
        let begun = || {
            self.check_interrupted()?;
            let node = wish.node()?;
            let machine =
                Machine::start(wish, &self.site, &self.verdict, self.settings, run.sink(), self.cancel)?;
            Ok((node, machine))
        };
        let (node, machine) = match begun() {
            Ok(begun) => begun,
            Err(failure) => return (Err(failure), Ok(())),
        };
        let limits = Limits { markers: self.limit, end: self.end_limit };
        let ready = self.site.folder.path().join(&node.ready);
        let say = |state, detail| {
            run.sink().emit(EventKind::NodeState { node: node.label.clone(), state, detail });
        };
        let at_prompt = || say(NodeState::Ready, String::new());
        let boot = Boot::listen(&machine, steps, limits, &ready, &at_prompt, self.cancel);
        run.keep_consoles(self.site.folder.path(), console);
        let ended = machine.end();
        say(NodeState::Stopped, String::new());
        (boot, ended)
    }

    fn measured(&self, run: &Run, of: &str, boot: &Boot) {
        let figures = [
            ("kernel-start-to-prompt", boot.kernel_to_prompt),
            ("power-on-to-prompt", boot.heard.prompt()),
            ("power-on-to-off", boot.off),
        ];
        for (figure, value) in figures {
            measure(run.sink(), figure, of, value, "s");
        }
        if boot.kernel_to_prompt.is_none() && boot.heard.prompt().is_some() {
            let message =
                "the machine did not tell how long its kernel had run; only the time since power-on is known";
            run.sink().emit(EventKind::Notice { level: Level::Warning, message: message.to_owned() });
        }
    }
}

/// Tells a figure, if there is one.
pub(super) fn measure(sink: &dyn Sink, figure: &str, of: &str, value: Option<f64>, unit: &str) {
    if let Some(value) = value {
        // Digits that no clock here has are noise.
        let value = (value * 10_000.0).round() / 10_000.0;
        let (figure, node, unit) = (figure.to_owned(), of.to_owned(), unit.to_owned());
        sink.emit(EventKind::Measured { figure, node, value, unit });
    }
}

/// Does the tests of a run, as a phase.
pub(super) fn tests(run: &Run, work: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    run.phase(Phase::Tests, work)
}

/// What is left to say when a check failed: it was told why.
pub(super) fn failed(words: String) -> Failure {
    Failure::new(exit::TESTS, words)
}
