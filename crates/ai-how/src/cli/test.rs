//! The arguments of `test`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{DEFAULT_FILE, Format, Place, config_file};

/// Arguments of `test`.
#[derive(Debug, Args)]
pub struct Test {
    /// The config file.
    #[arg(long, global = true, default_value = DEFAULT_FILE, value_parser = config_file())]
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
    ///
    /// Example: ai-how test e2e --file config/lab.yaml --no-cleanup
    #[command(alias = "end-to-end")]
    E2e,
    /// Start the lab
    ///
    /// Example: ai-how test start-cluster
    StartCluster,
    /// Destroy the lab
    ///
    /// Example: ai-how test stop-cluster
    StopCluster,
    /// Deploy the lab that runs
    ///
    /// Example: ai-how test deploy-ansible
    DeployAnsible,
    /// Run all suites, or one, on the lab that runs
    ///
    /// Example: ai-how test run-tests slurm-jobs
    RunTests {
        /// A suite's name.
        suite: Option<String>,
    },
    /// List suites and checks
    ///
    /// Example: ai-how test list-tests --format json
    ListTests,
    /// Run one check on the lab that runs
    ///
    /// Example: ai-how test run-test slurm-controller/slurmctld-answers
    RunTest {
        /// `check` or `suite/check`.
        name: String,
    },
    /// On a lab of its own, break what each check looks at and see that the check notices
    ///
    /// Example: ai-how test sabotage slurm-jobs
    Sabotage {
        /// A suite's name.
        suite: Option<String>,
    },
    /// Show what runs
    ///
    /// Example: ai-how test status
    Status,
    /// Anything else.
    #[command(external_subcommand)]
    Unknown(Vec<String>),
}
