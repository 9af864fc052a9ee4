//! A `cluster start` that can be watched and killed, and a cache of its own for tests that break what is in it.

use std::{
    cell::RefCell,
    env, fmt, fs,
    os::unix::{fs::symlink, net::UnixStream, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use crate::bench::Bench;

/// Starts the machines alone, and tells its events on stdout.
pub(crate) const MACHINES: [&str; 5] = ["cluster", "start", "--no-deploy", "--format", "json"];

/// How long anything may take that a test waits for.
const LIMIT: Duration = Duration::from_secs(400);

/// A cache without templates. Images and Ansible, which nothing here breaks, are the user's.
pub(crate) struct Cache {
    pub(crate) folder: PathBuf,
}

impl Cache {
    pub(crate) fn new(bench: &Bench) -> Self {
        let users = users_cache();
        for name in ["images", "libvirt"] {
            fs::create_dir_all(users.join(name)).unwrap();
        }
        // Asked once for all tests.
        bench.ok(&["doctor"]);
        let folder = bench.path("cache");
        fs::create_dir(&folder).unwrap();
        fs::copy(users.join("accelerator.json"), folder.join("accelerator.json")).unwrap();
        let is_used = |name: &String| {
            ["images", "libvirt", "ansible-", "tools-"].iter().any(|word| name.starts_with(word))
        };
        let names =
            fs::read_dir(&users).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        for name in names.filter(is_used) {
            symlink(users.join(&name), folder.join(name)).unwrap();
        }
        Self { folder }
    }

    /// Takes the user's templates, for a test that only copies them.
    pub(crate) fn with_the_users_templates(self) -> Self {
        let templates = users_cache().join("templates");
        fs::create_dir_all(&templates).unwrap();
        symlink(templates, self.folder.join("templates")).unwrap();
        self
    }

    /// The program with this cache.
    pub(crate) fn command(&self, bench: &Bench, arguments: &[&str]) -> Command {
        let mut command = bench.command(arguments);
        command.env("AI_HOW_CACHE", &self.folder);
        command
    }

    /// The folders of templates, and those that became none.
    pub(crate) fn templates(&self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let entries = fs::read_dir(self.folder.join("templates")).into_iter().flatten().flatten();
        let folders = entries.map(|entry| entry.path()).filter(|path| path.is_dir());
        folders.partition(|path| path.join("template.json").exists())
    }

    /// The only template there is.
    pub(crate) fn template(&self) -> PathBuf {
        let (templates, others) = self.templates();
        assert_eq!((templates.len(), others.len()), (1, 0), "{templates:?} {others:?}");
        templates[0].clone()
    }
}

fn users_cache() -> PathBuf {
    let home = env::var("HOME").unwrap_or_default();
    env::var("AI_HOW_CACHE").map_or_else(|_| Path::new(&home).join(".cache/ai-how"), PathBuf::from)
}

/// A `cluster start` that goes on, with its events.
pub(crate) struct Start {
    child: Child,
    events: PathBuf,
    words: PathBuf,
}

impl Start {
    /// Starts it with this cache.
    pub(crate) fn spawn(bench: &Bench, cache: &Cache, config: &str) -> Self {
        Self::of(bench, cache.command(bench, &[&MACHINES[..], &[config]].concat()), config)
    }

    /// Starts a command that tells its events on stdout.
    pub(crate) fn of(bench: &Bench, mut command: Command, name: &str) -> Self {
        let (events, words) =
            (bench.path(&format!("{name}.start.jsonl")), bench.path(&format!("{name}.start.log")));
        command.stdout(fs::File::create(&events).unwrap()).stderr(fs::File::create(&words).unwrap());
        Self { child: command.spawn().unwrap(), events, words }
    }

    /// What it told so far.
    pub(crate) fn events(&self) -> String {
        fs::read_to_string(&self.events).unwrap()
    }

    fn told(&self) -> String {
        format!("{}{}", self.events(), fs::read_to_string(&self.words).unwrap())
    }

    /// Waits until it told this.
    pub(crate) fn wait_for(&mut self, text: &str) {
        self.wait_until(text, |start| start.events().contains(text));
    }

    /// Waits until something is so, while it runs.
    pub(crate) fn wait_until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let limit = Instant::now() + LIMIT;
        while !is_so(self) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended before: {what}: {}", self.told());
            assert!(Instant::now() < limit, "this never came: {what}: {}", self.told());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Has the ear of a machine's agent before the start does, so that nobody else is heard for as long as this is held.
    pub(crate) fn hold_the_agent(&mut self, bench: &Bench, domain: &str) -> UnixStream {
        let held = RefCell::new(None);
        // The socket is there before the machine runs.
        self.wait_until("a socket of the agent", |_| {
            let labs = fs::read_dir(bench.path("state/labs")).into_iter().flatten().flatten();
            let mut sockets = labs.map(|lab| lab.path().join(format!("sockets/{domain}.agent")));
            *held.borrow_mut() = sockets.find_map(|path| UnixStream::connect(path).ok());
            held.borrow().is_some()
        });
        held.into_inner().unwrap()
    }

    /// Ends it without a word.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        assert_eq!(self.child.wait().unwrap().signal(), Some(9), "it was over: {}", self.told());
    }

    /// Ends it without a word, unless it came to a good end before; tells whether it did not.
    pub(crate) fn kill_if_it_runs(mut self) -> bool {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.signal() == Some(9) || status.success(), "{status}: {}", self.told());
        !status.success()
    }

    /// Waits for its end, and tells its status and what it told.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        (self.child.wait().unwrap().code(), self.told())
    }

    /// Waits for its good end.
    pub(crate) fn done(mut self) -> Told {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.told());
        Told(self.events().lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }
}

impl Drop for Start {
    fn drop(&mut self) {
        // A test that failed meanwhile; one that ended is not there to be killed.
        let killed = self.child.kill().and_then(|()| self.child.wait());
        drop(killed);
    }
}

/// What a start told.
pub(crate) struct Told(Vec<serde_json::Value>);

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|event| writeln!(f, "{event}"))
    }
}

impl Told {
    /// For how many nodes this was measured.
    pub(crate) fn measured(&self, figure: &str) -> usize {
        self.0.iter().filter(|event| event["figure"] == figure).count()
    }

    /// How many nodes were copied and how many booted.
    pub(crate) fn copied_and_booted(&self) -> (usize, usize) {
        (self.measured("copy-to-ready"), self.measured("power-on-to-ready"))
    }

    /// Its warnings.
    pub(crate) fn warnings(&self) -> Vec<&str> {
        let warnings = self.0.iter().filter(|event| event["level"] == "warning");
        warnings.filter_map(|event| event["message"].as_str()).collect()
    }

    /// The fork that a check passed on; empty when that was the lab itself.
    pub(crate) fn fork_of(&self, check: &str) -> &str {
        let ended =
            |event: &&serde_json::Value| event["event"] == "check-finished" && event["check"] == check;
        let event = self.0.iter().find(ended).unwrap_or_else(|| panic!("{check} did not run: {self:?}"));
        assert_eq!(event["outcome"], "passed", "{event}");
        event["fork"].as_str().unwrap_or_default()
    }

    /// How many results of Ansible's tasks there were.
    pub(crate) fn tasks(&self) -> usize {
        self.0.iter().filter(|event| event["event"] == "task").count()
    }

    /// How many templates it made.
    pub(crate) fn made(&self) -> usize {
        let messages = self.0.iter().filter_map(|event| event["message"].as_str());
        messages.filter(|message| message.starts_with("made the template")).count()
    }
}
