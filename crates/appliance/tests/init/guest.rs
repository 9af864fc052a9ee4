//! A throw-away root, and what becomes of an init in it.

use std::{
    fs,
    io::{Read, Write},
    os::{
        fd::AsFd,
        unix::{
            fs::{MetadataExt, PermissionsExt, lchown, symlink},
            process::ExitStatusExt,
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use nix::{
    fcntl::{OFlag, open},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt},
    sys::{
        signal::Signal,
        stat::{Mode, fchmod},
        statfs::{PROC_SUPER_MAGIC, statfs},
    },
    unistd::{Gid, Uid, fchown, geteuid, mkfifo},
};

const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/guest");
const STAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/init/stage.sh");
const BUSYBOX: &str = "/bin/busybox";

/// Whom root becomes: not even a mistake of a test can then do what only root can.
const NOBODY: u32 = 65534;

/// For what takes milliseconds, on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a PID 1 came to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It asked for a power-off, in a virtual machine by `poweroff -f`.
    Off,
    /// It asked for a restart.
    Restart,
    /// It ended, which is a kernel panic.
    Died(String),
}

/// An appliance that is not on yet.
pub(crate) struct Guest {
    /// Goes with it.
    _folder: tempfile::TempDir,
    root: PathBuf,
    process_limit: &'static str,
}

impl Guest {
    /// One with two processors, no disk, and no llama.cpp. None where an ordinary user gets no namespaces: a test is skipped
    /// then, and not failed.
    pub(crate) fn new(command_line: &str) -> Option<Self> {
        if let Err(why) = namespaces() {
            assert!(!geteuid().is_root(), "{why}");
            eprintln!("skipped: {why}");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let guest = Self { root: folder.path().join("root"), _folder: folder, process_limit: "" };
        for path in ["bin", "dev", "lib/modules", "lib/zosia", "models", "proc", "sys", "tmp", "usr/bin"] {
            fs::create_dir_all(guest.path(path)).unwrap();
        }
        for (script, path) in
            [("init", "init"), ("session", "lib/zosia/session"), ("zosia-repl", "bin/zosia-repl")]
        {
            fs::copy(Path::new(GUEST).join(script), guest.path(path)).unwrap();
            fs::set_permissions(guest.path(path), fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::copy(BUSYBOX, guest.path("bin/busybox")).unwrap();
        for applet in fs::read_to_string(Path::new(GUEST).join("applets")).unwrap().lines() {
            symlink("busybox", guest.path("bin").join(applet)).unwrap();
        }
        for node in ["console", "null", "ttyS0"] {
            guest.file(&format!("dev/{node}"), "");
        }
        // Plain files: this kernel's own are out of reach, above all the one that powers this machine off.
        guest.file("proc/cmdline", format!("{command_line}\n"));
        guest.file("proc/uptime", "1.50 2.00\n");
        guest.file("proc/sysrq-trigger", "");
        guest.file("sys/class/tty/console/active", "tty0 ttyS0\n");
        guest.file("sys/devices/system/cpu/online", "0-1\n");
        // What these would do is not for a namespace.
        guest.program("/bin/findfs", "exit 1");
        guest.program("/bin/mount", r#"echo "mount $*" >>/calls"#);
        guest.program("/bin/ifconfig", r#"echo "ifconfig $*" >>/calls"#);
        Some(guest)
    }

    fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A file with this content, in place of what is there.
    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        self.remove(path.strip_prefix(&self.root).unwrap().to_str().unwrap());
        fs::write(path, content).unwrap();
        self
    }

    /// A script of busybox's shell, in place of what is there.
    pub(crate) fn program(&self, path: &str, script: &str) -> &Self {
        self.file(path, format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    pub(crate) fn fifo(&self, path: &str) -> &Self {
        mkfifo(&self.path(path), Mode::from_bits_truncate(0o600)).unwrap();
        self
    }

    pub(crate) fn remove(&self, path: &str) -> &Self {
        let _ = fs::remove_file(self.path(path));
        self
    }

    /// A disk of this name that has the label.
    pub(crate) fn model_disk(&self, name: &str) -> &Self {
        self.file(&format!("dev/{name}"), "")
            .program("/bin/findfs", &format!(r#"[ "$1" = LABEL=ZOSIA_MODEL ] && echo /dev/{name}"#))
    }

    /// A disk with a model that begins as models do.
    pub(crate) fn model(&self) -> &Self {
        self.model_disk("vda").file("models/model.gguf", "GGUF\x03\0\0\0")
    }

    /// A program in `/usr/bin` that keeps what it is told in `/calls`, and then does this.
    pub(crate) fn llama(&self, name: &str, then: &str) -> &Self {
        self.program(&format!("usr/bin/{name}"), &format!("echo \"{name} $*\" >>/calls\n{then}"))
    }

    /// So many processes it may have.
    pub(crate) fn process_limit(&mut self, limit: &'static str) -> &Self {
        self.process_limit = limit;
        self
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    /// The programs that were called, each with what it was told.
    pub(crate) fn calls(&self) -> String {
        self.read("calls")
    }

    /// Powers it on.
    pub(crate) fn boot(&self) -> Running {
        // Neither of its ends is for the guest of another test.
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let terminal = posix_openpt(flags).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname_r(&terminal).unwrap();
        let slave = open(name.as_str(), flags, Mode::empty()).unwrap();
        let mut command = Command::new("unshare");
        if geteuid().is_root() {
            command = Command::new("setpriv");
            command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "unshare"]);
            give(self.root.parent().unwrap());
            fchown(&slave, Some(Uid::from_raw(NOBODY)), Some(Gid::from_raw(NOBODY))).unwrap();
            fchmod(&slave, Mode::from_bits_truncate(0o600)).unwrap();
        }
        self.must_be_masked();
        let outside = fs::read_link("/proc/self/ns/user").unwrap();
        let stdio = || Stdio::from(slave.try_clone().unwrap());
        let child = command
            .args(["--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "sh", STAGE])
            .args([&self.root, Path::new(&name), &outside])
            .arg(self.process_limit)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .unwrap();
        Running {
            child,
            terminal: Some(terminal),
            heard: String::new(),
            seen: 0,
            until: Instant::now() + PATIENCE,
        }
    }

    /// Powers it on, and waits until it is off: everything that was on its console.
    pub(crate) fn transcript(&self) -> String {
        let (console, end) = self.boot().end();
        assert_eq!(end, End::Off, "{console}");
        console
    }

    /// Where this kernel's own file is in the way, its "power off" would be meant for the machine that runs this.
    fn must_be_masked(&self) {
        let root = fs::metadata(&self.root).unwrap();
        let trigger = fs::symlink_metadata(self.path("proc/sysrq-trigger")).unwrap();
        assert!(trigger.is_file() && trigger.dev() == root.dev(), "/proc/sysrq-trigger is not masked");
        let proc = statfs(&self.path("proc")).unwrap();
        assert_ne!(proc.filesystem_type(), PROC_SUPER_MAGIC, "/proc is a real one");
    }
}

/// An appliance that is on.
pub(crate) struct Running {
    child: Child,
    terminal: Option<PtyMaster>,
    heard: String,
    /// Up to where it was waited for.
    seen: usize,
    until: Instant,
}

impl Running {
    /// Waits until the console says this, after what it was waited for before.
    pub(crate) fn expect(&mut self, text: &str) -> &mut Self {
        loop {
            if let Some(at) = self.heard[self.seen..].find(text) {
                self.seen += at + text.len();
                return self;
            }
            assert!(self.listen(), "{text:?} is not in {:?}", self.heard);
        }
    }

    pub(crate) fn type_in(&mut self, text: &str) -> &mut Self {
        self.terminal.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
        self
    }

    /// Waits until it is off.
    pub(crate) fn end(mut self) -> (String, End) {
        while self.listen() {}
        (std::mem::take(&mut self.heard), self.how())
    }

    /// The console goes away for good.
    pub(crate) fn hang_up(mut self) -> End {
        drop(self.terminal.take());
        self.how()
    }

    /// Whether it is still on when this holds, which it must at some time.
    pub(crate) fn wait_until(&mut self, holds: impl Fn() -> bool) -> bool {
        while !holds() {
            assert!(Instant::now() < self.until, "{:?}", self.heard);
            std::thread::sleep(Duration::from_millis(5));
        }
        self.child.try_wait().unwrap().is_none()
    }

    /// Takes what the console says next; `false` when it says no more.
    fn listen(&mut self) -> bool {
        let Some(terminal) = &mut self.terminal else { return false };
        let left = self.until.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(terminal.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(left).unwrap();
        assert_ne!(poll(&mut fds, timeout).unwrap(), 0, "it is still on, and said {:?}", self.heard);
        let mut buffer = [0; 65536];
        // The last of its users gone, a terminal is at its end with an error.
        match terminal.read(&mut buffer) {
            Ok(0) | Err(_) => false,
            Ok(length) => {
                self.heard += &String::from_utf8_lossy(&buffer[..length]).replace('\r', "");
                true
            }
        }
    }

    fn how(&mut self) -> End {
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < self.until, "it is still on, and said {:?}", self.heard);
            std::thread::sleep(Duration::from_millis(5));
        }
        let status = self.child.wait().unwrap();
        match status.signal().map(|number| Signal::try_from(number).unwrap()) {
            // So does the kernel tell the parent of a namespace what its PID 1 asked for.
            Some(Signal::SIGINT) => End::Off,
            Some(Signal::SIGHUP) => End::Restart,
            _ => End::Died(status.to_string()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Hands a folder with all in it to the user the guest runs as.
fn give(path: &Path) {
    lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if fs::symlink_metadata(path).unwrap().is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path());
        }
    }
}

/// Whether this machine lets the user have the namespaces.
fn namespaces() -> Result<(), &'static str> {
    static NAMESPACES: OnceLock<Result<(), String>> = OnceLock::new();
    let probe = || {
        assert!(Path::new(BUSYBOX).exists(), "{BUSYBOX} is not there: install busybox-static");
        let output = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "--pid", "--fork", "true"])
            .output()
            .unwrap();
        if output.status.success() {
            return Ok(());
        }
        Err(format!("no namespaces: {}", String::from_utf8_lossy(&output.stderr).trim()))
    };
    NAMESPACES.get_or_init(probe).as_ref().map(|_| ()).map_err(String::as_str)
}
