//! The images that exist: one folder each, below `images/` of the cache.

use std::{
    fs,
    path::{Path, PathBuf},
};

use config::model::Arch;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use system::{
    cancel::Cancel,
    file::{self, Lock},
};

use crate::{Error, Recipe};

/// An image's own record, `image.json` beside its files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// The recipe's name.
    pub name: String,
    /// The instruction set of its programs.
    // Images were built before there was another one.
    #[serde(default)]
    pub arch: Arch,
    /// The recipe's hash.
    pub hash: String,
    /// Debian's suite that the packages are from.
    // Images were built before it was written down.
    #[serde(default)]
    pub suite: String,
    /// When it was built.
    pub built: Timestamp,
    /// How long that took.
    pub seconds: f64,
    /// The kernel's release.
    pub kernel: String,
    /// Every package with its version.
    pub packages: Vec<String>,
    /// The files of the image, where there are no others than these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// What is in the initramfs, where that is all there is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contents: Vec<Content>,
}

/// A file of an image, as it was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// The hash of its content, hexadecimal.
    pub sha256: String,
}

impl Part {
    /// Writes a file of an image, and tells what it is.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn write(folder: &Path, name: &str, content: &[u8]) -> Result<Self, Error> {
        file::write(&folder.join(name), content)?;
        let sha256 = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { name: name.to_owned(), size: u64::try_from(content.len()).unwrap_or(u64::MAX), sha256 })
    }
}

/// A file in an initramfs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// From `/` on.
    pub path: String,
    /// Bytes.
    pub size: u64,
}

impl Manifest {
    /// Writes it down in the folder that becomes the image.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(self).map_err(|error| Error::io("describe it")(error.into()))?;
        Ok(file::write(&folder.join("image.json"), &text)?)
    }
}

/// A whole image. Its files are never written to again.
#[derive(Debug, Clone)]
pub struct Image {
    /// Where it is.
    pub folder: PathBuf,
    /// What it is.
    pub manifest: Manifest,
}

impl Image {
    /// The kernel: a `bzImage`, or on aarch64 an `Image`.
    pub fn kernel(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    /// The initramfs.
    pub fn initrd(&self) -> PathBuf {
        self.folder.join("initrd")
    }

    /// The base disk, qcow2.
    pub fn disk(&self) -> PathBuf {
        self.folder.join("disk.qcow2")
    }

    /// Tells it from all other images: the same recipe gives another one on another day.
    pub fn identity(&self) -> String {
        format!("{}{}", self.place(), self.manifest.built)
    }

    /// What [`Image::identity`] starts with for every image that was ever in this folder.
    pub fn place(&self) -> String {
        format!("{} of ", self.folder.file_name().unwrap_or_default().to_string_lossy())
    }

    /// What the image takes on the disk, MiB.
    pub fn size_mib(&self) -> u64 {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let bytes: u64 = entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum();
        bytes / (1024 * 1024)
    }
}

/// The place where images are kept.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The store below a cache folder. Nothing is made until an image is. Templates and disks keep the paths of images, so
    /// they are those that stay when a link to them goes.
    pub fn new(cache: &Path) -> Self {
        let folder = cache.join("images");
        Self { folder: fs::canonicalize(&folder).unwrap_or(folder) }
    }

    /// Another folder of the cache.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.with_file_name(name)
    }

    /// Where the images are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The image that this recipe makes, if it was built.
    pub fn find(&self, recipe: &Recipe) -> Option<Image> {
        self.find_id(&recipe.id())
    }

    /// The image in the folder of this name.
    pub fn find_id(&self, id: &str) -> Option<Image> {
        Self::open(&self.folder.join(id))
    }

    /// All images, oldest first, those of older recipes too.
    pub fn list(&self) -> Vec<Image> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut images: Vec<Image> = entries.filter_map(|entry| Self::open(&entry.path())).collect();
        images.sort_by(|a, b| (a.manifest.built, &a.folder).cmp(&(b.manifest.built, &b.folder)));
        images
    }

    /// Removes an image by its name or its folder's name. A name removes every version of it, for every
    /// architecture.
    ///
    /// # Errors
    /// There is none of that name, `used_by` names a user of one, or a file cannot be removed.
    pub fn remove(
        &self,
        name: &str,
        used_by: impl Fn(&Image) -> Option<String>,
    ) -> Result<Vec<Image>, Error> {
        let folder_name =
            |image: &Image| image.folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let images: Vec<Image> = self
            .list()
            .into_iter()
            .filter(|image| image.manifest.name == name || folder_name(image).as_deref() == Some(name))
            .collect();
        if images.is_empty() {
            let known: Vec<String> = self.list().iter().filter_map(folder_name).collect();
            let known = if known.is_empty() { "none yet".to_owned() } else { known.join(", ") };
            return Err(Error::Unknown { name: name.to_owned(), known });
        }
        for image in &images {
            if let Some(by) = used_by(image) {
                return Err(Error::InUse { name: name.to_owned(), by });
            }
            // The manifest goes first: from then on the folder is no image, whatever happens to the rest.
            let manifest = image.folder.join("image.json");
            fs::remove_file(&manifest).map_err(file::Error::new("remove", manifest))?;
            file::remove_folder(&image.folder)?;
        }
        Ok(images)
    }

    /// Claims the right to build one image; `None` when a stop was requested while another build had it.
    pub(crate) fn claim(
        &self,
        id: &str,
        cancel: &Cancel,
        on_wait: impl FnOnce(),
    ) -> Result<Option<Lock>, Error> {
        file::create_folder(&self.folder)?;
        Ok(Lock::take(&self.folder.join(format!(".{id}.lock")), cancel, on_wait)?)
    }

    /// Where a build works. Only the holder of the claim uses it, so what is found there is an interrupted build's.
    pub(crate) fn staging(&self, id: &str) -> PathBuf {
        self.folder.join(format!(".{id}.building"))
    }

    fn open(folder: &Path) -> Option<Image> {
        let text = file::read(&folder.join("image.json")).ok()?;
        Some(Image { folder: folder.to_owned(), manifest: serde_json::from_str(&text).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_behind_a_link_have_the_paths_that_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (real, other) = (folder.path().join("real"), folder.path().join("other"));
        // Without any images the path is taken as it is.
        assert_eq!(Store::new(&real).folder(), real.join("images"));
        fs::create_dir_all(real.join("images")).unwrap();
        fs::create_dir(&other).unwrap();
        std::os::unix::fs::symlink(real.join("images"), other.join("images")).unwrap();
        let real = fs::canonicalize(real).unwrap();
        assert_eq!(Store::new(&other).folder(), real.join("images"));
    }
}
