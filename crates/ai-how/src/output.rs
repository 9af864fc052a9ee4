//! The way out: data to stdout, words to stderr. `println!` panics when the reader of a pipe is gone, or when the disk
//! behind a redirection is full.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write, stderr, stdout},
    path::Path,
};

use serde::Serialize;
use system::file;

use crate::failure::Failure;

/// Writes data. A reader that has seen enough (`| head -1`) is no failure.
pub(crate) fn data(text: impl Display) -> Result<(), Failure> {
    match write(stdout().lock(), text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::environment(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes data as one JSON document.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    data(serde_json::to_string_pretty(value).map_err(Failure::environment)? + "\n")
}

/// Writes data to a file and makes the folders above it, or to stdout.
pub(crate) fn to(path: Option<&Path>, text: &str) -> Result<(), Failure> {
    let Some(path) = path else { return data(text) };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        file::create_folder(folder)?;
    }
    Ok(file::write(path, text.as_bytes())?)
}

/// Writes words. When they reach nobody, the exit status still tells how it went.
pub(crate) fn words(text: impl Display) {
    let _ = write(stderr().lock(), text);
}

fn write(mut out: impl Write, text: impl Display) -> io::Result<()> {
    // In one piece: what two commands say at once stays readable.
    out.write_all(text.to_string().as_bytes())?;
    out.flush()
}
