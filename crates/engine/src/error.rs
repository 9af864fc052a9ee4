//! Why a plan was not carried out.

use std::path::PathBuf;

use plan::model::ReadError;
use system::{file, process};

/// Each variant says what to do about it, or holds an error that does.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another command changes the same lab.
    #[error("another ai-how is at work on the lab {lab}; wait for it, or end it")]
    Busy {
        /// The lab's identity.
        lab: String,
    },
    /// Nothing of this lab runs.
    #[error("the lab {lab} does not run; `ai-how cluster start` starts it")]
    NotRunning {
        /// The lab's identity.
        lab: String,
    },
    /// What was started is not known.
    #[error(
        "cannot use {}, which says what the lab was started as; {}, or remove the lab with its disks with \
         `ai-how cluster destroy`",
        path.display(),
        match source {
            ReadError::Format { .. } => "use the ai-how that wrote it",
            ReadError::Damaged(_) => "move it away, and what runs tells what it said",
        }
    )]
    Plan {
        /// The lab's `plan.json`.
        path: PathBuf,
        /// What is wrong with it.
        source: ReadError,
    },
    /// The file cannot be had without losing disks.
    #[error(
        "the disks of {} would be lost: `ai-how plan --diff` shows why, and `--force` does it anyway",
        nodes.join(", ")
    )]
    WouldLose {
        /// The nodes.
        nodes: Vec<String>,
    },
    /// A node that is to be taken over is there already.
    #[error("{node} has a disk already ({}); `ai-how node rebuild` or `cluster destroy` removes it", disk.display())]
    HasDisk {
        /// The node.
        node: String,
        /// Its disk.
        disk: PathBuf,
    },
    /// The lab was changed since a snapshot was taken.
    #[error(
        "the snapshot `{name}` is of the lab as it was before its nodes were changed, and cannot be reverted to"
    )]
    OtherPlan {
        /// The snapshot.
        name: String,
    },
    /// This cluster cannot be started yet.
    #[error("{cluster} cannot be started: {why}")]
    Unsupported {
        /// The cluster or node.
        cluster: String,
        /// Why, and what can.
        why: String,
    },
    /// Not enough memory.
    #[error(
        "{node} needs {needed_mib} MiB and {available_mib} MiB of this host's memory are free for it; \
         lower memory_mib in the file, or stop other machines"
    )]
    Memory {
        /// The node, or `the lab`.
        node: String,
        /// What it needs, with the emulator's own share.
        needed_mib: u64,
        /// What is free and not promised to others.
        available_mib: u64,
    },
    /// Not enough room for a template.
    #[error("a template needs {needed_mib} MiB in {}, and {free_mib} MiB are free there", folder.display())]
    DiskFull {
        /// Where templates are.
        folder: PathBuf,
        /// What it may take while it is made, MiB.
        needed_mib: u64,
        /// What is free, MiB.
        free_mib: u64,
    },
    /// A node did not say that it is ready.
    #[error("the node {node} did not get ready: {why}. The end of its console ({}):{tail}", console.display())]
    NotReady {
        /// The node.
        node: String,
        /// What happened instead.
        why: String,
        /// The console's file.
        console: PathBuf,
        /// Its last lines, indented.
        tail: String,
    },
    /// A secret is still on the disk that a template was to be made of.
    #[error("{} cannot be removed from the node's disk", files.join(", "))]
    NotForgotten {
        /// The files.
        files: Vec<String>,
    },
    /// No snapshot of that name.
    #[error("there is no snapshot `{name}`; there are: {known}")]
    NoSnapshot {
        /// The name.
        name: String,
        /// Those there are.
        known: String,
    },
    /// A snapshot of that name is there already.
    #[error("there is a snapshot `{name}` already; `ai-how cluster snapshot rm {name}` removes it")]
    SnapshotExists {
        /// The name.
        name: String,
    },
    /// A fork of that name is there already.
    #[error("there is a fork `{name}` already; `ai-how cluster destroy --fork {name}` removes it")]
    ForkExists {
        /// The name.
        name: String,
    },
    /// A disk that is to be copied cannot be trusted.
    #[error("the disk {} is damaged, so it is not copied: {why}", path.display())]
    Damaged {
        /// The disk.
        path: PathBuf,
        /// What `qemu-img check` says.
        why: String,
    },
    /// Not a name that a snapshot or a fork can have.
    #[error(
        "`{name}` is no name for this: up to 64 letters, digits, dashes, dots and underscores, no dot or dash first"
    )]
    SnapshotName {
        /// The name.
        name: String,
    },
    /// The emulator was changed since.
    #[error(
        "the snapshot `{name}` was taken with another version of the emulator, and this one may not go on with it"
    )]
    OtherEmulator {
        /// The snapshot.
        name: String,
    },
    /// Only machines of a private lab are ours to look into.
    #[error("machines of the host's libvirt cannot be frozen: only a private lab has snapshots and forks")]
    NotPrivate,
    /// What a node's disk lies on was changed since.
    #[error(
        "{}, which the disk of {node} lies on, is not what it was when the disk was made, and the two do not fit any more; \
         put it back as it was, or make the node anew, without what is on its disk: `ai-how node rebuild {node}`",
        base.display()
    )]
    OtherBase {
        /// The node.
        node: String,
        /// The base.
        base: PathBuf,
    },
    /// A device is another running machine's.
    #[error("{node} wants the device {device}, which {owner} has; power that off first")]
    DeviceTaken {
        /// The node.
        node: String,
        /// The device.
        device: String,
        /// Libvirt's name for the machine that has it.
        owner: String,
    },
    /// A processor that a node is to have for itself is another running machine's.
    #[error(
        "{node} wants the host's processor {processor} for itself, which {owner} has; power that off first, or leave out \
         `pinned`"
    )]
    ProcessorTaken {
        /// The node.
        node: String,
        /// The number that the kernel has for it.
        processor: u32,
        /// Libvirt's name for the machine that has it.
        owner: String,
    },
    /// A node has what cannot be frozen with it.
    #[error("{node} cannot be frozen, because {why}; a lab with such nodes has no snapshots and forks")]
    Uncopyable {
        /// The node.
        node: String,
        /// What of it.
        why: &'static str,
    },
    /// A domain runs, and its process is not found.
    #[error("the emulator's process of {node} is not to be found")]
    NoProcess {
        /// The node.
        node: String,
    },
    /// Built without the library.
    #[error("this ai-how was built without libvirt: it checks and plans, and starts nothing")]
    NoLibvirt,
    /// Somebody asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// The host's libvirt cannot open the lab's files.
    #[error(
        "the host's QEMU must be able to read {}, the images and what lies above both: set AI_HOW_STATE and AI_HOW_CACHE \
         to folders that others may enter",
        folder.display()
    )]
    Unreadable {
        /// The lab's folder.
        folder: PathBuf,
        /// What libvirt says.
        source: lab::HypervisorError,
    },
    /// Libvirt refused, or is gone.
    #[error(transparent)]
    Hypervisor(#[from] lab::HypervisorError),
    /// The lab did not come up or does not end.
    #[error(transparent)]
    Private(#[from] lab::PrivateError),
    /// No accelerator works.
    #[error(transparent)]
    Accelerator(#[from] lab::accelerator::Error),
    /// No image.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// No disk for a model.
    #[error(transparent)]
    Model(#[from] appliance::ModelError),
    /// No UEFI firmware.
    #[error(transparent)]
    Firmware(#[from] appliance::firmware::Missing),
    /// No template.
    #[error(transparent)]
    Template(#[from] template::Error),
    /// A guest's agent did not do what it was asked.
    #[error(transparent)]
    Agent(#[from] guest::agent::Error),
    /// A template of ours for XML is broken.
    #[error(transparent)]
    Render(#[from] render::Error),
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] file::Error),
    /// A program failed.
    #[error(transparent)]
    Process(#[from] process::Error),
}

impl Error {
    /// What it says, without what follows in further lines.
    pub fn first_line(&self) -> String {
        let text = self.to_string();
        text.lines().next().unwrap_or_default().trim_end_matches(':').to_owned()
    }

    /// Whether a stop was requested, rather than something having failed.
    pub fn is_interruption(&self) -> bool {
        matches!(
            self,
            Self::Interrupted
                | Self::Image(image::Error::Interrupted)
                | Self::Model(appliance::ModelError::Interrupted)
                | Self::Private(lab::PrivateError::Interrupted)
                | Self::Agent(guest::agent::Error::Interrupted)
                | Self::Process(process::Error::Cancelled { .. })
        )
    }
}
