//! Templates: machines that booted once and were frozen, kept in the cache and resumed as many private copies.
//!
//! ```text
//! Key ──id──> Store::find ── yes ──> Template {memory, state, disk.qcow2} ──> copies
//!                   └── no ──> claim ──> staging ──> somebody boots and freezes a machine ──> publish
//! ```
//!
//! What a machine is frozen from makes its [`Key`], and the key's hash names the folder. How a machine is booted,
//! frozen and resumed is the matter of others; this room keeps the files.
//!
//! A template is made in a staging folder under a claim and becomes visible by one rename, and it goes by one rename,
//! so it is whole or not there. Its files are not written to again: copies map the memory privately and write to a disk
//! of their own. A copy that has the files open goes on when the template is removed.

mod digest;
mod error;
mod files;
mod key;
mod store;
#[cfg(test)]
mod store_tests;
mod template;

pub use error::Error;
pub use files::Files;
pub use key::{FORMAT, Key};
pub use store::{Staging, Store};
pub use template::{Kind, Manifest, Template};
