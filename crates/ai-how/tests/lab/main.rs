//! Real labs: machines boot, and nothing of them stays. Two tests at a time: each fills the processors only now and then.
//!
//! The images come from the user's cache (`AI_HOW_CACHE`), where `make e2e` leaves them too; everything else has a folder
//! of its own that goes with the test.

#![cfg(feature = "libvirt")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests drive the program from outside"
)]

mod aarch64;
mod appliance;
mod bench;
mod changes;
mod clusters;
mod copies;
mod deployed;
mod faults;
mod forks;
mod host;
mod kills;
mod kubernetes;
mod leaks;
mod life;
mod own_images;
mod packer;
mod places;
mod processors;
mod prompt;
mod snapshots;
mod start;
mod templates;
