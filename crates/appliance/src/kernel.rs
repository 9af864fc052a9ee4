//! The kernel as Debian packs it, and how it is unpacked.
//!
//! A `bzImage` begins with a program that unpacks the rest, which an emulated processor does for a second. QEMU boots the
//! kernel inside by itself where it has an entry for that, which Linux calls PVH.

use std::{
    fs,
    path::{Path, PathBuf},
};

use image::Error;
use system::{file, process::Command};

/// The name of the unpacked kernel in an image.
pub const VMLINUX: &str = "vmlinux";

/// Compressions that a kernel or its modules may have: how such data begins, how such a file is named, and who unpacks it.
const COMPRESSIONS: [(&[u8], &str, &str); 3] =
    [(b"\xfd7zXZ\0", "xz", "xz"), (b"\x28\xb5\x2f\xfd", "zst", "zstd"), (b"\x1f\x8b\x08", "gz", "gzip")];

/// Offsets in a `bzImage`: Documentation/arch/x86/boot.rst of Linux.
mod header {
    /// Sectors of 512 bytes before the rest, the first of all not counted.
    pub(super) const SETUP_SECTORS: usize = 0x1f1;
    /// `HdrS`.
    pub(super) const MAGIC: usize = 0x202;
    /// Where the packed kernel begins, counted from behind the sectors.
    pub(super) const PAYLOAD_OFFSET: usize = 0x248;
    /// How long it is. Its last four bytes are the size of what it holds.
    pub(super) const PAYLOAD_LENGTH: usize = 0x24c;
}

/// A note of this owner and type has the address that PVH begins at.
const PVH_NOTE: (&str, u64) = ("Xen", 18);

/// The release of the kernel in an unpacked root, and its file.
///
/// # Errors
/// There is none.
pub(crate) fn find(root: &Path) -> Result<(String, PathBuf), Error> {
    let modules = root.join("usr/lib/modules");
    let entries = fs::read_dir(&modules).map_err(file::Error::new("read", &modules))?;
    let mut releases: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    releases.sort();
    for release in releases {
        let beside = modules.join(&release).join("vmlinuz");
        let places = [beside, root.join("boot").join(format!("vmlinuz-{release}"))];
        if let Some(path) = places.into_iter().find(|path| path.is_file()) {
            return Ok((release, path));
        }
    }
    Err(Error::io("find the kernel")(std::io::ErrorKind::NotFound.into()))
}

/// The kernel inside a `bzImage`, if QEMU can boot it by itself. `folder` is for what lies between.
///
/// # Errors
/// The program that unpacks it is missing or fails.
pub(crate) fn unpacked(image: &[u8], folder: &Path) -> Result<Option<Vec<u8>>, Error> {
    let Some(payload) = payload(image) else { return Ok(None) };
    let Some((_, suffix, _)) = COMPRESSIONS.iter().find(|(magic, ..)| payload.starts_with(magic)) else {
        return Ok(None);
    };
    let packed = folder.join(format!("{VMLINUX}.{suffix}"));
    file::write(&packed, payload)?;
    let kernel = unpack(&packed)?;
    Ok(has_pvh_entry(&kernel).then_some(kernel))
}

/// Unpacks a file that is named for its compression, or reads one that has none. The packed file is used up.
///
/// # Errors
/// The program that unpacks it is missing or fails.
pub(crate) fn unpack(path: &Path) -> Result<Vec<u8>, Error> {
    let suffix = path.extension().unwrap_or_default();
    let plain = match COMPRESSIONS.iter().find(|(_, known, _)| suffix == *known) {
        Some((.., program)) => {
            // In its place rather than through a pipe: it is no text.
            let unpack = Command::new(*program).args(["--decompress", "--force", "--quiet"]).arg(path);
            unpack.run().map_err(Error::step("unpack the kernel"))?;
            path.with_extension("")
        }
        None => path.to_owned(),
    };
    Ok(fs::read(&plain).map_err(file::Error::new("read", &plain))?)
}

/// The packed kernel in a `bzImage`.
fn payload(image: &[u8]) -> Option<&[u8]> {
    if image.get(header::MAGIC..)?.get(..4)? != b"HdrS" {
        return None;
    }
    let number = |at: usize| -> Option<usize> {
        let bytes: [u8; 4] = image.get(at..)?.get(..4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    // Zero means four, for loaders of the last century.
    let sectors = match image.get(header::SETUP_SECTORS)? {
        0 => 4,
        sectors => usize::from(*sectors),
    };
    let start = (sectors + 1) * 512 + number(header::PAYLOAD_OFFSET)?;
    let length = number(header::PAYLOAD_LENGTH)?.checked_sub(4)?;
    image.get(start..)?.get(..length)
}

/// Whether an ELF file says where PVH begins.
fn has_pvh_entry(kernel: &[u8]) -> bool {
    let Ok(elf) = elf::ElfBytes::<elf::endian::LittleEndian>::minimal_parse(kernel) else { return false };
    let segments = elf.segments().into_iter().flatten();
    segments
        .filter(|segment| segment.p_type == elf::abi::PT_NOTE)
        .filter_map(|segment| elf.segment_data_as_notes(&segment).ok())
        .flatten()
        .any(|note| match note {
            elf::note::Note::Unknown(note) => (note.name_str().unwrap_or_default(), note.n_type) == PVH_NOTE,
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bz_image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 1024];
        image[header::SETUP_SECTORS] = 1;
        image[header::MAGIC..][..4].copy_from_slice(b"HdrS");
        image[header::PAYLOAD_OFFSET..][..4].copy_from_slice(&8u32.to_le_bytes());
        let length = u32::try_from(payload.len() + 4).unwrap();
        image[header::PAYLOAD_LENGTH..][..4].copy_from_slice(&length.to_le_bytes());
        image.extend([0; 8]);
        image.extend(payload);
        image.extend([0xff; 4]);
        image
    }

    #[test]
    fn the_packed_kernel_is_found() {
        assert_eq!(payload(&bz_image(b"packed")), Some(&b"packed"[..]));
    }

    #[test]
    fn what_is_no_bz_image_has_none() {
        let whole = bz_image(b"packed");
        assert_eq!(payload(&whole[..whole.len() - 8]), None);
        assert_eq!(payload(b""), None);
        assert_eq!(payload(&[0; 4096]), None);
    }

    #[test]
    fn a_kernel_that_qemu_cannot_boot_stays_packed() {
        let folder = tempfile::tempdir().unwrap();
        assert!(unpacked(&bz_image(b"neither of them"), folder.path()).unwrap().is_none());
        let mut packed = Vec::new();
        packed.extend(b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00");
        packed.extend(b"words");
        assert!(unpacked(&bz_image(&packed), folder.path()).unwrap().is_none());
        assert_eq!(fs::read(folder.path().join(VMLINUX)).unwrap(), b"words");
    }
}
