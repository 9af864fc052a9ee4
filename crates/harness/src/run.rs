//! The runner: checks in, events and a [`Summary`] out.
//!
//! Work is cut into lanes, and `parallel` threads take lanes. One lane holds the checks that must be alone, one after
//! the other; it comes first, because such checks wait more than they compute. Each node has a lane for everything else,
//! one session for each suite. A check never waits for one in another lane. Destructive checks run beside all that, each on
//! a fork of its own; those that there is no room for, or that need another check's result, come last.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use config::model::Slurm;
use events::{EventKind, Level, Outcome, Sink};
use plan::model::{ClusterPlan, NodePlan};
use system::{cancel::Cancel, clock::Stopwatch};

use crate::{
    batch::{self, Done, Step},
    evidence, expect,
    forks::{self, Fork, Forks},
    select::Selection,
    shell::{self, Shell},
    suite::{Check, Need, Suite},
    summary::{CheckResult, Summary},
    variables::{Variables, model, workers},
};

/// How to run.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How many times slower than a fast host the nodes are; every time limit is multiplied by it. Never below 1.
    pub slowness: f64,
    /// How many sessions at once.
    pub parallel: usize,
    /// Starts nothing more once a check failed.
    pub fail_fast: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { slowness: 1.0, parallel: 4, fail_fast: false }
    }
}

/// What is tested.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// The clusters, as they should be.
    pub clusters: &'a [ClusterPlan],
    /// The way to their nodes.
    pub shell: &'a dyn Shell,
    /// Where they are copied, if they can be.
    pub forks: Option<&'a dyn Forks>,
    /// The fork that this is; empty when it is none.
    pub fork: &'a str,
}

impl std::fmt::Debug for Target<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("fork", &self.fork).finish_non_exhaustive()
    }
}

/// Runs the selected checks on every cluster whose kind their suite is for, one cluster after the other.
pub fn run(
    selection: &Selection<'_>,
    target: Target<'_>,
    sink: &dyn Sink,
    options: Options,
    cancel: &Cancel,
) -> Summary {
    let results = Mutex::new(Vec::new());
    let stopped = AtomicBool::new(false);
    let Target { clusters, shell, forks, fork } = target;
    for cluster in clusters {
        let work = Work { cluster, shell, fork, sink, options, cancel, results: &results, stopped: &stopped };
        let (lanes, destructive) = work.lanes(selection);
        let why = forks.and_then(|forks| forks.lacks(cluster));
        let Some(forks) = forks.filter(|_| why.is_none()) else {
            let mut reason = "it is destructive, and this cluster cannot be forked".to_owned();
            reason.extend(why.iter().flat_map(|why| [": ", why]));
            destructive.iter().for_each(|session| work.skip_all(session, &reason));
            threads(options.parallel, lanes, |lane| work.lane(lane));
            continue;
        };
        // As many as there is room for begin with all the others, on forks of one moment.
        let (mut first, later): (Vec<_>, Vec<_>) =
            destructive.into_iter().partition(|session| !session.needs_a_check());
        let mut later = VecDeque::from(later);
        later.extend(first.split_off(first.len().min(forks.room())));
        let lent = work.lend(first, forks).unwrap_or_else(|sessions| {
            later.extend(sessions);
            Vec::new()
        });
        thread::scope(|scope| {
            for (session, fork) in lent {
                scope.spawn(move || work.on_fork(session, &*fork));
            }
            threads(options.parallel, lanes, |lane| work.lane(lane));
        });
        threads(forks.room(), later, |session| work.on_own_fork(session, forks));
    }
    Summary { results: results.into_inner().unwrap_or_else(PoisonError::into_inner) }
}

/// Does all the work with so many threads.
fn threads<T: Send>(count: usize, work: VecDeque<T>, one: impl Fn(T) + Sync) {
    let count = count.clamp(1, work.len().max(1));
    let work = Mutex::new(work);
    thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                while let Some(next) = take(&work) {
                    one(next);
                }
            });
        }
    });
}

pub(crate) fn take<T>(queue: &Mutex<VecDeque<T>>) -> Option<T> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// Checks that share a session.
struct Session<'a> {
    suite: &'a Suite,
    node: &'a NodePlan,
    checks: Vec<&'a Check>,
}

/// A session with the fork that it is to run on.
type Lent<'a, 'f> = (Session<'a>, Box<dyn Fork + 'f>);

impl Session<'_> {
    /// Whether one of its checks needs to know how another one went.
    fn needs_a_check(&self) -> bool {
        let mut needs = self.checks.iter().flat_map(|check| &check.needs);
        needs.any(|need| matches!(need, Need::Check(_)))
    }
}

/// One run on one cluster.
#[derive(Clone, Copy)]
struct Work<'a> {
    cluster: &'a ClusterPlan,
    shell: &'a dyn Shell,
    fork: &'a str,
    sink: &'a dyn Sink,
    options: Options,
    cancel: &'a Cancel,
    results: &'a Mutex<Vec<CheckResult>>,
    stopped: &'a AtomicBool,
}

/// A check that is over on a node.
struct Ended<'a> {
    suite: &'a str,
    check: &'a str,
    node: &'a str,
    outcome: Outcome,
    seconds: f64,
    reason: String,
    output: String,
}

impl<'a> Work<'a> {
    /// Everything there is to run, and what is destructive of it; what cannot be run here is reported as skipped right
    /// away.
    fn lanes(&self, selection: &Selection<'a>) -> (VecDeque<Vec<Session<'a>>>, VecDeque<Session<'a>>) {
        let mut alone = Vec::new();
        let mut destructive = VecDeque::new();
        let mut lanes: Vec<Vec<Session<'a>>> = self.cluster.nodes.iter().map(|_| Vec::new()).collect();
        let mut others = Vec::new();
        for (suite, checks) in &selection.0 {
            if !suite.kinds.contains(&self.cluster.kind) {
                others.push(suite.name.as_str());
                continue;
            }
            for (node, lane) in self.cluster.nodes.iter().zip(&mut lanes) {
                let here = checks.iter().copied().filter(|check| self.runs_on(suite, check, node));
                let one = |check| Session { suite, node, checks: vec![check] };
                let (ruinous, harmless): (Vec<_>, Vec<_>) = here.partition(|check| check.destructive);
                destructive.extend(ruinous.into_iter().map(one));
                let (lonely, social): (Vec<_>, Vec<_>) = harmless.into_iter().partition(|check| check.alone);
                alone.extend(lonely.into_iter().map(one));
                if !social.is_empty() {
                    lane.push(Session { suite, node, checks: social });
                }
            }
        }
        // What is left out of the cluster is left out of its forks, too, and told once.
        if !others.is_empty() && self.fork.is_empty() {
            let (plural, others) = (if others.len() == 1 { "" } else { "s" }, others.join(", "));
            let ClusterPlan { name, kind, .. } = self.cluster;
            let message = format!(
                "not for the cluster {name}, which is of the kind {kind}: the suite{plural} {others}"
            );
            self.sink.emit(EventKind::Notice { level: Level::Info, message });
        }
        let lanes = std::iter::once(alone).chain(lanes).filter(|lane| !lane.is_empty());
        (lanes.collect(), destructive)
    }

    fn runs_on(&self, suite: &Suite, check: &Check, node: &NodePlan) -> bool {
        if !check.on.nodes(self.cluster).iter().any(|place| place.name == node.name) {
            return false;
        }
        let reason = lacking(self.cluster, check, node);
        if let Some(reason) = &reason {
            self.skip(suite, check, node, reason.clone());
        }
        reason.is_none()
    }

    fn lane(&self, sessions: Vec<Session<'a>>) {
        let mut failed: HashSet<(&str, &str)> = HashSet::new();
        let mut lost: HashMap<&str, shell::Error> = HashMap::new();
        for session in sessions {
            if self.is_over(&session) {
                continue;
            }
            let Session { suite, node, checks } = session;
            // A check that is alone in its session need not even run when what it needs failed.
            if let [check] = checks[..]
                && self.needs_failed(suite, check, node, &failed)
            {
                continue;
            }
            for check in &checks {
                self.started(suite, check, node);
            }
            let watch = Stopwatch::start();
            let before = lost.get(node.label.as_str()).cloned();
            let done = before.map_or_else(|| self.session(node, &checks), Err);
            match done {
                Ok(done) => {
                    for (check, done) in checks.iter().zip(done) {
                        if self.needs_failed(suite, check, node, &failed) {
                            continue;
                        }
                        if !self.judge(suite, check, node, &done) {
                            failed.insert((&suite.name, &check.name));
                        }
                    }
                }
                Err(shell::Error::Cancelled) => {
                    checks.iter().for_each(|check| self.interrupted(suite, check, node));
                }
                Err(error) => {
                    for check in &checks {
                        failed.insert((&suite.name, &check.name));
                        self.failed(suite, check, node, watch.seconds(), error.to_string(), String::new());
                    }
                    if matches!(error, shell::Error::Unreachable { .. }) {
                        lost.insert(&node.label, error);
                    }
                }
            }
        }
    }

    /// Gives each a fork. Where that is not possible it gives the sessions back.
    fn lend<'f>(
        &self,
        sessions: Vec<Session<'a>>,
        forks: &'f dyn Forks,
    ) -> Result<Vec<Lent<'a, 'f>>, Vec<Session<'a>>> {
        if sessions.is_empty() {
            return Ok(Vec::new());
        }
        match forks.fork(sessions.len()) {
            Ok(made) if made.len() == sessions.len() => Ok(sessions.into_iter().zip(made).collect()),
            _ => Err(sessions),
        }
    }

    /// Runs a destructive check on a fork that nothing else runs on.
    fn on_fork(&self, session: Session<'a>, fork: &dyn Fork) {
        Work { shell: fork.shell(), fork: fork.name(), ..*self }.lane(vec![session]);
    }

    /// Forks the cluster for a destructive check, when all others ran.
    fn on_own_fork(&self, session: Session<'a>, forks: &dyn Forks) {
        let failed = |result: &&CheckResult| {
            result.outcome == Outcome::Failed
                && result.node == session.node.label
                && result.suite == session.suite.name
        };
        let results = self.results.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let failed = results.iter().filter(failed).map(|result| (&*result.suite, &*result.check)).collect();
        let needs = |check: &&Check| !self.needs_failed(session.suite, check, session.node, &failed);
        if self.is_over(&session) || !session.checks.iter().all(needs) {
            return;
        }
        match forks.fork(1).map(|made| made.into_iter().next()) {
            Ok(Some(fork)) => self.on_fork(session, &*fork),
            Ok(None) => self.skip_all(&session, "it is destructive, and there is no fork"),
            Err(forks::Error::Cancelled) => self.interrupt_all(&session),
            Err(error) => self.skip_all(&session, &format!("it is destructive, and {error}")),
        }
    }

    /// Whether nothing is begun any more; then it is reported.
    fn is_over(&self, session: &Session<'a>) -> bool {
        if self.cancel.requested() {
            self.interrupt_all(session);
            return true;
        }
        let stopped = self.stopped.load(Ordering::SeqCst);
        if stopped {
            let reason = "not run, because another check failed and the run stops at the first failure";
            self.skip_all(session, reason);
        }
        stopped
    }

    fn skip_all(&self, Session { suite, node, checks }: &Session<'a>, reason: &str) {
        checks.iter().for_each(|check| self.skip(suite, check, node, reason.to_owned()));
    }

    fn interrupt_all(&self, Session { suite, node, checks }: &Session<'a>) {
        checks.iter().for_each(|check| self.interrupted(suite, check, node));
    }

    fn session(&self, node: &NodePlan, checks: &[&Check]) -> Result<Vec<Done>, shell::Error> {
        let steps: Vec<Step<'_>> =
            checks.iter().map(|check| Step { script: &check.run, timeout: check.timeout }).collect();
        session(self.cluster, node, &steps, self.shell, self.options.slowness, self.cancel)
    }

    /// Judges and reports; whether it passed.
    fn judge(&self, suite: &Suite, check: &Check, node: &NodePlan, done: &Done) -> bool {
        let variables = Variables { cluster: self.cluster, node };
        match expect::judge(&check.expect, done, &|name| variables.value(name)) {
            Ok(()) => {
                self.ended(Ended {
                    suite: &suite.name,
                    check: &check.name,
                    node: &node.label,
                    outcome: Outcome::Passed,
                    seconds: done.seconds,
                    reason: String::new(),
                    output: evidence::of(done),
                });
                true
            }
            Err(reason) => {
                self.failed(suite, check, node, done.seconds, reason, evidence::of(done));
                false
            }
        }
    }

    /// Whether a check that this one needs failed; then it is reported as skipped.
    fn needs_failed(
        &self,
        suite: &Suite,
        check: &Check,
        node: &NodePlan,
        failed: &HashSet<(&str, &str)>,
    ) -> bool {
        let culprit = check.needs.iter().find_map(|need| match need {
            Need::Check(name) if failed.contains(&(suite.name.as_str(), name.as_str())) => Some(name),
            _ => None,
        });
        if let Some(name) = culprit {
            self.skip(suite, check, node, format!("it needs `{name}`, which failed"));
        }
        culprit.is_some()
    }

    fn started(&self, suite: &Suite, check: &Check, node: &NodePlan) {
        self.sink.emit(EventKind::CheckStarted {
            suite: suite.name.clone(),
            check: check.name.clone(),
            node: node.label.clone(),
            fork: self.fork.to_owned(),
        });
    }

    fn failed(
        &self,
        suite: &Suite,
        check: &Check,
        node: &NodePlan,
        seconds: f64,
        reason: String,
        output: String,
    ) {
        if self.options.fail_fast {
            self.stopped.store(true, Ordering::SeqCst);
        }
        let (suite, check, node) = (&*suite.name, &*check.name, &*node.label);
        self.ended(Ended { suite, check, node, outcome: Outcome::Failed, seconds, reason, output });
    }

    fn skip(&self, suite: &Suite, check: &Check, node: &NodePlan, reason: String) {
        let (suite, check, node, output) = (&*suite.name, &*check.name, &*node.label, String::new());
        self.ended(Ended { suite, check, node, outcome: Outcome::Skipped, seconds: 0.0, reason, output });
    }

    fn interrupted(&self, suite: &Suite, check: &Check, node: &NodePlan) {
        let (reason, output) = ("the run was interrupted".to_owned(), String::new());
        let (suite, check, node) = (&*suite.name, &*check.name, &*node.label);
        self.ended(Ended { suite, check, node, outcome: Outcome::Interrupted, seconds: 0.0, reason, output });
    }

    fn ended(&self, ended: Ended<'_>) {
        let reason = evidence::without_secrets(&ended.reason);
        self.results.lock().unwrap_or_else(PoisonError::into_inner).push(CheckResult {
            cluster: self.cluster.name.clone(),
            suite: ended.suite.to_owned(),
            check: ended.check.to_owned(),
            node: ended.node.to_owned(),
            outcome: ended.outcome,
            seconds: ended.seconds,
            reason: reason.clone(),
        });
        self.sink.emit(EventKind::CheckFinished {
            suite: ended.suite.to_owned(),
            check: ended.check.to_owned(),
            node: ended.node.to_owned(),
            fork: self.fork.to_owned(),
            outcome: ended.outcome,
            seconds: ended.seconds,
            reason,
            output: ended.output,
        });
    }
}

/// Why a check cannot be run on a node of this cluster, if it cannot.
pub(crate) fn lacking(cluster: &ClusterPlan, check: &Check, node: &NodePlan) -> Option<String> {
    if !node.auto_start {
        return Some(format!("{} does not start with the cluster (auto_start is false)", node.label));
    }
    let started = || cluster.nodes.iter().filter(|node| node.auto_start);
    check.needs.iter().find_map(|need| match need {
        Need::TwoNodes if started().count() < 2 => Some("it needs two nodes".to_owned()),
        Need::TwoComputes if workers(cluster).count() < 2 => Some("it needs two compute nodes".to_owned()),
        Need::TimeLimitedPartition if !cluster.slurm.as_ref().is_some_and(limits_time) => {
            Some("it needs a partition with a time limit".to_owned())
        }
        Need::Model if model(node).is_none() => {
            Some(format!("it needs a model, and {} has none", node.label))
        }
        _ => None,
    })
}

fn limits_time(slurm: &Slurm) -> bool {
    let unlimited = |time: &str| ["infinite", "unlimited"].contains(&time.to_lowercase().as_str());
    slurm.partitions.iter().any(|partition| !unlimited(&partition.max_time))
}

/// Runs steps on a node in one session.
pub(crate) fn session(
    cluster: &ClusterPlan,
    node: &NodePlan,
    steps: &[Step<'_>],
    shell: &dyn Shell,
    slowness: f64,
    cancel: &Cancel,
) -> Result<Vec<Done>, shell::Error> {
    let script = batch::script(&Variables { cluster, node }, slowness, steps);
    let deadline: Duration = batch::deadline(slowness, steps);
    let output = shell.run(&node.label, &script, deadline, cancel)?;
    if cancel.requested() && output.code != 0 {
        return Err(shell::Error::Cancelled);
    }
    Ok(batch::results(&output, slowness, steps))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Suites,
        fixture::{self, Copies, Here, Notebook, suites_from},
    };

    fn run_with(
        suites: &Suites,
        cluster: ClusterPlan,
        shell: &Here,
        options: Options,
    ) -> (Summary, Vec<EventKind>) {
        let sink = Notebook::default();
        let summary = run(&suites.all(), fixture::target(&[cluster], shell), &sink, options, &Cancel::new());
        (summary, sink.events())
    }

    fn demo(checks: &str) -> Suites {
        let text = format!("name: demo\ndescription: A demonstration\nkinds: [slurm]\nchecks:\n{checks}");
        suites_from(&[("demo", &text, "")])
    }

    fn find<'a>(summary: &'a Summary, check: &str, node: &str) -> &'a CheckResult {
        summary.results.iter().find(|result| result.check == check && result.node == node).unwrap()
    }

    #[test]
    fn everything_passes_and_every_start_has_its_end() {
        let (summary, events) =
            run_with(&fixture::suites(), fixture::cluster(), &Here::default(), Options::default());
        assert_eq!(summary.outcome(), Outcome::Passed, "{summary:?}");
        // hostname, needy, shared (twice) on three nodes; pair and alone on the controller.
        assert_eq!((summary.count(Outcome::Passed), summary.results.len()), (14, 14));
        let count = |started| {
            let is_start = |event: &&EventKind| matches!(event, EventKind::CheckStarted { .. }) == started;
            events.iter().filter(is_start).count()
        };
        assert_eq!((count(true), count(false)), (14, 14));
    }

    #[test]
    fn checks_of_a_node_share_a_session() {
        let shell = Here::default();
        run_with(&fixture::suites(), fixture::cluster(), &shell, Options::default());
        // Two suites on three nodes, and one check that is alone.
        assert_eq!(shell.sessions.load(Ordering::SeqCst), 7);
    }

    #[test]
    fn a_failure_says_why_and_carries_its_output() {
        let suites = demo(
            "  - {name: bad, description: d, on: controller, timeout: 5, run: 'echo seen; echo password=hunter2 >&2; exit 2'}\n\
             \x20 - {name: hung, description: d, on: controller, timeout: 0.2, run: 'sleep 30'}\n\
             \x20 - {name: good, description: d, on: controller, timeout: 5, run: 'true'}\n",
        );
        let (summary, events) = run_with(&suites, fixture::cluster(), &Here::default(), Options::default());
        assert_eq!(summary.outcome(), Outcome::Failed);
        assert_eq!(summary.to_string(), "1 passed, 2 failed, 0 skipped");
        assert_eq!(find(&summary, "bad", "controller").reason, "password=[not shown]");
        assert_eq!(find(&summary, "hung", "controller").reason, "it did not finish within 1 s");
        let output = events.iter().find_map(|event| match event {
            EventKind::CheckFinished { check, output, .. } if check == "bad" => Some(output.as_str()),
            _ => None,
        });
        assert_eq!(output, Some("seen\npassword=[not shown]"));
    }

    #[test]
    fn what_needs_a_failed_check_is_skipped_with_a_reason() {
        let suites = demo(
            "  - {name: base, description: d, on: each, timeout: 5, run: 'test $NODE != compute-02'}\n\
             \x20 - {name: next, description: d, on: each, timeout: 5, needs: [base], run: 'true'}\n",
        );
        let (summary, _) = run_with(&suites, fixture::cluster(), &Here::default(), Options::default());
        let next = find(&summary, "next", "compute-02");
        assert_eq!((next.outcome, next.reason.as_str()), (Outcome::Skipped, "it needs `base`, which failed"));
        assert_eq!(find(&summary, "next", "compute-01").outcome, Outcome::Passed);
        // Alone, the same check runs: what it needs is not part of the run.
        let sink = Notebook::default();
        let one = suites.check("next").unwrap();
        let (clusters, shell) = ([fixture::cluster()], Here::default());
        let target = fixture::target(&clusters, &shell);
        let summary = run(&one, target, &sink, Options::default(), &Cancel::new());
        assert_eq!(summary.count(Outcome::Passed), 3);
    }

    #[test]
    fn a_small_cluster_skips_what_needs_more() {
        let mut cluster = fixture::cluster();
        cluster.nodes[2].auto_start = false;
        let (summary, _) = run_with(&fixture::suites(), cluster, &Here::default(), Options::default());
        assert_eq!(find(&summary, "pair", "controller").reason, "it needs two compute nodes");
        let reason = &find(&summary, "hostname", "compute-02").reason;
        assert_eq!(reason, "compute-02 does not start with the cluster (auto_start is false)");
    }

    #[test]
    fn what_is_for_a_model_is_skipped_where_there_is_none() {
        let checks = "  - {name: has, description: d, on: each, timeout: 5, needs: [model], run: 'test -n \"$NODE_MODEL\"'}\n";
        let text = format!("name: demo\ndescription: d\nkinds: [appliance]\nchecks:\n{checks}");
        let suites = suites_from(&[("demo", &text, "")]);
        let (summary, _) = run_with(&suites, fixture::prompts(), &Here::default(), Options::default());
        assert_eq!(find(&summary, "has", "prompt-01").reason, "it needs a model, and prompt-01 has none");
        assert_eq!(find(&summary, "has", "prompt-02").outcome, Outcome::Passed);
    }

    #[test]
    fn a_run_without_a_pass_is_no_pass() {
        let suites =
            demo("  - {name: pair, description: d, on: each, timeout: 5, needs: [two-nodes], run: 'true'}\n");
        let mut cluster = fixture::cluster();
        cluster.nodes.truncate(1);
        let (summary, _) = run_with(&suites, cluster, &Here::default(), Options::default());
        assert_eq!((summary.count(Outcome::Skipped), summary.outcome()), (1, Outcome::Failed));
        assert_eq!(summary.to_string(), "no check was run (1 skipped), and that is not a pass");
        assert_eq!(Summary::default().outcome(), Outcome::Failed);
    }

    #[test]
    fn a_suite_for_another_kind_is_not_run_and_says_so() {
        let cluster = ClusterPlan { kind: "kubernetes".to_owned(), ..fixture::cluster() };
        let (summary, events) = run_with(&fixture::suites(), cluster, &Here::default(), Options::default());
        assert!(summary.results.iter().all(|result| result.suite == "two"));
        let told = "not for the cluster lab, which is of the kind kubernetes: the suite one";
        assert!(
            matches!(&events[0], EventKind::Notice { message, .. } if message == told),
            "{:?}",
            events[0]
        );
    }

    #[test]
    fn an_unreachable_node_fails_its_checks_and_is_asked_once() {
        let shell = Here { unreachable: vec!["compute-01"], ..Here::default() };
        let (summary, _) = run_with(&fixture::suites(), fixture::cluster(), &shell, Options::default());
        let failures: Vec<_> = summary.failures().collect();
        assert_eq!(failures.len(), 4);
        assert!(failures.iter().all(|f| f.reason == "compute-01 cannot be reached: no route to host"));
        assert_eq!(shell.sessions.load(Ordering::SeqCst), 6);
    }

    #[test]
    fn the_first_failure_can_stop_the_run() {
        let suites = demo("  - {name: bad, description: d, on: each, timeout: 5, run: 'false'}\n");
        let options = Options { fail_fast: true, parallel: 1, ..Options::default() };
        let (summary, _) = run_with(&suites, fixture::cluster(), &Here::default(), options);
        assert_eq!((summary.count(Outcome::Failed), summary.count(Outcome::Skipped)), (1, 2));
    }

    #[test]
    fn an_interruption_ends_the_run_at_once() {
        let suites = demo("  - {name: long, description: d, on: each, timeout: 30, run: 'sleep 20'}\n");
        let shell = Here { stop_after: Some(0), ..Here::default() };
        let watch = Stopwatch::start();
        let options = Options { parallel: 1, ..Options::default() };
        let (summary, events) = run_with(&suites, fixture::cluster(), &shell, options);
        assert_eq!((summary.count(Outcome::Interrupted), summary.outcome()), (3, Outcome::Interrupted));
        assert!(watch.seconds() < 10.0);
        assert!(!events.is_empty());
    }

    const RUINOUS: &str = "  - {name: base, description: d, on: each, timeout: 5, run: 'test $NODE != compute-02'}\n\
        \x20 - {name: ruin, description: d, on: each, timeout: 5, destructive: true, needs: [base], run: 'touch $FLAG'}\n\
        \x20 - {name: whole, description: d, on: controller, timeout: 5, run: 'test ! -e $FLAG'}\n";

    #[test]
    fn what_is_destructive_runs_on_a_fork_of_its_own() {
        let (suites, clusters, forks) = (demo(RUINOUS), [fixture::cluster()], Copies::new(usize::MAX));
        let shell = Here { before: "FLAG=/nowhere/flag".to_owned(), ..Here::default() };
        let sink = Notebook::default();
        let target = Target { forks: Some(&forks), ..fixture::target(&clusters, &shell) };
        let summary = run(&suites.all(), target, &sink, Options::default(), &Cancel::new());
        assert_eq!(find(&summary, "ruin", "controller").outcome, Outcome::Passed, "{summary:?}");
        assert_eq!(find(&summary, "ruin", "compute-01").outcome, Outcome::Passed);
        assert_eq!(find(&summary, "ruin", "compute-02").reason, "it needs `base`, which failed");
        assert_eq!((forks.made.load(Ordering::SeqCst), forks.there.load(Ordering::SeqCst)), (2, 0));
        let mut places: Vec<(String, String)> = Vec::new();
        for event in sink.events() {
            if let EventKind::CheckFinished { check, node, fork, outcome: Outcome::Passed, .. } = event {
                assert_eq!(fork.is_empty(), check != "ruin", "{check} on {node} of `{fork}`");
                places.extend((check == "ruin").then_some((node, fork)));
            }
        }
        assert_eq!(places.len(), 2);
        assert_ne!(places[0].1, places[1].1, "two checks were given the same fork");
    }

    #[test]
    fn what_is_destructive_runs_beside_the_others_as_far_as_there_is_room() {
        // Each waits until the other began; the one that there is no room for waits for none.
        let ruin =
            "test $NODE = compute-02 || { touch $FLAG/$NODE; until test -e $FLAG/lane; do sleep 0.1; done; }";
        let lane = "until test -e $FLAG/controller && test -e $FLAG/compute-01; do sleep 0.1; done; touch $FLAG/lane";
        let suites = demo(&format!(
            "  - {{name: ruin, description: d, on: each, timeout: 20, destructive: true, run: '{ruin}'}}\n\
             \x20 - {{name: lane, description: d, on: controller, timeout: 20, run: '{lane}'}}\n"
        ));
        let (clusters, forks) = ([fixture::cluster()], Copies::sharing());
        let shell = Here { before: format!("FLAG={}", forks.path().display()), ..Here::default() };
        let target = Target { forks: Some(&forks), ..fixture::target(&clusters, &shell) };
        let summary = run(&suites.all(), target, &Notebook::default(), Options::default(), &Cancel::new());
        assert_eq!((summary.count(Outcome::Passed), summary.results.len()), (4, 4), "{summary:?}");
        assert_eq!((forks.made.load(Ordering::SeqCst), forks.there.load(Ordering::SeqCst)), (3, 0));
    }

    #[test]
    fn what_is_destructive_is_skipped_where_there_is_no_fork() {
        let (suites, clusters, shell) = (demo(RUINOUS), [fixture::cluster()], Here::default());
        let reason = |forks: Option<&dyn Forks>| {
            let target = Target { forks, ..fixture::target(&clusters, &shell) };
            let summary =
                run(&suites.all(), target, &Notebook::default(), Options::default(), &Cancel::new());
            assert_eq!(find(&summary, "ruin", "controller").outcome, Outcome::Skipped);
            find(&summary, "ruin", "controller").reason.clone()
        };
        assert_eq!(reason(None), "it is destructive, and this cluster cannot be forked");
        let none = Copies::new(0);
        assert_eq!(reason(Some(&none)), "it is destructive, and the cluster cannot be forked: no room");
        let others = Copies::without("lab");
        assert_eq!(
            reason(Some(&others)),
            "it is destructive, and this cluster cannot be forked: it keeps nothing"
        );
        assert_eq!(others.made.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_slow_host_gets_more_time() {
        let suites =
            demo("  - {name: slow, description: d, on: controller, timeout: 0.3, run: 'sleep 0.6'}\n");
        let (summary, _) = run_with(&suites, fixture::cluster(), &Here::default(), Options::default());
        assert_eq!(summary.outcome(), Outcome::Failed);
        let options = Options { slowness: 10.0, ..Options::default() };
        let (summary, _) = run_with(&suites, fixture::cluster(), &Here::default(), options);
        assert_eq!(summary.outcome(), Outcome::Passed);
    }
}
