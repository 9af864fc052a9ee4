//! Diagnostics for people: the place in the file, what is wrong there, why, and what to do.

use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};

use super::lines::{boundary_before, range_in, text_of};
use super::{Diagnostic, Report, Severity, Span};

/// Most diagnostics shown in full.
const MOST: usize = 50;

/// Most bytes of a line that are shown around a place.
const WINDOW: usize = 160;

/// Whether to use terminal colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// Plain text.
    Never,
    /// ANSI escapes.
    Always,
}

/// Every diagnostic in the manner of a compiler, and a last line with the verdict.
#[must_use]
pub fn render(report: &Report<'_>, color: Color) -> String {
    let diagnostics = &report.loaded.diagnostics;
    let renderer = match color {
        Color::Never => Renderer::plain(),
        Color::Always => Renderer::styled(),
    }
    .decor_style(DecorStyle::Ascii)
    .term_width(WINDOW + 20);
    let text = text_of(report.source.bytes);
    // A file's name holds anything but a zero.
    let name = report.source.name.replace(char::is_control, "\u{fffd}");
    let mut out = String::new();
    for found in diagnostics.iter().take(MOST) {
        out.push_str(&one(&renderer, &name, &text, found));
        out.push_str("\n\n");
    }
    let more = diagnostics.len().saturating_sub(MOST) + report.loaded.omitted;
    if more > 0 {
        out.push_str(&format!("... and {more} more\n"));
    }
    out.push_str(&summary(report, &name));
    out
}

fn summary(report: &Report<'_>, name: &str) -> String {
    let mut summary = format!("{name}: {}", if report.loaded.is_valid() { "valid" } else { "not valid" });
    for (severity, word) in [(Severity::Error, "error"), (Severity::Warning, "warning")] {
        match report.loaded.diagnostics.iter().filter(|found| found.severity == severity).count() {
            0 => {}
            1 => summary += &format!(", 1 {word}"),
            count => summary += &format!(", {count} {word}s"),
        }
    }
    summary + "\n"
}

fn one(renderer: &Renderer, name: &str, text: &str, found: &Diagnostic) -> String {
    let level = match found.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(found.message.as_str()).id(found.code.as_str());
    let mut group = Group::with_title(title);
    let mut places = Vec::new();
    for excerpt in excerpts(text, found) {
        places.push((excerpt.place, excerpt.column));
        let line = excerpt.place.line;
        let snippet = Snippet::source(excerpt.text).line_start(line).path(name);
        group = group.element(snippet.annotations(excerpt.marks));
    }
    if let Some(cause) = &found.cause {
        group = group.element(Level::NOTE.message(cause.as_str()));
    }
    if let Some(help) = &found.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let mut rendered = renderer.render(&[group]);
    // The renderer counts columns in what it is given, which may lack the beginning of the line.
    for (Span { line, column, .. }, counted) in
        places.into_iter().filter(|(at, counted)| at.column != *counted)
    {
        rendered =
            rendered.replacen(&format!("{name}:{line}:{counted}"), &format!("{name}:{line}:{column}"), 1);
    }
    rendered
}

/// A line of the document, or the middle of one that is too long, with parts of it marked.
struct Excerpt<'a> {
    text: String,
    place: Span,
    /// The column of `place` in `text`.
    column: usize,
    marks: Vec<Annotation<'a>>,
}

/// The line of the finding, and that of the other place unless it is the same.
fn excerpts<'a>(text: &str, found: &'a Diagnostic) -> Vec<Excerpt<'a>> {
    let (line, mark) = marked_line(text, found.span);
    let mut excerpts = vec![Excerpt {
        column: column_of(&line, &mark),
        text: line,
        place: found.span,
        marks: vec![AnnotationKind::Primary.span(mark)],
    }];
    if let Some(label) = &found.secondary {
        let (line, mark) = marked_line(text, label.span);
        let column = column_of(&line, &mark);
        let mark = AnnotationKind::Context.span(mark).label(label.text.as_str());
        match excerpts.first_mut().filter(|first| label.span.line == found.span.line && first.text == line) {
            Some(first) => first.marks.push(mark),
            None => excerpts.push(Excerpt { text: line, place: label.span, column, marks: vec![mark] }),
        }
    }
    excerpts
}

fn column_of(line: &str, mark: &Range<usize>) -> usize {
    line.get(..mark.start).unwrap_or_default().chars().count() + 1
}

/// The line on which a span starts, and the part of the span that is on it.
fn marked_line(text: &str, span: Span) -> (String, Range<usize>) {
    let range = range_in(text, span);
    let head = text.get(..range.start).unwrap_or_default();
    let start = head.rfind('\n').map_or(0, |newline| newline + 1);
    // A byte order mark takes no space.
    let start = if head[start..].starts_with('\u{feff}') { start + '\u{feff}'.len_utf8() } else { start };
    let line = text.get(start..).unwrap_or_default().lines().next().unwrap_or_default();
    let from = (range.start - start).min(line.len());
    shorten(line, from..(range.end - start).min(line.len()).max(from))
}

/// The part of a long line around what is marked in it.
fn shorten(line: &str, mark: Range<usize>) -> (String, Range<usize>) {
    if line.len() <= WINDOW {
        return (line.to_owned(), mark);
    }
    let start = boundary_before(line, mark.start.saturating_sub(WINDOW / 4));
    let end = boundary_before(line, start + WINDOW);
    let before = if start > 0 { "..." } else { "" };
    let after = if end < line.len() { "..." } else { "" };
    let part = line.get(start..end).unwrap_or_default();
    let mark = (mark.start - start + before.len())..(mark.end.min(end) - start + before.len());
    (format!("{before}{part}{after}"), mark)
}

#[cfg(test)]
mod tests {
    use super::{WINDOW, shorten};

    #[test]
    fn long_lines_are_cut_around_the_mark() {
        let line = format!("{}ERROR{}", "ä".repeat(5000), "b".repeat(5000));
        let (part, mark) = shorten(&line, 10_000..10_005);
        assert_eq!(&part[mark], "ERROR");
        assert!(part.len() <= WINDOW + 6, "{}", part.len());
        let (part, mark) = shorten(&line, 0..20_000);
        assert!(part.starts_with('ä') && part.ends_with("..."), "{part}");
        assert!(mark.end <= part.len());
    }
}
