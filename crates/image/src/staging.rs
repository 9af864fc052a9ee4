//! An image is whole or not there: it is made in a folder aside, by whoever holds the claim to it, and appears by one rename.

use std::{
    fs,
    path::{Path, PathBuf},
};

use events::{EventKind, Level, Sink};
use system::{
    cancel::Cancel,
    file, host,
    namespace::{self, Network},
    process::Command,
};

use crate::{Error, Image, Store};

/// The part of the folder of a build that becomes the image.
pub const IMAGE: &str = "image";

/// Finds the image of this name in the store, or has it made: `work` is given a folder and fills [`IMAGE`] in it.
///
/// # Errors
/// See [`Error`]. Whatever the error, nothing half-made stays in the store.
pub fn make(
    store: &Store,
    id: &str,
    needed_mib: u64,
    sink: &dyn Sink,
    cancel: &Cancel,
    work: impl FnOnce(&Path) -> Result<(), Error>,
) -> Result<Image, Error> {
    if let Some(image) = store.find_id(id) {
        return Ok(image);
    }
    let wait = || {
        let message = format!("another ai-how is building {id}; waiting for it");
        sink.emit(EventKind::Notice { level: Level::Info, message });
    };
    let Some(_claim) = store.claim(id, cancel, wait)? else { return Err(Error::Interrupted) };
    if let Some(image) = store.find_id(id) {
        return Ok(image);
    }
    let staging = Staging::new(store.staging(id))?;
    let free_mib = || host::free_disk_mib(store.folder());
    let disk_full = |free_mib| Error::DiskFull { folder: store.folder().to_owned(), needed_mib, free_mib };
    let free = free_mib().unwrap_or(u64::MAX);
    if free < needed_mib {
        return Err(disk_full(free));
    }
    work(&staging.0)
        .map_err(|error| if is_full(&error) { disk_full(free_mib().unwrap_or_default()) } else { error })?;

    let target = store.folder().join(id);
    // A folder without a manifest is what an interrupted removal left.
    file::remove_folder(&target)?;
    fs::rename(staging.0.join(IMAGE), &target).map_err(file::Error::new("move the new image to", &target))?;
    store.find_id(id).ok_or_else(|| Error::io("find the new image")(std::io::ErrorKind::NotFound.into()))
}

/// A program that ran out of space only says so in its own words.
fn is_full(error: &Error) -> bool {
    match error {
        Error::File(error) => error.is_full(),
        Error::Step { source, .. } => is_out_of_space(&source.to_string()),
        _ => false,
    }
}

pub(crate) fn is_out_of_space(said: &str) -> bool {
    ["No space left on device", "Disk quota exceeded", "enough free space", "Could not allocate block"]
        .iter()
        .any(|words| said.contains(words))
}

/// The folder a build works in; gone when the build is over, however it ends.
struct Staging(PathBuf);

impl Staging {
    fn new(folder: PathBuf) -> Result<Self, Error> {
        let staging = Self(folder);
        staging.clear()?;
        file::create_folder(&staging.0.join(IMAGE))?;
        Ok(staging)
    }

    /// Files in the root belong to users that only exist in the build's namespaces, so they are removed in such.
    fn clear(&self) -> Result<(), Error> {
        if !self.0.exists() {
            return Ok(());
        }
        let remove = Command::new("rm").args(["-rf", "--one-file-system", "--"]).arg(&self.0);
        namespace::fresh(Network::Shared, &remove).run().map_err(Error::step("clear the staging folder"))?;
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // The next build clears what cannot be removed now, and the error that led here matters more.
        let _ = self.clear();
    }
}
