//! What is said about a document: a [`Diagnostic`] with its place, its cause and its fix.
//!
//! The sub-modules turn diagnostics into text for people, JSON, GitHub annotations and SARIF. All are
//! pure functions to [`String`].

mod code;
pub mod github;
pub mod json;
mod lines;
pub mod sarif;
pub mod text;

use std::ops::Range;

pub use code::Code;

use crate::{Loaded, Source};

/// A document and what loading it gave: what every rendering starts from.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// The document.
    pub source: Source<'a>,
    /// What became of it.
    pub loaded: &'a Loaded,
}

/// Whether a document can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth a look; the document is accepted.
    Warning,
    /// The document is refused.
    Error,
}

impl Severity {
    /// `error` or `warning`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A stretch of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
    /// Line of `start`, from 1.
    pub line: usize,
    /// Column of `start` in characters, from 1.
    pub column: usize,
}

impl Span {
    /// The very beginning of the document.
    pub const START: Self = Self { start: 0, end: 0, line: 1, column: 1 };

    /// The bytes.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

/// Another place that belongs to a diagnostic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is there: `first used here`.
    pub text: String,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which kind of finding; stable.
    pub code: Code,
    /// Whether it refuses the document.
    pub severity: Severity,
    /// What is wrong, in one line, without a full stop.
    pub message: String,
    /// The offending key or value.
    pub span: Span,
    /// Why it is wrong.
    pub cause: Option<String>,
    /// What to do.
    pub help: Option<String>,
    /// The other place, where there are two.
    pub secondary: Option<Box<Label>>,
}

impl Diagnostic {
    /// A finding that refuses the document.
    #[must_use]
    pub fn error(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: printable(message.into()),
            span,
            cause: None,
            help: None,
            secondary: None,
        }
    }

    /// A finding that does not.
    #[must_use]
    pub fn warning(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    pub(crate) fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// With why it is wrong.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(printable(cause.into()));
        self
    }

    /// With what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(printable(help.into()));
        self
    }

    /// With another place that belongs to it.
    #[must_use]
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Self {
        self.secondary = Some(Box::new(Label { span, text: printable(text.into()) }));
        self
    }
}

/// A document's words can end up in a message. They must not move the cursor or fill the screen.
fn printable(text: String) -> String {
    const MOST: usize = 600;
    if text.len() <= MOST && !text.chars().any(char::is_control) {
        return text;
    }
    let mut short: String =
        text.chars().take(MOST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
