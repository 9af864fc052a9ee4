//! The appliance: how soon it is at its prompt on each architecture, how soon a model says its first word, what a build takes.

use std::path::PathBuf;

use super::runs::{Bench, FreshFolder, LONG};
use crate::Failure;

/// Each architecture, as arguments and figures name it.
const ARCHS: [&str; 2] = ["x86_64", "aarch64"];

/// The memory that the limits are for, MiB; what a model's machine needs is more.
const MEMORY_MIB: &str = "256";

impl Bench<'_> {
    /// Builds it for each architecture if need be, and makes a model.
    pub(super) fn prepare_prompts(&self) -> Result<(), Failure> {
        eprintln!("warming up: appliances that do not count");
        for arch in ARCHS {
            self.program.run("warm-up-prompt-build", &["prompt", "build", "--arch", arch], LONG)?;
            self.program.run("warm-up-prompt", &["prompt", "smoke", "--arch", arch], LONG)?;
        }
        let model = self.model();
        if model.exists() {
            return Ok(());
        }
        let model = model.display().to_string();
        self.program.run("prompt-model", &["prompt", "tiny-model", &model], LONG).map(drop)
    }

    fn model(&self) -> PathBuf {
        self.folder.join("tiny.gguf")
    }

    pub(super) fn prompts(&mut self, run: u32) -> Result<(), Failure> {
        self.say(run, "building the appliance from nothing");
        let cache = FreshFolder::new(self.folder.join("cache"))?;
        let cost =
            self.program.run_in(&cache.0, &format!("{run}-prompt-build"), &["prompt", "build"], LONG)?;
        self.record.add("prompt.build", run, cost.wall_seconds)?;
        drop(cache);
        self.say(run, "building what is built");
        let again = self.program.run("prompt-build", &["prompt", "build"], LONG)?;
        self.record.add("prompt.build-again", run, again.wall_seconds)?;
        for arch in ARCHS {
            self.say(run, &format!("booting to the prompt on {arch}"));
            let smoke = ["prompt", "smoke", "--arch", arch, "--memory-mib", MEMORY_MIB, "--cpus", "2"];
            self.program.run(&format!("{run}-prompt-{arch}"), &smoke, LONG)?;
            self.add_measured(run, &format!("prompt.kernel-to-prompt.{arch}"), "kernel-start-to-prompt")?;
            self.add_measured(run, &format!("prompt.power-on.{arch}"), "power-on-to-prompt")?;
            self.say(run, &format!("the first word of a model on {arch}"));
            let model = self.model().display().to_string();
            let perf = [
                "prompt",
                "perf",
                &model,
                "--arch",
                arch,
                "--tokens",
                "1",
                "--min-tok-s",
                "0",
                "--cpus",
                "2",
            ];
            self.program.run(&format!("{run}-prompt-perf-{arch}"), &perf, LONG)?;
            // A machine that is off has said its one word.
            self.add_measured(run, &format!("prompt.first-token.{arch}"), "power-on-to-off")?;
        }
        Ok(())
    }

    fn add_measured(&mut self, run: u32, figure: &str, told_as: &str) -> Result<(), Failure> {
        let told = self.program.told()?;
        let (_, seconds) =
            told.measured(told_as).pop().ok_or_else(|| format!("the run tells of no {told_as}"))?;
        self.record.add(figure, run, seconds)
    }
}
