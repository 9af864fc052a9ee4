//! The arguments of `node`.

use clap::{ArgGroup, Args, Subcommand};

use super::{At, Format};

/// `node` commands.
#[derive(Debug, Subcommand)]
pub enum Node {
    /// Write one node more into the file, and start it where its lab runs
    ///
    /// Example: ai-how node add compute-03 --like compute-02 --memory-mib 2048
    Add {
        /// Its name [default: the next one behind the node that it is like]
        name: Option<String>,
        /// The node that it is like [default: the last one of its cluster]
        #[arg(long, value_name = "NODE")]
        like: Option<String>,
        /// The cluster it is in, where there are several and no node is named.
        #[arg(long, value_name = "NAME", conflicts_with = "like")]
        cluster: Option<String>,
        /// Its size, where that is another one.
        #[command(flatten)]
        sizes: Sizes,
        /// Which lab, and how.
        #[command(flatten)]
        how: Change,
    },
    /// Take a node out of the file, with its disk and everything of it
    ///
    /// Example: ai-how node remove compute-03
    Remove {
        /// Which.
        node: String,
        /// Which lab, and how.
        #[command(flatten)]
        how: Change,
    },
    /// Write another size of a node into the file, and give it that; no other node is touched
    ///
    /// A disk grows while its node runs. Processors and memory take a restart.
    ///
    /// Example: ai-how node resize compute-01 --cpus 2 --disk-gib 20
    #[command(group = ArgGroup::new("size").args(["cpus", "memory_mib", "disk_gib"]).required(true).multiple(true))]
    Resize {
        /// Which.
        node: String,
        /// Its new size.
        #[command(flatten)]
        sizes: Sizes,
        /// Which lab, and how.
        #[command(flatten)]
        how: Change,
    },
    /// Make a node anew; what was on its disk is gone
    ///
    /// Example: ai-how node rebuild compute-01 --force
    Rebuild {
        /// Which.
        node: String,
        /// Which lab, and how.
        #[command(flatten)]
        how: Change,
    },
    /// Start nodes, those that do not start with their cluster too
    ///
    /// Example: ai-how node start compute-01 compute-02
    Start {
        /// Which.
        #[arg(required = true)]
        node: Vec<String>,
        /// Which lab, and how.
        #[command(flatten)]
        how: Change,
    },
    /// Power nodes off; the disks stay
    ///
    /// Example: ai-how node stop compute-02
    Stop {
        /// Which.
        #[arg(required = true)]
        node: Vec<String>,
        /// Which lab.
        #[command(flatten)]
        at: At,
        /// Only tell what would be done.
        #[arg(long)]
        dry_run: bool,
        /// How progress is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Power nodes off and start them again
    ///
    /// Example: ai-how node restart compute-02
    Restart {
        /// Which.
        #[arg(required = true)]
        node: Vec<String>,
        /// Which lab, and how.
        #[command(flatten)]
        how: Change,
    },
    /// Keep what one node is at a moment, and go back there
    ///
    /// Example: ai-how node snapshot list compute-01
    #[command(subcommand)]
    Snapshot(NodeSnapshot),
}

/// `node snapshot` commands.
#[derive(Debug, Subcommand)]
pub enum NodeSnapshot {
    /// Keep memory, disk and devices of a node that runs; it is held while that takes
    ///
    /// Example: ai-how node snapshot create compute-01 before-upgrade
    Create {
        /// Which.
        node: String,
        /// The snapshot's name.
        name: String,
        /// Which lab.
        #[command(flatten)]
        at: At,
        /// How progress is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// List the snapshots of a node, oldest first
    ///
    /// Example: ai-how node snapshot list compute-01
    List {
        /// Which.
        node: String,
        /// Which lab.
        #[command(flatten)]
        at: At,
        /// How the list is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Make a node what it was; what happened on it since is gone, and no other node is touched
    ///
    /// Example: ai-how node snapshot revert compute-01 before-upgrade
    Revert {
        /// Which.
        node: String,
        /// The snapshot's name.
        name: String,
        /// Which lab.
        #[command(flatten)]
        at: At,
        /// How progress is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Remove a snapshot of a node
    ///
    /// Example: ai-how node snapshot rm compute-01 before-upgrade
    Rm {
        /// Which.
        node: String,
        /// The snapshot's name.
        name: String,
        /// Which lab.
        #[command(flatten)]
        at: At,
        /// How the result is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

/// What a node is to have.
#[derive(Debug, Clone, Copy, Args)]
pub struct Sizes {
    /// Virtual processors.
    #[arg(long, value_name = "N")]
    pub cpus: Option<u64>,
    /// Memory, MiB.
    #[arg(long, value_name = "MIB")]
    pub memory_mib: Option<u64>,
    /// Root disk, GiB.
    #[arg(long, value_name = "GIB")]
    pub disk_gib: Option<u64>,
}

/// How a change is made.
#[derive(Debug, Clone, Args)]
pub struct Change {
    /// Which lab.
    #[command(flatten)]
    pub at: At,
    /// Only tell what would be done.
    #[arg(long)]
    pub dry_run: bool,
    /// Do it without asking where a disk is lost.
    #[arg(long)]
    pub force: bool,
    /// Start the machine alone.
    #[arg(long)]
    pub no_deploy: bool,
    /// How progress is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}
