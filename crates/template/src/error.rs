//! What can go wrong with a template, and what the user does about it.

use std::path::PathBuf;

use system::file;

/// Why there is no template, or none that can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file's content changed since the template was made.
    #[error("the template {id} is damaged: {} is not what was written when it was made", path.display())]
    Damaged {
        /// The template.
        id: String,
        /// The file.
        path: PathBuf,
    },
    /// A file of a template is not there any more.
    #[error("the template {id} is damaged: {} is gone", path.display())]
    Missing {
        /// The template.
        id: String,
        /// The file.
        path: PathBuf,
    },
    /// What was staged cannot become a template.
    #[error(
        "cannot make a template of {}: {name} {why}. The emulator's log in the lab's folder tells how it froze the \
         machine",
        folder.display()
    )]
    Incomplete {
        /// The staging folder.
        folder: PathBuf,
        /// The file in it.
        name: String,
        /// What is wrong with that file.
        why: &'static str,
    },
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] file::Error),
}
