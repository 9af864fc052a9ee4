//! Taking over machines of another tool: their disks become disks of ours, and stay where they are, too.

use std::{
    fs,
    path::{Path, PathBuf},
};

use plan::{Plan, model::NodePlan};
use system::{file, process::Command};

use crate::{Error, Scope, Site, base::note_no_base, own_image};

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
    /// A node has a disk already or boots no image of the user's, or a volume is used, missing or no qcow2 file. Then nothing
    /// was taken over.
    pub fn take_over(
        &self,
        plan: &Plan,
        recorded: Option<&Plan>,
        machines: &[Taken<'_>],
        told: &dyn Fn(&Taken<'_>),
    ) -> Result<(), Error> {
        self.folder.create()?;
        let folder = self.folder.path();
        for Taken { node, .. } in machines {
            let disk = folder.join(&node.disk);
            if disk.exists() {
                return Err(Error::HasDisk { node: node.label.clone(), disk });
            }
            own_image(node)?;
        }
        let parts: Vec<PathBuf> =
            machines.iter().map(|taken| folder.join(&taken.node.disk).with_extension("part")).collect();
        let copied = machines.iter().zip(&parts).try_for_each(|(taken, part)| {
            copy_volume(&taken.volume, part)?;
            told(taken);
            Ok::<_, Error>(())
        });
        if let Err(error) = copied {
            parts.iter().try_for_each(|part| file::remove_file(part))?;
            return Err(error);
        }
        for (Taken { node, .. }, part) in machines.iter().zip(&parts) {
            let disk = folder.join(&node.disk);
            note_no_base(folder, node)?;
            fs::rename(part, &disk).map_err(file::Error::new("name the disk", &disk))?;
        }
        let domains = machines.iter().map(|taken| taken.node.domain.clone()).collect();
        self.write_plan(&Scope::Nodes(domains).merge(recorded, plan))
    }
}

/// Half a disk is never taken for a whole one, so it gets its name later.
fn copy_volume(volume: &Path, part: &Path) -> Result<(), Error> {
    // What a disk has lost is read as zeros otherwise. Space that it has lost track of is no damage: status 3.
    let check = Command::new("qemu-img").args(["check", "-q", "-f", "qcow2"]).arg(volume).output()?;
    if !matches!(check.code, 0 | 3) {
        let why = check.stderr.lines().next().unwrap_or("it has lost a part").to_owned();
        return Err(Error::Damaged { path: volume.to_owned(), why });
    }
    // QEMU's own lock keeps this from reading a disk that a machine writes to.
    let convert = Command::new("qemu-img").args(["convert", "-q", "-f", "qcow2", "-O", "qcow2"]);
    convert.arg(volume).arg(part).run()?;
    Ok(())
}
