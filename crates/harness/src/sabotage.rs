//! Proving the checks: break a throw-away cluster on purpose, and see the check go red.
//!
//! Green, break, red, mend, green: the first green is one run of everything; the second is the check itself, where it
//! does not have to be alone, and one run of everything at the end. Steps on the same node share a session, so that a
//! connection that breaks cannot keep a mend from happening.
//!
//! Never for a cluster that somebody needs: a sabotage that is interrupted is not mended.

use std::{fmt, time::Duration};

use events::{EventKind, Outcome, Sink};
use plan::model::{ClusterPlan, NodePlan};
use system::{cancel::Cancel, clock::Stopwatch};

use crate::{
    batch::{Done, End, Step},
    evidence, expect,
    run::{self, Options, Summary},
    select::Selection,
    shell::{self, Shell},
    suite::{Check, Place, Sabotage, Suite},
    variables::Variables,
};

/// How long breaking, mending and settling may each take on a fast host.
const STEP: Duration = Duration::from_secs(60);

/// How long a check may take to go red, beyond three times what it took to be green: to go red often means to wait for
/// something that never comes.
const PATIENCE: f64 = 10.0;

/// The suite's name in the events of a sabotage.
const SUITE: &str = "sabotage";

/// How the sabotages went.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Everything before the first sabotage.
    pub before: Summary,
    /// One for each sabotage, in the order of the files.
    pub verdicts: Vec<Verdict>,
    /// Everything after the last mend.
    pub after: Summary,
}

/// What became of one sabotage.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The suite's name.
    pub suite: String,
    /// The check's name.
    pub check: String,
    /// What was broken.
    pub title: String,
    /// The label of the node the check ran on.
    pub node: String,
    /// What came of it.
    pub finding: Finding,
    /// How long all of it took.
    pub seconds: f64,
}

/// What a sabotage showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The check went red, with this reason, and green again.
    Noticed(String),
    /// The check stayed green.
    Unnoticed,
    /// The sabotage is no good: it could not break or not mend.
    Botched(String),
    /// It cannot be tried on this cluster.
    Untried(String),
    /// The run was stopped.
    Interrupted,
}

impl Finding {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Noticed(_) => Outcome::Passed,
            Self::Unnoticed | Self::Botched(_) => Outcome::Failed,
            Self::Untried(_) => Outcome::Skipped,
            Self::Interrupted => Outcome::Interrupted,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Noticed(reason) => write!(f, "noticed: {reason}"),
            Self::Unnoticed => write!(f, "the check did not notice"),
            Self::Botched(reason) => write!(f, "the sabotage went wrong: {reason}"),
            Self::Untried(reason) => write!(f, "not tried: {reason}"),
            Self::Interrupted => write!(f, "the run was interrupted"),
        }
    }
}

impl Report {
    /// Passed when every sabotage that could be tried was noticed, at least one was, and the cluster is whole again.
    pub fn outcome(&self) -> Outcome {
        let any = |outcome| self.verdicts.iter().any(|verdict| verdict.finding.outcome() == outcome);
        if any(Outcome::Interrupted) || self.after.outcome() == Outcome::Interrupted {
            Outcome::Interrupted
        } else if any(Outcome::Failed) || !any(Outcome::Passed) || self.after.outcome() != Outcome::Passed {
            Outcome::Failed
        } else {
            Outcome::Passed
        }
    }

    /// The sabotages that no check noticed, or that went wrong.
    pub fn failures(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().filter(|verdict| verdict.finding.outcome() == Outcome::Failed)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count =
            |outcome| self.verdicts.iter().filter(|verdict| verdict.finding.outcome() == outcome).count();
        write!(
            f,
            "{} sabotages noticed, {} not, {} not tried; afterwards {}",
            count(Outcome::Passed),
            count(Outcome::Failed),
            count(Outcome::Skipped),
            self.after
        )
    }
}

/// Tries every sabotage of the selected checks on every cluster whose kind their suite is for.
pub fn run(
    selection: &Selection<'_>,
    clusters: &[ClusterPlan],
    shell: &dyn Shell,
    sink: &dyn Sink,
    options: Options,
    cancel: &Cancel,
) -> Report {
    let options = Options { fail_fast: false, ..options };
    let before = run::run(selection, clusters, shell, sink, options, cancel);
    let mut verdicts = Vec::new();
    for cluster in clusters {
        let bench =
            Bench { cluster, shell, sink, slowness: options.slowness.max(1.0), cancel, before: &before };
        for (suite, check) in selection.checks().filter(|(suite, _)| suite.kinds.contains(&cluster.kind)) {
            let sabotages = suite.sabotages.iter().filter(|sabotage| sabotage.check == check.name);
            verdicts.extend(sabotages.map(|sabotage| bench.verdict(suite, check, sabotage)));
        }
    }
    let after = run::run(selection, clusters, shell, sink, options, cancel);
    Report { before, verdicts, after }
}

/// Where sabotages are tried.
struct Bench<'a> {
    cluster: &'a ClusterPlan,
    shell: &'a dyn Shell,
    sink: &'a dyn Sink,
    slowness: f64,
    cancel: &'a Cancel,
    before: &'a Summary,
}

/// A sabotage with its nodes found.
struct Act<'a> {
    check: &'a Check,
    sabotage: &'a Sabotage,
    /// Where it is broken and mended.
    scene: &'a NodePlan,
    /// Where the check runs.
    witness: &'a NodePlan,
    /// How long the check may take to go red, already scaled.
    patience: Duration,
}

impl Bench<'_> {
    fn verdict(&self, suite: &Suite, check: &Check, sabotage: &Sabotage) -> Verdict {
        let watch = Stopwatch::start();
        let name = format!("{}/{}: {}", suite.name, check.name, sabotage.title);
        let (node, finding) = match self.act(suite, check, sabotage) {
            Ok(act) => {
                let node = act.witness.label.clone();
                let (suite, check) = (SUITE.to_owned(), name.clone());
                self.sink.emit(EventKind::CheckStarted { suite, check, node: node.clone() });
                (node, self.try_it(&act))
            }
            Err(finding) => (self.cluster.name.clone(), finding),
        };
        let seconds = watch.seconds();
        let said = evidence::without_secrets(&finding.to_string());
        let (reason, output) = match finding {
            Finding::Noticed(_) => (String::new(), said),
            _ => (said, String::new()),
        };
        let (outcome, suite_name) = (finding.outcome(), SUITE.to_owned());
        self.sink.emit(EventKind::CheckFinished {
            suite: suite_name,
            check: name,
            node: node.clone(),
            outcome,
            seconds,
            reason,
            output,
        });
        let (suite, check, title) = (suite.name.clone(), check.name.clone(), sabotage.title.clone());
        Verdict { suite, check, title, node, finding, seconds }
    }

    /// Finds the nodes, or says why it cannot be tried.
    fn act<'a>(
        &'a self,
        suite: &Suite,
        check: &'a Check,
        sabotage: &'a Sabotage,
    ) -> Result<Act<'a>, Finding> {
        let started = |place: Place| place.nodes(self.cluster).into_iter().filter(|node| node.auto_start);
        let scene = started(sabotage.on).next().ok_or_else(|| no_node(sabotage.on))?;
        let witness = started(check.on)
            .find(|node| node.name == scene.name)
            .or_else(|| started(check.on).next())
            .ok_or_else(|| no_node(check.on))?;
        if let Some(reason) = run::lacking(self.cluster, check, witness) {
            return Err(Finding::Untried(reason));
        }
        let baseline = self.before.results.iter().find(|result| {
            (&result.cluster, &result.suite, &result.check, &result.node)
                == (&self.cluster.name, &suite.name, &check.name, &witness.label)
        });
        match baseline {
            Some(baseline) if baseline.outcome == Outcome::Passed => {
                let limit = check.timeout.mul_f64(self.slowness);
                let patience = limit.min(Duration::from_secs_f64(PATIENCE + 3.0 * baseline.seconds));
                Ok(Act { check, sabotage, scene, witness, patience })
            }
            Some(baseline) if baseline.outcome == Outcome::Interrupted => Err(Finding::Interrupted),
            Some(baseline) => {
                Err(Finding::Botched(format!("the check was not green to begin with: {}", baseline.reason)))
            }
            None => Err(Finding::Botched("the check did not run before".to_owned())),
        }
    }

    fn try_it(&self, act: &Act<'_>) -> Finding {
        let Act { check, sabotage, scene, witness, patience } = act;
        // The limits of steps are for a fast host; this one was measured on this cluster.
        let patience = patience.div_f64(self.slowness);
        let controller = Place::Controller.nodes(self.cluster).into_iter().next().unwrap_or(scene);
        let step = |script| Step { script, timeout: STEP };
        let mut steps = vec![
            (*scene, step(&*sabotage.break_it)),
            (*witness, Step { script: &check.run, timeout: patience }),
            (*scene, step(&*sabotage.mend)),
        ];
        if let Some(settle) = &sabotage.settle {
            steps.push((controller, step(settle)));
        }
        if !check.alone {
            steps.push((*witness, Step { script: &check.run, timeout: check.timeout }));
        }
        let mut done = Vec::new();
        for group in steps.chunk_by(|(one, _), (other, _)| one.name == other.name) {
            let node = group[0].0;
            let scripts: Vec<Step<'_>> = group.iter().map(|(_, step)| *step).collect();
            match run::session(self.cluster, node, &scripts, self.shell, self.slowness, self.cancel) {
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
        let variables = Variables { cluster: self.cluster, node: act.witness };
        let judge = |done| expect::judge(&act.check.expect, done, &|name| variables.value(name));
        let Err(reason) = judge(red) else { return Finding::Unnoticed };
        let green = if act.check.alone { None } else { rest.last() };
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
    use super::*;
    use crate::fixture::{Here, Notebook, cluster, suites_from};

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

    fn findings(sabotages: &str) -> (Vec<Finding>, Outcome) {
        let suites = suites_from(&[("demo", SUITE, &format!("sabotages:\n{sabotages}"))]);
        let folder = tempfile::tempdir().unwrap();
        let before = format!("FLAG={}/flag", folder.path().display());
        let shell = Here { before, ..Here::default() };
        let report = run(
            &suites.all(),
            &[cluster()],
            &shell,
            &Notebook::default(),
            Options::default(),
            &Cancel::new(),
        );
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
        let report = run(
            &suites.all(),
            &[small],
            &Here::default(),
            &Notebook::default(),
            Options::default(),
            &Cancel::new(),
        );
        assert!(matches!(report.verdicts[0].finding, Finding::Untried(_)));
        assert_eq!(report.outcome(), Outcome::Failed);
    }

    #[test]
    fn an_interruption_is_no_verdict() {
        let text = format!("sabotages:\n{}", sabotage("flag", "controller", "sleep 9", "true"));
        let suites = suites_from(&[("demo", SUITE, &text)]);
        let shell = Here { before: "FLAG=/nowhere".to_owned(), stop_after: Some(3), ..Here::default() };
        let report = run(
            &suites.all(),
            &[cluster()],
            &shell,
            &Notebook::default(),
            Options::default(),
            &Cancel::new(),
        );
        assert_eq!(report.verdicts[0].finding, Finding::Interrupted);
        assert_eq!(report.outcome(), Outcome::Interrupted);
    }
}
