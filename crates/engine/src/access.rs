//! Who may log in: one key for the lab, made when it is first started, and the host keys its nodes told.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use guest::ready;
use lab::Folder;
use plan::Plan;
use render::SshAccess;
use system::{file, process::Command};

use crate::Error;

fn key(folder: &Folder) -> PathBuf {
    folder.path().join("ssh/id_ed25519")
}

fn known_hosts(folder: &Folder) -> PathBuf {
    folder.path().join("ssh/known_hosts")
}

/// The host keys of nodes whose images are not ours, as OpenSSH saw them first.
fn first_seen(folder: &Folder) -> PathBuf {
    folder.path().join("ssh/first_seen")
}

/// A link to the private key that such images know already.
fn image_key(folder: &Folder) -> PathBuf {
    folder.path().join("ssh/image_key")
}

/// Uses a private key, from now on, with nodes whose images are not ours.
///
/// # Errors
/// It is not there, or the lab's folder cannot be written to.
pub fn use_image_key(folder: &Folder, key: &Path) -> Result<(), Error> {
    let (key, link) =
        (fs::canonicalize(key).map_err(file::Error::new("use the key", key))?, image_key(folder));
    file::remove_file(&link)?;
    Ok(symlink(key, &link).map_err(file::Error::new("link", link))?)
}

/// The lab's OpenSSH configuration.
pub(crate) fn config_file(folder: &Folder) -> PathBuf {
    folder.path().join("ssh/config")
}

/// Makes the lab's key if there is none, and returns its public half as one line.
pub(crate) fn public_key(folder: &Folder) -> Result<String, Error> {
    let private = key(folder);
    let public = private.with_extension("pub");
    if !public.exists() {
        // Both halves or none: a private key alone is what an interrupted run left.
        file::remove_file(&private)?;
        make_key(&private, "ai-how")?;
    }
    Ok(file::read(&public)?.trim().to_owned())
}

/// A host key for a node: the private half and the public one. Neither stays on the host.
pub(crate) fn host_key(folder: &Folder, domain: &str) -> Result<(String, String), Error> {
    let private = folder.path().join("ssh").join(format!("{domain}.host_key"));
    let public = private.with_extension("host_key.pub");
    // What an interrupted start left; ssh-keygen would ask before it writes over it.
    file::remove_file(&private)?;
    make_key(&private, "")?;
    let pair = (file::read(&private)?, file::read(&public)?);
    for path in [private, public] {
        file::remove_file(&path)?;
    }
    Ok(pair)
}

fn make_key(private: &Path, comment: &str) -> Result<(), Error> {
    let make = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"]);
    make.arg(private).run()?;
    Ok(())
}

/// Writes the configuration and the host keys of all nodes that are ready.
pub(crate) fn write(folder: &Folder, plan: &Plan, control: Option<&str>) -> Result<(), Error> {
    let mut hosts = String::new();
    for (_, node) in plan.nodes() {
        if let Some(ready) = ready::read(&folder.path().join(&node.ready)) {
            hosts.push_str(&format!("{} {}\n", node.domain, ready.host_key));
        }
    }
    file::write(&known_hosts(folder), hosts.as_bytes())?;
    let access = access(folder, control.map(str::to_owned), None);
    Ok(file::write(&config_file(folder), render::ssh_config(plan, &access).as_bytes())?)
}

fn access(folder: &Folder, control: Option<String>, proxy: Option<String>) -> SshAccess {
    SshAccess {
        identity: key(folder).display().to_string(),
        known_hosts: known_hosts(folder).display().to_string(),
        first_seen: first_seen(folder).display().to_string(),
        image_identity: Some(image_key(folder))
            .filter(|key| key.exists())
            .map(|key| key.display().to_string()),
        control,
        proxy,
    }
}

/// The way for who connects from outside of the lab, through the command `proxy`, or without.
pub fn outer_ssh_access(folder: &Folder, proxy: Option<String>) -> SshAccess {
    access(folder, None, proxy)
}
