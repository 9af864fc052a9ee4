//! Reading suites: from the folder that is built into the program, or from one on disk.
//!
//! Everything wrong in every file is reported, each at its line and column, with the name that was probably meant.

use std::{
    collections::HashSet,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use include_dir::{Dir, include_dir};
use serde::{Deserialize, de::DeserializeOwned};
use serde_saphyr::{Location, Spanned};

use crate::{
    select::suggestion,
    suite::{Check, Expect, Need, Pattern, Place, Sabotage, Suite, Text},
    variables,
};

static EMBEDDED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../tests/suites");

/// The kinds of cluster a suite can be for.
const KINDS: [&str; 3] = ["slurm", "kubernetes", "appliance"];

/// The needs that are not the name of a check.
const CAPABILITIES: [&str; 4] = ["two-nodes", "two-computes", "time-limited-partition", "model"];

/// The order in which suites run, the ground before what stands on it; others come after these, by name.
const ORDER: [&str; 6] = [
    "basic-infrastructure",
    "slurm-controller",
    "slurm-compute",
    "slurm-jobs",
    "slurm-recovery",
    "appliance",
];

/// Suites, in the order in which they run.
#[derive(Debug, Clone)]
pub struct Suites(pub(crate) Vec<Suite>);

/// Suites that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A folder or file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// What was read.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] system::file::Error),
    /// There is no suite in it.
    #[error("no suite in {}: a suite is a folder with a suite.yaml (see docs/writing-checks.md)", .0.display())]
    Empty(PathBuf),
    /// What is wrong in the files, all of it.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Diagnostic>),
}

/// One thing that is wrong in a suite's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as it was asked for.
    pub file: String,
    /// From 1.
    pub line: u64,
    /// From 1.
    pub column: u64,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, message } = self;
        write!(f, "{file}:{line}:{column}: {message}")
    }
}

/// The text of one suite's folder.
struct Folder {
    name: String,
    /// `DIR/NAME`, for messages.
    path: String,
    suite: String,
    sabotage: Option<String>,
}

impl Suites {
    /// The suites that are built into the program.
    ///
    /// # Errors
    /// One of them is invalid; a test of this crate sees to it that none is.
    pub fn embedded() -> Result<Self, Error> {
        let text = |dir: &Dir<'_>, name: &str| {
            dir.get_file(dir.path().join(name)).and_then(|file| file.contents_utf8()).map(str::to_owned)
        };
        let folder = |dir: &Dir<'_>| {
            let name = dir.path().to_string_lossy().into_owned();
            let path = format!("tests/suites/{name}");
            Some(Folder { path, suite: text(dir, "suite.yaml")?, sabotage: text(dir, "sabotage.yaml"), name })
        };
        Self::parse(EMBEDDED.dirs().filter_map(folder).collect(), Path::new("tests/suites"))
    }

    /// The suites in a folder: one for each folder in it that has a `suite.yaml`.
    ///
    /// # Errors
    /// It cannot be read, has no suite, or one of them is invalid.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Read { path: folder.to_owned(), source };
        let mut folders = Vec::new();
        for entry in folder.read_dir().map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let (suite, sabotage) = (path.join("suite.yaml"), path.join("sabotage.yaml"));
            if !suite.is_file() {
                continue;
            }
            let sabotage = sabotage.is_file().then(|| system::file::read(&sabotage)).transpose()?;
            folders.push(Folder {
                name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                path: path.display().to_string(),
                suite: system::file::read(&suite)?,
                sabotage,
            });
        }
        Self::parse(folders, folder)
    }

    /// All of them, in the order in which they run.
    pub fn iter(&self) -> impl Iterator<Item = &Suite> {
        self.0.iter()
    }

    fn parse(mut folders: Vec<Folder>, root: &Path) -> Result<Self, Error> {
        let rank = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
        folders.sort_by(|a, b| (rank(&a.name), &a.name).cmp(&(rank(&b.name), &b.name)));
        let mut found = Vec::new();
        let suites: Vec<Suite> = folders.iter().filter_map(|folder| parse(folder, &mut found)).collect();
        if !found.is_empty() {
            return Err(Error::Invalid(found));
        }
        if suites.is_empty() { Err(Error::Empty(root.to_owned())) } else { Ok(Self(suites)) }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SuiteFile {
    name: Spanned<String>,
    description: String,
    kinds: Vec<Spanned<String>>,
    #[serde(default)]
    alone: bool,
    #[serde(default)]
    thorough: bool,
    checks: Vec<CheckFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct CheckFile {
    name: Spanned<String>,
    description: String,
    on: Spanned<Place>,
    timeout: Spanned<f64>,
    #[serde(default)]
    alone: Option<bool>,
    #[serde(default)]
    destructive: bool,
    #[serde(default)]
    needs: Vec<Spanned<String>>,
    run: Spanned<String>,
    #[serde(default)]
    expect: ExpectFile,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ExpectFile {
    exit: i32,
    stdout: TextFile,
    stderr: TextFile,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct TextFile {
    equals: Option<Spanned<String>>,
    contains: Vec<Spanned<String>>,
    lacks: Vec<Spanned<String>>,
    matches: Option<Spanned<String>>,
    lines: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SabotageFile {
    sabotages: Vec<SabotageEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SabotageEntry {
    check: Spanned<String>,
    title: String,
    on: Spanned<Place>,
    #[serde(rename = "break")]
    break_it: String,
    mend: Option<String>,
    settle: Option<String>,
}

/// Collects what is wrong in one file.
struct Reader<'a> {
    file: String,
    found: &'a mut Vec<Diagnostic>,
    /// Every cluster it is for has appliances and nothing else.
    appliances_only: bool,
}

impl Reader<'_> {
    fn complain(&mut self, at: Location, message: impl Into<String>) {
        self.found.push(Diagnostic {
            file: self.file.clone(),
            line: at.line().max(1),
            column: at.column().max(1),
            message: message.into(),
        });
    }

    fn yaml<T: DeserializeOwned>(&mut self, text: &str) -> Option<T> {
        match serde_saphyr::from_str(text) {
            Ok(value) => Some(value),
            Err(error) => {
                let error = error.without_snippet();
                self.complain(error.location().unwrap_or(Location::UNKNOWN), explain(error));
                None
            }
        }
    }

    fn name(&mut self, what: &str, name: &Spanned<String>) {
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.value.is_empty() || !name.value.chars().all(letters) {
            let message = format!("{what} `{}` must consist of a-z, 0-9 and -", name.value);
            self.complain(name.referenced, message);
        }
    }

    fn known(&mut self, what: &str, word: &Spanned<String>, known: &[&str]) {
        if !known.contains(&word.value.as_str()) {
            let hint = suggestion(&word.value, known.iter().copied());
            self.complain(word.referenced, format!("{what} `{}` is not known{hint}", word.value));
        }
    }

    /// A place where no node is would never be looked at, and nobody would be told.
    fn place(&mut self, place: &Spanned<Place>) -> Place {
        if self.appliances_only && place.value != Place::Each {
            let message = format!("no appliance is in `{}`, only in `each`", place.value.name());
            self.complain(place.referenced, message);
        }
        place.value
    }

    fn expected(&mut self, text: Spanned<String>) -> String {
        for name in variables::mentioned(&text.value) {
            if !variables::NAMES.contains(&name) {
                let hint = suggestion(name, variables::NAMES);
                self.complain(text.referenced, format!("there is no variable ${{{name}}}{hint}"));
            }
        }
        text.value
    }

    fn text(&mut self, text: TextFile) -> Text {
        let matches = text.matches.and_then(|text| {
            let at = text.referenced;
            Pattern::new(self.expected(text))
                .map_err(|error| self.complain(at, format!("not a regular expression: {error}")))
                .ok()
        });
        Text {
            equals: text.equals.map(|text| self.expected(text)),
            contains: text.contains.into_iter().map(|text| self.expected(text)).collect(),
            lacks: text.lacks.into_iter().map(|text| self.expected(text)).collect(),
            matches,
            lines: text.lines,
        }
    }

    fn check(&mut self, file: CheckFile, suite_alone: bool, earlier: &[Check]) -> Check {
        self.name("the check's name", &file.name);
        if earlier.iter().any(|check| check.name == file.name.value) {
            self.complain(file.name.referenced, format!("there are two checks named `{}`", file.name.value));
        }
        let timeout = Duration::try_from_secs_f64(file.timeout.value).unwrap_or_default();
        if timeout.is_zero() {
            self.complain(file.timeout.referenced, "a timeout is a number of seconds above 0");
        }
        if file.run.value.trim().is_empty() {
            self.complain(file.run.referenced, "there is nothing to run");
        }
        let alone = file.alone.unwrap_or(suite_alone);
        let destructive = file.destructive;
        let on = self.place(&file.on);
        let same = |other: &Check| other.on == on && (other.alone == alone || destructive);
        let needs = file.needs.iter().filter_map(|need| self.need(need, same, earlier)).collect();
        Check {
            name: file.name.value,
            description: file.description,
            on,
            timeout,
            alone,
            destructive,
            needs,
            run: file.run.value,
            expect: Expect {
                exit: file.expect.exit,
                stdout: self.text(file.expect.stdout),
                stderr: self.text(file.expect.stderr),
            },
        }
    }

    /// `same` tells whether an earlier check's result is known before this one's.
    fn need(
        &mut self,
        need: &Spanned<String>,
        same: impl Fn(&Check) -> bool,
        earlier: &[Check],
    ) -> Option<Need> {
        match need.value.as_str() {
            "two-nodes" => return Some(Need::TwoNodes),
            "two-computes" => return Some(Need::TwoComputes),
            "time-limited-partition" => return Some(Need::TimeLimitedPartition),
            "model" => return Some(Need::Model),
            _ => {}
        }
        let Some(check) = earlier.iter().find(|check| check.name == need.value) else {
            let known = earlier.iter().map(|check| check.name.as_str()).chain(CAPABILITIES);
            let hint = suggestion(&need.value, known);
            let message =
                format!("`{}` is neither an earlier check of this suite nor a capability{hint}", need.value);
            self.complain(need.referenced, message);
            return None;
        };
        if !same(check) || check.destructive {
            let message = format!(
                "`{}` must run on the same nodes as this check, be alone if it is, and not be destructive",
                need.value
            );
            self.complain(need.referenced, message);
        }
        Some(Need::Check(need.value.clone()))
    }
}

fn parse(folder: &Folder, found: &mut Vec<Diagnostic>) -> Option<Suite> {
    let mut reader = Reader { file: format!("{}/suite.yaml", folder.path), found, appliances_only: false };
    let file: SuiteFile = reader.yaml(&folder.suite)?;
    let appliances_only = !file.kinds.is_empty() && file.kinds.iter().all(|kind| kind.value == "appliance");
    reader.appliances_only = appliances_only;
    reader.name("the suite's name", &file.name);
    if file.name.value != folder.name {
        let message = format!("the suite `{}` is in a folder named `{}`", file.name.value, folder.name);
        reader.complain(file.name.referenced, message);
    }
    for kind in &file.kinds {
        reader.known("the kind of cluster", kind, &KINDS);
    }
    if file.checks.is_empty() {
        reader.complain(file.name.referenced, "a suite without checks proves nothing");
    }
    let mut checks = Vec::new();
    for check in file.checks {
        let check = reader.check(check, file.alone, &checks);
        checks.push(check);
    }
    let sabotages = folder.sabotage.as_ref().map_or_else(Vec::new, |text| {
        let mut reader = Reader { file: format!("{}/sabotage.yaml", folder.path), found, appliances_only };
        let file: Option<SabotageFile> = reader.yaml(text);
        sabotages(&mut reader, file.map_or_else(Vec::new, |file| file.sabotages), &checks)
    });
    Some(Suite {
        name: file.name.value,
        description: file.description,
        kinds: file.kinds.into_iter().map(|kind| kind.value).collect(),
        thorough: file.thorough,
        checks,
        sabotages,
    })
}

fn sabotages(reader: &mut Reader<'_>, entries: Vec<SabotageEntry>, checks: &[Check]) -> Vec<Sabotage> {
    let names: Vec<&str> = checks.iter().map(|check| check.name.as_str()).collect();
    let mut seen = HashSet::new();
    let read = |entry: SabotageEntry| {
        reader.known("the check", &entry.check, &names);
        if !seen.insert((entry.check.value.clone(), entry.title.clone())) {
            reader.complain(entry.check.referenced, "two sabotages of this check have the same title");
        }
        let check = checks.iter().find(|check| check.name == entry.check.value);
        match (check.is_some_and(|check| check.destructive), &entry.mend) {
            (false, None) => reader.complain(entry.check.referenced, "there is no `mend`"),
            (true, Some(_)) => {
                let message = "a fork on which a destructive check ran is not mended: leave `mend` out";
                reader.complain(entry.check.referenced, message);
            }
            _ => {}
        }
        Sabotage {
            on: reader.place(&entry.on),
            check: entry.check.value,
            title: entry.title,
            break_it: entry.break_it,
            mend: entry.mend,
            settle: entry.settle,
        }
    };
    entries.into_iter().map(read).collect()
}

/// The library's message, with the key that was probably meant.
fn explain(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error::{SerdeUnknownField, SerdeUnknownVariant};
    match error {
        SerdeUnknownField { field, expected, .. } => {
            format!("the key `{field}` is not known{}", suggestion(field, expected.iter().copied()))
        }
        SerdeUnknownVariant { variant, expected, .. } => {
            format!("`{variant}` is not known here{}", suggestion(variant, expected.iter().copied()))
        }
        // Everything else ends with its own position, which the diagnostic has already.
        other => {
            let text = other.to_string();
            text.rsplit_once(" at line ").map_or(text.clone(), |(message, _)| message.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
name: demo
description: A demonstration
kinds: [slurm]
checks:
  - name: first
    description: The first
    on: each
    timeout: 5
    run: hostname
    expect: {stdout: {equals: \"${NODE}\"}}
";

    fn load(suite: &str, sabotage: Option<&str>) -> Result<Suites, Error> {
        let folder = tempfile::tempdir().unwrap();
        let demo = folder.path().join("demo");
        system::file::create_folder(&demo).unwrap();
        system::file::write(&demo.join("suite.yaml"), suite.as_bytes()).unwrap();
        if let Some(text) = sabotage {
            system::file::write(&demo.join("sabotage.yaml"), text.as_bytes()).unwrap();
        }
        Suites::read(folder.path())
    }

    fn wrong(suite: &str, sabotage: Option<&str>) -> String {
        let Err(Error::Invalid(found)) = load(suite, sabotage) else { panic!("it was accepted:\n{suite}") };
        found.iter().map(|d| format!("{}:{}: {}", d.line, d.column, d.message)).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_good_suite_is_read() {
        let sabotage = "sabotages: [{check: first, title: t, on: each, break: 'true', mend: 'true'}]";
        let suites = load(GOOD, Some(sabotage)).unwrap();
        let suite = suites.iter().next().unwrap();
        assert_eq!((suite.name.as_str(), suite.checks.len(), suite.sabotages.len()), ("demo", 1, 1));
        assert!(!suite.checks[0].alone);
    }

    #[test]
    fn errors_point_at_their_place_and_help() {
        let cases = [
            (
                GOOD.replace("timeout:", "timeuot:"),
                "8:5: the key `timeuot` is not known; did you mean `timeout`?",
            ),
            (GOOD.replace("on: each", "on: eech"), "7:9: `eech` is not known here; did you mean `each`?"),
            (
                GOOD.replace("[slurm]", "[slrum]"),
                "3:9: the kind of cluster `slrum` is not known; did you mean `slurm`?",
            ),
            (GOOD.replace("${NODE}", "${NOED}"), "10:31: there is no variable ${NOED}; did you mean `NODE`?"),
            (GOOD.replace("equals: \"${NODE}\"", "matches: \"a(\""), "10:32: not a regular expression"),
            (GOOD.replace("timeout: 5", "timeout: -1"), "8:14: a timeout is a number of seconds above 0"),
            (GOOD.replace("name: demo", "name: other"), "1:7: the suite `other` is in a folder named `demo`"),
            (GOOD.replace("name: first", "name: First"), "5:11: the check's name `First` must consist of"),
            (GOOD.replace("run: hostname", "run: ''"), "9:10: there is nothing to run"),
            (
                GOOD.replace("    run:", "    needs: [frist]\n    run:"),
                "9:13: `frist` is neither an earlier check",
            ),
        ];
        for (suite, expected) in cases {
            let said = wrong(&suite, None);
            assert!(said.contains(expected), "expected {expected}\nin {said}");
        }
    }

    #[test]
    fn an_appliance_is_only_in_each() {
        let suite = GOOD.replace("[slurm]", "[appliance]");
        let sabotage = "sabotages:\n  - {check: first, title: t, on: controller, break: a, mend: b}";
        assert_eq!(wrong(&suite, Some(sabotage)), "2:34: no appliance is in `controller`, only in `each`");
        let said = wrong(&suite.replace("on: each", "on: compute"), None);
        assert_eq!(said, "7:9: no appliance is in `compute`, only in `each`");
        load(&suite.replace("[appliance]", "[appliance, slurm]").replace("on: each", "on: compute"), None)
            .unwrap();
    }

    #[test]
    fn a_missing_key_is_named() {
        let said = wrong(&GOOD.replace("    on: each\n", ""), None);
        assert!(said.contains("`on`"), "{said}");
    }

    #[test]
    fn a_sabotage_names_a_check() {
        let said = wrong(GOOD, Some("sabotages:\n  - {check: frist, title: t, on: each, break: a, mend: b}"));
        assert_eq!(said, "2:13: the check `frist` is not known; did you mean `first`?");
    }

    #[test]
    fn only_what_is_thrown_away_needs_no_mend() {
        let plain = "sabotages:\n  - {check: first, title: t, on: each, break: a}";
        assert_eq!(wrong(GOOD, Some(plain)), "2:13: there is no `mend`");
        let ruinous = GOOD.replace("    run:", "    destructive: true\n    run:");
        load(&ruinous, Some(plain)).unwrap();
        let said = wrong(&ruinous, Some(&plain.replace("break: a", "break: a, mend: b")));
        assert!(said.contains("leave `mend` out"), "{said}");
    }

    #[test]
    fn all_errors_are_told_at_once() {
        let said = wrong(&GOOD.replace("[slurm]", "[slrum]").replace("timeout: 5", "timeout: 0"), None);
        assert_eq!(said.lines().count(), 2, "{said}");
    }

    #[test]
    fn an_empty_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Suites::read(folder.path()), Err(Error::Empty(_))));
    }
}
