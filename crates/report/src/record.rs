//! The record of a run, `events.jsonl`: one [`Event`] a line, written whole, read back however the run ended.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use events::{Event, FORMAT};
use serde::Deserialize;

/// The record's name in the folder of its run.
pub const FILE: &str = "events.jsonl";

/// Why a record could not be begun or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The record could not be created.
    #[error("cannot create {path}: every run needs a folder of its own that can be written to")]
    Create {
        /// The record.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The record could not be read.
    #[error("cannot read {path}: name the folder of a run, which holds {FILE}")]
    Read {
        /// The record.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line that is not the last one is not an event.
    #[error("{path}:{line}: not an event: the file was changed after the run, or is no record of one")]
    Line {
        /// The record.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A newer ai-how wrote the record.
    #[error(
        "{path} has format {found}, this ai-how reads up to {FORMAT}: read it with the ai-how that wrote it"
    )]
    Newer {
        /// The record.
        path: PathBuf,
        /// The format it says it has.
        found: u32,
    },
    /// The record holds no event at all.
    #[error("{path} is empty: the run ended before anything happened")]
    Empty {
        /// The record.
        path: PathBuf,
    },
}

/// Reads a record back, in the order of its lines.
///
/// A last line without its newline is what a killed run leaves; it is dropped when it is not whole.
///
/// # Errors
///
/// When the file cannot be read, holds no event, holds a line that is not an event, or has a format newer than
/// [`FORMAT`].
pub fn read(path: &Path) -> Result<Vec<Event>, RecordError> {
    let bytes = fs::read(path).map_err(|source| RecordError::Read { path: path.into(), source })?;
    if let Some(found) = newer_format(&bytes) {
        return Err(RecordError::Newer { path: path.into(), found });
    }
    let mut events = Vec::new();
    let mut lines = bytes.split(|&byte| byte == b'\n').enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(event) => events.push(event),
            Err(_) if lines.peek().is_none() => break,
            Err(source) => return Err(RecordError::Line { path: path.into(), line: index + 1, source }),
        }
    }
    if events.is_empty() {
        return Err(RecordError::Empty { path: path.into() });
    }
    Ok(events)
}

/// The format of the writer, when it is one that this reader does not know.
///
/// Looked at before anything else is parsed: a newer writer may have events that this reader has no name for.
fn newer_format(bytes: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    let first = bytes.split(|&byte| byte == b'\n').next()?;
    let head: Head = serde_json::from_slice(first).ok()?;
    (head.format > FORMAT).then_some(head.format)
}

/// Appends events to a record.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
}

impl Writer {
    /// Begins the record of a run in `folder`, which is created when it is missing.
    pub(crate) fn create(folder: &Path) -> Result<Self, RecordError> {
        let path = folder.join(FILE);
        let file = fs::create_dir_all(folder)
            .and_then(|()| File::options().append(true).create_new(true).open(&path))
            .map_err(|source| RecordError::Create { path: path.clone(), source })?;
        Ok(Self { path, file })
    }

    /// Appends one event. The line goes to the system in one piece and waits in no buffer of ours, so that a killed
    /// process loses no event it has written.
    pub(crate) fn append(&mut self, event: &Event) -> io::Result<()> {
        self.file.write_all(&line(event)?)
    }
}

/// An event as one line with its newline.
pub(crate) fn line(event: &Event) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    Ok(line)
}
