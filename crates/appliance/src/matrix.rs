//! Which settings are measured: combinations of threads, threads for the prompt, and arguments for llama.cpp.
//!
//! A matrix file has one of them a line, `threads|batch threads|arguments`.

use std::fmt;

/// llama.cpp takes no more threads than that.
pub const MOST_THREADS: u32 = 512;

/// More combinations than anybody waits for.
const MOST: usize = 10_000;

/// How long arguments may be, bytes: a kernel's command line ends at 2,047, and there is more on it.
const LONGEST_ARGS: usize = 1024;

/// How many bad lines are told.
const TOLD: usize = 20;

/// Settings that are measured together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Combination {
    /// Threads that generate.
    pub threads: u32,
    /// Threads that read what was asked.
    pub batch_threads: u32,
    /// More arguments for llama.cpp, with commas between them.
    pub args: String,
}

/// Arguments that cannot be handed on to llama.cpp.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadArgs {
    /// Something else than plain ASCII is in them.
    #[error(
        "the arguments `{0}` have something else than plain ASCII in them, which a kernel's command line cannot hold"
    )]
    Character(String),
    /// There is no room for them.
    #[error("the arguments have {0} bytes, and a kernel's command line has room for {LONGEST_ARGS}")]
    Long(usize),
}

impl Combination {
    /// These settings; between arguments may be commas or spaces.
    ///
    /// # Errors
    /// See [`BadArgs`].
    pub fn new(threads: u32, batch_threads: u32, args: &str) -> Result<Self, BadArgs> {
        let args = joined(args);
        if args.len() > LONGEST_ARGS {
            return Err(BadArgs::Long(args.len()));
        }
        if !args.chars().all(|c| c.is_ascii_graphic()) {
            return Err(BadArgs::Character(args.escape_debug().to_string()));
        }
        Ok(Self { threads, batch_threads, args })
    }

    /// What it is called in figures: `t4 b4 -b 256`.
    pub fn label(&self) -> String {
        let Self { threads, batch_threads, args } = self;
        let label = format!("t{threads} b{batch_threads} {}", args.replace(',', " "));
        label.trim_end().to_owned()
    }

    /// The words that a kernel's command line has for it.
    pub fn words(&self) -> Vec<String> {
        let Self { threads, batch_threads, args } = self;
        let mut words = vec![
            format!("zosia.llama_threads={threads}"),
            format!("zosia.llama_batch_threads={batch_threads}"),
        ];
        words.extend((!args.is_empty()).then(|| format!("zosia.llama_args={args}")));
        words
    }
}

/// As in a matrix file.
impl fmt::Display for Combination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}|{}", self.threads, self.batch_threads, self.args)
    }
}

/// Arguments as the init takes them: commas between them, and nothing empty.
pub fn joined(args: &str) -> String {
    let words = args.split(|c: char| c == ',' || c.is_ascii_whitespace()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(",")
}

/// The numbers of threads that are worth a try on a machine with so many processors.
pub fn usual_threads(cpus: u32) -> Vec<u32> {
    let near = [cpus.saturating_sub(2), cpus, cpus.saturating_add(2)];
    let mut threads = near.map(|threads| threads.clamp(1, MOST_THREADS)).to_vec();
    threads.dedup();
    threads
}

/// Why there are no combinations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Lines that are no combination, each with what is wrong.
    #[error("lines that are no combination, `threads|batch threads|arguments`:{}", listed(.0))]
    Lines(Vec<String>),
    /// There is none.
    #[error("there is no combination in it; each is a line, `threads|batch threads|arguments`")]
    None,
    /// There are more than anybody waits for.
    #[error("{0} combinations are more than the {MOST} that can be measured")]
    Many(usize),
    /// Arguments cannot be handed on.
    #[error(transparent)]
    Args(#[from] BadArgs),
}

fn listed(lines: &[String]) -> String {
    let mut text: String = lines.iter().take(TOLD).map(|line| format!("\n  {line}")).collect();
    if let Some(more) = lines.len().checked_sub(TOLD).filter(|more| *more > 0) {
        text.push_str(&format!("\n  and {more} more"));
    }
    text
}

/// All combinations of what is listed, each once. Without numbers for the prompt, they are the same as `threads`.
///
/// # Errors
/// Arguments that cannot be handed on, or too many combinations.
pub fn combine(threads: &[u32], batch_threads: &[u32], args: &[String]) -> Result<Vec<Combination>, Error> {
    let number = threads.len() * batch_threads.len().max(1) * args.len().max(1);
    if number > MOST {
        return Err(Error::Many(number));
    }
    let none = [String::new()];
    let mut all = Vec::new();
    for args in if args.is_empty() { &none[..] } else { args } {
        for &threads in threads {
            let same = [threads];
            for &batch_threads in if batch_threads.is_empty() { &same[..] } else { batch_threads } {
                all.push(Combination::new(threads, batch_threads, args)?);
            }
        }
    }
    once(&mut all);
    Ok(all)
}

/// Reads a matrix file. `#` begins a comment, and empty lines say nothing.
///
/// # Errors
/// Every line that is no combination, or that there is none.
pub fn read(text: &str) -> Result<Vec<Combination>, Error> {
    let (mut all, mut bad) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match combination(line) {
            Ok(combination) => all.push(combination),
            Err(why) => bad.push(format!("line {}: {why}", index + 1)),
        }
    }
    if !bad.is_empty() {
        return Err(Error::Lines(bad));
    }
    once(&mut all);
    match all.len() {
        0 => Err(Error::None),
        MOST.. => Err(Error::Many(all.len())),
        _ => Ok(all),
    }
}

/// A line of a matrix file. What has no threads for the prompt has the same there, and what has no arguments has none.
fn combination(line: &str) -> Result<Combination, String> {
    let mut fields = line.splitn(3, '|').map(str::trim);
    let threads = number("threads", fields.next().unwrap_or_default())?;
    let batch_threads = match fields.next().unwrap_or_default() {
        "" => threads,
        text => number("batch threads", text)?,
    };
    Combination::new(threads, batch_threads, fields.next().unwrap_or_default())
        .map_err(|error| error.to_string())
}

fn number(what: &str, text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=MOST_THREADS).contains(number));
    let shown: String = text.chars().take(40).collect();
    number.ok_or_else(|| {
        format!("{what} `{}` is no whole number from 1 to {MOST_THREADS}", shown.escape_debug())
    })
}

fn once(all: &mut Vec<Combination>) {
    let mut seen = std::collections::HashSet::new();
    all.retain(|combination| seen.insert(combination.clone()));
}

/// The text of a matrix file.
pub fn write(combinations: &[Combination]) -> String {
    let lines = combinations.iter().map(|combination| format!("{combination}\n"));
    std::iter::once("# threads|batch_threads|llama_args\n".to_owned()).chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(threads: u32, batch_threads: u32, args: &str) -> Combination {
        Combination::new(threads, batch_threads, args).unwrap()
    }

    #[test]
    fn combinations_are_each_with_each_and_each_once() {
        let args = ["".to_owned(), "-b,256".to_owned()];
        let all = combine(&[2, 4, 2], &[], &args).unwrap();
        assert_eq!(all, [of(2, 2, ""), of(4, 4, ""), of(2, 2, "-b,256"), of(4, 4, "-b,256")]);
        assert_eq!(combine(&[2, 4], &[1, 8], &[]).unwrap().len(), 4);
        let many = combine(&[1; 200], &[1; 200], &[]).unwrap_err();
        assert!(many.to_string().starts_with("40000 combinations"), "{many}");
        assert!(combine(&[1], &[], &["ä".to_owned()]).is_err());
    }

    #[test]
    fn the_usual_numbers_of_threads_are_at_least_one_and_none_twice() {
        assert_eq!(usual_threads(8), [6, 8, 10]);
        assert_eq!(usual_threads(2), [1, 2, 4]);
        assert_eq!(usual_threads(1), [1, 3]);
        assert_eq!(usual_threads(0), [1, 2]);
        assert_eq!(usual_threads(512), [510, 512]);
    }

    #[test]
    fn a_matrix_file_is_read_as_it_is_written() {
        let all = combine(&[2, 4], &[1], &[String::new(), "-b 256, -c,1024".to_owned()]).unwrap();
        let text = write(&all);
        assert!(text.contains("\n4|1|-b,256,-c,1024\n"), "{text}");
        assert_eq!(read(&text).unwrap(), all);
        let text = "\u{20}# comment\r\n\r\n  4 | 8 | -b 256 \r\n4\n4||\n4|4|-p,a|b\n";
        assert_eq!(read(text).unwrap(), [of(4, 8, "-b,256"), of(4, 4, ""), of(4, 4, "-p,a|b")]);
    }

    #[test]
    fn every_bad_line_of_a_matrix_file_is_told_with_its_number() {
        let told = read("4|4|\nx|4|\n\n0|4\n4|513|\n4|4|-p,\u{e4}\n|4|\n").unwrap_err().to_string();
        for words in [
            "\n  line 2: threads `x` is no whole number from 1 to 512",
            "\n  line 4: threads `0`",
            "\n  line 5: batch threads `513`",
            "\n  line 6: the arguments `-p,\u{e4}`",
            "\n  line 7: threads ``",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
        assert_eq!(read("# nothing\n\n"), Err(Error::None));
        assert_eq!(read(""), Err(Error::None));
        let noise = read(&"\u{0}|\n".repeat(100)).unwrap_err().to_string();
        assert!(noise.contains("\n  and 80 more") && noise.contains("`\\0`"), "{noise}");
    }

    #[test]
    fn what_a_kernels_command_line_is_told() {
        assert_eq!(of(4, 2, "").words(), ["zosia.llama_threads=4", "zosia.llama_batch_threads=2"]);
        assert_eq!(of(4, 2, " -b  256").words()[2], "zosia.llama_args=-b,256");
        assert_eq!(of(4, 2, "-b,256").label(), "t4 b2 -b 256");
        assert_eq!(of(4, 2, "").label(), "t4 b2");
        assert_eq!(Combination::new(1, 1, &"x".repeat(2000)), Err(BadArgs::Long(2000)));
    }
}
