//! Words and figures as people are shown them, and text from nodes made fit to be shown.
//!
//! What a node prints is not to be trusted: it may move the cursor, ring the bell or be a megabyte long.

use std::fmt::Write;

/// Seconds as a person reads them: `0.42s`, `12.3s`, `2m 03s`, `1h 02m`.
pub(crate) fn seconds(seconds: f64) -> String {
    if !seconds.is_finite() || seconds <= 0.0 {
        return "0s".into();
    }
    if seconds < 9.995 {
        return format!("{seconds:.2}s");
    }
    if seconds < 59.95 {
        return format!("{seconds:.1}s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and `as` saturates"
    )]
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, minutes, seconds) => format!("{minutes}m {seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h {minutes:02}m"),
    }
}

/// A number and its noun: `1 node`, `3 nodes`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Text without escape sequences and control characters. A line that was overwritten with carriage returns keeps
/// its last state, as on a terminal.
pub(crate) fn plain(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut line_start = 0;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\u{1b}' => skip_escape(&mut chars),
            '\n' => {
                clean.push('\n');
                line_start = clean.len();
            }
            '\t' => clean.push('\t'),
            '\r' => {
                while chars.next_if_eq(&'\r').is_some() {}
                if chars.peek().is_some_and(|&next| next != '\n') {
                    clean.truncate(line_start);
                }
            }
            '\u{fffe}' | '\u{ffff}' => {}
            char if char.is_control() => {}
            char => clean.push(char),
        }
    }
    clean
}

/// Skips what follows an ESC: a CSI sequence up to its final byte, an OSC or DCS string up to its terminator, or one
/// character.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    let kind = chars.next();
    // A sequence that never ends must not eat the rest of a log: it ends with its line.
    let mut inside = || chars.next_if(|&char| char != '\n');
    match kind {
        Some('[') => while inside().is_some_and(|char| !('\u{40}'..='\u{7e}').contains(&char)) {},
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(char) = inside() {
                if char == '\u{7}' {
                    break;
                }
                if char == '\u{1b}' {
                    chars.next_if_eq(&'\\');
                    break;
                }
            }
        }
        Some('(' | ')' | '#' | '%') => {
            inside();
        }
        _ => {}
    }
}

/// The last `lines` lines, without empty ones at the end.
pub(crate) fn tail(text: &str, lines: usize) -> &str {
    let text = text.trim_end();
    let start = text.rmatch_indices('\n').nth(lines.saturating_sub(1)).map_or(0, |(at, _)| at + 1);
    text.get(start..).unwrap_or_default()
}

/// Text of at most about `bytes` bytes: the first third and the last two thirds of what is allowed, cut at line
/// ends where there are any near, with a line between them that says how much is missing.
pub(crate) fn cut_middle(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let head = (0..=bytes / 3).rev().find_map(|end| text.get(..end)).unwrap_or_default();
    let rest = (text.len() - bytes * 2 / 3..).find_map(|start| text.get(start..)).unwrap_or_default();
    let head = head.rfind('\n').and_then(|at| head.get(..at)).unwrap_or(head);
    let rest = rest.find('\n').and_then(|at| rest.get(at + 1..)).unwrap_or(rest);
    let missing = text.len() - head.len() - rest.len();
    let mut cut = String::with_capacity(bytes + 64);
    // Writing to a String does not fail.
    let _ = write!(cut, "{head}\n\n[... {missing} bytes left out here; the file is whole ...]\n\n{rest}");
    cut
}

/// The first line, for places that have room for one.
pub(crate) fn first_line(text: &str) -> &str {
    text.trim_start().lines().next().unwrap_or_default().trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_read_well_at_every_size() {
        let shown = [0.0, 0.424, 9.99, 12.34, 59.97, 123.0, 3720.0].map(seconds);
        assert_eq!(shown, ["0s", "0.42s", "9.99s", "12.3s", "1m 00s", "2m 03s", "1h 02m"]);
    }

    #[test]
    fn escapes_and_overwritten_lines_are_gone() {
        let console =
            "\u{1b}[0;32m  OK  \u{1b}[0m Started\r\r\n10%\r100%\n\u{1b}]0;title\u{7}done\u{8}\u{0}\r\n";
        assert_eq!(plain(console), "  OK   Started\n100%\ndone\n");
    }

    #[test]
    fn an_escape_without_an_end_takes_its_line_only() {
        assert_eq!(plain("a\u{1b}]0;never ends\nb"), "a\nb");
    }

    #[test]
    fn the_tail_counts_lines_from_the_end() {
        assert_eq!(tail("a\nb\nc\n\n", 2), "b\nc");
        assert_eq!(tail("a\nb", 5), "a\nb");
        assert_eq!(tail("", 5), "");
    }

    #[test]
    fn a_cut_keeps_both_ends_and_says_so() {
        let text = (0..1000).map(|line| format!("line {line} é\n")).collect::<String>();
        let cut = cut_middle(&text, 300);
        assert!(cut.starts_with("line 0 é\n") && cut.ends_with("line 999 é\n"), "{cut}");
        assert!(cut.contains("bytes left out here"), "{cut}");
        assert!(cut.len() < 450, "{}", cut.len());
    }
}
