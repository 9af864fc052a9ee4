//! All labs of this user, whatever files they are of.

use engine::{Place, Site};
use lab::Folder;
use plan::Plan;
use system::cancel::Cancel;

use crate::{cli, failure::Failure, output, settings::Settings};

/// The labs that were started, with what each was started as. One that cannot be read is told and left out.
pub(crate) fn all(
    place: cli::Place,
    settings: &Settings,
    cancel: &Cancel,
) -> Result<Vec<(Site, Plan)>, Failure> {
    settings.check_state()?;
    let place = match place {
        cli::Place::Private => Place::Private,
        cli::Place::System => Place::System,
    };
    let read = |folder: Folder| {
        let site = Site { place, folder, cache: settings.cache.clone() };
        match site.as_started(cancel) {
            Ok(plan) => Some((site, plan?)),
            Err(error) => {
                let (id, why) = (site.folder.id(), Failure::from(error).message());
                output::words(format_args!("warning: the lab {id} is left out: {why}\n"));
                None
            }
        }
    };
    Ok(Folder::all(&settings.state).into_iter().filter_map(read).collect())
}
