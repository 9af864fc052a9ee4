//! Building an image, without root: every step that needs to own files as several users runs in fresh namespaces, and
//! ends with them.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

use config::model::Arch;
use events::{EventKind, Level, Sink};
use system::{
    cancel::Cancel,
    clock::{self, Stopwatch},
    environment, file,
    foreign::Namespaces,
    host,
    namespace::{self, Network},
    process::{self, Command, Stream},
};

use crate::{
    Error, Image, Manifest, Recipe, Store,
    initramfs::{self, Entry},
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
    if let Some(image) = store.find(recipe) {
        return Ok(image);
    }
    let id = recipe.id();
    let wait = || {
        let message = format!("another ai-how is building {id}; waiting for it");
        sink.emit(EventKind::Notice { level: Level::Info, message });
    };
    let Some(_claim) = store.claim(&id, cancel, wait)? else { return Err(Error::Interrupted) };
    if let Some(image) = store.find(recipe) {
        return Ok(image);
    }
    let staging = Staging::new(store.staging(&id))?;
    let free_mib = host::free_disk_mib(store.folder()).unwrap_or(u64::MAX);
    if free_mib < NEEDED_MIB {
        return Err(Error::DiskFull { folder: store.folder().to_owned(), needed_mib: NEEDED_MIB, free_mib });
    }
    let rules = staging.0.join("rules");
    file::create_folder(&rules)?;
    let namespaces = Namespaces::new(recipe.arch.name(), &rules)?;
    let build = Build { recipe, options, sink, cancel, folder: &staging.0, namespaces };
    build.run().map_err(|error| build.explain(error))?;

    let target = store.folder().join(&id);
    // A folder without a manifest is what an interrupted removal left.
    file::remove_folder(&target)?;
    fs::rename(staging.0.join("image"), &target)
        .map_err(file::Error::new("move the new image to", &target))?;
    store.find(recipe).ok_or_else(|| Error::io("find the new image")(std::io::ErrorKind::NotFound.into()))
}

/// The folder a build works in; gone when the build is over, however it ends.
struct Staging(PathBuf);

impl Staging {
    fn new(folder: PathBuf) -> Result<Self, Error> {
        let staging = Self(folder);
        staging.clear()?;
        file::create_folder(&staging.0.join("image"))?;
        Ok(staging)
    }

    /// Files in the root belong to users that only exist in the build's namespaces, so they are removed in such.
    fn clear(&self) -> Result<(), Error> {
        if !self.0.exists() {
            return Ok(());
        }
        let remove = Command::new("rm").args(["-rf", "--one-file-system", "--"]).arg(&self.0);
        namespace::fresh(Network::Shared, &remove).run().map_err(Error::step("clear the staging folder"))?;
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // The next build clears what cannot be removed now, and the error that led here matters more.
        let _ = self.clear();
    }
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
        let (root, image) = (self.folder.join("root"), self.folder.join("image"));
        self.install(&root)?;
        self.say("adding configuration");
        self.configure(&root)?;
        let kernel = kernel_release(&root)?;
        self.say("packing the initramfs");
        self.pack_initramfs(&root, &kernel, &image)?;
        let vmlinuz = root.join("boot").join(format!("vmlinuz-{kernel}"));
        fs::copy(&vmlinuz, image.join("vmlinuz")).map_err(file::Error::new("copy", vmlinuz))?;
        let packages = packages(&root)?;
        self.say("making the disk");
        self.make_disk(&root, &image)?;

        let manifest = Manifest {
            name: self.recipe.name.to_owned(),
            arch: self.recipe.arch,
            hash: self.recipe.hash(),
            built: clock::now(),
            seconds: watch.seconds(),
            kernel,
            packages,
        };
        let text =
            serde_json::to_vec_pretty(&manifest).map_err(|error| Error::io("describe it")(error.into()))?;
        Ok(file::write(&image.join("image.json"), &text)?)
    }

    fn say(&self, message: &str) {
        self.sink.emit(EventKind::Progress { subject: self.recipe.title(), message: message.to_owned() });
    }

    /// The command, in namespaces of its own with the host's network.
    fn inside(&self, command: Command) -> Command {
        self.namespaces.wrap(&command.deadline(DEADLINE).cancel(self.cancel))
    }

    fn install(&self, root: &Path) -> Result<(), Error> {
        let temporary = self.folder.join("tmp");
        file::create_folder(&temporary)?;
        let mut command = Command::new("mmdebstrap")
            // Root of the namespaces is all the root it needs, and it cannot make device nodes: it binds them.
            .args(["--mode=root", "--variant=minbase", "--format=directory"])
            // It would look for rules that the host has, and not for those of its namespaces.
            .arg("--skip=check/empty,check/qemu")
            .arg(format!("--architectures={}", debian_name(self.recipe.arch)))
            .args([r#"--aptopt=Acquire::Languages "none""#, r#"--aptopt=APT::Install-Recommends "false""#])
            .args(EXCLUDED.map(|paths| format!("--dpkgopt=path-exclude={paths}")))
            .args(self.packages_first().map(|script| format!("--essential-hook={script}")))
            .arg(format!("--include={}", self.recipe.all_packages().collect::<Vec<_>>().join(",")))
            // The kernel package would make an initramfs of its own; ours is smaller and made in no time.
            .env("INITRD", "No")
            // It leaves keys and lists there when it is killed.
            .env("TMPDIR", temporary)
            .arg(self.recipe.suite)
            .arg(root);
        if let Some(mirror) = self.mirror() {
            command = command.arg(mirror);
        }
        let mut said = String::new();
        let result = self.inside(command).stream(|stream, line| {
            let line = line.trim_end();
            if stream == Stream::Err && !line.is_empty() {
                said.push_str("\n    ");
                said.push_str(line);
            }
            match line.strip_prefix("I: ") {
                Some(message) if message.starts_with("running --essential-hook") => {
                    self.say("installing remaining packages from outside the chroot...");
                }
                Some(message) => self.say(message),
                None => {}
            }
        });
        let unreachable =
            ["Failed to fetch", "Could not resolve", "Could not connect", "does not have a Release file"];
        match result {
            // Much more may follow this, and an error only holds the last words.
            Err(process::Error::Failed { .. }) if is_out_of_space(&said) => Err(self.disk_full()),
            Err(process::Error::Failed { .. }) if unreachable.iter().any(|words| said.contains(words)) => {
                let complaints: Vec<&str> =
                    said.lines().filter(|line| line.contains("E: ")).take(4).collect();
                let said = complaints.iter().map(|line| format!("\n{line}")).collect();
                Err(Error::Mirror { mirror: self.mirror(), said })
            }
            other => other.map_err(Error::step("install the packages")),
        }
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
            debian_name(arch),
            excluded.join(" "),
            self.recipe.all_packages().collect::<Vec<_>>().join(" "),
        ))
    }

    fn mirror(&self) -> Option<String> {
        self.options.mirror.clone().or_else(host_mirror)
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
        let mut entries: Vec<Entry> =
            ["bin", "dev", "modules", "root"].into_iter().map(Entry::folder).collect();
        entries.push(Entry::file("bin/busybox", busybox, 0o755));
        entries.push(Entry::file("init", self.recipe.init.as_bytes().to_vec(), 0o755));
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

    /// A program that ran out of space only says so in its own words.
    fn explain(&self, error: Error) -> Error {
        let full = match &error {
            Error::File(error) => error.is_full(),
            Error::Step { source, .. } => is_out_of_space(&source.to_string()),
            _ => false,
        };
        if full { self.disk_full() } else { error }
    }

    fn disk_full(&self) -> Error {
        let folder = self.folder.parent().unwrap_or(self.folder).to_owned();
        let free_mib = host::free_disk_mib(&folder).unwrap_or_default();
        Error::DiskFull { folder, needed_mib: NEEDED_MIB, free_mib }
    }
}

/// What Debian calls an architecture.
fn debian_name(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "amd64",
        Arch::Aarch64 => "arm64",
    }
}

fn is_out_of_space(said: &str) -> bool {
    ["No space left on device", "Disk quota exceeded", "enough free space", "Could not allocate block"]
        .iter()
        .any(|words| said.contains(words))
}

/// The mirror the host's own apt takes Debian's main archive from, if the host is a Debian.
fn host_mirror() -> Option<String> {
    if let Some(mirror) = environment::variable("AI_HOW_MIRROR") {
        return Some(mirror);
    }
    let format = "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(CREATED_BY)|$(REPO_URI)";
    let listing = Command::new("apt-get").args(["indextargets", "--format", format]).run().ok()?;
    let prefix = "Debian|Debian|main|Packages|";
    listing.lines().find_map(|line| line.strip_prefix(prefix)).map(|uri| uri.trim_end_matches('/').to_owned())
}

fn kernel_release(root: &Path) -> Result<String, Error> {
    let modules = root.join("usr/lib/modules");
    let mut entries = fs::read_dir(&modules).map_err(file::Error::new("read", &modules))?;
    match entries.next() {
        Some(Ok(entry)) => Ok(entry.file_name().to_string_lossy().into_owned()),
        _ => Err(Error::io("find the kernel")(std::io::ErrorKind::NotFound.into())),
    }
}

/// `name version` of every installed package, from dpkg's own record.
fn packages(root: &Path) -> Result<Vec<String>, Error> {
    let status = file::read(&root.join("var/lib/dpkg/status"))?;
    let field = |paragraph: &str, name: &str| {
        paragraph.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned()))
    };
    Ok(status
        .split("\n\n")
        .filter_map(|paragraph| {
            Some(format!("{} {}", field(paragraph, "Package")?, field(paragraph, "Version")?))
        })
        .collect())
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
