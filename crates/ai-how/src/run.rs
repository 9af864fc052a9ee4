//! One run: its folder, its events, its phases, its end.
//!
//! ```text
//! <state>/runs/<time>-<command>-<lab>/
//!   events.jsonl  plan.json  junit.xml  report.html  xml/  consoles/  ansible/  libvirtd.log
//! <state>/runs/latest -> the newest one
//! ```
//!
//! What a check of a run starts has its own runs in that run's folder.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use events::{EventKind, FORMAT, Level, Outcome, Phase, Sink};
use lab::accelerator::Verdict;
use plan::Plan;
use render::Accelerator;
use report::{
    Recorder, Reporter,
    json::JsonLines,
    replay,
    terminal::{self, Options},
};
use system::{
    clock::{self, Stopwatch},
    environment, file,
};

use crate::{cli::Format, exit, failure::Failure, settings::Settings};

/// What a run is about.
#[derive(Debug)]
pub(crate) struct About<'a> {
    /// Its name: `e2e`, `start`.
    pub(crate) verb: &'a str,
    /// The lab's plan.
    pub(crate) plan: &'a Plan,
    /// The config file.
    pub(crate) file: &'a Path,
    /// How machines run here.
    pub(crate) verdict: &'a Verdict,
    /// How progress is written.
    pub(crate) format: Format,
}

/// A run that goes on.
pub(crate) struct Run {
    folder: PathBuf,
    recorder: Recorder,
    watch: Stopwatch,
    /// The lab's folder, whose consoles and logs belong to the run.
    lab: PathBuf,
}

impl Run {
    /// Makes the run's folder and tells that it began. `lab` is the folder whose consoles belong to the run.
    pub(crate) fn start(about: &About<'_>, settings: &Settings, lab: &Path) -> Result<Self, Failure> {
        let runs =
            environment::variable("AI_HOW_RUNS").map_or_else(|| settings.state.join("runs"), PathBuf::from);
        let folder = new_folder(&runs, about)?;
        let plan = serde_json::to_vec_pretty(about.plan).map_err(Failure::environment)?;
        file::write(&folder.join("plan.json"), &plan)?;
        let reporter: Box<dyn Reporter> = match about.format {
            Format::Json => Box::new(JsonLines::new(Box::new(io::stdout()))),
            Format::Text => terminal::stderr(Options {
                facts: settings.facts,
                verbosity: settings.verbosity,
                report: Some(folder.join(replay::REPORT)),
            }),
        };
        let recorder = Recorder::create(&folder, clock::now, vec![reporter]).map_err(Failure::environment)?;
        let run = Self { folder, recorder, watch: Stopwatch::start(), lab: lab.to_owned() };
        let name = run.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        run.recorder.emit(EventKind::RunStarted {
            format: FORMAT,
            run: name.clone(),
            command: std::env::args_os()
                .skip(1)
                .map(|word| word.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
                .join(" "),
            lab: about.plan.lab.clone(),
            file: about.file.display().to_string(),
            accelerator: about.verdict.accelerators(),
        });
        point_latest(&runs, &name);
        for (_, found) in about.verdict.each().filter(|(_, found)| found.accelerator == Accelerator::Tcg) {
            let message = format!("machines are emulated (TCG): {}", found.reason);
            run.recorder.emit(EventKind::Notice { level: Level::Info, message });
        }
        Ok(run)
    }

    /// Where events go.
    pub(crate) fn sink(&self) -> &dyn Sink {
        &self.recorder
    }

    /// The run's folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Does one part of the run and tells how it went.
    pub(crate) fn phase<T>(
        &self,
        phase: Phase,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.recorder.emit(EventKind::PhaseStarted { phase });
        let watch = Stopwatch::start();
        let result = work();
        self.recorder.emit(EventKind::PhaseFinished {
            phase,
            outcome: outcome(&result),
            seconds: watch.seconds(),
        });
        result
    }

    /// Keeps what the lab's own folder holds: it may be gone when the run is over.
    pub(crate) fn collect(&self) {
        self.keep_consoles(&self.lab, "");
        self.copy(["libvirtd.log", "keeper.log"].map(|name| (self.lab.join(name), self.folder.join(name))));
    }

    /// Keeps the consoles of a lab, or of one of its forks, under names that tell them apart.
    pub(crate) fn keep_consoles(&self, lab: &Path, fork: &str) {
        let consoles = fs::read_dir(lab.join("consoles")).into_iter().flatten().flatten();
        self.copy(consoles.map(|entry| {
            let from = entry.path();
            let stem = from.file_stem().unwrap_or_default().to_string_lossy();
            let name = if fork.is_empty() { format!("{stem}.log") } else { format!("{stem}@{fork}.log") };
            (entry.path(), self.folder.join("consoles").join(name))
        }));
    }

    fn copy(&self, files: impl IntoIterator<Item = (PathBuf, PathBuf)>) {
        for (from, to) in files {
            if !from.exists() {
                continue;
            }
            let made = to.parent().map_or(Ok(()), fs::create_dir_all);
            if let Err(error) = made.and_then(|()| fs::copy(&from, &to).map(drop)) {
                let message = format!("cannot keep {}: {error}", from.display());
                self.recorder.emit(EventKind::Notice { level: Level::Warning, message });
            }
        }
    }

    /// Ends the run: tells how it went, writes the reports, and returns the status.
    pub(crate) fn finish(self, result: Result<(), Failure>) -> Result<u8, Failure> {
        self.collect();
        let code = result.as_ref().map_or_else(Failure::code, |()| exit::OK);
        self.recorder.emit(EventKind::RunFinished {
            outcome: outcome(&result),
            exit_code: code,
            seconds: self.watch.seconds(),
            message: result.as_ref().err().map(Failure::message).unwrap_or_default(),
        });
        // The report is named in the summary, so it is there before the summary is told.
        let written = replay::write_artifacts(&self.folder);
        self.recorder.finish();
        written.map_err(Failure::environment)?;
        match result {
            Ok(()) => Ok(exit::OK),
            // The summary has told it.
            Err(failure) => Err(Failure::told(failure.code())),
        }
    }
}

fn outcome<T>(result: &Result<T, Failure>) -> Outcome {
    match result {
        Ok(_) => Outcome::Passed,
        Err(failure) if failure.is_interruption() => Outcome::Interrupted,
        Err(_) => Outcome::Failed,
    }
}

/// A folder of its own, named so that names sort by time. Two runs of the same second get two.
fn new_folder(runs: &Path, about: &About<'_>) -> Result<PathBuf, Failure> {
    file::create_folder(runs)?;
    let time = clock::now().strftime("%Y%m%d-%H%M%S").to_string();
    let lab: String =
        about.plan.lab.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(32).collect();
    for count in 1.. {
        let more = if count == 1 { String::new() } else { format!("-{count}") };
        let folder = runs.join(format!("{time}-{}-{lab}{more}", about.verb));
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(file::Error::new("create the folder", folder)(error).into()),
        }
    }
    Err(Failure::environment("there is no name left for the run's folder"))
}

/// Points `latest` at the newest run, in one step so that it always points somewhere.
fn point_latest(runs: &Path, name: &str) {
    let new = runs.join(format!(".latest-{}", std::process::id()));
    // A convenience: a run is no worse without it.
    let _ = symlink(name, &new).and_then(|()| fs::rename(&new, runs.join("latest")));
}
