//! Proving the checks: break a throw-away cluster on purpose, and see the check go red.
//!
//! Green, break, red, mend, green: the first green is one run of everything; the second is the check itself, where it
//! does not have to be alone, and one run of everything at the end. Steps on the same node share a session, so that a
//! connection that breaks cannot keep a mend from happening.
//!
//! ```text
//! run of everything ──> fork, fork, ... ──each──> next sabotage ──mended──> next sabotage ... ──> run of everything
//!                                                     └─ not mended, or the check is destructive ──> a fresh fork
//! ```
//!
//! Where a cluster cannot be forked it is broken itself, one sabotage after the other: never a cluster that somebody
//! needs, because a sabotage that is interrupted is not mended. Of several clusters some may be forked and others not.

mod ground;
mod report;

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use events::{EventKind, Outcome, Sink};
use plan::model::{ClusterPlan, NodePlan};
use system::{cancel::Cancel, clock::Stopwatch};

use crate::{
    batch::{Done, End, Step},
    evidence, expect,
    run::{self, Options, Target, take},
    select::Selection,
    shell,
    suite::{Check, Place, Sabotage, Suite},
    summary::Summary,
    variables::Variables,
};
use ground::{Ground, parts};
pub use report::{Finding, Report, Verdict};

/// How long breaking, mending and settling may each take on a fast host.
const STEP: Duration = Duration::from_secs(60);

/// How long a check may take to go red, beyond three times what it took to be green: to go red often means to wait for
/// something that never comes.
const PATIENCE: f64 = 10.0;

/// The suite's name in the events of a sabotage.
const SUITE: &str = "sabotage";

/// Tries every sabotage of the selected checks on every cluster whose kind their suite is for: on forks where there can
/// be any, several at once.
pub fn run(
    selection: &Selection<'_>,
    target: Target<'_>,
    sink: &dyn Sink,
    options: Options,
    cancel: &Cancel,
) -> Report {
    let options = Options { fail_fast: false, ..options };
    let before = run::run(selection, target, sink, options, cancel);
    let tasks: Vec<Task<'_>> = target.clusters.iter().flat_map(|cluster| tasks(selection, cluster)).collect();
    let of = |cluster: &ClusterPlan| tasks.iter().filter(|task| task.cluster.name == cluster.name).count();
    let parts = parts(target, of, sink);
    let places: usize = parts.iter().map(|part| part.grounds.len()).sum();
    let load = (places as f64 / options.parallel.max(1) as f64).max(1.0);
    let work = Work {
        selection,
        sink,
        options: Options {
            slowness: options.slowness.max(1.0) * load,
            parallel: (options.parallel / places.max(1)).max(1),
            fail_fast: false,
        },
        load,
        cancel,
        before: &before,
        verdicts: Mutex::new(tasks.iter().map(|_| None).collect()),
        after: Mutex::default(),
    };
    let (queues, grounds): (Vec<Queue<'_>>, Vec<Vec<Ground<'_>>>) =
        parts.into_iter().map(|part| (Queue::new(part.clusters, &tasks), part.grounds)).unzip();
    thread::scope(|scope| {
        let work = &work;
        for (queue, grounds) in queues.iter().zip(grounds) {
            for ground in grounds {
                scope.spawn(move || work.go_through(queue, ground));
            }
        }
    });
    let mut verdicts = work.verdicts.into_inner().unwrap_or_else(PoisonError::into_inner);
    let left = queues.into_iter().map(|queue| queue.tasks.into_inner());
    for (place, task) in left.flat_map(|tasks| tasks.unwrap_or_else(PoisonError::into_inner)) {
        let finding = Finding::Botched("there is no fork left to try it on".to_owned());
        verdicts[place] = Some(task.end(&task.cluster.name, "", finding, 0.0, sink));
    }
    let after = work.after.into_inner().unwrap_or_else(PoisonError::into_inner);
    Report { before, verdicts: verdicts.into_iter().flatten().collect(), after }
}

/// A sabotage of a check on a cluster.
#[derive(Clone, Copy)]
struct Task<'a> {
    cluster: &'a ClusterPlan,
    suite: &'a Suite,
    check: &'a Check,
    sabotage: &'a Sabotage,
}

fn tasks<'a>(selection: &Selection<'a>, cluster: &'a ClusterPlan) -> Vec<Task<'a>> {
    let checks = selection.checks().filter(|(suite, _)| suite.kinds.contains(&cluster.kind));
    let of = |(suite, check): (&'a Suite, &'a Check)| {
        let sabotages = suite.sabotages.iter().filter(|sabotage| sabotage.check == check.name);
        sabotages.map(move |sabotage| Task { cluster, suite, check, sabotage })
    };
    checks.flat_map(of).collect()
}

impl Task<'_> {
    fn name(&self) -> String {
        format!("{}/{}: {}", self.suite.name, self.check.name, self.sabotage.title)
    }

    /// Reports how it went.
    fn end(&self, node: &str, fork: &str, finding: Finding, seconds: f64, sink: &dyn Sink) -> Verdict {
        let said = evidence::without_secrets(&finding.to_string());
        let (reason, output) = match finding {
            Finding::Noticed(_) => (String::new(), said),
            _ => (said, String::new()),
        };
        sink.emit(EventKind::CheckFinished {
            suite: SUITE.to_owned(),
            check: self.name(),
            node: node.to_owned(),
            fork: fork.to_owned(),
            outcome: finding.outcome(),
            seconds,
            reason,
            output,
        });
        Verdict {
            suite: self.suite.name.clone(),
            check: self.check.name.clone(),
            title: self.sabotage.title.clone(),
            node: node.to_owned(),
            fork: fork.to_owned(),
            finding,
            seconds,
        }
    }
}

/// What is still to be tried on clusters that are broken in the same places.
struct Queue<'a> {
    clusters: Vec<ClusterPlan>,
    /// Each with its place among all of them.
    tasks: Mutex<VecDeque<(usize, Task<'a>)>>,
}

impl<'a> Queue<'a> {
    fn new(clusters: Vec<ClusterPlan>, all: &[Task<'a>]) -> Self {
        let is_of =
            |(_, task): &(usize, Task<'a>)| clusters.iter().any(|cluster| cluster.name == task.cluster.name);
        let tasks = all.iter().copied().enumerate().filter(is_of).collect();
        Self { tasks: Mutex::new(tasks), clusters }
    }
}

/// What holds for all the sabotages, and what came of them so far.
struct Work<'a> {
    selection: &'a Selection<'a>,
    sink: &'a dyn Sink,
    options: Options,
    /// How many times longer everything takes because forks share the host.
    load: f64,
    cancel: &'a Cancel,
    before: &'a Summary,
    verdicts: Mutex<Vec<Option<Verdict>>>,
    after: Mutex<Summary>,
}

impl Work<'_> {
    /// Takes sabotages as long as there are any, and runs everything when there are none.
    fn go_through(&self, queue: &Queue<'_>, mut ground: Ground<'_>) {
        while let Some((place, task)) = take(&queue.tasks) {
            let bench = Bench { task, ground: &ground, work: self };
            let verdict = bench.verdict();
            let is_whole = !task.check.destructive && !matches!(verdict.finding, Finding::Botched(_));
            self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)[place] = Some(verdict);
            if is_whole || self.cancel.requested() {
                continue;
            }
            // Where nothing is left to do there is nothing to be whole for, and without a fork the others do it.
            let is_over = queue.tasks.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
            match if is_over && ground.is_fork() { None } else { ground.fresh() } {
                Some(fresh) => ground = fresh,
                None => return,
            }
        }
        let target =
            Target { clusters: &queue.clusters, shell: ground.shell(), forks: None, fork: ground.name() };
        let after = run::run(&self.selection.harmless(), target, self.sink, self.options, self.cancel);
        self.after.lock().unwrap_or_else(PoisonError::into_inner).results.extend(after.results);
    }
}

/// Where one sabotage is tried.
struct Bench<'a, 'w> {
    task: Task<'w>,
    ground: &'a Ground<'a>,
    work: &'a Work<'w>,
}

/// A sabotage with its nodes found.
struct Act<'a> {
    /// Where it is broken and mended.
    scene: &'a NodePlan,
    /// Where the check runs.
    witness: &'a NodePlan,
    /// How long the check may take to go red, already scaled.
    patience: Duration,
}

impl Bench<'_, '_> {
    fn verdict(&self) -> Verdict {
        let watch = Stopwatch::start();
        let (task, fork, sink) = (&self.task, self.ground.name(), self.work.sink);
        let (node, finding) = match self.act() {
            Ok(act) => {
                let node = act.witness.label.clone();
                let (suite, check, fork) = (SUITE.to_owned(), task.name(), fork.to_owned());
                sink.emit(EventKind::CheckStarted { suite, check, node: node.clone(), fork });
                (node, self.try_it(&act))
            }
            Err(finding) => (task.cluster.name.clone(), finding),
        };
        task.end(&node, fork, finding, watch.seconds(), sink)
    }

    /// Finds the nodes, or says why it cannot be tried.
    fn act(&self) -> Result<Act<'_>, Finding> {
        let Task { cluster, suite, check, sabotage } = self.task;
        if check.destructive && !self.ground.is_fork() {
            let reason = "the check is destructive, and this cluster cannot be forked";
            return Err(Finding::Untried(reason.to_owned()));
        }
        let started = |place: Place| place.nodes(cluster).into_iter().filter(|node| node.auto_start);
        // What a check needs, not every node may have.
        let able = || started(check.on).filter(|node| run::lacking(cluster, check, node).is_none());
        let sees_it = |scene: &&NodePlan| able().any(|node| node.name == scene.name);
        let scene = started(sabotage.on).find(sees_it).or_else(|| started(sabotage.on).next());
        let scene = scene.ok_or_else(|| no_node(sabotage.on))?;
        let Some(witness) = able().find(|node| node.name == scene.name).or_else(|| able().next()) else {
            let unable = started(check.on).next().ok_or_else(|| no_node(check.on))?;
            let reason = run::lacking(cluster, check, unable);
            return Err(reason.map_or_else(|| no_node(check.on), Finding::Untried));
        };
        let baseline = self.work.before.results.iter().find(|result| {
            (&result.cluster, &result.suite, &result.check, &result.node)
                == (&cluster.name, &suite.name, &check.name, &witness.label)
        });
        match baseline {
            Some(baseline) if baseline.outcome == Outcome::Passed => {
                let limit = check.timeout.mul_f64(self.work.options.slowness);
                let grace = (PATIENCE + 3.0 * baseline.seconds) * self.work.load;
                Ok(Act { scene, witness, patience: limit.min(Duration::from_secs_f64(grace)) })
            }
            Some(baseline) if baseline.outcome == Outcome::Interrupted => Err(Finding::Interrupted),
            Some(baseline) => {
                Err(Finding::Botched(format!("the check was not green to begin with: {}", baseline.reason)))
            }
            None => Err(Finding::Botched("the check did not run before".to_owned())),
        }
    }

    fn try_it(&self, act: &Act<'_>) -> Finding {
        let Task { cluster, check, sabotage, .. } = self.task;
        let Act { scene, witness, patience } = act;
        let slowness = self.work.options.slowness;
        // The limits of steps are for a fast host; this one was measured on this cluster.
        let patience = patience.div_f64(slowness);
        let controller = Place::Controller.nodes(cluster).into_iter().next().unwrap_or(scene);
        let step = |script| Step { script, timeout: STEP };
        let mut steps = vec![
            (*scene, step(&*sabotage.break_it)),
            (*witness, Step { script: &check.run, timeout: patience }),
        ];
        steps.extend(sabotage.mend.iter().map(|mend| (*scene, step(&**mend))));
        steps.extend(sabotage.settle.iter().map(|settle| (controller, step(&**settle))));
        if is_seen_green(check) {
            steps.push((*witness, Step { script: &check.run, timeout: check.timeout }));
        }
        let mut done = Vec::new();
        for group in steps.chunk_by(|(one, _), (other, _)| one.name == other.name) {
            let node = group[0].0;
            let scripts: Vec<Step<'_>> = group.iter().map(|(_, step)| *step).collect();
            match run::session(cluster, node, &scripts, self.ground.shell(), slowness, self.work.cancel) {
                Ok(results) => done.extend(results),
                Err(shell::Error::Cancelled) => return Finding::Interrupted,
                // Later groups still run: one of them mends.
                Err(error) => done.extend(scripts.iter().map(|_| lost(error.to_string()))),
            }
        }
        self.find(act, &done)
    }

    /// What the steps show, in the order in which `try_it` made them.
    fn find(&self, act: &Act<'_>, done: &[Done]) -> Finding {
        let [broken, red, rest @ ..] = done else { return Finding::Interrupted };
        if broken.end != End::Exit(0) {
            return Finding::Botched(format!("breaking failed: {}", why(broken)));
        }
        if let End::Lost(reason) = &red.end {
            return Finding::Botched(format!("the node was lost: {reason}"));
        }
        let Task { cluster, check, .. } = self.task;
        let variables = Variables { cluster, node: act.witness };
        let judge = |done| expect::judge(&check.expect, done, &|name| variables.value(name));
        let Err(reason) = judge(red) else { return Finding::Unnoticed };
        let green = if is_seen_green(check) { rest.last() } else { None };
        let mends = &rest[..rest.len() - usize::from(green.is_some())];
        if let Some(failed) = mends.iter().find(|done| done.end != End::Exit(0)) {
            return Finding::Botched(format!("mending failed: {}", why(failed)));
        }
        match green.map(judge) {
            Some(Err(still)) => Finding::Botched(format!("after mending the check is still red: {still}")),
            _ => Finding::Noticed(reason),
        }
    }
}

/// Whether the check runs once more after mending. One that is alone is seen green by the run at the end, and after a
/// destructive one nothing is mended.
fn is_seen_green(check: &Check) -> bool {
    !check.alone && !check.destructive
}

fn no_node(place: Place) -> Finding {
    Finding::Untried(format!("there is no node for `on: {}`", place.name()))
}

fn lost(reason: String) -> Done {
    Done { end: End::Lost(reason), seconds: 0.0, stdout: String::new(), stderr: String::new() }
}

/// Why a step that should end well did not.
fn why(done: &Done) -> String {
    expect::judge(&crate::suite::Expect::default(), done, &|_| None).err().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::{
        Suites,
        fixture::{self, Copies, Here, Notebook, cluster, suites_from},
        forks::Forks,
    };

    const SUITE: &str = "\
name: demo
description: A demonstration
kinds: [slurm]
checks:
  - {name: flag, description: The flag is up, on: controller, timeout: 5, run: 'test ! -e $FLAG'}
  - {name: blind, description: It sees nothing, on: each, timeout: 5, run: 'true'}
";

    fn sabotage(check: &str, on: &str, break_it: &str, mend: &str) -> String {
        format!("  - {{check: {check}, title: demo, on: {on}, break: '{break_it}', mend: '{mend}'}}\n")
    }

    fn report(suites: &Suites, cluster: &ClusterPlan, shell: &Here, forks: Option<&dyn Forks>) -> Report {
        let target = Target { forks, ..fixture::target(std::slice::from_ref(cluster), shell) };
        run(&suites.all(), target, &Notebook::default(), Options::default(), &Cancel::new())
    }

    fn findings(sabotages: &str) -> (Vec<Finding>, Outcome) {
        let suites = suites_from(&[("demo", SUITE, &format!("sabotages:\n{sabotages}"))]);
        let folder = tempfile::tempdir().unwrap();
        let before = format!("FLAG={}/flag", folder.path().display());
        let report = report(&suites, &cluster(), &Here { before, ..Here::default() }, None);
        (report.verdicts.iter().map(|verdict| verdict.finding.clone()).collect(), report.outcome())
    }

    #[test]
    fn a_check_that_notices_passes() {
        let (found, outcome) = findings(&sabotage("flag", "controller", "touch $FLAG", "rm $FLAG"));
        assert_eq!((found, outcome), (vec![Finding::Noticed("exit status 1".to_owned())], Outcome::Passed));
    }

    #[test]
    fn it_may_be_broken_on_another_node() {
        let (found, outcome) = findings(&sabotage("flag", "first-compute", "touch $FLAG", "rm $FLAG"));
        assert_eq!((found, outcome), (vec![Finding::Noticed("exit status 1".to_owned())], Outcome::Passed));
    }

    #[test]
    fn a_check_that_does_not_notice_is_named() {
        let (found, outcome) = findings(&sabotage("blind", "first-compute", "true", "true"));
        assert_eq!((found, outcome), (vec![Finding::Unnoticed], Outcome::Failed));
    }

    #[test]
    fn a_sabotage_that_does_not_work_is_no_proof() {
        let botched = |sabotage: &str, expected: &str| {
            let (found, outcome) = findings(sabotage);
            assert!(
                matches!(&found[..], [Finding::Botched(reason)] if reason.contains(expected)),
                "{found:?}"
            );
            assert_eq!(outcome, Outcome::Failed);
        };
        botched(&sabotage("flag", "controller", "echo no >&2; false", "true"), "breaking failed: no");
        botched(&sabotage("flag", "controller", "touch $FLAG", "false"), "mending failed: exit status 1");
        botched(&sabotage("flag", "controller", "touch $FLAG", "true"), "still red");
    }

    #[test]
    fn a_cluster_without_the_node_is_told() {
        let mut small = cluster();
        small.nodes.truncate(1);
        let text = format!("sabotages:\n{}", sabotage("blind", "first-compute", "true", "true"));
        let suites = suites_from(&[("demo", SUITE, &text)]);
        let report = report(&suites, &small, &Here::default(), None);
        assert!(matches!(report.verdicts[0].finding, Finding::Untried(_)));
        assert_eq!(report.outcome(), Outcome::Failed);
    }

    /// A demonstration with a check that ruins where it runs.
    const RUINOUS: &str = "\
name: demo
description: A demonstration
kinds: [slurm]
checks:
  - {name: flag, description: The flag is up, on: controller, timeout: 5, run: 'test ! -e $FLAG'}
  - {name: ruin, description: It breaks, on: controller, timeout: 5, destructive: true, run: 'test ! -e $FLAG; touch $FLAG'}
";

    #[test]
    fn forks_share_the_sabotages_and_a_spoiled_one_is_replaced() {
        let names: Vec<String> = (0..6).map(|number| format!("try {number}")).collect();
        let one = |name: &String| {
            format!(
                "  - {{check: flag, title: {name}, on: controller, break: touch $FLAG, mend: rm $FLAG}}\n"
            )
        };
        let mut sabotages: String = names.iter().map(one).collect();
        sabotages
            .push_str("  - {check: flag, title: bad, on: controller, break: touch $FLAG, mend: 'true'}\n");
        sabotages.push_str("  - {check: ruin, title: ruin, on: first-compute, break: touch $FLAG}\n");
        let suites = suites_from(&[("demo", RUINOUS, &format!("sabotages:\n{sabotages}"))]);
        let shell = Here { before: "FLAG=/nowhere/flag".to_owned(), ..Here::default() };
        let forks = Copies::new(usize::MAX);
        let report = report(&suites, &cluster(), &shell, Some(&forks));
        let finding =
            |title: &str| &report.verdicts.iter().find(|verdict| verdict.title == title).unwrap().finding;
        assert!(names.iter().all(|name| matches!(finding(name), Finding::Noticed(_))), "{report:?}");
        assert!(matches!(finding("bad"), Finding::Botched(_)), "{report:?}");
        assert!(matches!(finding("ruin"), Finding::Noticed(_)), "{report:?}");
        assert!(report.verdicts.iter().all(|verdict| verdict.fork.starts_with("copy-")));
        // One for the destructive check itself, two at the start, and at most one for each of the two that were spoiled.
        let made = forks.made.load(Ordering::SeqCst);
        assert!((3..=5).contains(&made), "{made} forks");
        assert_eq!(forks.there.load(Ordering::SeqCst), 0, "a fork is left");
        // The flag is up on every fork that was not spoiled by the last thing that was done to it.
        assert_eq!(report.after.count(Outcome::Failed), 0);
        assert_eq!(report.outcome(), Outcome::Failed, "a bad sabotage is no proof");
    }

    #[test]
    fn forks_that_are_thrown_away_need_not_be_whole() {
        let sabotage = "sabotages:\n  - {check: ruin, title: ruin, on: first-compute, break: touch $FLAG}\n";
        let suites = suites_from(&[("demo", RUINOUS, sabotage)]);
        let shell = Here { before: "FLAG=/nowhere/flag".to_owned(), ..Here::default() };
        let forks = Copies::new(usize::MAX);
        let clusters = [cluster()];
        let target = Target { forks: Some(&forks), ..fixture::target(&clusters, &shell) };
        let one = suites.check("ruin").unwrap();
        let report = run(&one, target, &Notebook::default(), Options::default(), &Cancel::new());
        assert_eq!((report.outcome(), report.to_string().contains("afterwards")), (Outcome::Passed, false));
        // One for the check, one for its sabotage, and none to be looked at after that.
        assert_eq!(forks.made.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn without_room_for_a_fork_the_cluster_itself_is_broken() {
        let text = sabotage("flag", "controller", "touch $FLAG", "rm $FLAG")
            + "  - {check: ruin, title: r, on: each, break: 'true'}\n";
        let suites = suites_from(&[("demo", RUINOUS, &format!("sabotages:\n{text}"))]);
        let folder = tempfile::tempdir().unwrap();
        let before = format!("FLAG={}/flag", folder.path().display());
        let report = report(&suites, &cluster(), &Here { before, ..Here::default() }, Some(&Copies::new(0)));
        assert_eq!(report.verdicts[0].finding, Finding::Noticed("exit status 1".to_owned()));
        assert!(matches!(&report.verdicts[1].finding, Finding::Untried(_)), "{report:?}");
        assert_eq!(report.outcome(), Outcome::Passed);
    }

    #[test]
    fn what_forks_lack_is_broken_itself_beside_them() {
        let text = "name: demo\ndescription: d\nkinds: [slurm, appliance]\nchecks:\n  \
            - {name: flag, description: d, on: each, timeout: 5, run: 'test ! -e $FLAG'}\n  \
            - {name: model, description: d, on: each, timeout: 5, needs: [model], run: 'test ! -e $FLAG'}\n";
        let sabotages = sabotage("flag", "each", "touch $FLAG", "rm $FLAG")
            + &sabotage("model", "each", "touch $FLAG", "rm $FLAG");
        let suites = suites_from(&[("demo", text, &format!("sabotages:\n{sabotages}"))]);
        let folder = tempfile::tempdir().unwrap();
        let shell = Here { before: format!("FLAG={}/flag", folder.path().display()), ..Here::default() };
        let (clusters, forks, sink) =
            ([cluster(), fixture::prompts()], Copies::without("prompts"), Notebook::default());
        let target = Target { forks: Some(&forks), ..fixture::target(&clusters, &shell) };
        let report = run(&suites.all(), target, &sink, Options::default(), &Cancel::new());
        let of = |verdict: &Verdict| (verdict.check.clone(), verdict.node.clone(), verdict.fork.clone());
        let noticed = report.verdicts.iter().filter(|verdict| matches!(verdict.finding, Finding::Noticed(_)));
        let noticed: Vec<_> = noticed.map(of).collect();
        let own = |check: &str, node: &str| (check.to_owned(), node.to_owned(), String::new());
        assert_eq!(noticed.len(), 3, "{report:?}");
        assert!(noticed[0].2.starts_with("copy-"), "{report:?}");
        // The model is looked at where there is one.
        assert_eq!(noticed[1..], [own("flag", "prompt-01"), own("model", "prompt-02")]);
        assert_eq!(
            report.verdicts[1].finding,
            Finding::Untried("it needs a model, and controller has none".to_owned())
        );
        assert_eq!((report.outcome(), forks.there.load(Ordering::SeqCst)), (Outcome::Passed, 0));
        // Each was looked at once more where it was broken: on three nodes of two forks, and on two of the original.
        assert_eq!(report.after.count(Outcome::Passed), 3 * 2 + 2 + 1, "{:?}", report.after);
        let told = |event: &EventKind| matches!(event, EventKind::Notice { message, .. } if message.starts_with("prompts cannot be forked: it keeps nothing"));
        assert_eq!(sink.events().iter().filter(|event| told(event)).count(), 1);
    }

    #[test]
    fn what_no_fork_is_left_for_is_no_proof() {
        let bad = "  - {check: flag, title: bad, on: controller, break: touch $FLAG, mend: 'true'}\n";
        let text = format!("{bad}{}", bad.replace("bad", "worse"))
            + &sabotage("flag", "controller", "touch $FLAG", "rm $FLAG");
        let suites = suites_from(&[("demo", SUITE, &format!("sabotages:\n{text}"))]);
        let shell = Here { before: "FLAG=/nowhere/flag".to_owned(), ..Here::default() };
        let report = report(&suites, &cluster(), &shell, Some(&Copies::new(2)));
        let lost = |verdict: &&Verdict| verdict.finding.to_string().contains("there is no fork left");
        assert_eq!(report.verdicts.iter().filter(lost).count(), 1, "{report:?}");
        assert_eq!(report.outcome(), Outcome::Failed);
    }

    #[test]
    fn an_interruption_is_no_verdict() {
        let text = format!("sabotages:\n{}", sabotage("flag", "controller", "sleep 9", "true"));
        let suites = suites_from(&[("demo", SUITE, &text)]);
        let shell = Here { before: "FLAG=/nowhere".to_owned(), stop_after: Some(3), ..Here::default() };
        let report = report(&suites, &cluster(), &shell, None);
        assert_eq!(report.verdicts[0].finding, Finding::Interrupted);
        assert_eq!(report.outcome(), Outcome::Interrupted);
    }
}
