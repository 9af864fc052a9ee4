//! Where machines live: a libvirt of our own or the host's.
