//! Taking over machines of another tool: their disks become disks of ours, and stay where they are, too.

use std::path::{Path, PathBuf};

use plan::{Plan, model::NodePlan};
use system::{file, process::Command};

use crate::{Error, Scope, Site, base::base_note, own_image};

/// A machine that is taken over.
#[derive(Debug, Clone)]
pub struct Taken<'a> {
    /// The node that it becomes.
    pub node: &'a NodePlan,
    /// Its disk so far, which nobody may be using.
    pub volume: PathBuf,
}

impl Site {
    /// Copies the disks of machines, with all that they lie on, so that the lab needs nothing of the other tool any more.
    /// `recorded` is what the lab was made as so far.
    ///
    /// # Errors
    /// A node has a disk already or boots no image of the user's, or a volume is used, missing or no qcow2 file. Disks that
    /// were copied until then stay.
    pub fn take_over(
        &self,
        plan: &Plan,
        recorded: Option<&Plan>,
        machines: &[Taken<'_>],
        told: &dyn Fn(&Taken<'_>),
    ) -> Result<(), Error> {
        self.folder.create()?;
        for taken in machines {
            let (node, folder) = (taken.node, self.folder.path());
            let disk = folder.join(&node.disk);
            if disk.exists() {
                return Err(Error::HasDisk { node: node.label.clone(), disk });
            }
            let base = own_image(node)?;
            copy_volume(&taken.volume, &disk, || {
                Ok(file::write(&base_note(folder, node), base.identity.as_bytes())?)
            })?;
            told(taken);
        }
        let domains = machines.iter().map(|taken| taken.node.domain.clone()).collect();
        self.write_plan(&Scope::Nodes(domains).merge(recorded, plan))
    }
}

/// Half a disk is never taken for a whole one.
fn copy_volume(volume: &Path, disk: &Path, note: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
    let part = disk.with_extension("part");
    // QEMU's own lock keeps this from reading a disk that a machine writes to.
    let convert = Command::new("qemu-img").args(["convert", "-q", "-f", "qcow2", "-O", "qcow2"]);
    convert.arg(volume).arg(&part).run()?;
    note()?;
    Ok(std::fs::rename(&part, disk).map_err(file::Error::new("name the disk", disk))?)
}
