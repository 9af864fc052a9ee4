//! What a suite is: checks, where they run, what is expected of them, and the sabotages that prove them.

use std::time::Duration;

use plan::model::{ClusterPlan, NodePlan};
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::variables;

/// Checks that belong together: one folder under `tests/suites/`.
#[derive(Debug, Clone)]
pub struct Suite {
    /// The folder's name too.
    pub name: String,
    /// One line.
    pub description: String,
    /// The kinds of cluster it is for, as in [`ClusterPlan::kind`].
    pub kinds: Vec<String>,
    /// It takes its time, so it is left out where only the whole way is to be gone once.
    pub thorough: bool,
    /// In the order of the file.
    pub checks: Vec<Check>,
    /// What is broken on a throw-away cluster to see the checks go red.
    pub sabotages: Vec<Sabotage>,
}

/// One question to a cluster, answered by a shell snippet.
#[derive(Debug, Clone)]
pub struct Check {
    /// Unique in its suite.
    pub name: String,
    /// What is true when it passes, in one line.
    pub description: String,
    /// The nodes it runs on.
    pub on: Place,
    /// How long it may take on a fast host.
    pub timeout: Duration,
    /// It runs while no other such check does, because it takes nodes or changes what the scheduler sees.
    pub alone: bool,
    /// It leaves the cluster broken, so it runs on a fork of its own.
    pub destructive: bool,
    /// What it is skipped without.
    pub needs: Vec<Need>,
    /// The snippet, for bash.
    pub run: String,
    /// What the snippet must have done.
    pub expect: Expect,
}

/// The nodes of a cluster that a check runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The controller (the control plane of a Kubernetes cluster).
    Controller,
    /// The first compute node (worker) that jobs get without naming a partition.
    FirstCompute,
    /// Every compute node (worker).
    Compute,
    /// Every node.
    Each,
}

impl Place {
    /// As the file has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Controller => "controller",
            Self::FirstCompute => "first-compute",
            Self::Compute => "compute",
            Self::Each => "each",
        }
    }

    /// The nodes of `cluster` it means, started or not.
    pub(crate) fn nodes(self, cluster: &ClusterPlan) -> Vec<&NodePlan> {
        let nodes = cluster.nodes.iter();
        match self {
            Self::Controller => nodes.filter(|node| variables::leads(node)).take(1).collect(),
            Self::FirstCompute => variables::workers(cluster).take(1).collect(),
            Self::Compute => nodes.filter(|node| variables::works(node)).collect(),
            Self::Each => nodes.collect(),
        }
    }
}

/// What a check is skipped without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// At least two nodes that start with the cluster.
    TwoNodes,
    /// At least two compute nodes that jobs get without naming a partition.
    TwoComputes,
    /// A partition with a time limit.
    TimeLimitedPartition,
    /// A model on the node's disk.
    Model,
    /// An earlier check of the same suite that did not fail.
    Check(String),
}

/// What the snippet must have done.
#[derive(Debug, Clone, Default)]
pub struct Expect {
    /// The exit status.
    pub exit: i32,
    /// On standard output.
    pub stdout: Text,
    /// On standard error.
    pub stderr: Text,
}

/// What is expected of a text. `${NAME}` stands for the variable of that name.
#[derive(Debug, Clone, Default)]
pub struct Text {
    /// The whole text, white space at its ends aside.
    pub equals: Option<String>,
    /// Parts that occur in it.
    pub contains: Vec<String>,
    /// Parts that do not occur in it.
    pub lacks: Vec<String>,
    /// A regular expression that matches somewhere; `^` and `$` are the ends of a line.
    pub matches: Option<Pattern>,
    /// The number of lines.
    pub lines: Option<usize>,
}

/// A regular expression with variables in it, known to be well-formed.
#[derive(Debug, Clone)]
pub struct Pattern(String);

impl Pattern {
    /// Takes the text of the file.
    ///
    /// # Errors
    /// It is not a regular expression.
    pub(crate) fn new(text: String) -> Result<Self, regex::Error> {
        multi_line(&variables::expand(&text, |_| Some("x".to_owned())))?;
        Ok(Self(text))
    }

    /// The text of the file.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether it matches, with `value` telling what a variable stands for, literally.
    pub(crate) fn matches(&self, text: &str, value: impl Fn(&str) -> Option<String>) -> bool {
        let pattern = variables::expand(&self.0, |name| value(name).map(|value| regex::escape(&value)));
        // An escaped value is as good as the `x` that `new` tried, so this compiles.
        multi_line(&pattern).is_ok_and(|regex| regex.is_match(text))
    }
}

fn multi_line(pattern: &str) -> Result<Regex, regex::Error> {
    regex::RegexBuilder::new(pattern).multi_line(true).build()
}

/// One way to break a cluster that a check must notice.
#[derive(Debug, Clone)]
pub struct Sabotage {
    /// The check that must go red.
    pub check: String,
    /// What is broken, in a few words.
    pub title: String,
    /// Where it is broken; the first of these nodes.
    pub on: Place,
    /// Breaks it.
    pub break_it: String,
    /// Puts it right again. A check that is destructive needs none.
    pub mend: Option<String>,
    /// Waits, on the controller, until the cluster is whole again, where mending alone does not.
    pub settle: Option<String>,
}
