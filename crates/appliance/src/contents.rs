//! What is in the initramfs: the scripts beside this crate, busybox, kernel modules, and llama.cpp with each library that one of
//! its files names. Nothing is looked up on the host.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use config::model::Arch;
use elf::{ElfBytes, abi, endian::LittleEndian};
use image::{
    Content, Error,
    initramfs::{Entry, Kind},
};
use system::file;

use crate::kernel;

const INIT: &str = include_str!("../guest/init");
const SESSION: &str = include_str!("../guest/session");
const REPL: &str = include_str!("../guest/zosia-repl");

/// The programs of busybox that the scripts start, one a line.
const APPLETS: &str = include_str!("../guest/applets");

/// What there is to talk to.
const PROGRAM: &str = "usr/bin/llama-cli";

/// The driver of virtual disks; all else that the appliance needs is built into the kernel.
const MODULE: &str = "kernel/drivers/block/virtio_blk.ko";

/// Of llama.cpp's variants for processors those that are packed, on x86-64: for each one, for those with AVX2, which QEMU
/// emulates, with AVX-VNNI, and with AVX-512. The ten others lie between them, and have a megabyte each.
const X86_VARIANTS: [&str; 4] = ["x64", "haswell", "alderlake", "zen4"];

/// Folders that are empty, or made by the init.
const FOLDERS: [&str; 5] = ["dev", "proc", "sys", "models", "tmp"];

/// Everything of ours that goes into an initramfs, for a recipe's hash.
pub(crate) fn recipe() -> Vec<&'static [u8]> {
    let mut parts: Vec<&[u8]> =
        [INIT, SESSION, REPL, APPLETS, PROGRAM, MODULE].iter().map(|text| text.as_bytes()).collect();
    parts.extend(X86_VARIANTS.iter().chain(&FOLDERS).map(|text| text.as_bytes()));
    parts
}

/// Gathers everything from an unpacked root, in the order of the paths. `folder` is for what lies between.
///
/// # Errors
/// Something is not there, or no program of this architecture.
pub(crate) fn gather(root: &Path, release: &str, arch: Arch, folder: &Path) -> Result<Vec<Entry>, Error> {
    let mut files: BTreeMap<String, Entry> = BTreeMap::new();
    let mut add = |entry: Entry| {
        for (end, _) in entry.path.match_indices('/') {
            let parent = &entry.path[..end];
            files.entry(parent.to_owned()).or_insert_with(|| Entry::folder(parent));
        }
        files.insert(entry.path.clone(), entry);
    };
    FOLDERS.iter().for_each(|path| add(Entry::folder(*path)));
    add(Entry::file("init", INIT, 0o755));
    add(Entry::file("lib/zosia/session", SESSION, 0o755));
    add(Entry::file("bin/zosia-repl", REPL, 0o755));
    add(Entry::file("bin/busybox", read(&root.join("usr/bin/busybox"))?, 0o755));
    for applet in APPLETS.lines() {
        add(Entry::link(format!("bin/{applet}"), "busybox"));
    }
    let module = root.join("usr/lib/modules").join(release).join(MODULE);
    if let Some(content) = module_content(&module, folder)? {
        add(Entry::file("lib/modules/virtio_blk.ko", content, 0o644));
    }
    for (path, content) in programs(root, arch)? {
        let mode = if path.contains(".so") && !path.contains("/ld-") { 0o644 } else { 0o755 };
        add(Entry::file(path, content, mode));
    }
    Ok(files.into_values().collect())
}

/// What is in an archive, by size, the largest first.
pub(crate) fn listing(entries: &[Entry]) -> Vec<Content> {
    let file = |entry: &Entry| match &entry.kind {
        Kind::File { content, .. } => {
            Some(Content { path: entry.path.clone(), size: u64::try_from(content.len()).unwrap_or(u64::MAX) })
        }
        Kind::Folder | Kind::Link { .. } => None,
    };
    let mut list: Vec<Content> = entries.iter().filter_map(file).collect();
    list.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.path.cmp(&b.path)));
    list
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    Ok(fs::read(path).map_err(file::Error::new("read", path))?)
}

/// A kernel module, unpacked; nothing when the kernel has it built in.
fn module_content(module: &Path, folder: &Path) -> Result<Option<Vec<u8>>, Error> {
    let suffixes = ["", ".xz", ".zst", ".gz"].into_iter();
    let packed = suffixes.map(|suffix| PathBuf::from(format!("{}{suffix}", module.display())));
    let Some(packed) = packed.into_iter().find(|path| path.is_file()) else { return Ok(None) };
    let copy = folder.join(packed.file_name().unwrap_or_default());
    fs::copy(&packed, &copy).map_err(file::Error::new("copy", &packed))?;
    kernel::unpack(&copy).map(Some)
}

/// llama.cpp, what it loads by itself, and all that these name, each by its path below `/`.
fn programs(root: &Path, arch: Arch) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let libraries = format!("usr/lib/{}-linux-gnu", arch.name());
    let mut waiting = vec![PROGRAM.to_owned()];
    waiting.extend(variants(root, &libraries, arch)?);
    let mut found = BTreeMap::new();
    let mut missing = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        if found.contains_key(&path) {
            continue;
        }
        let content = read(&root.join(&path))?;
        let needs = needs(&content).ok_or_else(|| no_program(&path))?;
        let folders: Vec<&str> = needs
            .folders
            .iter()
            .map(String::as_str)
            .chain([libraries.as_str(), "usr/lib", "usr/lib64"])
            .collect();
        for name in &needs.libraries {
            let place = folders.iter().map(|folder| format!("{folder}/{name}"));
            match place.into_iter().find(|path| root.join(path).is_file()) {
                Some(path) => waiting.push(path),
                None => drop(missing.insert(name.clone())),
            }
        }
        // Debian's packages have it below /usr, and programs name it without.
        if let Some(loader) = &needs.loader {
            found.insert(loader.clone(), read(&root.join("usr").join(loader))?);
            missing.remove(loader.rsplit('/').next().unwrap_or(loader));
        }
        found.insert(path, content);
    }
    // Who starts the programs is there under its own path, whoever names it as a library, too.
    let loader = |name: &String| found.keys().any(|path| path.rsplit('/').next() == Some(name));
    let missing: Vec<String> = missing.into_iter().filter(|name| !loader(name)).collect();
    if missing.is_empty() {
        return Ok(found);
    }
    let why = format!("no package has {}", missing.join(", "));
    Err(Error::Step { step: "find the libraries of llama.cpp", source: why.into() })
}

fn no_program(path: &str) -> Error {
    Error::Step { step: "read the programs", source: format!("/{path} is no ELF file").into() }
}

/// What llama.cpp loads for the processor it finds itself on.
fn variants(root: &Path, libraries: &str, arch: Arch) -> Result<Vec<String>, Error> {
    let ggml = format!("{libraries}/ggml");
    let mut list = Vec::new();
    for folder in names(&root.join(&ggml))?.into_iter().filter(|name| name.starts_with("backends")) {
        for name in names(&root.join(&ggml).join(&folder))? {
            if let Some(variant) = name.strip_prefix("libggml-cpu").and_then(|rest| rest.strip_suffix(".so"))
            {
                let variant = variant.trim_start_matches('-');
                if arch != Arch::X86_64 || variant.is_empty() || X86_VARIANTS.contains(&variant) {
                    list.push(format!("{ggml}/{folder}/{name}"));
                }
            }
        }
    }
    if list.is_empty() {
        let why = format!("nothing in /{ggml} is for a processor");
        return Err(Error::Step { step: "find the parts of llama.cpp", source: why.into() });
    }
    Ok(list)
}

fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let entries = fs::read_dir(folder).map_err(file::Error::new("read", folder))?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// What an ELF file says that it needs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Needs {
    /// `DT_NEEDED`: names of libraries.
    libraries: Vec<String>,
    /// `DT_RUNPATH`: where they are looked for first, without the leading slash.
    folders: Vec<String>,
    /// `PT_INTERP`: who starts it, without the leading slash.
    loader: Option<String>,
}

/// Nothing when it is no ELF file.
fn needs(content: &[u8]) -> Option<Needs> {
    let elf = ElfBytes::<LittleEndian>::minimal_parse(content).ok()?;
    let (_, strings) = elf.dynamic_symbol_table().ok()??;
    let mut needs = Needs::default();
    for entry in elf.dynamic().ok()?? {
        let text = || strings.get(usize::try_from(entry.d_val()).ok()?).ok();
        match entry.d_tag {
            abi::DT_NEEDED => needs.libraries.push(text()?.to_owned()),
            abi::DT_RUNPATH | abi::DT_RPATH => {
                needs.folders.extend(text()?.split(':').map(|path| path.trim_start_matches('/').to_owned()));
            }
            _ => {}
        }
    }
    let interpreter = elf.segments()?.iter().find(|segment| segment.p_type == abi::PT_INTERP);
    if let Some(segment) = interpreter {
        let text = elf.segment_data(&segment).ok()?;
        let text = String::from_utf8_lossy(text);
        needs.loader = Some(text.trim_end_matches('\0').trim_start_matches('/').to_owned());
    }
    Some(needs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_needs_of_a_program_are_read() {
        // This test itself is one.
        let needs = needs(&fs::read("/proc/self/exe").unwrap()).unwrap();
        assert!(needs.libraries.iter().any(|name| name.starts_with("libc.so")), "{needs:?}");
        assert!(needs.loader.unwrap().contains("ld-linux"));
    }

    #[test]
    fn what_is_no_program_is_told() {
        assert_eq!(needs(b"#!/bin/sh\n"), None);
        assert_eq!(needs(b""), None);
    }

    #[test]
    fn contents_are_told_by_size() {
        let entries =
            [Entry::folder("bin"), Entry::file("bin/b", "1", 0o755), Entry::file("init", "12", 0o755)];
        let list: Vec<_> = listing(&entries).into_iter().map(|file| (file.path, file.size)).collect();
        assert_eq!(list, [("init".to_owned(), 2), ("bin/b".to_owned(), 1)]);
    }
}
