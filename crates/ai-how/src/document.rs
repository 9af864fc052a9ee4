//! A config file, loaded with the surroundings of this process.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use config::{
    Context, Diagnostic, HostFacts, Loaded, PathKind, Report, Severity, Source, Version, diagnostic,
    model::{Image, Lab},
};
use engine::Site;
use ipnet::Ipv4Net;
use lab::Folder;
use report::terminal::Verbosity;
use system::{environment, file, host};

use crate::{cli, exit, failure::Failure, labs, output, settings::Settings};

/// A config file that was read.
#[derive(Debug)]
pub(crate) struct Document {
    /// Its path as the user gave it.
    pub(crate) path: PathBuf,
    bytes: Vec<u8>,
    /// What it was loaded in.
    context: Context,
    /// What became of it.
    pub(crate) loaded: Loaded,
}

impl Document {
    /// Reads and loads a file.
    pub(crate) fn load(path: &Path, strict: bool, settings: &Settings) -> Result<Self, Failure> {
        Ok(Self::of(path, read(path)?, strict, settings))
    }

    /// Loads what a file has, or is going to have.
    pub(crate) fn of(path: &Path, bytes: Vec<u8>, strict: bool, settings: &Settings) -> Self {
        let context = Context { strict, ..context(path, settings) };
        let loaded = config::load(&Source { name: &path.to_string_lossy(), bytes: &bytes }, &context);
        let mut document = Self { path: path.to_owned(), bytes, context, loaded };
        let base = document.base();
        document.loaded.look(|named| match named.kind {
            PathKind::Image | PathKind::Model => base.join(&named.path).is_file(),
            PathKind::Directory => Path::new(&named.path).is_dir(),
        });
        document
    }

    /// Its text, where that is one.
    pub(crate) fn source(&self) -> Result<&str, Failure> {
        std::str::from_utf8(&self.bytes)
            .map_err(|error| Failure::new(exit::CONFIG, format!("{}: {error}", self.path.display())))
    }

    /// One that is not looked at further than this.
    pub(crate) fn with_findings(path: &Path, bytes: Vec<u8>, diagnostics: Vec<Diagnostic>) -> Self {
        let loaded =
            Loaded { lab: None, version: None, devices: None, diagnostics, paths: Vec::new(), omitted: 0 };
        Self { path: path.to_owned(), bytes, context: Context::default(), loaded }
    }

    /// Its plan. Errors in it are told in full; warnings are not repeated by every command.
    pub(crate) fn plan(&self, settings: &Settings) -> Result<plan::Plan, Failure> {
        if let Some(lab) = &self.loaded.lab {
            return Ok(plan::plan(&self.with_images(lab.clone())));
        }
        output::painted(self.text(settings.facts.colour));
        let errors = self.loaded.diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
        let plural = if errors == 1 { "" } else { "s" };
        Err(Failure::new(exit::CONFIG, format!("{} has {errors} error{plural}", self.path.display())))
    }

    /// Its plan, and where its lab lives.
    pub(crate) fn site(&self, lab: &cli::Lab, settings: &Settings) -> Result<(plan::Plan, Site), Failure> {
        let plan = self.plan(settings)?;
        settings.check_state()?;
        let site = settings.site(&plan.lab, &lab.file, lab.place);
        labs::tell_namesakes(&site, settings);
        match &lab.fork {
            None => Ok((plan, site)),
            Some(name) => Ok((plan, site.fork(name)?)),
        }
    }

    /// Tells that it has values which nothing can be made of, before something is made of what replaces them.
    pub(crate) fn tell_replaced(&self, settings: &Settings) {
        if self.loaded.version != Some(Version::V1) || settings.verbosity == Verbosity::Quiet {
            return;
        }
        let count = self.loaded.diagnostics.iter().filter(|found| !found.code.is_about_host()).count();
        if count > 0 {
            let (file, plural) = (self.path.display(), if count == 1 { "" } else { "s" });
            output::words(format_args!(
                "note: {file} has {count} warning{plural}, and what cannot be used is replaced or left out; `ai-how validate {file}` tells\n"
            ));
        }
    }

    /// What paths of images are relative to: the file, or in version 1.0 the top of its repository, where the tool of that
    /// version was run.
    fn base(&self) -> PathBuf {
        match self.loaded.version {
            Some(Version::V1) => self.context.environment.get("TOT").map(PathBuf::from).unwrap_or_default(),
            _ => folder(&self.path),
        }
    }

    /// The lab with the paths of models and of images of the user's made absolute, and a look at how each image boots.
    fn with_images(&self, mut lab: Lab) -> Lab {
        let base = self.base();
        for node in lab.clusters.iter_mut().flat_map(|cluster| &mut cluster.nodes) {
            match &node.image {
                Image::File(name) => {
                    let path = base.join(name);
                    let name = path.display().to_string();
                    let boots_by_itself = !image::has_kernel(&path);
                    node.image = if boots_by_itself { Image::Disk(name) } else { Image::File(name) };
                }
                Image::Appliance(Some(model)) => {
                    node.image = Image::Appliance(Some(base.join(model).display().to_string()));
                }
                _ => {}
            }
        }
        lab
    }

    /// What it says, as data, with the expressions of version 1.0 replaced.
    pub(crate) fn data(&self) -> Result<serde_json::Value, Failure> {
        config::template::data(&self.bytes, &self.context).map_err(|found| {
            Failure::new(exit::CONFIG, format!("{}: {}", self.path.display(), found.message))
        })
    }

    /// Hands the document and its findings to a rendering.
    pub(crate) fn report<T>(&self, render: impl FnOnce(&Report<'_>) -> T) -> T {
        let name = self.path.to_string_lossy();
        render(&Report { source: Source { name: &name, bytes: &self.bytes }, loaded: &self.loaded })
    }

    /// The findings for a person.
    pub(crate) fn text(&self, colour: bool) -> String {
        let color = if colour { diagnostic::text::Color::Always } else { diagnostic::text::Color::Never };
        self.report(|report| diagnostic::text::render(report, color))
    }
}

/// The plan of a file; see [`Document::plan`].
pub(crate) fn plan(path: &Path, settings: &Settings) -> Result<plan::Plan, Failure> {
    Document::load(path, false, settings)?.plan(settings)
}

/// The plan of a lab's file, and where the lab lives.
pub(crate) fn site(lab: &cli::Lab, settings: &Settings) -> Result<(plan::Plan, Site), Failure> {
    Document::load(&lab.file, false, settings)?.site(lab, settings)
}

/// The same for a command that starts what the file says, which tells what it does not do of that.
pub(crate) fn site_to_start(lab: &cli::Lab, settings: &Settings) -> Result<(plan::Plan, Site), Failure> {
    let document = Document::load(&lab.file, false, settings)?;
    let found = document.site(lab, settings)?;
    document.tell_replaced(settings);
    Ok(found)
}

/// The content of a file that the user names; of one that is larger than any config, as much as shows that.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    file::read_given(path, config::LARGEST as u64 + 1).map_err(|error| Failure::new(exit::USAGE, error))
}

/// The folder that a file is in.
fn folder(path: &Path) -> PathBuf {
    fs::canonicalize(path).ok().and_then(|path| path.parent().map(Path::to_owned)).unwrap_or_default()
}

/// The environment as version 1.0 expands it, and the host as both versions are checked against it.
pub(crate) fn context(path: &Path, settings: &Settings) -> Context {
    let mut environment = environment::variables();
    let here = environment::current_directory().unwrap_or_default();
    let folder = folder(path);
    // The nearest of the ten folders above the file that is a repository, else the file's own.
    let top = folder.ancestors().take(11).find(|folder| folder.join(".git").exists()).unwrap_or(&folder);
    environment.insert("TOT".to_owned(), top.display().to_string());
    environment.insert("PWD".to_owned(), here.display().to_string());
    environment.entry("HOME".to_owned()).or_insert_with(|| environment::home().display().to_string());
    environment.entry("USER".to_owned()).or_insert_with(host::user);
    Context {
        environment,
        process_id: std::process::id(),
        images: image::RECIPES
            .iter()
            .map(|recipe| recipe.name.to_owned())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        host: Some(HostFacts {
            cpus: host::cpus() as u64,
            memory_mib: host::memory_mib(),
            free_disk_gib: host::free_disk_mib(&settings.state).unwrap_or(u64::MAX) / 1024,
            subnets: foreign_subnets(settings),
        }),
        strict: false,
    }
}

/// The host's networks without those of our own labs, which a file's networks are meant to be.
fn foreign_subnets(settings: &Settings) -> Vec<(String, Ipv4Net)> {
    let plans = Folder::all(&settings.state)
        .into_iter()
        .filter_map(|folder| plan::Plan::read(&file::read(&folder.plan()).ok()?).ok());
    let ours: Vec<String> = plans
        .flat_map(|plan| plan.clusters)
        .flat_map(|cluster| cluster.networks)
        .map(|network| network.bridge)
        .collect();
    host::subnets().into_iter().filter(|(interface, _)| !ours.contains(interface)).collect()
}
