//! `ai-how prompt model-disk` and `tiny-model`.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use appliance::{LABEL, ModelError, ModelFile};
use serde_json::{Value, json};
use system::{cancel::Cancel, file};

use crate::{cli::Format, exit, failure::Failure, output, settings::Settings};

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        let code = match &error {
            ModelError::Interrupted => exit::INTERRUPTED,
            ModelError::Unreadable { .. } | ModelError::NoFile { .. } => exit::USAGE,
            ModelError::Model { .. } => exit::FAILED,
            _ => exit::ENVIRONMENT,
        };
        Self::new(code, error)
    }
}

pub(super) fn disk(
    model: &Path,
    output: Option<&Path>,
    extra_mib: u64,
    format: Format,
    settings: &Settings,
    cancel: &Cancel,
) -> Result<u8, Failure> {
    let file = ModelFile::open(model)?;
    let disk = output.map_or_else(|| model.with_extension("img"), Path::to_owned);
    if same(&disk, model) {
        let message =
            format!("the disk would be {}, which is the model; --output names another", disk.display());
        return Err(Failure::new(exit::USAGE, message));
    }
    output::words(format_args!("{}\n", describe(&file)));
    let live = settings.facts.tty && !settings.facts.ci;
    let told = |hundredths: u64| {
        if live {
            output::painted(format_args!("\r\u{1b}[2K{hundredths:3} % of {} MiB", file.size >> 20));
        }
    };
    let made = file.make_disk(&disk, extra_mib, cancel, &told);
    if live {
        output::painted("\r\u{1b}[2K");
    }
    made?;
    match format {
        Format::Text => {
            output::words(format_args!("wrote: {}\n", disk.display()));
            output::data(format_args!("{}\n", disk.display()))?;
        }
        Format::Json => output::json(&json!({
            "disk": disk,
            "label": LABEL,
            "size_mib": file.disk_mib(extra_mib),
            "model": model_json(&file),
        }))?,
    }
    Ok(exit::OK)
}

fn same(one: &Path, other: &Path) -> bool {
    let found = |path: &Path| -> Option<PathBuf> { fs::canonicalize(path).ok() };
    one == other || found(one).is_some_and(|one| found(other) == Some(one))
}

/// A model in one line.
pub(super) fn describe(file: &ModelFile) -> String {
    let model = &file.model;
    let name = model.name.as_deref().unwrap_or("without a name");
    let millions = model.parameters / 1_000_000;
    let parameters = match millions {
        0 => format!("{} thousand", model.parameters / 1000),
        1..10_000 => format!("{millions} million"),
        _ => format!("{} billion", millions / 1000),
    };
    format!(
        "{}: {} of the architecture {}, {parameters} parameters, {}, {} MiB",
        file.path.display(),
        output::clean(name),
        model.architecture,
        model.quantization,
        file.size.div_ceil(1 << 20)
    )
}

fn model_json(file: &ModelFile) -> Value {
    let model = &file.model;
    json!({
        "path": file.path,
        "size": file.size,
        "version": model.version,
        "architecture": model.architecture,
        "name": model.name,
        "quantization": model.quantization,
        "parameters": model.parameters,
        "context_length": model.context_length,
        "tensors": model.tensors,
    })
}

pub(super) fn tiny(path: &Path, seed: u64, format: Format) -> Result<u8, Failure> {
    let failed = || file::Error::new("write", path);
    let mut bytes = Vec::new();
    gguf::tiny::write(&mut bytes, seed).map_err(failed())?;
    // Somebody's model is not written over.
    let written = File::create_new(path).and_then(|mut file| file.write_all(&bytes));
    written.map_err(failed())?;
    let file = ModelFile::open(path)?;
    match format {
        Format::Text => {
            output::words(format_args!("{}\n", describe(&file)));
            output::data(format_args!("{}\n", path.display()))?;
        }
        Format::Json => output::json(&model_json(&file))?,
    }
    Ok(exit::OK)
}
