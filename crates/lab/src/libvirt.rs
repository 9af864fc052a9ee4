//! Libvirt, through its own C library.

use std::{path::Path, time::Duration};

use render::{MARK_NAMESPACE, Mark, Reservation};
use serde_json::{Value, json};
use system::{
    cancel::Cancel,
    clock::{self, Stopwatch},
    file::SocketFolder,
    watch::FolderWatch,
};
use virt::{
    connect::Connect,
    domain::{Domain as VirtDomain, DomainState as VirtState},
    error::ErrorNumber,
    sys,
};

use crate::description;
use crate::hypervisor::{Domain, DomainState, Error, Hypervisor, Network, Observed};
use crate::{keeper, lazy};

/// How long libvirt may take to answer whoever lets machines go on.
const RELEASE_LIMIT: Duration = Duration::from_secs(30);

/// How long an emulator may take to load a state. It is a few hundred kilobytes.
const LOAD_LIMIT: Duration = Duration::from_secs(20);

/// A connection to libvirt.
#[derive(Debug)]
pub struct Libvirt {
    connection: Connect,
    /// Where the connection's socket is, for the URI to stay true.
    _folder: Option<SocketFolder>,
}

impl Libvirt {
    /// Connects to a libvirt by its URI, as `virsh -c` does.
    ///
    /// # Errors
    /// It does not answer.
    pub fn open(uri: &str) -> Result<Self, Error> {
        let unreachable = |message: String| Error::Unreachable { uri: uri.to_owned(), message };
        lazy::load().map_err(unreachable)?;
        // Otherwise the library prints every error on stderr by itself.
        virt::error::clear_error_callback();
        let connection = Connect::open(Some(uri)).map_err(|error| unreachable(error.message().to_owned()))?;
        Ok(Self { connection, _folder: None })
    }

    /// Connects to the libvirt whose sockets are in `sockets`, waiting until it has made them.
    ///
    /// # Errors
    /// It does not answer within `limit`, or a stop was requested.
    pub fn private(sockets: &Path, limit: Duration, cancel: &Cancel) -> Result<Self, Error> {
        let unreachable =
            |message: String| Error::Unreachable { uri: sockets.display().to_string(), message };
        let folder = SocketFolder::open(sockets).map_err(|error| unreachable(error.to_string()))?;
        let socket = folder.path("libvirt-sock");
        let uri = format!("qemu:///system?socket={}", socket.display());
        let watch = FolderWatch::new(sockets).map_err(|error| unreachable(error.to_string()))?;
        let started = Stopwatch::start();
        loop {
            let error = match Self::open(&uri) {
                Ok(libvirt) => return Ok(Self { _folder: Some(folder), ..libvirt }),
                Err(error) => error,
            };
            let left = started.left_of(limit);
            if left.is_zero() || cancel.requested() {
                return Err(error);
            }
            // The socket is made before it is listened to, so a look now and then is needed besides the watch.
            let pause = if socket.exists() { Duration::from_millis(20) } else { Duration::from_millis(200) };
            watch.wait(left.min(pause)).map_err(|error| unreachable(error.to_string()))?;
        }
    }

    fn uri(&self) -> String {
        self.connection.uri().unwrap_or_default()
    }

    fn refused(&self, action: &'static str, name: &str, error: &virt::error::Error) -> Error {
        let message = error.message().to_owned();
        if self.connection.is_alive().unwrap_or(false) {
            Error::Refused { action, name: name.to_owned(), message }
        } else {
            Error::Unreachable { uri: self.uri(), message }
        }
    }

    fn domain(&self, action: &'static str, name: &str) -> Result<Option<VirtDomain>, Error> {
        match self.connection.lookup_domain_by_name(name) {
            Ok(domain) => Ok(Some(domain)),
            Err(error) if error.code().known() == Some(ErrorNumber::NoDomain) => Ok(None),
            Err(error) => Err(self.refused(action, name, &error)),
        }
    }

    /// As [`Self::domain`], for what makes no sense without one.
    fn present(&self, action: &'static str, name: &str) -> Result<VirtDomain, Error> {
        let message = || "it does not run".to_owned();
        let gone = || Error::Refused { action, name: name.to_owned(), message: message() };
        self.domain(action, name)?.ok_or_else(gone)
    }

    /// Asks the emulator itself, in QMP, and returns what it answers.
    fn monitor(
        &self,
        action: &'static str,
        name: &str,
        domain: &VirtDomain,
        command: Value,
    ) -> Result<Value, Error> {
        let answer = domain
            .qemu_monitor_command(&command.to_string(), 0)
            .map_err(|error| self.refused(action, name, &error))?;
        let refused = |message: String| Error::Refused { action, name: name.to_owned(), message };
        let answer: Value = serde_json::from_str(&answer).map_err(|error| refused(error.to_string()))?;
        match answer.get("error") {
            Some(error) => Err(refused(error["desc"].as_str().unwrap_or("no reason given").to_owned())),
            None => Ok(answer["return"].clone()),
        }
    }
}

/// Lets every machine go on that is held, in the lab that this process is in, and names them.
///
/// # Errors
/// Libvirt does not answer, or refuses.
pub fn release() -> Result<Vec<String>, Error> {
    let libvirt = Libvirt::private(Path::new(keeper::SOCKETS), RELEASE_LIMIT, &Cancel::new())?;
    let held = libvirt.observe()?.domains.into_iter().filter(|domain| domain.state == DomainState::Paused);
    held.into_iter().map(|domain| libvirt.resume_domain(&domain.name).map(|()| domain.name)).collect()
}

impl Hypervisor for Libvirt {
    fn observe(&self) -> Result<Observed, Error> {
        let refused = |error: virt::error::Error| self.refused("list", "domains and networks", &error);
        let mut observed = Observed::default();
        for domain in self.connection.list_all_domains(0).map_err(refused)? {
            // One that ended between the listing and here is not an error, it is gone.
            let (Ok(name), Ok((state, _)), Ok(xml)) = (domain.name(), domain.state(), domain.xml_desc(0))
            else {
                continue;
            };
            let state = state.known().map_or(DomainState::Off, state_of);
            let (mark, shape) = (description::mark(&xml), description::shape(&xml));
            observed.domains.push(Domain { name, state, mark, shape });
        }
        for network in self.connection.list_all_networks(0).map_err(refused)? {
            let (Ok(name), Ok(active), Ok(xml)) = (network.name(), network.is_active(), network.xml_desc(0))
            else {
                continue;
            };
            let (mark, reservations) = (description::mark(&xml), description::reservations(&xml));
            observed.networks.push(Network { name, active, mark, reservations });
        }
        observed.domains.sort_by(|a, b| a.name.cmp(&b.name));
        observed.networks.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(observed)
    }

    fn create_network(&self, name: &str, xml: &str) -> Result<(), Error> {
        let created = self.connection.create_network_xml(xml);
        created.map(drop).map_err(|error| self.refused("start the network", name, &error))
    }

    fn destroy_network(&self, name: &str) -> Result<(), Error> {
        let action = "stop the network";
        match self.connection.lookup_network_by_name(name) {
            Ok(network) => network.destroy().map_err(|error| self.refused(action, name, &error)),
            Err(error) if error.code().known() == Some(ErrorNumber::NoNetwork) => Ok(()),
            Err(error) => Err(self.refused(action, name, &error)),
        }
    }

    fn change_reservations(
        &self,
        network: &str,
        old: &[Reservation],
        new: &[Reservation],
    ) -> Result<(), Error> {
        let action = "change the addresses of the network";
        let refused = |error: virt::error::Error| self.refused(action, network, &error);
        let found = self.connection.lookup_network_by_name(network).map_err(refused)?;
        let commands = old.iter().map(|old| (sys::VIR_NETWORK_UPDATE_COMMAND_DELETE, old));
        for (command, reservation) in
            commands.chain(new.iter().map(|new| (sys::VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, new)))
        {
            let xml = render::reservation(reservation).map_err(|error| Error::Refused {
                action,
                name: network.to_owned(),
                message: error.to_string(),
            })?;
            let section = sys::VIR_NETWORK_SECTION_IP_DHCP_HOST;
            // There is one range of addresses, the first.
            found.update(command, section, 0, &xml, sys::VIR_NETWORK_UPDATE_AFFECT_LIVE).map_err(refused)?;
        }
        Ok(())
    }

    fn mark_domain(&self, name: &str, mark: &Mark) -> Result<(), Error> {
        let action = "mark the domain";
        let xml = render::mark(mark).map_err(|error| Error::Refused {
            action,
            name: name.to_owned(),
            message: error.to_string(),
        })?;
        self.present(action, name)?
            .set_metadata(
                sys::VIR_DOMAIN_METADATA_ELEMENT as i32,
                Some(&xml),
                Some("ai-how"),
                Some(MARK_NAMESPACE),
                sys::VIR_DOMAIN_AFFECT_LIVE,
            )
            .map_err(|error| self.refused(action, name, &error))
    }

    fn grow_disk(&self, name: &str, gib: u64) -> Result<(), Error> {
        let action = "grow the disk of the domain";
        let size = gib.saturating_mul(1 << 30);
        self.present(action, name)?
            .block_resize("vda", size, sys::VIR_DOMAIN_BLOCK_RESIZE_BYTES)
            .map_err(|error| self.refused(action, name, &error))
    }

    fn create_domain(&self, name: &str, xml: &str) -> Result<(), Error> {
        let created = self.connection.create_domain_xml(xml, sys::VIR_DOMAIN_START_VALIDATE);
        created.map(drop).map_err(|error| self.refused("start the domain", name, &error))
    }

    fn restore_domain(&self, name: &str, xml: &str) -> Result<(), Error> {
        let action = "restore the domain";
        // Without validating: libvirt's schema parser fails now and then when several domains start at once, and costs
        // more than the emulator's own start. The XML is the one that booting nodes are validated with.
        let domain = self
            .connection
            .create_domain_xml(xml, sys::VIR_DOMAIN_START_PAUSED)
            .map_err(|error| self.refused(action, name, &error))?;
        // Libvirt does not know that this machine loads a state, so nothing but the emulator tells when it is loaded.
        let watch = Stopwatch::start();
        loop {
            match self.monitor(action, name, &domain, json!({"execute": "query-status"}))?["status"].as_str()
            {
                Some("inmigrate") if watch.elapsed() < LOAD_LIMIT => clock::sleep(Duration::from_millis(2)),
                Some("paused" | "prelaunch") => return Ok(()),
                status => {
                    let message = format!("the machine is {} instead of paused", status.unwrap_or("nowhere"));
                    return Err(Error::Refused { action, name: name.to_owned(), message });
                }
            }
        }
    }

    fn attach_device(&self, name: &str, xml: &str) -> Result<(), Error> {
        let action = "plug a device into the domain";
        let attached = self.present(action, name)?.attach_device_flags(xml, sys::VIR_DOMAIN_AFFECT_LIVE);
        attached.map(drop).map_err(|error| self.refused(action, name, &error))
    }

    fn suspend_domain(&self, name: &str) -> Result<(), Error> {
        let action = "suspend the domain";
        self.present(action, name)?.suspend().map_err(|error| self.refused(action, name, &error))
    }

    fn resume_domain(&self, name: &str) -> Result<(), Error> {
        let action = "resume the domain";
        let domain = self.present(action, name)?;
        domain.resume().or_else(|error| match domain.state() {
            // Somebody was quicker: the keeper lets go what a command held that was killed.
            Ok((state, _)) if state.known().map(state_of) == Some(DomainState::Running) => Ok(()),
            _ => Err(self.refused(action, name, &error)),
        })
    }

    fn memory_address(&self, name: &str) -> Result<u64, Error> {
        let action = "find the memory of the domain";
        let domain = self.present(action, name)?;
        let target = self.monitor(action, name, &domain, json!({"execute": "query-target"}))?;
        // Where the memory of the boards begins, as the guest sees it. Where it is in two parts, they are one for the host.
        let first = if target["arch"] == "aarch64" { 0x4000_0000_u64 } else { 0 };
        let command = json!({
            "execute": "human-monitor-command",
            "arguments": {"command-line": format!("gpa2hva {first:#x}")},
        });
        let said = self.monitor(action, name, &domain, command)?;
        let said = said.as_str().unwrap_or_default().trim();
        // Host virtual address for 0x0 (ram) is 0x7f0000000000
        let address = said.rsplit_once("0x").and_then(|(_, digits)| u64::from_str_radix(digits, 16).ok());
        address.ok_or_else(|| Error::Refused { action, name: name.to_owned(), message: said.to_owned() })
    }

    fn save_devices(&self, name: &str, file: &Path) -> Result<(), Error> {
        let action = "save the devices of the domain";
        let domain = self.present(action, name)?;
        // Made for Xen, and the one command that saves devices and leaves memory alone.
        let command =
            json!({"execute": "xen-save-devices-state", "arguments": {"filename": file, "live": true}});
        self.monitor(action, name, &domain, command).map(drop)
    }

    fn shutdown_domain(&self, name: &str) -> Result<(), Error> {
        let action = "shut down the domain";
        let Some(domain) = self.domain(action, name)? else { return Ok(()) };
        domain.shutdown().map_err(|error| self.refused(action, name, &error))
    }

    fn destroy_domain(&self, name: &str) -> Result<(), Error> {
        let action = "destroy the domain";
        let Some(domain) = self.domain(action, name)? else { return Ok(()) };
        match domain.destroy() {
            Err(error) if error.code().known() != Some(ErrorNumber::NoDomain) => {
                Err(self.refused(action, name, &error))
            }
            _ => Ok(()),
        }
    }
}

fn state_of(state: VirtState) -> DomainState {
    match state {
        VirtState::Running | VirtState::Blocked | VirtState::NoState => DomainState::Running,
        VirtState::Paused | VirtState::PMSuspended => DomainState::Paused,
        VirtState::Shutdown => DomainState::ShuttingDown,
        VirtState::Shutoff => DomainState::Off,
        VirtState::Crashed => DomainState::Crashed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_driver_answers() {
        let libvirt = Libvirt::open("test:///default").unwrap();
        let observed = libvirt.observe().unwrap();
        assert_eq!(observed.domain("test").unwrap().state, DomainState::Running);
        assert_eq!(observed.domain("test").unwrap().mark, None);
        libvirt.destroy_domain("no-such-domain").unwrap();
        libvirt.resume_domain("test").unwrap();
    }

    #[test]
    fn a_missing_libvirt_is_named() {
        let error = Libvirt::open("qemu:///system?socket=/nonexistent/socket").unwrap_err();
        assert!(error.to_string().contains("/nonexistent/socket"), "{error}");
    }
}
