//! Templates: which one a node can be a copy of, and making it when there is none.
//!
//! A template is a machine that booted once, without network card and identity, and was frozen when nothing was going on
//! in it any more. Everything that its memory depends on is in its key, so a template fits or is not found.

use std::{fs, path::Path};

use events::{EventKind, Level};
use guest::ready;
use image::Backing;
use lab::{accelerator, keeper};
use plan::model::NodePlan;
use render::{Accelerator, Kernel, Machine, Mark};
use sha2::{Digest, Sha256};
use system::{
    clock::Stopwatch,
    environment,
    file::{self, Lock},
    host,
};
use template::{Files, Key, Kind, Template};
use uuid::Uuid;

use crate::{
    Error, Start, Templates,
    boot::make_overlay,
    claim::claim,
    start::{Placed, Starting},
};

/// What a template takes beside its memory, MiB: its disk, and what is written until it is frozen.
const STATE_MIB: u64 = 128;

/// How the name of a machine begins that is to be a template. It ends with the template's id, which no cluster's name does.
const TEMPLATE: &str = "template-";

/// Whether a domain of a lab is to be a template.
pub(crate) fn is_template(domain: &str) -> bool {
    domain
        .strip_prefix(TEMPLATE)
        .is_some_and(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl Start<'_> {
    /// What the memory of a machine like this node depends on.
    pub(crate) fn key(&self, node: &NodePlan) -> Result<Key, Error> {
        let image = self.image(node)?;
        let accelerator = self.verdict.accelerator(node.arch);
        // Whatever else is in the XML: devices, their places, the kernel's command line.
        let machine = Machine {
            start: render::Start::Template { memory: String::new() },
            accelerator,
            folder: String::new(),
            sockets: String::new(),
            kernel: Some(Kernel { kernel: String::new(), initrd: String::new() }),
            firmware: None,
            authorized_key: String::new(),
        };
        let mark = Mark::default();
        let blank = NodePlan { uuid: Uuid::nil(), domain: String::new(), ..nobody(node) };
        let xml = Sha256::digest(render::domain(&blank, &machine, &mark)?);
        let key = Key::default()
            .with("image", image.identity.as_str())
            .with("accelerator", accelerator.to_string())
            .with("memory", format!("{} MiB", node.memory_mib))
            .with("cpus", node.cpus.to_string())
            .with("disk", format!("{} GiB", node.disk_gib))
            .with("cards", node.interfaces.len().to_string())
            .with("emulator", environment::program_stamp(accelerator::emulator(node.arch)))
            .with("libvirt", environment::program_stamp(keeper::LIBVIRTD))
            .with("machine", xml.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>());
        Ok(match accelerator {
            Accelerator::Kvm => key.with("processor", host::cpu_model()),
            Accelerator::Tcg => key,
        })
    }
}

impl Starting<'_> {
    /// The template of this key, whole and checked; made if there is none. To make room for it, none of those to `keep`
    /// is removed.
    pub(crate) fn template(
        &self,
        templates: &Templates,
        key: &Key,
        placed: Placed<'_>,
        keep: &[String],
    ) -> Result<Template, Error> {
        let store = &templates.store;
        let id = key.id();
        if let Some(template) = self.whole(store, &id)? {
            return Ok(template);
        }
        let _claim = self.claim(store, &id, placed.1.memory_mib)?;
        if let Some(template) = self.whole(store, &id)? {
            return Ok(template);
        }
        let watch = Stopwatch::start();
        let staging = store.staging(key.clone())?;
        let name = self.template_name(placed)?;
        self.progress(&name, "booting a machine to keep as a template");
        let disk_gib = placed.1.disk_gib;
        self.freeze(&id, &staging.files(), placed, |base, disk| {
            make_overlay(&Backing::Qcow2(base.to_owned()), disk, disk_gib)
        })?;
        let template = store.publish(staging, Kind::Node, &name, watch.seconds())?;
        self.made(&template, templates, keep, watch)?;
        Ok(template)
    }

    /// Claims the right to make a template, and clears away what makers left that were killed: it takes room, and may
    /// hold secrets.
    pub(crate) fn claim(&self, store: &template::Store, id: &str, memory_mib: u64) -> Result<Lock, Error> {
        let wait =
            || self.notice(Level::Info, format!("another ai-how makes the template {id}; waiting for it"));
        let claim = store.claim(id, self.cancel, wait)?.ok_or(Error::Interrupted)?;
        if let Err(error) = store.clear_abandoned() {
            self.notice(Level::Warning, error.to_string());
        }
        // An emulator whose memory's file cannot grow ends without a word, so this is looked at first.
        let needed_mib = memory_mib + STATE_MIB;
        let free_mib = host::free_disk_mib(store.folder()).unwrap_or(u64::MAX);
        if free_mib < needed_mib {
            return Err(Error::DiskFull { folder: store.folder().to_owned(), needed_mib, free_mib });
        }
        Ok(claim)
    }

    /// Tells of a new template, and removes old ones when all of them take too much.
    pub(crate) fn made(
        &self,
        template: &Template,
        templates: &Templates,
        keep: &[String],
        watch: Stopwatch,
    ) -> Result<(), Error> {
        let (name, seconds) = (&template.manifest.name, watch.seconds());
        self.notice(
            Level::Info,
            format!("made the template {name} ({} MiB) in {seconds:.1} s", template.size_mib()),
        );
        for removed in templates.store.make_room(templates.limit_mib, keep)? {
            let name = &removed.manifest.name;
            self.notice(
                Level::Info,
                format!("removed the template {name} {}, to make room", removed.manifest.id),
            );
        }
        Ok(())
    }

    /// As a person would name it.
    pub(crate) fn template_name(&self, (_, node): Placed<'_>) -> Result<String, Error> {
        let image = image::title(&self.start.image(node)?.name, node.arch);
        Ok(format!("{image} {} CPU {} MiB", node.cpus, node.memory_mib))
    }

    /// The template of this id if there is one; a damaged one is removed.
    pub(crate) fn whole(&self, store: &template::Store, id: &str) -> Result<Option<Template>, Error> {
        let Some(template) = store.find(id) else { return Ok(None) };
        match template.check() {
            Ok(()) => {
                template.mark_used();
                Ok(Some(template))
            }
            Err(error) => {
                self.notice(Level::Warning, format!("{error}; it is made again"));
                store.remove(&template)?;
                Ok(None)
            }
        }
    }

    pub(crate) fn progress(&self, subject: &str, message: &str) {
        self.sink.emit(EventKind::Progress { subject: subject.to_owned(), message: message.to_owned() });
    }

    /// Boots a machine like the node, without identity, and leaves what it is when it is quiet in `files`. Its disk is made
    /// first, of the image's.
    pub(crate) fn freeze(
        &self,
        id: &str,
        files: &Files,
        (cluster, node): Placed<'_>,
        make_disk: impl FnOnce(&Path, &Path) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let folder = files.folder();
        let nobody = NodePlan { domain: format!("{TEMPLATE}{id}"), ..nobody(node) };
        let Backing::Qcow2(base) = &self.start.image(node)?.disk else {
            let why = "its disk lies on no qcow2 file".to_owned();
            return Err(Error::Unsupported { cluster: node.domain.clone(), why });
        };
        make_disk(base, &files.disk())?;
        let start = render::Start::Template { memory: files.memory().display().to_string() };
        let xml = self.domain((cluster, &nobody), folder, start)?;

        let (hypervisor, domain) = (&self.session.hypervisor, &nobody.domain);
        // What an interrupted start left of it.
        hypervisor.destroy_domain(domain)?;
        let lock = claim(&self.session.site, &nobody.label, &[&nobody])?;
        hypervisor.create_domain(domain, &xml)?;
        drop(lock);
        let (ready, console) = (folder.join(&nobody.ready), folder.join(&nobody.console));
        let frozen = self
            .wait(&nobody, &ready, &console, Stopwatch::start(), &|| ready::is_quiet(&ready))
            .and_then(|()| {
                hypervisor.suspend_domain(domain)?;
                Ok(hypervisor.save_devices(domain, &files.state())?)
            });
        hypervisor.destroy_domain(domain)?;
        frozen?;
        for path in [ready, console] {
            fs::remove_file(&path).map_err(file::Error::new("remove", path))?;
        }
        Ok(())
    }
}

/// A machine like a node's that is nobody yet. Its files are in a folder of their own.
fn nobody(node: &NodePlan) -> NodePlan {
    NodePlan {
        name: "template".to_owned(),
        label: "template".to_owned(),
        disk: Files::of("").disk().display().to_string(),
        uuid: Uuid::new_v5(&node.uuid, b"template"),
        console: "console.log".to_owned(),
        ready: "ready.jsonl".to_owned(),
        ..node.clone()
    }
}
