//! Every lint gate. All of them run, so that one look at the log shows all there is to mend.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Failure, generate, layers, output, run as execute};

type Gate = fn() -> Result<(), Failure>;

const GATES: &[(&str, Gate)] = &[
    ("format", || cargo(&["fmt", "--all", "--check"])),
    ("clippy", || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])),
    ("clippy without libvirt", || {
        cargo(&["clippy", "--package", "ai-how", "--no-default-features", "--", "-D", "warnings"])
    }),
    ("docs", docs),
    ("generated files", || generate::run(true)),
    ("layers", layers::run),
    ("dependencies", || cargo(&["deny", "--locked", "check", "bans", "licenses", "sources"])),
    ("advisories", advisories),
    ("shell", shellcheck),
    ("ansible", ansible_lint),
];

/// Runs them all.
pub(crate) fn run() -> Result<(), Failure> {
    let mut failed = Vec::new();
    for (name, gate) in GATES {
        eprintln!("--- {name}");
        if let Err(failure) = gate() {
            eprintln!("{name}: {failure}");
            failed.push(*name);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", ")).into()) }
}

fn cargo(arguments: &[&str]) -> Result<(), Failure> {
    execute(Command::new("cargo").args(arguments))
}

fn docs() -> Result<(), Failure> {
    execute(
        Command::new("cargo")
            .args(["doc", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private-intra-doc-links"),
    )
}

/// The database is a git repository, which not every machine can reach.
fn advisories() -> Result<(), Failure> {
    if cargo(&["deny", "fetch", "db"]).is_err() {
        eprintln!("advisories: skipped, because their database cannot be fetched");
        return Ok(());
    }
    cargo(&["deny", "--locked", "check", "--disable-fetch", "advisories"])
}

/// Every shell script that git knows or would add, whatever its name.
fn shellcheck() -> Result<(), Failure> {
    let scripts = files(&[])?.into_iter().filter(|path| is_shell(path));
    execute(Command::new("shellcheck").args(scripts))
}

fn is_shell(path: &Path) -> bool {
    let mut first = Vec::new();
    File::open(path).is_ok_and(|file| BufReader::new(file).read_until(b'\n', &mut first).is_ok())
        && first.starts_with(b"#!")
        && first.trim_ascii_end().ends_with(b"sh")
}

fn ansible_lint() -> Result<(), Failure> {
    if files(&["ansible/*.yml", "ansible/*.yaml"])?.is_empty() {
        eprintln!("ansible: skipped, because there is no playbook");
        return Ok(());
    }
    let tools = output(Command::new("scripts/set-up").arg("--print-tools"))?;
    let programs = Path::new(tools.trim()).join("bin");
    // It starts ansible-playbook by name, and that has to be the pinned one.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(programs.clone()).chain(std::env::split_paths(&path)))?;
    execute(
        Command::new(programs.join("ansible-lint"))
            // From inside the folder: only there it finds its own configuration and the modules beside the roles.
            .current_dir("ansible")
            .args(["--offline", "--strict", "--nocolor"])
            .env("PATH", path),
    )
}

fn files(patterns: &[&str]) -> Result<Vec<PathBuf>, Failure> {
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"];
    let listed = output(Command::new("git").args(list).args(patterns))?;
    Ok(listed.split_terminator('\0').map(PathBuf::from).filter(|path| path.is_file()).collect())
}
