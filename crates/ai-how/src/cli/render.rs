//! The arguments of `render`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

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
