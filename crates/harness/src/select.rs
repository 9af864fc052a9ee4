//! Choosing checks by name: all of them, a suite, or one check.

use crate::{
    Suites,
    suite::{Check, Suite},
};

/// Checks to run, by suite, in the order in which they run.
#[derive(Debug, Clone)]
pub struct Selection<'a>(pub(crate) Vec<(&'a Suite, Vec<&'a Check>)>);

/// A name that does not tell what to run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing has this name.
    #[error("there is no {what} named `{name}`{hint} (`list-tests` lists them)")]
    Unknown {
        /// `suite`, `check`.
        what: &'static str,
        /// As it was asked for.
        name: String,
        /// What was probably meant; may be empty.
        hint: String,
    },
    /// Checks of several suites have this name.
    #[error("`{name}` is in several suites: say {}", candidates.join(" or "))]
    Ambiguous {
        /// As it was asked for.
        name: String,
        /// Each as `suite/check`.
        candidates: Vec<String>,
    },
}

impl Suites {
    /// Every check of every suite.
    pub fn all(&self) -> Selection<'_> {
        Selection(self.iter().map(whole).collect())
    }

    /// Every check of the suites that are not thorough.
    pub fn brief(&self) -> Selection<'_> {
        Selection(self.iter().filter(|suite| !suite.thorough).map(whole).collect())
    }

    /// Every check of one suite.
    ///
    /// # Errors
    /// There is no such suite.
    pub fn suite(&self, name: &str) -> Result<Selection<'_>, Error> {
        let suite = self.iter().find(|suite| suite.name == name).ok_or_else(|| Error::Unknown {
            what: "suite",
            name: name.to_owned(),
            hint: suggestion(name, self.iter().map(|suite| suite.name.as_str())),
        })?;
        Ok(Selection(vec![whole(suite)]))
    }

    /// One check, by `check` where only one suite has it, or `suite/check`.
    ///
    /// # Errors
    /// There is no such check, or several suites have it.
    pub fn check(&self, name: &str) -> Result<Selection<'_>, Error> {
        let every = || self.iter().flat_map(|suite| suite.checks.iter().map(move |check| (suite, check)));
        let found: Vec<_> =
            every().filter(|(suite, check)| check.name == name || path(suite, check) == name).collect();
        match found[..] {
            [(suite, check)] => Ok(Selection(vec![(suite, vec![check])])),
            [] => {
                let paths: Vec<String> = every().map(|(suite, check)| path(suite, check)).collect();
                let names =
                    every().map(|(_, check)| check.name.as_str()).chain(paths.iter().map(String::as_str));
                Err(Error::Unknown { what: "check", name: name.to_owned(), hint: suggestion(name, names) })
            }
            _ => Err(Error::Ambiguous {
                name: name.to_owned(),
                candidates: found.iter().map(|(suite, check)| path(suite, check)).collect(),
            }),
        }
    }
}

impl<'a> Selection<'a> {
    /// The same without destructive checks.
    pub(crate) fn harmless(&self) -> Self {
        let of = |(suite, checks): &(&'a Suite, Vec<&'a Check>)| {
            (*suite, checks.iter().copied().filter(|check| !check.destructive).collect())
        };
        Self(self.0.iter().map(of).collect())
    }

    /// Each check with its suite.
    pub fn checks(&self) -> impl Iterator<Item = (&'a Suite, &'a Check)> {
        self.0.iter().flat_map(|(suite, checks)| checks.iter().map(|check| (*suite, *check)))
    }
}

fn whole(suite: &Suite) -> (&Suite, Vec<&Check>) {
    (suite, suite.checks.iter().collect())
}

fn path(suite: &Suite, check: &Check) -> String {
    format!("{}/{}", suite.name, check.name)
}

/// `; did you mean ...?` when one of `known` is close to `name`, else nothing.
pub(crate) fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = known.into_iter().map(|known| (strsim::damerau_levenshtein(name, known), known));
    near.min_by_key(|(distance, _)| *distance)
        .filter(|(distance, known)| *distance <= known.len() / 3)
        .map_or_else(String::new, |(_, known)| format!("; did you mean `{known}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn names(selection: &Selection<'_>) -> Vec<String> {
        selection.checks().map(|(suite, check)| path(suite, check)).collect()
    }

    #[test]
    fn checks_are_found_by_name_and_by_path() {
        let suites = fixture::suites();
        assert_eq!(names(&suites.check("hostname").unwrap()), ["one/hostname"]);
        assert_eq!(names(&suites.check("two/shared").unwrap()), ["two/shared"]);
        assert_eq!(names(&suites.suite("two").unwrap()), ["two/shared", "two/alone"]);
    }

    #[test]
    fn thorough_suites_are_not_brief() {
        let text = "name: long\ndescription: d\nkinds: [slurm]\nthorough: true\nchecks:\n  - {name: a, description: d, on: each, timeout: 5, run: 'true'}\n";
        let short = text.replace("long", "short").replace("thorough: true\n", "");
        let suites = fixture::suites_from(&[("long", text, ""), ("short", &short, "")]);
        assert_eq!(names(&suites.brief()), ["short/a"]);
        assert_eq!(names(&suites.all()), ["long/a", "short/a"]);
    }

    #[test]
    fn what_is_meant_is_suggested() {
        let suites = fixture::suites();
        let said = suites.check("hostnmae").unwrap_err().to_string();
        assert!(said.contains("did you mean `hostname`?"), "{said}");
        let said = suites.suite("tow").unwrap_err().to_string();
        assert!(said.starts_with("there is no suite named `tow`"), "{said}");
        let said = suites.check("shared").unwrap_err().to_string();
        assert!(said.contains("say one/shared or two/shared"), "{said}");
    }
}
