//! Files that are made from the code and kept in the repository: editors and readers use them without a build.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Failure, reference};

/// Every such file with its content.
fn files() -> Vec<(PathBuf, String)> {
    let schemas = config::schemas().into_iter().map(|(name, text)| (Path::new("schemas").join(name), text));
    schemas.chain([(PathBuf::from("docs/cli.md"), reference::page())]).collect()
}

/// Writes those that are stale; with `check` it names them and fails.
pub(crate) fn run(check: bool) -> Result<(), Failure> {
    let mut stale = Vec::new();
    for (path, text) in files() {
        if fs::read_to_string(&path).is_ok_and(|present| present == text) {
            continue;
        }
        if !check {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(&path, text)?;
            eprintln!("wrote {}", path.display());
        }
        stale.push(path.display().to_string());
    }
    if check && !stale.is_empty() {
        return Err(format!("not what the code says: {}; run `cargo xtask gen`", stale.join(", ")).into());
    }
    Ok(())
}
