//! The hash of a file that may be mostly holes. Only data is read, and a range of zeros counts the same whether the
//! file system stores it or not, so a copy made with or without holes has the same hash.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use blake3::Hasher;
use system::file;

/// The unit that is left out when it is zero.
const BLOCK: usize = 64 * 1024;

/// What is read at a time, a whole number of blocks.
const BUFFER: usize = 16 * BLOCK;

static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// BLAKE3 of the file's length and, for every block that is not zero, its number and its own hash: 64 hexadecimal
/// digits.
///
/// # Errors
/// The file cannot be read, or got shorter meanwhile.
pub(crate) fn digest(path: &Path) -> Result<String, file::Error> {
    File::open(path).and_then(|content| sum(&content)).map_err(file::Error::new("read", path))
}

fn sum(content: &File) -> io::Result<String> {
    let length = content.metadata()?.len();
    let mut whole = Hasher::new();
    whole.update(&length.to_le_bytes());
    let mut buffer = vec![0; BUFFER];
    let mut at = 0;
    while at < length {
        let Some(data) = file::next_data(content, at)? else { break };
        // Data starts and ends with pages of the file system; blocks are read whole, and none twice.
        at = at.max(data.start / BLOCK as u64 * BLOCK as u64);
        let end = data.end.next_multiple_of(BLOCK as u64).min(length);
        while at < end {
            let part = usize::try_from(end - at).unwrap_or(BUFFER).min(BUFFER);
            let part = &mut buffer[..part];
            content.read_exact_at(part, at)?;
            for block in part.chunks(BLOCK) {
                if block != &ZEROS[..block.len()] {
                    whole.update(&(at / BLOCK as u64).to_le_bytes());
                    whole.update(blake3::hash(block).as_bytes());
                }
                at += block.len() as u64;
            }
        }
    }
    Ok(whole.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt};

    use super::*;

    const MIB: u64 = 1024 * 1024;

    /// A file of that length, with these bytes in it and zeros or holes elsewhere.
    fn file(
        folder: &Path,
        name: &str,
        length: u64,
        stored: bool,
        content: &[(u64, &[u8])],
    ) -> std::path::PathBuf {
        let path = folder.join(name);
        let file = File::create(&path).unwrap();
        if stored {
            file.write_all_at(&vec![0; usize::try_from(length).unwrap()], 0).unwrap();
        }
        file.set_len(length).unwrap();
        for (at, bytes) in content {
            file.write_all_at(bytes, *at).unwrap();
        }
        path
    }

    fn blocks(path: &Path) -> u64 {
        fs::metadata(path).unwrap().blocks()
    }

    #[test]
    fn a_hole_is_as_good_as_zeros() {
        let folder = tempfile::tempdir().unwrap();
        // Data in the middle of a block, over the border of two, and at the end, which is no whole block.
        let length = 8 * MIB + 100;
        let border: &[u8] = &[7; 9000];
        let content: &[(u64, &[u8])] = &[(5000, b"a"), (3 * MIB - 4500, border), (8 * MIB + 90, b"end")];
        let sparse = file(folder.path(), "sparse", length, false, content);
        let stored = file(folder.path(), "stored", length, true, content);
        assert!(blocks(&sparse) < blocks(&stored), "this file system keeps no holes");
        assert_eq!(digest(&sparse).unwrap(), digest(&stored).unwrap());
    }

    #[test]
    fn place_and_length_count() {
        let folder = tempfile::tempdir().unwrap();
        let mut seen = std::collections::HashSet::new();
        for (index, (length, at)) in
            [(MIB, 0), (MIB, BLOCK as u64), (MIB, 1), (2 * MIB, 0)].into_iter().enumerate()
        {
            let path = file(folder.path(), &index.to_string(), length, false, &[(at, b"x")]);
            assert!(seen.insert(digest(&path).unwrap()), "{length} {at}");
        }
        for length in [0, 1, MIB] {
            let path = file(folder.path(), &format!("empty-{length}"), length, false, &[]);
            assert!(seen.insert(digest(&path).unwrap()), "{length}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = digest(Path::new("/nowhere/memory")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /nowhere/memory");
    }
}
