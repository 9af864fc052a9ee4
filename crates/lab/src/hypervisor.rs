//! What the engine asks of a place where machines live. Libvirt answers it; so does a fake that injects faults.

use std::{fmt, path::Path};

use render::{Mark, Reservation};
use serde::{Deserialize, Serialize};

/// A request that was not fulfilled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The connection is gone, or never was.
    #[error("libvirt does not answer at {uri}: {message}")]
    Unreachable {
        /// Where it was expected.
        uri: String,
        /// What libvirt's client says.
        message: String,
    },
    /// The object of that name is not ours.
    #[error(
        "{kind} `{name}` exists and was not made by this lab, so it stays as it is. Rename the cluster, or remove \
         `{name}` yourself if nobody needs it"
    )]
    Foreign {
        /// `domain` or `network`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// Libvirt refused.
    #[error("libvirt cannot {action} `{name}`: {message}")]
    Refused {
        /// `start the domain`.
        action: &'static str,
        /// The object.
        name: String,
        /// Libvirt's own words.
        message: String,
    },
}

/// What a domain does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DomainState {
    /// Its processors run.
    Running,
    /// They are held.
    Paused,
    /// It is on its way to being off.
    ShuttingDown,
    /// It is off.
    Off,
    /// It ended in a way nobody asked for.
    Crashed,
}

impl fmt::Display for DomainState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::ShuttingDown => "shutting down",
            Self::Off => "off",
            Self::Crashed => "crashed",
        })
    }
}

/// A network card of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Colon-separated, lower case.
    pub mac: String,
    /// Libvirt's name for the network it is on.
    pub network: String,
}

/// What a domain is made of, as far as somebody may change it while it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Virtual processors that it has now.
    pub cpus: u32,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// The files of its disks.
    pub disks: Vec<String>,
    /// Its network cards.
    pub cards: Vec<Card>,
    /// The host's devices that it has: PCI addresses, and UUIDs of mediated devices.
    pub devices: Vec<String>,
}

/// A domain as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// Libvirt's name.
    pub name: String,
    /// What it does.
    pub state: DomainState,
    /// Whose it is; `None` for a stranger.
    pub mark: Option<Mark>,
    /// What it is made of.
    pub shape: Shape,
}

/// A network as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Libvirt's name.
    pub name: String,
    /// Whether it is up.
    pub active: bool,
    /// Whose it is; `None` for a stranger.
    pub mark: Option<Mark>,
    /// For whom its DHCP keeps addresses.
    pub reservations: Vec<Reservation>,
}

/// Everything that exists now, ours and not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Domains, by name.
    pub domains: Vec<Domain>,
    /// Networks, by name.
    pub networks: Vec<Network>,
}

impl Observed {
    /// The domain of that name.
    pub fn domain(&self, name: &str) -> Option<&Domain> {
        self.domains.iter().find(|domain| domain.name == name)
    }

    /// The network of that name.
    pub fn network(&self, name: &str) -> Option<&Network> {
        self.networks.iter().find(|network| network.name == name)
    }
}

/// A place where machines live. Objects are transient: one that is off is gone, and its disk tells that it was. Calls
/// may come from several threads.
pub trait Hypervisor: Send + Sync + fmt::Debug {
    /// Everything there is.
    ///
    /// # Errors
    /// See [`Error`].
    fn observe(&self) -> Result<Observed, Error>;

    /// Brings a network up.
    ///
    /// # Errors
    /// See [`Error`].
    fn create_network(&self, name: &str, xml: &str) -> Result<(), Error>;

    /// Takes a network down; one that is gone is fine.
    ///
    /// # Errors
    /// See [`Error`].
    fn destroy_network(&self, name: &str) -> Result<(), Error>;

    /// Takes addresses that a network's DHCP keeps away, and adds others, while it is up.
    ///
    /// # Errors
    /// See [`Error`].
    fn change_reservations(
        &self,
        network: &str,
        old: &[Reservation],
        new: &[Reservation],
    ) -> Result<(), Error>;

    /// Puts another mark on a domain that runs.
    ///
    /// # Errors
    /// See [`Error`].
    fn mark_domain(&self, name: &str, mark: &Mark) -> Result<(), Error>;

    /// Makes the first disk of a domain that runs larger.
    ///
    /// # Errors
    /// See [`Error`].
    fn grow_disk(&self, name: &str, gib: u64) -> Result<(), Error>;

    /// Starts a domain.
    ///
    /// # Errors
    /// See [`Error`].
    fn create_domain(&self, name: &str, xml: &str) -> Result<(), Error>;

    /// Starts a domain whose XML names a frozen state, and returns when that is loaded. Its processors are held.
    ///
    /// # Errors
    /// See [`Error`].
    fn restore_domain(&self, name: &str, xml: &str) -> Result<(), Error>;

    /// Plugs a device into a domain.
    ///
    /// # Errors
    /// See [`Error`].
    fn attach_device(&self, name: &str, xml: &str) -> Result<(), Error>;

    /// Holds a domain's processors. What it wrote to its disk is then in the file.
    ///
    /// # Errors
    /// See [`Error`].
    fn suspend_domain(&self, name: &str) -> Result<(), Error>;

    /// Lets a domain's processors go on; one whose do is fine.
    ///
    /// # Errors
    /// See [`Error`].
    fn resume_domain(&self, name: &str) -> Result<(), Error>;

    /// Where a domain's memory begins in the memory of its emulator's process.
    ///
    /// # Errors
    /// See [`Error`].
    fn memory_address(&self, name: &str) -> Result<u64, Error>;

    /// Writes what the processors and devices of a suspended domain know into a new file. Its memory is not part of it.
    ///
    /// # Errors
    /// See [`Error`].
    fn save_devices(&self, name: &str, file: &Path) -> Result<(), Error>;

    /// Asks the guest to power off; one that is off is fine.
    ///
    /// # Errors
    /// See [`Error`].
    fn shutdown_domain(&self, name: &str) -> Result<(), Error>;

    /// Takes the power away; a domain that is off is fine.
    ///
    /// # Errors
    /// See [`Error`].
    fn destroy_domain(&self, name: &str) -> Result<(), Error>;
}
