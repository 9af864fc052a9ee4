//! Which Ansible to use: the one AI_HOW_ANSIBLE names, else the one `make set-up` made in this cache or in the
//! environment's, else the one in `PATH`.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use system::{environment, process::Command};

use crate::Error;

/// The oldest ansible-core that runs the roles and knows the Python of Debian 13.
const MINIMUM: (u32, u32) = (2, 18);
const MINIMUM_TEXT: &str = "2.18";

/// Starting a Python program on a busy host takes its time.
const LIMIT: Duration = Duration::from_secs(120);

/// An Ansible that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// `ansible-playbook`.
    pub playbook: PathBuf,
    /// Of ansible-core.
    pub version: String,
    /// The folder of mitogen's strategy plugins. Without it all works, several times slower.
    pub mitogen: Option<PathBuf>,
}

/// Finds the Ansible to use; set-up leaves its own in `cache`.
///
/// # Errors
/// There is none, it does not start, or it is too old.
pub fn find_ansible(cache: &Path) -> Result<Installation, Error> {
    let named = environment::variable("AI_HOW_ANSIBLE").map(PathBuf::from);
    inspect(choose(named.as_deref(), cache, || {
        set_up(&environment::cache_folder()).or_else(|| environment::find_program("ansible-playbook"))
    })?)
}

fn missing(reason: impl Into<String>) -> Error {
    Error::AnsibleMissing { minimum: MINIMUM_TEXT, reason: reason.into() }
}

fn choose(
    named: Option<&Path>,
    cache: &Path,
    elsewhere: impl FnOnce() -> Option<PathBuf>,
) -> Result<PathBuf, Error> {
    if let Some(folder) = named {
        let playbook = folder.join("bin/ansible-playbook");
        let reason =
            || format!("AI_HOW_ANSIBLE is {}, and {} is not there", folder.display(), playbook.display());
        return if playbook.is_file() { Ok(playbook) } else { Err(missing(reason())) };
    }
    set_up(cache).or_else(elsewhere).ok_or_else(|| missing(""))
}

/// The newest complete environment of those that `make set-up` left in the cache, one for each set of versions.
fn set_up(cache: &Path) -> Option<PathBuf> {
    let complete =
        |folder: &Path| fs::metadata(folder.join("complete")).and_then(|marker| marker.modified()).ok();
    fs::read_dir(cache)
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("ansible-"))
        .filter_map(|entry| Some((complete(&entry.path())?, entry.path().join("bin/ansible-playbook"))))
        .filter(|(_, playbook)| playbook.is_file())
        .max()
        .map(|(_, playbook)| playbook)
}

fn inspect(playbook: PathBuf) -> Result<Installation, Error> {
    let said = Command::new(&playbook)
        .arg("--version")
        .env("LC_ALL", "C.UTF-8")
        .deadline(LIMIT)
        .run()
        .map_err(|error| missing(format!("{} does not work: {error}", playbook.display())))?;
    let (version, library) =
        facts(&said).ok_or_else(|| missing(format!("{} does not tell its version", playbook.display())))?;
    if number(&version) < MINIMUM {
        return Err(Error::AnsibleTooOld { program: playbook, version, minimum: MINIMUM_TEXT });
    }
    let mitogen = library.with_file_name("ansible_mitogen").join("plugins/strategy");
    Ok(Installation { playbook, version, mitogen: mitogen.is_dir().then_some(mitogen) })
}

/// Version and folder of the Python package `ansible`, from what `--version` prints.
fn facts(said: &str) -> Option<(String, PathBuf)> {
    let version = said.lines().next()?.split_once("[core ")?.1.split_once(']')?.0;
    let library =
        said.lines().find_map(|line| line.trim().strip_prefix("ansible python module location = "))?;
    Some((version.to_owned(), PathBuf::from(library)))
}

fn number(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A folder laid out like a virtual environment, whose ansible-playbook only tells a version.
    fn environment(at: &Path, version: &str) -> PathBuf {
        let playbook = at.join("bin/ansible-playbook");
        fs::create_dir_all(at.join("bin")).unwrap();
        let location = format!("  ansible python module location = {}/lib/ansible", at.display());
        let script = format!("#!/bin/sh\necho 'ansible-playbook [core {version}]'\necho '{location}'\n");
        fs::write(&playbook, script).unwrap();
        fs::set_permissions(&playbook, fs::Permissions::from_mode(0o755)).unwrap();
        playbook
    }

    #[test]
    fn none_at_all_says_what_to_do() {
        let empty = tempfile::tempdir().unwrap();
        let error = choose(None, empty.path(), || None).unwrap_err().to_string();
        assert_eq!(
            error,
            "Ansible is not installed: `make set-up` installs it for ai-how alone; or set AI_HOW_ANSIBLE to a Python \
             virtual environment with ansible-core 2.18 or newer"
        );
    }

    #[test]
    fn the_named_one_is_not_replaced_by_another() {
        let cache = tempfile::tempdir().unwrap();
        environment(&cache.path().join("ansible-1"), "2.19.1");
        fs::write(cache.path().join("ansible-1/complete"), "").unwrap();
        let error = choose(Some(Path::new("/nowhere")), cache.path(), || None).unwrap_err().to_string();
        assert!(error.contains("AI_HOW_ANSIBLE is /nowhere"), "{error}");
    }

    #[test]
    fn a_half_made_environment_is_passed_over() {
        let cache = tempfile::tempdir().unwrap();
        environment(&cache.path().join("ansible-half"), "2.19.1");
        let whole = environment(&cache.path().join("ansible-whole"), "2.19.1");
        fs::write(cache.path().join("ansible-whole/complete"), "").unwrap();
        assert_eq!(choose(None, cache.path(), || None).unwrap(), whole);
        fs::remove_file(cache.path().join("ansible-whole/complete")).unwrap();
        assert_eq!(
            choose(None, cache.path(), || Some("/usr/bin/x".into())).unwrap(),
            Path::new("/usr/bin/x")
        );
    }

    #[test]
    fn an_old_one_is_refused_with_its_version() {
        let folder = tempfile::tempdir().unwrap();
        let error = inspect(environment(folder.path(), "2.14.18")).unwrap_err();
        assert!(matches!(&error, Error::AnsibleTooOld { version, .. } if version == "2.14.18"), "{error}");
        assert!(error.to_string().contains("make set-up"), "{error}");
    }

    #[test]
    fn mitogen_is_found_beside_ansible() {
        let folder = tempfile::tempdir().unwrap();
        let playbook = environment(folder.path(), "2.19.14");
        assert_eq!(inspect(playbook.clone()).unwrap().mitogen, None);
        let strategies = folder.path().join("lib/ansible_mitogen/plugins/strategy");
        fs::create_dir_all(&strategies).unwrap();
        let found = inspect(playbook).unwrap();
        assert_eq!((found.version.as_str(), found.mitogen), ("2.19.14", Some(strategies)));
    }

    #[test]
    fn one_that_does_not_start_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let playbook = environment(folder.path(), "2.19.14");
        fs::write(&playbook, "#!/bin/sh\necho 'no module named ansible' >&2; exit 1\n").unwrap();
        let error = inspect(playbook).unwrap_err().to_string();
        assert!(error.contains("no module named ansible"), "{error}");
    }
}
