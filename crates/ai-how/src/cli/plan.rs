//! The arguments of `plan`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{DEFAULT_FILE, Place, config_file};

/// Arguments of `plan`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Plan {
    /// What of it to show [default: show]
    #[command(subcommand)]
    pub view: Option<PlanView>,
    /// The whole plan.
    #[command(flatten)]
    pub whole: PlanShow,
}

/// `plan` commands.
#[derive(Debug, Subcommand)]
pub enum PlanView {
    /// Show the whole plan, and how a start would go
    ///
    /// Example: ai-how plan show config/lab.yaml --format mermaid
    Show(PlanShow),
    /// List the planned machines, as tools around version 1.0 read them
    ///
    /// Example: ai-how plan clusters cluster.yaml --format json | jq '.clusters.hpc.vms[].name'
    Clusters(PlanClusters),
}

/// Arguments of `plan show`.
#[derive(Debug, Args)]
pub struct PlanShow {
    /// The file.
    #[arg(default_value = DEFAULT_FILE, value_parser = config_file())]
    pub file: PathBuf,
    /// How the plan is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: PlanFormat,
    /// Show instead what a start would change of what there is, and what was changed behind its back.
    #[arg(long)]
    pub diff: bool,
    /// Whose libvirt runs the machines that --diff looks at.
    #[arg(long = "lab", value_enum, default_value_t, value_name = "PLACE", requires = "diff")]
    pub place: Place,
    /// Let --diff look at a fork of the lab, instead of the lab itself.
    #[arg(long, value_name = "NAME", requires = "diff")]
    pub fork: Option<String>,
    /// Only this cluster of it.
    #[arg(long, value_name = "NAME", requires = "diff")]
    pub cluster: Option<String>,
}

/// Arguments of `plan clusters`.
#[derive(Debug, Args)]
pub struct PlanClusters {
    /// The file.
    #[arg(default_value = DEFAULT_FILE, value_parser = config_file())]
    pub file: PathBuf,
    /// How the list is written.
    #[arg(short, long, value_enum, default_value_t)]
    pub format: PlanClustersFormat,
    /// Where the list goes [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output_file: Option<PathBuf>,
}

/// How a list of planned machines is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum PlanClustersFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// For documents.
    Markdown,
}

/// How a plan is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// For people.
    #[default]
    Text,
    /// The whole plan.
    Json,
    /// A graph for Markdown viewers.
    Mermaid,
    /// A graph for Graphviz.
    Dot,
}
