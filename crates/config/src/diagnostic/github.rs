//! Diagnostics as GitHub workflow commands, which show up as annotations of a pull request.

use std::fmt::Write as _;

use super::lines::{end_of, text_of};
use super::{Report, Severity};

/// One `::error` or `::warning` command per diagnostic, each on a line.
#[must_use]
pub fn render(report: &Report<'_>) -> String {
    let text = text_of(report.source.bytes);
    let mut out = String::new();
    for found in &report.loaded.diagnostics {
        let command = match found.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut message = found.message.clone();
        for (label, part) in [("cause", &found.cause), ("help", &found.help)] {
            if let Some(part) = part {
                let _ = write!(message, "\n{label}: {part}");
            }
        }
        if let Some(label) = &found.secondary {
            let _ = write!(message, "\nline {}: {}", label.span.line, label.text);
        }
        let (end_line, end_column) = end_of(&text, found.span);
        let _ = writeln!(
            out,
            "::{command} file={},line={},col={},endLine={end_line},endColumn={end_column},title={}::{}",
            property(report.source.name),
            found.span.line,
            found.span.column,
            property(found.code.as_str()),
            data(&message),
        );
    }
    out
}

/// Escapes what would end a message.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes what would end a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::{data, property};

    #[test]
    fn separators_are_escaped() {
        assert_eq!(data("50%\r\na:b,c"), "50%25%0D%0Aa:b,c");
        assert_eq!(property("a:b,c\n"), "a%3Ab%2Cc%0A");
    }
}
