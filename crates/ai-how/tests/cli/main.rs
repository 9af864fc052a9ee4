//! The built program from the outside: what a person, a script or a CI job sees of it. No machine is started here.

#![expect(clippy::disallowed_methods, reason = "the program is started and watched from outside")]
#![expect(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says why")]

mod changes;
mod doctor;
mod folders;
mod framework;
mod help;
mod home;
mod hostile;
mod image;
mod json;
mod kubernetes;
mod mount;
mod nodes;
mod output;
mod own_images;
mod packer;
mod plan;
mod prompt;
mod snapshots;
mod take_over;
mod templates;
mod validate;
mod verbs;
mod workstation;
