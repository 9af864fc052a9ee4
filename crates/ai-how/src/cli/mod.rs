//! The arguments: what all commands share here, and those of each command in a file of its own.

mod cluster;
mod image;
mod internal;
mod inventory;
mod node;
mod plan;
mod prompt;
mod reach;
mod render;
mod test;
mod validate;
mod workstation;

use std::path::{Path, PathBuf};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{OsStringValueParser, TypedValueParser},
};

pub use self::{
    cluster::{Cluster, Destroy, Part, Snapshot, Start},
    image::{Arch, Image},
    internal::Internal,
    inventory::{Generate, Inventory, InventoryFormat},
    node::{Change, Node, NodeSnapshot, Sizes},
    plan::{Plan, PlanClusters, PlanClustersFormat, PlanFormat, PlanShow, PlanView},
    prompt::{
        HostSystem, Measuring, Profile, Prompt, PromptMachine, PromptMatrix, PromptPerf, PromptRun,
        PromptTest,
    },
    reach::{Console, Copy, Exec, Logs, Ssh},
    render::{Render, RenderFormat},
    test::{Test, TestVerb},
    validate::{DiagnosticFormat, Validate},
    workstation::{Machine, Vm, Workstation},
};

/// The file a command takes when none is named.
pub const DEFAULT_FILE: &str = "config/lab.yaml";

/// The same in version 1.0, whose users need not name it either.
const DEFAULT_FILE_1_0: &str = "config/cluster.yaml";

/// One YAML file to a running, deployed and proven HPC lab of virtual machines.
#[derive(Debug, Parser)]
#[command(
    name = "ai-how",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "Example: ai-how test e2e\n\nStatuses: 0 ok, 1 failed, 2 usage, 3 environment, 4 config, 5 tests, 130 interrupted"
)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Where labs and runs are kept [default: $XDG_STATE_HOME/ai-how]
    #[arg(long, global = true, value_name = "DIR", env = "AI_HOW_STATE", value_parser = state_folder())]
    pub state: Option<PathBuf>,
    /// Where images are kept [default: $XDG_CACHE_HOME/ai-how]
    #[arg(long, global = true, value_name = "DIR", env = "AI_HOW_CACHE", value_parser = folder())]
    pub cache: Option<PathBuf>,
    /// How much of the disk templates may take, MiB
    #[arg(long, global = true, value_name = "MIB", env = "AI_HOW_TEMPLATE_LIMIT", default_value_t = 4096)]
    pub template_limit: u64,
    /// Tell more
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Tell failures only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// The same by name, as in version 1.0
    #[arg(long, global = true, value_name = "LEVEL", ignore_case = true, conflicts_with_all = ["verbose", "quiet"])]
    pub log_level: Option<LogLevel>,
}

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// As `--verbose`.
    #[value(alias = "verbose")]
    Debug,
    /// As without any of them.
    #[value(aliases = ["normal", "warning"])]
    Info,
    /// As `--quiet`.
    #[value(aliases = ["quiet", "critical"])]
    Error,
}

/// A folder's path; one that is empty is for the reader to judge.
fn folder() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// Where labs are kept. Version 1.0 had a file for each there, which scripts still name.
fn state_folder() -> impl TypedValueParser<Value = PathBuf> {
    folder().try_map(|path| match path.extension() {
        Some(extension) if extension == "json" => {
            let take_over = format!("`ai-how cluster take-over FILE --from {}`", path.display());
            Err(format!("labs are kept in a folder; of a state file of version 1.0, {take_over} takes the machines over"))
        }
        _ => Ok(path),
    })
}

/// A config file's path; where the usual one is meant and is not there, that of version 1.0.
fn config_file() -> impl TypedValueParser<Value = PathBuf> {
    folder().map(|path| {
        let usual = Path::new(DEFAULT_FILE_1_0);
        if path == Path::new(DEFAULT_FILE) && !path.exists() && usual.exists() {
            usual.to_owned()
        } else {
            path
        }
    })
}

/// How data is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check config files: every error at once, with its line and its fix
    ///
    /// Example: ai-how validate config/*.yaml
    Validate(Validate),
    /// Replace the `${}` expressions of a template by the values of variables
    ///
    /// Example: ai-how render cluster.yaml --output rendered.yaml
    Render(Render),
    /// Show what a config file becomes: every name, address and size
    ///
    /// Example: ai-how plan config/lab.yaml --format mermaid
    Plan(Plan),
    /// List devices of this host, and write inventories for Ansible
    ///
    /// Example: ai-how inventory gpu
    #[command(subcommand)]
    Inventory(Inventory),
    /// Show labs as a tree: clusters, nodes, and devices with those who want them
    ///
    /// Example: ai-how topology --config cluster.yaml
    Topology {
        /// A config file, instead of the labs that there are.
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Whose libvirt runs the labs.
        #[arg(long = "lab", value_enum, default_value_t, value_name = "PLACE")]
        place: Place,
        /// How it is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Build, list and remove node images, and the templates made of them
    ///
    /// Example: ai-how image list
    #[command(subcommand)]
    Image(Image),
    /// Start, look at, stop and destroy the clusters of a config file
    ///
    /// Example: ai-how cluster start config/lab.yaml
    #[command(subcommand)]
    Cluster(Cluster),
    /// Start, look at, stop and destroy the SLURM cluster of a config file, machines only
    ///
    /// Example: ai-how hpc start cluster.yaml
    #[command(subcommand)]
    Hpc(Workstation),
    /// Start, look at, stop and destroy the Kubernetes cluster of a config file, machines only
    ///
    /// Example: ai-how cloud status cluster.yaml
    #[command(subcommand)]
    Cloud(Workstation),
    /// The same for all clusters of a config file, one after the other
    ///
    /// Example: ai-how system status cluster.yaml --format json
    #[command(subcommand)]
    System(Workstation),
    /// Start, look at, stop and restart one machine of any lab, by libvirt's name for it
    ///
    /// Example: ai-how vm status hpc-controller
    #[command(subcommand)]
    Vm(Vm),
    /// Add, remove, resize, rebuild, start and stop single nodes
    ///
    /// Example: ai-how node add
    #[command(subcommand)]
    Node(Node),
    /// Open a shell on a node, or run a command there
    ///
    /// Example: ai-how ssh controller sinfo
    Ssh(Ssh),
    /// Run a command on several nodes at once
    ///
    /// Example: ai-how exec --role compute -- uptime
    Exec(Exec),
    /// Show the end of a node's serial console, or of its journal
    ///
    /// Example: ai-how logs compute-01 --journal --unit slurmd --follow
    Logs(Logs),
    /// Copy files to and from nodes
    ///
    /// Example: ai-how cp job.sh controller:/tmp/
    Cp(Copy),
    /// Print an OpenSSH configuration that reaches the nodes, for ssh, rsync and editors
    ///
    /// Example: ai-how ssh-config >~/.ssh/lab.conf; ssh -F ~/.ssh/lab.conf controller
    SshConfig {
        /// Which lab.
        #[command(flatten)]
        at: At,
        /// How the result is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// The appliance: boot a virtual machine straight into a model's prompt, and test it
    ///
    /// Example: ai-how prompt run tiny.gguf
    #[command(subcommand)]
    Prompt(Prompt),
    /// Attach to a node's serial console; Ctrl-] detaches
    ///
    /// Example: ai-how console compute-01
    Console(Console),
    /// The test framework: start, deploy, prove and take down
    ///
    /// Example: ai-how test run-tests slurm-jobs
    Test(Test),
    /// Write the report of a run again from its events
    ///
    /// Example: ai-how report ~/.local/state/ai-how/runs/latest
    Report {
        /// A run's folder.
        run: PathBuf,
        /// How the result is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Tell what this machine can do, and what would mend what it cannot
    ///
    /// Example: ai-how doctor --format json
    Doctor {
        /// How it is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Print what lets a shell complete these commands
    ///
    /// Example: ai-how completion bash >~/.local/share/bash-completion/completions/ai-how
    Completion {
        /// Which shell.
        shell: Shell,
    },
    /// Write the manual pages of all commands to a folder
    ///
    /// Example: ai-how man ~/.local/share/man/man1
    Man {
        /// The folder; made if there is none.
        folder: PathBuf,
    },
}

/// Which lab a command is about.
#[derive(Debug, Clone, Args)]
pub struct Lab {
    /// The config file.
    #[arg(default_value = DEFAULT_FILE, value_parser = config_file())]
    pub file: PathBuf,
    /// Whose libvirt runs the machines.
    #[arg(long = "lab", value_enum, default_value_t, value_name = "PLACE")]
    pub place: Place,
    /// A fork of the lab, instead of the lab itself.
    #[arg(long, value_name = "NAME")]
    pub fork: Option<String>,
}

/// Whose libvirt runs the machines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Place {
    /// One of its own, without root and without touching the host.
    #[default]
    Private,
    /// The host's (qemu:///system).
    System,
}

/// Which lab a command is about, where nodes come first.
#[derive(Debug, Clone, Args)]
pub struct At {
    /// The config file.
    #[arg(long, default_value = DEFAULT_FILE, value_parser = config_file())]
    pub file: PathBuf,
    /// Whose libvirt runs the machines.
    #[arg(long = "lab", value_enum, default_value_t, value_name = "PLACE")]
    pub place: Place,
    /// A fork of the lab, instead of the lab itself.
    #[arg(long, value_name = "NAME")]
    pub fork: Option<String>,
}

impl At {
    /// The same, as commands have it that name the file first.
    pub fn lab(&self) -> Lab {
        Lab { file: self.file.clone(), place: self.place, fork: self.fork.clone() }
    }
}

/// A shell whose completion can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash.
    Bash,
    /// Z shell.
    Zsh,
    /// fish.
    Fish,
}
