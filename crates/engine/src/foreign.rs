//! Nodes that boot an image of somebody else's. No agent of ours is in them, and nothing of them is known beforehand: a seed
//! tells them who they are, and they are ready when they take connections on SSH's port.

use std::time::Duration;

use plan::model::NodePlan;
use system::{environment, file, process::Command};

use crate::{Error, Session};

/// SSH's port.
const PORT: &str = "22";

/// How long one attempt to connect may take.
const ATTEMPT: Duration = Duration::from_secs(5);

impl Session {
    /// Makes the disk that such a node reads who it is from, in cloud-init's form; nothing for others.
    pub(crate) fn make_seed(&self, node: &NodePlan, authorized_key: &str) -> Result<(), Error> {
        let Some(seed) = node.seed() else { return Ok(()) };
        let disk = self.folder().join(seed);
        let files = disk.with_extension("seed");
        file::create_folder(&files)?;
        for (name, content) in render::seed(node, authorized_key) {
            file::write(&files.join(name), content.as_bytes())?;
        }
        file::remove_file(&disk)?;
        let make = Command::new("xorriso").args(["-as", "mkisofs", "-quiet", "-joliet", "-rock", "-volid"]);
        make.arg(render::SEED_LABEL).arg("-output").arg(&disk).arg(&files).run()?;
        Ok(file::remove_folder(&files)?)
    }

    /// Whether a node takes connections on SSH's port.
    pub(crate) fn answers(&self, node: &NodePlan) -> bool {
        let Ok(program) = environment::current_program() else { return false };
        let mut words = self.enter();
        words.extend([program.into(), "lab-connect".into(), node.address().to_string().into(), PORT.into()]);
        Command::new_from(words).deadline(ATTEMPT).output().is_ok_and(|output| output.code == 0)
    }
}
