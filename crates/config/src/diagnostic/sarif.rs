//! Diagnostics as a SARIF 2.1.0 log, for code scanning services and editors.

use serde_json::{Value as Json, json};

use super::lines::{end_of, text_of};
use super::{Code, Diagnostic, Report, Severity, Span};

/// One log with one run for all files, pretty-printed.
#[must_use]
pub fn render(reports: &[Report<'_>]) -> String {
    let results: Vec<_> = reports.iter().flat_map(results).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "ai-how",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": Code::ALL.iter().map(|code| rule(*code)).collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{log:#}\n")
}

fn rule(code: Code) -> Json {
    json!({ "id": code.as_str(), "shortDescription": { "text": code.summary() } })
}

fn results(report: &Report<'_>) -> Vec<Json> {
    let text = text_of(report.source.bytes);
    report.loaded.diagnostics.iter().map(|found| result(report.source.name, &text, found)).collect()
}

fn result(file: &str, text: &str, found: &Diagnostic) -> Json {
    let mut message = found.message.clone();
    for part in [&found.cause, &found.help].into_iter().flatten() {
        message.push_str(". ");
        message.push_str(part);
    }
    let mut result = json!({
        "ruleId": found.code.as_str(),
        "ruleIndex": Code::ALL.iter().position(|code| *code == found.code),
        "level": match found.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        "message": { "text": message },
        "locations": [location(file, text, found.span)],
    });
    if let Some(label) = &found.secondary {
        let mut related = location(file, text, label.span);
        related["message"] = json!({ "text": label.text });
        result["relatedLocations"] = json!([related]);
    }
    result
}

fn location(file: &str, text: &str, span: Span) -> Json {
    let (end_line, end_column) = end_of(text, span);
    json!({ "physicalLocation": {
        "artifactLocation": { "uri": uri(file) },
        "region": {
            "startLine": span.line, "startColumn": span.column, "endLine": end_line, "endColumn": end_column,
        },
    } })
}

/// A path as a relative or absolute URI reference.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_' | b'~') {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn paths_become_uris() {
        assert_eq!(uri("config/my lab.yaml"), "config/my%20lab.yaml");
        assert_eq!(uri("größe:1"), "gr%C3%B6%C3%9Fe%3A1");
    }
}
