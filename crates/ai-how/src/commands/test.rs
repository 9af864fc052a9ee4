//! `ai-how test`: the standard test framework. Each verb is a part of `e2e`, usable alone on a lab that runs.

use std::{
    collections::BTreeSet,
    io::{BufRead, IsTerminal, stdin},
};

use deploy::Installation;
use engine::{Scope, Session, Site};
use events::{EventKind, Level, Phase};
use harness::{Suites, select::Selection};
use lab::accelerator::{self, Verdict};
use plan::{Plan, model::ClusterPlan};
use system::cancel::Cancel;

use super::cluster::{self, How, Target, Whether};
use crate::{
    bring_up::{BringUp, deploy_failure},
    cli::{Format, Lab, Part, Test, TestVerb},
    document, exit,
    failure::Failure,
    measure, output,
    proof::Proof,
    run::{About, Run},
    running::Running,
    settings::Settings,
};

/// Does what the verb says; `e2e` when there is none.
pub(crate) fn run(arguments: Test, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    let lab = Lab { file: arguments.file.clone(), place: arguments.place, fork: arguments.fork.clone() };
    let test = Command { arguments: &arguments, lab: &lab, settings, cancel };
    // What is to run is looked up first: a name that is not there is told at once, not after a start.
    match arguments.verb.as_ref().unwrap_or(&TestVerb::E2e) {
        TestVerb::E2e => {
            let suites = test.suites()?;
            test.throw_away("e2e", |work| work.prove(&suites.brief()))
        }
        TestVerb::Sabotage { suite } => {
            let suites = test.suites()?;
            let selection = selection(&suites, suite.as_deref())?;
            test.throw_away("sabotage", |work| work.sabotage(&selection))
        }
        TestVerb::StartCluster => {
            let (plan, site) = document::site_to_start(&lab, settings)?;
            let how = How {
                cold: arguments.cold,
                deploy: None,
                ssh_key: None,
                dry_run: false,
                force: false,
                rebuild: false,
                wait: true,
                scope: Scope::Lab,
            };
            let target = Target { lab: &lab, plan: &plan, site: &site };
            cluster::start(&target, &how, arguments.format, settings, cancel)
        }
        TestVerb::StopCluster => {
            let (plan, site) = document::site(&lab, settings)?;
            let target = Target { lab: &lab, plan: &plan, site: &site };
            // What a test framework started, it takes down without a question.
            let whether = Whether { dry_run: false, force: true };
            cluster::destroy(&target, &[Scope::Lab], whether, arguments.format, cancel)
        }
        TestVerb::Status => {
            let part = Part { lab: lab.clone(), cluster: None };
            cluster::status(&part, arguments.format, settings, cancel)
        }
        TestVerb::DeployAnsible => test.on_running("deploy", |work| test.deploy(work)),
        TestVerb::RunTests { suite } => {
            let suites = test.suites()?;
            let selection = selection(&suites, suite.as_deref())?;
            test.on_running("tests", |work| work.prove(&selection))
        }
        TestVerb::RunTest { name } => {
            let suites = test.suites()?;
            let check = suites.check(name).map_err(usage)?;
            test.on_running("test", |work| work.prove(&check))
        }
        TestVerb::ListTests => test.list(),
        TestVerb::Unknown(words) => {
            let word = words.first().map(String::as_str).unwrap_or_default();
            Err(Failure::new(
                exit::FAILED,
                format!("unknown command: {word} (`ai-how test help` lists them)"),
            ))
        }
    }
}

fn usage(error: harness::select::Error) -> Failure {
    Failure::new(exit::USAGE, error)
}

fn selection<'a>(suites: &'a Suites, suite: Option<&str>) -> Result<Selection<'a>, Failure> {
    suite.map_or_else(|| Ok(suites.all()), |name| suites.suite(name).map_err(usage))
}

struct Command<'a> {
    arguments: &'a Test,
    lab: &'a Lab,
    settings: &'a Settings,
    cancel: &'a Cancel,
}

impl Command<'_> {
    fn suites(&self) -> Result<Suites, Failure> {
        let suites = self.arguments.suites.as_deref().map_or_else(Suites::embedded, Suites::read);
        suites.map_err(|error| Failure::new(exit::USAGE, error))
    }

    fn list(&self) -> Result<u8, Failure> {
        let listing = self.suites()?.list();
        match self.arguments.format {
            Format::Text => output::data(listing)?,
            Format::Json => output::json(&listing)?,
        }
        Ok(exit::OK)
    }

    fn ansible(&self) -> Result<Installation, Failure> {
        deploy::find_ansible(&self.settings.cache).map_err(deploy_failure)
    }

    fn start_run(&self, verb: &str, plan: &Plan, site: &Site, verdict: &Verdict) -> Result<Run, Failure> {
        let about = About { verb, plan, file: &self.lab.file, verdict, format: self.arguments.format };
        Run::start(&about, self.settings, site.folder.path())
    }

    fn bring_up<'b>(&'b self, plan: &'b Plan, verdict: &'b Verdict, run: &'b Run) -> BringUp<'b> {
        BringUp {
            scope: &Scope::Lab,
            force: false,
            rebuild: false,
            wait: true,
            plan,
            verdict,
            run,
            settings: self.settings,
            cold: self.arguments.cold,
            cancel: self.cancel,
        }
    }

    fn proof<'b>(
        &'b self,
        session: &'b Session,
        site: &'b Site,
        plan: &'b Plan,
        verdict: &'b Verdict,
        run: &'b Run,
    ) -> Proof<'b> {
        Proof { session, site, plan, verdict, run, settings: self.settings, cancel: self.cancel }
    }

    /// Deploys every cluster that runs with Ansible, deployed already or not.
    fn deploy(&self, on: &Proof<'_>) -> Result<(), Failure> {
        let up = self.bring_up(on.plan, on.verdict, on.run);
        on.run.phase(Phase::Deploy, || {
            let clusters = up.clusters(on.session)?.into_iter().map(|cluster| cluster.name.clone());
            let clusters: BTreeSet<String> = clusters.collect();
            if clusters.is_empty() {
                let message = "there is nothing to deploy: no controller of SLURM runs".to_owned();
                on.run.sink().emit(EventKind::Notice { level: Level::Info, message });
                return Ok(());
            }
            up.with_ansible(on.session, &clusters, &self.ansible()?)
        })
    }

    /// Works on the lab that runs and leaves it running.
    fn on_running(
        &self,
        verb: &str,
        work: impl FnOnce(&Proof<'_>) -> Result<(), Failure>,
    ) -> Result<u8, Failure> {
        let lab = Running::find(self.lab, self.settings, self.cancel)?;
        let Running { site, session, plan, verdict, .. } = &lab;
        let run = self.start_run(verb, plan, site, verdict)?;
        let result = work(&self.proof(session, site, plan, verdict, &run));
        run.finish(result)
    }

    /// Starts and deploys a lab, works on it, and removes it, whatever happened.
    fn throw_away(
        &self,
        verb: &str,
        work: impl FnOnce(&Proof<'_>) -> Result<(), Failure>,
    ) -> Result<u8, Failure> {
        let (plan, site) = document::site(self.lab, self.settings)?;
        let is_deployed = |cluster: &ClusterPlan| cluster.slurm.is_some() && cluster.undeployable().is_none();
        let deploys = plan.clusters.iter().any(is_deployed);
        // What would fail the run later fails it before anything starts.
        let ansible = deploys.then(|| self.ansible()).transpose()?;
        let _lock = cluster::lock(&site)?;
        if site.find(self.cancel)?.is_some() || site.folder.has_disks() {
            let message = format!(
                "the lab of {0} exists already, and {verb} makes a fresh one and removes it. Use `ai-how test run-tests` \
                 on the one there is, or remove it with `ai-how cluster destroy {0}`",
                self.lab.file.display()
            );
            return Err(Failure::new(exit::FAILED, message));
        }
        let verdict = accelerator::probe(&self.settings.cache, plan.archs(), self.cancel)?;
        let run = self.start_run(verb, &plan, &site, &verdict)?;
        let mut session = None;
        let up = self.bring_up(&plan, &verdict, &run);
        let result = (|| {
            let images = cluster::images(&plan, &run, self.settings, self.cancel)?;
            let (session, started) = run.phase(Phase::Boot, || {
                let session = &*session.insert(site.open(&verdict, true, self.cancel)?);
                Ok((session, up.boot(session, &images, deploys)?))
            })?;
            up.deploy(session, &Scope::Lab, &images, &started, || {
                ansible.map_or_else(|| self.ansible(), Ok)
            })?;
            session.settle(&plan, &started.copies, self.cancel);
            let result = work(&self.proof(session, &site, &plan, &verdict, &run));
            measure::nodes(&plan, session.folder(), run.sink());
            result
        })();
        if self.arguments.interactive && !self.cancel.requested() && session.is_some() {
            self.pause();
        }
        let result = match session {
            Some(session) => self.end(session, &plan, &site, &run, result),
            None => result.and(Ok(site.folder.remove()?)),
        };
        run.finish(result)
    }

    /// Tells how to look at the lab, and waits for Enter.
    fn pause(&self) {
        let file = self.lab.file.display();
        output::words(format_args!(
            "the lab is still up: `ai-how ssh --file {file} NODE` in another terminal; Enter takes it down "
        ));
        // Without a terminal to read from there is nobody to wait for.
        if stdin().is_terminal() {
            let _ = stdin().lock().read_line(&mut String::new());
        }
        output::words("\n");
    }

    fn end(
        &self,
        mut session: Session,
        plan: &Plan,
        site: &Site,
        run: &Run,
        result: Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.arguments.no_cleanup && !self.cancel.requested() {
            let kept = session.keep();
            let file = self.lab.file.display();
            output::words(format_args!("the lab stays up; `ai-how cluster destroy {file}` removes it\n"));
            return result.and(Ok(kept?));
        }
        run.collect();
        let cleaned = run.phase(Phase::Cleanup, || {
            session.destroy()?;
            let leaks = engine::leaks(site, plan);
            if leaks.is_empty() {
                return Ok(());
            }
            Err(Failure::new(exit::FAILED, format!("something is left of the lab: {}", leaks.join(", "))))
        });
        result.and(cleaned)
    }
}
