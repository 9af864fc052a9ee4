//! What developers and CI do with this repository: `cargo xtask COMMAND`, one module for each.
#![expect(clippy::disallowed_methods, reason = "this drives cargo and is no part of the program")]
#![expect(clippy::print_stderr, reason = "so is what it tells the developer")]

mod bench;
mod ci;
mod e2e;
mod generate;
mod layers;
mod reference;

use std::io;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use clap::Parser;

/// What went wrong, in words.
type Failure = Box<dyn std::error::Error>;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "What developers and CI do with this repository")]
enum Task {
    /// Run the main job: start the example lab, deploy SLURM, test it, take it down
    E2e {
        /// Passed on to `ai-how test e2e`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Write the files that are made from the code
    Gen {
        /// Change nothing, and fail when a file is not what would be written
        #[arg(long)]
        check: bool,
    },
    /// Run every lint gate and name all that fail
    Ci,
    /// Check that each crate imports only what stands above it
    Layers,
    /// Measure how long everything takes and what it costs, and write that as JSON
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let task = Task::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let result = std::env::set_current_dir(root).map_err(Failure::from).and_then(|()| match task {
        Task::E2e { arguments } => e2e::run(&arguments),
        Task::Gen { check } => generate::run(check),
        Task::Ci => ci::run(),
        Task::Layers => layers::run(),
        Task::Bench(arguments) => bench::run(&arguments),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a command to its end. What it prints is for the developer to see.
fn run(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|error| not_started(command, &error))?;
    ended(command, status)
}

fn not_started(command: &Command, error: &io::Error) -> String {
    format!("{} cannot be started: {error}", command.get_program().display())
}

fn ended(command: &Command, status: ExitStatus) -> Result<(), Failure> {
    if status.success() {
        Ok(())
    } else {
        Err(format!("{}: {status}", command.get_program().display()).into())
    }
}

/// Runs a command to its end and returns what it printed.
fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| not_started(command, &error))?;
    ended(command, output.status)?;
    Ok(String::from_utf8(output.stdout)?)
}
