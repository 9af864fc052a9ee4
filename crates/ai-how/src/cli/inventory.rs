//! The arguments of `inventory`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Format, Place};

/// `inventory` commands.
#[derive(Debug, Subcommand)]
pub enum Inventory {
    /// List the PCI functions of this host
    ///
    /// Example: ai-how inventory pcie --format json
    Pcie {
        /// How the list is written.
        #[arg(short, long, value_enum, default_value_t)]
        format: Format,
        /// The folder that has the host's `sys`, `proc` and `dev`.
        #[arg(long, value_name = "DIR", default_value = "/")]
        root: PathBuf,
    },
    /// List the GPUs of this host: what shares a group with each, what it can be divided into, and who has it
    ///
    /// Example: ai-how inventory gpu
    Gpu {
        /// How the list is written.
        #[arg(short, long, value_enum, default_value_t)]
        format: Format,
        /// The folder that has the host's `sys`, `proc` and `dev`.
        #[arg(long, value_name = "DIR", default_value = "/")]
        root: PathBuf,
    },
    /// Write the Ansible inventory of a SLURM cluster, for playbooks of your own
    ///
    /// Example: ai-how inventory generate-hpc cluster.yaml hpc --output hpc.ini
    GenerateHpc(Generate),
    /// Write Kubespray's inventory of a Kubernetes cluster, with its group variables
    ///
    /// Example: ai-how inventory generate-k8s cluster.yaml cloud --output inventory/hosts.ini
    #[command(name = "generate-k8s")]
    GenerateK8s(Generate),
}

/// Arguments of `inventory generate-hpc` and `generate-k8s`.
#[derive(Debug, Args)]
pub struct Generate {
    /// The config file.
    pub file: PathBuf,
    /// The cluster's key under `clusters`.
    pub cluster: String,
    /// Where it goes [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// How it is written.
    #[arg(short, long, value_enum, default_value_t)]
    pub format: InventoryFormat,
    /// The private key that logs in [default: the lab's]
    #[arg(long, value_name = "FILE")]
    pub ssh_key: Option<PathBuf>,
    /// Whose libvirt runs the machines.
    #[arg(long = "lab", value_enum, default_value_t, value_name = "PLACE")]
    pub place: Place,
    /// Who logs in [default: root on images that ai-how builds, admin on others]
    #[arg(long, value_name = "NAME")]
    pub ssh_user: Option<String>,
}

/// How an inventory is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum InventoryFormat {
    /// Sections.
    #[default]
    Ini,
    /// YAML.
    Yaml,
    /// For programs; Ansible reads it, too.
    Json,
}
