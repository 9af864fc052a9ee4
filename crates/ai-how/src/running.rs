//! The lab that a command works on and leaves running.

use engine::{Session, Site};
use lab::accelerator::{self, Verdict};
use plan::Plan;
use system::{cancel::Cancel, file::Lock};

use crate::{cli, commands::cluster, document, failure::Failure, settings::Settings};

/// A lab that runs, which no other command changes meanwhile.
pub(crate) struct Running {
    /// Where it is.
    pub(crate) site: Site,
    /// The way into it.
    pub(crate) session: Session,
    /// What runs, whatever its file says by now.
    pub(crate) plan: Plan,
    /// How machines run here.
    pub(crate) verdict: Verdict,
    _lock: Lock,
}

impl Running {
    /// Finds the lab of a file.
    pub(crate) fn find(lab: &cli::Lab, settings: &Settings, cancel: &Cancel) -> Result<Self, Failure> {
        let (plan, site) = document::site(lab, settings)?;
        let absent = || engine::Error::NotRunning { lab: site.folder.id() };
        // The lock makes the lab's folder, and a lab that was never started has none.
        if !site.folder.path().exists() {
            return Err(absent().into());
        }
        let lock = cluster::lock(&site)?;
        let session = site.find(cancel)?.ok_or_else(absent)?;
        let plan = session.plan(&plan)?.ok_or_else(absent)?;
        let verdict = accelerator::probe(&settings.cache, plan.archs(), cancel)?;
        Ok(Self { site, session, plan, verdict, _lock: lock })
    }
}
