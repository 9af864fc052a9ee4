//! What there is to run, for a person and for a program.

use std::fmt;

use serde::Serialize;

use crate::{Suites, suite::Place};

/// Every suite with its checks. `Display` is the list for a person, `Serialize` the one for a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// In the order in which they run.
    pub suites: Vec<ListedSuite>,
}

/// A suite in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedSuite {
    /// Its name.
    pub name: String,
    /// One line.
    pub description: String,
    /// The kinds of cluster it is for.
    pub kinds: Vec<String>,
    /// In the order of its file.
    pub checks: Vec<ListedCheck>,
}

/// A check in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedCheck {
    /// Its name.
    pub name: String,
    /// What is true when it passes.
    pub description: String,
    /// The nodes it runs on.
    pub on: Place,
    /// Whether it leaves a cluster broken, and so runs on a fork.
    pub destructive: bool,
    /// How many ways to break a cluster are known to turn it red.
    pub sabotages: usize,
}

impl Suites {
    /// What there is to run.
    pub fn list(&self) -> Listing {
        let suites = self.iter().map(|suite| ListedSuite {
            name: suite.name.clone(),
            description: suite.description.clone(),
            kinds: suite.kinds.clone(),
            checks: suite
                .checks
                .iter()
                .map(|check| ListedCheck {
                    name: check.name.clone(),
                    description: check.description.clone(),
                    on: check.on,
                    destructive: check.destructive,
                    sabotages: suite.sabotages.iter().filter(|sabotage| sabotage.check == check.name).count(),
                })
                .collect(),
        });
        Listing { suites: suites.collect() }
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checks = || self.suites.iter().flat_map(|suite| &suite.checks);
        let name = checks().map(|check| check.name.len()).max().unwrap_or(0);
        let on = checks().map(|check| check.on.name().len()).max().unwrap_or(0);
        for suite in &self.suites {
            writeln!(f, "{} ({} checks): {}", suite.name, suite.checks.len(), suite.description)?;
            for check in &suite.checks {
                let ruins = if check.destructive { " (on a fork)" } else { "" };
                let (place, description) = (check.on.name(), &check.description);
                writeln!(f, "  {:name$}  {place:on$}  {description}{ruins}", check.name)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture;

    #[test]
    fn a_person_reads_a_table() {
        let text = fixture::suites().list().to_string();
        assert!(text.starts_with("one (4 checks): The first\n  hostname"), "{text}");
        assert!(text.contains("\n  shared    each        Both have it\n"), "{text}");
    }

    #[test]
    fn a_program_reads_json() {
        let json = serde_json::to_value(fixture::suites().list()).unwrap();
        assert_eq!(json["suites"][0]["checks"][0]["name"], "hostname");
        assert_eq!(json["suites"][1]["checks"][1]["on"], "controller");
    }
}
