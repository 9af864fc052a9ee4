//! A deployed node's disk without what is the node's own: its secrets and what its daemons wrote down.
//!
//! The files are removed from the file system by its own tools, without a machine that would read them into its memory.
//! Then only blocks that are still in use are copied, so nothing of a removed file is left anywhere on the disk, nor of
//! one that was removed while the node ran.

use std::{collections::BTreeSet, path::Path};

use system::{file, process::Command};

use crate::Error;

/// Makes `disk`, on top of the image's `base`, of a copy of a node's, without the `forgotten` files. A path that ends with
/// `/` means all files in that folder. Works in `folder` and leaves nothing else there.
pub(crate) fn scrub(
    copy: &Path,
    base: &Path,
    disk: &Path,
    folder: &Path,
    forgotten: &[&str],
) -> Result<(), Error> {
    let [raw, clean, whole] = ["raw", "clean", "whole"].map(|name| folder.join(name));
    Command::new("qemu-img").args(["convert", "-O", "raw"]).arg(copy).arg(&raw).run()?;
    forget(&raw, &folder.join("commands"), forgotten)?;
    Command::new("e2image").arg("-ra").arg(&raw).arg(&clean).run()?;
    Command::new("qemu-img").args(["convert", "-O", "qcow2"]).arg(&clean).arg(&whole).run()?;
    let overlay = Command::new("qemu-img").args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"]);
    overlay.arg(&whole).arg(disk).run()?;
    // What is the same in the image stays there.
    let rebase = Command::new("qemu-img").args(["rebase", "-t", "unsafe", "-F", "qcow2", "-b"]);
    rebase.arg(base).arg(disk).run()?;
    for path in [raw, clean, whole] {
        file::remove_file(&path)?;
    }
    Ok(())
}

/// Removes files from the ext4 file system in `raw`.
fn forget(raw: &Path, commands: &Path, forgotten: &[&str]) -> Result<(), Error> {
    let mut paths = BTreeSet::new();
    for path in forgotten {
        match path.strip_suffix('/') {
            Some(folder) => paths.extend(files(raw, folder)?),
            None => paths.extend([(*path).to_owned()]),
        }
    }
    // debugfs reads a line for each, and its quotes have no escape.
    let says = |path: &&String| !path.contains(['"', '\n']);
    let script: String = paths.iter().filter(says).map(|path| format!("rm \"{path}\"\n")).collect();
    file::write(commands, script.as_bytes())?;
    // A file that is not there is none to forget, so its complaints are not errors; the check that follows is.
    Command::new("debugfs").args(["-w", "-f"]).arg(commands).arg(raw).output()?;
    file::remove_file(commands)?;
    // The node was running, so the first check has something to mend, and the second must not.
    Command::new("e2fsck").arg("-fy").arg(raw).output()?;
    Command::new("e2fsck").arg("-fn").arg(raw).run()?;
    let left: Vec<String> = paths.into_iter().filter(|path| exists(raw, path).unwrap_or(true)).collect();
    if left.is_empty() { Ok(()) } else { Err(Error::NotForgotten { files: left }) }
}

/// Every file, and no folder, in a folder of the file system and those below it.
fn files(raw: &Path, folder: &str) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    let listing = debugfs(raw, &format!("ls -p \"{folder}\""))?;
    for line in listing.lines() {
        // /inode/mode/user/group/name/size/
        let fields: Vec<&str> = line.split('/').collect();
        let [_, _, mode, _, _, name, ..] = fields[..] else { continue };
        if matches!(name, "" | "." | "..") {
        } else if mode.starts_with("04") {
            found.extend(files(raw, &format!("{folder}/{name}"))?);
        } else {
            found.push(format!("{folder}/{name}"));
        }
    }
    Ok(found)
}

fn exists(raw: &Path, path: &str) -> Result<bool, Error> {
    Ok(debugfs(raw, &format!("stat \"{path}\""))?.contains("Inode:"))
}

fn debugfs(raw: &Path, command: &str) -> Result<String, Error> {
    Ok(Command::new("debugfs").args(["-R", command]).arg(raw).output()?.stdout)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// An image with a file system, and a node's disk on top of it, made of the folders `root` and `more`.
    fn bench(folder: &Path) {
        let root = folder.join("root");
        fs::create_dir_all(root.join("etc/munge")).unwrap();
        fs::create_dir_all(root.join("spool/deep")).unwrap();
        fs::write(root.join("etc/kept"), "kept").unwrap();
        fs::write(root.join("etc/munge/munge.key"), "THE SECRET".repeat(100)).unwrap();
        fs::write(root.join("spool/deep/job"), "THE JOB".repeat(1000)).unwrap();
        let raw = folder.join("node.raw");
        let make = Command::new("mke2fs").args(["-q", "-t", "ext4", "-O", "^has_journal", "-d"]);
        make.arg(&root).arg(&raw).arg("64M").run().unwrap();
        let base = Command::new("qemu-img").args(["create", "-q", "-f", "qcow2"]);
        base.arg(folder.join("base.qcow2")).arg("64M").run().unwrap();
        let convert = Command::new("qemu-img").args(["convert", "-O", "qcow2"]);
        convert.arg(&raw).arg(folder.join("node.qcow2")).run().unwrap();
        fs::remove_file(raw).unwrap();
    }

    fn content(folder: &Path, disk: &str) -> Vec<u8> {
        let out = folder.join("content");
        Command::new("qemu-img")
            .args(["convert", "-O", "raw"])
            .arg(folder.join(disk))
            .arg(&out)
            .run()
            .unwrap();
        fs::read(out).unwrap()
    }

    fn holds(content: &[u8], text: &str) -> bool {
        content.windows(text.len()).any(|window| window == text.as_bytes())
    }

    #[test]
    fn nothing_of_a_forgotten_file_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        bench(folder);
        assert!(holds(&content(folder, "node.qcow2"), "THE SECRET"), "the test would see nothing");
        let work = folder.join("work");
        fs::create_dir(&work).unwrap();
        let [node, base, disk] =
            ["node.qcow2", "base.qcow2", "work/disk.qcow2"].map(|name| folder.join(name));
        scrub(&node, &base, &disk, &work, &["/etc/munge/munge.key", "/spool/", "/not/there", "/nor/this/"])
            .unwrap();

        let left: Vec<_> = fs::read_dir(&work).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["disk.qcow2"]);
        let content = content(folder, "work/disk.qcow2");
        assert!(!holds(&content, "THE SECRET") && !holds(&content, "THE JOB"));
        assert!(holds(&content, "kept"));
        // It stands on the image alone.
        fs::remove_file(node).unwrap();
        let info = Command::new("qemu-img").args(["info", "--output=json"]).arg(&disk).run().unwrap();
        assert!(info.contains("base.qcow2") && !info.contains("whole"), "{info}");
        assert!(fs::metadata(&disk).unwrap().len() < 16 * 1024 * 1024);
    }
}
