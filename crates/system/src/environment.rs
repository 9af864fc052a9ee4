//! Environment variables and the folders they choose.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `AI_HOW_STATE` | where labs and runs are kept; default `$XDG_STATE_HOME/ai-how` |
//! | `AI_HOW_RUNS` | where the records of runs are kept; default `runs` in the state folder |
//! | `AI_HOW_CACHE` | where images and verdicts are kept; default `$XDG_CACHE_HOME/ai-how` |
//! | `AI_HOW_ANSIBLE` | the virtual environment that holds `ansible-playbook` |
//! | `CI`, `NO_COLOR` | plain lines, no colour |

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

/// A variable that is set and not empty. Text that is not UTF-8 counts as unset.
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The whole environment. Entries that are not UTF-8 are left out.
pub fn variables() -> BTreeMap<String, String> {
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The working directory.
///
/// # Errors
/// It was removed, or may not be read.
pub fn current_directory() -> io::Result<PathBuf> {
    env::current_dir()
}

/// The running program's own file.
///
/// # Errors
/// `/proc` is not mounted.
pub fn current_program() -> io::Result<PathBuf> {
    env::current_exe()
}

/// Where labs and runs live.
pub fn state_folder() -> PathBuf {
    folder("AI_HOW_STATE", "XDG_STATE_HOME", ".local/state")
}

/// Where images, templates and verdicts live; everything in it can be made again.
pub fn cache_folder() -> PathBuf {
    folder("AI_HOW_CACHE", "XDG_CACHE_HOME", ".cache")
}

/// `own` names the folder itself; `shared` its parent; relative values of either are taken from the working directory
/// for `own` and ignored for `shared`, as the XDG specification asks.
fn folder(own: &str, shared: &str, fallback: &str) -> PathBuf {
    if let Some(path) = variable(own) {
        let path = PathBuf::from(path);
        return if path.is_absolute() { path } else { current_directory().unwrap_or_default().join(path) };
    }
    match variable(shared).map(PathBuf::from) {
        Some(path) if path.is_absolute() => path.join("ai-how"),
        _ => home().join(fallback).join("ai-how"),
    }
}

/// The user's home; the root folder when there is none.
pub fn home() -> PathBuf {
    variable("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from)
}

/// `PATH` and the folders where Debian keeps daemons and administrators' tools, which an ordinary user's `PATH` does
/// not name. Programs that are started get it too, because they start others.
pub fn search_path() -> OsString {
    let mut path = env::var_os("PATH").unwrap_or_default();
    if !path.is_empty() {
        path.push(":");
    }
    path.push("/usr/sbin:/sbin");
    path
}

/// The first executable of that name in [`search_path`].
pub fn find_program(name: &str) -> Option<PathBuf> {
    env::split_paths(&search_path())
        .map(|folder| folder.join(name))
        .find(|candidate| is_executable(candidate))
}

/// Changes whenever a program's file does, which its version need not; empty without such a program.
pub fn program_stamp(name: &str) -> String {
    find_program(name).map_or_else(String::new, |program| stamp(&program))
}

/// When a file was last changed, seconds since 1970, and its size.
pub fn stamp(path: &Path) -> String {
    let Ok(data) = path.metadata() else { return String::new() };
    let modified = data.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{}-{}", modified.map_or(0, |age| age.as_secs()), data.len())
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
}
