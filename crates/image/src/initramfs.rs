//! The initramfs: a static busybox, the few modules a virtual disk and card need, and ten lines of init. A megabyte
//! instead of the distribution's twenty, packed in the `newc` format the kernel reads.

use std::io::{self, Cursor, Read};

use cpio::{NewcBuilder, newc::ModeFileType, write_cpio};

/// A file of the archive.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Path below `/`, without a leading slash.
    pub(crate) path: String,
    /// Content; `None` makes a folder.
    pub(crate) content: Option<Vec<u8>>,
    /// Permission bits.
    pub(crate) mode: u32,
}

impl Entry {
    /// A folder.
    pub(crate) fn folder(path: &str) -> Self {
        Self { path: path.to_owned(), content: None, mode: 0o755 }
    }

    /// A file.
    pub(crate) fn file(path: impl Into<String>, content: Vec<u8>, mode: u32) -> Self {
        Self { path: path.into(), content: Some(content), mode }
    }
}

/// Packs the entries. The same entries give the same bytes: no times, no owners.
pub(crate) fn pack(entries: Vec<Entry>) -> io::Result<Vec<u8>> {
    trait ReadSeek: Read + io::Seek {}
    impl<T: Read + io::Seek> ReadSeek for T {}

    let inputs = entries.into_iter().zip(1..).map(|(entry, inode)| {
        let kind = if entry.content.is_some() { ModeFileType::Regular } else { ModeFileType::Directory };
        let builder =
            NewcBuilder::new(&entry.path).ino(inode).nlink(1).mode(entry.mode).set_mode_file_type(kind);
        let content: Box<dyn ReadSeek> = Box::new(Cursor::new(entry.content.unwrap_or_default()));
        (builder, content)
    });
    write_cpio(inputs, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_can_be_read_back() {
        let entries = || {
            vec![
                Entry::folder("bin"),
                Entry::file("bin/tool", b"content".to_vec(), 0o755),
                Entry::folder("dev"),
            ]
        };
        let archive = pack(entries()).unwrap();
        assert_eq!(archive, pack(entries()).unwrap());

        let mut input = archive.as_slice();
        let mut names = Vec::new();
        loop {
            let mut reader = cpio::NewcReader::new(input).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            names.push(format!("{} {:o}", reader.entry().name(), reader.entry().mode()));
            let mut content = Vec::new();
            reader.read_to_end(&mut content).unwrap();
            input = reader.finish().unwrap();
        }
        assert_eq!(names, ["bin 40755", "bin/tool 100755", "dev 40755"]);
    }
}
