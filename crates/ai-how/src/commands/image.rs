//! `ai-how image`: build, list, remove. A template is made of an image, so it is listed with the images and goes with its
//! own.

use std::path::Path;

use config::model::Arch;
use events::{EventKind, Sink};
use image::{Recipe, Store};
use lab::Folder;
use serde_json::{Value, json};
use system::{cancel::Cancel, clock::Stopwatch, file};
use template::Template;

use super::packer;
use crate::{
    cli::{self, Format, Image},
    exit,
    failure::Failure,
    output,
    settings::Settings,
};

pub(crate) fn run(command: &Image, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    let store = Store::new(&settings.cache);
    match command {
        Image::Build { name, arch, mirror, format } => {
            let arch = match arch {
                cli::Arch::X86_64 => Arch::X86_64,
                cli::Arch::Aarch64 => Arch::Aarch64,
            };
            build(&store, Recipe::find(name, arch)?, mirror.clone(), *format, settings, cancel)
        }
        Image::Packer { file, output, all, build, format } => {
            let wanted = packer::Wanted { file, output, all: *all, build };
            packer::run(&wanted, &store, *format, settings, cancel)
        }
        Image::List { format } => list(&store, &settings.templates.store, *format),
        Image::Rm { name, format, .. } => remove(&store, name.as_deref(), *format, settings),
    }
}

fn build(
    store: &Store,
    recipe: &Recipe,
    mirror: Option<String>,
    format: Format,
    settings: &Settings,
    cancel: &Cancel,
) -> Result<u8, Failure> {
    let progress = Progress::new(settings);
    // A variable that is set to nothing counts as unset.
    let options = image::Options { mirror: mirror.filter(|mirror| !mirror.is_empty()) };
    let found = store.find(recipe).is_some();
    let image = image::build(store, recipe, &options, &progress, cancel);
    progress.clear();
    let image = image?;
    let seconds = (!found).then(|| progress.watch.seconds());
    let what =
        seconds.map_or_else(|| "was there already".to_owned(), |seconds| format!("built in {seconds:.0} s"));
    let packages = image.manifest.packages.len();
    let title = recipe.title();
    output::words(format_args!("{title} {what}: {packages} packages, {} MiB\n", image.size_mib()));
    match format {
        Format::Text => output::data(format_args!("{}\n", image.folder.display()))?,
        Format::Json => {
            let mut value = Entry::image(&image).json;
            value["build_seconds"] = json!(seconds);
            output::json(&value)?;
        }
    }
    Ok(exit::OK)
}

/// One line that is rewritten on a terminal; a line for each step elsewhere.
pub(super) struct Progress {
    live: bool,
    watch: Stopwatch,
}

impl Progress {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { live: settings.facts.tty && !settings.facts.ci, watch: Stopwatch::start() }
    }

    /// How long it has taken until now.
    pub(super) fn seconds(&self) -> f64 {
        self.watch.seconds()
    }

    pub(super) fn clear(&self) {
        if self.live {
            output::painted("\r\u{1b}[2K");
        }
    }
}

impl Sink for Progress {
    fn emit(&self, kind: EventKind) {
        let (subject, message) = match kind {
            EventKind::Progress { subject, message } => (subject, message),
            EventKind::Notice { message, .. } => ("note".to_owned(), message),
            _ => return,
        };
        if self.live {
            let line: String = message.chars().take(70).collect();
            let line = output::clean(&line);
            output::painted(format_args!("\r\u{1b}[2K{subject} {:5.1} s  {line}", self.watch.seconds()));
        } else {
            output::words(format_args!("{subject} {:5.1} s  {message}\n", self.watch.seconds()));
        }
    }
}

/// What is listed: a line for people, an object for programs.
struct Entry {
    id: String,
    time: String,
    size_mib: u64,
    what: String,
    note: &'static str,
    json: Value,
}

impl Entry {
    fn image(image: &image::Image) -> Self {
        let manifest = &image.manifest;
        let current = is_current(image);
        let size_mib = image.size_mib();
        Self {
            id: folder_name(image),
            time: manifest.built.strftime("%Y-%m-%d %H:%M").to_string(),
            size_mib,
            what: manifest.kernel.clone(),
            note: if current { "" } else { "(older recipe)" },
            json: json!({
                "kind": "image",
                "name": manifest.name,
                "arch": manifest.arch,
                "hash": manifest.hash,
                "current": current,
                "built": manifest.built,
                "kernel": manifest.kernel,
                "size_mib": size_mib,
                "folder": image.folder.display().to_string(),
            }),
        }
    }

    fn template(template: &Template, images: &[image::Image]) -> Self {
        let manifest = &template.manifest;
        let made_of = made_of(template);
        let current = images.iter().any(|found| is_current(found) && found.identity() == made_of)
            || image::is_as_it_was(made_of);
        let (last_used, size_mib) = (template.last_used(), template.size_mib());
        Self {
            id: manifest.id.clone(),
            time: last_used.strftime("%Y-%m-%d %H:%M").to_string(),
            size_mib,
            what: manifest.name.clone(),
            note: if current { "" } else { "(older image)" },
            json: json!({
                "kind": "template",
                "id": manifest.id,
                "name": manifest.name,
                "image": made_of,
                "current": current,
                "made": manifest.made,
                "last_used": last_used,
                "size_mib": size_mib,
                "folder": template.folder.display().to_string(),
            }),
        }
    }
}

fn list(store: &Store, templates: &template::Store, format: Format) -> Result<u8, Failure> {
    let images = store.list();
    let of_images = images.iter().map(Entry::image);
    let of_templates = templates.list().into_iter().map(|template| Entry::template(&template, &images));
    let entries: Vec<Entry> = of_images.chain(of_templates).collect();
    match format {
        Format::Json => {
            output::json(&entries.into_iter().map(|entry| entry.json).collect::<Value>())?;
        }
        Format::Text if entries.is_empty() => {
            output::words("there are no images; the first start builds what it needs\n");
        }
        Format::Text => {
            let row = |Entry { id, time, size_mib, what, note, .. }: Entry| {
                [id, time, format!("{size_mib} MiB"), what, note.to_owned()]
            };
            output::data(plan::columns(&entries.into_iter().map(row).collect::<Vec<_>>()))?;
        }
    }
    Ok(exit::OK)
}

/// What was removed. People are told one by one: what is said to be gone is gone, whatever happens to the next. Programs
/// get one list.
struct Removed {
    format: Format,
    folders: Vec<String>,
}

impl Removed {
    fn add(&mut self, folder: &Path) -> Result<(), Failure> {
        let folder = folder.display().to_string();
        if self.format == Format::Text {
            output::data(format_args!("removed {folder}\n"))?;
        }
        self.folders.push(folder);
        Ok(())
    }
}

/// Removes what has that name; without one every template.
fn remove(store: &Store, name: Option<&str>, format: Format, settings: &Settings) -> Result<u8, Failure> {
    let templates = &settings.templates.store;
    let mut removed = Removed { format, folders: Vec::new() };
    let result = match name {
        None => remove_templates(templates, |_| true, &mut removed),
        Some(name) => remove_named(store, templates, name, &mut removed, settings),
    };
    if format == Format::Json && (result.is_ok() || !removed.folders.is_empty()) {
        output::json(&removed.folders)?;
    }
    result?;
    for folder in templates.clear_abandoned().map_err(Failure::environment)? {
        let folder = folder.display();
        output::words(format_args!("removed {folder}, which a command that was killed left\n"));
    }
    Ok(exit::OK)
}

fn remove_named(
    store: &Store,
    templates: &template::Store,
    name: &str,
    removed: &mut Removed,
    settings: &Settings,
) -> Result<(), Failure> {
    let (images, all) = (store.list(), templates.list());
    let named: Vec<_> =
        images.iter().filter(|image| image.manifest.name == name || folder_name(image) == name).collect();
    if named.is_empty() && !all.iter().any(|template| template.manifest.id == name) {
        let known =
            |names: Vec<String>| if names.is_empty() { "none yet".to_owned() } else { names.join(", ") };
        let images = known(images.iter().map(folder_name).collect());
        let templates = known(all.iter().map(|template| template.manifest.id.clone()).collect());
        let message =
            format!("there is no image or template named `{name}`; images: {images}; templates: {templates}");
        return Err(Failure::new(exit::USAGE, message));
    }
    let labs = Folder::all(&settings.state);
    let user = |image: &image::Image| {
        let disk = image.disk().display().to_string();
        labs.iter()
            .filter(|lab| lab.has_disks())
            .find(|lab| uses(lab, &disk))
            .map(|lab| format!("the lab {}", lab.id()))
    };
    for image in named {
        let folder = folder_name(image);
        for image in store.remove(&folder, user)? {
            removed.add(&image.folder)?;
        }
        // Nothing finds them any more. An image that is built again is another one.
        let of_image = image.place();
        remove_templates(templates, |template| made_of(template).starts_with(&of_image), removed)?;
    }
    remove_templates(templates, |template| template.manifest.id == name, removed)
}

/// Removes templates and says so. Nobody needs to be asked: copies that run have the files open, and their disks are
/// their own.
fn remove_templates(
    store: &template::Store,
    which: impl Fn(&Template) -> bool,
    removed: &mut Removed,
) -> Result<(), Failure> {
    for template in store.list().iter().filter(|template| which(template)) {
        store.remove(template).map_err(Failure::environment)?;
        removed.add(&template.folder)?;
    }
    Ok(())
}

fn folder_name(image: &image::Image) -> String {
    image.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_current(image: &image::Image) -> bool {
    Recipe::named(&image.manifest.name, image.manifest.arch)
        .is_some_and(|recipe| recipe.hash() == image.manifest.hash)
}

/// The image that a template was made of, as [`image::Base::identity`] names it.
fn made_of(template: &Template) -> &str {
    template.manifest.key.get("image").unwrap_or_default()
}

/// Whether a disk of the lab lies on top of `base`: the path stands in the overlay's header.
fn uses(lab: &Folder, base: &str) -> bool {
    let disks = std::fs::read_dir(lab.path().join("disks")).into_iter().flatten().flatten();
    disks.into_iter().any(|disk| {
        file::head(&disk.path(), 4096).windows(base.len()).any(|window| window == base.as_bytes())
    })
}
