//! The arguments of what reaches into nodes: `ssh`, `console`, `exec`, `logs`, `cp`.

use clap::{ArgGroup, Args};

use super::{At, Format};

/// Arguments of `ssh`.
#[derive(Debug, Args)]
pub struct Ssh {
    /// Which lab.
    #[command(flatten)]
    pub at: At,
    /// The node.
    pub node: String,
    /// What to run there; a shell when nothing is named.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// Arguments of `console`.
#[derive(Debug, Args)]
pub struct Console {
    /// Which lab.
    #[command(flatten)]
    pub at: At,
    /// The node.
    pub node: String,
}

/// Arguments of `exec`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").args(["all", "role", "node"]).required(true).multiple(true))]
pub struct Exec {
    /// Which lab.
    #[command(flatten)]
    pub at: At,
    /// On every node that runs.
    #[arg(long, conflicts_with_all = ["role", "node"])]
    pub all: bool,
    /// On every node of this role that runs: `controller`, `compute`, `control-plane` or `worker`.
    #[arg(long, value_name = "ROLE")]
    pub role: Vec<String>,
    /// On this node.
    #[arg(long, value_name = "NODE")]
    pub node: Vec<String>,
    /// Seconds that it may take on a node.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub timeout: u64,
    /// How the answers are written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// What to run. The words are joined and read by each node's shell.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// Arguments of `logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// Which lab.
    #[command(flatten)]
    pub at: At,
    /// The node.
    pub node: String,
    /// Its journal instead of its serial console. The node must run.
    #[arg(short, long)]
    pub journal: bool,
    /// Only this unit's part of the journal.
    #[arg(short, long, value_name = "UNIT", requires = "journal")]
    pub unit: Option<String>,
    /// How many of the last lines.
    #[arg(short = 'n', long, value_name = "LINES", default_value_t = 100)]
    pub lines: usize,
    /// Go on with what comes, until Ctrl-C.
    #[arg(short, long)]
    pub follow: bool,
}

/// Arguments of `cp`.
#[derive(Debug, Args)]
pub struct Copy {
    /// Which lab.
    #[command(flatten)]
    pub at: At,
    /// Copy folders with all that is in them.
    #[arg(short, long)]
    pub recursive: bool,
    /// What to copy, and last where to: paths on this host, and `NODE:PATH` on nodes.
    #[arg(required = true, num_args = 2.., value_name = "PATH")]
    pub paths: Vec<String>,
}
