//! serde over the tree: types come out with the place of every value they ask for, and keys that no type
//! asked for are written down.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::{SeqDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use super::{Key, Node, Value};
use crate::diagnostic::Span;

/// A value with its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located<T> {
    /// What the document says.
    pub value: T,
    /// Where it says it.
    pub span: Span,
}

impl<T> Located<T> {
    /// The same place with another value.
    pub(crate) fn map_value<U>(self, change: impl FnOnce(T) -> U) -> Located<U> {
        Located { value: change(self.value), span: self.span }
    }
}

/// A mapping with names of the user's own as keys, in the order of the document.
#[derive(Debug, Clone, PartialEq)]
pub struct Entries<T>(pub Vec<(Located<String>, T)>);

/// A value that is used when it has the right type and ignored when it has not.
#[derive(Debug, Clone, PartialEq)]
pub struct Lenient<T>(pub Option<Located<T>>);

/// A key of the document that no type asked for.
#[derive(Debug)]
pub(crate) struct UnknownKey {
    pub(crate) key: Key,
    /// The keys that would have been understood.
    pub(crate) known: &'static [&'static str],
}

/// Reads a `T`; the keys it does not know are listed beside it.
pub(crate) fn from_node<'de, T: Deserialize<'de>>(node: &'de Node) -> (Result<T, Mismatch>, Vec<UnknownKey>) {
    let unknown = RefCell::new(Vec::new());
    let value = T::deserialize(Reader { node, unknown: &unknown });
    (value, unknown.into_inner())
}

/// A node is not what the type needs. The schema has said so already, in better words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Mismatch(String);

impl serde::de::Error for Mismatch {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// The name by which [`Located`] asks a [`Reader`] for a value with its place.
const LOCATED: &str = "$located";

#[derive(Clone, Copy)]
struct Reader<'de, 'a> {
    node: &'de Node,
    unknown: &'a RefCell<Vec<UnknownKey>>,
}

impl<'de> Deserializer<'de> for Reader<'de, '_> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(number) => visitor.visit_i64(*number),
            Value::Float(number) => visit_float(*number, visitor),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Opaque(kind) => Err(Mismatch::custom(kind)),
            Value::Sequence(items) => visitor.visit_seq(Items { items: items.iter(), unknown: self.unknown }),
            Value::Mapping(entries) => {
                visitor.visit_map(Pairs { entries: entries.iter(), value: None, unknown: self.unknown })
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match &self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        if name == LOCATED {
            visitor.visit_seq(Place { next: Part::Start, span: self.node.span, value: self })
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        if let Value::Mapping(entries) = &self.node.value {
            let unknown = entries.iter().filter(|(key, _)| !fields.contains(&key.text.as_str()));
            self.unknown
                .borrow_mut()
                .extend(unknown.map(|(key, _)| UnknownKey { key: key.clone(), known: fields }));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match &self.node.value {
            Value::String(text) => {
                let text: StrDeserializer<'_, Mismatch> = text.as_str().into_deserializer();
                visitor.visit_enum(text)
            }
            _ => Err(Mismatch::custom("a text is needed")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier
    }
}

/// JSON Schema counts 4.0 as an integer, so it is one here. Numbers beyond `u64` keep to its limit.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, which is what is wanted"
)]
fn visit_float<'de, V: Visitor<'de>>(number: f64, visitor: V) -> Result<V::Value, Mismatch> {
    if number.fract() != 0.0 {
        visitor.visit_f64(number)
    } else if number < 0.0 {
        visitor.visit_i64(number as i64)
    } else {
        visitor.visit_u64(number as u64)
    }
}

struct Items<'de, 'a> {
    items: std::slice::Iter<'de, Node>,
    unknown: &'a RefCell<Vec<UnknownKey>>,
}

impl<'de> SeqAccess<'de> for Items<'de, '_> {
    type Error = Mismatch;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mismatch> {
        let Some(node) = self.items.next() else { return Ok(None) };
        seed.deserialize(Reader { node, unknown: self.unknown }).map(Some)
    }
}

struct Pairs<'de, 'a> {
    entries: std::slice::Iter<'de, (Key, Node)>,
    value: Option<&'de Node>,
    unknown: &'a RefCell<Vec<UnknownKey>>,
}

impl<'de> MapAccess<'de> for Pairs<'de, '_> {
    type Error = Mismatch;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mismatch> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(KeyReader(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mismatch> {
        let node = self.value.take().ok_or_else(|| Mismatch::custom("a key is needed first"))?;
        seed.deserialize(Reader { node, unknown: self.unknown })
    }
}

#[derive(Clone, Copy)]
struct KeyReader<'de>(&'de Key);

impl<'de> Deserializer<'de> for KeyReader<'de> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_borrowed_str(&self.0.text)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        if name == LOCATED {
            visitor.visit_seq(Place { next: Part::Start, span: self.0.span, value: self })
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The two parts in which [`Located`] is handed over.
enum Part {
    Start,
    Value,
    End,
}

struct Place<D> {
    next: Part,
    span: Span,
    value: D,
}

impl<'de, D: Deserializer<'de, Error = Mismatch> + Copy> SeqAccess<'de> for Place<D> {
    type Error = Mismatch;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mismatch> {
        match self.next {
            Part::Start => {
                self.next = Part::Value;
                let Span { start, end, line, column } = self.span;
                let numbers = [start, end, line, column].into_iter();
                seed.deserialize(SeqDeserializer::<_, Mismatch>::new(numbers)).map(Some)
            }
            Part::Value => {
                self.next = Part::End;
                seed.deserialize(self.value).map(Some)
            }
            Part::End => Ok(None),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Located<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Parts<T> {
            type Value = Located<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a value with its place")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
                let (Some((start, end, line, column)), Some(value)) =
                    (parts.next_element()?, parts.next_element()?)
                else {
                    return Err(A::Error::custom("a value without its place"));
                };
                Ok(Located { value, span: Span { start, end, line, column } })
            }
        }

        deserializer.deserialize_newtype_struct(LOCATED, Parts(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<T> {
            type Value = Entries<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(Pairs(PhantomData))
    }
}

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Turns a mismatch into nothing.
        struct Perhaps<T>(Option<T>);

        impl<'de, T: Deserialize<'de>> Deserialize<'de> for Perhaps<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(Self(T::deserialize(deserializer).ok()))
            }
        }

        let Located { value: Perhaps(value), span } = Located::deserialize(deserializer)?;
        Ok(Self(value.map(|value| Located { value, span })))
    }
}

// A place is no part of the format: the schema is that of the value.
impl<T: JsonSchema> JsonSchema for Located<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: JsonSchema> JsonSchema for Entries<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("EntriesOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "object",
            "additionalProperties": generator.subschema_for::<T>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::super::{Dialect, Text, parse};
    use super::{Entries, Lenient, Located, from_node};

    #[derive(Debug, Deserialize)]
    struct Sample {
        name: Located<String>,
        count: Located<u64>,
        #[serde(default)]
        odd: Lenient<String>,
        parts: Entries<Vec<u64>>,
    }

    fn read(text: &str) -> (Option<Sample>, Vec<(String, usize)>) {
        let text = Text::new(text.as_bytes()).unwrap_or_else(|found| panic!("{found:?}"));
        let document = parse(&text).unwrap_or_else(|found| panic!("{found:?}"));
        let root = document.resolve(Dialect::Core).unwrap_or_else(|found| panic!("{found:?}")).root;
        let (sample, unknown) = from_node(&root);
        (sample.ok(), unknown.into_iter().map(|found| (found.key.text, found.key.span.line)).collect())
    }

    #[test]
    fn values_and_keys_come_with_their_places() {
        let (sample, unknown) =
            read("name: größe\ncount: 4.0\nodd: [1]\nparts:\n  a: [1]\n  b: []\nextra: 1\n");
        let sample = sample.unwrap_or_else(|| panic!("not read"));
        assert_eq!(
            (sample.name.value.as_str(), sample.name.span.line, sample.name.span.column),
            ("größe", 1, 7)
        );
        assert_eq!((sample.name.span.start, sample.name.span.end), (6, 13));
        assert_eq!((sample.count.value, sample.count.span.start), (4, 21));
        assert_eq!(sample.odd, Lenient(None));
        let keys: Vec<_> = sample
            .parts
            .0
            .iter()
            .map(|(key, parts)| (key.value.as_str(), key.span.line, parts.len()))
            .collect();
        assert_eq!(keys, [("a", 5, 1), ("b", 6, 0)]);
        assert_eq!(unknown, [("extra".to_owned(), 7)]);
    }

    #[test]
    fn numbers_beyond_the_limits_saturate() {
        let (sample, _) = read("{name: n, count: 99999999999999999999999, parts: {}, odd: text}");
        let sample = sample.unwrap_or_else(|| panic!("not read"));
        assert_eq!(sample.count.value, u64::MAX);
        assert_eq!(sample.odd.0.map(|odd| odd.value).as_deref(), Some("text"));
    }

    #[test]
    fn a_wrong_type_is_a_mismatch() {
        assert!(read("{name: 1, count: 1, parts: {}}").0.is_none());
        assert!(read("{name: n, count: 1.5, parts: {}}").0.is_none());
        assert!(read("[1]").0.is_none());
    }
}
