//! A hypervisor in memory that fails on request, for tests of everything above it. Its guests are ready at once.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use render::Mark;

use crate::hypervisor::{Domain, DomainState, Error, Hypervisor, Network, Observed};

/// Domains and networks in memory. A clone is the same place seen by somebody else.
#[derive(Debug, Clone, Default)]
pub struct Fake {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    observed: Observed,
    calls: usize,
    fail_at: Option<usize>,
}

impl Fake {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts something there that nobody asked for.
    pub fn plant(&self, domain: Domain) {
        self.with(|inner| inner.observed.domains.push(domain));
    }

    /// Puts a network there that nobody asked for.
    pub fn plant_network(&self, network: Network) {
        self.with(|inner| inner.observed.networks.push(network));
    }

    /// Makes the call with this number (from 0, counted from now) fail; `None` makes none fail.
    pub fn fail_at(&self, call: Option<usize>) {
        self.with(|inner| (inner.calls, inner.fail_at) = (0, call));
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
            let call = inner.calls;
            inner.calls += 1;
            if inner.fail_at == Some(call) {
                let message = "a fault was injected".to_owned();
                return Err(Error::Refused { action, name: name.to_owned(), message });
            }
            work(&mut inner.observed)
        })
    }
}

fn exists(action: &'static str, name: &str) -> Error {
    Error::Refused { action, name: name.to_owned(), message: "it exists already".to_owned() }
}

fn present<'a>(observed: &'a mut Observed, name: &str) -> Result<&'a mut Domain, Error> {
    observed.domains.iter_mut().find(|domain| domain.name == name).ok_or_else(|| Error::Refused {
        action: "find the domain",
        name: name.to_owned(),
        message: "it does not run".to_owned(),
    })
}

/// What a guest would say at the end of its boot, where the XML tells it to.
fn say_ready(xml: &str) {
    let path = xml.split("<channel type=\"file\">").nth(1).and_then(|rest| rest.split('"').nth(1));
    let line =
        "{\"state\":\"ready\",\"uptime\":1.0,\"host_key\":\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFake\"}\n";
    if let Some(path) = path {
        // A folder that is not there is what a test may want to see.
        let _ = std::fs::write(path, line);
    }
}

/// The mark as the templates write it; enough of a parser for XML we made ourselves.
fn mark(xml: &str) -> Option<Mark> {
    let attribute = |name: &str| {
        let element = &xml[xml.find("<ai-how:mark")?..];
        let start = element.find(&format!(" {name}=\""))? + name.len() + 3;
        Some(element[start..start + element[start..].find('"')?].to_owned())
    };
    Some(Mark {
        lab: attribute("lab")?,
        cluster: attribute("cluster")?,
        plan: attribute("plan")?,
        generation: attribute("generation")?.parse().ok()?,
    })
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
            observed.networks.push(Network { name: name.to_owned(), active: true, mark: mark(xml) });
            Ok(())
        })
    }

    fn destroy_network(&self, name: &str) -> Result<(), Error> {
        self.call("stop the network", name, |observed| {
            observed.networks.retain(|network| network.name != name);
            Ok(())
        })
    }

    fn create_domain(&self, name: &str, xml: &str) -> Result<(), Error> {
        let action = "start the domain";
        self.call(action, name, |observed| {
            if observed.domain(name).is_some() {
                return Err(exists(action, name));
            }
            observed.domains.push(Domain {
                name: name.to_owned(),
                state: DomainState::Running,
                mark: mark(xml),
            });
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
            observed.domains.push(Domain {
                name: name.to_owned(),
                state: DomainState::Paused,
                mark: mark(xml),
            });
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
            std::fs::write(file, name).map_err(|error| Error::Refused {
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
