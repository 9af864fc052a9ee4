//! What holds for the whole command: folders, how much is told, what the terminal can do.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
};

use engine::{Place, Site, Templates};
use lab::Folder;
use report::terminal::{Facts, Verbosity};
use serde_json::json;
use sha2::{Digest, Sha256};
use system::environment;

use crate::{
    cli::{self, LogLevel},
    failure::Failure,
    output,
};

/// What holds for the whole command.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Labs and runs.
    pub(crate) state: PathBuf,
    /// Images and verdicts.
    pub(crate) cache: PathBuf,
    /// Where templates are kept.
    pub(crate) templates: Templates,
    /// How much is told.
    pub(crate) verbosity: Verbosity,
    /// Whether the command writes JSON, its failure included.
    json: bool,
    /// What stderr can do.
    pub(crate) facts: Facts,
    /// Whether data is written in colour: it may go to a file while words go to a terminal.
    pub(crate) colour_data: bool,
}

/// The place that an argument names.
pub(crate) fn engine_place(place: cli::Place) -> Place {
    match place {
        cli::Place::Private => Place::Private,
        cli::Place::System => Place::System,
    }
}

impl Settings {
    /// From the arguments, of which `json` tells whether the command writes JSON, and the environment.
    pub(crate) fn new(global: &cli::Global, json: bool) -> Self {
        let tty = std::io::stderr().is_terminal();
        let colour_wanted = environment::variable("NO_COLOR").is_none();
        // As everywhere, a variable that is set to nothing counts as unset.
        let named = |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        let absolute = |path: PathBuf| environment::current_directory().unwrap_or_default().join(path);
        let cache = named(&global.cache).map_or_else(environment::cache_folder, absolute);
        Self {
            state: named(&global.state).map_or_else(environment::state_folder, absolute),
            templates: Templates { store: template::Store::new(&cache), limit_mib: global.template_limit },
            cache,
            json,
            verbosity: match (global.quiet, global.verbose, global.log_level) {
                (true, ..) | (.., Some(LogLevel::Error)) => Verbosity::Quiet,
                (_, true, _) | (.., Some(LogLevel::Debug)) => Verbosity::Verbose,
                _ => Verbosity::Normal,
            },
            facts: Facts { tty, ci: environment::variable("CI").is_some(), colour: tty && colour_wanted },
            colour_data: std::io::stdout().is_terminal() && colour_wanted,
        }
    }

    /// The lab of a config file: the same file is the same lab, another file of the same name another.
    pub(crate) fn site(&self, lab: &str, file: &Path, place: cli::Place) -> Site {
        let path = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        let place = engine_place(place);
        let hash = Sha256::digest(format!("{place:?}\0{}", path.display()));
        let hash: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        // The name is a folder's and a mark's: what a version 1.0 file may put into it stays out.
        let fit = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
        let name: String = lab.chars().map(fit).take(40).collect();
        let name = name.trim_start_matches('.');
        Site { place, folder: Folder::new(&self.state, &format!("{name}-{hash}")), cache: self.cache.clone() }
    }

    /// Refuses to look for labs where there can be none.
    pub(crate) fn check_state(&self) -> Result<(), Failure> {
        if self.state.is_dir() || self.state.symlink_metadata().is_err() {
            return Ok(());
        }
        let state = self.state.display();
        Err(Failure::environment(format!(
            "labs are kept in {state}, which is no folder; --state names another"
        )))
    }

    /// Tells why a command failed, for programs as one object.
    pub(crate) fn say_failure(&self, failure: &Failure) {
        let message = failure.message();
        if message.is_empty() {
            return;
        }
        if self.json {
            output::words(format_args!("{}\n", json!({"error": message, "code": failure.code()})));
        } else {
            let label = if self.facts.colour { "\u{1b}[1;31merror\u{1b}[0m" } else { "error" };
            output::painted(format_args!("{label}: {}\n", output::clean(&message)));
        }
    }
}
