//! Raw nodes become values: scalars get their types, aliases are expanded, merge keys merged, keys checked.

use std::collections::HashMap;

use super::raw::{Item, NodeId, RawKind, RawNode, too_deep, too_many_values};
use super::{Dialect, Document, Key, MAX_DEPTH, MAX_VALUES, Node, Value, scalar};
use crate::diagnostic::{Code, Diagnostic, Span};

const CORE_TAG: &str = "tag:yaml.org,2002:";

/// A document's values, and what was odd about it.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) root: Node,
    pub(crate) findings: Vec<Diagnostic>,
}

impl Document {
    /// Gives every scalar its type.
    pub(crate) fn resolve(&self, dialect: Dialect) -> Result<Resolved, Diagnostic> {
        let mut resolver = Resolver { nodes: &self.nodes, dialect, budget: MAX_VALUES, findings: Vec::new() };
        let root = Item { node: self.root, span: self.nodes[self.root].span };
        let root = resolver.node(root, 0)?;
        Ok(Resolved { root, findings: resolver.findings })
    }
}

struct Resolver<'a> {
    nodes: &'a [RawNode],
    dialect: Dialect,
    /// How many more values may come.
    budget: usize,
    findings: Vec<Diagnostic>,
}

impl<'a> Resolver<'a> {
    fn raw(&self, node: NodeId) -> &'a RawNode {
        &self.nodes[node]
    }

    fn node(&mut self, item: Item, depth: usize) -> Result<Node, Diagnostic> {
        let Item { node, span } = item;
        if depth > MAX_DEPTH {
            return Err(too_deep(span));
        }
        self.spend(span)?;
        let value = self.value(node, depth).map_err(|mut found| {
            // The alias makes it too much, not what it stands for.
            if found.code == Code::TooManyValues && span != self.raw(node).span {
                found.span = span;
            }
            found
        })?;
        Ok(Node { span, value })
    }

    fn value(&mut self, node: NodeId, depth: usize) -> Result<Value, Diagnostic> {
        let raw = self.raw(node);
        Ok(match &raw.kind {
            RawKind::Scalar { text, plain, .. } => self.scalar(raw, text, *plain)?,
            RawKind::Sequence(items) => {
                let values =
                    items.iter().map(|item| self.node(*item, depth + 1)).collect::<Result<_, _>>()?;
                match collection_tag(raw) {
                    None | Some("seq") => Value::Sequence(values),
                    Some("omap" | "pairs") => Value::Opaque("a list of pairs"),
                    Some(_) => return Err(unsupported_tag(raw)),
                }
            }
            RawKind::Mapping(entries) => {
                let values = self.mapping(entries, depth)?;
                match collection_tag(raw) {
                    None | Some("map") => Value::Mapping(values),
                    Some("set") => Value::Opaque("a set"),
                    Some(_) => return Err(unsupported_tag(raw)),
                }
            }
        })
    }

    fn spend(&mut self, span: Span) -> Result<(), Diagnostic> {
        self.budget = self.budget.checked_sub(1).ok_or_else(|| too_many_values(span))?;
        Ok(())
    }

    fn scalar(&self, raw: &RawNode, text: &str, is_plain: bool) -> Result<Value, Diagnostic> {
        let value = match raw.tag.as_deref() {
            // PyYAML knows a type for a lone `=` but no value of it.
            None if is_plain && text == "=" && self.dialect == Dialect::Yaml11 => None,
            None if is_plain => Some(scalar::plain(self.dialect, text)),
            None | Some("!") => Some(Value::String(text.to_owned())),
            Some(tag) => tag.strip_prefix(CORE_TAG).and_then(|kind| scalar::tagged(self.dialect, kind, text)),
        };
        value.ok_or_else(|| unsupported_tag(raw))
    }

    fn mapping(&mut self, entries: &'a [(Item, Item)], depth: usize) -> Result<Vec<(Key, Node)>, Diagnostic> {
        let mut own: Vec<(Key, Node)> = Vec::with_capacity(entries.len());
        let mut merged: Vec<(Key, Node)> = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::with_capacity(entries.len());
        for (key_item, value_item) in entries {
            self.spend(key_item.span)?;
            if self.is_merge(*key_item) {
                // Of several merge keys the last one counts, as in PyYAML.
                merged.splice(0..0, self.merge(*value_item, depth)?);
                continue;
            }
            let key = self.key(*key_item)?;
            let value = self.node(*value_item, depth + 1)?;
            match seen.get(&key.text) {
                None => {
                    seen.insert(key.text.clone(), own.len());
                    own.push((key, value));
                }
                Some(&earlier) => {
                    self.duplicate(&key, own[earlier].0.span);
                    own[earlier] = (key, value);
                }
            }
        }
        for (key, value) in merged {
            if !seen.contains_key(&key.text) {
                seen.insert(key.text.clone(), own.len());
                own.push((key, value));
            }
        }
        Ok(own)
    }

    fn key(&mut self, item: Item) -> Result<Key, Diagnostic> {
        let raw = self.raw(item.node);
        let RawKind::Scalar { text, plain, .. } = &raw.kind else {
            return Err(Diagnostic::error(Code::ComplexKey, item.span, "a key must be a text")
                .cause("this key is a list or a mapping")
                .help("write a plain word before the colon; quote it if it starts with `[` or `{`"));
        };
        let text = match self.scalar(raw, text, *plain)? {
            Value::String(text) => text,
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Int(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Opaque(_) | Value::Sequence(_) | Value::Mapping(_) => text.clone(),
        };
        Ok(Key { span: item.span, text })
    }

    fn is_merge(&self, key: Item) -> bool {
        let raw = self.raw(key.node);
        self.dialect == Dialect::Yaml11
            && match (&raw.kind, raw.tag.as_deref()) {
                (RawKind::Scalar { text, plain: true, .. }, None) => text == "<<",
                (RawKind::Scalar { .. }, Some(tag)) => tag.strip_prefix(CORE_TAG) == Some("merge"),
                _ => false,
            }
    }

    /// What `<<` brings: the entries of a mapping, or of several with the first one counting most.
    fn merge(&mut self, item: Item, depth: usize) -> Result<Vec<(Key, Node)>, Diagnostic> {
        match &self.raw(item.node).kind {
            RawKind::Mapping(entries) if depth < MAX_DEPTH => self.mapping(entries, depth + 1),
            RawKind::Mapping(_) => Err(too_deep(item.span)),
            RawKind::Sequence(items) => {
                let mut all = Vec::new();
                for item in items {
                    self.spend(item.span)?;
                    match &self.raw(item.node).kind {
                        RawKind::Mapping(entries) if depth < MAX_DEPTH => {
                            all.extend(self.mapping(entries, depth + 1)?);
                        }
                        _ => return Err(bad_merge(item.span)),
                    }
                }
                Ok(all)
            }
            RawKind::Scalar { .. } => Err(bad_merge(item.span)),
        }
    }

    fn duplicate(&mut self, key: &Key, first: Span) {
        let found = match self.dialect {
            Dialect::Core => Diagnostic::error(
                Code::DuplicateKey,
                key.span,
                format!("the key `{}` appears twice", key.text),
            )
            .cause("a mapping has every key once"),
            Dialect::Yaml11 => Diagnostic::warning(
                Code::DuplicateKey,
                key.span,
                format!("the key `{}` appears twice", key.text),
            )
            .cause("version 1.0 silently uses the last one"),
        };
        self.findings.push(found.help("remove one of the two").also(first, "first used here"));
    }
}

fn collection_tag(raw: &RawNode) -> Option<&str> {
    match raw.tag.as_deref() {
        None | Some("!") => None,
        Some(tag) => Some(tag.strip_prefix(CORE_TAG).unwrap_or(tag)),
    }
}

fn unsupported_tag(raw: &RawNode) -> Diagnostic {
    let tag = raw.tag.as_deref().unwrap_or("=");
    let tag = tag.strip_prefix(CORE_TAG).map_or_else(|| tag.to_owned(), |kind| format!("!!{kind}"));
    Diagnostic::error(
        Code::UnsupportedTag,
        raw.span,
        format!("the tag `{tag}` cannot be applied to this value"),
    )
    .cause("configs consist of texts, numbers, booleans, lists and mappings")
    .help("remove the tag; quote the value if it is meant as text")
}

fn bad_merge(span: Span) -> Diagnostic {
    Diagnostic::error(Code::BadMerge, span, "`<<` needs a mapping, or a list of mappings")
        .cause("it copies the keys of another mapping into this one")
        .help("refer to an anchor on a mapping: `<<: *name`")
}

#[cfg(test)]
mod tests {
    use super::super::{Dialect, Node, Text, Value, parse};
    use crate::diagnostic::{Code, Diagnostic, Severity};

    fn resolve(text: &str, dialect: Dialect) -> Result<super::Resolved, Diagnostic> {
        let text = Text::new(text.as_bytes())?;
        parse(&text)?.resolve(dialect)
    }

    fn number(node: &Node, key: &str) -> Option<i64> {
        match node.get(key)?.value {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }

    #[test]
    fn merge_keys_follow_pyyaml() {
        let text = "a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2}\nc: {<<: [*a, *b], y: 3}\nd: {x: 4, <<: *a}\n";
        let resolved = resolve(text, Dialect::Yaml11).unwrap_or_else(|found| panic!("{found:?}"));
        let c = resolved.root.get("c").unwrap_or_else(|| panic!("no c"));
        assert_eq!((number(c, "x"), number(c, "y"), number(c, "z")), (Some(1), Some(3), Some(2)));
        let d = resolved.root.get("d").unwrap_or_else(|| panic!("no d"));
        assert_eq!((number(d, "x"), number(d, "y")), (Some(4), Some(1)));
        assert!(resolved.findings.is_empty(), "{:?}", resolved.findings);
    }

    #[test]
    fn the_core_schema_has_no_merge_keys() {
        let resolved = resolve("a: &a {x: 1}\nb: {<<: *a}\n", Dialect::Core);
        let resolved = resolved.unwrap_or_else(|found| panic!("{found:?}"));
        assert!(resolved.root.get("b").is_some_and(|b| b.get("<<").is_some()));
    }

    #[test]
    fn a_duplicate_key_is_a_warning_in_1_1_and_an_error_in_core() {
        for (dialect, severity) in [(Dialect::Yaml11, Severity::Warning), (Dialect::Core, Severity::Error)] {
            let resolved = resolve("a: 1\nb: 2\na: 3\n", dialect).unwrap_or_else(|found| panic!("{found:?}"));
            assert_eq!(number(&resolved.root, "a"), Some(3));
            let [found] = &resolved.findings[..] else { panic!("{:?}", resolved.findings) };
            assert_eq!((found.code, found.severity, found.span.line), (Code::DuplicateKey, severity, 3));
            assert_eq!(found.secondary.as_ref().map(|label| label.span.line), Some(1));
        }
    }

    #[test]
    fn exploding_aliases_are_stopped() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let previous = level - 1;
            let aliases = vec![format!("*a{previous}"); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        let found = resolve(&text, Dialect::Core).err().map(|found| found.code);
        assert_eq!(found, Some(Code::TooManyValues));
    }

    #[test]
    fn deep_aliases_are_stopped() {
        let mut text = "- &a0 x\n".to_owned();
        for level in 1..200 {
            text.push_str(&format!("- &a{level} [*a{}]\n", level - 1));
        }
        let found = resolve(&text, Dialect::Core).err().map(|found| found.code);
        assert_eq!(found, Some(Code::TooDeep));
    }

    #[test]
    fn merges_of_merges_are_stopped() {
        let mut text = "a0: &a0 {x: 1}\n".to_owned();
        for level in 1..60 {
            text.push_str(&format!(
                "a{level}: &a{level} {{<<: [{}]}}\n",
                vec![format!("*a{}", level - 1); 10].join(", ")
            ));
        }
        let found = resolve(&text, Dialect::Yaml11).err().map(|found| found.code);
        assert_eq!(found, Some(Code::TooManyValues));
    }
}
