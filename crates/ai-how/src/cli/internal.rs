//! What ai-how, its labs and their ssh start of this program. People do not, so it is in no help and no completion.

use std::{net::IpAddr, path::PathBuf};

use clap::{CommandFactory, Parser};

/// Commands for programs.
#[derive(Debug, Parser)]
#[command(name = "ai-how")]
pub enum Internal {
    /// Connect standard input and output to a node; started by ssh
    #[command(name = "lab-proxy")]
    Proxy {
        /// The lab's folder.
        folder: PathBuf,
        /// Its address.
        address: IpAddr,
        /// Its port.
        port: u16,
    },
    /// The same from within the lab
    #[command(name = "lab-connect")]
    Connect {
        /// Its address.
        address: IpAddr,
        /// Its port.
        port: u16,
    },
    /// Type a line on a console and print what is answered; started by checks
    #[command(name = "lab-ask")]
    Ask {
        /// The console's socket, `DOMAIN.console`.
        console: PathBuf,
        /// Its log.
        log: PathBuf,
        /// How long the answer may take, seconds.
        seconds: u64,
        /// How many words are enough; 0 for all.
        words: usize,
        /// The line.
        text: String,
    },
    /// Let machines of a private lab go on; started by its keeper
    #[command(name = "lab-release")]
    Release,
    /// Keep a private lab; started by ai-how itself
    #[command(name = "lab-keeper")]
    Keeper {
        /// The lab's folder.
        folder: PathBuf,
        /// The cache.
        cache: PathBuf,
        /// `kvm` or `tcg`.
        accelerator: String,
    },
}

impl Internal {
    /// The command of this process's arguments, if it is one of these.
    pub fn of_arguments() -> Option<Self> {
        let verb = std::env::args_os().nth(1)?;
        let is_one = Self::command().get_subcommands().any(|command| *command.get_name() == *verb);
        is_one.then(Self::parse)
    }
}
