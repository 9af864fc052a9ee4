//! The arguments of `cluster`, and `cluster snapshot`.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Format, Lab};

/// `cluster` commands.
#[derive(Debug, Subcommand)]
pub enum Cluster {
    /// Start what is not running, deploy SLURM on it, and wait until it takes jobs
    Start {
        /// Which lab.
        #[command(flatten)]
        lab: Lab,
        /// Boot every node, even where a template could be copied.
        #[arg(long)]
        cold: bool,
        /// Start the machines alone.
        #[arg(long)]
        no_deploy: bool,
        /// A private key that images of your own know already, beside the lab's; the lab remembers it.
        #[arg(long, value_name = "FILE")]
        ssh_key: Option<PathBuf>,
        /// How progress is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Show what runs
    Status {
        /// Which lab.
        #[command(flatten)]
        lab: Lab,
        /// How it is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Power every node off; the disks stay
    Stop {
        /// Which lab.
        #[command(flatten)]
        lab: Lab,
        /// How progress is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Keep what all nodes are at one moment, and go back there
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
    /// Remove everything of it, the disks too
    Destroy {
        /// Which lab.
        #[command(flatten)]
        lab: Lab,
    },
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
    List {
        /// Which lab.
        #[command(flatten)]
        lab: Lab,
        /// How the list is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Make every node what it was; what happened since is gone
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
    Rm {
        /// Its name.
        name: String,
        /// Which lab.
        #[command(flatten)]
        lab: Lab,
    },
}
