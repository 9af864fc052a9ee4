//! The files of a frozen machine, by name: of a template, of one that is being made, or of any other folder laid out so.

use std::path::{Path, PathBuf};

/// The guest's memory.
pub(crate) const MEMORY: &str = "memory";

/// The state of the guest's devices and processors.
pub(crate) const STATE: &str = "state";

/// The overlay over the image's disk.
pub(crate) const DISK: &str = "disk.qcow2";

/// Without one of these there is nothing to resume.
pub(crate) const ALL: [&str; 3] = [MEMORY, STATE, DISK];

/// Where the files of a frozen machine are. They need not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files(PathBuf);

impl Files {
    /// Those in this folder.
    pub fn of(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// The guest's memory: a sparse file that machines map privately.
    pub fn memory(&self) -> PathBuf {
        self.0.join(MEMORY)
    }

    /// The state of devices and processors.
    pub fn state(&self) -> PathBuf {
        self.0.join(STATE)
    }

    /// The overlay over the image's disk, qcow2. Machines write to a copy of it.
    pub fn disk(&self) -> PathBuf {
        self.0.join(DISK)
    }
}
