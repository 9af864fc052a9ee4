//! An initramfs, packed in the `newc` format that the kernel reads. A node's has a static busybox, the few modules that a
//! virtual disk and card need, and ten lines of init: a megabyte instead of the distribution's twenty.

use std::io::{self, Cursor, Read};

use cpio::{NewcBuilder, newc::ModeFileType, write_cpio};

/// Something in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path below `/`, without a leading slash.
    pub path: String,
    /// What it is.
    pub kind: Kind,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file.
    File {
        /// What is in it.
        content: Vec<u8>,
        /// Permission bits.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// Where it leads.
        target: String,
    },
}

impl Entry {
    /// A folder.
    pub fn folder(path: impl Into<String>) -> Self {
        Self { path: path.into(), kind: Kind::Folder }
    }

    /// A file.
    pub fn file(path: impl Into<String>, content: impl Into<Vec<u8>>, mode: u32) -> Self {
        Self { path: path.into(), kind: Kind::File { content: content.into(), mode } }
    }

    /// A symbolic link.
    pub fn link(path: impl Into<String>, target: impl Into<String>) -> Self {
        Self { path: path.into(), kind: Kind::Link { target: target.into() } }
    }

    /// What it adds to the archive apart from its name, bytes.
    pub fn size(&self) -> usize {
        match &self.kind {
            Kind::Folder => 0,
            Kind::File { content, .. } => content.len(),
            Kind::Link { target } => target.len(),
        }
    }
}

/// Packs the entries. The same entries give the same bytes: no times, no owners.
///
/// # Errors
/// One is too large for the format: 4 GiB.
pub fn pack(entries: Vec<Entry>) -> io::Result<Vec<u8>> {
    trait ReadSeek: Read + io::Seek {}
    impl<T: Read + io::Seek> ReadSeek for T {}

    let inputs = entries.into_iter().zip(1..).map(|(entry, inode)| {
        let (kind, mode, content) = match entry.kind {
            Kind::Folder => (ModeFileType::Directory, 0o755, Vec::new()),
            Kind::File { content, mode } => (ModeFileType::Regular, mode, content),
            Kind::Link { target } => (ModeFileType::Symlink, 0o777, target.into_bytes()),
        };
        let builder = NewcBuilder::new(&entry.path).ino(inode).nlink(1).mode(mode).set_mode_file_type(kind);
        let content: Box<dyn ReadSeek> = Box::new(Cursor::new(content));
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
                Entry::file("bin/tool", b"content", 0o755),
                Entry::link("bin/sh", "tool"),
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
        assert_eq!(names, ["bin 40755", "bin/tool 100755", "bin/sh 120777", "dev 40755"]);
    }
}
