//! `ai-how completion` and `ai-how man`: from the declarations that parse the command line.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell as Completed;
use system::file;

use crate::{
    cli::{Cli, Shell},
    exit,
    failure::Failure,
    output,
};

pub(crate) fn completion(shell: Shell) -> Result<u8, Failure> {
    let shell = match shell {
        Shell::Bash => Completed::Bash,
        Shell::Zsh => Completed::Zsh,
        Shell::Fish => Completed::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ai-how", &mut script);
    output::data(String::from_utf8_lossy(&script))?;
    Ok(exit::OK)
}

/// One page for each command: `ai-how.1`, `ai-how-cluster-start.1`.
pub(crate) fn man(folder: &Path) -> Result<u8, Failure> {
    file::create_folder(folder)?;
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), folder)
        .map_err(file::Error::new("write the pages to", folder))?;
    output::words(format_args!("the pages are in {}\n", folder.display()));
    Ok(exit::OK)
}
