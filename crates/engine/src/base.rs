//! Which base a node's disk lies on: written down beside it, since an overlay on anything else is a broken file system.

use std::path::{Path, PathBuf};

use image::Base;
use plan::model::NodePlan;
use system::file;

use crate::{Error, Session};

impl Session {
    /// Writes down what a disk that is about to be made lies on.
    pub(crate) fn note_base(&self, node: &NodePlan, base: &Base) -> Result<(), Error> {
        Ok(file::write(&base_note(self.folder(), node), base.identity.as_bytes())?)
    }

    /// Refuses a disk whose base is another one by now.
    pub(crate) fn check_base(&self, node: &NodePlan, base: &Base) -> Result<(), Error> {
        // Disks were made before this was written down.
        let noted = file::read(&base_note(self.folder(), node)).unwrap_or_else(|_| base.identity.clone());
        if noted == base.identity || noted == NO_BASE {
            return Ok(());
        }
        Err(Error::OtherBase {
            node: node.label.clone(),
            base: base.disk.file().map(|(path, _)| path.to_owned()).unwrap_or_default(),
        })
    }
}

/// Written down of a disk that has everything in itself.
const NO_BASE: &str = "none";

/// Writes down that a disk which is about to be made lies on nothing.
pub(crate) fn note_no_base(folder: &Path, node: &NodePlan) -> Result<(), Error> {
    Ok(file::write(&base_note(folder, node), NO_BASE.as_bytes())?)
}

/// Where it is written down.
pub(crate) fn base_note(folder: &Path, node: &NodePlan) -> PathBuf {
    folder.join(&node.disk).with_extension("base")
}
