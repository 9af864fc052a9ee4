//! Waiting for files in a folder to change, without polling them.

use std::{io, os::fd::AsFd, path::Path, time::Duration};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::inotify::{AddWatchFlags, InitFlags, Inotify},
};

/// Tells when files in one folder are written, made or moved there.
#[derive(Debug)]
pub struct FolderWatch {
    inotify: Inotify,
}

impl FolderWatch {
    /// Starts to watch. Changes from now on are not missed.
    ///
    /// # Errors
    /// The folder is not there, or the user has too many watches.
    pub fn new(folder: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let flags = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        inotify.add_watch(folder, flags)?;
        Ok(Self { inotify })
    }

    /// Waits for a change, at most `limit`, and says whether there was one. A signal ends the wait early.
    ///
    /// # Errors
    /// The kernel refuses to poll.
    pub fn wait(&self, limit: Duration) -> io::Result<bool> {
        let mut fds = [PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => Ok(false),
            Ok(_) => {
                // What changed does not matter: the caller reads the files it waits for.
                let _ = self.inotify.read_events();
                Ok(true)
            }
            Err(error) => Err(error.into()),
        }
    }
}
