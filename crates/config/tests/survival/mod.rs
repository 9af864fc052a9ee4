//! What must hold for any input; for the tests of hostile input and for the fuzzer.

use std::time::{Duration, Instant};

use ai_how_config::diagnostic::{github, json, sarif, text};
use ai_how_config::{Context, Loaded, Report, Severity, Source, load};

/// Loads and renders in every way; checks what must hold for any input.
pub(crate) fn survives(bytes: &[u8], context: &Context) -> (Loaded, Duration) {
    let source = Source { name: "input.yaml", bytes };
    let begin = Instant::now();
    let loaded = load(&source, context);
    let report = Report { source, loaded: &loaded };
    let renderings = [
        text::render(&report, text::Color::Always),
        json::render(&report),
        github::render(&report),
        sarif::render(&[report]),
    ];
    let elapsed = begin.elapsed();
    let refused = loaded.diagnostics.iter().any(|found| found.severity == Severity::Error);
    assert!(
        loaded.is_valid() != refused || loaded.omitted > 0,
        "refused without a word, or accepted in spite of it"
    );
    let lengths = renderings.each_ref().map(String::len);
    assert!(lengths.iter().all(|length| *length < 4 << 20), "a rendering is too long: {lengths:?}");
    for found in &loaded.diagnostics {
        let span = found.span;
        assert!(span.start <= span.end && span.end <= bytes.len(), "{found:?}");
        assert_eq!(span.line, line_of(bytes, span.start), "{found:?}");
    }
    (loaded, elapsed)
}

/// Lines end with a line feed, a carriage return, or both.
fn line_of(bytes: &[u8], at: usize) -> usize {
    let ends = |index: &usize| match bytes[*index] {
        b'\n' => true,
        b'\r' => bytes.get(index + 1) != Some(&b'\n'),
        _ => false,
    };
    (0..at).filter(ends).count() + 1
}
