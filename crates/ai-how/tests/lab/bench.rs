//! A place to run the program: a state folder, a config file, and the host as it was before.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::host::Host;

/// Two nodes, the fewest that make a cluster.
const CONFIG: &str = r#"version: "2.0"
name: bench
clusters:
  hpc:
    kind: slurm
    networks: {lan: {subnet: 192.168.191.0/24}}
    defaults: {cpus: 1, memory_mib: 640, disk_gib: 4}
    controller: {name: controller}
    nodes: [{name: compute-01}]
"#;

/// A suite of one check that passes, and one that fails where `broken` says so.
fn suite(broken: bool) -> String {
    let more = "  - {name: wrong, description: It is not, on: controller, timeout: 5, run: 'exit 3'}\n";
    format!(
        "name: small\ndescription: As small as can be\nkinds: [slurm]\nchecks:\n  - {{name: jobs, description: A job runs, \
         on: controller, timeout: 30, run: srun -N1 hostname}}\n{}",
        if broken { more } else { "" }
    )
}

/// How many more tests may begin.
static PLACES: (Mutex<u8>, Condvar) = (Mutex::new(3), Condvar::new());

/// One of the places, free again with its end.
struct Turn;

impl Turn {
    fn wait() -> Self {
        let free = PLACES.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = PLACES.1.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *PLACES.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        PLACES.1.notify_one();
    }
}

/// A place to run the program.
pub(crate) struct Bench {
    folder: tempfile::TempDir,
    before: Host,
    _turn: Turn,
}

impl Bench {
    /// Waits for its turn.
    pub(crate) fn new() -> Self {
        let turn = Turn::wait();
        let folder = tempfile::Builder::new().prefix("ai-how-test-").tempdir().unwrap();
        fs::write(folder.path().join("bench.yaml"), CONFIG).unwrap();
        for (name, broken) in [("good", false), ("broken", true)] {
            let path = folder.path().join(name).join("small");
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("suite.yaml"), suite(broken)).unwrap();
        }
        let before = Host::look(folder.path());
        Self { folder, before, _turn: turn }
    }

    /// Its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program, with this place's folders.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ai-how"));
        command.args(arguments).current_dir(self.folder.path()).env("AI_HOW_STATE", self.path("state"));
        command.stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs it to its end, which must be a good one, and returns what it printed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", words(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts `test e2e` with one of the suites.
    pub(crate) fn e2e(&self, suites: &str, options: &[&str]) -> Child {
        let mut command = self.command(&["test", "e2e", "--file", "bench.yaml", "--suites", suites]);
        command.args(options);
        // What an earlier run told is not what this one tells.
        let _ = fs::remove_file(self.path("state/runs/latest"));
        command.stdout(Stdio::null()).stderr(fs::File::create(self.path("e2e.log")).unwrap());
        command.spawn().unwrap()
    }

    /// Waits until the newest run's events say this.
    pub(crate) fn wait_for_event(&self, child: &mut Child, text: &str) {
        let limit = Instant::now() + Duration::from_secs(400);
        while !self.events().contains(text) {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended before it said {text}: {}", self.log());
            assert!(Instant::now() < limit, "it never said {text}: {}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Everything the newest run has told so far.
    pub(crate) fn events(&self) -> String {
        fs::read_to_string(self.path("state/runs/latest/events.jsonl")).unwrap_or_default()
    }

    /// What `e2e` printed.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("e2e.log")).unwrap_or_default()
    }

    /// Nothing of a lab is on the host that was not there before; asked until it is true or ten seconds have passed,
    /// because the kernel takes a moment to end a whole lab.
    pub(crate) fn assert_clean(&self, after: &str) {
        let limit = Instant::now() + Duration::from_secs(10);
        loop {
            let more = Host::look(self.folder.path()).more_than(&self.before);
            if more.is_empty() {
                break;
            }
            assert!(Instant::now() < limit, "left after {after}: {more:#?}");
            thread::sleep(Duration::from_millis(100));
        }
        for lab in fs::read_dir(self.path("state/labs")).into_iter().flatten().flatten() {
            for name in ["sockets", "disks", "ready", "secrets", "ssh"] {
                let left = fs::read_dir(lab.path().join(name)).into_iter().flatten().flatten().count();
                assert_eq!(left, 0, "{name} of the lab after {after}");
            }
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // A test that failed half-way must not leave its machines to the next one.
        let labs = fs::read_dir(self.path("state/labs")).into_iter().flatten().flatten();
        let ids = labs.filter_map(|lab| lab.file_name().into_string().ok());
        let forks = ids.filter_map(|id| Some(id.split_once('+')?.1.to_owned()));
        for fork in forks {
            let destroyed =
                self.command(&["cluster", "destroy", "bench.yaml", "--force", "--fork", &fork]).output();
            drop(destroyed);
        }
        let destroyed = self.command(&["cluster", "destroy", "bench.yaml", "--force"]).output();
        drop(destroyed);
    }
}

/// What a program said, for the message of an assertion.
pub(crate) fn words(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// Sends a process a signal.
pub(crate) fn signal(name: &str, pid: impl ToString) {
    assert!(Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap().success());
}

/// Whether `path` is a program or file that others than its owner may use, all the way down.
pub(crate) fn open_to_all(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.ancestors()
        .all(|part| fs::metadata(part).is_ok_and(|data| data.permissions().mode() & 0o005 == 0o005))
}
