//! The templates that exist: one folder each, below `templates/` of the cache.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use system::{
    cancel::Cancel,
    clock,
    file::{self, Lock},
};

use crate::{
    Error, FORMAT, Files, Key, Kind, Manifest, Template, digest::digest, files::ALL, template::MANIFEST,
};

/// How the name of a folder ends in which a template is made.
const MAKING: &str = "making";

/// How the name of a folder ends that was a template.
const REMOVED: &str = "removed";

/// The place where templates are kept.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

/// The folder in which a template is made; gone with this value, whether or not it became one.
#[derive(Debug)]
pub struct Staging {
    folder: PathBuf,
    key: Key,
}

impl Staging {
    /// Itself. Every file in it becomes part of the template.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Where its files are to be written.
    pub fn files(&self) -> Files {
        Files::of(&self.folder)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is cleared by the next one, and the error that led here matters more.
        let _ = file::remove_folder(&self.folder);
    }
}

impl Store {
    /// The store below a cache folder. Nothing is made until a template is.
    pub fn new(cache: &Path) -> Self {
        Self { folder: cache.join("templates") }
    }

    /// Where the templates are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The template of that id, if there is one. Its files are not read; see [`Template::check`].
    pub fn find(&self, id: &str) -> Option<Template> {
        Template::open(&self.folder.join(id))
    }

    /// All templates, least recently used first.
    pub fn list(&self) -> Vec<Template> {
        let mut templates: Vec<Template> =
            self.names().iter().filter_map(|name| Template::open(&self.folder.join(name))).collect();
        templates.sort_by_cached_key(|template| (template.last_used(), template.folder.clone()));
        templates
    }

    /// Claims the right to make the template of that id; `None` when a stop was requested while somebody else had it.
    /// Who waited looks with [`Store::find`] whether it was made meanwhile.
    ///
    /// # Errors
    /// The folder or the lock file cannot be made.
    pub fn claim(&self, id: &str, cancel: &Cancel, on_wait: impl FnOnce()) -> Result<Option<Lock>, Error> {
        self.create()?;
        Ok(Lock::take(&self.lock_path(id), cancel, on_wait)?)
    }

    /// An empty folder to make the template of that key in. Only for the holder of the claim, who keeps the claim
    /// longer than this: what is found there is an interrupted attempt's, and is removed.
    ///
    /// # Errors
    /// The folder cannot be cleared or made.
    pub fn staging(&self, key: Key) -> Result<Staging, Error> {
        self.create()?;
        let folder = self.folder.join(format!(".{}.{MAKING}", key.id()));
        file::remove_folder(&folder)?;
        file::create_folder(&folder)?;
        Ok(Staging { folder, key })
    }

    /// Makes a template of what was staged. All its files become read-only. `name` is for people, `seconds` is how long
    /// the machine took from its start until it was frozen. A template that is there already stays and is returned.
    ///
    /// # Errors
    /// `memory`, `state` or `disk.qcow2` was not staged, something staged is no file, or a file operation failed.
    /// Nothing of it is kept then.
    pub fn publish(&self, staging: Staging, kind: Kind, name: &str, seconds: f64) -> Result<Template, Error> {
        let mut manifest = Manifest {
            format: FORMAT,
            id: staging.key.id(),
            kind,
            name: name.to_owned(),
            made: clock::now(),
            seconds,
            key: staging.key.clone(),
            files: seal(&staging.folder)?,
        };
        if let Some(missing) = ALL.iter().find(|name| !manifest.files.contains_key(**name)) {
            return Err(incomplete(&staging.folder, missing, "is not there"));
        }
        // A record that is staged is not the template's.
        manifest.files.remove(MANIFEST);
        let path = staging.folder.join(MANIFEST);
        let text = serde_json::to_vec_pretty(&manifest)
            .map_err(|error| file::Error::new("describe the template in", &path)(error.into()))?;
        file::write(&path, &text)?;

        let target = self.folder.join(&manifest.id);
        if let Some(template) = self.find(&manifest.id) {
            return Ok(template);
        }
        self.discard(&manifest.id)?;
        fs::rename(&staging.folder, &target)
            .map_err(file::Error::new("move the new template to", &target))?;
        Ok(Template { folder: target, manifest })
    }

    /// Removes a template; one that is gone is fine. Copies that have its files open go on.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn remove(&self, template: &Template) -> Result<(), Error> {
        self.discard(&template.manifest.id)
    }

    /// Removes the least recently used templates until the others take no more than `limit_mib` MiB of the disk. Those
    /// whose id is in `keep` stay, and count. Returns what was removed.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn make_room(&self, limit_mib: u64, keep: &[String]) -> Result<Vec<Template>, Error> {
        let templates: Vec<(u64, Template)> =
            self.list().into_iter().map(|template| (template.size_mib(), template)).collect();
        let mut taken_mib: u64 = templates.iter().map(|(size_mib, _)| size_mib).sum();
        let mut removed = Vec::new();
        for (size_mib, template) in templates {
            if taken_mib <= limit_mib {
                break;
            }
            if keep.contains(&template.manifest.id) {
                continue;
            }
            self.remove(&template)?;
            taken_mib -= size_mib;
            removed.push(template);
        }
        Ok(removed)
    }

    /// Removes what commands that were killed left: staging folders whose claim nobody holds, removals that did not get
    /// to their end, and folders named like a template that have no readable record. Returns what was removed.
    /// Templates of another format stay.
    ///
    /// # Errors
    /// A lock file cannot be made, or a file cannot be removed.
    pub fn clear_abandoned(&self) -> Result<Vec<PathBuf>, Error> {
        let mut removed = Vec::new();
        for name in self.names() {
            let id = match name.strip_prefix('.').and_then(|rest| rest.split_once('.')) {
                Some((id, MAKING | REMOVED)) => id,
                None => &name,
                Some(_) => continue,
            };
            if !is_id(id) {
                continue;
            }
            let folder = self.folder.join(&name);
            let abandoned = || folder.is_dir() && (id != name || !has_record(&folder));
            if !abandoned() {
                continue;
            }
            let Some(_claim) = Lock::try_take(&self.lock_path(id))? else { continue };
            // Whoever had the claim a moment ago may have published.
            if !abandoned() {
                continue;
            }
            file::remove_folder(&folder)?;
            removed.push(folder);
        }
        Ok(removed)
    }

    /// Private to the user: the memory of a machine has its keys in it.
    fn create(&self) -> Result<(), Error> {
        if let Some(cache) = self.folder.parent() {
            file::create_folder(cache)?;
        }
        let mut builder = fs::DirBuilder::new();
        Ok(builder
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(file::Error::new("create the folder", &self.folder))?)
    }

    fn lock_path(&self, id: &str) -> PathBuf {
        self.folder.join(format!(".{id}.lock"))
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    /// Removes the folder of an id. It goes out of sight by one rename, so nobody finds a half of it.
    fn discard(&self, id: &str) -> Result<(), Error> {
        let (folder, aside) = (self.folder.join(id), self.folder.join(format!(".{id}.{REMOVED}")));
        file::remove_folder(&aside)?;
        match fs::rename(&folder, &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(file::Error::new("remove", folder)(error).into()),
            Ok(()) => Ok(file::remove_folder(&aside)?),
        }
    }
}

/// Whether this can be the name of a template's folder.
fn is_id(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a version of ai-how, this or another one, has a template here.
fn has_record(folder: &Path) -> bool {
    /// What every format's record has.
    #[derive(Deserialize)]
    struct AnyFormat {
        #[serde(rename = "format")]
        _format: u32,
    }
    match fs::read(folder.join(MANIFEST)) {
        Ok(text) => serde_json::from_slice::<AnyFormat>(&text).is_ok(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// Makes all files of a folder read-only and hashes them.
fn seal(folder: &Path) -> Result<BTreeMap<String, String>, Error> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(file::Error::new("read", folder))? {
        let entry = entry.map_err(file::Error::new("read", folder))?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        // A link, a socket or a folder would be in the template without being hashed.
        if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            return Err(incomplete(folder, &name, "is no file"));
        }
        file::protect(&path)?;
        files.insert(name, digest(&path)?);
    }
    Ok(files)
}

fn incomplete(folder: &Path, name: &str, why: &'static str) -> Error {
    Error::Incomplete { folder: folder.to_owned(), name: name.to_owned(), why }
}
