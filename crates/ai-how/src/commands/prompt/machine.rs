//! One appliance: a lab of one node, made for a command and gone with it.
//!
//! ```text
//! Wish ──> Plan ──> image, model disk ──> private lab ──> console, opened before the machine says anything ──> end, no leaks
//! ```

use std::{path::Path, thread, time::Duration};

use appliance::{
    ModelDisk, ModelFile, is_model_disk,
    sizing::{self, Host, Size, Wanted},
};
use config::{
    model::{Arch, Cluster, ClusterKind, Image, Lab, Node, Role},
    v2::LONGEST_APPEND,
};
use engine::{Session, Site, Start};
use events::Sink;
use guest::{console::Console, ready};
use lab::{
    Folder,
    accelerator::{self, Verdict},
};
use plan::{Plan, model::NodePlan};
use system::{cancel::Cancel, clock::Stopwatch, host};

use crate::{
    cli::{Place, PromptMachine},
    exit,
    failure::Failure,
    settings::{Settings, engine_place},
};

/// What labs of single appliances are called.
const NAME: &str = "prompt";

/// What is to be started, with every choice made.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) plan: Plan,
    pub(super) size: Size,
    /// The model as a person named it, for words.
    pub(super) model: Option<String>,
}

impl Wish {
    /// From the arguments; `append` is added to theirs.
    pub(super) fn new(arguments: &PromptMachine, append: &[String]) -> Result<Self, Failure> {
        let usage = |message: String| Failure::new(exit::USAGE, message);
        let mut words: Vec<&str> = Vec::new();
        words.extend(Some(arguments.append.trim()).filter(|text| !text.is_empty()));
        words.extend(append.iter().map(String::as_str));
        let append = words.join(" ");
        if append.len() > LONGEST_APPEND {
            let length = append.len();
            return Err(usage(format!(
                "--append has {length} bytes, and a kernel's command line has room for {LONGEST_APPEND} more"
            )));
        }
        if let Some(c) = append.chars().find(|c| !(' '..='~').contains(c)) {
            let c = c.escape_default();
            return Err(usage(format!(
                "--append has the character `{c}`; a kernel's command line is plain ASCII"
            )));
        }
        let bytes = arguments.model.as_deref().map(model_size).transpose()?;
        let wanted = Wanted { cpus: arguments.cpus, memory_mib: arguments.memory_mib, uefi: arguments.uefi };
        let host = Host {
            cpus: u32::try_from(host::cpus()).unwrap_or(u32::MAX),
            memory_mib: host::memory_mib(),
            available_mib: host::available_memory_mib(),
        };
        let size =
            sizing::choose(bytes, wanted, host).map_err(|error| Failure::new(exit::ENVIRONMENT, error))?;
        let model = arguments.model.as_ref().map(|path| path.display().to_string());
        let absolute = arguments.model.as_ref().and_then(|path| std::fs::canonicalize(path).ok());
        let node = Node {
            name: NAME.to_owned(),
            // In the host's libvirt there may be several.
            domain: if arguments.place == Place::System { own_name() } else { NAME.to_owned() },
            role: Role::Appliance,
            arch: arguments.arch.into(),
            cpus: size.cpus,
            memory_mib: size.memory_mib,
            disk_gib: 0,
            image: Image::Appliance(absolute.map(|path| path.display().to_string())),
            append,
            interfaces: Vec::new(),
            auto_start: true,
            hardware: config::hardware::Hardware::default(),
            devices: Vec::new(),
            mounts: Vec::new(),
        };
        let cluster = Cluster {
            key: NAME.to_owned(),
            name: NAME.to_owned(),
            kind: ClusterKind::Appliance,
            networks: Vec::new(),
            nodes: vec![node],
        };
        let lab = Lab { name: NAME.to_owned(), description: String::new(), clusters: vec![cluster] };
        let mut plan = plan::plan(&lab);
        for node in plan.clusters.iter_mut().flat_map(|cluster| &mut cluster.nodes) {
            node.uefi = arguments.uefi;
        }
        Ok(Self { plan: plan.identified(), size, model })
    }

    /// The machine.
    pub(super) fn node(&self) -> Result<&NodePlan, Failure> {
        let node = self.plan.nodes().next().map(|(_, node)| node);
        node.ok_or_else(|| Failure::environment("there is no machine in the plan"))
    }

    /// How machines of its architecture run here.
    pub(super) fn verdict(&self, settings: &Settings, cancel: &Cancel) -> Result<Verdict, Failure> {
        Ok(accelerator::probe(&settings.cache, self.plan.archs(), cancel)?)
    }

    /// Where its lab is: one of its own for each process.
    pub(super) fn site(&self, arguments: &PromptMachine, settings: &Settings) -> Result<Site, Failure> {
        settings.check_state()?;
        sweep(settings);
        let folder = Folder::new(&settings.state, &own_name());
        Ok(Site { place: engine_place(arguments.place), folder, cache: settings.cache.clone() })
    }
}

/// A name that no other process has.
fn own_name() -> String {
    format!("{NAME}-{:08x}", std::process::id())
}

/// Removes what is left of labs whose command was killed; their machines ended with it.
fn sweep(settings: &Settings) {
    let is_left = |folder: &Folder| {
        let pid = folder
            .id()
            .strip_prefix(NAME)
            .and_then(|rest| u32::from_str_radix(rest.strip_prefix('-')?, 16).ok());
        pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
            && lab::Private::find(folder).is_none()
    };
    for folder in Folder::all(&settings.state).iter().filter(|folder| is_left(folder)) {
        // Somebody else may sweep at the same time.
        let _ = folder.remove();
    }
}

/// The size of what a person names as a model, bytes.
fn model_size(path: &Path) -> Result<u64, Failure> {
    if is_model_disk(path) {
        // What is on it is somewhat smaller.
        let cancel = Cancel::new();
        return Ok(ModelDisk::of(path, Path::new(""), &cancel, &|_| ())?.held);
    }
    Ok(ModelFile::open(path)?.size)
}

/// An appliance that runs.
pub(super) struct Machine {
    session: Session,
    site: Site,
    plan: Plan,
    node: NodePlan,
    console: Console,
    power_on: Stopwatch,
}

impl Machine {
    /// Starts it. What is missing is built first.
    pub(super) fn start(
        wish: &Wish,
        site: &Site,
        verdict: &Verdict,
        settings: &Settings,
        sink: &dyn Sink,
        cancel: &Cancel,
    ) -> Result<Self, Failure> {
        let (plan, node) = (&wish.plan, wish.node()?.clone());
        let store = image::Store::new(&settings.cache);
        let images = engine::images(plan, &store, &image::Options::default(), sink, cancel)?;
        let session = site.open(verdict, true, cancel)?;
        let (given_up, deployed) = (Cancel::new(), std::collections::BTreeMap::new());
        let begun = thread::scope(|scope| {
            let sockets = site.folder.sockets();
            let (node, given_up) = (&node, &given_up);
            let opened = scope.spawn(move || {
                let console = Console::await_open(&sockets, &node.domain, &node.label, given_up);
                (console, Stopwatch::start())
            });
            let start = Start { wait: false, ..Start::of(plan, &images, verdict, &deployed) };
            let started = session.start(&start, sink, cancel);
            if started.is_err() {
                given_up.request();
            }
            let opened = opened.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            started.map(|_| opened)
        });
        let failed = |error| Failure::new(exit::FAILED, error);
        let begun = begun.map_err(Failure::from).and_then(|(console, power_on)| {
            let console = console.map_err(failed)?;
            Ok((console.ok_or_else(|| Failure::from(engine::Error::Interrupted))?, power_on))
        });
        match begun {
            Ok((console, power_on)) => {
                Ok(Self { session, site: site.clone(), plan: plan.clone(), node, console, power_on })
            }
            Err(error) => {
                // What led here is worse than what may be left.
                let _ = session.destroy();
                Err(error)
            }
        }
    }

    /// Its console.
    pub(super) fn console(&self) -> &Console {
        &self.console
    }

    /// Counts from the moment its emulator was there.
    pub(super) fn power_on(&self) -> Stopwatch {
        self.power_on
    }

    /// Its own word that its boot is over, if it was given.
    pub(super) fn begun(&self) -> Option<ready::Begun> {
        ready::begun(&self.site.folder.path().join(&self.node.ready))
    }

    /// Takes its power, removes its lab, and sees that nothing is left.
    pub(super) fn end(self) -> Result<(), Failure> {
        self.session.destroy()?;
        let leaks = engine::leaks(&self.site, &self.plan);
        if leaks.is_empty() {
            return Ok(());
        }
        let message = format!("something is left of the machine: {}", leaks.join(", "));
        Err(Failure::new(exit::FAILED, message))
    }
}

/// How long a machine may take to be off after it said so.
pub(super) const END_LIMIT: Duration = Duration::from_secs(5);

impl From<crate::cli::Arch> for Arch {
    fn from(arch: crate::cli::Arch) -> Self {
        match arch {
            crate::cli::Arch::X86_64 => Self::X86_64,
            crate::cli::Arch::Aarch64 => Self::Aarch64,
        }
    }
}
