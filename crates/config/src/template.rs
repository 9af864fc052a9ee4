//! A YAML template with its `${}` expressions replaced, and everything else as it was written: order, comments, quotes.
//!
//! ```text
//! text -> values with their places -> expressions replaced -> the places of those that changed, written anew
//! ```
//!
//! Only texts among the values change, as in a document of version 1.0. An expression is never read as YAML, so it cannot
//! make a list, a number or a key.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::diagnostic::{Diagnostic, Span};
use crate::draft::Findings;
use crate::expand;
use crate::yaml::{self, Dialect, Node, Text, Value, is_printable, plain, to_json};
use crate::{Context, Severity};

/// A variable that a template names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// How often it is named, in expressions within expressions too.
    pub uses: usize,
    /// The line that names it first, from 1.
    pub line: usize,
}

/// A template whose expressions were replaced.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// The new text.
    pub text: String,
    /// The same as data.
    pub value: Json,
}

/// The variables of a template in the order in which it names them. Whether they have a value does not matter.
///
/// # Errors
/// It is no YAML document.
pub fn variables(bytes: &[u8]) -> Result<Vec<Variable>, Diagnostic> {
    let text = Text::new(bytes)?;
    let root = yaml::parse(&text)?.resolve(Dialect::Yaml11)?.root;
    let mut found: Vec<Variable> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (span, value) in texts(&root) {
        for name in expand::names(value) {
            let place = *places.entry(name).or_insert_with_key(|name| {
                found.push(Variable { name: name.clone(), uses: 0, line: span.line });
                found.len() - 1
            });
            found[place].uses += 1;
        }
    }
    Ok(found)
}

/// Replaces the expressions of a template by the variables of `context`.
///
/// # Errors
/// It is no YAML document, or it has expressions that cannot be replaced: all of them.
pub fn render(bytes: &[u8], context: &Context) -> Result<Rendered, Vec<Diagnostic>> {
    let text = Text::new(bytes).map_err(|found| vec![found])?;
    let document = yaml::parse(&text).map_err(|found| vec![found])?;
    let before = document.resolve(Dialect::Yaml11).map_err(|found| vec![found])?.root;
    let blocks = document.blocks();
    let mut after = before.clone();
    let mut findings = Findings::new(Severity::Error);
    expand::expand_values(&mut after, &context.environment, context.process_id, &mut findings);
    if !findings.list.is_empty() {
        return Err(findings.list);
    }
    // Places count from the first byte, which may be that of a byte order mark.
    let whole = std::str::from_utf8(bytes).unwrap_or_default();
    let mut changes: BTreeMap<usize, (Span, &str)> = BTreeMap::new();
    for ((span, old), (_, new)) in texts(&before).into_iter().zip(texts(&after)) {
        // An alias stands for a text that is written anew where its anchor is.
        if old != new && !whole[span.range()].starts_with('*') {
            changes.insert(span.start, (span, new));
        }
    }
    let mut out = String::with_capacity(bytes.len());
    let mut end = 0;
    for (span, new) in changes.into_values() {
        let is_block = blocks.contains(&span.start);
        let start = if is_block { block_start(whole, span.start) } else { text_start(whole, span.start) };
        let old = &whole[start..span.end];
        out.push_str(&whole[end..start]);
        out.push_str(&scalar(old, new));
        // The last line break of a block is its own.
        out.push_str(&old[old.trim_end().len()..]);
        end = span.end;
    }
    out.push_str(&whole[end..]);
    Ok(Rendered { text: out, value: to_json(&after) })
}

/// A document as data. The expressions of version 1.0 are replaced as [`load`](crate::load) does, where that is possible.
///
/// # Errors
/// It is no YAML document.
pub fn data(bytes: &[u8], context: &Context) -> Result<Json, Diagnostic> {
    let text = Text::new(bytes)?;
    let mut root = yaml::parse(&text)?.resolve(Dialect::Yaml11)?.root;
    if text.as_str().contains("${") {
        let mut findings = Findings::new(Severity::Error);
        expand::expand_values(&mut root, &context.environment, context.process_id, &mut findings);
    }
    Ok(to_json(&root))
}

/// Where a text begins whose place begins with its anchor or tag.
fn text_start(whole: &str, start: usize) -> usize {
    let mut start = start;
    while whole[start..].starts_with(['&', '!']) {
        let rest = whole[start..].trim_start_matches(|c: char| !c.is_whitespace());
        start = whole.len() - rest.trim_start().len();
    }
    start
}

/// Where the `|` or `>` is whose first line begins at `first`.
fn block_start(whole: &str, first: usize) -> usize {
    let above = whole[..first].trim_end();
    let line = above.rfind('\n').map_or(0, |end| end + 1);
    let header = above[line..].split(" #").next().unwrap_or_default();
    header.rfind(['|', '>']).map_or(first, |at| line + at)
}

/// A text in the notation that the old one was in, as far as that can hold it; else in quotes.
fn scalar(old: &str, new: &str) -> String {
    if old.starts_with(['"', '\'', '|', '>']) { quoted(new) } else { written(new) }
}

/// A text without quotes where it means itself then, in every dialect and in brackets too; else in quotes.
pub(crate) fn written(text: &str) -> String {
    let simple = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let first = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/');
    let stays_text = || plain(Dialect::Yaml11, text) == plain(Dialect::Core, text);
    let is_text = || matches!(plain(Dialect::Yaml11, text), Value::String(_));
    if first && text.chars().all(simple) && is_text() && stays_text() {
        return text.to_owned();
    }
    quoted(text)
}

fn quoted(text: &str) -> String {
    // What JSON writes in quotes means the same in YAML, which only has fewer characters that stand for themselves.
    let quoted = Json::from(text).to_string();
    quoted.chars().fold(String::with_capacity(quoted.len()), |mut out, c| {
        if is_printable(c) {
            out.push(c)
        } else {
            out.push_str(&format!("\\u{:04x}", u32::from(c)))
        }
        out
    })
}

/// All texts among the values below a node, in the order of the document.
fn texts(node: &Node) -> Vec<(Span, &str)> {
    fn add<'a>(node: &'a Node, list: &mut Vec<(Span, &'a str)>) {
        match &node.value {
            Value::String(text) => list.push((node.span, text)),
            Value::Sequence(items) => items.iter().for_each(|item| add(item, list)),
            Value::Mapping(entries) => entries.iter().for_each(|(_, value)| add(value, list)),
            _ => {}
        }
    }
    let mut list = Vec::new();
    add(node, &mut list);
    list
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn context() -> Context {
        let variables =
            [("HOME", "/home/ada"), ("N", "4"), ("ODD", "a: b # \"c\"\n\u{1F600}"), ("EMPTY", "")];
        let environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Context { environment: environment.into(), process_id: 4711, ..Context::default() }
    }

    fn rendered(text: &str) -> String {
        render(text.as_bytes(), &context()).unwrap().text
    }

    #[test]
    fn only_texts_change_and_all_else_stays() {
        let rows = [
            ("# ${HOME}\na: ${HOME}/x  # why\n", "# ${HOME}\na: /home/ada/x  # why\n"),
            ("z: 1\na: '${HOME}'\n", "z: 1\na: \"/home/ada\"\n"),
            ("cpus: ${N}\n", "cpus: \"4\"\n"),
            ("a: ['${N}', $HOME, 0x10, yes]\n", "a: [\"4\", /home/ada, 0x10, yes]\n"),
            ("${HOME}: ${HOME}\n", "${HOME}: /home/ada\n"),
            ("a: &x ${HOME}\nb: *x\n", "a: &x /home/ada\nb: *x\n"),
            ("a: |\n  in ${HOME}\n  and more\nb: 1\n", "a: \"in /home/ada\\nand more\\n\"\nb: 1\n"),
            ("a: &x !!str ${HOME}\n", "a: &x !!str /home/ada\n"),
            ("- >2- # why\n\n   $HOME\n- b\n", "- \"\\n /home/ada\"\n- b\n"),
            ("a: ${EMPTY}\n", "a: \"\"\n"),
            ("a: \\$5\n", "a: \"$5\"\n"),
            ("base: &b {p: $HOME}\nother:\n  <<: *b\n", "base: &b {p: /home/ada}\nother:\n  <<: *b\n"),
            ("a: 'it''s'\n", "a: 'it''s'\n"),
        ];
        for (text, expected) in rows {
            assert_eq!(rendered(text), expected, "{text}");
        }
    }

    #[test]
    fn every_expression_that_cannot_be_replaced_is_told() {
        let found = render(b"a: $NO\nb: [x, '${HOME', $ALSO_NO]\n", &context()).unwrap_err();
        assert_eq!(found.iter().map(|found| found.span.line).collect::<Vec<_>>(), [1, 2, 2], "{found:#?}");
        assert!(render(b"", &context()).is_err());
        assert!(render(b"a: [", &context()).is_err());
    }

    #[test]
    fn variables_are_counted_within_expressions_too() {
        let found = variables(b"a: ${X:-${Y}/z}\nb: [$X, '\\$NOT', '$$', '${#Z}']\n").unwrap();
        let found: Vec<(&str, usize, usize)> =
            found.iter().map(|variable| (variable.name.as_str(), variable.uses, variable.line)).collect();
        assert_eq!(found, [("X", 2, 1), ("Y", 1, 1), ("Z", 1, 2)]);
    }

    proptest! {
        #[test]
        fn what_is_rendered_means_what_was_expanded(value in "\\PC{0,20}|[a-z0-9:#'\" \\n-]{0,20}", style in 0..5) {
            let template = match style {
                0 => "a: ${V}\nb: 1\n",
                1 => "a: '${V}'\nb: 1\n",
                2 => "a: {x: [$V, \"${V}\"], y: 2}\nb: 1\n",
                3 => "a: |\n  ${V}\n  x\nb: 1\n",
                _ => "a:\n- ${V}\n- >-\n  x\n  ${V}\nb: 1\n",
            };
            let environment = [("V".to_owned(), value)].into();
            let context = Context { environment, ..Context::default() };
            let Rendered { text, value } = render(template.as_bytes(), &context).unwrap();
            // A dollar in a value is no expression.
            let again = Text::new(text.as_bytes()).unwrap();
            let again = yaml::parse(&again).unwrap().resolve(Dialect::Yaml11).unwrap().root;
            prop_assert_eq!(to_json(&again), value, "{}", text);
        }
    }
}
