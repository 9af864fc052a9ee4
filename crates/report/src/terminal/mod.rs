//! A run told to a person at a terminal or in the log of a CI job.
//!
//! Words go to stderr, so that stdout stays free for data. On a terminal the nodes of the lab are lines that move, and
//! what is settled and matters is printed above them ([`live`]); elsewhere everything is lines ([`plain`]). Both say
//! the same sentences, which [`narrator`] makes, and end with the same [`summary`]. Colour only repeats what words say.

mod live;
mod narrator;
mod paint;
mod plain;
mod summary;

use std::io::{self, Write};
use std::path::PathBuf;

use crate::reporter::Reporter;
use live::Live;
use narrator::Narrator;
use paint::Paint;
use plain::Plain;
use summary::Summary;

/// What the caller knows about the terminal behind stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// It is one.
    pub tty: bool,
    /// A CI server reads along: nothing may move.
    pub ci: bool,
    /// Colour is wanted: the terminal has it and `NO_COLOR` is not set.
    pub colour: bool,
}

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// What failed, and the end.
    Quiet,
    /// What matters.
    Normal,
    /// Every task, every state of a node, the output of every check.
    Verbose,
}

/// What is fixed about telling a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// About the terminal.
    pub facts: Facts,
    /// How much is told.
    pub verbosity: Verbosity,
    /// Where the HTML report will be, told at the end.
    pub report: Option<PathBuf>,
}

/// Tells a run on stderr: with lines that move when it is a terminal and nobody asked for quiet, else line by line.
pub fn stderr(options: Options) -> Box<dyn Reporter> {
    if options.facts.tty && !options.facts.ci && options.verbosity > Verbosity::Quiet {
        let live = Live::new(&options);
        if live.is_visible() {
            return Box::new(live);
        }
    }
    lines(options, Box::new(io::stderr()))
}

/// Tells a run line by line, whatever is behind `out`.
pub fn lines(options: Options, out: Box<dyn Write + Send>) -> Box<dyn Reporter> {
    Box::new(Plain::new(&options, out))
}
