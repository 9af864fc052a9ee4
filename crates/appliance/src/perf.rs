//! What a machine says of its speed when it is started with `zosia.perf=1`, read from its console.

use crate::transcript::SHUTTING_DOWN;

/// The line that begins the measuring.
pub const PERF: &str = "zosia: perf";

/// How the line begins that ends it.
const RESULT: &str = "zosia: perf tokens=";

/// How the line begins, or one of the ways, that has what llama.cpp says of itself.
const OWN: [&str; 2] = ["zosia: perf load_seconds=", "zosia: perf eval_tok_per_s="];

/// How lines begin that say what was found, and nothing of what went wrong.
const FOUND: [&str; 2] = ["zosia: llama_bin=", "zosia: model_path="];

/// How fast a model was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// How many tokens were generated.
    pub tokens: u32,
    /// How long that took by the guest's clock, from the start of llama.cpp to its end, seconds.
    pub seconds: f64,
    /// Tokens a second, the time for loading the model and reading the question included.
    pub tok_per_s: f64,
    /// How long the model was loaded, where llama.cpp tells, seconds.
    pub load_seconds: Option<f64>,
    /// Tokens a second of the generation alone, where llama.cpp tells.
    pub eval_tok_per_s: Option<f64>,
}

/// Why a console has no speed on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSpeed {
    /// The measuring did not begin.
    #[error("perf marker not found in VM output: no line is `{PERF}`")]
    NoMarker,
    /// The measuring did not end.
    #[error("perf output line not found: no line begins with `{RESULT}`; the last word was `{last}`")]
    NoLine {
        /// What came last of what the init says.
        last: String,
    },
    /// The line is there, and what should be in it is not.
    #[error("perf token rate not found in `{line}`")]
    NoRate {
        /// The line.
        line: String,
    },
}

impl Speed {
    /// Reads it from the lines of a console, without what colours them.
    ///
    /// # Errors
    /// See [`NoSpeed`].
    pub fn of(lines: impl IntoIterator<Item = String>) -> Result<Self, NoSpeed> {
        let mut lines = lines.into_iter().skip_while(|line| line != PERF);
        let mut last = lines.next().ok_or(NoSpeed::NoMarker)?;
        let (mut result, mut own) = (None, None);
        for line in lines {
            // What a model says may have no end of line, and may be anything: the last word is the init's.
            if let Some(at) = line.rfind(RESULT) {
                result = Some(line[at..].to_owned());
            } else if OWN.iter().any(|begin| line.starts_with(begin)) {
                own = Some(line);
            } else if line.starts_with("zosia: ")
                && line != SHUTTING_DOWN
                && !FOUND.iter().any(|begin| line.starts_with(begin))
            {
                last = line;
            }
        }
        let line = result.ok_or(NoSpeed::NoLine { last })?;
        let own = own.unwrap_or_default();
        let read = || {
            Some(Self {
                tokens: value(&line, "tokens")?.parse().ok()?,
                seconds: number(&line, "seconds")?,
                tok_per_s: number(&line, "tok_per_s")?,
                load_seconds: number(&own, "load_seconds"),
                eval_tok_per_s: number(&own, "eval_tok_per_s").filter(|rate| *rate > 0.0),
            })
        };
        read().ok_or(NoSpeed::NoRate { line })
    }

    /// How long it took until tokens were generated, seconds: as llama.cpp tells it, or else all that was no generation.
    pub fn load(&self) -> Option<f64> {
        let rest = || Some((self.seconds - f64::from(self.tokens) / self.eval_tok_per_s?).max(0.0));
        self.load_seconds.or_else(rest)
    }

    /// Tokens a second once the model was loaded: as llama.cpp tells it, or else from the time that is left after loading.
    pub fn without_load(&self) -> Option<f64> {
        let rest = || {
            let left = self.seconds - self.load_seconds?;
            (left > 0.0).then(|| f64::from(self.tokens) / left)
        };
        self.eval_tok_per_s.or_else(rest)
    }
}

/// The value of a `KEY=VALUE` of a line.
fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

/// The same where it is a number that makes sense.
fn number(line: &str, key: &str) -> Option<f64> {
    value(line, key)?.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Speed, NoSpeed> {
        Speed::of(text.lines().map(str::to_owned))
    }

    const BEGIN: &str =
        "zosia: init\nzosia: perf\nzosia: llama_bin=llama-cli\nzosia: model_path=/models/model.gguf\n";

    #[test]
    fn the_line_is_read_and_so_is_what_llama_says_of_itself() {
        let line = "zosia: perf tokens=64 seconds=3.200 tok_per_s=20.00\n";
        let end = "zosia: shutting down\n";
        let speed = read(&format!("{BEGIN}> lots of words\n{line}{end}")).unwrap();
        assert_eq!((speed.tokens, speed.seconds, speed.tok_per_s), (64, 3.2, 20.0));
        assert_eq!((speed.load(), speed.without_load()), (None, None));

        let own = "zosia: perf load_seconds=1.200 eval_tok_per_s=40.00\n";
        let speed = read(&format!("{BEGIN}{line}{own}{end}")).unwrap();
        assert_eq!((speed.load(), speed.without_load()), (Some(1.2), Some(40.0)));
    }

    #[test]
    fn one_of_both_tells_the_other() {
        let line = "zosia: perf tokens=64 seconds=3.200 tok_per_s=20.00\n";
        let speed = read(&format!("{BEGIN}{line}zosia: perf eval_tok_per_s=40.00\n")).unwrap();
        assert_eq!(speed.without_load(), Some(40.0));
        assert!((speed.load().unwrap() - 1.6).abs() < 1e-9);
        let speed = read(&format!("{BEGIN}{line}zosia: perf load_seconds=1.200\n")).unwrap();
        assert_eq!(speed.without_load(), Some(32.0));
        // A load time longer than the whole is none.
        let speed = read(&format!("{BEGIN}{line}zosia: perf load_seconds=3.300\n")).unwrap();
        assert_eq!(speed.without_load(), None);
        let speed = read(&format!("{BEGIN}{line}zosia: perf load_seconds=x eval_tok_per_s=0.00\n")).unwrap();
        assert_eq!((speed.load(), speed.without_load()), (None, None));
    }

    #[test]
    fn what_a_model_says_is_not_what_the_init_says() {
        let fake = "zosia: perf tokens=64 seconds=0.001 tok_per_s=64000.00\n";
        let glued = "a tower.zosia: perf tokens=64 seconds=3.200 tok_per_s=20.00\n";
        assert_eq!(read(&format!("{BEGIN}{fake}{glued}")).unwrap().tok_per_s, 20.0);
        // Before the marker nothing counts.
        assert_eq!(read(fake), Err(NoSpeed::NoMarker));
    }

    #[test]
    fn what_is_missing_is_told() {
        let told = |text: &str| read(text).unwrap_err().to_string();
        assert!(told("zosia: init\nzosia: shutting down").starts_with("perf marker not found in VM output"));
        let none = told(&format!("{BEGIN}zosia: perf requires model + llama binary\nzosia: shutting down\n"));
        assert!(none.starts_with("perf output line not found"), "{none}");
        assert!(none.ends_with("`zosia: perf requires model + llama binary`"), "{none}");
        let begun = told(BEGIN);
        assert!(begun.ends_with("the last word was `zosia: perf`"), "{begun}");
        for rest in [
            "",
            "x seconds=1 tok_per_s=2",
            "64 seconds=1.000",
            "64 seconds=1.0 tok_per_s=nan",
            "-1 seconds=1 tok_per_s=1",
        ] {
            let told = told(&format!("{BEGIN}zosia: perf tokens={rest}\n"));
            assert!(told.starts_with("perf token rate not found"), "{rest}: {told}");
        }
    }
}
