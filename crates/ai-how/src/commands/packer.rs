//! `ai-how image packer`: templates for Packer, and what it builds from them.
//!
//! ```text
//! config ──> kinds of nodes ──> templates, playbook, key ──packer build──> NAME.qcow2 with its kernel, for any lab
//! ```

use std::path::{Path, PathBuf};

use config::model::Arch;
use image::{Recipe, Store};
use lab::accelerator;
use plan::Plan;
use render::{PACKER_IMAGES, PackerHost, PackerImage};
use serde_json::{Value, json};
use system::{cancel::Cancel, file, process::Command};

use super::image::Progress;
use crate::{
    bring_up::deploy_failure, cli::Format, document, exit, failure::Failure, output, settings::Settings,
};

/// What all images start from.
const BASE: &str = "debian-13";

/// Traces of any machine, beside those of a deployment.
const TRACES: [&str; 10] = [
    "/root/.ansible/",
    "/root/.cache/",
    "/var/cache/apt/",
    "/var/lib/apt/lists/",
    "/var/lib/cloud/",
    "/var/lib/dhcp/",
    "/etc/hostname",
    "/var/lib/dbus/machine-id",
    "/var/lib/systemd/credential.secret",
    "/var/lib/systemd/random-seed",
];

/// What a user asks for.
pub(super) struct Wanted<'a> {
    pub(super) file: &'a Path,
    pub(super) output: &'a Path,
    pub(super) all: bool,
    pub(super) build: &'a [String],
}

pub(super) fn run(
    wanted: &Wanted<'_>,
    store: &Store,
    format: Format,
    settings: &Settings,
    cancel: &Cancel,
) -> Result<u8, Failure> {
    let plan = document::plan(wanted.file, settings)?;
    let images: Vec<&PackerImage> =
        PACKER_IMAGES.iter().filter(|image| wanted.all || calls_for(&plan, image)).collect();
    if let Some(name) = wanted.build.iter().find(|name| images.iter().all(|image| image.name != **name)) {
        let known: Vec<&str> = images.iter().map(|image| image.name).collect();
        let message = format!(
            "{} calls for no image named `{name}`; it calls for: {}. With --all there are templates of all",
            wanted.file.display(),
            known.join(", ")
        );
        return Err(Failure::new(exit::USAGE, message));
    }
    let recipe = Recipe::find(BASE, Arch::X86_64)?;
    let progress = Progress::new(settings);
    let base = if wanted.build.is_empty() {
        store.folder().join(recipe.id())
    } else {
        let built = image::build(store, recipe, &image::Options::default(), &progress, cancel);
        progress.clear();
        built?.folder
    };
    let ansible = match deploy::find_ansible(&settings.cache) {
        Err(error) if !wanted.build.is_empty() => return Err(deploy_failure(error)),
        found => found.ok(),
    };
    let verdict = accelerator::probe(&settings.cache, [recipe.arch], cancel)?;
    let host = PackerHost {
        accelerator: verdict.accelerator(recipe.arch),
        base: base.display().to_string(),
        ansible_playbook: ansible
            .as_ref()
            .map_or_else(|| PathBuf::from("ansible-playbook"), |found| found.playbook.clone())
            .display()
            .to_string(),
        mitogen: ansible.and_then(|found| found.mitogen).map(|folder| folder.display().to_string()),
        plugins: image::packer_takes_plugins(),
        forgotten: deploy::kept::FORGOTTEN.iter().copied().chain(TRACES).collect(),
    };
    write(wanted.output, &images, &host)?;
    let folder = |name: &str| wanted.output.join(name).display().to_string();
    let built = |name: &str| wanted.output.join(format!("{name}.qcow2")).display().to_string();
    let tell = |path: String| match format {
        Format::Text => output::data(path + "\n"),
        Format::Json => Ok(()),
    };
    images.iter().try_for_each(|image| tell(folder(image.name)))?;
    for name in wanted.build {
        let progress = Progress::new(settings);
        let result = image::packer_build(wanted.output, name, &progress, cancel);
        progress.clear();
        result?;
        tell(built(name))?;
    }
    if format == Format::Json {
        let of = |image: &&PackerImage| {
            let name = image.name;
            let is_built = wanted.build.iter().any(|wanted| wanted == name);
            json!({"name": name, "folder": folder(name), "image": is_built.then(|| built(name))})
        };
        output::json(&images.iter().map(of).collect::<Value>())?;
    }
    Ok(exit::OK)
}

/// Whether a plan has nodes that an image is for.
fn calls_for(plan: &Plan, image: &PackerImage) -> bool {
    plan.nodes().any(|(cluster, node)| match image.role {
        "controller" | "compute" => cluster.slurm.is_some(),
        "kubernetes_gpu" => cluster.kubernetes.is_some() && !node.devices.is_empty(),
        _ => cluster.kubernetes.is_some(),
    })
}

/// Writes all that Packer reads.
fn write(folder: &Path, images: &[&PackerImage], host: &PackerHost) -> Result<(), Failure> {
    for image in images {
        let own = folder.join(image.name);
        file::create_folder(&own)?;
        let template = render::packer_template(image, host).map_err(engine::Error::from)?;
        file::write(&own.join("image.pkr.hcl"), template.as_bytes())?;
    }
    deploy::unpack_playbook(&folder.join("ansible"))?;
    file::write(&folder.join("seal"), render::SEAL.as_bytes())?;
    file::write(&folder.join("finish"), render::FINISH.as_bytes())?;
    let key = folder.join("id_ed25519");
    if !key.exists() {
        let make = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "packer", "-f"]);
        make.arg(&key).run().map_err(Failure::environment)?;
    }
    Ok(())
}
