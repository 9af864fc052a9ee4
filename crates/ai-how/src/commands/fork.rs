//! `ai-how cluster fork`.

use system::cancel::Cancel;

use super::snapshot::Work;
use crate::{
    cli::{Format, Lab},
    failure::Failure,
    settings::Settings,
};

/// Starts forks of the lab that runs, and leaves them running.
pub(crate) fn run(
    names: &[String],
    lab: &Lab,
    format: Format,
    settings: &Settings,
    cancel: &Cancel,
) -> Result<u8, Failure> {
    names.iter().try_for_each(|name| engine::check_name(name))?;
    let work = Work { verb: "fork", lab, format, settings, cancel };
    work.on_running(|session, start, run| {
        for mut fork in session.fork(names, start, run.sink(), cancel)? {
            fork.keep()?;
        }
        Ok(format!(
            "{} of the lab",
            if names.len() == 1 { "one fork".to_owned() } else { format!("{} forks", names.len()) }
        ))
    })
}
