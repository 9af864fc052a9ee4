//! What can go wrong with an image, and what the user does about it.

use std::path::PathBuf;

use system::{file, foreign, process};

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No recipe has that name.
    #[error("there is no image named `{name}`; there is: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What exists.
        known: String,
    },
    /// A qcow2 file of the user's is none that nodes can boot.
    #[error("nodes cannot boot {}: {why}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what mends that.
        why: String,
    },
    /// The disk is full, or will be.
    #[error(
        "the disk that holds {} is full: an image needs {needed_mib} MiB while it is built and {free_mib} MiB are \
         free{}. Free some space, or set AI_HOW_CACHE to a folder on another disk",
        folder.display(),
        // Bytes are not all that a disk can run out of.
        if free_mib < needed_mib { "" } else { ", but a quota or the number of files is used up" }
    )]
    DiskFull {
        /// Where the image would be.
        folder: PathBuf,
        /// What a build takes.
        needed_mib: u64,
        /// What there is.
        free_mib: u64,
    },
    /// The package mirror does not answer or lacks what is asked for.
    #[error(
        "the package mirror{} did not deliver. Check the network, or name another mirror with --mirror or \
         AI_HOW_MIRROR. mmdebstrap said:{said}",
        mirror.as_deref().map(|mirror| format!(" {mirror}")).unwrap_or_default()
    )]
    Mirror {
        /// The mirror, when one was named.
        mirror: Option<String>,
        /// Its complaint, indented.
        said: String,
    },
    /// Somebody asked to stop.
    #[error("building the image was interrupted; nothing of it was kept")]
    Interrupted,
    /// There is no Packer.
    #[error("the program `packer` is missing; run `make set-up`, or install Packer 1.6 or later")]
    NoPacker,
    /// Packer did not build an image.
    #[error("Packer did not build {name}. The end of its log ({}):{said}", log.display())]
    Packer {
        /// The image.
        name: String,
        /// The log.
        log: PathBuf,
        /// Its last lines, indented.
        said: String,
    },
    /// A domain or another build uses it.
    #[error("the image {name} is in use: {by}")]
    InUse {
        /// The image.
        name: String,
        /// By what.
        by: String,
    },
    /// A step of the build failed.
    #[error("cannot {step} for the image")]
    Step {
        /// What was being done.
        step: &'static str,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It is for another architecture, and its programs cannot run here.
    #[error(transparent)]
    Foreign(#[from] foreign::Error),
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] file::Error),
}

impl Error {
    /// Names the step in which a program failed, and recognises a request to stop.
    pub fn step(step: &'static str) -> impl FnOnce(process::Error) -> Self {
        move |source| match source {
            process::Error::Cancelled { .. } => Self::Interrupted,
            source => Self::Step { step, source: Box::new(source) },
        }
    }

    /// Names the step in which reading or writing failed.
    pub fn io(step: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Step { step, source: Box::new(source) }
    }
}
