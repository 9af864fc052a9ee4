//! The keys and values at the beginning of a file: a few are kept, the others only walked over.

use std::collections::HashSet;
use std::io::Read;

use crate::Error;
use crate::source::Source;
use crate::value::Type;

/// More keys than any model has. The largest have some dozens.
const MOST_ENTRIES: u64 = 1 << 16;

/// Most items that llama.cpp reads.
const MOST_ITEMS: u64 = 1 << 30;

/// Where tensors begin when the file does not say otherwise.
const ALIGNMENT: u64 = 32;

/// What the metadata say.
#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) architecture: Option<String>,
    pub(crate) name: Option<String>,
    /// `model`, `adapter` and the like.
    pub(crate) kind: Option<String>,
    /// A power of two.
    pub(crate) alignment: u64,
    pub(crate) file_type: Option<u64>,
    /// Of how many files the model consists, if that is said.
    pub(crate) parts: Option<u64>,
    /// By the architecture that the key begins with; which one is that of the file may be said later.
    context_lengths: Vec<(String, u64)>,
}

impl Metadata {
    /// Reads so many entries.
    pub(crate) fn read(source: &mut Source<impl Read>, entries: u64) -> Result<Self, Error> {
        if entries > MOST_ENTRIES {
            return Err(source.damaged(format!("it would have {entries} entries of metadata")));
        }
        let mut all = Self {
            architecture: None,
            name: None,
            kind: None,
            alignment: ALIGNMENT,
            file_type: None,
            parts: None,
            context_lengths: Vec::new(),
        };
        let mut known = HashSet::new();
        for _ in 0..entries {
            let key = source.text("the name of a key")?;
            all.entry(source, &key)?;
            if let Some(twice) = known.replace(key) {
                return Err(source.damaged(format!("the key `{}` is there twice", printable(&twice))));
            }
        }
        Ok(all)
    }

    /// How much of a text the model can take into account at once, tokens.
    pub(crate) fn context_length(&self) -> Option<u64> {
        let architecture = self.architecture.as_ref()?;
        self.context_lengths.iter().find(|(of, _)| of == architecture).map(|(_, length)| *length)
    }

    fn entry(&mut self, source: &mut Source<impl Read>, key: &str) -> Result<(), Error> {
        match key {
            "general.architecture" => self.architecture = Some(text(source, key)?),
            "general.name" => self.name = Some(text(source, key)?),
            "general.type" => self.kind = Some(text(source, key)?),
            "general.file_type" => self.file_type = Some(whole(source, key)?),
            "split.count" => self.parts = Some(whole(source, key)?),
            "general.alignment" => {
                self.alignment = whole(source, key)?;
                if !self.alignment.is_power_of_two() || self.alignment > u64::from(u32::MAX) {
                    return Err(source.damaged(format!("its tensors would be aligned to {}", self.alignment)));
                }
            }
            // Parts of a model that read pictures have a longer key, and lengths of their own.
            _ => match key.strip_suffix(".context_length").filter(|name| !name.contains('.')) {
                Some(architecture) => {
                    self.context_lengths.push((printable(architecture), whole(source, key)?));
                }
                None => skip(source, key)?,
            },
        }
        Ok(())
    }
}

/// A text that neither ends a line nor moves a terminal's cursor.
pub(crate) fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

fn text(source: &mut Source<impl Read>, key: &str) -> Result<String, Error> {
    match kind(source, key)? {
        Type::Text => Ok(printable(&source.text(&format!("`{key}`"))?)),
        _ => Err(source.damaged(format!("`{key}` is no text"))),
    }
}

fn whole(source: &mut Source<impl Read>, key: &str) -> Result<u64, Error> {
    if let Type::Number(number) = kind(source, key)? {
        let mut bytes = [0; 8];
        let (own, _) = bytes.split_at_mut(number.size());
        source.fill(own)?;
        if let Some(value) = number.unsigned(bytes) {
            return Ok(value);
        }
    }
    Err(source.damaged(format!("`{}` is no whole number from 0 on", printable(key))))
}

fn skip(source: &mut Source<impl Read>, key: &str) -> Result<(), Error> {
    match kind(source, key)? {
        Type::Number(number) => source.skip(number.size() as u64),
        Type::Text => source.skip_text(&format!("`{}`", printable(key))),
        Type::Array => items(source, &printable(key)),
    }
}

fn items(source: &mut Source<impl Read>, key: &str) -> Result<(), Error> {
    let item = kind(source, key)?;
    let length = source.u64()?;
    if length > MOST_ITEMS {
        return Err(source.damaged(format!("the list `{key}` would have {length} items")));
    }
    match item {
        Type::Number(number) => source.skip(length * number.size() as u64),
        Type::Text => {
            let what = format!("an item of `{key}`");
            (0..length).try_for_each(|_| source.skip_text(&what))
        }
        // The format knows lists in lists, but llama.cpp does not, and no model has one.
        Type::Array => Err(source.damaged(format!("`{key}` is a list of lists"))),
    }
}

fn kind(source: &mut Source<impl Read>, key: &str) -> Result<Type, Error> {
    let number = source.u32()?;
    Type::of(number)
        .ok_or_else(|| source.damaged(format!("`{}` has the type {number}, which is none", printable(key))))
}
