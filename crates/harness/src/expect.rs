//! Judging what a snippet did.

use crate::{
    batch::{Done, End},
    suite::{Expect, Text},
    variables::expand,
};

/// Whether `done` is as expected; else why not, in one line.
pub(crate) fn judge(
    expect: &Expect,
    done: &Done,
    value: &dyn Fn(&str) -> Option<String>,
) -> Result<(), String> {
    match &done.end {
        End::TimedOut(limit) => {
            return Err(format!("it did not finish within {} s", limit.as_secs_f64().ceil()));
        }
        End::Lost(reason) => return Err(reason.clone()),
        End::Exit(code) if *code != expect.exit => {
            let words = done.stderr.lines().rfind(|line| !line.trim().is_empty());
            return Err(match (words, expect.exit) {
                (Some(words), 0) => words.trim().to_owned(),
                (None, 0) => format!("exit status {code}"),
                (_, expected) => format!("exit status {code}, expected {expected}"),
            });
        }
        End::Exit(_) => {}
    }
    check("stdout", &expect.stdout, &done.stdout, value)?;
    check("stderr", &expect.stderr, &done.stderr, value)
}

fn check(
    stream: &str,
    expect: &Text,
    text: &str,
    value: &dyn Fn(&str) -> Option<String>,
) -> Result<(), String> {
    let text = text.trim();
    let shown = || short(text);
    if let Some(equals) = expect.equals.as_ref().map(|equals| expand(equals, value))
        && text != equals.trim()
    {
        return Err(format!("{stream} is {}, expected {}", shown(), short(equals.trim())));
    }
    for part in expect.contains.iter().map(|part| expand(part, value)) {
        if !text.contains(&part) {
            return Err(format!("{stream} lacks `{part}`: {}", shown()));
        }
    }
    for part in expect.lacks.iter().map(|part| expand(part, value)) {
        if let Some(line) = text.lines().find(|line| line.contains(&part)) {
            return Err(format!("{stream} has `{part}`: {}", short(line)));
        }
    }
    if let Some(pattern) = expect.matches.as_ref().filter(|pattern| !pattern.matches(text, value)) {
        return Err(format!("{stream} does not match `{}`: {}", pattern.text(), shown()));
    }
    let lines = text.lines().count();
    match expect.lines {
        Some(expected) if lines != expected => {
            Err(format!("{stream} has {lines} lines, expected {expected}"))
        }
        _ => Ok(()),
    }
}

/// The text in back quotes, cut where a reason would get unreadable.
fn short(text: &str) -> String {
    if text.is_empty() {
        return "empty".to_owned();
    }
    let text = text.replace('\n', " | ");
    match text.char_indices().nth(160) {
        Some((end, _)) => format!("`{}...`", &text[..end]),
        None => format!("`{text}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::Pattern;

    fn done(code: i32, stdout: &str, stderr: &str) -> Done {
        Done { end: End::Exit(code), seconds: 0.0, stdout: stdout.to_owned(), stderr: stderr.to_owned() }
    }

    fn said(stdout: Text, text: &str) -> String {
        let expect = Expect { stdout, ..Expect::default() };
        let value = |name: &str| (name == "NODE").then(|| "n.1".to_owned());
        judge(&expect, &done(0, text, ""), &value).err().unwrap_or_default()
    }

    #[test]
    fn every_expectation_can_fail() {
        let equals = Text { equals: Some("${NODE}".to_owned()), ..Text::default() };
        assert_eq!(said(equals.clone(), "n.1\n"), "");
        assert_eq!(said(equals.clone(), "n2\nn3\n"), "stdout is `n2 | n3`, expected `n.1`");
        assert_eq!(said(equals, ""), "stdout is empty, expected `n.1`");
        let contains = Text { contains: vec!["a".to_owned()], ..Text::default() };
        assert_eq!(said(contains.clone(), "cab"), "");
        assert_eq!(said(contains, "b"), "stdout lacks `a`: `b`");
        let lacks = Text { lacks: vec!["error".to_owned()], ..Text::default() };
        assert_eq!(said(lacks.clone(), "fine"), "");
        assert_eq!(said(lacks, "fine\nan error here"), "stdout has `error`: `an error here`");
        let matches =
            Text { matches: Some(Pattern::new("^${NODE}$".to_owned()).unwrap()), ..Text::default() };
        assert_eq!(said(matches.clone(), "a\nn.1\nb"), "");
        assert_eq!(said(matches, "nx1"), "stdout does not match `^${NODE}$`: `nx1`");
        let lines = Text { lines: Some(2), ..Text::default() };
        assert_eq!(said(lines.clone(), "a\nb\n"), "");
        assert_eq!(said(lines, "a\n"), "stdout has 1 lines, expected 2");
    }

    #[test]
    fn a_bad_end_tells_why() {
        let judge = |exit, done| super::judge(&Expect { exit, ..Expect::default() }, &done, &|_| None);
        assert_eq!(judge(0, done(1, "", "first\nlast\n\n")), Err("last".to_owned()));
        assert_eq!(judge(0, done(4, "", "")), Err("exit status 4".to_owned()));
        assert_eq!(judge(1, done(0, "", "")), Err("exit status 0, expected 1".to_owned()));
        assert_eq!(judge(1, done(1, "", "")), Ok(()));
        let late = Done { end: End::TimedOut(std::time::Duration::from_secs(7)), ..done(0, "", "") };
        assert_eq!(judge(0, late), Err("it did not finish within 7 s".to_owned()));
    }
}
