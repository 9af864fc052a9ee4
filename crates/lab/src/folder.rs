//! A lab's folder: everything it leaves on the disk is in here.
//!
//! ```text
//! <state>/labs/<id>/
//!   lock            held by the one command that changes the lab
//!   plan.json       what runs, or ran
//!   sockets/        control (the keeper's), libvirt-sock, consoles; empty when nothing runs
//!   disks/          one overlay for each node
//!   consoles/       one log for each node, kept over restarts
//!   ready/          what each guest says of itself
//!   ssh/            key, known hosts, configuration
//!   secrets/        what a deployment keeps for the life of the lab
//!   snapshots/      what all nodes were at one moment, by name
//!   work/           while it is tested: what snippets of appliances write, a folder for each
//!   CLUSTER.kubeconfig  the administrator's way into a Kubernetes cluster
//!   frozen/         of a fork: what its nodes went on from
//!   libvirtd.log    what the lab's own libvirt says
//! ```

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use system::file::{self, Lock};

/// Between a lab's identity and the name of its fork. No identity has it.
const FORK: &str = "+";

/// A lab's folder.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder of the lab with this identity, below the state folder. Nothing is made.
    pub fn new(state: &Path, id: &str) -> Self {
        Self { path: state.join("labs").join(id) }
    }

    /// The folder of a fork of this lab.
    pub fn fork(&self, name: &str) -> Self {
        Self { path: self.path.with_file_name(format!("{}{FORK}{name}", self.id())) }
    }

    /// The names of this lab's forks, running or not. Of one that ended with a killed command there are only logs.
    pub fn forks(&self) -> Vec<String> {
        let state = self.path.parent().and_then(Path::parent).unwrap_or(&self.path);
        let prefix = format!("{}{FORK}", self.id());
        let ids = Self::all(state).into_iter().filter(Self::has_disks).map(|folder| folder.id());
        ids.filter_map(|id| id.strip_prefix(&prefix).map(str::to_owned)).collect()
    }

    /// Every lab's folder below the state folder.
    pub fn all(state: &Path) -> Vec<Self> {
        let entries = fs::read_dir(state.join("labs")).into_iter().flatten().flatten();
        let mut folders: Vec<Self> =
            entries.map(|entry| Self { path: entry.path() }).filter(|folder| folder.path.is_dir()).collect();
        folders.sort_by(|a, b| a.path.cmp(&b.path));
        folders
    }

    /// The one at this path.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Makes it, with the folders in it. Private to the user: there are keys and consoles in it.
    ///
    /// # Errors
    /// The system refuses.
    pub fn create(&self) -> Result<(), file::Error> {
        if let Some(labs) = self.path.parent() {
            file::create_folder(labs)?;
        }
        for name in ["", "sockets", "disks", "consoles", "ready", "ssh", "secrets"] {
            let path = self.path.join(name);
            let mut builder = fs::DirBuilder::new();
            builder
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(file::Error::new("create the folder", path))?;
        }
        Ok(())
    }

    /// Lets the users of the host's libvirt through to disks, consoles and sockets, which it makes theirs. They can open
    /// what they know the name of, and see no key or secret.
    ///
    /// # Errors
    /// The system refuses.
    pub fn let_through(&self) -> Result<(), file::Error> {
        for path in ["", "sockets", "disks", "consoles", "ready"].map(|name| self.path.join(name)) {
            let mode = fs::Permissions::from_mode(0o711);
            fs::set_permissions(&path, mode).map_err(file::Error::new("set the mode of", path))?;
        }
        Ok(())
    }

    /// Claims the right to change the lab; `None` when another command has it.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn lock(&self) -> Result<Option<Lock>, file::Error> {
        self.create()?;
        Lock::try_take(&self.path.join("lock"))
    }

    /// Itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The lab's identity.
    pub fn id(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The name in its identity, without the hash that tells labs of one name apart.
    pub fn lab_name(&self) -> String {
        let id = self.id();
        id.rsplit_once('-').map_or(id.clone(), |(name, _)| name.to_owned())
    }

    /// Where sockets are.
    pub fn sockets(&self) -> PathBuf {
        self.path.join("sockets")
    }

    /// Where snapshots are.
    pub fn snapshots(&self) -> PathBuf {
        self.path.join("snapshots")
    }

    /// Where the snippets of nodes run that cannot run them.
    pub fn work(&self) -> PathBuf {
        self.path.join("work")
    }

    /// The plan of what runs.
    pub fn plan(&self) -> PathBuf {
        self.path.join("plan.json")
    }

    /// Whether there are disks: the lab was started and not destroyed.
    pub fn has_disks(&self) -> bool {
        fs::read_dir(self.path.join("disks")).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// Removes what only a running lab needs, so that nothing of it is mistaken for a running one.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub fn clear_runtime(&self) -> Result<(), file::Error> {
        for name in ["sockets", "ready"] {
            let path = self.path.join(name);
            file::remove_folder(&path)?;
        }
        self.create()
    }

    /// Removes all of it.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub fn remove(&self) -> Result<(), file::Error> {
        file::remove_folder(&self.path)
    }
}
