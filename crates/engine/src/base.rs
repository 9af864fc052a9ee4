//! Which base a node's disk lies on: written down beside it, since an overlay on anything else is a broken file system.

use std::path::PathBuf;

use image::Base;
use plan::model::NodePlan;
use system::file;

use crate::{Error, Session};

impl Session {
    /// Writes down what a disk that is about to be made lies on.
    pub(crate) fn note_base(&self, node: &NodePlan, base: &Base) -> Result<(), Error> {
        Ok(file::write(&self.base_note(node), base.identity.as_bytes())?)
    }

    /// Refuses a disk whose base is another one by now.
    pub(crate) fn check_base(&self, node: &NodePlan, base: &Base) -> Result<(), Error> {
        // Disks were made before this was written down.
        let noted = file::read(&self.base_note(node)).unwrap_or_else(|_| base.identity.clone());
        if noted == base.identity {
            return Ok(());
        }
        Err(Error::OtherBase { node: node.label.clone(), base: base.disk.clone() })
    }

    pub(crate) fn base_note(&self, node: &NodePlan) -> PathBuf {
        self.folder().join(&node.disk).with_extension("base")
    }
}
