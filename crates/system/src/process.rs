//! Starting programs.
//!
//! A program gets an argument vector, never a shell string; `LC_ALL=C`; a process group of its own, so that Ctrl-C in
//! the terminal reaches us alone and we decide what ends when; the parent-death signal, so that it does not outlive us;
//! and a deadline. What it said last is in the error.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, BufRead, BufReader, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{self, Signal, killpg},
    unistd::Pid,
};

use crate::{
    cancel::Cancel,
    clock::{self, Stopwatch},
    environment, host,
};

/// How many bytes of a failed program's last words an error carries.
const LAST_WORDS: usize = 2048;

/// How long a program that ended may have been silent before what still holds its output open is left alone.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(1);

/// How long a program may take to end by itself when it is asked to.
const GROUP_END: Duration = Duration::from_secs(2);

/// The same for all that a session has: a program of ours in it may have a lab to take down first.
const SESSION_END: Duration = Duration::from_secs(10);

/// How often a wait looks at the cancel flag, the deadline and a program that closed its output but lives on.
const TICK: Duration = Duration::from_millis(25);

/// A program that did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be started at all.
    #[error("cannot start `{program}`: {}", start_hint(source))]
    Start {
        /// Its name.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// It ended with something other than success.
    #[error("`{command}` {status}{}", indented(last_words))]
    Failed {
        /// The command line.
        command: String,
        /// `failed with status 2`, `was killed by signal 9`.
        status: String,
        /// The end of what it printed.
        last_words: String,
    },
    /// It took too long and was ended.
    #[error("`{command}` did not finish within {limit:?} and was ended{}", indented(last_words))]
    TimedOut {
        /// The command line.
        command: String,
        /// The deadline.
        limit: Duration,
        /// The end of what it printed.
        last_words: String,
    },
    /// Somebody asked to stop.
    #[error("`{command}` was interrupted")]
    Cancelled {
        /// The command line.
        command: String,
    },
    /// Reading from it or waiting for it failed.
    #[error("lost contact with `{command}`")]
    Lost {
        /// The command line.
        command: String,
        /// What the system said.
        source: io::Error,
    },
}

fn start_hint(source: &io::Error) -> String {
    if source.kind() == io::ErrorKind::NotFound {
        "it is not installed (run `ai-how doctor`)".to_owned()
    } else {
        source.to_string()
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("\n    {line}")).collect()
}

/// Which stream a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// What a program that ended left behind.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its exit status; 128 and the signal's number when one killed it, as shells have it.
    pub code: i32,
    /// Everything on standard output, invalid UTF-8 replaced.
    pub stdout: String,
    /// Everything on standard error, invalid UTF-8 replaced.
    pub stderr: String,
}

/// A program to start.
#[derive(Debug, Clone)]
pub struct Command {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    input: Vec<u8>,
    deadline: Option<Duration>,
    cancel: Cancel,
    session: bool,
}

impl Command {
    /// A program by name or path, without arguments. It speaks English, and finds what [`environment::find_program`]
    /// does.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: vec![("LC_ALL".into(), "C".into()), ("PATH".into(), environment::search_path())],
            folder: None,
            input: Vec::new(),
            deadline: None,
            cancel: Cancel::new(),
            session: false,
        }
    }

    /// From a whole argument vector. An empty one names no program and fails to start.
    pub fn new_from(words: Vec<OsString>) -> Self {
        let mut words = words.into_iter();
        Self::new(words.next().unwrap_or_default()).args(words)
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// What it reads on standard input; nothing by default.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Ends it after this time.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Gives it a session of its own, all of which ends with it, groups that a shell made among them. For programs that start
    /// others as they like.
    #[must_use]
    pub fn own_session(mut self) -> Self {
        self.session = true;
        self
    }

    /// Ends it when a stop is requested.
    #[must_use]
    pub fn cancel(mut self, cancel: &Cancel) -> Self {
        self.cancel = cancel.clone();
        self
    }

    /// Puts this command's words before `inner`'s and takes over everything else from it.
    #[must_use]
    pub(crate) fn wrapping(self, inner: &Self) -> Self {
        let mut arguments = self.arguments;
        arguments.push(inner.program.clone());
        arguments.extend(inner.arguments.iter().cloned());
        Self { program: self.program, arguments, ..inner.clone() }
    }

    /// Runs it to its end, whatever that is.
    ///
    /// # Errors
    /// It cannot be started, overran its deadline or was cancelled. A bad exit status is not an error here.
    pub fn output(&self) -> Result<Output, Error> {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        let status = self.run_with(&mut |stream, line| {
            let text = if stream == Stream::Out { &mut stdout } else { &mut stderr };
            text.push_str(line);
        })?;
        Ok(Output { code: code(status), stdout, stderr })
    }

    /// Runs it to a successful end and returns its standard output.
    ///
    /// # Errors
    /// As [`Command::output`], and a bad exit status.
    pub fn run(&self) -> Result<String, Error> {
        let output = self.output()?;
        if output.code == 0 {
            return Ok(output.stdout);
        }
        let said = if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
        Err(Error::Failed {
            command: self.to_string(),
            status: describe(output.code),
            last_words: last_words(said),
        })
    }

    /// Runs it to a successful end and hands every line (with its line end) to `on_line` as it comes.
    ///
    /// # Errors
    /// As [`Command::output`], and a bad exit status.
    pub fn stream(&self, mut on_line: impl FnMut(Stream, &str)) -> Result<(), Error> {
        let mut said = Tail::default();
        let status = self.run_with(&mut |stream, line| {
            said.push(line);
            on_line(stream, line);
        })?;
        if status.success() {
            return Ok(());
        }
        let last_words = last_words(&said.text());
        Err(Error::Failed { command: self.to_string(), status: describe(code(status)), last_words })
    }

    /// Runs it on our own terminal (same process group, so that its Ctrl-C is its own) and returns its exit status.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn interactive(&self) -> Result<i32, Error> {
        let mut command = self.std();
        command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
        let status = command.status().map_err(|source| self.start_error(source))?;
        Ok(code(status))
    }

    /// Starts it as a process that may outlive us, in a session of its own, its output going to `log`. Its standard input
    /// ends when we do.
    ///
    /// # Errors
    /// It cannot be started, or the log cannot be made.
    pub fn spawn_detached(&self, log: &Path) -> Result<Detached, Error> {
        let start_error = |source| self.start_error(source);
        let out = File::create(log).map_err(start_error)?;
        let err = out.try_clone().map_err(start_error)?;
        let mut command = self.std();
        command.stdin(Stdio::piped()).stdout(out).stderr(err);
        #[expect(unsafe_code, reason = "the only way to leave the caller's session before exec")]
        // SAFETY: setsid is async-signal-safe and touches no memory of ours.
        unsafe {
            command.pre_exec(|| nix::unistd::setsid().map(drop).map_err(Into::into));
        }
        Ok(Detached(command.spawn().map_err(start_error)?))
    }

    fn std(&self) -> std::process::Command {
        let mut command = std::process::Command::new(&self.program);
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }

    fn start_error(&self, source: io::Error) -> Error {
        Error::Start { program: self.program.to_string_lossy().into_owned(), source }
    }

    fn spawn(&self) -> Result<Group, Error> {
        let mut command = self.std();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let session = self.session;
        if !session {
            command.process_group(0);
        }
        #[expect(
            unsafe_code,
            reason = "the only way to set the session and the parent-death signal before exec"
        )]
        // SAFETY: setsid and prctl are async-signal-safe and touch no memory of ours.
        unsafe {
            command.pre_exec(move || {
                if session {
                    nix::unistd::setsid()?;
                }
                nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(Into::into)
            });
        }
        Ok(Group { child: command.spawn().map_err(|source| self.start_error(source))?, session })
    }

    /// The heart of all waiting: two readers feed lines into a channel, and this thread hands them on while it watches
    /// deadline and cancel flag. The program was started by this thread, as the parent-death signal demands.
    fn run_with(&self, on_line: &mut dyn FnMut(Stream, &str)) -> Result<ExitStatus, Error> {
        let watch = Stopwatch::start();
        let mut group = self.spawn()?;
        let lost = |source| Error::Lost { command: self.to_string(), source };
        let (sender, lines) = mpsc::channel();
        let readers = [
            group.child.stdout.take().map(|pipe| read_lines(pipe, Stream::Out, sender.clone())),
            group.child.stderr.take().map(|pipe| read_lines(pipe, Stream::Err, sender)),
        ];
        if let Some(mut pipe) = group.child.stdin.take() {
            let input = self.input.clone();
            // A program that does not read all its input has its reasons; its exit status tells.
            thread::spawn(move || drop(pipe.write_all(&input)));
        }
        let mut said = Tail::default();
        let mut ended = None;
        let mut silence = Stopwatch::start();
        let status = loop {
            match lines.recv_timeout(TICK) {
                Ok((stream, line)) => {
                    silence = Stopwatch::start();
                    said.push(&line);
                    on_line(stream, &line);
                    if !self.cancel.requested() && self.deadline.is_none_or(|limit| watch.elapsed() < limit) {
                        continue;
                    }
                }
                Err(RecvTimeoutError::Disconnected) if ended.is_none() && self.deadline.is_none() => {
                    // Nothing more to read; a program that closed its output is all but gone.
                    if let Some(status) = group.child.try_wait().map_err(lost)? {
                        break status;
                    }
                    crate::clock::sleep(Duration::from_millis(1));
                }
                Err(RecvTimeoutError::Disconnected) => crate::clock::sleep(Duration::from_millis(1)),
                Err(RecvTimeoutError::Timeout) => {
                    // It ended, but something it started holds its output open: that is not ours to wait for. Its own
                    // last words may still be on their way on a busy host.
                    if let Some(status) = ended
                        && silence.elapsed() >= LAST_WORDS_LIMIT
                    {
                        break status;
                    }
                }
            }
            if ended.is_none() {
                ended = group.child.try_wait().map_err(lost)?;
                if ended.is_some() {
                    silence = Stopwatch::start();
                }
            }
            if let (Some(status), true) =
                (ended, readers.iter().flatten().all(thread::JoinHandle::is_finished))
            {
                for (stream, line) in lines.try_iter() {
                    on_line(stream, &line);
                }
                break status;
            }
            if ended.is_none() && self.cancel.requested() {
                group.end();
                return Err(Error::Cancelled { command: self.to_string() });
            }
            if let Some(limit) = self.deadline.filter(|&limit| ended.is_none() && watch.elapsed() >= limit) {
                group.end();
                let last_words = last_words(&said.text());
                return Err(Error::TimedOut { command: self.to_string(), limit, last_words });
            }
        };
        Ok(status)
    }
}

impl std::fmt::Display for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.program.to_string_lossy())?;
        for argument in &self.arguments {
            let argument = argument.to_string_lossy();
            if argument.len() > 120 {
                write!(f, " ...")?;
            } else {
                write!(f, " {argument}")?;
            }
        }
        Ok(())
    }
}

/// A process that lives on its own.
#[derive(Debug)]
pub struct Detached(Child);

impl Detached {
    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }

    /// Whether it has ended, and if so with what.
    pub fn ended(&mut self) -> Option<i32> {
        self.0.try_wait().ok().flatten().map(code)
    }

    /// Ends it and waits until it is gone.
    pub fn kill(&mut self) {
        // It may have ended by itself, and then there is nothing to kill or to reap.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ends a process that is no child of this one at once, and waits up to `limit` until nothing is left of it: until whoever
/// it is a child of has reaped it. One that may not be ended, or is gone already, is none of this one's business.
pub fn kill(pid: i32, limit: Duration) {
    let watch = Stopwatch::start();
    let mut what = Some(Signal::SIGKILL);
    while watch.elapsed() < limit && signal::kill(Pid::from_raw(pid), what).is_ok() {
        what = None;
        clock::sleep(Duration::from_millis(1));
    }
}

/// A child with its process group, or with its session; whatever is left of it ends with this value.
struct Group {
    child: Child,
    session: bool,
}

impl Group {
    /// Ends all of it and reaps the child.
    fn end(&mut self) {
        let limit = if self.session { SESSION_END } else { GROUP_END };
        self.signal(Signal::SIGTERM);
        let watch = Stopwatch::start();
        while watch.elapsed() < limit && self.is_there() {
            crate::clock::sleep(TICK);
        }
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
    }

    /// What is gone already is what we want.
    fn signal(&self, what: Signal) {
        let leader = self.child.id().cast_signed();
        let _ = killpg(Pid::from_raw(leader), what);
        for pid in if self.session { host::of_session(leader) } else { Vec::new() } {
            let _ = signal::kill(Pid::from_raw(pid), what);
        }
    }

    fn is_there(&mut self) -> bool {
        let runs = !matches!(self.child.try_wait(), Ok(Some(_)));
        runs || (self.session && !host::of_session(self.child.id().cast_signed()).is_empty())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.is_there() {
            self.end();
        }
    }
}

fn read_lines(
    pipe: impl io::Read + Send + 'static,
    stream: Stream,
    sender: mpsc::Sender<(Stream, String)>,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
            if sender.send((stream, String::from_utf8_lossy(&line).into_owned())).is_err() {
                return;
            }
            line.clear();
        }
    })
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

fn describe(code: i32) -> String {
    match code {
        129..=192 => format!("was killed by signal {}", code - 128),
        _ => format!("failed with status {code}"),
    }
}

/// The last lines of a stream, bounded.
#[derive(Debug, Default)]
struct Tail(VecDeque<String>);

impl Tail {
    fn push(&mut self, line: &str) {
        if self.0.len() == 20 {
            self.0.pop_front();
        }
        self.0.push_back(line.to_owned());
    }

    fn text(&self) -> String {
        self.0.iter().map(String::as_str).collect()
    }
}

fn last_words(text: &str) -> String {
    let text = text.trim_end();
    let mut start = text.len().saturating_sub(LAST_WORDS);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text[start..].to_owned()
}

/// Quotes a word for a POSIX shell, for command lines that are shown to a person or sent over SSH.
pub fn shell_quote(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        Command::new("sh").args(["-c", script])
    }

    #[test]
    fn output_and_status_are_kept_apart() {
        let output = shell("echo out; echo err >&2; exit 3").output().unwrap();
        assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (3, "out\n", "err\n"));
    }

    #[test]
    fn a_failure_carries_the_last_words() {
        let error = shell("echo reason >&2; exit 2").run().unwrap_err().to_string();
        assert!(error.contains("failed with status 2\n    reason"), "{error}");
    }

    #[test]
    fn a_deadline_ends_the_whole_group() {
        let watch = Stopwatch::start();
        let result = shell("sleep 30 & sleep 30").deadline(Duration::from_millis(100)).output();
        assert!(matches!(result, Err(Error::TimedOut { .. })), "{result:?}");
        assert!(watch.seconds() < 5.0);
    }

    #[test]
    fn a_session_ends_with_every_group_in_it() {
        // Each job has a group of its own, which no signal for the shell's group reaches.
        let jobs =
            "set -m; (trap 'echo asked; exit' TERM; echo $BASHPID; sleep 30 & wait) & sleep 30 & echo $!";
        let folder = tempfile::tempdir().unwrap();
        let said = folder.path().join("said");
        let limit = Duration::from_millis(500);
        for (more, is_late) in [("; wait", true), ("; sleep 0.3", false)] {
            let script = format!("exec >{}; {jobs}{more}", said.display());
            let ended = Command::new("bash").args(["-c", &script]).own_session().deadline(limit).output();
            assert_eq!(matches!(ended, Err(Error::TimedOut { .. })), is_late, "{ended:?}");
            let told = std::fs::read_to_string(&said).unwrap();
            assert!(told.contains("asked"), "{told}");
            let pids: Vec<i32> = told.lines().filter_map(|line| line.parse().ok()).collect();
            assert_eq!(pids.len(), 2, "{told}");
            // One that has ended and that nobody has reaped yet has no command line.
            let is_there = |pid: &&i32| host::command_line(**pid).is_some_and(|words| !words.is_empty());
            assert_eq!(pids.iter().filter(is_there).count(), 0, "{told}");
        }
    }

    #[test]
    fn a_killed_process_is_waited_for_until_it_is_reaped() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        let pid = child.id().cast_signed();
        let watch = Stopwatch::start();
        // Nobody reaps it, so all of the limit is waited for, although it has ended.
        kill(pid, Duration::from_millis(100));
        assert!(watch.seconds() >= 0.1);
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        let watch = Stopwatch::start();
        kill(pid, Duration::from_secs(30));
        assert!(watch.seconds() < 5.0);
    }

    #[test]
    fn cancelling_ends_it() {
        let cancel = Cancel::new();
        cancel.request();
        let result = shell("sleep 30").cancel(&cancel).output();
        assert!(matches!(result, Err(Error::Cancelled { .. })), "{result:?}");
    }

    #[test]
    fn a_grandchild_that_holds_the_pipe_is_not_waited_for() {
        let watch = Stopwatch::start();
        let output = shell("sleep 5 & echo done").output().unwrap();
        assert_eq!(output.stdout, "done\n");
        assert!(watch.seconds() < 4.0);
    }

    #[test]
    fn words_that_come_after_the_end_are_heard() {
        let output = shell("(sleep 0.3; echo late) & exit 4").output().unwrap();
        assert_eq!((output.code, output.stdout.as_str()), (4, "late\n"));
    }

    #[test]
    fn input_reaches_it() {
        assert_eq!(Command::new("cat").input("words").run().unwrap(), "words");
    }

    #[test]
    fn a_missing_program_says_so() {
        let error = Command::new("no-such-program").run().unwrap_err().to_string();
        assert!(error.contains("not installed"), "{error}");
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(shell_quote(OsStr::new("a b")), "'a b'");
        assert_eq!(shell_quote(OsStr::new("it's")), r"'it'\''s'");
        assert_eq!(shell_quote(OsStr::new("/plain-1.0")), "/plain-1.0");
    }
}
