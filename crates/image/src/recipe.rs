//! What goes into an image. Everything here is part of the image's hash.

use config::model::Arch;
use include_dir::{Dir, include_dir};

use crate::{Error, Fingerprint};

/// Raise it when a change of the build code changes what comes out of the same recipe.
const BUILD: u32 = 2;

/// The images that ai-how builds, by the name a config file uses: one for each architecture.
pub static RECIPES: &[Recipe] = &[
    DEBIAN_13,
    Recipe {
        arch: Arch::Aarch64,
        kernel: "linux-image-cloud-arm64",
        // As the one of an x86-64 machine, below.
        also_masked: &["serial-getty@ttyAMA0.service"],
        ..DEBIAN_13
    },
];

const DEBIAN_13: Recipe = Recipe {
    name: "debian-13",
    arch: Arch::X86_64,
    description: "Debian 13 with systemd, OpenSSH, Python, munge and SLURM 24.11",
    suite: "trixie",
    packages: &[
        "systemd",
        "systemd-sysv",
        "udev",
        "dbus",
        "openssh-server",
        "python3",
        "munge",
        "slurmctld",
        "slurmd",
        "slurm-client",
        "iproute2",
        "procps",
        "busybox-static",
    ],
    kernel: "linux-image-cloud-amd64",
    modules: &[
        "kernel/net/core/failover.ko",
        "kernel/drivers/net/net_failover.ko",
        "kernel/drivers/net/virtio_net.ko",
        "kernel/drivers/block/virtio_blk.ko",
    ],
    // Started by the deployment, once they have a configuration; or by nobody here.
    disabled: &[
        "ssh.service",
        "munge.service",
        "slurmctld.service",
        "slurmd.service",
        "e2scrub_reap.service",
        "remote-fs.target",
    ],
    enabled: &[
        // sshd starts with the first connection: a copy of a template has its own keys by then.
        ("sockets.target", "ssh.socket"),
        ("multi-user.target", "systemd-networkd.service"),
        ("multi-user.target", "ai-how-host-key.service"),
        ("multi-user.target", "ai-how-ready.service"),
        ("multi-user.target", "ai-how-grow.service"),
        ("multi-user.target", "ai-how-agent.service"),
        ("getty.target", "console-getty.service"),
        ("network-online.target", "ai-how-online.service"),
    ],
    // Each one is programs started under emulation for a machine that lives for minutes.
    masked: &[
        "apt-daily.timer",
        "apt-daily-upgrade.timer",
        "dev-hugepages.mount",
        "dpkg-db-backup.timer",
        "e2scrub_all.timer",
        "fstrim.timer",
        "getty@tty1.service",
        "kmod-static-nodes.service",
        "ldconfig.service",
        "proc-sys-fs-binfmt_misc.automount",
        "remote-fs.target",
        // Waits for a device event that is not replayed; console-getty does without.
        "serial-getty@ttyS0.service",
        "sshd-keygen.service",
        "sys-fs-fuse-connections.mount",
        "sys-kernel-config.mount",
        "sys-kernel-debug.mount",
        "sys-kernel-tracing.mount",
        "systemd-ask-password-console.path",
        "systemd-ask-password-wall.path",
        "systemd-binfmt.service",
        "systemd-firstboot.service",
        "systemd-hibernate-clear.service",
        "systemd-hwdb-update.service",
        "systemd-journal-catalog-update.service",
        "systemd-journal-flush.service",
        "systemd-logind.service",
        "systemd-machine-id-commit.service",
        "systemd-modules-load.service",
        "systemd-networkd-persistent-storage.service",
        "systemd-pcrmachine.service",
        "systemd-pcrphase-sysinit.service",
        "systemd-pcrphase.service",
        "systemd-pstore.service",
        "systemd-random-seed.service",
        "systemd-remount-fs.service",
        "systemd-tpm2-setup-early.service",
        "systemd-tpm2-setup.service",
        "systemd-udev-load-credentials.service",
        "systemd-update-done.service",
    ],
    also_masked: &[],
    files: include_dir!("$CARGO_MANIFEST_DIR/recipes/debian-13/files"),
    init: include_str!("../recipes/debian-13/init"),
};

/// One image: packages, files and units.
#[derive(Debug)]
pub struct Recipe {
    /// As config files name it.
    pub name: &'static str,
    /// The instruction set of its programs.
    pub arch: Arch,
    /// One line for a person.
    pub description: &'static str,
    /// Debian's suite.
    pub suite: &'static str,
    /// Installed with what they depend on, without what they recommend.
    pub packages: &'static [&'static str],
    /// The package with the kernel.
    pub kernel: &'static str,
    /// Kernel modules for the initramfs, in the order in which they are loaded; see `modules.dep`.
    pub modules: &'static [&'static str],
    /// Units that a package enabled and that must not start by themselves.
    pub disabled: &'static [&'static str],
    /// Units to start, each with the target that wants it.
    pub enabled: &'static [(&'static str, &'static str)],
    /// Units that must never start.
    pub masked: &'static [&'static str],
    /// The same, on this architecture.
    pub also_masked: &'static [&'static str],
    /// Copied over the root.
    pub files: Dir<'static>,
    /// PID 1 of the initramfs.
    pub init: &'static str,
}

impl Recipe {
    /// The recipe of that name for this architecture.
    pub fn named(name: &str, arch: Arch) -> Option<&'static Self> {
        RECIPES.iter().find(|recipe| recipe.name == name && recipe.arch == arch)
    }

    /// The recipe that a user or a config file names.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn find(name: &str, arch: Arch) -> Result<&'static Self, Error> {
        Self::named(name, arch).ok_or_else(|| Error::Unknown {
            name: title(name, arch),
            known: RECIPES.iter().map(Self::title).collect::<Vec<_>>().join(", "),
        })
    }

    /// As a person would name it: `debian-13`, `debian-13 aarch64`.
    pub fn title(&self) -> String {
        title(self.name, self.arch)
    }

    /// Everything to install.
    pub(crate) fn all_packages(&self) -> impl Iterator<Item = &'static str> {
        self.packages.iter().copied().chain([self.kernel])
    }

    /// Everything that must never start.
    pub(crate) fn all_masked(&self) -> impl Iterator<Item = &'static str> {
        self.masked.iter().chain(self.also_masked).copied()
    }

    /// 16 hexadecimal digits that change with everything that goes into the image. Package versions are not among it:
    /// the manifest in the image tells them, and `image rm` makes room for newer ones.
    pub fn hash(&self) -> String {
        let mut fingerprint = Fingerprint::new();
        let mut add = |what: &str, content: &[u8]| fingerprint.add(what, content);
        add("build", &BUILD.to_le_bytes());
        add("suite", self.suite.as_bytes());
        // That of x86-64 images is as old as they are, and they are none the worse for it.
        if self.arch != Arch::X86_64 {
            add("arch", self.arch.name().as_bytes());
        }
        self.all_packages().for_each(|item| add("package", item.as_bytes()));
        self.modules.iter().for_each(|item| add("module", item.as_bytes()));
        self.disabled.iter().for_each(|item| add("disabled", item.as_bytes()));
        self.all_masked().for_each(|item| add("masked", item.as_bytes()));
        self.enabled.iter().for_each(|(target, unit)| add(target, unit.as_bytes()));
        self.each_file(&mut |path, content| add(path, content));
        add("init", self.init.as_bytes());
        fingerprint.digits()
    }

    /// The folder's name in the store.
    pub fn id(&self) -> String {
        format!("{}-{}", self.title().replace(' ', "-"), self.hash())
    }

    /// Every file to copy, by its path below the root, in a stable order.
    pub(crate) fn each_file(&self, visit: &mut dyn FnMut(&str, &[u8])) {
        fn walk(folder: &Dir<'_>, visit: &mut dyn FnMut(&str, &[u8])) {
            for file in folder.files() {
                visit(&file.path().to_string_lossy(), file.contents());
            }
            folder.dirs().for_each(|folder| walk(folder, visit));
        }
        walk(&self.files, visit);
    }
}

/// How a person would name an image, or something else, for an architecture: that of most is not worth a word.
pub fn title(name: &str, arch: Arch) -> String {
    match arch {
        Arch::X86_64 => name.to_owned(),
        Arch::Aarch64 => format!("{name} {arch}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_covers_the_files() {
        let recipe = Recipe::named("debian-13", Arch::X86_64).unwrap();
        let mut paths = Vec::new();
        recipe.each_file(&mut |path, _| paths.push(path.to_owned()));
        assert!(paths.iter().any(|path| path == "usr/lib/ai-how/ready"), "{paths:?}");
        assert_eq!(recipe.hash().len(), 16);
        assert_eq!(recipe.hash(), recipe.hash());
    }

    #[test]
    fn each_architecture_has_an_image_of_its_own() {
        let ids: Vec<String> =
            Arch::ALL.iter().map(|arch| Recipe::named("debian-13", *arch).unwrap().id()).collect();
        assert_eq!(ids.len(), Arch::ALL.len());
        assert!(ids[1].starts_with("debian-13-aarch64-") && !ids[0].contains("aarch64"), "{ids:?}");
    }

    #[test]
    fn no_unit_is_both_masked_and_enabled() {
        for recipe in RECIPES {
            for (_, unit) in recipe.enabled {
                assert!(recipe.all_masked().all(|masked| masked != *unit), "{unit}");
            }
        }
    }
}
