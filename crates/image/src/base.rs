//! What a node's disk lies on, and how a machine boots from it: an image of ours, or a qcow2 file of the user's. Neither is
//! ever written to.

use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use system::process::Command;

use crate::{Error, Image};

/// What every qcow2 file begins with.
const MAGIC: [u8; 4] = *b"QFI\xfb";

/// Something that disks of nodes can lie on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// As a person names it.
    pub name: String,
    /// The disk.
    pub disk: Backing,
    /// How a machine boots from it.
    pub boot: Boot,
    /// The firmware that boots it, where that is not the emulator's own.
    pub firmware: Option<PathBuf>,
    /// Tells it from all that ever was at its place or elsewhere.
    pub identity: String,
}

/// What a node's own disk begins as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backing {
    /// A qcow2 file.
    Qcow2(PathBuf),
    /// A raw file.
    Raw(PathBuf),
    /// Nothing at all.
    Nothing,
}

impl Backing {
    /// The file, and its format as QEMU names it.
    pub fn file(&self) -> Option<(&Path, &'static str)> {
        match self {
            Self::Qcow2(path) => Some((path, "qcow2")),
            Self::Raw(path) => Some((path, "raw")),
            Self::Nothing => None,
        }
    }
}

/// How a machine boots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Boot {
    /// It is handed its kernel: no firmware, no boot loader.
    Kernel {
        /// The kernel.
        kernel: PathBuf,
        /// The initramfs.
        initrd: PathBuf,
    },
    /// Firmware finds a boot loader on the disk.
    Firmware,
}

/// What `qemu-img info` says of a file.
#[derive(Deserialize)]
struct Info {
    format: String,
    #[serde(rename = "virtual-size")]
    size: u64,
    #[serde(rename = "backing-filename")]
    backing: Option<String>,
}

/// The kernel and the initramfs that belong to a qcow2 file of the user's: `X.vmlinuz` and `X.initrd` beside `X.qcow2`.
pub fn beside(disk: &Path) -> Boot {
    Boot::Kernel { kernel: disk.with_extension("vmlinuz"), initrd: disk.with_extension("initrd") }
}

/// Whether a kernel or an initramfs lies beside a qcow2 file of the user's. One without the other is a mistake, which
/// [`Base::open`] tells.
pub fn has_kernel(disk: &Path) -> bool {
    beside(disk).files().iter().any(|path| path.exists())
}

impl Boot {
    fn files(&self) -> Vec<&Path> {
        match self {
            Self::Kernel { kernel, initrd } => vec![kernel, initrd],
            Self::Firmware => Vec::new(),
        }
    }
}

impl From<&Image> for Base {
    fn from(image: &Image) -> Self {
        Self {
            name: image.manifest.name.clone(),
            disk: Backing::Qcow2(image.disk()),
            boot: Boot::Kernel { kernel: image.kernel(), initrd: image.initrd() },
            firmware: None,
            identity: image.identity(),
        }
    }
}

impl Base {
    /// A qcow2 file of the user's, for nodes with so much disk.
    ///
    /// # Errors
    /// It is not there, cannot be read, is no qcow2 file that stands by itself, or is larger than the nodes' disks.
    pub fn open(path: &Path, boot: Boot, disk_gib: u64) -> Result<Self, Error> {
        let unusable = |why: String| Error::Unusable { path: path.to_owned(), why };
        let unreadable = |error: std::io::Error| unusable(format!("it cannot be read: {error}"));
        if !path.exists() {
            return Err(unusable("there is no such file".to_owned()));
        }
        let disk = fs::canonicalize(path).map_err(unreadable)?;
        if !disk.is_file() {
            return Err(unusable("it is no file".to_owned()));
        }
        let mut magic = [0; MAGIC.len()];
        let read = File::open(&disk).map_err(unreadable)?.take(4).read(&mut magic).map_err(unreadable)?;
        if read < MAGIC.len() || magic != MAGIC {
            return Err(unusable("it is not a qcow2 file; `qemu-img convert -O qcow2` makes one".to_owned()));
        }
        for part in boot.files() {
            File::open(part)
                .map_err(|error| unusable(format!("{} cannot be read: {error}", part.display())))?;
        }
        let info = Command::new("qemu-img").args(["info", "--output=json", "--"]).arg(&disk).run();
        let info = info.map_err(|error| unusable(error.to_string()))?;
        let info: Info = serde_json::from_str(&info).map_err(|error| unusable(error.to_string()))?;
        if let Some(backing) = info.backing {
            let why =
                format!("it lies on another file, {backing}; `qemu-img convert -O qcow2` makes one of both");
            return Err(unusable(why));
        }
        if info.format != "qcow2" {
            return Err(unusable(format!("it is a {} file and not qcow2", info.format)));
        }
        if info.size > disk_gib << 30 {
            let size = info.size.div_ceil(1 << 30);
            let why =
                format!("it holds a disk of {size} GiB, and the node's has {disk_gib} GiB; raise the node's");
            return Err(unusable(why));
        }
        let identity = format!("{} of {}", disk.display(), stamp(&disk, &boot).map_err(unreadable)?);
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, disk: Backing::Qcow2(disk), boot, firmware: None, identity })
    }
}

/// Whether what a template was made of, by [`Base::identity`], is a file of the user's that is still there as it was.
pub fn is_as_it_was(identity: &str) -> bool {
    let Some((path, was)) = identity.rsplit_once(" of ") else { return false };
    let path = Path::new(path);
    path.is_absolute() && stamp(path, &beside(path)).is_ok_and(|is| is == was)
}

/// Changes whenever one of the files does: nothing is written without a new time of change, which nobody can set. It takes
/// no time, as hashing many GiB at every start would.
fn stamp(disk: &Path, boot: &Boot) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    for path in [disk].into_iter().chain(boot.files()) {
        let found = fs::metadata(path)?;
        let facts = [found.dev(), found.ino(), found.size()].map(u64::to_le_bytes);
        let times =
            [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()].map(i64::to_le_bytes);
        facts.iter().chain(&times).for_each(|fact| hash.update(fact));
    }
    Ok(hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qcow2(folder: &Path, options: &[&str], size: &str) -> PathBuf {
        let path = folder.join("own.qcow2");
        let make = Command::new("qemu-img").args(["create", "-q", "-f", "qcow2"]).args(options);
        make.arg(&path).arg(size).run().unwrap();
        path
    }

    fn why(path: &Path, boot: Boot) -> String {
        Base::open(path, boot, 2).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_booted_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            path
        };
        assert!(why(&folder.path().join("none.qcow2"), Boot::Firmware).contains("there is no such file"));
        assert!(why(folder.path(), Boot::Firmware).contains("it is no file"));
        assert!(why(&file("empty.qcow2", b""), Boot::Firmware).contains("not a qcow2 file"));
        assert!(why(&file("raw.qcow2", &[0; 4096]), Boot::Firmware).contains("not a qcow2 file"));
        assert!(why(&file("cut.qcow2", b"QFI\xfb\0\0\0\x03"), Boot::Firmware).contains("qemu-img"));
        let large = qcow2(folder.path(), &[], "2049M");
        assert!(why(&large, Boot::Firmware).contains("holds a disk of 3 GiB, and the node's has 2 GiB"));
        let whole = qcow2(folder.path(), &[], "2G");
        Base::open(&whole, Boot::Firmware, 2).unwrap();
        assert!(why(&whole, beside(&whole)).contains("own.vmlinuz cannot be read"));
        fs::rename(&whole, folder.path().join("under.qcow2")).unwrap();
        let over = qcow2(folder.path(), &["-F", "qcow2", "-b", "under.qcow2"], "2G");
        assert!(why(&over, Boot::Firmware).contains("lies on another file, under.qcow2"));
    }

    #[test]
    fn the_identity_changes_with_each_of_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = qcow2(folder.path(), &[], "1G");
        assert!(!has_kernel(&path));
        for name in ["own.vmlinuz", "own.initrd"] {
            assert!(Base::open(&path, beside(&path), 1).is_err(), "without {name}");
            fs::write(folder.path().join(name), name).unwrap();
        }
        assert!(has_kernel(&path));
        let identity = || Base::open(&path, beside(&path), 1).unwrap().identity;
        let mut known = vec![identity()];
        assert_eq!(known, [identity()]);
        assert!(is_as_it_was(&known[0]));
        for name in ["own.vmlinuz", "own.initrd", "own.qcow2"] {
            // The same bytes in another file: whether they are the same nobody looked.
            let (old, new) = (folder.path().join(name), folder.path().join("new"));
            fs::copy(&old, &new).unwrap();
            fs::rename(new, old).unwrap();
            assert!(!known.contains(&identity()), "{name}");
            assert!(!is_as_it_was(known.last().unwrap()));
            known.push(identity());
        }
        // Another way there is no other file.
        std::os::unix::fs::symlink(&path, folder.path().join("link.qcow2")).unwrap();
        let link = Base::open(&folder.path().join("link.qcow2"), beside(&path), 1).unwrap();
        assert_eq!(link.identity, identity());
    }
}
