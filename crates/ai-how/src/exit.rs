//! The statuses the program ends with.

/// All is well.
pub const OK: u8 = 0;
/// Something failed, or `validate` found errors.
pub const FAILED: u8 = 1;
/// The arguments make no sense, or a file they name cannot be read.
pub const USAGE: u8 = 2;
/// This host lacks something: a program, memory, disk, a libvirt, a mirror. `ai-how doctor` tells more.
pub const ENVIRONMENT: u8 = 3;
/// The config file has errors (for every command but `validate`).
pub const CONFIG: u8 = 4;
/// The lab works, and checks failed on it, or none was run.
pub const TESTS: u8 = 5;
/// The user stopped it.
pub const INTERRUPTED: u8 = 130;
