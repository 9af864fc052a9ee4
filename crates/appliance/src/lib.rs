//! The appliance: a virtual machine whose PID 1 ends in a model's prompt on the serial console.
//!
//! ```text
//! Debian ──> build ──> Image {vmlinuz, vmlinux, initrd} ─┐
//! GGUF file ──> model disk (raw ext4, /model.gguf) ──────┴─> a domain like every other: kernel, init, prompt
//! ```
//!
//! What the user sees: the first `prompt run` builds for half a minute; from then on a model answers seconds after power-on,
//! and the machine is gone when the talk is over. There is nothing to install, no network and no disk that is written to.
//! How the machine runs is the engine's matter, as with every other node.

mod build;
mod contents;
pub mod firmware;
pub mod kernel;
pub mod matrix;
mod model_disk;
pub mod perf;
pub mod qemu;
pub mod results;
pub mod sizing;
pub mod transcript;

pub use build::{LARGEST_INITRD, NAME, Recipe, SUITES};
pub use model_disk::{EXTRA_MIB, Error as ModelError, LABEL, MODELS, ModelDisk, ModelFile, is_model_disk};
