//! `ai-how`: see `ai-how --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ai_how::run()
}
