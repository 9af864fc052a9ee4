//! One template: its files, its record and its age.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use system::{clock, file};

use crate::{Error, FORMAT, Files, Key, digest::digest, files::ALL};

/// The record. A folder without it is no template.
pub(crate) const MANIFEST: &str = "template.json";

/// What a copy of the template is when it is resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A node that is ready and has no role yet.
    Node,
    /// A node with the roles of its cluster deployed on it.
    Deployed,
}

/// A template's own record, `template.json` beside its files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// The layout of the folder; see [`FORMAT`].
    pub format: u32,
    /// The key's hash, which is also the folder's name.
    pub id: String,
    /// What a copy is.
    pub kind: Kind,
    /// For people: `debian-13 1x768`.
    pub name: String,
    /// When it was made.
    pub made: Timestamp,
    /// How many seconds that took, from the start of the machine until it was frozen.
    pub seconds: f64,
    /// What it was made from.
    pub key: Key,
    /// The hash of every file beside the record, by name: 64 hexadecimal digits of BLAKE3 over its length and its
    /// blocks of 64 KiB that are not zero.
    pub files: BTreeMap<String, String>,
}

/// A frozen machine. Its files are never written to again.
#[derive(Debug, Clone)]
pub struct Template {
    /// Where it is.
    pub folder: PathBuf,
    /// What it is.
    pub manifest: Manifest,
}

impl Template {
    /// Reads a folder; `None` when it is no template, or one that this version does not know.
    pub(crate) fn open(folder: &Path) -> Option<Self> {
        let text = file::read(&folder.join(MANIFEST)).ok()?;
        let manifest: Manifest = serde_json::from_str(&text).ok()?;
        let named = folder.file_name().is_some_and(|name| *name == *manifest.id);
        // A key that does not give its id would let a machine resume that does not fit.
        let whole =
            manifest.key.id() == manifest.id && ALL.iter().all(|name| manifest.files.contains_key(*name));
        (manifest.format == FORMAT && named && whole).then(|| Self { folder: folder.to_owned(), manifest })
    }

    /// Its files.
    pub fn files(&self) -> Files {
        Files::of(&self.folder)
    }

    /// What the template takes on the disk, MiB, rounded up. Holes in the memory take nothing.
    pub fn size_mib(&self) -> u64 {
        file::allocated(&self.folder).div_ceil(1024 * 1024)
    }

    /// Reads all files again and compares them with what was written when the template was made.
    ///
    /// # Errors
    /// The first file that is damaged, gone or not readable.
    pub fn check(&self) -> Result<(), Error> {
        for (name, expected) in &self.manifest.files {
            let (id, path) = (self.manifest.id.clone(), self.folder.join(name));
            match digest(&path) {
                Ok(found) if found == *expected => {}
                Ok(_) => return Err(Error::Damaged { id, path }),
                Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
                    return Err(Error::Missing { id, path });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Says that the template is of use, so that others are removed before it. The time is kept as the record's
    /// modification time.
    pub fn mark_used(&self) {
        // Who may not write here (a cache of somebody else's) uses it all the same.
        let _ = File::open(self.folder.join(MANIFEST))
            .and_then(|manifest| manifest.set_modified(SystemTime::from(clock::now())));
    }

    /// When somebody last said that it is of use; when it was made, if that cannot be read.
    pub fn last_used(&self) -> Timestamp {
        let modified = fs::metadata(self.folder.join(MANIFEST)).and_then(|metadata| metadata.modified());
        modified.ok().and_then(|time| Timestamp::try_from(time).ok()).unwrap_or(self.manifest.made)
    }
}
