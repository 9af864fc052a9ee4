//! Reaching a node: what it says of itself, its agent, its console, and a shell on it.

pub mod agent;
pub mod console;
pub mod ready;
mod ssh;

pub use ssh::{Error as SshError, Ssh};
