//! A private lab, seen from outside: starting its keeper, finding it again, entering it, ending it.

use std::{
    ffi::OsString,
    io::{self, BufRead, BufReader, ErrorKind, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use render::Accelerator;
use system::{
    cancel::Cancel,
    clock::{self, Stopwatch},
    environment,
    file::{self, SocketFolder},
    host,
    namespace::{self, Network},
    process::{self, Command, Detached},
    watch::FolderWatch,
};

use crate::{accelerator::Verdict, folder::Folder, keeper};

/// How long a keeper may take to furnish its lab. It mounts a few folders and starts one program.
const LIMIT: Duration = Duration::from_secs(20);

/// What makes network cards for machines. Everybody may open it where a device manager set it up.
pub const TUN: &str = "/dev/net/tun";

/// Why there is no private lab.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user has no subordinate ids, or the tools to use them.
    #[error("{missing}; run `make set-up`, or {remedy}")]
    Prerequisite {
        /// What is missing.
        missing: String,
        /// How to get it.
        remedy: String,
    },
    /// The keeper ended at once.
    #[error("the lab did not come up: {said}")]
    Keeper {
        /// Its last words.
        said: String,
    },
    /// The keeper does not answer.
    #[error("the keeper of the lab does not answer")]
    Silent(#[source] io::Error),
    /// The keeper does not end.
    #[error("the lab (process {pid}) does not end; `kill -9 {pid}` ends it and everything in it")]
    Stubborn {
        /// The keeper's process id.
        pid: i32,
    },
    /// Somebody asked to stop.
    #[error("starting the lab was interrupted")]
    Interrupted,
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] file::Error),
    /// A program failed.
    #[error(transparent)]
    Process(#[from] process::Error),
}

/// A lab that runs.
#[derive(Debug)]
pub struct Private {
    folder: Folder,
    pid: i32,
    /// The process we started, if it was us: it is ours to reap.
    child: Option<Detached>,
}

/// While this lives, the lab does; see [`Lease::keep`].
#[derive(Debug)]
pub struct Lease {
    connection: Connection,
}

impl Private {
    /// The lab of this folder, if it runs. One that is just ending is waited for.
    pub fn find(folder: &Folder) -> Option<Self> {
        let connection = Connection::open(&folder.sockets()).ok()?;
        let pid = connection.keeper()?;
        let mut lab = Self { folder: folder.clone(), pid, child: None };
        if !connection.is_hung_up() {
            return Some(lab);
        }
        // One that hangs up and does not end is there for those who end it.
        lab.wait_until_gone().err().map(|_| lab)
    }

    /// Starts the lab of this folder and takes its lease. `throw_away` means that a lost lease takes the disks along;
    /// `verdict` whether machines in it may use KVM.
    ///
    /// # Errors
    /// See [`Error`]. Nothing is left running.
    pub fn start(
        folder: &Folder,
        cache: &Path,
        verdict: &Verdict,
        throw_away: bool,
        cancel: &Cancel,
    ) -> Result<(Self, Lease), Error> {
        prerequisites()?;
        folder.clear_runtime()?;
        let sockets = folder.sockets();
        let watch = FolderWatch::new(&sockets).map_err(Error::Silent)?;
        let program = environment::current_program().map_err(Error::Silent)?;
        let kvm = verdict.each().any(|(_, found)| found.accelerator == Accelerator::Kvm);
        let accelerator = if kvm { Accelerator::Kvm } else { Accelerator::Tcg }.to_string();
        let keeper = Command::new(program).arg("lab-keeper").arg(folder.path()).arg(cache).arg(accelerator);
        let log = folder.path().join("keeper.log");
        let mut child = namespace::fresh(Network::Own, &keeper).spawn_detached(&log)?;
        let started = Stopwatch::start();
        loop {
            if let Ok(connection) = Connection::open(&sockets)
                && let Some(pid) = connection.keeper()
            {
                let lease = Lease { connection };
                lease.connection.say(if throw_away { "lease throw-away" } else { "lease" })?;
                return Ok((Self { folder: folder.clone(), pid, child: Some(child) }, lease));
            }
            let give_up = match child.ended() {
                Some(_) => Some(Error::Keeper { said: file::tail(&log, 5) }),
                None if cancel.requested() => Some(Error::Interrupted),
                None if started.elapsed() > LIMIT => {
                    Some(Error::Keeper { said: format!("nothing happened for {} s", LIMIT.as_secs()) })
                }
                None => None,
            };
            if let Some(error) = give_up {
                child.kill();
                return Err(error);
            }
            watch.wait(Duration::from_millis(50)).map_err(Error::Silent)?;
        }
    }

    /// Takes the lease of a lab that runs: from now on it ends with this process, unless it is kept.
    ///
    /// # Errors
    /// The keeper does not answer.
    pub fn lease(&self, throw_away: bool) -> Result<Lease, Error> {
        let connection = Connection::open(&self.folder.sockets()).map_err(Error::Silent)?;
        connection.say(if throw_away { "lease throw-away" } else { "lease" })?;
        Ok(Lease { connection })
    }

    /// Tells that machines are going to be held: should this process be killed meanwhile, the keeper lets them go on.
    ///
    /// # Errors
    /// The keeper does not answer.
    pub fn hold(&self) -> Result<Hold, Error> {
        let connection = Connection::open(&self.folder.sockets()).map_err(Error::Silent)?;
        connection.say("hold")?;
        Ok(Hold { connection })
    }

    /// The keeper's process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The words that, put before a command line, run it inside the lab.
    pub fn enter(&self) -> Vec<OsString> {
        let mut words = namespace::enter_words(self.pid);
        words.extend(["env".into(), format!("TMPDIR={}", keeper::TEMPORARY).into()]);
        words
    }

    /// Ends the lab and waits until nothing of it runs.
    ///
    /// # Errors
    /// It does not end.
    pub fn end(mut self) -> Result<(), Error> {
        if let Ok(connection) = Connection::open(&self.folder.sockets()) {
            // A keeper that is already on its way does not answer, and that is fine.
            let _ = connection.say("stop");
        }
        self.wait_until_gone()
    }

    fn wait_until_gone(&mut self) -> Result<(), Error> {
        let started = Stopwatch::start();
        let proc = PathBuf::from("/proc").join(self.pid.to_string());
        loop {
            let reaped = self.child.as_mut().is_none_or(|child| child.ended().is_some());
            if reaped && !proc.exists() {
                return Ok(());
            }
            if started.elapsed() > LIMIT {
                return Err(Error::Stubborn { pid: self.pid });
            }
            clock::sleep(Duration::from_millis(5));
        }
    }
}

/// While this lives, machines may be held.
#[derive(Debug)]
pub struct Hold {
    connection: Connection,
}

impl Drop for Hold {
    fn drop(&mut self) {
        // A keeper that does not hear it lets machines go on that already do.
        let _ = self.connection.say("release");
    }
}

impl Lease {
    /// Lets the lab live on after this process.
    ///
    /// # Errors
    /// The keeper does not answer.
    pub fn keep(self) -> Result<(), Error> {
        self.connection.say("keep")
    }
}

/// A connection to a keeper.
#[derive(Debug)]
struct Connection {
    stream: UnixStream,
}

impl Connection {
    fn open(sockets: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(SocketFolder::open(sockets)?.path("control"))?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(Self { stream })
    }

    /// The process that listens, in our own numbering.
    fn keeper(&self) -> Option<i32> {
        getsockopt(&self.stream, PeerCredentials).ok().map(|peer| peer.pid()).filter(|pid| *pid > 0)
    }

    /// Whether the keeper takes no more words because it ends. The kernel lets clients in until its very end.
    fn is_hung_up(&self) -> bool {
        match self.ask("here") {
            Ok(answer) => answer.is_empty(),
            Err(error) => matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
        }
    }

    fn say(&self, word: &str) -> Result<(), Error> {
        let answer = self.ask(word).map_err(Error::Silent)?;
        if answer == "ok\n" || word == "stop" {
            return Ok(());
        }
        Err(Error::Silent(io::Error::other(format!("it answered {answer:?} to {word:?}"))))
    }

    /// Says one word, and returns the line that comes back; an empty one when the keeper hung up.
    fn ask(&self, word: &str) -> io::Result<String> {
        (&self.stream).write_all(format!("{word}\n").as_bytes())?;
        let mut answer = String::new();
        BufReader::new(&self.stream).read_line(&mut answer)?;
        Ok(answer)
    }
}

fn prerequisites() -> Result<(), Error> {
    let missing =
        |missing: String, remedy: &str| Err(Error::Prerequisite { missing, remedy: remedy.to_owned() });
    for (program, package) in [("unshare", "util-linux"), ("nsenter", "util-linux"), ("ip", "iproute2")] {
        if environment::find_program(program).is_none() {
            return missing(
                format!("the program `{program}` is missing"),
                &format!("install the package {package}"),
            );
        }
    }
    if !host::may_write(Path::new(TUN)) {
        return missing(
            format!("{TUN} cannot be opened"),
            &format!("`sudo modprobe tun; sudo chmod 0666 {TUN}`"),
        );
    }
    if host::is_root() {
        return Ok(());
    }
    if environment::find_program("newuidmap").is_none() {
        return missing("the program `newuidmap` is missing".to_owned(), "install the package uidmap");
    }
    if host::subordinate_ids("/etc/subuid") == 0 || host::subordinate_ids("/etc/subgid") == 0 {
        let user = host::user();
        let remedy = format!("`sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}`");
        return missing(format!("the user {user} has no subordinate ids in /etc/subuid"), &remedy);
    }
    Ok(())
}
