//! `ai-how image`: build, list, remove.

use events::{EventKind, Sink};
use image::{Recipe, Store};
use lab::Folder;
use system::{cancel::Cancel, clock::Stopwatch, file};

use crate::{
    cli::{Format, Image},
    exit,
    failure::Failure,
    output,
    settings::Settings,
};

pub(crate) fn run(command: &Image, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    let store = Store::new(&settings.cache);
    match command {
        Image::Build { name, mirror } => build(&store, name, mirror.clone(), settings, cancel),
        Image::List { format } => list(&store, *format),
        Image::Rm { name } => remove(&store, name, settings),
    }
}

fn build(
    store: &Store,
    name: &str,
    mirror: Option<String>,
    settings: &Settings,
    cancel: &Cancel,
) -> Result<u8, Failure> {
    let recipe = Recipe::find(name)?;
    let progress = Progress { live: settings.facts.tty && !settings.facts.ci, watch: Stopwatch::start() };
    // A variable that is set to nothing counts as unset.
    let options = image::Options { mirror: mirror.filter(|mirror| !mirror.is_empty()) };
    let found = store.find(recipe).is_some();
    let image = image::build(store, recipe, &options, &progress, cancel);
    progress.clear();
    let image = image?;
    let what = if found {
        "was there already".to_owned()
    } else {
        format!("built in {:.0} s", progress.watch.seconds())
    };
    let packages = image.manifest.packages.len();
    output::words(format_args!("{name} {what}: {packages} packages, {} MiB\n", image.size_mib()));
    output::data(format_args!("{}\n", image.folder.display()))?;
    Ok(exit::OK)
}

/// One line that is rewritten on a terminal; a line for each step elsewhere.
struct Progress {
    live: bool,
    watch: Stopwatch,
}

impl Progress {
    fn clear(&self) {
        if self.live {
            output::words("\r\u{1b}[2K");
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
            output::words(format_args!("\r\u{1b}[2K{subject} {:5.1} s  {line}", self.watch.seconds()));
        } else {
            output::words(format_args!("{subject} {:5.1} s  {message}\n", self.watch.seconds()));
        }
    }
}

fn list(store: &Store, format: Format) -> Result<u8, Failure> {
    let images = store.list();
    let current = |image: &image::Image| {
        Recipe::named(&image.manifest.name).is_some_and(|recipe| recipe.hash() == image.manifest.hash)
    };
    match format {
        Format::Json => {
            let entries: Vec<_> = images
                .iter()
                .map(|image| {
                    serde_json::json!({
                        "name": image.manifest.name,
                        "hash": image.manifest.hash,
                        "current": current(image),
                        "built": image.manifest.built,
                        "kernel": image.manifest.kernel,
                        "size_mib": image.size_mib(),
                        "folder": image.folder.display().to_string(),
                    })
                })
                .collect();
            output::data(format_args!("{:#}\n", serde_json::Value::Array(entries)))?;
        }
        Format::Text if images.is_empty() => {
            output::words("there are no images; the first start builds what it needs\n");
        }
        Format::Text => {
            for image in &images {
                let manifest = &image.manifest;
                let note = if current(image) { "" } else { "  (older recipe)" };
                let built = manifest.built.strftime("%Y-%m-%d %H:%M");
                let (name, hash, kernel) = (&manifest.name, &manifest.hash, &manifest.kernel);
                let size = image.size_mib();
                output::data(format_args!("{name}-{hash}  {built}  {size:5} MiB  {kernel}{note}\n"))?;
            }
        }
    }
    Ok(exit::OK)
}

fn remove(store: &Store, name: &str, settings: &Settings) -> Result<u8, Failure> {
    let labs = Folder::all(&settings.state);
    let user = |image: &image::Image| {
        let disk = image.disk().display().to_string();
        labs.iter()
            .filter(|lab| lab.has_disks())
            .find(|lab| uses(lab, &disk))
            .map(|lab| format!("the lab {}", lab.id()))
    };
    for image in store.remove(name, user)? {
        output::data(format_args!("removed {}\n", image.folder.display()))?;
    }
    Ok(exit::OK)
}

/// Whether a disk of the lab lies on top of `base`: the path stands in the overlay's header.
fn uses(lab: &Folder, base: &str) -> bool {
    let disks = std::fs::read_dir(lab.path().join("disks")).into_iter().flatten().flatten();
    disks.into_iter().any(|disk| {
        file::head(&disk.path(), 4096).windows(base.len()).any(|window| window == base.as_bytes())
    })
}
