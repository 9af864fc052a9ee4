//! The arguments of `validate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{DEFAULT_FILE, config_file};

/// Arguments of `validate`.
#[derive(Debug, Args)]
pub struct Validate {
    /// The files.
    #[arg(default_value = DEFAULT_FILE, value_parser = config_file())]
    pub files: Vec<PathBuf>,
    /// Treat warnings as errors.
    #[arg(long)]
    pub strict: bool,
    /// Do not look whether this host can give the devices that nodes want.
    #[arg(long)]
    pub skip_pcie_validation: bool,
    /// The folder that has the host's `sys`, `proc` and `dev`.
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
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
