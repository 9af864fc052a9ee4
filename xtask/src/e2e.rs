//! The main job on the example lab. With the build that tests use: the program waits for its machines, and an optimised
//! build would cost minutes to save nothing.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::Failure;

/// Becomes `ai-how test e2e`, so that signals and the exit status are the program's own.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let mut command = Command::new("cargo");
    command.args(["run", "--package", "ai-how", "--", "test", "e2e"]);
    command.args(arguments);
    if std::env::var_os("AI_HOW_STATE").is_none() {
        command.env("AI_HOW_STATE", std::path::absolute("target/e2e")?);
    }
    Err(format!("cargo: {}", command.exec()).into())
}
