//! The way out: data to stdout, words to stderr. `println!` panics when the reader of a pipe is gone, or when the disk
//! behind a redirection is full.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write, stderr, stdout},
};

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

/// Writes words. When they reach nobody, the exit status still tells how it went.
pub(crate) fn words(text: impl Display) {
    let _ = write(stderr().lock(), text);
}

fn write(mut out: impl Write, text: impl Display) -> io::Result<()> {
    // In one piece: what two commands say at once stays readable.
    out.write_all(text.to_string().as_bytes())?;
    out.flush()
}
