//! A node's serial console on this terminal.
//!
//! Libvirt keeps the console as a socket in the lab's folder, so attaching needs nothing but that folder. Every key goes
//! to the guest, Ctrl-C too; Ctrl-] alone detaches.

use std::{
    io::{self, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    path::Path,
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr},
};
use system::{cancel::Cancel, file::SocketFolder, watch::FolderWatch};
use terminal_size::{Height, Width, terminal_size_of};

/// Ctrl-], as in telnet and virsh.
const DETACH: u8 = 0x1d;

/// How often a wait looks at what no event tells of: a request to stop, a deadline.
const LOOK: Duration = Duration::from_millis(200);

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
    /// Somebody asked to stop.
    Stopped,
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

    /// Waits for the console of a machine that is about to start, and opens it before the machine says anything. Nothing when
    /// somebody asked to stop first.
    ///
    /// # Errors
    /// The folder of the sockets cannot be watched.
    pub fn await_open(
        sockets: &Path,
        domain: &str,
        node: &str,
        stop: &Cancel,
    ) -> Result<Option<Self>, Error> {
        let watch = FolderWatch::new(sockets).map_err(Error::Lost)?;
        while !stop.requested() {
            if let Ok(console) = Self::open(sockets, domain, node) {
                return Ok(Some(console));
            }
            watch.wait(LOOK).map_err(Error::Lost)?;
        }
        Ok(None)
    }

    /// Joins standard input and output to it, until the machine is off, the user detaches, or somebody asks to stop. `heard` is
    /// given what the guest says, too.
    ///
    /// # Errors
    /// [`Error::Lost`]. The terminal is put back in every case.
    pub fn attach(&self, stop: &Cancel, heard: &mut dyn FnMut(&[u8])) -> Result<End, Error> {
        let raw = RawTerminal::new().map_err(Error::Lost)?;
        let end = shuttle(&self.0, raw.is_some(), stop, heard).map_err(Error::Lost);
        drop(raw);
        end
    }

    /// Types on it.
    ///
    /// # Errors
    /// [`Error::Lost`].
    pub fn say(&self, text: &str) -> Result<(), Error> {
        (&self.0).write_all(text.as_bytes()).map_err(Error::Lost)
    }

    /// Hears what comes within so long: some bytes, none when nothing came, and nothing at all when the machine is off.
    ///
    /// # Errors
    /// [`Error::Lost`].
    pub fn hear(&self, limit: Duration) -> Result<Option<Vec<u8>>, Error> {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(limit.min(LOOK)).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(0) | Err(Errno::EINTR) => return Ok(Some(Vec::new())),
            result => result.map_err(|error| Error::Lost(error.into()))?,
        };
        let mut buffer = vec![0; 4096];
        match (&self.0).read(&mut buffer) {
            Ok(0) => Ok(None),
            Ok(count) => {
                buffer.truncate(count);
                Ok(Some(buffer))
            }
            // An emulator that was killed.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(Error::Lost(error)),
        }
    }
}

/// Lines and columns of the terminal, where standard input is one that knows them.
pub fn window_size() -> Option<(u16, u16)> {
    let (Width(columns), Height(lines)) = terminal_size_of(io::stdin())?;
    Some((lines, columns))
}

fn shuttle(
    mut stream: &UnixStream,
    terminal: bool,
    stop: &Cancel,
    heard: &mut dyn FnMut(&[u8]),
) -> io::Result<End> {
    let (mut input, mut output) = (io::stdin(), io::stdout());
    let mut buffer = [0; 4096];
    let mut listen = true;
    loop {
        if stop.requested() {
            return Ok(End::Stopped);
        }
        let (from_guest, from_user) = {
            let (guest, user) = (stream.as_fd(), input.as_fd());
            let mut fds = vec![PollFd::new(guest, PollFlags::POLLIN)];
            if listen {
                fds.push(PollFd::new(user, PollFlags::POLLIN));
            }
            match poll(&mut fds, PollTimeout::try_from(LOOK).unwrap_or(PollTimeout::MAX)) {
                Ok(0) | Err(Errno::EINTR) => continue,
                result => result?,
            };
            (fds[0].any().unwrap_or(false), fds.get(1).is_some_and(|fd| fd.any().unwrap_or(false)))
        };
        if from_guest {
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(End::Off),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(End::Off),
                Err(error) => return Err(error),
                Ok(count) => {
                    heard(&buffer[..count]);
                    output.write_all(&buffer[..count])?;
                    output.flush()?;
                }
            }
        }
        if from_user {
            match input.read(&mut buffer) {
                // A terminal that is gone reads as an error.
                Ok(0) | Err(_) if terminal => return Ok(End::Detached),
                Err(error) => return Err(error),
                // A pipe that ended has said all; the guest may still answer until it powers off.
                Ok(0) => listen = false,
                Ok(count) => {
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
