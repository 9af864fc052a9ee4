//! A plan as the texts that libvirt, the kernel and OpenSSH read. Pure: no I/O, no choices.

mod hardware;
mod ssh;
mod xml;

pub use ssh::{SshAccess, ssh_config};
pub use xml::{
    Accelerator, Error, Frozen, MARK_NAMESPACE, Machine, Mark, Reservation, Start, command_line, domain,
    interface, mark, network, reservation, reservations,
};
