//! What a check printed, fit for a report: bounded, and without secrets.

use std::sync::LazyLock;

use regex::Regex;

use crate::batch::Done;

/// How many bytes of a check's output an event carries.
const LIMIT: usize = 4096;

/// Private keys, and what follows a word such as `password=`.
static SECRETS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let key = r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)";
    let word =
        r#"(?i)\b((?:[a-z_-]*(?:password|passwd|secret|token|api_?key))["']?\s*[:=]\s*)["']?[^\s"',;]+"#;
    Regex::new(&format!("{key}|{word}")).ok()
});

/// The end of what a step printed, stdout before stderr.
pub(crate) fn of(done: &Done) -> String {
    let (out, err) = (done.stdout.trim(), done.stderr.trim());
    let both = if out.is_empty() || err.is_empty() { format!("{out}{err}") } else { format!("{out}\n{err}") };
    bounded(&without_secrets(&both))
}

/// The text with its secrets masked.
pub(crate) fn without_secrets(text: &str) -> String {
    let mask = |found: &regex::Captures<'_>| {
        found.get(1).map_or_else(String::new, |word| word.as_str().to_owned()) + "[not shown]"
    };
    match &*SECRETS {
        Some(secrets) => secrets.replace_all(text, mask).into_owned(),
        // The pattern is a constant that a test compiles; saying nothing is the safe side of a mistake.
        None => String::new(),
    }
}

fn bounded(text: &str) -> String {
    if text.len() <= LIMIT {
        return text.to_owned();
    }
    let mut start = text.len() - LIMIT;
    while !text.is_char_boundary(start) {
        start += 1;
    }
    format!("[{start} bytes before this]\n{}", &text[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked() {
        let key = "a\n-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\n-----END OPENSSH PRIVATE KEY-----\nb";
        assert_eq!(without_secrets(key), "a\n[not shown]\nb");
        assert_eq!(
            without_secrets("StoragePassword=hunter2 user=slurm"),
            "StoragePassword=[not shown] user=slurm"
        );
        assert_eq!(without_secrets(r#"{"token": "abc"}"#), r#"{"token": [not shown]"}"#);
        assert_eq!(without_secrets("-----BEGIN PRIVATE KEY-----\ncut"), "[not shown]");
    }

    #[test]
    fn plain_words_stay() {
        for text in ["PasswordAuthentication no", "passwordauthentication is 'no'", "JobState=COMPLETED"] {
            assert_eq!(without_secrets(text), text);
        }
    }

    #[test]
    fn only_the_end_is_kept() {
        let text = bounded(&"ä".repeat(LIMIT));
        assert!(text.starts_with("[4096 bytes before this]\nä"), "{}", &text[..40]);
    }
}
