//! The order in which things are measured.

use std::path::{Path, PathBuf};
use std::time::Duration;

use events::Phase;
use plan::Plan;
use system::file;
use system::namespace::{self, Network};
use system::process::Command;

use super::command::Cost;
use super::labs::{LAB, PLANNED};
use super::process::Taken;
use super::program::Program;
use super::record::Record;
use super::told::Told;
use super::yardstick;
use super::{Arguments, Part};
use crate::Failure;

/// The file with two clusters that is validated, and how often.
const VALIDATED: &str = "config/two-clusters.yaml";
const VALIDATIONS: usize = 20;

/// How long commands may take before they count as stuck.
const SHORT: Duration = Duration::from_secs(10);
pub(super) const LONG: Duration = Duration::from_secs(30 * 60);

/// One benchmark.
pub(crate) struct Bench<'a> {
    pub(crate) program: &'a Program,
    pub(crate) folder: &'a Path,
    pub(crate) arguments: &'a Arguments,
    pub(crate) record: &'a mut Record,
}

impl Bench<'_> {
    /// Measures what was asked for. What was measured before a failure is in the record.
    pub(crate) fn run(&mut self) -> Result<(), Failure> {
        // An earlier benchmark may have been killed.
        self.program.destroy()?;
        self.program.forget()?;
        if self.arguments.wants(Part::Validate) {
            self.validate()?;
        }
        if self.arguments.wants(Part::Plan) {
            self.plan()?;
        }
        let machines = if self.wants_lab() { self.warm_up()? } else { Vec::new() };
        self.keep_templates()?;
        if self.arguments.wants(Part::Prompt) {
            self.prepare_prompts()?;
        }
        for run in 1..=self.arguments.runs {
            if self.arguments.wants(Part::Image) {
                self.say(run, "building the image from nothing");
                self.image(run)?;
            }
            if self.arguments.wants(Part::Boot) {
                self.say(run, "booting by QEMU alone");
                self.yardstick(run, &machines)?;
            }
            if self.wants_lab() {
                self.lab(run)?;
            }
            if self.arguments.wants(Part::Warm) {
                self.warm(run)?;
            }
            if self.arguments.wants(Part::Eight) {
                self.eight(run)?;
            }
            if self.arguments.wants(Part::Sixteen) {
                self.sixteen(run)?;
            }
            if self.arguments.wants(Part::Prompt) {
                self.prompts(run)?;
            }
            if self.arguments.wants(Part::E2e) {
                self.say(run, "the whole of it");
                self.e2e(run)?;
            }
        }
        Ok(())
    }

    fn wants_lab(&self) -> bool {
        [Part::Boot, Part::Deploy, Part::Tests, Part::Warm].iter().any(|part| self.arguments.wants(*part))
    }

    pub(super) fn say(&self, run: u32, what: &str) {
        eprintln!("run {run} of {}: {what}", self.arguments.runs);
    }

    fn validate(&mut self) -> Result<(), Failure> {
        eprintln!("validating {VALIDATED} {VALIDATIONS} times");
        self.often("validate.wall", &["validate", VALIDATED])
    }

    fn plan(&mut self) -> Result<(), Failure> {
        eprintln!("planning {VALIDATED}, and labs of up to ten thousand nodes");
        let clusters = ["plan", "clusters", VALIDATED, "--format", "json"];
        self.often("plan-clusters.wall", &clusters)?;
        for (nodes, path) in PLANNED {
            self.often(&format!("plan.{nodes}-nodes"), &["plan", path, "--format", "json"])?;
        }
        self.record.add_ratio("plan.growth", 1, "plan.10000-nodes", "plan.1000-nodes")
    }

    /// Measures a short command as often as it takes for a good median.
    fn often(&mut self, figure: &str, arguments: &[&str]) -> Result<(), Failure> {
        let run = || self.program.run("short", arguments, SHORT);
        // The first one reads the program and the file from the disk.
        run()?;
        let costs: Vec<Cost> = (0..VALIDATIONS).map(|_| run()).collect::<Result<_, _>>()?;
        for cost in costs {
            self.record.add(figure, 1, cost.wall_seconds * 1000.0)?;
        }
        Ok(())
    }

    /// A start that does not count: afterwards the image is built and in the page cache, and libvirt and ai-how know
    /// this host. Returns the machines it started.
    fn warm_up(&self) -> Result<Vec<yardstick::Machine>, Failure> {
        eprintln!("warming up: a start that does not count");
        self.program.run("warm-up-image", &["image", "build"], LONG)?;
        let lab = Lab::of(self.program);
        self.program.run("warm-up", &["cluster", "start", "--cold", "--no-deploy", LAB], LONG)?;
        let machines = yardstick::machines(&self.program.last_run())?;
        lab.destroy()?;
        Ok(machines)
    }

    fn image(&mut self, run: u32) -> Result<(), Failure> {
        let cache = FreshFolder::new(self.folder.join("cache"))?;
        let cost = self.program.run_in(&cache.0, &format!("{run}-image"), &["image", "build"], LONG)?;
        self.add_cost("image", run, &cost)
    }

    fn yardstick(&mut self, run: u32, machines: &[yardstick::Machine]) -> Result<(), Failure> {
        let booted = yardstick::boot(machines, &self.folder.join("yardstick"), &self.program.cancel)?;
        self.record.add("boot.raw-ready", run, booted.seconds)?;
        for node in &booted.nodes {
            self.record.add_node("boot.raw-node-ready", run, &node.label, node.seconds)?;
            let taken = node.taken.ok_or_else(|| format!("cannot see what {} took", node.label))?;
            self.record.add_node("boot.raw-node-cpu", run, &node.label, taken.cpu_seconds)?;
        }
        Ok(())
    }

    /// One life of the lab.
    fn lab(&mut self, run: u32) -> Result<(), Failure> {
        let lab = Lab::of(self.program);
        self.say(run, "starting the lab");
        let cost = self.program.run(
            &format!("{run}-start"),
            &["cluster", "start", "--cold", "--no-deploy", LAB],
            LONG,
        )?;
        let wants = |part| self.arguments.wants(part);
        let (deploy, tests, warm) = (wants(Part::Deploy), wants(Part::Tests), wants(Part::Warm));
        if wants(Part::Boot) || warm {
            self.booted(run, &cost)?;
        }
        if deploy || tests || warm {
            self.say(run, "deploying");
            let deployed = self.test_command("deploy", run, "deploy-ansible")?;
            if warm {
                let job = self.job(&format!("{run}-cold-srun"))?;
                let seconds = [cost, deployed, job].map(|cost| cost.wall_seconds).iter().sum();
                self.record.add("cold.srun", run, seconds)?;
            }
        }
        if deploy {
            self.say(run, "deploying again");
            self.test_command("deploy-again", run, "deploy-ansible")?;
        }
        if tests {
            self.say(run, "testing");
            self.test_command("tests", run, "run-tests")?;
            for (node, taken) in self.nodes()? {
                self.record.add_node("node.memory", run, &node, taken.memory_mib)?;
                self.record.add_node("node.peak-memory", run, &node, taken.peak_memory_mib)?;
                self.record.add_node("node.cpu", run, &node, taken.cpu_seconds)?;
            }
        }
        lab.destroy()
    }

    fn booted(&mut self, run: u32, cost: &Cost) -> Result<(), Failure> {
        for (node, taken) in self.nodes()? {
            self.record.add_node("boot.node-cpu", run, &node, taken.cpu_seconds)?;
        }
        self.add_cost("boot", run, cost)?;
        let told = self.program.told()?;
        self.add_ready("boot.ready", run, cost, &told)?;
        self.record.add("boot.phase", run, told.phase(Phase::Boot).ok_or("the run tells of no boot")?)?;
        for (node, seconds) in told.measured("power-on-to-ready") {
            self.record.add_node("boot.node-ready", run, node, seconds)?;
        }
        self.record.add_ratio("boot.ratio", run, "boot.ready", "boot.raw-ready")
    }

    fn test_command(&mut self, part: &str, run: u32, verb: &str) -> Result<Cost, Failure> {
        let cost = self.program.run(&format!("{run}-{part}"), &["test", verb, "--file", LAB], LONG)?;
        self.add_cost(part, run, &cost)?;
        Ok(cost)
    }

    fn e2e(&mut self, run: u32) -> Result<(), Failure> {
        let lab = Lab::of(self.program);
        self.test_command("e2e", run, "e2e")?;
        let told = self.program.told()?;
        told.expect_copies()?;
        for phase in [Phase::Image, Phase::Boot, Phase::Deploy, Phase::Tests, Phase::Cleanup] {
            if let Some(seconds) = told.phase(phase) {
                self.record.add(&format!("e2e.{phase}"), run, seconds)?;
            }
        }
        lab.destroy()
    }

    fn add_cost(&mut self, part: &str, run: u32, cost: &Cost) -> Result<(), Failure> {
        self.record.add(&format!("{part}.wall"), run, cost.wall_seconds)?;
        self.record.add(&format!("{part}.cpu"), run, cost.cpu_seconds)?;
        self.record.add(&format!("{part}.peak-memory"), run, cost.peak_memory_mib)
    }

    /// Adds the time from before a command was started until its last node was ready.
    pub(super) fn add_ready(
        &mut self,
        figure: &str,
        run: u32,
        cost: &Cost,
        told: &Told,
    ) -> Result<(), Failure> {
        let ready = told.ready_after(cost.started).ok_or("no node said that it is ready")?;
        self.record.add(figure, run, ready)
    }

    /// What each node of the lab has taken of the host so far.
    pub(super) fn nodes(&self) -> Result<Vec<(String, Taken)>, Failure> {
        let plan: Plan = serde_json::from_str(&file::read(&self.program.last_run().join("plan.json"))?)?;
        let labs = self.program.labs().display().to_string();
        let started = plan.nodes().map(|(_, node)| node).filter(|node| node.auto_start);
        started
            .map(|node| {
                let taken = Taken::of_domain(&node.domain, &labs);
                let taken = taken.ok_or_else(|| format!("cannot see the QEMU process of {}", node.label))?;
                Ok((node.label.clone(), taken))
            })
            .collect()
    }
}

/// The labs, while there may be one. They are gone when this is, whatever happened.
pub(super) struct Lab<'a>(Option<&'a Program>);

impl<'a> Lab<'a> {
    pub(super) fn of(program: &'a Program) -> Self {
        Self(Some(program))
    }

    pub(super) fn destroy(mut self) -> Result<(), Failure> {
        self.0.take().map_or(Ok(()), Program::destroy)
    }
}

impl Drop for Lab<'_> {
    fn drop(&mut self) {
        if let Some(Err(failure)) = self.0.take().map(Program::destroy) {
            eprintln!("{failure}");
        }
    }
}

/// A folder that starts empty and is gone when this is.
pub(super) struct FreshFolder(pub(super) PathBuf);

impl FreshFolder {
    pub(super) fn new(path: PathBuf) -> Result<Self, Failure> {
        remove(&path)?;
        file::create_folder(&path)?;
        Ok(Self(path))
    }
}

impl Drop for FreshFolder {
    fn drop(&mut self) {
        if let Err(failure) = remove(&self.0) {
            eprintln!("cannot remove {}: {failure}", self.0.display());
        }
    }
}

/// What a killed build leaves belongs to users that only exist in namespaces, so it is removed in such.
fn remove(folder: &Path) -> Result<(), Failure> {
    if folder.exists() {
        let remove = Command::new("rm").args(["-rf", "--one-file-system", "--"]).arg(folder);
        namespace::fresh(Network::Shared, &remove).run()?;
    }
    Ok(())
}
