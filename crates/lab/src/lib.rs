//! Where machines live.
//!
//! ```text
//! private   ai-how ──lease──> keeper (first process of its own namespaces) ──> libvirtd ──> QEMU, dnsmasq, bridges
//!             └────libvirt through the socket in the lab's folder─────────────────┘
//! system    ai-how ──libvirt through qemu:///system──> the host's own
//! ```
//!
//! A private lab is namespaces (users, network, mounts, processes) whose first process is our keeper. When the keeper
//! ends, however it ends, the kernel ends everything in the lab. The keeper itself ends when it is told to, or when the
//! process that holds its lease is gone. Commands outside talk to the lab's libvirt through a socket in the lab's
//! folder, and enter the namespaces only to run SSH and Ansible.

pub mod accelerator;
mod description;
pub mod fake;
mod folder;
mod hypervisor;
pub mod keeper;
#[cfg(feature = "libvirt")]
mod lazy;
#[cfg(feature = "libvirt")]
mod libvirt;
pub mod passthrough;
mod private;

pub use folder::Folder;
pub use hypervisor::{
    Card, Domain, DomainState, Error as HypervisorError, Hypervisor, Network, Observed, Shape,
};
pub use keeper::EMULATOR_LOGS;
#[cfg(feature = "libvirt")]
pub use libvirt::{Libvirt, release};
pub use private::{Error as PrivateError, Hold, Lease, Private, TUN};
