//! Templates: which one a node can be a copy of, and making it when there is none.
//!
//! A template is a machine that booted once, without network card and identity, and was frozen when nothing was going on
//! in it any more. Everything that its memory depends on is in its key, so a template fits or is not found.

use std::{fs, path::Path};

use events::{EventKind, Level};
use guest::ready;
use image::Image;
use lab::{Versions, accelerator};
use plan::model::NodePlan;
use render::{Accelerator, Machine, Mark, Start};
use sha2::{Digest, Sha256};
use system::{clock::Stopwatch, file, host};
use template::{Key, Kind, Template};
use uuid::Uuid;

use crate::{
    Error, Templates,
    boot::make_overlay,
    memory,
    start::{Placed, Starting},
};

impl Starting<'_> {
    /// What the memory of a machine like this node depends on.
    pub(crate) fn key(&self, node: &NodePlan, versions: &Versions) -> Result<Key, Error> {
        let image = self.image(node)?;
        let verdict = self.start.verdict;
        let image_name = image.folder.file_name().unwrap_or_default().to_string_lossy();
        // Whatever else is in the XML: devices, their places, the kernel's command line.
        let machine = Machine {
            start: Start::Template { memory: String::new() },
            accelerator: verdict.accelerator,
            folder: String::new(),
            sockets: String::new(),
            kernel: String::new(),
            initrd: String::new(),
            authorized_key: String::new(),
        };
        let mark = Mark { lab: String::new(), cluster: String::new(), plan: String::new(), generation: 0 };
        let blank = NodePlan { uuid: Uuid::nil(), domain: String::new(), ..nobody(node) };
        let xml = Sha256::digest(render::domain(&blank, &machine, &mark)?);
        let key = Key::default()
            // The same recipe gives another image on another day.
            .with("image", format!("{image_name} of {}", image.manifest.built))
            .with("accelerator", verdict.accelerator.to_string())
            .with("memory", format!("{} MiB", node.memory_mib))
            .with("cpus", node.cpus.to_string())
            .with("disk", format!("{} GiB", node.disk_gib))
            .with("cards", node.interfaces.len().to_string())
            .with("emulator", format!("{} {}", versions.emulator, accelerator::emulator_stamp()))
            .with("libvirt", versions.libvirt.as_str())
            .with("machine", xml.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>());
        Ok(match verdict.accelerator {
            Accelerator::Kvm => key.with("processor", host::cpu_model()),
            Accelerator::Tcg => key,
        })
    }

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
        let wait =
            || self.notice(Level::Info, format!("another ai-how makes the template {id}; waiting for it"));
        let Some(_claim) = store.claim(&id, self.cancel, wait)? else { return Err(Error::Interrupted) };
        if let Some(template) = self.whole(store, &id)? {
            return Ok(template);
        }
        let watch = Stopwatch::start();
        let staging = store.staging(key.clone())?;
        let name = template_name(placed.1, self.image(placed.1)?);
        self.progress(&name, "booting a machine to keep as a template");
        self.freeze(&id, staging.path(), placed)?;
        let template = store.publish(staging, Kind::Node, &name, watch.seconds())?;
        let seconds = watch.seconds();
        self.notice(
            Level::Info,
            format!("made the template {name} ({} MiB) in {seconds:.1} s", template.size_mib()),
        );
        for removed in store.make_room(templates.limit_mib, keep)? {
            let name = &removed.manifest.name;
            self.notice(
                Level::Info,
                format!("removed the template {name} {}, to make room", removed.manifest.id),
            );
        }
        Ok(template)
    }

    /// The template of this id if there is one; a damaged one is removed.
    fn whole(&self, store: &template::Store, id: &str) -> Result<Option<Template>, Error> {
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

    fn progress(&self, subject: &str, message: &str) {
        self.sink.emit(EventKind::Progress { subject: subject.to_owned(), message: message.to_owned() });
    }

    /// Boots a machine like the node, without identity, and leaves what it is when it is quiet in `folder`.
    fn freeze(&self, id: &str, folder: &Path, (cluster, node): Placed<'_>) -> Result<(), Error> {
        let nobody = NodePlan { domain: format!("template-{id}"), ..nobody(node) };
        let image = self.image(node)?;
        let memory = folder.join("memory");
        let machine = Machine {
            folder: folder.display().to_string(),
            ..self.machine(node, Start::Template { memory: memory.display().to_string() })?
        };
        make_overlay(&image.disk(), &folder.join(&nobody.disk), nobody.disk_gib)?;
        let xml = render::domain(&nobody, &machine, &self.mark(&cluster.name))?;
        self.record(&nobody.domain, &xml)?;

        let (hypervisor, domain) = (&self.session.hypervisor, &nobody.domain);
        // What an interrupted start left of it.
        hypervisor.destroy_domain(domain)?;
        let lock = memory::reserve(&self.session.site, &nobody.label, [nobody.memory_mib])?;
        hypervisor.create_domain(domain, &xml)?;
        drop(lock);
        let (ready, console) = (folder.join(&nobody.ready), folder.join(&nobody.console));
        let frozen = self
            .wait(&nobody, &ready, &console, Stopwatch::start(), &|| ready::is_quiet(&ready))
            .and_then(|()| {
                hypervisor.suspend_domain(domain)?;
                Ok(hypervisor.save_devices(domain, &folder.join("state"))?)
            });
        hypervisor.destroy_domain(domain)?;
        frozen?;
        for path in [ready, console] {
            fs::remove_file(&path).map_err(file::Error::new("remove", path))?;
        }
        Ok(())
    }
}

/// As a person would name it.
fn template_name(node: &NodePlan, image: &Image) -> String {
    format!("{} {} CPU {} MiB", image.manifest.name, node.cpus, node.memory_mib)
}

/// A machine like a node's that is nobody yet. Its files are in a folder of their own.
fn nobody(node: &NodePlan) -> NodePlan {
    NodePlan {
        name: "template".to_owned(),
        label: "template".to_owned(),
        uuid: Uuid::new_v5(&node.uuid, b"template"),
        disk: "disk.qcow2".to_owned(),
        console: "console.log".to_owned(),
        ready: "ready.jsonl".to_owned(),
        ..node.clone()
    }
}
