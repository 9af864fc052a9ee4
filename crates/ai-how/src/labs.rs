//! All labs of this user, whatever files they are of.

use std::{fs, path::Path};

use engine::{Place, Site};
use lab::Folder;
use plan::Plan;
use report::terminal::Verbosity;
use system::{cancel::Cancel, file};

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

/// Where a lab's folder has the path of the config file that it is of.
const FILE: &str = "file";

/// Writes down which file a lab is of, for people who look for it.
pub(crate) fn remember_file(site: &Site, file: &Path) -> Result<(), Failure> {
    let path = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    Ok(file::write(&site.folder.path().join(FILE), path.as_os_str().as_encoded_bytes())?)
}

/// Tells of labs with the name of one that is not there: its file may have been moved, or rendered to another place.
pub(crate) fn tell_namesakes(site: &Site, settings: &Settings) {
    // The name of the lab, and the hash of its file's path.
    let name = |folder: &Folder| folder.id().rsplit_once('-').map(|(name, _)| name.to_owned());
    let wanted = name(&site.folder);
    if site.folder.path().exists() || settings.verbosity == Verbosity::Quiet {
        return;
    }
    for folder in Folder::all(&settings.state).into_iter().filter(|folder| name(folder) == wanted) {
        let file = fs::read(folder.path().join(FILE)).unwrap_or_default();
        let file = String::from_utf8_lossy(&file).into_owned();
        let of = if file.is_empty() { "another file".to_owned() } else { file };
        output::words(format_args!("note: this file has no lab; {} is that of {of}\n", folder.id()));
    }
}
