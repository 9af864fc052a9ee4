//! The one door to the outside: processes, namespaces, signals, the clock, the environment, the host's facts and the
//! few file operations that must be atomic.
//!
//! Every other room asks here, so a reader finds each effect in one place and `clippy.toml` can forbid the rest.

#![expect(clippy::disallowed_methods, reason = "this is the room the rule points everyone else to")]

pub mod cancel;
pub mod clock;
pub mod environment;
pub mod file;
pub mod foreign;
pub mod host;
pub mod namespace;
pub mod pci;
pub mod process;
pub mod process_memory;
pub mod watch;
