//! Results as CSV: a row for each run that was measured. They outlive the command that writes them, and a command that was
//! interrupted goes on from them, so what is there is read with care.

use std::io;

use csv::{ReaderBuilder, StringRecord, WriterBuilder};

use crate::matrix::{Combination, joined};

/// The columns.
pub const HEADER: [&str; 8] =
    ["timestamp", "threads", "batch_threads", "args", "tokens", "seconds", "tok_per_s", "ok"];

/// How many bad rows are told.
const TOLD: usize = 20;

/// A run that was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// When it ended.
    pub timestamp: String,
    /// Threads; nothing where somebody else measured and left them to llama.cpp.
    pub threads: Option<u32>,
    /// Threads for the prompt.
    pub batch_threads: Option<u32>,
    /// Arguments for llama.cpp, with commas between them.
    pub args: String,
    /// How many tokens were asked for.
    pub tokens: u32,
    /// How long it took; nothing when there is no rate.
    pub seconds: Option<f64>,
    /// Tokens a second, load time included; nothing when the run failed before it had one.
    pub tok_per_s: Option<f64>,
    /// Whether it was fast enough, and ended as it should.
    pub ok: bool,
}

/// Why results cannot be gone on from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It has other columns, or is something else altogether.
    #[error("its first line is `{found}`, and that of results is `{}`; name another file", HEADER.join(","))]
    Header {
        /// The first line.
        found: String,
    },
    /// Rows that are none.
    #[error("{}. Mend or remove what is wrong, or name another file", rows(.0))]
    Rows(Vec<String>),
}

fn rows(bad: &[String]) -> String {
    let mut text = bad.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>().join("; ");
    if let Some(more) = bad.len().checked_sub(TOLD).filter(|more| *more > 0) {
        text.push_str(&format!("; and {more} more"));
    }
    text
}

/// What a file of results has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Results {
    /// Its rows.
    pub rows: Vec<Row>,
    /// How much of the file is whole, bytes; none when it has no header yet.
    pub whole: usize,
    /// What is written behind that before anything else: the header, or the end of the last line.
    pub missing: Missing,
}

/// What a file of results lacks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Missing {
    /// Everything.
    #[default]
    Header,
    /// The end of its last line.
    LineEnd,
    /// Nothing.
    Nothing,
}

/// Reads results. A last line that was only half written is left out.
///
/// # Errors
/// See [`Error`].
pub fn read(bytes: &[u8]) -> Result<Results, Error> {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let (lines, rest) = bytes.split_at(whole);
    let header = HEADER.join(",");
    // Whoever was killed while it wrote the header left nothing else.
    if lines.is_empty() && header.as_bytes().starts_with(rest) {
        let missing = if rest == header.as_bytes() { Missing::LineEnd } else { Missing::Header };
        let whole = if missing == Missing::LineEnd { rest.len() } else { 0 };
        return Ok(Results { rows: Vec::new(), whole, missing });
    }
    let mut records = records(if lines.is_empty() { rest } else { lines });
    let first = records.next().map(|(_, record)| record.unwrap_or_default()).unwrap_or_default();
    if !first.iter().eq(HEADER) {
        let found = String::from_utf8_lossy(bytes);
        let found: String = found.lines().next().unwrap_or_default().chars().take(100).collect();
        return Err(Error::Header { found: found.escape_debug().to_string() });
    }
    let (mut rows, mut bad) = (Vec::new(), Vec::new());
    for (at, record) in records {
        match record.and_then(|record| row(&record)) {
            Ok(row) => rows.push(row),
            Err(why) => bad.push(format!("line {}: {why}", line_at(bytes, at))),
        }
    }
    if !bad.is_empty() {
        return Err(Error::Rows(bad));
    }
    // An editor may have left the last line without its end.
    let last = self::records(rest).next().and_then(|(_, record)| row(&record.ok()?).ok());
    let (whole, missing) =
        if last.is_some() { (bytes.len(), Missing::LineEnd) } else { (whole, Missing::Nothing) };
    rows.extend(last);
    Ok(Results { rows, whole, missing })
}

/// Records with the places they begin at, bytes; empty lines may come before them.
fn records(bytes: &[u8]) -> impl Iterator<Item = (usize, Result<StringRecord, String>)> {
    let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    reader.into_records().map(move |record| {
        let position = match &record {
            Ok(record) => record.position(),
            Err(error) => error.position(),
        };
        let at = position.and_then(|position| usize::try_from(position.byte()).ok());
        (at.unwrap_or(bytes.len()), record.map_err(|_| "it is not UTF-8".to_owned()))
    })
}

/// The number of the line that a record is on which begins here.
fn line_at(bytes: &[u8], at: usize) -> usize {
    let empty = bytes.iter().skip(at).take_while(|byte| b"\r\n".contains(byte)).count();
    bytes.iter().take(at + empty).filter(|byte| **byte == b'\n').count() + 1
}

fn row(record: &StringRecord) -> Result<Row, String> {
    let fields: Vec<&str> = record.iter().map(str::trim).collect();
    let &[timestamp, threads, batch_threads, args, tokens, seconds, tok_per_s, ok] = &fields[..] else {
        return Err(format!("it has {} fields instead of {}", fields.len(), HEADER.len()));
    };
    let is_no = |name: &str, text: &str, what: &str| {
        let text: String = text.chars().take(40).collect();
        format!("{name} `{}` is no {what}", text.escape_debug())
    };
    let count = |name: &str, text: &str| match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| is_no(name, text, "whole number")),
    };
    let figure = |name: &str, text: &str| match text {
        "" => Ok(None),
        text => {
            let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
            number.map(Some).ok_or_else(|| is_no(name, text, "number"))
        }
    };
    Ok(Row {
        timestamp: timestamp.to_owned(),
        threads: count("threads", threads)?,
        batch_threads: count("batch_threads", batch_threads)?,
        args: args.to_owned(),
        tokens: count("tokens", tokens)?.ok_or_else(|| is_no("tokens", tokens, "whole number"))?,
        seconds: figure("seconds", seconds)?,
        tok_per_s: figure("tok_per_s", tok_per_s)?,
        ok: match ok {
            "1" => true,
            "0" => false,
            other => return Err(is_no("ok", other, "0 or 1")),
        },
    })
}

impl Row {
    /// Whether it is of this combination, with so many tokens.
    pub fn is_of(&self, combination: &Combination, tokens: u32) -> bool {
        self.threads == Some(combination.threads)
            && self.batch_threads.or(self.threads) == Some(combination.batch_threads)
            && joined(&self.args) == combination.args
            && self.tokens == tokens
    }

    /// The row as a line of the file.
    ///
    /// # Errors
    /// None that is known: it is written to memory.
    pub fn line(&self) -> io::Result<Vec<u8>> {
        let count = |count: Option<u32>| count.map(|count| count.to_string()).unwrap_or_default();
        line([
            &self.timestamp,
            &count(self.threads),
            &count(self.batch_threads),
            &self.args,
            &self.tokens.to_string(),
            &figure(self.seconds, 3),
            &figure(self.tok_per_s, 2),
            if self.ok { "1" } else { "0" },
        ])
    }
}

/// As programs that read the output expect it.
impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (rate, seconds) = (figure(self.tok_per_s, 2), figure(self.seconds, 3));
        write!(f, "perf: tok_per_s={rate} seconds={seconds} tokens={} ok={}", self.tokens, u8::from(self.ok))
    }
}

fn figure(value: Option<f64>, digits: usize) -> String {
    value.map(|value| format!("{value:.digits$}")).unwrap_or_default()
}

/// The header as a line of the file.
///
/// # Errors
/// None that is known: it is written to memory.
pub fn header() -> io::Result<Vec<u8>> {
    line(HEADER)
}

fn line(fields: [&str; HEADER.len()]) -> io::Result<Vec<u8>> {
    let mut writer = WriterBuilder::new().from_writer(Vec::new());
    writer.write_record(fields)?;
    writer.into_inner().map_err(csv::IntoInnerError::into_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "timestamp,threads,batch_threads,args,tokens,seconds,tok_per_s,ok\n";

    fn measured(args: &str) -> Row {
        Row {
            timestamp: "2026-11-27T10:00:00Z".to_owned(),
            threads: Some(4),
            batch_threads: Some(2),
            args: args.to_owned(),
            tokens: 64,
            seconds: Some(3.2),
            tok_per_s: Some(20.0),
            ok: true,
        }
    }

    fn text(rows: &[Row]) -> String {
        let rows = rows.iter().map(|row| String::from_utf8(row.line().unwrap()).unwrap());
        rows.fold(FIRST.to_owned(), |text, row| text + &row)
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(header().unwrap(), FIRST.as_bytes());
        let failed = Row { seconds: None, tok_per_s: None, ok: false, ..measured("") };
        let rows = [measured("-b,256,-c,1024"), failed.clone(), measured("-p,\"a\",|=@+")];
        let text = text(&rows);
        assert!(text.contains("Z,4,2,\"-b,256,-c,1024\",64,3.200,20.00,1\n"), "{text}");
        assert!(text.contains("Z,4,2,,64,,,0\n"), "{text}");
        let read = read(text.as_bytes()).unwrap();
        assert_eq!(read.rows, rows);
        assert_eq!((read.whole, read.missing), (text.len(), Missing::Nothing));
        assert_eq!(rows[0].to_string(), "perf: tok_per_s=20.00 seconds=3.200 tokens=64 ok=1");
        assert_eq!(failed.to_string(), "perf: tok_per_s= seconds= tokens=64 ok=0");
    }

    #[test]
    fn a_file_that_ends_anywhere_is_gone_on_from() {
        let text = text(&[measured("-b,256"), measured("")]);
        let first = FIRST.len();
        let second = first + text[first..].find('\n').unwrap() + 1;
        for end in 0..=text.len() {
            let results = read(&text.as_bytes()[..end]).unwrap();
            let rows = match end {
                _ if end < second - 1 => 0,
                _ if end < text.len() - 1 => 1,
                _ => 2,
            };
            assert_eq!(results.rows.len(), rows, "{end}");
            // What is kept, with what is missing, is a file of its own.
            let mut whole = text.as_bytes()[..results.whole].to_vec();
            match results.missing {
                Missing::Header => whole.extend(header().unwrap()),
                Missing::LineEnd => whole.push(b'\n'),
                Missing::Nothing => {}
            }
            let again = read(&whole).unwrap();
            assert_eq!((again.rows.len(), again.missing), (rows, Missing::Nothing), "{end}");
        }
        // After a loss of power there may be zeros.
        let torn = [text.as_bytes(), &[0; 100]].concat();
        assert_eq!(read(&torn).unwrap().whole, text.len());
    }

    #[test]
    fn other_columns_and_other_files_are_refused() {
        let told = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        for bytes in [
            &b"a,b\n1,2\n"[..],
            b"not csv",
            b"\n",
            b"\x7fELF\0\0\xff\xfe",
            b"GGUF\n",
            b"timestamp,threads,batch_threads,args,tokens,seconds,tok_per_s\n",
            b"timestamp,threads,batch_threads,args,tokens,seconds,tok_per_s,ok,more\n",
            b"\"timestamp,threads\n",
        ] {
            let told = told(bytes);
            assert!(told.starts_with("its first line is `") && told.contains(FIRST.trim_end()), "{told}");
        }
    }

    #[test]
    fn what_spreadsheets_and_others_write_is_read() {
        let excel = format!("\u{feff}{}2026,4,,\"-b,256\",64,3.2,20,1\r\n", FIRST.replace('\n', "\r\n"));
        let rows = read(excel.as_bytes()).unwrap().rows;
        assert!(rows[0].is_of(&Combination::new(4, 4, "-b 256").unwrap(), 64), "{rows:?}");
        let unset = read(format!("{FIRST}now,,,,64,3.2,20.0,0\n").as_bytes()).unwrap().rows;
        assert!(!unset[0].is_of(&Combination::new(4, 4, "").unwrap(), 64));
    }

    #[test]
    fn every_bad_row_is_told_with_its_line() {
        let bad = "now,x,4,,64,1,1,1\n\nnow,4,4,,,1,1,1\nnow,4,4,,64,nan,1,1\nnow,4,4,,64,1,-1,1\nnow,4,4,,64,1,1,yes\n1,2\nnow,4,4,\"-b,256,64,1,1,1\n";
        let told = read(format!("{FIRST}{bad}").as_bytes()).unwrap_err().to_string();
        for words in [
            "line 2: threads `x` is no whole number",
            "line 4: tokens `` is no whole number",
            "line 5: seconds `nan` is no number",
            "line 6: tok_per_s `-1` is no number",
            "line 7: ok `yes` is no 0 or 1",
            "line 8: it has 2 fields instead of 8",
            "line 9: it has 4 fields instead of 8",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
        let told = read(&[FIRST.as_bytes(), b"\xff,4,4,,64,1,1,1\n"].concat()).unwrap_err().to_string();
        assert!(told.contains("line 2: it is not UTF-8"), "{told}");
    }

    #[test]
    fn a_row_counts_for_its_own_combination_only() {
        let row = measured("-b 256");
        let is = |threads, batch, args, tokens| {
            row.is_of(&Combination::new(threads, batch, args).unwrap(), tokens)
        };
        assert!(is(4, 2, "-b,256", 64));
        assert!(
            !is(4, 2, "-b,256", 128)
                && !is(4, 4, "-b,256", 64)
                && !is(2, 2, "-b,256", 64)
                && !is(4, 2, "", 64)
        );
    }
}
