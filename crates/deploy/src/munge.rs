//! The secret that the daemons of a lab share: made on the host, kept for the life of the lab, readable by its owner
//! alone.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use system::{file, host};

/// munged takes 32 to 1024 bytes.
const BYTES: usize = 128;

/// The lab's key in the folder of its secrets; made if there is none.
pub(crate) fn key(secrets: &Path) -> Result<PathBuf, file::Error> {
    let path = secrets.join("munge.key");
    if !path.is_file() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(secrets)
            .map_err(file::Error::new("create the folder", secrets))?;
        make(secrets, &path).map_err(file::Error::new("write", &path))?;
    }
    Ok(path)
}

/// A temporary file is private from its first byte on, and takes the name only when it is whole.
fn make(secrets: &Path, path: &Path) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(secrets)?;
    file.write_all(&host::random(BYTES)?)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_private_and_stays_the_same() {
        let lab = tempfile::tempdir().unwrap();
        let secrets = lab.path().join("secrets");
        let path = key(&secrets).unwrap();
        let first = fs::read(&path).unwrap();
        assert_eq!(first.len(), 128);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&secrets).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read(key(&secrets).unwrap()).unwrap(), first);
    }
}
