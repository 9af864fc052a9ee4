//! The playbook and its roles, part of the program, so that the one binary deploys from anywhere.

use std::path::Path;

use include_dir::{Dir, DirEntry, include_dir};
use system::file;

pub(crate) static PLAYBOOK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../ansible");

/// Writes the playbook into `folder`.
///
/// # Errors
/// The folder cannot be written to.
pub fn unpack(folder: &Path) -> Result<(), file::Error> {
    file::create_folder(folder)?;
    write(&PLAYBOOK, folder)
}

fn write(dir: &Dir<'_>, folder: &Path) -> Result<(), file::Error> {
    for entry in dir.entries() {
        let path = folder.join(entry.path());
        match entry {
            DirEntry::Dir(dir) if is_left_behind(dir.path()) => {}
            DirEntry::Dir(dir) => {
                file::create_folder(&path)?;
                write(dir, folder)?;
            }
            DirEntry::File(content) => file::write(&path, content.contents())?,
        }
    }
    Ok(())
}

/// What Python and ansible-lint leave in the folder when the playbook is used by hand.
pub(crate) fn is_left_behind(folder: &Path) -> bool {
    folder.ends_with("__pycache__") || folder.ends_with(".ansible")
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::PathBuf};

    use super::*;

    fn files(folder: &Path) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.file_name() == "__pycache__" {
            } else if entry.path().is_dir() {
                found
                    .extend(files(&entry.path()).iter().map(|path| Path::new(&entry.file_name()).join(path)));
            } else {
                found.insert(entry.file_name().into());
            }
        }
        found
    }

    #[test]
    fn every_file_of_the_playbook_is_in_the_program() {
        let folder = tempfile::tempdir().unwrap();
        unpack(folder.path()).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ansible");
        assert_eq!(files(folder.path()), files(&source));
        assert!(folder.path().join("roles/munge/tasks/main.yaml").is_file());
    }
}
