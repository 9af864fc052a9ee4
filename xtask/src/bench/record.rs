//! The samples of a benchmark, and the JSON they become.

use serde::Serialize;

use super::figures::{FIGURES, Figure, Judged, named};
use super::machine::Machine;
use super::statistics::Summary;
use crate::Failure;

/// The version of the JSON. A reader refuses a newer one.
const FORMAT: u32 = 1;

/// One measurement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Sample {
    /// Counts the runs from 1. Samples of one run belong together.
    pub(crate) run: u32,
    /// The node it belongs to, if it belongs to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<String>,
    pub(crate) value: f64,
}

/// All samples so far.
#[derive(Debug, Default)]
pub(crate) struct Record {
    samples: Vec<(&'static Figure, Sample)>,
}

impl Record {
    /// Adds a sample of a figure.
    pub(crate) fn add(&mut self, name: &str, run: u32, value: f64) -> Result<(), Failure> {
        self.put(name, Sample { run, node: None, value })
    }

    /// Adds a sample that belongs to a node.
    pub(crate) fn add_node(&mut self, name: &str, run: u32, node: &str, value: f64) -> Result<(), Failure> {
        self.put(name, Sample { run, node: Some(node.to_owned()), value })
    }

    fn put(&mut self, name: &str, sample: Sample) -> Result<(), Failure> {
        let figure = named(name).ok_or_else(|| format!("there is no figure {name}"))?;
        self.samples.push((figure, sample));
        Ok(())
    }

    /// Adds `a / b` of one run: what was measured side by side is compared side by side.
    pub(crate) fn add_ratio(&mut self, name: &str, run: u32, a: &str, b: &str) -> Result<(), Failure> {
        if let (Some(a), Some(b)) = (self.value(a, run), self.value(b, run)) {
            self.add(name, run, a / b)?;
        }
        Ok(())
    }

    fn value(&self, name: &str, run: u32) -> Option<f64> {
        let mut found =
            self.samples.iter().filter(|(figure, sample)| figure.name == name && sample.run == run);
        found.next().map(|(_, sample)| sample.value)
    }

    /// Every figure that has samples, in the order of [`FIGURES`].
    pub(crate) fn results(&self) -> Vec<Measured> {
        let samples = |figure: &Figure| -> Vec<Sample> {
            let own = self.samples.iter().filter(|(other, _)| other.name == figure.name);
            own.map(|(_, sample)| sample.clone()).collect()
        };
        FIGURES.iter().filter_map(|figure| Measured::new(figure, samples(figure))).collect()
    }
}

/// One figure with all its samples.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    #[serde(flatten)]
    pub(crate) summary: Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<Verdict>,
    pub(crate) samples: Vec<Sample>,
}

/// A limit and whether it held.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) at_most: f64,
    /// `median` or `max`: what has to be at most that.
    pub(crate) judged: &'static str,
    pub(crate) held: bool,
}

impl Measured {
    fn new(figure: &Figure, samples: Vec<Sample>) -> Option<Self> {
        let values: Vec<f64> = samples.iter().map(|sample| sample.value).collect();
        let summary = Summary::of(&values)?;
        let limit = figure.limit.map(|limit| {
            let value = match limit.judged {
                Judged::Median => summary.median,
                Judged::Max => summary.max,
            };
            Verdict { at_most: limit.at_most, judged: limit.judged.name(), held: value <= limit.at_most }
        });
        Some(Self { name: figure.name, unit: figure.unit, summary, limit, samples })
    }

    /// Whether there is a limit and it did not hold.
    pub(crate) fn broken(&self) -> bool {
        self.limit.as_ref().is_some_and(|limit| !limit.held)
    }
}

/// The whole document.
#[derive(Debug, Serialize)]
pub(crate) struct Document {
    format: u32,
    /// When the benchmark began, UTC.
    started: String,
    /// How many runs were asked for.
    runs: u32,
    /// False when it failed or was interrupted on the way: what is there was measured, but it is not all.
    complete: bool,
    machine: Machine,
    pub(crate) figures: Vec<Measured>,
}

impl Document {
    pub(crate) fn new(started: String, runs: u32, complete: bool, machine: Machine, record: &Record) -> Self {
        Self { format: FORMAT, started, runs, complete, machine, figures: record.results() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_one_run() {
        let mut record = Record::default();
        for (run, ready, raw) in [(1, 20.0, 10.0), (2, 11.0, 10.0), (3, 30.0, 20.0)] {
            record.add("boot.raw-ready", run, raw).unwrap();
            record.add("boot.ready", run, ready).unwrap();
            record.add_ratio("boot.ratio", run, "boot.ready", "boot.raw-ready").unwrap();
        }
        let results = record.results();
        let ratio = results.iter().find(|figure| figure.name == "boot.ratio").unwrap();
        assert_eq!(ratio.summary, Summary { min: 1.1, median: 1.5, max: 2.0 });
        assert!(ratio.broken());
    }

    #[test]
    fn half_a_pair_has_no_ratio() {
        let mut record = Record::default();
        record.add("boot.ready", 1, 20.0).unwrap();
        record.add("boot.raw-ready", 2, 20.0).unwrap();
        record.add_ratio("boot.ratio", 1, "boot.ready", "boot.raw-ready").unwrap();
        assert!(record.results().iter().all(|figure| figure.name != "boot.ratio"));
    }

    #[test]
    fn times_are_judged_by_the_median_and_memory_by_the_largest() {
        let mut record = Record::default();
        for (run, seconds, memory) in [(1, 50.0, 390.0), (2, 55.0, 395.0), (3, 90.0, 401.0)] {
            record.add("image.wall", run, seconds).unwrap();
            record.add_node("node.memory", run, "controller", memory).unwrap();
        }
        let results = record.results();
        let broken = |name: &str| results.iter().find(|figure| figure.name == name).unwrap().broken();
        assert!(!broken("image.wall"));
        assert!(broken("node.memory"));
    }

    #[test]
    fn the_json_has_its_stable_shape() {
        let mut record = Record::default();
        record.add("image.cpu", 1, 2.0).unwrap();
        record.add_node("node.memory", 1, "controller", 300.0).unwrap();
        let json = serde_json::to_value(record.results()).unwrap();
        let expected = serde_json::json!([
            {
                "name": "image.cpu", "unit": "s", "min": 2.0, "median": 2.0, "max": 2.0,
                "samples": [{"run": 1, "value": 2.0}],
            },
            {
                "name": "node.memory", "unit": "MiB", "min": 300.0, "median": 300.0, "max": 300.0,
                "limit": {"at_most": 400.0, "judged": "max", "held": true},
                "samples": [{"run": 1, "node": "controller", "value": 300.0}],
            },
        ]);
        assert_eq!(json, expected);
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        assert!(Record::default().add("image.walls", 1, 1.0).is_err());
    }
}
