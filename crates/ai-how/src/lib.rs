//! The command line: arguments in, one call into the rooms, words out.
//!
//! Data goes to stdout, words to stderr. Every command ends with one of the statuses in [`exit`].

mod beside;
mod bring_up;
pub mod cli;
mod commands;
mod confirm;
mod document;
pub mod exit;
mod failure;
mod forks;
mod labs;
mod measure;
mod output;
mod proof;
mod run;
mod running;
mod settings;

use std::{process::ExitCode, time::Duration};

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use cli::{Cli, Command, Internal};
use commands::{ask::Question, workstation::Which};
use failure::Failure;
use settings::Settings;
use system::cancel::Cancel;

/// Reads the arguments, does what they say, and returns the status to end with.
pub fn run() -> ExitCode {
    if let Some(command) = Internal::of_arguments() {
        return end(internal(command), |failure| {
            output::words(format_args!("error: {}\n", failure.message()))
        });
    }
    let matches = Cli::command().try_get_matches().unwrap_or_else(|error| {
        // What is wrong is told with words of the command line, which may hold anything.
        let words = std::env::args_os().map(|word| output::clean(&word.to_string_lossy()));
        Cli::command().try_get_matches_from(words).err().unwrap_or(error).exit()
    });
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let settings = Settings::new(&cli.global, asks_for_json(&matches));
    end(dispatch(cli.command, &settings), |failure| settings.say_failure(failure))
}

fn end(result: Result<u8, Failure>, say: impl Fn(&Failure)) -> ExitCode {
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            say(&failure);
            ExitCode::from(failure.code())
        }
    }
}

/// Whether the command that is meant is to write JSON.
fn asks_for_json(matches: &ArgMatches) -> bool {
    let inner = matches.subcommand().is_some_and(|(_, matches)| asks_for_json(matches));
    let format = matches.try_get_raw("format").ok().flatten();
    inner || format.is_some_and(|mut words| words.any(|word| word == "json"))
}

fn dispatch(command: Command, settings: &Settings) -> Result<u8, Failure> {
    let cancel = Cancel::on_signals().map_err(Failure::environment)?;
    match command {
        Command::Validate(arguments) => commands::validate::run(&arguments, settings),
        Command::Render(arguments) => commands::render::run(&arguments, settings),
        Command::Plan(arguments) => commands::plan::run(&arguments, settings, &cancel),
        Command::Inventory(command) => commands::inventory::run(&command, settings, &cancel),
        Command::Topology { config, place, format } => {
            commands::topology::run(config.as_deref(), place, format, settings, &cancel)
        }
        Command::Image(command) => commands::image::run(&command, settings, &cancel),
        Command::Cluster(command) => commands::cluster::run(command, settings, &cancel),
        Command::Hpc(command) => commands::workstation::run(Which::Hpc, &command, settings, &cancel),
        Command::Cloud(command) => commands::workstation::run(Which::Cloud, &command, settings, &cancel),
        Command::System(command) => commands::workstation::run(Which::System, &command, settings, &cancel),
        Command::Vm(command) => commands::vm::run(&command, settings, &cancel),
        Command::Node(command) => commands::node::run(command, settings, &cancel),
        Command::Ssh(arguments) => commands::reach::ssh(&arguments, settings, &cancel),
        Command::Exec(arguments) => commands::reach::exec(&arguments, settings, &cancel),
        Command::Logs(arguments) => commands::logs::run(&arguments, settings, &cancel),
        Command::Cp(arguments) => commands::reach::cp(&arguments, settings, &cancel),
        Command::SshConfig { at, format } => commands::proxy::config(&at, format, settings, &cancel),
        Command::Completion { shell } => commands::shell::completion(shell),
        Command::Man { folder } => commands::shell::man(&folder),
        Command::Prompt(command) => commands::prompt::run(&command, settings, &cancel),
        Command::Console(arguments) => commands::reach::console(&arguments, settings, &cancel),
        Command::Test(arguments) => commands::test::run(arguments, settings, &cancel),
        Command::Report { run, format } => commands::report::run(&run, format),
        Command::Doctor { format } => commands::doctor::run(format, settings, &cancel),
    }
}

fn internal(command: Internal) -> Result<u8, Failure> {
    match command {
        Internal::Proxy { folder, address, port } => commands::proxy::proxy(&folder, address, port),
        Internal::Connect { address, port } => commands::proxy::connect(address, port),
        Internal::Ask { console, log, seconds, words, text } => {
            let cancel = Cancel::on_signals().map_err(Failure::environment)?;
            let limit = Duration::from_secs(seconds);
            commands::ask::run(&Question { socket: console, log, text, limit, words }, &cancel)
        }
        Internal::Release => release(),
        Internal::Keeper { folder, cache, accelerator } => {
            lab::keeper::run(&folder, &cache, accelerator == "kvm")
                .map(|()| exit::OK)
                .map_err(Failure::environment)
        }
    }
}

#[cfg(feature = "libvirt")]
fn release() -> Result<u8, Failure> {
    for domain in lab::release().map_err(engine::Error::from)? {
        let sockets = std::path::Path::new(lab::keeper::SOCKETS);
        engine::set_clock(sockets, &domain, &domain).map_err(engine::Error::from)?;
    }
    Ok(exit::OK)
}

#[cfg(not(feature = "libvirt"))]
fn release() -> Result<u8, Failure> {
    Err(engine::Error::NoLibvirt.into())
}
