//! The arguments.

use std::path::PathBuf;

use clap::{
    ArgGroup, Args, Parser, Subcommand, ValueEnum,
    builder::{OsStringValueParser, TypedValueParser},
};

/// The file a command takes when none is named.
pub const DEFAULT_FILE: &str = "config/lab.yaml";

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
    after_help = "Statuses: 0 ok, 1 failed, 2 usage, 3 environment, 4 config, 5 tests, 130 interrupted"
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
    #[arg(long, global = true, value_name = "DIR", env = "AI_HOW_STATE", value_parser = folder())]
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
}

/// A folder's path; one that is empty is for the reader to judge.
fn folder() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
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
    #[command(subcommand)]
    Inventory(Inventory),
    /// Show labs as a tree: clusters, nodes, and devices with those who want them
    ///
    /// Example: ai-how topology --config cluster.yaml
    Topology {
        /// A config file, instead of the labs that there are.
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// How it is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Build, list and remove node images, and the templates made of them
    #[command(subcommand)]
    Image(Image),
    /// Start, look at, stop and destroy the clusters of a config file
    #[command(subcommand)]
    Cluster(Cluster),
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
    SshConfig(At),
    /// Attach to a node's serial console; Ctrl-] detaches
    Console(Console),
    /// The test framework: start, deploy, prove and take down
    ///
    /// Example: ai-how test run-tests slurm-jobs
    Test(Test),
    /// Write the report of a run again from its events
    Report {
        /// A run's folder.
        run: PathBuf,
    },
    /// Tell what this machine can do, and what would mend what it cannot
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
    /// Connect standard input and output to a node; started by ssh
    #[command(hide = true)]
    LabProxy {
        /// The lab's folder.
        folder: PathBuf,
        /// Its address.
        address: std::net::IpAddr,
        /// Its port.
        port: u16,
    },
    /// The same from within the lab
    #[command(hide = true)]
    LabConnect {
        /// Its address.
        address: std::net::IpAddr,
        /// Its port.
        port: u16,
    },
    /// Let machines of a private lab go on; started by its keeper
    #[command(hide = true)]
    LabRelease,
    /// Keep a private lab; started by ai-how itself
    #[command(hide = true)]
    LabKeeper {
        /// The lab's folder.
        folder: PathBuf,
        /// The cache.
        cache: PathBuf,
        /// `kvm` or `tcg`.
        accelerator: String,
    },
}

/// Arguments of `validate`.
#[derive(Debug, Args)]
pub struct Validate {
    /// The files.
    #[arg(default_value = DEFAULT_FILE)]
    pub files: Vec<PathBuf>,
    /// Treat warnings as errors.
    #[arg(long)]
    pub strict: bool,
    /// Do not look whether this host can give the devices that nodes want.
    #[arg(long)]
    pub skip_pcie_validation: bool,
    /// How findings are written.
    #[arg(long, value_enum, default_value_t)]
    pub format: DiagnosticFormat,
}

/// How findings are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum DiagnosticFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// Annotations of GitHub Actions.
    Github,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
}

/// Arguments of `render`.
#[derive(Debug, Args)]
pub struct Render {
    /// The template.
    pub template: PathBuf,
    /// Where the result goes [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Tell which variables it names, and their values.
    #[arg(long)]
    pub show_variables: bool,
    /// Only check that it is YAML, and count its variables; none needs a value.
    #[arg(long, conflicts_with = "output")]
    pub validate_only: bool,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: RenderFormat,
}

/// How a rendered template is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum RenderFormat {
    /// As it was, with its order and comments.
    #[default]
    Yaml,
    /// For programs.
    Json,
}

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
    #[arg(default_value = DEFAULT_FILE)]
    pub file: PathBuf,
    /// How the plan is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: PlanFormat,
}

/// Arguments of `plan clusters`.
#[derive(Debug, Args)]
pub struct PlanClusters {
    /// The file.
    #[arg(default_value = DEFAULT_FILE)]
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

/// `inventory` commands.
#[derive(Debug, Subcommand)]
pub enum Inventory {
    /// List the PCI functions of this host
    Pcie {
        /// How the list is written.
        #[arg(short, long, value_enum, default_value_t)]
        format: Format,
        /// The folder that has the host's `sys`, `proc` and `dev`.
        #[arg(long, value_name = "DIR", default_value = "/")]
        root: PathBuf,
    },
    /// List the GPUs of this host: what shares a group with each, what it can be divided into, and who has it
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
}

/// An instruction set, as config files name it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Arch {
    /// 64-bit x86.
    #[default]
    #[value(name = "x86_64")]
    X86_64,
    /// 64-bit Arm.
    #[value(name = "aarch64")]
    Aarch64,
}

/// `image` commands.
#[derive(Debug, Subcommand)]
pub enum Image {
    /// Build an image if it is not there
    Build {
        /// Its name.
        #[arg(default_value = "debian-13")]
        name: String,
        /// The instruction set of the nodes that boot it.
        #[arg(long, value_enum, default_value_t)]
        arch: Arch,
        /// The package mirror [default: that of the host's apt]
        #[arg(long, value_name = "URL", env = "AI_HOW_MIRROR")]
        mirror: Option<String>,
    },
    /// List images and templates
    List {
        /// How the list is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Remove an image with its templates, a template, or all templates
    #[command(group = ArgGroup::new("what").args(["name", "templates"]).required(true))]
    Rm {
        /// An image's name, its folder's name for one version of it, or a template's id.
        name: Option<String>,
        /// Remove every template and no image.
        #[arg(long)]
        templates: bool,
    },
}

/// Which lab a command is about.
#[derive(Debug, Clone, Args)]
pub struct Lab {
    /// The config file.
    #[arg(default_value = DEFAULT_FILE)]
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

/// Which lab a command is about, where nodes come first.
#[derive(Debug, Clone, Args)]
pub struct At {
    /// The config file.
    #[arg(long, default_value = DEFAULT_FILE)]
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

/// Arguments of `test`.
#[derive(Debug, Args)]
pub struct Test {
    /// The config file.
    #[arg(long, global = true, default_value = DEFAULT_FILE)]
    pub file: PathBuf,
    /// Whose libvirt runs the machines.
    #[arg(long = "lab", value_enum, default_value_t, value_name = "PLACE", global = true)]
    pub place: Place,
    /// A fork of the lab, instead of the lab itself.
    #[arg(long, value_name = "NAME", global = true)]
    pub fork: Option<String>,
    /// Leave the lab running at the end.
    #[arg(long, global = true)]
    pub no_cleanup: bool,
    /// Boot every node, even where a template could be copied.
    #[arg(long, global = true)]
    pub cold: bool,
    /// Before the lab is taken down, tell how to look at it and wait for Enter.
    #[arg(long, global = true)]
    pub interactive: bool,
    /// Suites to use instead of those built in.
    #[arg(long, global = true, value_name = "DIR")]
    pub suites: Option<PathBuf>,
    /// How progress and lists are written.
    #[arg(long, value_enum, default_value_t, global = true)]
    pub format: Format,
    /// What to do [default: e2e]
    #[command(subcommand)]
    pub verb: Option<TestVerb>,
}

/// `test` commands.
#[derive(Debug, Subcommand)]
pub enum TestVerb {
    /// Start a lab, deploy it, run every suite, take it down
    #[command(alias = "end-to-end")]
    E2e,
    /// Start the lab
    StartCluster,
    /// Destroy the lab
    StopCluster,
    /// Deploy the lab that runs
    DeployAnsible,
    /// Run all suites, or one, on the lab that runs
    RunTests {
        /// A suite's name.
        suite: Option<String>,
    },
    /// List suites and checks
    ListTests,
    /// Run one check on the lab that runs
    RunTest {
        /// `check` or `suite/check`.
        name: String,
    },
    /// On a lab of its own, break what each check looks at and see that the check notices
    Sabotage {
        /// A suite's name.
        suite: Option<String>,
    },
    /// Show what runs
    Status,
    /// Anything else.
    #[command(external_subcommand)]
    Unknown(Vec<String>),
}
