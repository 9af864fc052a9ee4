//! What needs no boot: copies of templates, going back to a snapshot, a fork.

use std::time::Duration;

use super::Part;
use super::command::Cost;
use super::labs::{EIGHT, FORK, LAB, SIXTEEN};
use super::process;
use super::runs::{Bench, LONG, Lab};
use super::told::Told;
use crate::Failure;

/// The snapshot that the lab goes back to.
const SNAPSHOT: &str = "bench";

/// How long a job that only tells host names may take before it counts as stuck.
const JOB: Duration = Duration::from_secs(120);

impl Bench<'_> {
    /// Starts that do not count: afterwards all templates that are needed are kept, and in the page cache. Where one is
    /// missing this is a boot, and a deployment by Ansible.
    pub(super) fn keep_templates(&self) -> Result<(), Failure> {
        let wants = |part| self.arguments.wants(part);
        let starts: [(bool, &[&str]); 4] = [
            (wants(Part::Warm), &["--no-deploy", LAB]),
            (wants(Part::Warm) || wants(Part::E2e), &[LAB]),
            (wants(Part::Eight), &["--no-deploy", EIGHT]),
            (wants(Part::Sixteen), &[SIXTEEN]),
        ];
        for (_, arguments) in starts.iter().filter(|(wanted, _)| *wanted) {
            eprintln!("warming up: templates for {}", arguments.join(" "));
            let lab = Lab::of(self.program);
            self.start("warm-up-templates", arguments)?;
            lab.destroy()?;
        }
        Ok(())
    }

    /// The example lab as copies, without SLURM and with it, and what can be done with it then.
    pub(super) fn warm(&mut self, run: u32) -> Result<(), Failure> {
        self.say(run, "starting copies");
        let lab = Lab::of(self.program);
        let cost = self.start(&format!("{run}-warm"), &["--no-deploy", LAB])?;
        self.add_ready("warm.ready", run, &cost, &self.told_of_copies()?)?;
        self.record.add_ratio("warm.ratio", run, "warm.ready", "boot.ready")?;
        self.add_memory("warm.bare-node-memory", run)?;
        lab.destroy()?;

        self.say(run, "starting copies with SLURM");
        let lab = Lab::of(self.program);
        let cost = self.start(&format!("{run}-warm-slurm"), &[LAB])?;
        let job = self.job(&format!("{run}-warm-srun"))?;
        self.told_of_copies()?;
        self.record.add("warm.srun", run, job.ended_after(cost.started))?;
        self.record.add_ratio("warm.srun-ratio", run, "warm.srun", "cold.srun")?;
        self.add_memory("warm.node-memory", run)?;
        self.say(run, "starting what runs");
        let again = self.start(&format!("{run}-start-again"), &[LAB])?;
        self.record.add("start-again.wall", run, again.wall_seconds)?;
        self.say(run, "going back to a snapshot");
        self.revert(run)?;
        self.say(run, "forking");
        self.fork(run)?;
        lab.destroy()
    }

    fn revert(&mut self, run: u32) -> Result<(), Failure> {
        let snapshot = |name: &str, verb: &str| {
            self.program.run(&format!("{run}-{name}"), &["cluster", "snapshot", verb, SNAPSHOT, LAB], LONG)
        };
        let taken = snapshot("snapshot", "create")?;
        let reverted = snapshot("revert", "revert")?;
        let told = self.program.told()?;
        let job = self.job(&format!("{run}-revert-srun"))?;
        self.record.add("snapshot.wall", run, taken.wall_seconds)?;
        let resumed = told.running_after(reverted.started).ok_or("no node said that it goes on")?;
        self.record.add("revert.resumed", run, resumed)?;
        self.add_ready("revert.ready", run, &reverted, &told)?;
        self.record.add("revert.srun", run, job.ended_after(reverted.started))
    }

    fn fork(&mut self, run: u32) -> Result<(), Failure> {
        let cost = self.program.run(&format!("{run}-fork"), &["cluster", "fork", FORK, LAB], LONG)?;
        self.record.add("fork.wall", run, cost.wall_seconds)?;
        let keeper = process::keeper_of_fork(&self.program.labs(), FORK);
        let keeper = keeper.ok_or("cannot see the keeper of the fork")?;
        let libvirt = process::child(keeper, "libvirtd").ok_or("cannot see the libvirtd of the fork")?;
        for (figure, memory) in [
            ("fork.keeper-memory", process::proportional_memory_mib(keeper)),
            ("fork.keeper-private-memory", process::private_memory_mib(keeper)),
            ("fork.libvirtd-memory", process::proportional_memory_mib(libvirt)),
        ] {
            let memory = memory.ok_or_else(|| format!("cannot see {figure}"))?;
            self.record.add(figure, run, memory)?;
        }
        Ok(())
    }

    /// Eight nodes without SLURM: booted, then as copies.
    pub(super) fn eight(&mut self, run: u32) -> Result<(), Failure> {
        self.say(run, "booting eight nodes");
        let lab = Lab::of(self.program);
        let cost = self.start(&format!("{run}-eight-cold"), &["--cold", "--no-deploy", EIGHT])?;
        self.add_ready("eight.cold-ready", run, &cost, &self.program.told()?)?;
        lab.destroy()?;

        self.say(run, "starting eight copies");
        let lab = Lab::of(self.program);
        let cost = self.start(&format!("{run}-eight"), &["--no-deploy", EIGHT])?;
        self.add_ready("eight.ready", run, &cost, &self.told_of_copies()?)?;
        self.record.add_ratio("eight.ratio", run, "eight.ready", "eight.cold-ready")?;
        self.add_memory("eight.node-memory", run)?;
        lab.destroy()
    }

    /// Sixteen nodes with SLURM. Booting and deploying them takes minutes, so only the first run does that, too.
    pub(super) fn sixteen(&mut self, run: u32) -> Result<(), Failure> {
        if run == 1 {
            self.say(run, "booting and deploying sixteen nodes");
            let lab = Lab::of(self.program);
            let cost = self.start(&format!("{run}-sixteen-cold"), &["--cold", SIXTEEN])?;
            self.record.add("sixteen.cold-idle", run, cost.wall_seconds)?;
            lab.destroy()?;
        }
        self.say(run, "starting sixteen copies with SLURM");
        let lab = Lab::of(self.program);
        let cost = self.start(&format!("{run}-sixteen"), &[SIXTEEN])?;
        self.told_of_copies()?;
        self.record.add("sixteen.idle", run, cost.wall_seconds)?;
        self.record.add_ratio("sixteen.ratio", run, "sixteen.idle", "sixteen.cold-idle")?;
        self.add_memory("sixteen.node-memory", run)?;
        lab.destroy()
    }

    fn start(&self, name: &str, arguments: &[&str]) -> Result<Cost, Failure> {
        self.program.run(name, &[&["cluster", "start"][..], arguments].concat(), LONG)
    }

    /// What the last run told. It fails unless that was a warm start.
    fn told_of_copies(&self) -> Result<Told, Failure> {
        let told = self.program.told()?;
        told.expect_copies()?;
        Ok(told)
    }

    /// Runs a job on both compute nodes of the example lab.
    pub(super) fn job(&self, name: &str) -> Result<Cost, Failure> {
        let arguments = ["ssh", "--file", LAB, "controller", "srun", "-N2", "hostname"];
        self.program.run(name, &arguments, JOB)
    }

    fn add_memory(&mut self, figure: &str, run: u32) -> Result<(), Failure> {
        for (node, taken) in self.nodes()? {
            self.record.add_node(figure, run, &node, taken.memory_mib)?;
        }
        Ok(())
    }
}
