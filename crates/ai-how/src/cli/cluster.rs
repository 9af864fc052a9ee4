//! The arguments of `cluster`, and `cluster snapshot`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Format, Lab};

/// `cluster` commands.
#[derive(Debug, Subcommand)]
pub enum Cluster {
    /// Start what is not running, deploy SLURM on it, and wait until it takes jobs
    ///
    /// What runs already and is as the file has it is left alone; what the file has otherwise by now is changed.
    ///
    /// Example: ai-how cluster start config/lab.yaml --dry-run
    Start(Start),
    /// Prepare the nodes of Kubernetes clusters that run, and make clusters of them with Kubespray
    ///
    /// Example: ai-how cluster deploy-kubernetes config/kubernetes.yaml --kubespray ~/kubespray
    DeployKubernetes {
        /// Which lab.
        #[command(flatten)]
        lab: Lab,
        /// The folder with Kubespray's `cluster.yml`; without it the nodes are prepared and nothing more.
        #[arg(long, value_name = "DIR")]
        kubespray: Option<PathBuf>,
        /// Tell what would change on the nodes, and change nothing.
        #[arg(long)]
        check: bool,
        /// How progress is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Show what runs
    ///
    /// Example: ai-how cluster status config/lab.yaml --format json
    Status {
        /// Which part of which lab.
        #[command(flatten)]
        part: Part,
        /// How it is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Power every node off; the disks stay
    ///
    /// Example: ai-how cluster stop config/two-clusters.yaml --cluster prod
    Stop {
        /// Which part of which lab.
        #[command(flatten)]
        part: Part,
        /// Only tell what would be done.
        #[arg(long)]
        dry_run: bool,
        /// How progress is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Keep what all nodes are at one moment, and go back there
    ///
    /// Example: ai-how cluster snapshot list
    #[command(subcommand)]
    Snapshot(Snapshot),
    /// Start the running lab once more, beside itself: the same nodes with the same addresses, each in a network of its own
    ///
    /// Example: ai-how cluster fork trial config/lab.yaml; ai-how ssh --fork trial controller sinfo
    Fork {
        /// The fork's name; with --count, a number follows it.
        name: String,
        /// Which lab.
        #[command(flatten)]
        lab: Lab,
        /// How many.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=99))]
        count: Option<u16>,
        /// How progress is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Copy the disks of machines that the tool of version 1.0 made into the lab, as its state files tell
    ///
    /// They must be off. What the tool made stays as it was.
    ///
    /// Example: ai-how cluster take-over cluster.yaml --from output/state.json
    TakeOver {
        /// Which lab.
        #[command(flatten)]
        lab: Lab,
        /// A state file; several times for several.
        #[arg(long, value_name = "FILE", required = true)]
        from: Vec<PathBuf>,
        /// Only tell what would be done.
        #[arg(long)]
        dry_run: bool,
        /// How the result is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Remove everything of it, the disks too
    ///
    /// Example: ai-how cluster destroy config/lab.yaml --force
    Destroy(Destroy),
}

/// Which part of which lab a command is about.
#[derive(Debug, Clone, Args)]
pub struct Part {
    /// Which lab.
    #[command(flatten)]
    pub lab: Lab,
    /// Only this cluster of it.
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
}

/// Arguments of `cluster start`.
#[derive(Debug, Clone, Args)]
pub struct Start {
    /// Which part of which lab.
    #[command(flatten)]
    pub part: Part,
    /// Boot every node, even where a template could be copied.
    #[arg(long)]
    pub cold: bool,
    /// Start the machines alone.
    #[arg(long)]
    pub no_deploy: bool,
    /// A private key that images of your own know already, beside the lab's; the lab remembers it.
    #[arg(long, value_name = "FILE")]
    pub ssh_key: Option<PathBuf>,
    /// Only tell what would be done.
    #[arg(long)]
    pub dry_run: bool,
    /// Do it without asking where nodes lose their disks.
    #[arg(long)]
    pub force: bool,
    /// How progress is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `cluster destroy`.
#[derive(Debug, Clone, Args)]
pub struct Destroy {
    /// Which part of which lab.
    #[command(flatten)]
    pub part: Part,
    /// Only tell what would be done.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    pub force: bool,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `cluster snapshot` commands.
#[derive(Debug, Subcommand)]
pub enum Snapshot {
    /// Keep memory, disks and devices of every node that runs; all are held while that takes
    ///
    /// Example: ai-how cluster snapshot create jobs-queued config/lab.yaml
    Create {
        /// The snapshot's name.
        name: String,
        /// Which lab.
        #[command(flatten)]
        lab: Lab,
        /// How progress is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// List the snapshots, oldest first
    ///
    /// Example: ai-how cluster snapshot list config/lab.yaml
    List {
        /// Which lab.
        #[command(flatten)]
        lab: Lab,
        /// How the list is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Make every node what it was; what happened since is gone
    ///
    /// Example: ai-how cluster snapshot revert jobs-queued config/lab.yaml
    Revert {
        /// The snapshot's name.
        name: String,
        /// Which lab.
        #[command(flatten)]
        lab: Lab,
        /// How progress is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Remove a snapshot
    ///
    /// Example: ai-how cluster snapshot rm jobs-queued config/lab.yaml
    Rm {
        /// Its name.
        name: String,
        /// Which lab.
        #[command(flatten)]
        lab: Lab,
        /// How the result is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}
