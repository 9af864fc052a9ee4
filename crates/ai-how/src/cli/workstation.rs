//! The arguments of the verbs of version 1.0: `hpc`, `cloud`, `system` and `vm`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Format, Lab, Place};

/// `hpc`, `cloud` and `system` commands.
#[derive(Debug, Subcommand)]
pub enum Workstation {
    /// Start the machines, without deploying anything on them
    ///
    /// Example: ai-how system start cluster.yaml --dry-run
    Start {
        /// Which lab.
        #[command(flatten)]
        lab: Lab,
        /// A private key that images of your own know already, beside the lab's; the lab remembers it.
        #[arg(long, value_name = "FILE")]
        ssh_key: Option<PathBuf>,
        /// Only tell what would be done.
        #[arg(long)]
        dry_run: bool,
        /// Do it without asking where nodes lose their disks.
        #[arg(long)]
        force: bool,
        /// How progress is written.
        #[arg(short, long, value_enum, default_value_t)]
        format: Format,
    },
    /// Power the machines off; the disks stay
    ///
    /// Example: ai-how system stop cluster.yaml
    Stop {
        /// Which lab.
        #[command(flatten)]
        lab: Lab,
        /// Only tell what would be done.
        #[arg(long)]
        dry_run: bool,
        /// How progress is written.
        #[arg(short, long, value_enum, default_value_t)]
        format: Format,
    },
    /// Show the machines as they are now
    ///
    /// Example: ai-how system status cluster.yaml --format json
    Status {
        /// Which lab.
        #[command(flatten)]
        lab: Lab,
        /// How it is written.
        #[arg(short, long, value_enum, default_value_t)]
        format: Format,
    },
    /// Remove the machines with their disks and networks
    ///
    /// Example: ai-how system destroy cluster.yaml --force
    Destroy {
        /// Which lab.
        #[command(flatten)]
        lab: Lab,
        /// Only tell what would be done.
        #[arg(long)]
        dry_run: bool,
        /// Do not ask.
        #[arg(long)]
        force: bool,
        /// How the result is written.
        #[arg(short, long, value_enum, default_value_t)]
        format: Format,
    },
}

/// `vm` commands.
#[derive(Debug, Subcommand)]
pub enum Vm {
    /// Start a machine, and wait until it is ready
    ///
    /// Example: ai-how vm start cloud-cluster-gpu-worker-01
    Start {
        /// Which.
        #[command(flatten)]
        machine: Machine,
        /// Do not wait until it is ready.
        #[arg(long)]
        no_wait: bool,
        /// How progress is written.
        #[arg(short, long, value_enum, default_value_t)]
        format: Format,
    },
    /// Power a machine off; its devices are free then
    ///
    /// Example: ai-how vm stop hpc-cluster-compute-01
    Stop {
        /// Which.
        #[command(flatten)]
        machine: Machine,
        /// Take the power away, without asking the machine.
        #[arg(long)]
        force: bool,
        /// How progress is written.
        #[arg(short, long, value_enum, default_value_t)]
        format: Format,
    },
    /// Power a machine off and start it again
    ///
    /// Example: ai-how vm restart hpc-cluster-compute-01
    Restart {
        /// Which.
        #[command(flatten)]
        machine: Machine,
        /// Do not wait until it is ready.
        #[arg(long)]
        no_wait: bool,
        /// How progress is written.
        #[arg(short, long, value_enum, default_value_t)]
        format: Format,
    },
    /// Show what a machine is, and what it does
    ///
    /// Example: ai-how vm status hpc-cluster-controller --format json
    Status {
        /// Which.
        #[command(flatten)]
        machine: Machine,
        /// How it is written.
        #[arg(short, long, value_enum, default_value_t)]
        format: Format,
    },
}

/// A machine of any lab.
#[derive(Debug, Clone, Args)]
pub struct Machine {
    /// Its name: `CLUSTER-NODE`.
    pub name: String,
    /// The config file of its lab, where labs of several files have a machine of this name.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Whose libvirt runs it.
    #[arg(long = "lab", value_enum, default_value_t, value_name = "PLACE")]
    pub place: Place,
}
