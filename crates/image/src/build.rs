//! Building an image, without root: every step that needs to own files as several users runs in fresh namespaces, and
//! ends with them.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

use config::model::Arch;
use events::{EventKind, Sink};
use system::{
    cancel::Cancel,
    clock::{self, Stopwatch},
    file,
    foreign::Namespaces,
    host,
    process::Command,
};

use crate::{
    Error, Image, Manifest, Recipe, Store,
    debian::{self, Bootstrap, Variant},
    initramfs::{self, Entry},
    staging,
};

/// What a build takes while it runs: the unpacked root, the raw disk and the qcow2.
const NEEDED_MIB: u64 = 1536;

/// The base disk's size. Every node's overlay is larger, and the guest grows its file system into it.
const DISK: &str = "2G";

/// A build that makes no progress for this long is stuck.
const DEADLINE: Duration = Duration::from_secs(1800);

/// What no node needs.
const EXCLUDED: [&str; 3] = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*"];

/// What the user may choose.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The package mirror; by default the one the host's own apt uses, else the one mmdebstrap knows.
    pub mirror: Option<String>,
}

/// Whether programs of the images for an architecture can run here, which their build takes.
///
/// # Errors
/// They cannot, and why.
pub fn can_build(arch: Arch) -> Result<(), Error> {
    let folder = tempfile::tempdir().map_err(Error::io("make a folder"))?;
    Ok(Namespaces::new(arch.name(), folder.path()).map(drop)?)
}

/// Finds the image of a recipe, or builds it.
///
/// # Errors
/// See [`Error`]. Whatever the error, nothing half-made stays in the store.
pub fn build(
    store: &Store,
    recipe: &Recipe,
    options: &Options,
    sink: &dyn Sink,
    cancel: &Cancel,
) -> Result<Image, Error> {
    let build = |folder: &Path| {
        let rules = folder.join("rules");
        file::create_folder(&rules)?;
        let namespaces = Namespaces::new(recipe.arch.name(), &rules)?;
        Build { recipe, options, sink, cancel, folder, namespaces }.run()
    };
    staging::make(store, &recipe.id(), NEEDED_MIB, sink, cancel, build)
}

struct Build<'a> {
    recipe: &'a Recipe,
    options: &'a Options,
    sink: &'a dyn Sink,
    cancel: &'a Cancel,
    folder: &'a Path,
    /// Where the image's own programs run.
    namespaces: Namespaces,
}

impl Build<'_> {
    fn run(&self) -> Result<(), Error> {
        let watch = Stopwatch::start();
        let (root, image) = (self.folder.join("root"), self.folder.join(staging::IMAGE));
        self.install(&root)?;
        self.say("adding configuration");
        self.configure(&root)?;
        let kernel = kernel_release(&root)?;
        self.say("packing the initramfs");
        self.pack_initramfs(&root, &kernel, &image)?;
        let vmlinuz = root.join("boot").join(format!("vmlinuz-{kernel}"));
        fs::copy(&vmlinuz, image.join("vmlinuz")).map_err(file::Error::new("copy", vmlinuz))?;
        let packages = debian::packages(&root)?;
        self.say("making the disk");
        self.make_disk(&root, &image)?;

        let manifest = Manifest {
            name: self.recipe.name.to_owned(),
            arch: self.recipe.arch,
            hash: self.recipe.hash(),
            suite: self.recipe.suite.to_owned(),
            built: clock::now(),
            seconds: watch.seconds(),
            kernel,
            packages,
            parts: Vec::new(),
            contents: Vec::new(),
        };
        manifest.write(&image)
    }

    fn say(&self, message: &str) {
        self.sink.emit(EventKind::Progress { subject: self.recipe.title(), message: message.to_owned() });
    }

    /// The command, in namespaces of its own with the host's network.
    fn inside(&self, command: Command) -> Command {
        self.namespaces.wrap(&command.deadline(DEADLINE).cancel(self.cancel))
    }

    fn install(&self, root: &Path) -> Result<(), Error> {
        let bootstrap = Bootstrap {
            arch: self.recipe.arch,
            suite: self.recipe.suite,
            also: None,
            variant: Variant::Minbase,
            packages: self.recipe.all_packages().collect(),
            excluded: &EXCLUDED,
            mirror: self.options.mirror(),
        };
        let mut command = bootstrap.command(&self.folder.join("tmp"))?;
        if let Some(script) = self.packages_first() {
            command = command.arg(format!("--essential-hook={script}"));
        }
        bootstrap.run(&self.inside(bootstrap.with_target(command, root)), |message| {
            let first = message.starts_with("running --essential-hook");
            self.say(if first {
                "installing remaining packages from outside the chroot..."
            } else {
                message
            });
        })
    }

    /// What installs the packages of another architecture before mmdebstrap does, with its options and the root as `$1`:
    /// the host's own dpkg, which only runs the packages' scripts inside. That takes two thirds of the time, since a
    /// program that is translated costs most when it starts, and dpkg starts several for each package.
    fn packages_first(&self) -> Option<String> {
        let arch = self.recipe.arch;
        if arch.name() == host::arch() {
            return None;
        }
        let excluded = EXCLUDED.map(|paths| format!("'-oDPkg::Options::=--path-exclude={paths}'"));
        // To the host's dpkg the packages are foreign, and for it a foreign package seldom satisfies a dependency. That
        // they are all there is apt's matter, and the order they come in.
        Some(format!(
            "export APT_CONFIG=\"$MMDEBSTRAP_APT_CONFIG\"; unset TMPDIR; \
             dpkg --root=\"$1\" --add-architecture {} && \
             apt-get --yes \"-oDPkg::Options::=--root=$1\" -oDPkg::Options::=--log=\"$1/var/log/dpkg.log\" \
             -oDPkg::Options::=--force-depends {} install {} && rm \"$1/var/lib/dpkg/arch\"",
            debian::name(arch),
            excluded.join(" "),
            self.recipe.all_packages().collect::<Vec<_>>().join(" "),
        ))
    }

    /// Root of the namespaces is this user outside, so what root owns can be written from here.
    fn configure(&self, root: &Path) -> Result<(), Error> {
        let mut result = Ok(());
        self.recipe.each_file(&mut |path, content| {
            if result.is_ok() {
                result = put(&root.join(path), content);
            }
        });
        result?;
        let units = root.join("etc/systemd/system");
        for unit in self.recipe.disabled {
            for folder in wants(&units)? {
                file::remove_file(&folder.join(unit))?;
            }
        }
        for unit in self.recipe.all_masked() {
            link(Path::new("/dev/null"), &units.join(unit))?;
        }
        for (target, unit) in self.recipe.enabled {
            let own = Path::new("/etc/systemd/system").join(unit);
            let packaged = Path::new("/usr/lib/systemd/system").join(unit);
            let source = if units.join(unit).exists() { own } else { packaged };
            link(&source, &units.join(format!("{target}.wants")).join(unit))?;
        }
        // Identity is given at every start: an empty machine-id is "not yet known", and no first boot either.
        put(&root.join("etc/machine-id"), b"")?;
        for shared in ["etc/hostname", "etc/fstab", "etc/resolv.conf"] {
            file::remove_file(&root.join(shared))?;
        }
        // Two machines with one host key are one machine to whoever trusts it.
        for name in names(&root.join("etc/ssh"))?.filter(|name| name.starts_with("ssh_host_")) {
            file::remove_file(&root.join("etc/ssh").join(name))?;
        }
        // Telling systemd that /etc and /var are as new as /usr spares it a round of updates.
        put(&root.join("etc/.updated"), b"")?;
        put(&root.join("var/.updated"), b"")
    }

    fn pack_initramfs(&self, root: &Path, kernel: &str, image: &Path) -> Result<(), Error> {
        let busybox = root.join("usr/bin/busybox");
        let busybox = fs::read(&busybox).map_err(file::Error::new("read", busybox))?;
        let mut entries: Vec<Entry> = ["bin", "dev", "modules", "root"].map(Entry::folder).into();
        entries.push(Entry::file("bin/busybox", busybox, 0o755));
        entries.push(Entry::file("init", self.recipe.init, 0o755));
        for (index, module) in self.recipe.modules.iter().enumerate() {
            let packed = root.join("usr/lib/modules").join(kernel).join(format!("{module}.xz"));
            let name = Path::new(module).file_name().unwrap_or_default().to_string_lossy().into_owned();
            // Unpacked beside the image rather than through a pipe: modules are not text.
            let unpacked = self.folder.join(&name);
            fs::copy(&packed, unpacked.with_extension("ko.xz")).map_err(file::Error::new("copy", packed))?;
            let unpack = Command::new("xz").arg("--decompress").arg(unpacked.with_extension("ko.xz"));
            unpack.run().map_err(Error::step("unpack a kernel module"))?;
            let content = fs::read(&unpacked).map_err(file::Error::new("read", unpacked))?;
            entries.push(Entry::file(format!("modules/{index:02}-{name}"), content, 0o644));
        }
        let archive = initramfs::pack(entries).map_err(Error::io("pack the initramfs"))?;
        Ok(file::write(&image.join("initrd"), &archive)?)
    }

    fn make_disk(&self, root: &Path, image: &Path) -> Result<(), Error> {
        let raw = self.folder.join("disk.raw");
        // No journal: overlays are thrown away with their node, and every write counts under emulation.
        let format = Command::new("mke2fs")
            .args(["-q", "-t", "ext4", "-L", "root", "-O", "^has_journal", "-E", "lazy_itable_init=1", "-d"])
            .arg(root)
            .arg(&raw)
            .arg(DISK);
        self.inside(format).run().map_err(Error::step("make the root file system"))?;
        let convert =
            Command::new("qemu-img").args(["convert", "-O", "qcow2"]).arg(&raw).arg(image.join("disk.qcow2"));
        convert.deadline(DEADLINE).cancel(self.cancel).run().map_err(Error::step("make the disk"))?;
        Ok(())
    }
}

fn kernel_release(root: &Path) -> Result<String, Error> {
    let modules = root.join("usr/lib/modules");
    let mut entries = fs::read_dir(&modules).map_err(file::Error::new("read", &modules))?;
    match entries.next() {
        Some(Ok(entry)) => Ok(entry.file_name().to_string_lossy().into_owned()),
        _ => Err(Error::io("find the kernel")(std::io::ErrorKind::NotFound.into())),
    }
}

fn put(path: &Path, content: &[u8]) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        file::create_folder(folder)?;
    }
    fs::write(path, content).map_err(file::Error::new("write", path))?;
    let mode = if content.starts_with(b"#!") { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(file::Error::new("set the mode of", path))?;
    Ok(())
}

fn link(source: &Path, target: &Path) -> Result<(), Error> {
    file::remove_file(target)?;
    if let Some(folder) = target.parent() {
        file::create_folder(folder)?;
    }
    Ok(symlink(source, target).map_err(file::Error::new("link", target))?)
}

/// The `*.wants` folders of a unit folder.
fn wants(units: &Path) -> Result<Vec<PathBuf>, Error> {
    Ok(names(units)?.filter(|name| name.ends_with(".wants")).map(|name| units.join(name)).collect())
}

fn names(folder: &Path) -> Result<impl Iterator<Item = String>, Error> {
    let entries = fs::read_dir(folder).map_err(file::Error::new("read", folder))?;
    Ok(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()))
}
