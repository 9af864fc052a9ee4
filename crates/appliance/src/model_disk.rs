//! The disk that an appliance has its model on: raw ext4 with the label `ZOSIA_MODEL` and the model as `/model.gguf`. It is made
//! without root and without mounting anything, by the file system's own tools, and read by guests only.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use gguf::Model;
use sha2::{Digest, Sha256};
use system::{
    cancel::Cancel,
    file, host,
    process::{self, Command},
};

/// How the init knows the disk.
pub const LABEL: &str = "ZOSIA_MODEL";

/// What the disk has beside the model for the file system itself, and to spare, unless told otherwise, MiB.
pub const EXTRA_MIB: u64 = 512;

/// What the file system takes of the host's disk beside the model, at most, MiB.
const OVERHEAD_MIB: u64 = 64;

/// Where a file system of this kind describes itself, and where in that its magic number and its label are:
/// Documentation/filesystems/ext4/super.rst of Linux.
const SUPERBLOCK: u64 = 1024;
const MAGIC: (usize, [u8; 2]) = (0x38, [0x53, 0xef]);
const VOLUME_NAME: usize = 0x78;

/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// The folder of the cache that disks of models are kept in.
pub const MODELS: &str = "models";

/// Why there is no model disk.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not there, or cannot be read.
    #[error("cannot read the model {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is a folder, a pipe, a device.
    #[error("the model {} is no file", path.display())]
    NoFile {
        /// What was named.
        path: PathBuf,
    },
    /// It is no model that llama.cpp loads.
    #[error("{}: {source}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: gguf::Error,
    },
    /// The disk that it would be on is full.
    #[error(
        "the disk that holds {} is full: the model disk takes {needed_mib} MiB and {free_mib} MiB are free. Free some space, or \
         choose another place",
        path.display()
    )]
    DiskFull {
        /// Where it would be.
        path: PathBuf,
        /// What it takes.
        needed_mib: u64,
        /// What there is.
        free_mib: u64,
    },
    /// A tool of the file system failed.
    #[error("cannot {step} {}: {why}", path.display())]
    Tool {
        /// What was being done.
        step: &'static str,
        /// The model disk.
        path: PathBuf,
        /// What it said.
        why: String,
    },
    /// Somebody asked to stop.
    #[error("making the model disk was interrupted; nothing of it was kept")]
    Interrupted,
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] file::Error),
}

/// A GGUF file, looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size, bytes.
    pub size: u64,
    /// What it says of itself.
    pub model: Model,
}

impl ModelFile {
    /// Looks at a file.
    ///
    /// # Errors
    /// It is not there, or no model.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
        // Named pipes hold up whoever opens them.
        if !fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(Error::NoFile { path: path.to_owned() });
        }
        let file = File::open(path).map_err(unreadable)?;
        let size = file.metadata().map_err(unreadable)?.len();
        let model =
            Model::read(file, size).map_err(|source| Error::Model { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), size, model })
    }

    /// The size of its model disk, MiB.
    pub fn disk_mib(&self, extra_mib: u64) -> u64 {
        self.size.div_ceil(1 << 20).saturating_add(extra_mib)
    }

    /// Makes its model disk. `progress` is told how much of it is there, in hundredths.
    ///
    /// # Errors
    /// See [`Error`]. Nothing half-made stays.
    pub fn make_disk(
        &self,
        disk: &Path,
        extra_mib: u64,
        cancel: &Cancel,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), Error> {
        let folder = disk.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let held = fs::metadata(&self.path).map(|data| data.blocks() * 512).unwrap_or(self.size);
        let needed_mib = held.div_ceil(1 << 20) + OVERHEAD_MIB;
        let full = |free_mib| Error::DiskFull { path: disk.to_owned(), needed_mib, free_mib };
        match host::free_disk_mib(folder) {
            Some(free_mib) if free_mib < needed_mib => return Err(full(free_mib)),
            _ => {}
        }
        // Of debugfs's words there are no escapes, so no name of the user's is among them.
        let staging = tempfile::Builder::new().prefix(".model-disk-").tempdir_in(folder);
        let staging = staging.map_err(file::Error::new("make a folder in", folder))?;
        let part = staging.path().join("part");
        let making = Making { model: self, disk, part: &part, folder: staging.path(), cancel };
        making.format(extra_mib)?;
        making.fill(held, progress)?;
        making.check().map_err(|error| match host::free_disk_mib(folder) {
            Some(free_mib @ ..2) => full(free_mib),
            _ => error,
        })?;
        Ok(fs::rename(&part, disk).map_err(file::Error::new("name the model disk", disk))?)
    }
}

struct Making<'a> {
    model: &'a ModelFile,
    disk: &'a Path,
    part: &'a Path,
    folder: &'a Path,
    cancel: &'a Cancel,
}

impl Making<'_> {
    fn tool(&self, step: &'static str) -> impl FnOnce(process::Error) -> Error {
        let path = self.disk.to_owned();
        move |error| match error {
            process::Error::Cancelled { .. } => Error::Interrupted,
            error => Error::Tool { step, path, why: error.to_string() },
        }
    }

    /// The same model gives the same bytes: what is random or of the clock otherwise is fixed.
    fn fixed(&self, command: Command) -> Command {
        command.env("E2FSPROGS_FAKE_TIME", "1").cancel(self.cancel)
    }

    fn format(&self, extra_mib: u64) -> Result<(), Error> {
        let size = self.model.disk_mib(extra_mib).saturating_mul(1 << 20);
        File::create_new(self.part)
            .and_then(|file| file.set_len(size))
            .map_err(file::Error::new("create", self.part))?;
        let seed = "7a6f7369-612d-6d6f-6465-6c2d6469736b";
        let make = Command::new("mke2fs")
            // Nobody writes to it, so there is nothing to keep in reserve and nothing to write down twice.
            .args(["-q", "-F", "-t", "ext4", "-m", "0", "-O", "^has_journal", "-L", LABEL])
            .args(["-E", &format!("lazy_itable_init=1,hash_seed={seed}"), "-U", seed])
            .arg(self.part);
        self.fixed(make).run().map_err(self.tool("make the file system of")).map(drop)
    }

    /// Copies the model onto it. Holes stay holes.
    fn fill(&self, bytes: u64, progress: &(dyn Fn(u64) + Sync)) -> Result<(), Error> {
        let source = fs::canonicalize(&self.model.path)
            .map_err(|source| Error::Unreadable { path: self.model.path.clone(), source })?;
        let link = self.folder.join("model");
        std::os::unix::fs::symlink(&source, &link).map_err(file::Error::new("link", &link))?;
        let write = Command::new("debugfs").args(["-w", "-R", "write model model.gguf", "part"]);
        let write = write.folder(self.folder);
        let begin = allocated(self.part);
        let said = thread::scope(|scope| {
            let (done, over) = mpsc::channel::<()>();
            let copying = scope.spawn(move || {
                let result = self.fixed(write).output();
                drop(done);
                result
            });
            while over.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                let there = allocated(self.part).saturating_sub(begin);
                progress(there.saturating_mul(100).checked_div(bytes).unwrap_or(100).min(99));
            }
            copying.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        let said = said.map_err(self.tool("write the model to"))?;
        progress(100);
        // It ends well whatever happened, after its version has been told.
        let complaint: Vec<&str> = said.stderr.lines().filter(|line| !line.starts_with("debugfs ")).collect();
        if complaint.is_empty() {
            return Ok(());
        }
        let why = complaint.join("; ");
        let tool = Error::Tool { step: "write the model to", path: self.disk.to_owned(), why: why.clone() };
        if why.contains("No space") { Err(self.full()) } else { Err(tool) }
    }

    fn full(&self) -> Error {
        let folder = self.part.parent().unwrap_or(self.part);
        let free_mib = host::free_disk_mib(folder).unwrap_or_default();
        let needed_mib = self.model.size.div_ceil(1 << 20);
        Error::DiskFull { path: self.disk.to_owned(), needed_mib, free_mib }
    }

    /// Sees that all of the model is there.
    fn check(&self) -> Result<(), Error> {
        let stat = Command::new("debugfs").args(["-R", "stat /model.gguf"]).arg(self.part);
        let stat = stat.cancel(self.cancel).output().map_err(self.tool("look at"))?.stdout;
        let words: Vec<&str> = stat.split_whitespace().collect();
        let size = words.windows(2).find(|pair| pair[0] == "Size:").and_then(|pair| pair[1].parse().ok());
        if size == Some(self.model.size) {
            return Ok(());
        }
        let why = "not all of the model arrived there".to_owned();
        Err(Error::Tool { step: "write the model to", path: self.disk.to_owned(), why })
    }
}

fn allocated(path: &Path) -> u64 {
    fs::metadata(path).map(|data| data.blocks() * 512).unwrap_or_default()
}

/// A model disk that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelDisk {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// What it holds, at most, bytes: blocks that are in use.
    pub held: u64,
    /// Tells it from all that were ever at its place.
    pub identity: String,
}

impl ModelDisk {
    /// The disk of a model: the file itself when it is a model disk, else one that is made of it, once, in `folder`.
    /// `progress` is told how much of it is there, in hundredths.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn of(
        model: &Path,
        folder: &Path,
        cancel: &Cancel,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Self, Error> {
        if is_model_disk(model) {
            return Self::at(model);
        }
        let file = ModelFile::open(model)?;
        let identity = identity(model)?;
        let hash = Sha256::digest(&identity);
        let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        file::create_folder(folder)?;
        let stem: String = model.file_stem().unwrap_or_default().to_string_lossy().chars().take(40).collect();
        let disk = folder.join(format!("{stem}-{hash}.img"));
        let lock = folder.join(format!(".{hash}.lock"));
        let Some(_lock) = file::Lock::take(&lock, cancel, || ())? else { return Err(Error::Interrupted) };
        if !disk.exists() {
            file.make_disk(&disk, EXTRA_MIB, cancel, progress)?;
        }
        Self::at(&disk)
    }

    fn at(path: &Path) -> Result<Self, Error> {
        let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
        let absolute = fs::canonicalize(path).map_err(unreadable)?;
        let data = fs::metadata(&absolute).map_err(unreadable)?;
        Ok(Self { held: data.len().min(data.blocks() * 512), identity: identity(&absolute)?, path: absolute })
    }
}

/// Whether a file is an ext4 file system with [`LABEL`].
pub fn is_model_disk(path: &Path) -> bool {
    let label = || -> io::Result<bool> {
        if !fs::metadata(path)?.is_file() {
            return Ok(false);
        }
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(SUPERBLOCK))?;
        let mut block = [0; VOLUME_NAME + 16];
        file.read_exact(&mut block)?;
        let name = block[VOLUME_NAME..].split(|byte| *byte == 0).next();
        Ok(block[MAGIC.0..].starts_with(&MAGIC.1) && name == Some(LABEL.as_bytes()))
    };
    label().unwrap_or(false)
}

/// What changes when a file is another one.
fn identity(path: &Path) -> Result<String, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    let absolute = fs::canonicalize(path).map_err(unreadable)?;
    let data = fs::metadata(&absolute).map_err(unreadable)?;
    let (seconds, nanoseconds) = (data.mtime(), data.mtime_nsec());
    Ok(format!("{} of {} bytes, {seconds}.{nanoseconds:09}", absolute.display(), data.len()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    fn tiny(folder: &Path) -> PathBuf {
        let path = folder.join("it's a \"tiny\" model.gguf");
        gguf::tiny::write(&mut File::create(&path).unwrap(), 1).unwrap();
        path
    }

    fn make(model: &Path, disk: &Path) -> Result<Vec<u64>, Error> {
        let told = std::sync::Mutex::new(Vec::new());
        let tell = |hundredths| told.lock().unwrap().push(hundredths);
        ModelFile::open(model)?.make_disk(disk, EXTRA_MIB, &Cancel::new(), &tell)?;
        Ok(told.into_inner().unwrap())
    }

    fn debugfs(disk: &Path, command: &str) -> String {
        Command::new("debugfs").args(["-R", command]).arg(disk).output().unwrap().stdout
    }

    #[test]
    fn a_disk_has_the_label_the_size_and_the_model() {
        let folder = tempfile::tempdir().unwrap();
        let (model, disk) = (tiny(folder.path()), folder.path().join("disk.img"));
        assert!(!is_model_disk(&model));
        assert_eq!(make(&model, &disk).unwrap().last(), Some(&100));
        assert!(is_model_disk(&disk));
        assert_eq!(fs::metadata(&disk).unwrap().len(), (1 + EXTRA_MIB) << 20);
        // It takes what is in it, and not its size.
        assert!(allocated(&disk) < 32 << 20, "{}", allocated(&disk));
        let back = folder.path().join("back");
        debugfs(&disk, &format!("dump /model.gguf {}", back.display()));
        assert_eq!(fs::read(back).unwrap(), fs::read(&model).unwrap());
        assert!(debugfs(&disk, "show_super_stats -h").contains("Reserved block count:     0"));
        // Nothing else is left of making it.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn the_same_model_gives_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (model, one, other) = (tiny(folder.path()), folder.path().join("1"), folder.path().join("2"));
        make(&model, &one).unwrap();
        make(&model, &other).unwrap();
        assert!(fs::read(one).unwrap() == fs::read(other).unwrap());
    }

    #[test]
    fn holes_stay_holes() {
        let folder = tempfile::tempdir().unwrap();
        let (model, disk) = (tiny(folder.path()), folder.path().join("disk.img"));
        let file = File::options().write(true).open(&model).unwrap();
        file.set_len(3 << 30).unwrap();
        file.write_all_at(b"end", (3 << 30) - 3).unwrap();
        make(&model, &disk).unwrap();
        assert!(allocated(&disk) < 64 << 20, "{}", allocated(&disk));
        assert_eq!(fs::metadata(&disk).unwrap().len(), (3 * 1024 + EXTRA_MIB) << 20);
    }

    #[test]
    fn what_is_no_model_is_told_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("disk.img");
        let path = folder.path().join("model.gguf");
        let told = |content: &[u8]| {
            fs::write(&path, content).unwrap();
            let error = make(&path, &disk).unwrap_err().to_string();
            assert!(!disk.exists());
            error
        };
        let whole = fs::read(tiny(folder.path())).unwrap();
        assert!(
            told(b"").ends_with("model.gguf: it is empty") || told(b"").contains("empty"),
            "{}",
            told(b"")
        );
        let bare = [&b"GGUF"[..], &3_u32.to_le_bytes(), &[0; 16]].concat();
        for bad in
            [&bare[..], b"PK\x03\x04and so on and so on and so on", &whole[..1000], &whole[..whole.len() - 1]]
        {
            assert!(told(bad).contains("model.gguf: "), "{}", told(bad));
        }
        assert!(make(folder.path(), &disk).unwrap_err().to_string().ends_with("is no file"));
        assert!(
            make(&folder.path().join("absent"), &disk).unwrap_err().to_string().starts_with("cannot read")
        );
    }

    #[test]
    fn a_disk_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let (model, cache) = (tiny(folder.path()), folder.path().join("cache"));
        let of = |path: &Path| ModelDisk::of(path, &cache, &Cancel::new(), &|_| ()).unwrap();
        let first = of(&model);
        let made = fs::metadata(&first.path).unwrap().modified().unwrap();
        assert_eq!(of(&model), first);
        assert_eq!(fs::metadata(&first.path).unwrap().modified().unwrap(), made);
        assert!(first.held > fs::metadata(&model).unwrap().len() && first.held < 32 << 20, "{first:?}");
        // A disk is its own.
        assert_eq!(of(&first.path).path, first.path);
        // Another model at the same place has another.
        gguf::tiny::write(&mut File::create(&model).unwrap(), 2).unwrap();
        assert_ne!(of(&model).path, first.path);
    }

    #[test]
    fn who_asks_to_stop_finds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (model, disk) = (tiny(folder.path()), folder.path().join("disk.img"));
        let cancel = Cancel::new();
        cancel.request();
        let stopped = ModelFile::open(&model).unwrap().make_disk(&disk, EXTRA_MIB, &cancel, &|_| ());
        assert!(matches!(stopped, Err(Error::Interrupted)), "{stopped:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
