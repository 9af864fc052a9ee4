//! Packages from Debian: mmdebstrap fetches them for any architecture and suite from the mirror of this machine, and unpacks or
//! installs them in a folder.

use std::{fs, path::Path};

use config::model::Arch;
use system::{
    environment, file,
    process::{self, Command, Stream},
};

use crate::{Error, build::Options};

/// What mmdebstrap does with the packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// A system with the least that apt needs, and the packages installed in it. Their scripts run.
    Minbase,
    /// The packages and what they depend on are unpacked. Nothing of them runs, so the architecture does not matter.
    Extract,
}

/// Packages in a folder.
#[derive(Debug, Clone)]
pub struct Bootstrap<'a> {
    /// Whose packages.
    pub arch: Arch,
    /// Debian's suite, by its name or its role (`trixie`, `stable`).
    pub suite: &'a str,
    /// Another suite on the same mirror, for packages that are named as `NAME/SUITE`.
    pub also: Option<&'a str>,
    /// What becomes of them.
    pub variant: Variant,
    /// Without what they recommend.
    pub packages: Vec<&'a str>,
    /// Paths that are not unpacked.
    pub excluded: &'a [&'a str],
    /// The package mirror; the one mmdebstrap knows unless given.
    pub mirror: Option<String>,
}

impl Bootstrap<'_> {
    /// The command without its target, to which options may be added. It needs to be root of a user namespace at least.
    ///
    /// # Errors
    /// The folder `temporary` cannot be made.
    pub fn command(&self, temporary: &Path) -> Result<Command, Error> {
        file::create_folder(temporary)?;
        let variant = match self.variant {
            Variant::Minbase => "minbase",
            Variant::Extract => "extract",
        };
        Ok(Command::new("mmdebstrap")
            // Root of the namespaces is all the root it needs, and it cannot make device nodes: it binds them.
            .args(["--mode=root", "--format=directory"])
            .arg(format!("--variant={variant}"))
            // It would look for rules that the host has, and not for those of its namespaces.
            .arg("--skip=check/empty,check/qemu")
            .args((self.variant == Variant::Extract).then_some("--skip=cleanup/apt/cache"))
            .arg(format!("--architectures={}", name(self.arch)))
            .args([r#"--aptopt=Acquire::Languages "none""#, r#"--aptopt=APT::Install-Recommends "false""#])
            .args(freshness().into_iter().map(|option| format!("--aptopt={option}")))
            .args(self.excluded.iter().map(|paths| format!("--dpkgopt=path-exclude={paths}")))
            .arg(format!("--include={}", self.packages.join(",")))
            // The kernel package would make an initramfs of its own; ours is smaller and made in no time.
            .env("INITRD", "No")
            // It leaves keys and lists there when it is killed.
            .env("TMPDIR", temporary))
    }

    /// Adds where the packages go.
    pub fn with_target(&self, command: Command, root: &Path) -> Command {
        let command = command.arg(self.suite).arg(root);
        match (&self.mirror, self.also) {
            (Some(mirror), Some(also)) => {
                command.args([self.suite, also].map(|suite| format!("deb {mirror} {suite} main")))
            }
            (Some(mirror), None) => command.arg(mirror),
            (None, _) => command,
        }
    }

    /// Runs the command and says what it does.
    ///
    /// # Errors
    /// The mirror does not deliver, the disk is full, or somebody asked to stop.
    pub fn run(&self, command: &Command, mut say: impl FnMut(&str)) -> Result<(), Error> {
        let mut said = String::new();
        let result = command.stream(|stream, line| {
            let line = line.trim_end();
            if stream == Stream::Err && !line.is_empty() {
                said.push_str("\n    ");
                said.push_str(line);
            }
            if let Some(message) = line.strip_prefix("I: ") {
                say(message);
            }
        });
        let has = |words: &[&str]| words.iter().any(|words| said.contains(words));
        match result {
            // Much more may follow this, and an error only holds the last words.
            Err(process::Error::Failed { .. }) if crate::staging::is_out_of_space(&said) => {
                Err(Error::Step { step: "install the packages", source: said.into() })
            }
            Err(process::Error::Failed { .. }) if has(UNDELIVERED) => {
                let complaints = said.lines().filter(|line| line.contains("E: ")).take(4);
                let said = complaints.map(|line| format!("\n{line}")).collect();
                Err(Error::Mirror { mirror: self.mirror.clone(), said })
            }
            other => other.map_err(Error::step("install the packages")),
        }
    }
}

/// What apt says of a mirror that does not answer, or does not have what is asked for.
const UNDELIVERED: &[&str] = &[
    "Failed to fetch",
    "Could not resolve",
    "Could not connect",
    "does not have a Release file",
    "Unable to locate package",
    "has no installation candidate",
    "have unmet dependencies",
    "is expired",
    "is not valid yet",
];

/// What Debian calls an architecture.
pub fn name(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "amd64",
        Arch::Aarch64 => "arm64",
    }
}

impl Options {
    /// The mirror that is meant: the one that was named, else the one that the host's own apt takes Debian's main archive
    /// from, if the host is a Debian.
    pub fn mirror(&self) -> Option<String> {
        self.mirror.clone().or_else(host_mirror)
    }
}

fn host_mirror() -> Option<String> {
    if let Some(mirror) = environment::variable("AI_HOW_MIRROR") {
        return Some(mirror);
    }
    let format = "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(CREATED_BY)|$(REPO_URI)";
    let listing = Command::new("apt-get").args(["indextargets", "--format", format]).run().ok()?;
    let prefix = "Debian|Debian|main|Packages|";
    listing.lines().find_map(|line| line.strip_prefix(prefix)).map(|uri| uri.trim_end_matches('/').to_owned())
}

/// What the host's own apt is told about the age of package lists: a mirror that stands still, as they do where builds must
/// be the same tomorrow, has suites whose lists have expired.
fn freshness() -> Vec<String> {
    let kept = ["Acquire::Check-Valid-Until ", "Acquire::Check-Date "];
    let settings = Command::new("apt-config").arg("dump").run().unwrap_or_default();
    let settings = settings.lines().filter(|line| kept.iter().any(|name| line.starts_with(name)));
    settings.map(|line| line.trim_end_matches(';').to_owned()).collect()
}

/// `name version` of every package that was unpacked in a root, in the order of the names.
///
/// # Errors
/// The root has no record of it.
pub fn unpacked(root: &Path) -> Result<Vec<String>, Error> {
    let cache = root.join("var/cache/apt/archives");
    let entries = fs::read_dir(&cache).map_err(file::Error::new("read", &cache))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut packages: Vec<String> = names.filter_map(|name| archive(&name)).collect();
    packages.sort();
    Ok(packages)
}

/// `name version` of a package's file, `NAME_VERSION_ARCHITECTURE.deb`.
fn archive(file: &str) -> Option<String> {
    let mut parts = file.strip_suffix(".deb")?.split('_');
    let (name, version) = (parts.next()?, parts.next()?);
    // No file's name has the colon behind an epoch.
    Some(format!("{name} {}", version.replace("%3a", ":")))
}

/// `name version` of every package that dpkg's record in a root knows.
///
/// # Errors
/// There is no such record.
pub fn packages(root: &Path) -> Result<Vec<String>, Error> {
    let status = file::read(&root.join("var/lib/dpkg/status"))?;
    Ok(paragraphs(&status))
}

fn paragraphs(status: &str) -> Vec<String> {
    let field = |paragraph: &str, name: &str| {
        paragraph.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned()))
    };
    let named =
        |paragraph| Some(format!("{} {}", field(paragraph, "Package")?, field(paragraph, "Version")?));
    status.split("\n\n").filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_told_by_their_files() {
        assert_eq!(
            archive("llama.cpp-tools_1%3a0.7.0+dfsg-2_amd64.deb").unwrap(),
            "llama.cpp-tools 1:0.7.0+dfsg-2"
        );
        assert_eq!(archive("lock"), None);
    }

    #[test]
    fn records_of_dpkg_are_read() {
        let status = "Package: a\nStatus: installed\nVersion: 1\n\nPackage: b\nVersion: 2:3\n";
        assert_eq!(paragraphs(status), ["a 1", "b 2:3"]);
    }
}
