//! YAML text to a lab, or every diagnostic with its line.
//!
//! The way of a document, each step in a module of its own:
//!
//! ```text
//! bytes -> yaml (syntax, places) -> version -> expand (1.0) -> shape (schema) -> v1 | v2 (types)
//!       -> draft (both versions alike) -> check (meaning) -> settle -> model::Lab
//! ```
//!
//! All of it is pure: what depends on the surroundings comes in as a [`Context`].

mod check;
pub mod diagnostic;
mod draft;
pub mod edit;
mod expand;
pub mod hardware;
pub mod model;
pub mod nodes;
mod paths;
mod schema;
mod settle;
mod shape;
pub mod state;
mod suggest;
pub mod template;
pub mod v1;
pub mod v2;
mod version;
mod yaml;

use std::collections::BTreeMap;

use ipnet::Ipv4Net;

pub use diagnostic::{Code, Diagnostic, Label, Report, Severity, Span};
pub use expand::{ExpandError, expand};
pub use paths::{HostPath, PathKind};
pub use schema::{schema_v1, schema_v2, schemas};
pub use version::Version;
pub use yaml::{Entries, LARGEST, Lenient, Located};

use draft::Findings;
use yaml::{Dialect, Document, Resolved, Text, from_node};

/// Most diagnostics of one document that are listed.
const MOST_DIAGNOSTICS: usize = 500;

/// A document to load.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// What to call it: its path as the user gave it.
    pub name: &'a str,
    /// Its content.
    pub bytes: &'a [u8],
}

/// The surroundings that a document is loaded in.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The variables of `${}` in version 1.0: the environment, with `TOT`, `PWD`, `HOME` and `USER`.
    pub environment: BTreeMap<String, String>,
    /// What `$$` stands for.
    pub process_id: u32,
    /// The names of the images that can be built; without any, every name will do.
    pub images: Vec<String>,
    /// What the lab is to run on, when that is known.
    pub host: Option<HostFacts>,
    /// Makes warnings errors, apart from those about the host.
    pub strict: bool,
}

/// What a lab is to run on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// Processors.
    pub cpus: u64,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Free disk space where images live, GiB.
    pub free_disk_gib: u64,
    /// Networks of the host, with the name of the interface.
    pub subnets: Vec<(String, Ipv4Net)>,
}

/// What became of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The lab; none when there is an error.
    pub lab: Option<model::Lab>,
    /// The version, when the document names one that is understood.
    pub version: Option<Version>,
    /// The devices of the host that nodes want, in the order of the nodes; none where errors keep the document from being
    /// read so far.
    pub devices: Option<Vec<hardware::Wanted>>,
    /// What was found, in the order of the document.
    pub diagnostics: Vec<Diagnostic>,
    /// The files and directories of the host that the document names; see [`Loaded::look`].
    pub paths: Vec<HostPath>,
    /// How many more findings there are than are listed: no one reads the five-hundredth.
    pub omitted: usize,
}

impl Loaded {
    /// Whether the document is accepted.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.lab.is_some()
    }

    /// Adds what a look at the host says about the devices that nodes want. Version 1.0 lets a node want devices and name
    /// none, until devices are looked at.
    pub fn add_device_findings(&mut self, findings: Vec<Diagnostic>) {
        for found in self.diagnostics.iter_mut().filter(|found| found.code == Code::NoDevices) {
            found.severity = Severity::Error;
        }
        self.diagnostics.extend(findings);
        self.arrange();
    }

    /// Puts the findings in the order of the document. An error refuses it.
    fn arrange(&mut self) {
        self.diagnostics.sort_by_key(|found| (found.span.start, found.code));
        if self.diagnostics.iter().any(|found| found.severity == Severity::Error) {
            self.lab = None;
        }
        self.omitted += self.diagnostics.len().saturating_sub(MOST_DIAGNOSTICS);
        self.diagnostics.truncate(MOST_DIAGNOSTICS);
    }
}

/// Loads a document: a lab, or every reason why there is none.
#[must_use]
pub fn load(source: &Source<'_>, context: &Context) -> Loaded {
    let mut loaded = read(source.bytes, context).unwrap_or_else(|found| Loaded {
        lab: None,
        version: None,
        devices: None,
        diagnostics: vec![found],
        paths: Vec::new(),
        omitted: 0,
    });
    if context.strict {
        for found in loaded.diagnostics.iter_mut().filter(|found| !found.code.is_about_host()) {
            found.severity = Severity::Error;
        }
    }
    loaded.arrange();
    loaded
}

fn read(bytes: &[u8], context: &Context) -> Result<Loaded, Diagnostic> {
    let text = Text::new(bytes)?;
    let document = yaml::parse(&text)?;
    let core = document.resolve(Dialect::Core)?;
    let (version, found) = version::of(&core.root, &document)?;
    let mut findings = Findings::new(match version {
        Some(Version::V1) => Severity::Warning,
        Some(Version::V2) | None => Severity::Error,
    });
    findings.list.extend(found);
    let draft = match version {
        Some(Version::V1) => read_v1(&text, &document, context, &mut findings)?,
        Some(Version::V2) => read_v2(&text, core, &mut findings),
        None => None,
    };
    let devices = draft.as_ref().map(draft::Draft::wanted);
    let paths = draft.as_ref().map(paths::of).unwrap_or_default();
    let lab = draft.map(|draft| finish(draft, context, &mut findings));
    Ok(Loaded { lab, version, devices, diagnostics: findings.list, paths, omitted: 0 })
}

fn read_v1(
    text: &Text<'_>,
    document: &Document,
    context: &Context,
    findings: &mut Findings,
) -> Result<Option<draft::Draft>, Diagnostic> {
    let mut resolved = document.resolve(Dialect::Yaml11)?;
    findings.list.append(&mut resolved.findings);
    // The tool looks for variables only in files with at least one in braces.
    if text.as_str().contains("${") {
        expand::expand_values(&mut resolved.root, &context.environment, context.process_id, findings);
    }
    shape::check(text, &resolved.root, schema::validator_v1(), findings);
    let (document, unknown) = from_node::<v1::Document>(&resolved.root);
    shape::unknown_keys(unknown, findings);
    Ok(document.ok().map(|document| v1::lower(document, findings)))
}

fn read_v2(text: &Text<'_>, mut resolved: Resolved, findings: &mut Findings) -> Option<draft::Draft> {
    findings.list.append(&mut resolved.findings);
    shape::check(text, &resolved.root, schema::validator_v2(), findings);
    // The schema is closed, so it has named the unknown keys already.
    let (document, _) = from_node::<v2::Document>(&resolved.root);
    document.ok().map(|document| v2::lower(document, findings))
}

fn finish(draft: draft::Draft, context: &Context, findings: &mut Findings) -> model::Lab {
    check::check(&draft, context, findings);
    settle::settle(draft, context.host.as_ref())
}
