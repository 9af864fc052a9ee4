//! A YAML document as a tree in which every key and value knows its place.
//!
//! It is read in two steps, because what a plain scalar means depends on the version the document names:
//! [`parse`] checks the syntax and keeps scalars as text, [`Document::resolve`] then gives them types by
//! the rules of a [`Dialect`].

mod de;
mod json;
mod raw;
mod resolve;
mod scalar;
mod text;

pub use de::{Entries, Lenient, Located};
pub(crate) use de::{UnknownKey, from_node};
pub(crate) use json::to_json;
pub(crate) use raw::{Document, parse};
pub(crate) use resolve::Resolved;
pub(crate) use scalar::plain;
pub use text::LARGEST;
pub(crate) use text::{Text, is_printable};

use crate::diagnostic::Span;

/// Deepest nesting accepted. Real configs need about ten levels.
pub(crate) const MAX_DEPTH: usize = 64;

/// Most keys and values accepted, aliases expanded. A thousand nodes need about ten thousand.
pub(crate) const MAX_VALUES: usize = 50_000;

/// How plain scalars become values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// YAML 1.1 as PyYAML's `SafeLoader` reads it: `yes` is true, `0755` is 493, `1:30` is 90, `<<` merges.
    Yaml11,
    /// The core schema of YAML 1.2.
    Core,
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    /// Also integers too large for `Int`.
    Float(f64),
    String(String),
    /// A type that no config uses (a date, bytes, a set); the text says which.
    Opaque(&'static str),
    Sequence(Vec<Node>),
    Mapping(Vec<(Key, Node)>),
}

/// A key and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub(crate) span: Span,
    /// For keys that are not text, their canonical notation (`true`, `1`).
    pub(crate) text: String,
}

impl Node {
    /// The value under `key`, when this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|(_, value)| value)
    }

    /// Key and value under `key`, when this is a mapping that has it.
    pub(crate) fn entry(&self, key: &str) -> Option<(&Key, &Self)> {
        let Value::Mapping(entries) = &self.value else { return None };
        entries.iter().find(|(candidate, _)| candidate.text == key).map(|(key, value)| (key, value))
    }

    /// What it is, in words: `a list`.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "an integer",
            Value::Float(number) if number.fract() == 0.0 => "an integer",
            Value::Float(_) => "a number",
            Value::String(_) => "a text",
            Value::Opaque(kind) => kind,
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}
