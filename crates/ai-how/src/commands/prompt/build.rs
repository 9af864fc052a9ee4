//! `ai-how prompt build`.

use appliance::Recipe;
use image::{Image, Options, Part, Store};
use serde_json::json;
use system::cancel::Cancel;

use crate::{
    cli::{Arch, Format},
    commands::image::Progress,
    exit,
    failure::Failure,
    output,
    settings::Settings,
};

/// How many of the largest files are shown to people.
const SHOWN: usize = 12;

pub(super) fn run(
    arch: Arch,
    suite: Option<String>,
    mirror: Option<String>,
    format: Format,
    settings: &Settings,
    cancel: &Cancel,
) -> Result<u8, Failure> {
    let store = Store::new(&settings.cache);
    let recipe = Recipe { arch: arch.into(), suite };
    // A variable that is set to nothing counts as unset.
    let options = Options { mirror: mirror.filter(|mirror| !mirror.is_empty()) };
    let found = recipe.find(&store).is_some();
    let progress = Progress::new(settings);
    let image = recipe.build(&store, &options, &progress, cancel);
    progress.clear();
    let image = image?;
    let seconds = (!found).then(|| progress.seconds());
    match format {
        Format::Text => tell(&image, seconds)?,
        Format::Json => output::json(&json!({
            "folder": image.folder,
            "arch": image.manifest.arch,
            "suite": image.manifest.suite,
            "kernel": image.manifest.kernel,
            "packages": image.manifest.packages,
            "build_seconds": seconds,
            "parts": image.manifest.parts,
            "contents": image.manifest.contents,
        }))?,
    }
    Ok(exit::OK)
}

/// What it is on stderr, where it is on stdout.
fn tell(image: &Image, seconds: Option<f64>) -> Result<(), Failure> {
    let manifest = &image.manifest;
    let what =
        seconds.map_or_else(|| "was there already".to_owned(), |seconds| format!("built in {seconds:.0} s"));
    let llama = manifest.packages.iter().find(|package| package.starts_with("llama.cpp-tools "));
    let llama = llama.and_then(|package| package.split_once(' ')).map_or("", |(_, version)| version);
    output::words(format_args!(
        "prompt {} {what}: Linux {}, llama.cpp {llama}, from Debian {}\n",
        manifest.arch, manifest.kernel, manifest.suite
    ));
    for Part { name, size, sha256 } in &manifest.parts {
        output::words(format_args!("  {name:8} {:>7} MB  sha256 {}\n", megabytes(*size), &sha256[..16]));
    }
    let rest = manifest.contents.get(SHOWN..).unwrap_or_default();
    output::words("  in the initramfs:\n");
    for content in manifest.contents.iter().take(SHOWN) {
        output::words(format_args!("    {:>7} MB  /{}\n", megabytes(content.size), content.path));
    }
    if !rest.is_empty() {
        let size = rest.iter().map(|content| content.size).sum();
        output::words(format_args!("    {:>7} MB  {} more\n", megabytes(size), rest.len()));
    }
    output::data(format_args!("{}\n", image.folder.display()))
}

/// Millions of bytes, with two digits behind the point.
fn megabytes(bytes: u64) -> String {
    format!("{}.{:02}", bytes / 1_000_000, bytes % 1_000_000 / 10_000)
}
