//! `ai-how topology`: a file's lab, or the labs that there are, as a tree.

use std::{collections::BTreeMap, path::Path};

use engine::Site;
use plan::{
    Plan,
    topology::{self, Shown},
};
use system::cancel::Cancel;

use crate::{
    cli::{Format, Place},
    document, exit,
    failure::Failure,
    labs, output,
    settings::Settings,
};

pub(crate) fn run(
    file: Option<&Path>,
    place: Place,
    format: Format,
    settings: &Settings,
    cancel: &Cancel,
) -> Result<u8, Failure> {
    let labs = match file {
        Some(file) => vec![(document::plan(file, settings)?, BTreeMap::new())],
        None => there(place, settings, cancel)?,
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
fn there(place: Place, settings: &Settings, cancel: &Cancel) -> Result<Vec<(Plan, States)>, Failure> {
    let with_states = |(site, plan): (Site, Plan)| {
        let nodes = engine::status(&site, &plan, cancel)?;
        Ok((plan, nodes.into_iter().map(|node| (node.domain, node.state)).collect()))
    };
    labs::all(place, settings, cancel)?.into_iter().map(with_states).collect()
}
