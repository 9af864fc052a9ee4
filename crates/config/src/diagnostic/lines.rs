//! Lines and columns of a document that may be no text at all.

use std::borrow::Cow;
use std::ops::Range;

use super::Span;

/// The text of a document for showing. Up to the first byte that is not UTF-8 all offsets stay as they are.
pub(super) fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// The bytes of a span that really are in `text`, on character boundaries.
pub(super) fn range_in(text: &str, span: Span) -> Range<usize> {
    let start = boundary_before(text, span.start);
    start..boundary_before(text, span.end.max(start))
}

/// The last character boundary at or before `at`.
pub(super) fn boundary_before(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|candidate| text.is_char_boundary(*candidate)).unwrap_or(0)
}

/// Line and column behind a span, from 1.
pub(super) fn end_of(text: &str, span: Span) -> (usize, usize) {
    let inside = text.get(range_in(text, span)).unwrap_or_default();
    match inside.rfind('\n') {
        None => (span.line, span.column + inside.chars().count()),
        Some(newline) => {
            let last = inside.get(newline + 1..).unwrap_or_default();
            (span.line + inside.matches('\n').count(), last.chars().count() + 1)
        }
    }
}
