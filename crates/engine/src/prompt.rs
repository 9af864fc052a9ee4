//! What an appliance boots: its kernel and initramfs, and a disk with its model.

use std::path::Path;

use appliance::{MODELS, ModelDisk, ModelFile, Recipe, firmware, is_model_disk, kernel};
use config::model::Arch;
use events::{EventKind, Sink};
use image::{Backing, Base, Boot, Image, Options, Store};
use plan::model::NodePlan;
use system::cancel::Cancel;

use crate::Error;

/// The image that an appliance of this architecture boots.
fn recipe(arch: Arch) -> Recipe {
    Recipe { arch, suite: None }
}

/// What an appliance boots. What is missing is built.
pub(crate) fn base(
    node: &NodePlan,
    model: Option<&str>,
    store: &Store,
    options: &Options,
    sink: &dyn Sink,
    cancel: &Cancel,
) -> Result<Base, Error> {
    let image = recipe(node.arch).build(store, options, sink, cancel)?;
    let Some(model) = model else { return of_image(node, &image, None) };
    let told = |hundredths: u64| {
        let message = format!("copying the model to its disk, {hundredths} %");
        sink.emit(EventKind::Progress { subject: node.label.clone(), message });
    };
    let disk = ModelDisk::of(Path::new(model), &store.beside(MODELS), cancel, &told)?;
    of_image(node, &image, Some(&disk))
}

/// What an appliance boots, where its image is built. Its model is looked at, and no disk is made for it.
///
/// # Errors
/// Its model is none, or there is no firmware.
pub fn known_appliance(node: &NodePlan, store: &Store) -> Result<Option<Base>, Error> {
    if let Some(model) = node.image.name().map(Path::new).filter(|model| !is_model_disk(model)) {
        ModelFile::open(model)?;
    }
    recipe(node.arch).find(store).map(|image| of_image(node, &image, None)).transpose()
}

/// The same, of an image and a disk that are there.
pub(crate) fn of_image(node: &NodePlan, image: &Image, disk: Option<&ModelDisk>) -> Result<Base, Error> {
    let unpacked = image.folder.join(kernel::VMLINUX);
    let (kernel, firmware) = match node.uefi {
        true => (image.kernel(), Some(firmware::uefi(node.arch)?)),
        // Who unpacks nothing and looks for nothing is at its prompt two seconds earlier.
        false if unpacked.exists() => (unpacked, firmware::fastest(node.arch)),
        false => (image.kernel(), None),
    };
    Ok(Base {
        name: image.manifest.name.clone(),
        disk: disk.map_or(Backing::Nothing, |disk| Backing::Raw(disk.path.clone())),
        boot: Boot::Kernel { kernel, initrd: image.initrd() },
        firmware,
        identity: format!("{} {}", image.identity(), disk.map_or("", |disk| &disk.identity)),
    })
}
