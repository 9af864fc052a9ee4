//! Where a lab lives and the connection to it.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use guest::{
    Ssh,
    agent::{self, Agent},
};
use lab::{DomainState, Folder, Hold, Hypervisor, Lease, Private, accelerator::Verdict, keeper};
use plan::{Plan, model::NodePlan};
use system::{cancel::Cancel, file, process::Output};

use crate::{Error, access};

/// How long a libvirt may take to answer for the first time.
#[cfg(feature = "libvirt")]
const LIMIT: Duration = Duration::from_secs(30);

/// Whose libvirt runs the machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// One of our own, in namespaces of its own.
    Private,
    /// The host's, `qemu:///system`.
    System,
}

/// One lab on this host, running or not.
#[derive(Debug, Clone)]
pub struct Site {
    /// Whose libvirt.
    pub place: Place,
    /// The lab's folder.
    pub folder: Folder,
    /// Images and verdicts.
    pub cache: PathBuf,
}

/// A lab that runs, with the way into it.
#[derive(Debug)]
pub struct Session {
    pub(crate) site: Site,
    pub(crate) hypervisor: Box<dyn Hypervisor>,
    private: Option<Private>,
    lease: Option<Lease>,
}

impl Site {
    /// Opens the lab if it runs.
    ///
    /// # Errors
    /// It runs but its libvirt does not answer.
    pub fn find(&self, cancel: &Cancel) -> Result<Option<Session>, Error> {
        match self.place {
            Place::Private => match Private::find(&self.folder) {
                Some(private) => self.connect(Some(private), None, cancel).map(Some),
                None => Ok(None),
            },
            Place::System if self.folder.has_disks() => self.connect(None, None, cancel).map(Some),
            Place::System => Ok(None),
        }
    }

    /// Opens the lab, starting it if it does not run. A private lab lives as long as the session from then on, until
    /// [`Session::keep`]; with `throw_away`, losing it takes the disks along.
    ///
    /// # Errors
    /// The lab does not come up, or its libvirt does not answer.
    pub fn open(&self, verdict: &Verdict, throw_away: bool, cancel: &Cancel) -> Result<Session, Error> {
        self.folder.create()?;
        match self.place {
            Place::System => {
                self.folder.let_through()?;
                self.connect(None, None, cancel)
            }
            Place::Private => match Private::find(&self.folder) {
                // One that was kept stays kept: a failure of this command is no reason to end it.
                Some(private) => self.connect(Some(private), None, cancel),
                None => {
                    let (private, lease) =
                        Private::start(&self.folder, &self.cache, verdict, throw_away, cancel)?;
                    self.connect(Some(private), Some(lease), cancel)
                }
            },
        }
    }

    #[cfg(feature = "libvirt")]
    fn connect(
        &self,
        private: Option<Private>,
        lease: Option<Lease>,
        cancel: &Cancel,
    ) -> Result<Session, Error> {
        let libvirt = match self.place {
            Place::System => lab::Libvirt::open("qemu:///system")?,
            Place::Private => lab::Libvirt::private(&self.folder.sockets(), LIMIT, cancel)?,
        };
        Ok(Session { site: self.clone(), hypervisor: Box::new(libvirt), private, lease })
    }

    #[cfg(not(feature = "libvirt"))]
    fn connect(&self, _: Option<Private>, _: Option<Lease>, _: &Cancel) -> Result<Session, Error> {
        Err(Error::NoLibvirt)
    }

    /// The plan of what runs, or ran last; nothing when the lab was never started.
    ///
    /// # Errors
    /// Another version of ai-how wrote it, or it is damaged.
    pub fn plan(&self) -> Result<Option<Plan>, Error> {
        let path = self.folder.plan();
        if !path.exists() {
            return Ok(None);
        }
        let bytes = fs::read(&path).map_err(file::Error::new("read", &path))?;
        Plan::read(&String::from_utf8_lossy(&bytes)).map(Some).map_err(|source| Error::Plan { path, source })
    }

    /// Writes down what the lab is.
    pub(crate) fn write_plan(&self, plan: &Plan) -> Result<(), Error> {
        let path = self.folder.plan();
        let text = serde_json::to_vec_pretty(plan).map_err(|error| {
            Error::File(file::Error { action: "write", path: path.clone(), source: error.into() })
        })?;
        Ok(file::write(&path, &text)?)
    }
}

impl Session {
    /// A session with any hypervisor, for tests.
    #[cfg(test)]
    pub(crate) fn with(site: Site, hypervisor: Box<dyn Hypervisor>) -> Self {
        Self { site, hypervisor, private: None, lease: None }
    }

    /// Lets the lab live on after this process.
    ///
    /// # Errors
    /// The keeper does not answer.
    pub fn keep(&mut self) -> Result<(), Error> {
        if let Some(lease) = self.lease.take() {
            lease.keep()?;
        }
        Ok(())
    }

    /// Shells on its nodes.
    pub fn ssh(&self) -> Ssh {
        Ssh::new(&access::config_file(&self.site.folder), self.enter())
    }

    /// Runs a shell script on a node, as root, through its agent: without a log-in, which costs an emulated node seconds.
    ///
    /// # Errors
    /// The agent does not answer within `limit`, or somebody asked to stop.
    pub fn run(
        &self,
        node: &NodePlan,
        script: &str,
        limit: Duration,
        cancel: &Cancel,
    ) -> Result<Output, Error> {
        Ok(self.agent(node, limit, cancel)?.run(script)?)
    }

    /// The agent in a node, which has `limit` for each answer.
    pub(crate) fn agent<'a>(
        &self,
        node: &'a NodePlan,
        limit: Duration,
        cancel: &'a Cancel,
    ) -> Result<Agent<'a>, agent::Error> {
        Agent::open(&self.site.folder.sockets(), &node.domain, &node.label, limit, cancel)
    }

    /// Tells the keeper of a private lab that machines are going to be held.
    pub(crate) fn hold(&self) -> Result<Option<Hold>, Error> {
        Ok(self.private.as_ref().map(Private::hold).transpose()?)
    }

    /// Whether its machines can be looked into, which takes that their processes are ours.
    pub(crate) fn can_freeze(&self) -> Result<(), Error> {
        if self.site.place == Place::Private { Ok(()) } else { Err(Error::NotPrivate) }
    }

    /// The words that run a command where the nodes can be reached.
    pub fn enter(&self) -> Vec<OsString> {
        self.private.as_ref().map(Private::enter).unwrap_or_default()
    }

    /// The lab's OpenSSH configuration.
    pub fn ssh_config(&self) -> PathBuf {
        access::config_file(&self.site.folder)
    }

    /// The labels of the plan's nodes that run now.
    ///
    /// # Errors
    /// Libvirt does not answer.
    pub fn running(&self, plan: &Plan) -> Result<Vec<String>, Error> {
        let lab = self.site.folder.id();
        let observed = self.hypervisor.observe()?;
        let runs = |domain: &str| {
            observed.domain(domain).is_some_and(|found| {
                found.state == DomainState::Running && found.mark.as_ref().is_some_and(|mark| mark.lab == lab)
            })
        };
        Ok(plan.nodes().filter(|(_, node)| runs(&node.domain)).map(|(_, node)| node.label.clone()).collect())
    }

    /// Where a deployment keeps what must live as long as the lab.
    pub fn secrets(&self) -> PathBuf {
        self.site.folder.path().join("secrets")
    }

    /// The folder of the sockets as QEMU sees it.
    pub(crate) fn sockets_inside(&self) -> PathBuf {
        match self.site.place {
            Place::Private => PathBuf::from(keeper::SOCKETS),
            Place::System => self.site.folder.sockets(),
        }
    }

    /// Where OpenSSH keeps its shared connections, one for each node. They end with a private lab; in the host's libvirt
    /// nothing would end them, and a handshake with a machine that KVM runs costs little.
    pub(crate) fn ssh_control(&self) -> Option<&'static str> {
        (self.site.place == Place::Private).then_some(keeper::SSH_CONTROL)
    }

    /// Ends a private lab and everything in it. The host's libvirt stays as it is.
    pub(crate) fn end(self) -> Result<(), Error> {
        if let Some(private) = self.private {
            private.end()?;
        }
        Ok(())
    }

    /// The lab's folder.
    pub fn folder(&self) -> &Path {
        self.site.folder.path()
    }
}
