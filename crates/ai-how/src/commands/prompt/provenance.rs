//! Where figures come from: of which machine they are, and how fast each run was without load time. The columns of results have
//! no place for it, so it stands in a file beside them.

use std::{collections::BTreeMap, path::PathBuf};

use appliance::{matrix::Combination, results::Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use system::file;

use super::results::ResultsFile;
use crate::{exit, failure::Failure};

/// What is known beyond the columns.
pub(super) struct Provenance {
    path: PathBuf,
    known: Known,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    /// What figures depend on.
    machine: BTreeMap<String, Value>,
    /// Tokens a second without load time, by when a run ended and its settings.
    #[serde(default)]
    without_load: BTreeMap<String, f64>,
}

impl Provenance {
    /// What is beside these results, which are gone on from with this machine.
    ///
    /// # Errors
    /// They are of another machine: figures of both would look as if they were of one. Or nothing can be written there.
    pub(super) fn open(results: &ResultsFile, machine: BTreeMap<String, Value>) -> Result<Self, Failure> {
        let path = results.path().with_extension("machine.json");
        let known = file::read(&path).ok().and_then(|text| serde_json::from_str::<Known>(&text).ok());
        // Results that somebody else wrote have nothing beside them, and empty ones are nobody's.
        let known = known.filter(|_| !results.rows().is_empty()).unwrap_or_default();
        let other = known.machine.iter().filter(|(key, value)| machine.get(*key) != Some(value));
        let other: Vec<String> = other
            .map(|(key, value)| {
                let here = machine.get(key).cloned().unwrap_or_default();
                format!("{key} is {value} there and {here} here")
            })
            .collect();
        if !other.is_empty() {
            let (path, other) = (results.path().display(), other.join(", "));
            let message =
                format!("{path} has figures of another machine: {other}. Name another file with --results");
            return Err(Failure::new(exit::USAGE, message));
        }
        let provenance = Self { path, known: Known { machine, ..known } };
        provenance.write()?;
        Ok(provenance)
    }

    /// How fast a run was without load time, if that is known.
    pub(super) fn without_load(&self, combination: &Combination, row: &Row) -> Option<f64> {
        self.known.without_load.get(&key(combination, row)).copied()
    }

    /// Notes how fast a run was without load time.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn note(
        &mut self,
        combination: &Combination,
        row: &Row,
        rate: Option<f64>,
    ) -> Result<(), Failure> {
        let Some(rate) = rate else { return Ok(()) };
        self.known.without_load.insert(key(combination, row), rate);
        self.write()
    }

    fn write(&self) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(&self.known).map_err(Failure::environment)?;
        Ok(file::write(&self.path, format!("{text}\n").as_bytes())?)
    }
}

fn key(combination: &Combination, row: &Row) -> String {
    format!("{} {}", row.timestamp, combination.label())
}
