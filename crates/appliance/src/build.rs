//! Building the appliance: a kernel of Debian's, and an initramfs with a static busybox, the init, and llama.cpp with the
//! libraries it needs.
//!
//! ```text
//! suite, newest first ──mmdebstrap──> unpacked packages ─┬─> vmlinuz, and unpacked on x86-64
//!                                                        └─> contents ──> initrd
//! ```
//!
//! The packages are unpacked and nothing of them runs, so each architecture is built on each. The same packages give the same
//! bytes.

use std::{fs, path::Path, time::Duration};

use config::model::Arch;
use events::{EventKind, Level, Sink};
use image::{
    Error, Fingerprint, Image, Manifest, Options, Part, Store,
    debian::{self, Bootstrap, Variant},
    initramfs, staging,
};
use system::{
    cancel::Cancel,
    clock::{self, Stopwatch},
    file,
    namespace::{self, Network},
};

use crate::{contents, kernel};

/// Raise it when a change of the build code changes what comes out of the same packages.
const BUILD: u32 = 2;

/// The name of the images.
pub const NAME: &str = "prompt";

/// Where llama.cpp is looked for, the newest first: no release of Debian's has it yet.
pub const SUITES: [&str; 3] = ["unstable", "testing", "stable"];

/// Where the kernel is from: each newer one takes longer to boot.
const KERNEL_SUITE: &str = "trixie";

/// What a build takes while it runs: lists, packages, the unpacked root and the image.
const NEEDED_MIB: u64 = 768;

/// A build that is not over then is stuck.
const DEADLINE: Duration = Duration::from_secs(900);

/// What the appliance has no use for.
const EXCLUDED: [&str; 2] = ["/usr/share/*", "/usr/include/*"];

/// The most that an initramfs should have, bytes: it is in the guest's memory twice while that boots.
pub const LARGEST_INITRD: u64 = 40_000_000;

/// All of them are unpacked with what they depend on, and some of it is packed again.
const PACKAGES: [&str; 2] = ["llama.cpp-tools", "busybox-static"];

/// What is built.
#[derive(Debug, Clone, Default)]
pub struct Recipe {
    /// The instruction set.
    pub arch: Arch,
    /// The one suite to take the packages from; the newest of [`SUITES`] that has them unless given.
    pub suite: Option<String>,
}

impl Recipe {
    fn kernel(&self) -> &'static str {
        match self.arch {
            Arch::X86_64 => "linux-image-cloud-amd64",
            Arch::Aarch64 => "linux-image-cloud-arm64",
        }
    }

    /// The folder's name in the store. It changes with everything that goes into the image but the packages' versions.
    pub fn id(&self) -> String {
        format!("{NAME}-{}-{}", self.arch, self.hash())
    }

    fn hash(&self) -> String {
        let mut fingerprint = Fingerprint::new();
        let mut add = |what: &str, content: &[u8]| fingerprint.add(what, content);
        add("build", &BUILD.to_le_bytes());
        add("arch", self.arch.name().as_bytes());
        add("suite", self.suite.as_deref().unwrap_or_default().as_bytes());
        PACKAGES.into_iter().chain([self.kernel()]).for_each(|package| add("package", package.as_bytes()));
        add("kernel-suite", KERNEL_SUITE.as_bytes());
        contents::recipe().iter().for_each(|part| add("part", part));
        fingerprint.digits()
    }

    /// The image, if it was built.
    pub fn find(&self, store: &Store) -> Option<Image> {
        store.find_id(&self.id())
    }

    /// Finds the image, or builds it.
    ///
    /// # Errors
    /// See [`Error`]. Whatever the error, nothing half-made stays in the store.
    pub fn build(
        &self,
        store: &Store,
        options: &Options,
        sink: &dyn Sink,
        cancel: &Cancel,
    ) -> Result<Image, Error> {
        let build = |folder: &Path| Build { recipe: self, options, sink, cancel, folder }.run();
        staging::make(store, &self.id(), NEEDED_MIB, sink, cancel, build)
    }
}

struct Build<'a> {
    recipe: &'a Recipe,
    options: &'a Options,
    sink: &'a dyn Sink,
    cancel: &'a Cancel,
    folder: &'a Path,
}

impl Build<'_> {
    fn run(&self) -> Result<(), Error> {
        let watch = Stopwatch::start();
        let (root, image) = (self.folder.join("root"), self.folder.join(staging::IMAGE));
        let suite = self.unpack(&root)?;
        self.say("packing the kernel");
        let (release, vmlinuz) = kernel::find(&root)?;
        let content = fs::read(&vmlinuz).map_err(file::Error::new("read", &vmlinuz))?;
        let mut parts = vec![Part::write(&image, "vmlinuz", &content)?];
        if self.recipe.arch == Arch::X86_64
            && let Some(vmlinux) = kernel::unpacked(&content, self.folder)?
        {
            parts.push(Part::write(&image, kernel::VMLINUX, &vmlinux)?);
        }
        self.say("packing the initramfs");
        let entries = contents::gather(&root, &release, self.recipe.arch, self.folder)?;
        let contents = contents::listing(&entries);
        let archive = initramfs::pack(entries).map_err(Error::io("pack the initramfs"))?;
        let size = u64::try_from(archive.len()).unwrap_or(u64::MAX);
        if size > LARGEST_INITRD {
            let message = format!("the initramfs has {size} bytes, which is more than {LARGEST_INITRD}");
            self.sink.emit(EventKind::Notice { level: Level::Warning, message });
        }
        parts.push(Part::write(&image, "initrd", &archive)?);
        let manifest = Manifest {
            name: NAME.to_owned(),
            arch: self.recipe.arch,
            hash: self.recipe.hash(),
            suite,
            built: clock::now(),
            seconds: watch.seconds(),
            kernel: release,
            packages: debian::unpacked(&root)?,
            parts,
            contents,
        };
        manifest.write(&image)
    }

    fn say(&self, message: &str) {
        let subject = format!("{NAME} {}", self.recipe.arch);
        self.sink.emit(EventKind::Progress { subject, message: message.to_owned() });
    }

    /// Unpacks the packages from the newest suite that has them, and tells which that was.
    fn unpack(&self, root: &Path) -> Result<String, Error> {
        let suites: Vec<&str> = match &self.recipe.suite {
            Some(suite) => vec![suite],
            None => SUITES.into(),
        };
        let mut tried = Err(Error::Interrupted);
        for suite in suites {
            self.say(&format!("fetching from {suite}"));
            tried = self.unpack_from(suite, root).map(|()| suite.to_owned());
            match &tried {
                // The next one may have it.
                Err(Error::Mirror { .. }) => {
                    let message = format!("{suite} does not deliver llama.cpp for {}", self.recipe.arch);
                    self.sink.emit(EventKind::Notice { level: Level::Info, message });
                }
                _ => break,
            }
        }
        tried
    }

    fn unpack_from(&self, suite: &str, root: &Path) -> Result<(), Error> {
        let mirror = self.options.mirror();
        // Where no mirror is known, mmdebstrap knows one, for one suite.
        let also = (mirror.is_some() && suite != KERNEL_SUITE).then_some(KERNEL_SUITE);
        let kernel = match also {
            Some(also) => format!("{}/{also}", self.recipe.kernel()),
            None => self.recipe.kernel().to_owned(),
        };
        let bootstrap = Bootstrap {
            arch: self.recipe.arch,
            suite,
            also,
            variant: Variant::Extract,
            packages: PACKAGES.into_iter().chain([kernel.as_str()]).collect(),
            excluded: &EXCLUDED,
            mirror,
        };
        file::remove_folder(root)?;
        let command = bootstrap.command(&self.folder.join("tmp"))?;
        let command = bootstrap.with_target(command, root).deadline(DEADLINE).cancel(self.cancel);
        bootstrap.run(&namespace::fresh(Network::Shared, &command), |message| self.say(message))
    }
}
