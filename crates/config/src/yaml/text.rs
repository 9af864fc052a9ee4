//! The document's text: size, encoding and characters checked, and the way from characters to bytes.

use saphyr_parser::Marker;

use crate::diagnostic::{Code, Diagnostic, Span};

/// Largest file accepted. Real configs have a few kilobytes.
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// The largest file whose size is told, bytes: nobody needs to read more than one byte beyond it.
pub const LARGEST: usize = 64 << 20;

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Text that is fit for a YAML parser.
#[derive(Debug)]
pub(crate) struct Text<'a> {
    /// Without a byte order mark.
    text: &'a str,
    /// Bytes before `text`.
    before: usize,
    /// The byte of every character in `text`; none when all are one byte long.
    offsets: Option<Vec<u32>>,
    /// The number of the first character of every line.
    lines: Vec<usize>,
}

impl<'a> Text<'a> {
    /// Checks size, encoding and characters.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, Diagnostic> {
        if bytes.len() > MAX_BYTES {
            // Who reads a file stops somewhere, and has a part of it then.
            let size = match bytes.len() {
                length if length > LARGEST => format!("more than {} MiB", LARGEST >> 20),
                length => format!("{} KiB", length / 1024),
            };
            return Err(Diagnostic::error(
                Code::TooLarge,
                Span::START,
                format!("the file has {size}; at most {} KiB are read", MAX_BYTES / 1024),
            )
            .cause("a cluster config has a few kilobytes; this is probably another file")
            .help("check the file's name"));
        }
        let whole = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => return Err(not_utf8(bytes, error)),
        };
        let text = whole.strip_prefix(BYTE_ORDER_MARK).unwrap_or(whole);
        let before = whole.len() - text.len();
        if let Some((at, bad)) = text.char_indices().find(|(_, c)| !is_printable(*c)) {
            let span = span_at(text, before, at, bad.len_utf8());
            return Err(Diagnostic::error(
                Code::ControlCharacter,
                span,
                format!("the character U+{:04X} is not allowed in YAML", u32::from(bad)),
            )
            .cause("YAML text holds printable characters, tabs and line ends only")
            .help("remove the character, or write it as an escape in a double-quoted text"));
        }
        let offsets = (!text.is_ascii())
            .then(|| text.char_indices().map(|(at, _)| u32::try_from(at).unwrap_or(u32::MAX)).collect());
        Ok(Self { text, before, offsets, lines: line_starts(text) })
    }

    pub(crate) fn as_str(&self) -> &'a str {
        self.text
    }

    /// The stretch between two positions of the parser, without white space at its end.
    /// The stretch between two positions of the parser, without white space at its end.
    ///
    /// Only the number of the character is taken from the parser: it has its own opinion of what a line is.
    pub(crate) fn span(&self, from: &Marker, to: &Marker) -> Span {
        let start = self.byte(from.index());
        let end = self.byte(to.index()).max(start);
        let end = start + self.text.get(start..end).unwrap_or_default().trim_end().len();
        let line = self.lines.partition_point(|first| *first <= from.index());
        let first = self.lines.get(line.wrapping_sub(1)).copied().unwrap_or_default();
        Span { start: self.before + start, end: self.before + end, line, column: from.index() - first + 1 }
    }

    /// The text at a place.
    pub(crate) fn slice(&self, span: Span) -> &'a str {
        self.text
            .get(span.start.saturating_sub(self.before)..span.end.saturating_sub(self.before))
            .unwrap_or_default()
    }

    /// The line with this number, from 1.
    pub(crate) fn line(&self, number: usize) -> &'a str {
        self.text.lines().nth(number.saturating_sub(1)).unwrap_or_default()
    }

    fn byte(&self, character: usize) -> usize {
        match &self.offsets {
            None => character.min(self.text.len()),
            Some(offsets) => offsets.get(character).map_or(self.text.len(), |at| *at as usize),
        }
    }
}

fn not_utf8(bytes: &[u8], error: std::str::Utf8Error) -> Diagnostic {
    let (good, bad) = bytes.split_at(error.valid_up_to());
    let good = std::str::from_utf8(good).unwrap_or_default();
    let text = good.strip_prefix(BYTE_ORDER_MARK).unwrap_or(good);
    let length = error.error_len().unwrap_or(bad.len());
    let span = span_at(text, good.len() - text.len(), text.len(), length);
    let first = bad.first().copied().unwrap_or_default();
    Diagnostic::error(Code::NotUtf8, span, format!("the byte 0x{first:02X} is not valid UTF-8"))
        .cause("configs are read as UTF-8; the file has another encoding or is no text at all")
        .help("save the file as UTF-8")
}

/// Lines end with a line feed, a carriage return, or both.
fn line_starts(text: &str) -> Vec<usize> {
    let mut starts = vec![0];
    let mut characters = text.chars().enumerate().peekable();
    while let Some((index, c)) = characters.next() {
        let ends = match c {
            '\n' => true,
            '\r' => characters.peek().is_none_or(|(_, next)| *next != '\n'),
            _ => false,
        };
        if ends {
            starts.push(index + 1);
        }
    }
    starts
}

fn span_at(text: &str, before: usize, at: usize, length: usize) -> Span {
    let head = text.get(..at).unwrap_or(text);
    let lines = line_starts(head);
    let first = lines.last().copied().unwrap_or_default();
    Span {
        start: before + at,
        end: before + at + length,
        line: lines.len(),
        column: head.chars().count() - first + 1,
    }
}

/// The characters of YAML's `c-printable`.
pub(crate) fn is_printable(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::{MAX_BYTES, Text};
    use crate::diagnostic::Code;

    fn code(bytes: &[u8]) -> Option<(Code, usize, usize)> {
        Text::new(bytes).err().map(|found| (found.code, found.span.line, found.span.column))
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_at_their_place() {
        assert_eq!(code(b"a: 1\nb: \xff\n"), Some((Code::NotUtf8, 2, 4)));
        assert_eq!(code(b"\xff\xfea\0"), Some((Code::NotUtf8, 1, 1)));
        assert_eq!(code(b"a: \0"), Some((Code::ControlCharacter, 1, 4)));
        assert_eq!(code("ä: \u{7f}".as_bytes()), Some((Code::ControlCharacter, 1, 4)));
        assert_eq!(code(&vec![b'a'; MAX_BYTES + 1]), Some((Code::TooLarge, 1, 1)));
    }

    #[test]
    fn a_byte_order_mark_windows_line_ends_and_every_script_are_accepted() {
        for text in ["\u{feff}a: 1", "a: 1\r\nb: 2\r\n", "größe: 質量 🦀"] {
            assert_eq!(code(text.as_bytes()), None, "{text:?}");
        }
    }
}
