//! A plan as the texts that libvirt, the kernel and OpenSSH read. Pure: no I/O, no choices.

mod ssh;
mod xml;

pub use ssh::{SshAccess, ssh_config};
pub use xml::{Accelerator, Error, MARK_NAMESPACE, Machine, Mark, command_line, domain, network};
