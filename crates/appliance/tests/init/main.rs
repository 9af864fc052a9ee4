//! Runs the scripts of the guest as they are, as PID 1 of a namespace: on a terminal, with busybox, and with programs in
//! llama.cpp's place. No virtual machine is started.

#![expect(clippy::disallowed_methods, reason = "programs are started and watched from outside")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says why")]

mod bad_input;
mod console;
mod disks;
mod flags;
mod guest;
mod modes;
mod perf;
mod pid1;
mod precedence;
mod ready;
