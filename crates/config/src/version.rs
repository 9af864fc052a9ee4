//! Which version of the format a document is written in.

use std::fmt;

use crate::diagnostic::{Code, Diagnostic, Span};
use crate::draft::shown;
use crate::yaml::{Dialect, Document, Node, Value};

/// A version of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// `1.0`, the format of the Python tool.
    V1,
    /// `2.0`.
    V2,
}

impl Version {
    /// As it is written in a document.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "1.0",
            Self::V2 => "2.0",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The version a document names, with a finding when it does not do so properly.
///
/// A version that lacks its quotes is an error, but says well enough what the rest is meant to be.
pub(crate) fn of(
    root: &Node,
    document: &Document,
) -> Result<(Option<Version>, Option<Diagnostic>), Diagnostic> {
    let Value::Mapping(_) = root.value else {
        return Err(Diagnostic::error(
            Code::WrongType,
            first_of(root),
            format!("a config is a mapping, not {}", root.kind()),
        )
        .cause("it consists of keys like `version` and `clusters`, each with a colon behind it")
        .help("start with `version: \"2.0\"`; check that this is the right file"));
    };
    if let Some(node) = root.get("version") {
        return Ok(named(node));
    }
    // A merge key may bring it; only version 1.0 has those.
    let merged = document.resolve(Dialect::Yaml11)?.root;
    Ok(match merged.get("version") {
        Some(node) => named(node),
        None => (
            None,
            Some(
                Diagnostic::error(
                    Code::MissingVersion,
                    Span::START,
                    "the document does not say which version it is",
                )
                .cause("the key `version` decides how the rest is read")
                .help("add `version: \"2.0\"` as the first line"),
            ),
        ),
    })
}

fn named(node: &Node) -> (Option<Version>, Option<Diagnostic>) {
    let unquoted = |version: Version| {
        let found = Diagnostic::error(
            Code::UnquotedVersion,
            node.span,
            format!("`version` must be a text, not {}", node.kind()),
        )
        .cause("without quotes YAML reads it as a number")
        .help(format!("write version: \"{version}\""));
        (Some(version), Some(found))
    };
    match &node.value {
        Value::String(text) if text == "1.0" => (Some(Version::V1), None),
        Value::String(text) if text == "2.0" => (Some(Version::V2), None),
        Value::Float(1.0) | Value::Int(1) => unquoted(Version::V1),
        Value::Float(2.0) | Value::Int(2) => unquoted(Version::V2),
        other => {
            let written = match other {
                Value::String(text) => format!("`{}`", shown(text)),
                _ => node.kind().to_owned(),
            };
            let found = Diagnostic::error(
                Code::UnknownVersion,
                first_of(node),
                format!("the version {written} is not understood"),
            )
            .cause("there are the versions \"1.0\" and \"2.0\"")
            .help("write version: \"2.0\"");
            (None, Some(found))
        }
    }
}

/// A place that fits on a line: of a collection only its beginning.
fn first_of(node: &Node) -> Span {
    match node.value {
        Value::Sequence(_) | Value::Mapping(_) => Span { end: node.span.start, ..node.span },
        _ => node.span,
    }
}
