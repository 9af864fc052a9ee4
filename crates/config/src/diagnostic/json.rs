//! Diagnostics for programs. The shape is stable; keys may be added.
//!
//! ```json
//! {
//!   "file": "lab.yaml", "version": "2.0", "valid": false,
//!   "diagnostics": [{
//!     "code": "duplicate-address", "severity": "error", "message": "…",
//!     "line": 14, "column": 40, "end_line": 14, "end_column": 54, "start": 400, "end": 414,
//!     "cause": "…", "help": "…",
//!     "related": { "message": "first used here", "line": 13, "column": 40, … }
//!   }],
//!   "omitted": 0
//! }
//! ```
//!
//! `omitted` says how many more diagnostics there are than are listed.
//! `version`, `cause`, `help` and `related` are null when there is none. Lines and columns start at 1 and
//! count characters, `start` and `end` are bytes.

use serde_json::{Value as Json, json};

use super::lines::{end_of, text_of};
use super::{Diagnostic, Report, Span};

/// One file as a JSON object on one line, without a line end.
#[must_use]
pub fn render(report: &Report<'_>) -> String {
    value(report).to_string()
}

/// One file as a JSON value.
#[must_use]
pub fn value(report: &Report<'_>) -> Json {
    let text = text_of(report.source.bytes);
    let loaded = report.loaded;
    let diagnostics: Vec<_> = loaded.diagnostics.iter().map(|found| diagnostic(&text, found)).collect();
    json!({
        "file": report.source.name,
        "version": loaded.version.map(crate::Version::as_str),
        "valid": loaded.is_valid(),
        "diagnostics": diagnostics,
        "omitted": loaded.omitted,
    })
}

fn diagnostic(text: &str, found: &Diagnostic) -> Json {
    let mut value = json!({
        "code": found.code.as_str(),
        "severity": found.severity.as_str(),
        "message": found.message,
    });
    put_place(&mut value, text, found.span);
    value["cause"] = json!(found.cause);
    value["help"] = json!(found.help);
    value["related"] = found.secondary.as_ref().map_or(Json::Null, |label| {
        let mut related = json!({ "message": label.text });
        put_place(&mut related, text, label.span);
        related
    });
    value
}

fn put_place(value: &mut Json, text: &str, span: Span) {
    let (end_line, end_column) = end_of(text, span);
    value["line"] = json!(span.line);
    value["column"] = json!(span.column);
    value["end_line"] = json!(end_line);
    value["end_column"] = json!(end_column);
    value["start"] = json!(span.start);
    value["end"] = json!(span.end);
}
