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

/// Writes data that people read.
pub(crate) fn text(text: impl Display) -> Result<(), Failure> {
    data(clean(&text.to_string()))
}

/// Writes words. When they reach nobody, the exit status still tells how it went.
pub(crate) fn words(text: impl Display) {
    painted(clean(&text.to_string()));
}

/// Writes words as they are, with what moves the cursor or sets a colour: what of them is not ours went through [`clean`].
pub(crate) fn painted(text: impl Display) {
    let _ = write(stderr().lock(), text);
}

/// Text without what would make a terminal do something: arguments and files may hold anything.
pub(crate) fn clean(text: &str) -> String {
    let is_plain = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars().map(|c| if is_plain(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

fn write(mut out: impl Write, text: impl Display) -> io::Result<()> {
    // In one piece: what two commands say at once stays readable.
    out.write_all(text.to_string().as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn a_terminal_does_nothing_but_show_clean_text() {
        assert_eq!(clean("a\tb\nc ä"), "a\tb\nc ä");
        assert_eq!(clean("\u{1b}[2J\u{7}\r\u{9b}x\u{7f}"), "\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}x\u{fffd}");
    }
}
