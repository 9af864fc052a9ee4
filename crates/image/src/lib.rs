//! Node images: built once, named by the hash of what went in, reused by every lab.
//!
//! ```text
//! Recipe ──hash──> Store::find ── yes ──> Image {vmlinuz, initrd, disk.qcow2}
//!                      └── no ──> build: mmdebstrap ─> files ─> initramfs ─> mke2fs ─> qcow2 ─> rename into the store
//! ```
//!
//! What the user sees: the first `cluster start` builds for half a minute with its progress shown; every later one
//! finds the image at once. A build works in a staging folder that it holds a lock on and that becomes the image by
//! one rename, so an image is whole or not there. Two builds of one image wait for each other; the second finds the
//! first one's result.
//!
//! A [`Base`] is what nodes' disks lie on: such an image, or a qcow2 file of the user's.

mod base;
mod build;
pub mod debian;
mod error;
mod fingerprint;
pub mod initramfs;
mod packer;
mod recipe;
pub mod staging;
mod store;

pub use base::{Backing, Base, Boot, beside, has_kernel, is_as_it_was};
pub use build::{Options, build, can_build};
pub use error::Error;
pub use fingerprint::Fingerprint;
pub use packer::{packer_build, packer_takes_plugins};
pub use recipe::{RECIPES, Recipe, title};
pub use store::{Content, Image, Manifest, Part, Store};
