//! What a file holds, told by its header.

use std::io::{BufReader, Read};

use crate::error::{Error, Format};
use crate::file_type;
use crate::metadata::Metadata;
use crate::source::Source;
use crate::tensor::Tensors;

/// What a file begins with.
const MAGIC: &[u8] = b"GGUF";

/// Magic, version, and the numbers of tensors and entries, bytes.
pub(crate) const HEADER: u64 = 24;

/// How much of a file is looked at to tell what it is.
const FIRST: u64 = 32;

/// A language model in a file that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The version of GGUF, 2 or 3.
    pub version: u32,
    /// What llama.cpp calls it: `llama`, `qwen3`.
    pub architecture: String,
    /// What its makers call it.
    pub name: Option<String>,
    /// How its weights are kept, as `llama-quantize` calls it: `Q4_K_M`, `F16`. The type of most weights when the file does
    /// not say.
    pub quantization: String,
    /// The number of its weights.
    pub parameters: u64,
    /// How much of a text it can take into account at once, tokens.
    pub context_length: Option<u64>,
    /// The number of its tensors.
    pub tensors: u64,
    /// What its tensors take, bytes. More when some are of a type that this version does not know.
    pub data_bytes: u64,
}

impl Model {
    /// Reads the header of a file of `size` bytes, and sees that the rest is there. The rest is not read.
    ///
    /// No memory is taken for what was not read, whatever the file claims, and no more than `size` bytes are read. Texts
    /// have no control characters.
    ///
    /// # Errors
    /// The file is no model that llama.cpp can load; see [`Error`].
    pub fn read(input: impl Read, size: u64) -> Result<Self, Error> {
        let mut input = BufReader::new(input);
        let mut first = Vec::new();
        (&mut input).take(size.min(FIRST)).read_to_end(&mut first).map_err(Error::Unreadable)?;
        recognise(&first)?;
        header(&mut Source::new(first.chain(input), size), size)
    }
}

/// Whether a file with these first bytes is worth a closer look.
fn recognise(first: &[u8]) -> Result<(), Error> {
    if first.is_empty() {
        return Err(Error::Empty);
    }
    if !first.starts_with(MAGIC) && !MAGIC.starts_with(first) {
        let begins = first.iter().take(8).copied().collect::<Vec<u8>>().escape_ascii().to_string();
        return Err(Error::Foreign { begins, format: Format::of(first) });
    }
    if (first.len() as u64) < HEADER {
        return Err(Error::Short { found: first.len() as u64 });
    }
    Ok(())
}

fn header(source: &mut Source<impl Read>, size: u64) -> Result<Model, Error> {
    source.skip(MAGIC.len() as u64)?;
    let version = source.u32()?;
    if !matches!(version, 2 | 3) {
        return Err(if matches!(version.swap_bytes(), 1..=3) {
            Error::BigEndian
        } else {
            Error::Version { found: version }
        });
    }
    let count = source.u64()?;
    let entries = source.u64()?;
    let metadata = Metadata::read(source, entries)?;
    if count == 0 {
        return Err(Error::NoTensors);
    }
    let accessory = match (metadata.kind.as_deref(), metadata.architecture.as_deref()) {
        (Some("adapter"), _) => Some("a LoRA adapter"),
        (Some("imatrix"), _) => Some("an importance matrix"),
        // Older ones have no type.
        (Some("mmproj"), _) | (None, Some("clip")) => Some("a projector for images or sound"),
        _ => None,
    };
    if let Some(what) = accessory {
        return Err(Error::Accessory { what });
    }
    // Only the first part names the architecture.
    if let Some(parts @ 2..) = metadata.parts {
        return Err(Error::Part { parts });
    }
    let context_length = metadata.context_length();
    let architecture = metadata.architecture.filter(|name| !name.is_empty()).ok_or(Error::NoArchitecture)?;
    let tensors = Tensors::read(source, count, metadata.alignment)?;
    let begin = source.at().checked_next_multiple_of(metadata.alignment);
    let Some(needed) = begin.and_then(|begin| begin.checked_add(tensors.extent)) else {
        return Err(source.damaged("its tensors would have no end"));
    };
    if needed > size {
        return Err(Error::DataEnds { needed, found: size });
    }
    let quantization = metadata.file_type.and_then(file_type::name).map(str::to_owned);
    Ok(Model {
        version,
        architecture,
        name: metadata.name.filter(|name| !name.is_empty()),
        quantization: quantization.unwrap_or_else(|| tensors.usual_type()),
        parameters: tensors.parameters,
        context_length,
        tensors: count,
        data_bytes: tensors.extent,
    })
}

#[cfg(test)]
mod tests;
