//! A hypervisor that is none, and fails on request, for tests of everything above it. Its guests are ready at once.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
    sync::{Arc, Mutex, PoisonError},
};

use render::{Mark, Reservation};
use system::process::Command;

use crate::description;
use crate::hypervisor::{Domain, DomainState, Error, Hypervisor, Network, Observed};

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done, and the caller is told.
    Refused,
    /// It is done, and the caller hears that there was no answer.
    TimedOut,
    /// The caller's process ends before it is done.
    KilledBefore,
    /// The caller's process ends after it is done.
    KilledAfter,
}

/// Domains and networks. A clone is the same place seen by somebody else.
#[derive(Debug, Clone, Default)]
pub struct Fake {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    observed: Observed,
    /// Where it is kept for another process, if anywhere.
    file: Option<PathBuf>,
    calls: usize,
    fault: Option<(usize, Fault)>,
}

impl Fake {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that is kept in a file, and goes on as that has it. Only one process at a time may use it.
    pub fn kept(file: &Path) -> Self {
        let fake = Self::new();
        fake.with(|inner| {
            let text = fs::read_to_string(file).ok();
            inner.observed = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            inner.file = Some(file.to_owned());
        });
        fake
    }

    /// Puts something there that nobody asked for.
    pub fn plant(&self, domain: Domain) {
        self.change(|observed| observed.domains.push(domain));
    }

    /// Puts a network there that nobody asked for.
    pub fn plant_network(&self, network: Network) {
        self.change(|observed| observed.networks.push(network));
    }

    /// Changes something behind everybody's back.
    pub fn change(&self, change: impl FnOnce(&mut Observed)) {
        self.with(|inner| {
            change(&mut inner.observed);
            inner.keep();
        });
    }

    /// Makes the call with this number (from 0, counted from now) go wrong; `None` makes none.
    pub fn fail_at(&self, fault: Option<(usize, Fault)>) {
        self.with(|inner| (inner.calls, inner.fault) = (0, fault));
    }

    /// How many calls there were since the last [`Fake::fail_at`].
    pub fn calls(&self) -> usize {
        self.with(|inner| inner.calls)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        // A test that panicked while it held the lock has failed already.
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn call<T>(
        &self,
        action: &'static str,
        name: &str,
        work: impl FnOnce(&mut Observed) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.with(|inner| {
            let fault = inner.fault.filter(|(call, _)| *call == inner.calls).map(|(_, fault)| fault);
            inner.calls += 1;
            let refused = |message: &str| {
                Err(Error::Refused { action, name: name.to_owned(), message: message.to_owned() })
            };
            match fault {
                Some(Fault::Refused) => return refused("a fault was injected"),
                Some(Fault::KilledBefore) => process::abort(),
                Some(Fault::TimedOut | Fault::KilledAfter) | None => {}
            }
            let done = work(&mut inner.observed);
            inner.keep();
            match fault {
                Some(Fault::KilledAfter) => process::abort(),
                Some(_) => refused("there was no answer"),
                None => done,
            }
        })
    }
}

impl Inner {
    fn keep(&self) {
        if let Some(file) = &self.file {
            // A folder that is not there is what a test may want to see.
            let _ = fs::write(file, serde_json::to_vec(&self.observed).unwrap_or_default());
        }
    }
}

fn exists(action: &'static str, name: &str) -> Error {
    Error::Refused { action, name: name.to_owned(), message: "it exists already".to_owned() }
}

fn present<'a>(observed: &'a mut Observed, name: &str) -> Result<&'a mut Domain, Error> {
    let found = observed.domains.iter_mut().find(|domain| domain.name == name);
    found.ok_or_else(|| absent("find the domain", name))
}

fn absent(action: &'static str, name: &str) -> Error {
    Error::Refused { action, name: name.to_owned(), message: "it does not run".to_owned() }
}

/// What a guest would say at the end of its boot, where the XML tells it to.
fn say_ready(xml: &str) {
    let path = xml.split("<channel type=\"file\">").nth(1).and_then(|rest| rest.split('"').nth(1));
    let line =
        "{\"state\":\"ready\",\"uptime\":1.0,\"host_key\":\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFake\"}\n";
    if let Some(path) = path {
        // A folder that is not there is what a test may want to see.
        let _ = fs::write(path, line);
    }
}

/// A domain as its XML has it.
fn domain(name: &str, state: DomainState, xml: &str) -> Domain {
    Domain { name: name.to_owned(), state, mark: description::mark(xml), shape: description::shape(xml) }
}

impl Hypervisor for Fake {
    fn observe(&self) -> Result<Observed, Error> {
        self.call("list", "everything", |observed| Ok(observed.clone()))
    }

    fn create_network(&self, name: &str, xml: &str) -> Result<(), Error> {
        let action = "start the network";
        self.call(action, name, |observed| {
            if observed.network(name).is_some() {
                return Err(exists(action, name));
            }
            observed.networks.push(Network {
                name: name.to_owned(),
                active: true,
                mark: description::mark(xml),
                reservations: description::reservations(xml),
            });
            Ok(())
        })
    }

    fn destroy_network(&self, name: &str) -> Result<(), Error> {
        self.call("stop the network", name, |observed| {
            observed.networks.retain(|network| network.name != name);
            Ok(())
        })
    }

    fn change_reservations(
        &self,
        network: &str,
        old: &[Reservation],
        new: &[Reservation],
    ) -> Result<(), Error> {
        let action = "change the addresses of the network";
        self.call(action, network, |observed| {
            let found = observed.networks.iter_mut().find(|found| found.name == network);
            let found = found.ok_or_else(|| absent(action, network))?;
            found.reservations.retain(|reservation| !old.contains(reservation));
            found.reservations.extend(new.iter().cloned());
            Ok(())
        })
    }

    fn mark_domain(&self, name: &str, mark: &Mark) -> Result<(), Error> {
        self.call("mark the domain", name, |observed| {
            present(observed, name).map(|domain| domain.mark = Some(mark.clone()))
        })
    }

    fn grow_disk(&self, name: &str, gib: u64) -> Result<(), Error> {
        let action = "grow the disk of the domain";
        self.call(action, name, |observed| {
            let disk = present(observed, name)?.shape.disks.first().cloned().unwrap_or_default();
            let resize = Command::new("qemu-img").args(["resize", "-q", "-f", "qcow2"]).arg(disk);
            let grown = resize.arg(format!("{gib}G")).run();
            grown.map(drop).map_err(|error| Error::Refused {
                action,
                name: name.to_owned(),
                message: error.to_string(),
            })
        })
    }

    fn create_domain(&self, name: &str, xml: &str) -> Result<(), Error> {
        let action = "start the domain";
        self.call(action, name, |observed| {
            if observed.domain(name).is_some() {
                return Err(exists(action, name));
            }
            observed.domains.push(domain(name, DomainState::Running, xml));
            say_ready(xml);
            Ok(())
        })
    }

    fn restore_domain(&self, name: &str, xml: &str) -> Result<(), Error> {
        let action = "restore the domain";
        self.call(action, name, |observed| {
            if observed.domain(name).is_some() {
                return Err(exists(action, name));
            }
            observed.domains.push(domain(name, DomainState::Paused, xml));
            Ok(())
        })
    }

    fn attach_device(&self, name: &str, _: &str) -> Result<(), Error> {
        self.call("plug a device into the domain", name, |observed| present(observed, name).map(drop))
    }

    fn suspend_domain(&self, name: &str) -> Result<(), Error> {
        self.call("suspend the domain", name, |observed| {
            present(observed, name).map(|domain| domain.state = DomainState::Paused)
        })
    }

    fn resume_domain(&self, name: &str) -> Result<(), Error> {
        self.call("resume the domain", name, |observed| {
            present(observed, name).map(|domain| domain.state = DomainState::Running)
        })
    }

    fn memory_address(&self, name: &str) -> Result<u64, Error> {
        self.call("find the memory of the domain", name, |observed| present(observed, name).map(|_| 0))
    }

    fn save_devices(&self, name: &str, file: &Path) -> Result<(), Error> {
        let action = "save the devices of the domain";
        self.call(action, name, |observed| {
            present(observed, name)?;
            fs::write(file, name).map_err(|error| Error::Refused {
                action,
                name: name.to_owned(),
                message: error.to_string(),
            })
        })
    }

    fn shutdown_domain(&self, name: &str) -> Result<(), Error> {
        self.call("shut down the domain", name, |observed| {
            observed.domains.retain(|domain| domain.name != name);
            Ok(())
        })
    }

    fn destroy_domain(&self, name: &str) -> Result<(), Error> {
        self.call("destroy the domain", name, |observed| {
            observed.domains.retain(|domain| domain.name != name);
            Ok(())
        })
    }
}
