//! A home of its own for the program: no variable, file or program of the host's reaches it unless a test hands it in.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// The program under test.
pub(crate) const AI_HOW: &str = env!("CARGO_BIN_EXE_ai-how");

/// A small lab that every host has room for.
pub(crate) const LAB: &str = r#"version: "2.0"
name: small
clusters:
  hpc:
    kind: slurm
    image: debian-13
    networks:
      lan: {subnet: 10.213.77.0/24}
    defaults: {cpus: 1, memory_mib: 256, disk_gib: 2}
    controller: {name: controller, address: 10.213.77.10}
    nodes:
      - {name: compute-01, address: 10.213.77.11}
    partitions:
      - {name: debug, nodes: [compute-01], default: true}
"#;

/// What a run said, and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Whatever happens, the program does not panic, and what it says is text.
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("what is written is UTF-8");
        let ran = Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
        assert!(!ran.err.contains("panicked"), "{ran:#?}");
        ran
    }

    /// Expects failure with this status, one error on stderr that holds all of `words`, and no data.
    pub(crate) fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert_eq!(self.out, "", "{self:#?}");
        let errors: Vec<&str> = self
            .err
            .lines()
            .filter(|line| line.starts_with("error") || line.starts_with("{\"error\":"))
            .collect();
        assert_eq!(errors.len(), 1, "{self:#?}");
        for word in words {
            assert!(self.err.contains(word), "`{word}` is missing in {self:#?}");
        }
    }

    /// Expects success and returns the data.
    pub(crate) fn succeeds(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.out
    }

    /// Expects success and data in JSON.
    pub(crate) fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// A home, with `state`, `cache`, the programs in `bin`, and the config file `lab.yaml`.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let home = Self { folder: tempfile::tempdir().expect("a folder for temporary files") };
        fs::create_dir(home.path("bin")).unwrap();
        home.write("lab.yaml", LAB);
        home
    }

    /// A path in it.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Hands the host's own programs in.
    pub(crate) fn with(self, programs: &[&str]) -> Self {
        for name in programs {
            symlink(
                find(name).unwrap_or_else(|| panic!("{name} is not installed")),
                self.path("bin").join(name),
            )
            .unwrap();
        }
        self
    }

    /// Hands in what it takes to make namespaces and to clear up in them.
    pub(crate) fn with_namespaces(self) -> Self {
        let id_maps: &[&str] = if system::host::is_root() { &[] } else { &["newuidmap", "newgidmap"] };
        self.with(&["sh", "rm", "unshare"]).with(id_maps)
    }

    /// Hands a program of ours (see `programs/`) in as `name`. It is linked, because a script that was just written
    /// cannot be started while any process of this test still has it open.
    pub(crate) fn with_fake(self, name: &str, fake: &str) -> Self {
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/programs");
        symlink(programs.join(fake), self.path("bin").join(name)).unwrap();
        self
    }

    /// The program with its surroundings; it starts in this home.
    pub(crate) fn command(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        self.surround(AI_HOW, arguments)
    }

    /// Another program in the same surroundings.
    pub(crate) fn surround(
        &self,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.folder.path())
            .env("AI_HOW_STATE", self.path("state"))
            .env("AI_HOW_CACHE", self.path("cache"))
            .env("PATH", self.path("bin"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ran {
        Ran::of(self.command(arguments).output().expect("the program starts"))
    }

    /// Runs the program like [`Self::run`], and ends it when it waits for something that never comes.
    pub(crate) fn run_soon(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ran {
        let mut command = self.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let begin = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if begin.elapsed() > Duration::from_secs(30) {
                child.kill().unwrap();
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ran::of(child.wait_with_output().unwrap())
    }

    /// The names below a folder of this home, those that begin with a dot too; none when it is not there.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The host's processes that have a path in this home on their command line.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let folder = self.folder.path().display().to_string();
        system::host::processes(|words| words.iter().any(|word| word.contains(&folder)))
    }
}

/// A program of the host's.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    system::environment::find_program(name)
}

/// Waits for something that must come soon.
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(30), "waited in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
