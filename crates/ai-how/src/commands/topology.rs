//! `ai-how topology`: a file's lab, or the labs that there are, as a tree.

use std::{collections::BTreeMap, path::Path};

use engine::{Place, Site};
use lab::Folder;
use plan::{
    Plan,
    topology::{self, Shown},
};
use system::cancel::Cancel;

use crate::{cli::Format, document, exit, failure::Failure, output, settings::Settings};

pub(crate) fn run(
    file: Option<&Path>,
    format: Format,
    settings: &Settings,
    cancel: &Cancel,
) -> Result<u8, Failure> {
    let labs = match file {
        Some(file) => vec![(document::plan(file, settings)?, BTreeMap::new())],
        None => there(settings, cancel)?,
    };
    if labs.is_empty() && format == Format::Text {
        output::words("there are no labs; `--config FILE` shows one that could be\n");
    }
    let shown: Vec<Shown<'_>> =
        labs.iter().map(|(plan, states)| Shown { plan, states: states.clone() }).collect();
    match format {
        Format::Text if labs.is_empty() => {}
        Format::Text => output::text(topology::text(&shown))?,
        Format::Json => output::json(&topology::json(&shown))?,
    }
    Ok(exit::OK)
}

/// What machines do, by domain.
type States = BTreeMap<String, String>;

/// The labs of this user, and what their machines do.
fn there(settings: &Settings, cancel: &Cancel) -> Result<Vec<(Plan, States)>, Failure> {
    let mut labs = Vec::new();
    for folder in Folder::all(&settings.state) {
        let site = Site { place: Place::Private, folder, cache: settings.cache.clone() };
        // One that cannot be read belongs to another version; it is not for this one to judge.
        let Ok(Some(plan)) = site.plan() else { continue };
        let nodes = engine::status(&site, &plan, cancel)?;
        labs.push((plan, nodes.into_iter().map(|node| (node.domain, node.state)).collect()));
    }
    Ok(labs)
}
