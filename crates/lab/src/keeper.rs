//! The first process of a private lab. It furnishes the lab's namespaces, runs the lab's libvirt, and ends when it is
//! told to or when the holder of its lease is gone; with it the kernel ends everything in the lab.
//!
//! It listens on `sockets/control` in the lab's folder. A client says one word a line:
//!
//! | word | meaning |
//! | --- | --- |
//! | `here` | nothing: a keeper that answers is not on its way out |
//! | `lease` | the lab ends when this connection does |
//! | `lease throw-away` | the same, and its disks go with it |
//! | `keep` | the lab stays when this connection ends |
//! | `hold` | machines are being held: when this connection ends before `release`, the keeper lets them go on |
//! | `release` | they go on |
//! | `stop` | the lab ends now |
//!
//! Until the first lease was taken, the end of standard input ends the lab: whoever started it is gone.
//!
//! The answer is `ok`, or `?` to a word it does not know. Who listens also tells the lab's process id: the kernel
//! translates it into the client's namespace.

use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    os::fd::{AsFd, AsRawFd},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
};

use nix::{
    mount::{MsFlags, mount},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::Signal,
        signalfd::{SfdFlags, SigSet, SignalFd},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use system::{
    environment, file,
    process::{Command, Detached},
};

/// Where in a lab's folder libvirt keeps its logs of emulators: how each was started, what it said, and how it ended.
pub const EMULATOR_LOGS: &str = "emulators";

/// Where the lab's sockets folder appears inside the lab: short, because socket addresses are.
pub const SOCKETS: &str = "/run/ai-how";

/// Where OpenSSH keeps its shared connections inside the lab; they end with it.
pub const SSH_CONTROL: &str = "/run/ssh";

/// Where programs that run inside the lab put their temporary files; they end with it too.
pub const TEMPORARY: &str = "/run/tmp";

/// The program of libvirt that does everything in one process.
pub const LIBVIRTD: &str = "libvirtd";

/// How often libvirt is started again before the keeper gives up.
const RESTARTS: u32 = 3;

/// Why a lab cannot be furnished.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something is missing on the host.
    #[error("{what} is missing; run `make set-up`, or install the package {package}")]
    Missing {
        /// A program or folder.
        what: String,
        /// What brings it.
        package: &'static str,
    },
    /// The system refuses.
    #[error("cannot {action} in the lab")]
    System {
        /// What was tried.
        action: String,
        /// What it said.
        source: io::Error,
    },
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] file::Error),
    /// A program failed.
    #[error(transparent)]
    Process(#[from] system::process::Error),
    /// Libvirt does not stay up.
    #[error("the lab's libvirt ended {RESTARTS} times; its last words are in {}", log.display())]
    Libvirt {
        /// Its log.
        log: PathBuf,
    },
}

fn system_error<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Error {
    let action = action.into();
    move |error| Error::System { action, source: error.into() }
}

/// Furnishes the namespaces this process was started in, and keeps the lab until its end. `kvm` tells whether KVM works.
///
/// # Errors
/// The lab cannot be furnished, or libvirt does not stay up.
pub fn run(folder: &Path, cache: &Path, kvm: bool) -> Result<(), Error> {
    furnish(folder, cache, kvm)?;
    let listener = UnixListener::bind(format!("{SOCKETS}/control")).map_err(system_error("listen"))?;
    Keeper {
        folder: folder.to_owned(),
        libvirt: start_libvirt(folder)?,
        restarts: 0,
        clients: Vec::new(),
        lease: None,
        claimed: false,
    }
    .serve(&listener)
}

fn furnish(folder: &Path, cache: &Path, kvm: bool) -> Result<(), Error> {
    // Opened before /run is covered: the lab's folder may be below it.
    let open = |path: &Path| fs::File::open(path).map_err(file::Error::new("open", path));
    let sockets = open(&folder.join("sockets"))?;
    file::create_folder(&folder.join(EMULATOR_LOGS))?;
    let emulator_logs = open(&folder.join(EMULATOR_LOGS))?;
    let libvirt_cache = cache.join("libvirt");
    file::create_folder(&libvirt_cache)?;
    let libvirt_cache = open(&libvirt_cache)?;

    for target in ["/run", "/var/lib/libvirt", "/var/log/libvirt", "/etc/libvirt"] {
        let package = "libvirt-daemon";
        if !Path::new(target).is_dir() {
            return Err(Error::Missing { what: format!("the folder {target}"), package });
        }
        // The host's own libvirt stays out of sight and out of reach.
        mount(Some("tmpfs"), target, Some("tmpfs"), MsFlags::empty(), Some("mode=0755"))
            .map_err(system_error(format!("mount a tmpfs on {target}")))?;
    }
    for path in [SOCKETS, SSH_CONTROL, TEMPORARY, "/run/libvirt", "/run/lock"] {
        file::create_folder(Path::new(path))?;
    }
    for name in ["qemu", "images", "dnsmasq", "network", "boot"] {
        file::create_folder(&Path::new("/var/lib/libvirt").join(name))?;
    }
    file::create_folder(Path::new("/var/log/libvirt/qemu"))?;
    bind(&sockets, SOCKETS)?;
    bind(&emulator_logs, "/var/log/libvirt/qemu")?;
    // What libvirt found out about the emulator is worth keeping; it checks by itself whether it still holds.
    bind(&libvirt_cache, "/var/cache/libvirt")?;

    if !kvm && Path::new("/dev/kvm").exists() {
        // Libvirt would ask an emulator that never answers what it can do with it, for most of a minute. A file that
        // nobody may write to, root neither: one that can be opened would have libvirt ask at every start of the lab.
        let nothing = "/run/no-kvm";
        file::write(Path::new(nothing), b"")?;
        let read_only = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(Some(nothing), "/dev/kvm", None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .and_then(|()| mount(None::<&str>, "/dev/kvm", None::<&str>, read_only, None::<&str>))
            .map_err(system_error("hide /dev/kvm"))?;
    }

    // In a user namespace there is no other user to run QEMU as, no cgroup to manage and no AppArmor.
    let qemu = "user = \"root\"\ngroup = \"root\"\ndynamic_ownership = 0\nremember_owner = 0\n\
                cgroup_controllers = []\nsecurity_driver = \"none\"\nnamespaces = []\nstdio_handler = \"file\"\n";
    file::write(Path::new("/etc/libvirt/qemu.conf"), qemu.as_bytes())?;
    let libvirtd =
        format!("unix_sock_dir = \"{SOCKETS}\"\nunix_sock_rw_perms = \"0700\"\nauth_unix_rw = \"none\"\n");
    file::write(Path::new("/etc/libvirt/libvirtd.conf"), libvirtd.as_bytes())?;
    Command::new("ip").args(["link", "set", "lo", "up"]).run()?;
    Ok(())
}

fn bind(folder: &fs::File, target: &str) -> Result<(), Error> {
    let source = format!("/proc/self/fd/{}", folder.as_raw_fd());
    mount(Some(source.as_str()), target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(system_error(format!("bind a folder to {target}")))
}

fn start_libvirt(folder: &Path) -> Result<Detached, Error> {
    let program = environment::find_program(LIBVIRTD).ok_or_else(|| Error::Missing {
        what: format!("the program {LIBVIRTD}"),
        package: "libvirt-daemon",
    })?;
    Ok(Command::new(program).spawn_detached(&folder.join("libvirtd.log"))?)
}

struct Keeper {
    folder: PathBuf,
    libvirt: Detached,
    restarts: u32,
    clients: Vec<Client>,
    lease: Option<Lease>,
    /// Whether a lease was ever taken.
    claimed: bool,
}

struct Client {
    id: u64,
    reader: BufReader<UnixStream>,
    /// Whether it holds machines.
    holds: bool,
}

#[derive(Clone, Copy)]
struct Lease {
    client: u64,
    throw_away: bool,
}

/// What a client's words lead to.
enum Next {
    Serve,
    Hangup,
    End { throw_away: bool },
}

impl Keeper {
    fn serve(mut self, listener: &UnixListener) -> Result<(), Error> {
        let mut signals = SigSet::empty();
        for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            signals.add(signal);
        }
        signals.thread_block().map_err(system_error("block signals"))?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&signals, flags).map_err(system_error("watch signals"))?;
        let input = io::stdin();
        let mut next_id = 0;
        let throw_away = loop {
            let ready = {
                let mut fds = vec![
                    PollFd::new(signals.as_fd(), PollFlags::POLLIN),
                    PollFd::new(listener.as_fd(), PollFlags::POLLIN),
                ];
                fds.extend(
                    self.clients
                        .iter()
                        .map(|client| PollFd::new(client.reader.get_ref().as_fd(), PollFlags::POLLIN)),
                );
                if !self.claimed {
                    fds.push(PollFd::new(input.as_fd(), PollFlags::POLLIN));
                }
                match poll(&mut fds, PollTimeout::NONE) {
                    Err(nix::errno::Errno::EINTR) => continue,
                    result => result.map_err(system_error("wait for clients"))?,
                };
                fds.iter().map(|fd| fd.any().unwrap_or(false)).collect::<Vec<bool>>()
            };
            if ready[0] && self.on_signals(&signals)? {
                break false;
            }
            let (clients, input) = ready[2..].split_at(self.clients.len());
            // Clients before the listener, whose new one would shift the indices.
            if let Some(throw_away) = self.on_clients(clients) {
                break throw_away;
            }
            // Nothing is ever written there, so it can only have ended.
            if !self.claimed && input == [true] {
                break false;
            }
            if ready[1]
                && let Ok((stream, _)) = listener.accept()
            {
                self.clients.push(Client { id: next_id, reader: BufReader::new(stream), holds: false });
                next_id += 1;
            }
        };
        self.end(throw_away)
    }

    /// Reaps what ended and starts libvirt again if it was that. True when the keeper was asked to end.
    fn on_signals(&mut self, signals: &SignalFd) -> Result<bool, Error> {
        let mut asked = false;
        while let Ok(Some(signal)) = signals.read_signal() {
            asked |= i32::try_from(signal.ssi_signo).is_ok_and(|number| number != Signal::SIGCHLD as i32);
        }
        let libvirt = Pid::from_raw(self.libvirt.pid());
        loop {
            // Everything that lost its parent in here is ours to reap: QEMU processes too.
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) if pid == libvirt => {
                    if self.restarts == RESTARTS {
                        return Err(Error::Libvirt { log: self.folder.join("libvirtd.log") });
                    }
                    self.restarts += 1;
                    // Its successor finds the running machines by itself.
                    self.libvirt = start_libvirt(&self.folder)?;
                }
                Ok(WaitStatus::StillAlive) | Err(_) => return Ok(asked),
                Ok(_) => {}
            }
        }
    }

    /// Serves those clients that said something. `Some` when the lab is to end, with whether its disks go too.
    fn on_clients(&mut self, ready: &[bool]) -> Option<bool> {
        let mut gone = Vec::new();
        for (index, _) in ready.iter().enumerate().filter(|(_, ready)| **ready) {
            match self.hear(index) {
                Next::Serve => {}
                Next::Hangup => gone.push(index),
                Next::End { throw_away } => return Some(throw_away),
            }
        }
        for index in gone.into_iter().rev() {
            if self.clients.remove(index).holds {
                self.release();
            }
        }
        None
    }

    /// Lets machines go on that a client held which was killed. A process of its own does it, so that this one stays small
    /// and always listens.
    fn release(&self) {
        let log = self.folder.join("keeper.log");
        let program = environment::current_program();
        let started = program.map(|program| Command::new(program).arg("lab-release").spawn_detached(&log));
        // Without it the machines wait for the next start, which lets them go on.
        drop(started);
    }

    fn hear(&mut self, index: usize) -> Next {
        let client = &mut self.clients[index];
        let mut line = String::new();
        let heard = client.reader.read_line(&mut line);
        if !matches!(heard, Ok(1..)) {
            return match self.lease {
                Some(lease) if lease.client == client.id => Next::End { throw_away: lease.throw_away },
                _ => Next::Hangup,
            };
        }
        let id = client.id;
        self.claimed |= line.starts_with("lease");
        let answer = match line.trim_end() {
            "here" => "ok\n",
            "lease" => {
                self.lease = Some(Lease { client: id, throw_away: false });
                "ok\n"
            }
            "lease throw-away" => {
                self.lease = Some(Lease { client: id, throw_away: true });
                "ok\n"
            }
            "keep" => {
                self.lease = None;
                "ok\n"
            }
            "hold" => {
                client.holds = true;
                "ok\n"
            }
            "release" => {
                client.holds = false;
                "ok\n"
            }
            "stop" => return Next::End { throw_away: false },
            _ => "?\n",
        };
        match client.reader.get_mut().write_all(answer.as_bytes()) {
            Ok(()) => Next::Serve,
            Err(_) => Next::Hangup,
        }
    }

    fn end(mut self, throw_away: bool) -> Result<(), Error> {
        self.libvirt.kill();
        let mut folders = vec!["sockets", "ready"];
        if throw_away {
            folders.extend(["disks", "secrets", "ssh"]);
        }
        for name in folders {
            let entries = fs::read_dir(self.folder.join(name)).into_iter().flatten().flatten();
            for entry in entries {
                // What cannot be removed now is removed by the next start or destroy.
                let _ = fs::remove_file(entry.path());
            }
        }
        if throw_away {
            for name in ["snapshots", "frozen"] {
                let _ = file::remove_folder(&self.folder.join(name));
            }
        }
        Ok(())
    }
}
