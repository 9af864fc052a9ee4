//! The parser's events as a graph of [`RawNode`]s: aliases are edges, scalars are still text.

use std::collections::{BTreeSet, HashMap};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Tag};

use super::{MAX_DEPTH, MAX_VALUES, Text};
use crate::diagnostic::{Code, Diagnostic, Span};

/// One YAML document, syntax checked.
#[derive(Debug)]
pub(crate) struct Document {
    pub(super) nodes: Vec<RawNode>,
    pub(super) root: NodeId,
}

/// Index into [`Document::nodes`].
pub(super) type NodeId = usize;

#[derive(Debug)]
pub(super) struct RawNode {
    pub(super) span: Span,
    /// The tag in full, when the document gives one.
    pub(super) tag: Option<String>,
    pub(super) kind: RawKind,
}

#[derive(Debug)]
pub(super) enum RawKind {
    Scalar {
        text: String,
        plain: bool,
        /// Whether it is written as lines below a `|` or `>`; its place begins with the first of them.
        block: bool,
    },
    Sequence(Vec<Item>),
    Mapping(Vec<(Item, Item)>),
}

/// Where a node is used: its own place, or that of an alias.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub(super) node: NodeId,
    pub(super) span: Span,
}

/// Reads exactly one document.
pub(crate) fn parse(text: &Text<'_>) -> Result<Document, Diagnostic> {
    let mut parser = Parser::new_from_str(text.as_str());
    let mut builder = Builder { nodes: Vec::new(), open: Vec::new(), anchors: HashMap::new(), root: None };
    let mut documents = 0;
    while let Some(event) = parser.next_event() {
        let (event, place) = event.map_err(|error| syntax(text, &error))?;
        let span = text.span(&place.start, &place.end);
        match event {
            Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
            Event::StreamEnd => break,
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    return Err(Diagnostic::error(
                        Code::SeveralDocuments,
                        span,
                        "a second YAML document starts here",
                    )
                    .cause("a config is one document")
                    .help("put the other document into a file of its own, or remove the `---`"));
                }
            }
            Event::Alias(anchor) => builder.alias(anchor, span)?,
            Event::Scalar(scalar, style, anchor, tag) => {
                let (plain, block) = match style {
                    ScalarStyle::Plain => (true, false),
                    ScalarStyle::Literal | ScalarStyle::Folded => (false, true),
                    _ => (false, false),
                };
                let kind = RawKind::Scalar { text: scalar.into_owned(), plain, block };
                let node = builder.add(span, tag.as_deref(), kind)?;
                builder.close(node, anchor);
            }
            Event::SequenceStart(anchor, tag) => {
                builder.open(span, anchor, tag.as_deref(), RawKind::Sequence(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                builder.open(span, anchor, tag.as_deref(), RawKind::Mapping(Vec::new()))?;
            }
            Event::SequenceEnd | Event::MappingEnd => builder.end(span),
        }
    }
    match builder.root {
        Some(root) => Ok(Document { nodes: builder.nodes, root }),
        None => Err(Diagnostic::error(Code::EmptyDocument, Span::START, "the file is empty")
            .cause("it holds no YAML document, only white space or comments")
            .help("a config starts with `version: \"2.0\"`")),
    }
}

impl Document {
    /// The first bytes of texts that are written as lines below a `|` or `>`.
    pub(crate) fn blocks(&self) -> BTreeSet<usize> {
        let is_block = |node: &&RawNode| matches!(node.kind, RawKind::Scalar { block: true, .. });
        self.nodes.iter().filter(is_block).map(|node| node.span.start).collect()
    }
}

/// Puts nodes together, with a stack of its own rather than recursion.
struct Builder {
    nodes: Vec<RawNode>,
    open: Vec<Open>,
    anchors: HashMap<usize, NodeId>,
    root: Option<NodeId>,
}

/// A collection whose end has not come yet.
struct Open {
    node: NodeId,
    anchor: usize,
    /// The key that waits for its value.
    key: Option<Item>,
}

impl Builder {
    fn add(&mut self, span: Span, tag: Option<&Tag>, kind: RawKind) -> Result<NodeId, Diagnostic> {
        if self.nodes.len() >= MAX_VALUES {
            return Err(too_many_values(span));
        }
        let tag = tag.map(|tag| format!("{}{}", tag.handle, tag.suffix));
        self.nodes.push(RawNode { span, tag, kind });
        Ok(self.nodes.len() - 1)
    }

    fn open(
        &mut self,
        span: Span,
        anchor: usize,
        tag: Option<&Tag>,
        kind: RawKind,
    ) -> Result<(), Diagnostic> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(span));
        }
        let node = self.add(span, tag, kind)?;
        if anchor > 0 {
            self.anchors.insert(anchor, node);
        }
        self.open.push(Open { node, anchor, key: None });
        Ok(())
    }

    fn end(&mut self, at: Span) {
        let Some(Open { node, anchor, .. }) = self.open.pop() else { return };
        // A flow collection ends with its bracket, a block collection with its last value.
        let last = match &self.nodes[node].kind {
            RawKind::Scalar { .. } => None,
            RawKind::Sequence(items) => items.last().map(|item| item.span.end),
            RawKind::Mapping(entries) => entries.last().map(|(key, value)| value.span.end.max(key.span.end)),
        };
        let span = &mut self.nodes[node].span;
        span.end = if at.end > at.start { at.end } else { last.unwrap_or(span.end) }.max(span.end);
        self.close(node, anchor);
    }

    /// Hands a complete node to what contains it.
    fn close(&mut self, node: NodeId, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, node);
        }
        self.attach(Item { node, span: self.nodes[node].span });
    }

    fn attach(&mut self, item: Item) {
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(item.node);
            return;
        };
        match &mut self.nodes[parent.node].kind {
            RawKind::Scalar { .. } => {}
            RawKind::Sequence(items) => items.push(item),
            RawKind::Mapping(entries) => match parent.key.take() {
                None => parent.key = Some(item),
                Some(key) => entries.push((key, item)),
            },
        }
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Diagnostic> {
        // The parser refuses unknown names; the number is always one it gave out.
        let Some(node) = self.anchors.get(&anchor).copied() else {
            return Err(Diagnostic::error(Code::YamlSyntax, span, "unknown anchor"));
        };
        if self.open.iter().any(|open| open.node == node) {
            return Err(Diagnostic::error(
                Code::CyclicAlias,
                span,
                "this alias refers to a value that contains it",
            )
            .cause("expanding it would never end")
            .help("write the value out, or move the anchor to a value that does not contain the alias")
            .also(self.nodes[node].span, "the value with the anchor"));
        }
        self.attach(Item { node, span });
        Ok(())
    }
}

pub(super) fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::error(Code::TooDeep, span, format!("nested deeper than {MAX_DEPTH} levels"))
        .cause(
            "a config needs about ten levels; this is probably another kind of file, or a bracket is missing",
        )
        .help("check the brackets and the indentation")
}

pub(super) fn too_many_values(span: Span) -> Diagnostic {
    Diagnostic::error(
        Code::TooManyValues,
        span,
        format!("the document has more than {MAX_VALUES} keys and values"),
    )
    .cause("aliases count as often as they are used")
    .help("use fewer aliases, or split the document")
}

fn syntax(text: &Text<'_>, error: &ScanError) -> Diagnostic {
    let span = text.span(error.marker(), error.marker());
    let found = Diagnostic::error(Code::YamlSyntax, span, format!("not valid YAML: {}", error.info()));
    let line = text.line(span.line);
    let indentation = &line[..line.len() - line.trim_start().len()];
    if indentation.contains('\t') {
        found.cause("the line is indented with a tab, which YAML does not allow").help("indent with spaces")
    } else if error.info().contains("recursion limit") {
        too_deep(span)
    } else {
        found.help("check the indentation, the quotes and the brackets here and on the line before")
    }
}

#[cfg(test)]
mod tests {
    use super::super::Text;
    use super::parse;
    use crate::diagnostic::Code;

    fn code(text: &str) -> Option<(Code, usize, usize)> {
        let text = Text::new(text.as_bytes()).ok()?;
        parse(&text).err().map(|found| (found.code, found.span.line, found.span.column))
    }

    #[test]
    fn what_is_not_one_document_is_refused_at_its_place() {
        let rows = [
            ("", Code::EmptyDocument, 1, 1),
            ("# nothing\n", Code::EmptyDocument, 1, 1),
            ("a: 1\n---\nb: 2\n", Code::SeveralDocuments, 2, 1),
            ("a: [1\n", Code::YamlSyntax, 2, 1),
            ("a: *b\n", Code::YamlSyntax, 1, 4),
            ("a:\n\tb: 1\n", Code::YamlSyntax, 2, 2),
            ("a: &b [*b]\n", Code::CyclicAlias, 1, 8),
            ("a: \"open\n", Code::YamlSyntax, 1, 4),
        ];
        for (text, expected, line, column) in rows {
            assert_eq!(code(text), Some((expected, line, column)), "{text:?}");
        }
    }

    #[test]
    fn nesting_is_limited_without_recursion() {
        for text in ["[".repeat(100_000), "- ".repeat(100_000), "? ".repeat(100_000), "{a: ".repeat(50_000)] {
            let (code, line, _) = code(&text).unwrap_or_else(|| panic!("{} was accepted", &text[..8]));
            assert_eq!((code, line), (Code::TooDeep, 1), "{}", &text[..8]);
        }
        let blocks: String = (0..600).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        assert_eq!(code(&blocks).map(|found| found.0), Some(Code::TooDeep));
    }

    #[test]
    fn the_number_of_values_is_limited() {
        let text = "- 1\n".repeat(150_000);
        assert_eq!(code(&text).map(|found| found.0), Some(Code::TooManyValues));
    }
}
