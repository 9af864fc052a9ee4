//! A node's serial console on this terminal.
//!
//! Libvirt keeps the console as a socket in the lab's folder, so attaching needs nothing but that folder. Every key goes
//! to the guest, Ctrl-C too; Ctrl-] alone detaches.

use std::{
    io::{self, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    path::Path,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr},
};
use system::file::SocketFolder;

/// Ctrl-], as in telnet and virsh.
const DETACH: u8 = 0x1d;

/// Why there is no console.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The node is off, or its lab is.
    #[error("the node {node} has no console now: is it running? (`ai-how cluster status`)")]
    Absent {
        /// The node.
        node: String,
        /// What the system said.
        source: io::Error,
    },
    /// The terminal or the socket failed in between.
    #[error("the console was lost")]
    Lost(#[source] io::Error),
}

/// How a console session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The user pressed Ctrl-], or standard input ended.
    Detached,
    /// The machine is off.
    Off,
}

/// The console of a node that runs.
#[derive(Debug)]
pub struct Console(UnixStream);

impl Console {
    /// Opens the console whose socket is `<sockets>/<domain>.console`.
    ///
    /// # Errors
    /// [`Error::Absent`].
    pub fn open(sockets: &Path, domain: &str, node: &str) -> Result<Self, Error> {
        SocketFolder::open(sockets)
            .and_then(|folder| UnixStream::connect(folder.path(format!("{domain}.console"))))
            .map(Self)
            .map_err(|source| Error::Absent { node: node.to_owned(), source })
    }

    /// Joins standard input and output to it.
    ///
    /// # Errors
    /// [`Error::Lost`]. The terminal is put back in every case.
    pub fn attach(self) -> Result<End, Error> {
        let raw = RawTerminal::new().map_err(Error::Lost)?;
        let end = shuttle(&self.0, raw.is_some()).map_err(Error::Lost);
        drop(raw);
        end
    }
}

fn shuttle(mut stream: &UnixStream, terminal: bool) -> io::Result<End> {
    let (mut input, mut output) = (io::stdin(), io::stdout());
    let mut buffer = [0; 4096];
    let mut listen = true;
    loop {
        let (from_guest, from_user) = {
            let (guest, user) = (stream.as_fd(), input.as_fd());
            let mut fds = vec![PollFd::new(guest, PollFlags::POLLIN)];
            if listen {
                fds.push(PollFd::new(user, PollFlags::POLLIN));
            }
            match poll(&mut fds, PollTimeout::NONE) {
                Err(nix::errno::Errno::EINTR) => continue,
                result => result?,
            };
            (fds[0].any().unwrap_or(false), fds.get(1).is_some_and(|fd| fd.any().unwrap_or(false)))
        };
        if from_guest {
            match stream.read(&mut buffer)? {
                0 => return Ok(End::Off),
                count => {
                    output.write_all(&buffer[..count])?;
                    output.flush()?;
                }
            }
        }
        if from_user {
            match input.read(&mut buffer)? {
                0 if terminal => return Ok(End::Detached),
                // A pipe that ended has said all; the guest may still answer until it powers off.
                0 => listen = false,
                count => {
                    let keys = &buffer[..count];
                    let end = keys.iter().position(|key| terminal && *key == DETACH);
                    stream.write_all(&keys[..end.unwrap_or(count)])?;
                    if end.is_some() {
                        return Ok(End::Detached);
                    }
                }
            }
        }
    }
}

/// The terminal in raw mode; put back when dropped.
struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    /// `None` when standard input is no terminal.
    fn new() -> io::Result<Option<Self>> {
        let Ok(before) = tcgetattr(io::stdin()) else { return Ok(None) };
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(io::stdin(), SetArg::TCSANOW, &raw)?;
        Ok(Some(Self { before }))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that is gone needs no putting back.
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.before);
    }
}
