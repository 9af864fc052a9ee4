//! A plan as the texts that libvirt, the kernel and OpenSSH read. Pure: no I/O, no choices.

mod hardware;
mod packer;
mod seed;
mod ssh;
mod xml;

pub use packer::{FINISH, PACKER_IMAGES, PackerHost, PackerImage, SEAL, packer_template};
pub use seed::{SEED_LABEL, seed};
pub use ssh::{FOREIGN_USER, SshAccess, SshHost, ssh_config, ssh_hosts};
pub use xml::{
    Accelerator, Error, Frozen, Kernel, MARK_NAMESPACE, Machine, Mark, Reservation, Start,
    appliance_command_line, command_line, domain, interface, mark, network, reservation, reservations,
};
