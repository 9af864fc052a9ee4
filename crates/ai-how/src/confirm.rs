//! Asking before something is lost.

use std::{
    io::{BufRead, IsTerminal, stdin},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use system::cancel::Cancel;

use crate::{exit, failure::Failure, output};

/// How often a question looks whether somebody wants to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Whether the user says yes to what would be lost. With `force` there is no question; without a terminal nobody can answer.
///
/// # Errors
/// There is no terminal, or somebody asked to stop.
pub(crate) fn confirm(what: &str, force: bool, cancel: &Cancel) -> Result<bool, Failure> {
    if force {
        return Ok(true);
    }
    if !stdin().is_terminal() {
        let message = format!("this would {what}; there is no terminal to ask at, so say --force");
        return Err(Failure::new(exit::USAGE, message));
    }
    output::words(format_args!("this will {what}. Go on? [y/N] "));
    // A signal does not end a read, so somebody else reads.
    let (sender, answer) = channel();
    thread::spawn(move || {
        let mut line = String::new();
        let read = stdin().lock().read_line(&mut line);
        // Nobody listens any more when the question was given up.
        let _ = sender.send(read.map(|_| line).unwrap_or_default());
    });
    loop {
        match answer.recv_timeout(LOOK) {
            Ok(line) => return Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes")),
            Err(RecvTimeoutError::Disconnected) => return Ok(false),
            Err(RecvTimeoutError::Timeout) if cancel.requested() => {
                output::words("\n");
                return Err(engine::Error::Interrupted.into());
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}
