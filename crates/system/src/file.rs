//! File operations that must be all or nothing, or exclusive.

use std::{
    fs::{self, File, FileType, OpenOptions, TryLockError},
    io::{self, Read, Write},
    ops::Range,
    os::{
        fd::AsRawFd,
        unix::fs::{FileTypeExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    unistd::{Whence, lseek},
};

use crate::{cancel::Cancel, clock};

/// A file operation that did not work.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct Error {
    /// What was tried: `write`, `create the folder`.
    pub action: &'static str,
    /// On what.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl Error {
    /// Names the action and the path of an I/O error.
    pub fn new(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self { action, path, source }
    }

    /// Whether the disk (or the user's part of it) is full.
    pub fn is_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// Replaces the file's content in one step: a reader sees the old or the new one, never a half.
///
/// # Errors
/// The folder cannot be written to, or the disk is full; the old content is then still there.
pub fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    let failed = || Error::new("write", path);
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed())?;
    file.write_all(content).map_err(failed())?;
    // A temporary file is private; what is put in its place is as readable as any file the user makes.
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(permissions).map_err(failed())?;
    file.persist(path).map_err(|error| failed()(error.error))?;
    Ok(())
}

/// Takes the right to write from everybody.
///
/// # Errors
/// The system refuses.
pub fn protect(path: &Path) -> Result<(), Error> {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o444);
    fs::set_permissions(path, mode).map_err(Error::new("set the mode of", path))
}

/// What a folder and everything below it take on the disk, bytes; what cannot be looked at counts nothing.
pub fn allocated(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => allocated(&entry.path()),
        Ok(data) => std::os::unix::fs::MetadataExt::blocks(&data) * 512,
        Err(_) => 0,
    };
    entries.map(size).sum()
}

/// The first range at or after `at` of a file that is no hole; nothing when there is only a hole left.
///
/// # Errors
/// The file cannot be looked at.
pub fn next_data(file: &File, at: u64) -> io::Result<Option<Range<u64>>> {
    let seek = |from: u64, whence| {
        let from = i64::try_from(from).map_err(|_| Errno::EOVERFLOW)?;
        lseek(file, from, whence).map(i64::unsigned_abs)
    };
    match seek(at, Whence::SeekData) {
        Err(Errno::ENXIO) => Ok(None),
        Err(error) => Err(error.into()),
        Ok(start) => Ok(Some(start..seek(start, Whence::SeekHole)?)),
    }
}

/// Makes a folder with its parents; one that exists is fine.
///
/// # Errors
/// The system refuses.
pub fn create_folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(Error::new("create the folder", path))
}

/// Reads a whole text file.
///
/// # Errors
/// It is not there, not readable, no plain file or not UTF-8.
pub fn read(path: &Path) -> Result<String, Error> {
    let content = open(path, FileType::is_file).and_then(io::read_to_string);
    content.map_err(Error::new("read", path))
}

/// Reads a file that the user names, up to so many bytes. It may be a device, and a pipe where that was handed to this
/// process: as its standard input, or by a shell's `<(...)`.
///
/// # Errors
/// It is not there, not readable, or something that may never answer.
pub fn read_given(path: &Path, most: u64) -> Result<Vec<u8>, Error> {
    let handed = ["/dev/stdin", "/dev/fd", "/proc"].iter().any(|place| path.starts_with(place));
    let fit = |kind: &FileType| kind.is_file() || kind.is_char_device() || (handed && kind.is_fifo());
    let mut content = Vec::new();
    open(path, fit)
        .and_then(|file| file.take(most).read_to_end(&mut content))
        .map_err(Error::new("read", path))?;
    Ok(content)
}

/// Opens a file that is of a fit kind. A named pipe holds up whoever opens it as long as nobody writes to it, so it is
/// looked at first.
fn open(path: &Path, fit: impl Fn(&FileType) -> bool) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(Errno::EISDIR.into());
    }
    if !fit(&kind) {
        return Err(io::Error::other("it is not a plain file"));
    }
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(file)
}

/// The first bytes of a file that may be large; nothing when it cannot be read.
pub fn head(path: &Path, bytes: u64) -> Vec<u8> {
    let mut content = Vec::new();
    // What could be read is what there is.
    let _ = File::open(path).and_then(|file| file.take(bytes).read_to_end(&mut content));
    content
}

/// The last lines of a file that may be large, invalid UTF-8 replaced; nothing when it cannot be read.
pub fn tail(path: &Path, lines: usize) -> String {
    let Ok(content) = fs::read(path) else { return String::new() };
    let text = String::from_utf8_lossy(&content);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Removes a folder and all in it; one that is not there is fine.
///
/// # Errors
/// Something in it cannot be removed.
pub fn remove_folder(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::new("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Removes a file; one that is not there is fine.
///
/// # Errors
/// The system refuses.
pub fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::new("remove", path)(error)),
        _ => Ok(()),
    }
}

/// A folder of sockets, open: a way to them that fits into a socket address, which holds 107 bytes, however long the
/// folder's own path is.
#[derive(Debug)]
pub struct SocketFolder(File);

impl SocketFolder {
    /// Opens the folder.
    ///
    /// # Errors
    /// It is not there.
    pub fn open(path: &Path) -> io::Result<Self> {
        File::open(path).map(Self)
    }

    /// A path to the socket for this process, as long as this value lives.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        Path::new("/proc/self/fd").join(self.0.as_raw_fd().to_string()).join(name)
    }

    /// The same for other processes of this user, as long as this one has it.
    pub fn path_for_others(&self, name: impl AsRef<Path>) -> PathBuf {
        let own = Path::new("/proc").join(std::process::id().to_string()).join("fd");
        own.join(self.0.as_raw_fd().to_string()).join(name)
    }
}

/// An exclusive claim that ends with the process that holds it, however that ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// The lock file cannot be made.
    pub fn try_take(path: &Path) -> Result<Option<Self>, Error> {
        let file = Self::open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Error::new("lock", path)(error)),
        }
    }

    /// Waits for a lock that nobody holds for long.
    ///
    /// # Errors
    /// The lock file cannot be made or locked.
    pub fn wait(path: &Path) -> io::Result<Self> {
        let file = Self::open(path).map_err(|error| error.source)?;
        file.lock()?;
        Ok(Self { _file: file })
    }

    /// Waits for the lock; `on_wait` is called once if somebody else holds it. `None` when `cancel` was requested.
    ///
    /// # Errors
    /// The lock file cannot be made.
    pub fn take(path: &Path, cancel: &Cancel, on_wait: impl FnOnce()) -> Result<Option<Self>, Error> {
        let mut on_wait = Some(on_wait);
        loop {
            if let Some(lock) = Self::try_take(path)? {
                return Ok(Some(lock));
            }
            if let Some(tell) = on_wait.take() {
                tell();
            }
            if cancel.requested() {
                return Ok(None);
            }
            // The kernel wakes only a thread that blocks in flock, and such a one cannot be cancelled.
            clock::sleep(Duration::from_millis(50));
        }
    }

    fn open(path: &Path) -> Result<File, Error> {
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)
            .map_err(Error::new("open the lock file", path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_never_answer_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let why = |error: Error| error.source.to_string();
        for path in [&pipe, Path::new("/dev/null")] {
            assert_eq!(why(read(path).unwrap_err()), "it is not a plain file", "{}", path.display());
        }
        assert_eq!(why(read_given(&pipe, 9).unwrap_err()), "it is not a plain file");
        assert!(why(read(folder.path()).unwrap_err()).contains("Is a directory"));
        assert_eq!(read_given(Path::new("/dev/zero"), 9).unwrap(), [0; 9]);
        let plain = folder.path().join("plain");
        write(&plain, b"text").unwrap();
        assert_eq!(
            (read(&plain).unwrap().as_str(), read_given(&plain, 2).unwrap()),
            ("text", b"te".to_vec())
        );
    }
}
