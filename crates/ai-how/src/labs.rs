//! All labs of this user, whatever files they are of.

use std::{
    ffi::OsString,
    fs,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use engine::Site;
use lab::Folder;
use plan::Plan;
use report::terminal::Verbosity;
use system::{cancel::Cancel, file};

use crate::{
    cli,
    failure::Failure,
    output,
    settings::{Settings, engine_place},
};

/// The labs that were started, with what each was started as. One that cannot be read is told and left out.
pub(crate) fn all(
    place: cli::Place,
    settings: &Settings,
    cancel: &Cancel,
) -> Result<Vec<(Site, Plan)>, Failure> {
    settings.check_state()?;
    let read = |folder: Folder| {
        let site = Site { place: engine_place(place), folder, cache: settings.cache.clone() };
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
    // What comes through a pipe has no place.
    let Ok(path) = fs::canonicalize(file) else { return Ok(()) };
    Ok(file::write(&site.folder.path().join(FILE), path.as_os_str().as_encoded_bytes())?)
}

/// Which file a lab is of; its identity where nobody has written that down.
pub(crate) fn file_of(folder: &Folder) -> PathBuf {
    match fs::read(folder.path().join(FILE)) {
        Ok(path) if !path.is_empty() => PathBuf::from(OsString::from_vec(path)),
        _ => PathBuf::from(folder.id()),
    }
}

/// Tells of labs with the name of one that is not there: its file may have been moved, or rendered to another place.
pub(crate) fn tell_namesakes(site: &Site, settings: &Settings) {
    let wanted = site.folder.lab_name();
    if site.folder.path().exists() || settings.verbosity == Verbosity::Quiet {
        return;
    }
    for folder in Folder::all(&settings.state).into_iter().filter(|folder| folder.lab_name() == wanted) {
        let file = file_of(&folder);
        output::words(format_args!(
            "note: this file has no lab; {} is that of {}\n",
            folder.id(),
            file.display()
        ));
    }
}
