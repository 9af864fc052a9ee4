//! Changes to a config file that leave everything else of it as it was written: order, comments, notation.
//!
//! ```text
//! text -> values with their places -> one place written anew -> read again: it must mean what was wanted, and nothing else
//! ```
//!
//! Libraries that do this know no sequences in brackets, or need a C parser and a newer compiler than ours. The places are
//! known here already, and an edit that would go wrong is found by reading the result.

use serde_json::Value as Json;

use crate::template::written;
use crate::yaml::{self, Dialect, Node, Text, Value, to_json};

/// A step on the way from the root of a document to a value in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The value under a key.
    Key(String),
    /// An item of a sequence, from 0.
    Item(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(item: usize) -> Self {
        Self::Item(item)
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// Gives a value to a key, which the mapping may have already.
    Set(Vec<Step>, Json),
    /// Adds an item at the end of a sequence.
    Append(Vec<Step>, Json),
    /// Removes an item of a sequence. The last one stays.
    Remove(Vec<Step>),
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no YAML document.
    #[error("it is no YAML document: {0}")]
    Unreadable(String),
    /// The place cannot be written by a program without changing more than that.
    #[error("its notation at line {line} is one that only a person can change")]
    Unwritable {
        /// The line, from 1.
        line: usize,
    },
}

/// Makes the changes one after the other.
///
/// # Errors
/// See [`Error`]. Then nothing was changed.
pub fn edit(text: &str, edits: &[Edit]) -> Result<String, Error> {
    edits.iter().try_fold(text.to_owned(), |text, edit| one(&text, edit))
}

/// A document as data, without looking at what it says.
///
/// # Errors
/// It is no YAML document.
pub fn read(text: &str) -> Result<Json, Error> {
    parse(text).map(|root| to_json(&root))
}

fn parse(text: &str) -> Result<Node, Error> {
    let unreadable = |found: crate::Diagnostic| Error::Unreadable(found.message);
    let text = Text::new(text.as_bytes()).map_err(unreadable)?;
    let document = yaml::parse(&text).map_err(unreadable)?;
    Ok(document.resolve(Dialect::Core).map_err(unreadable)?.root)
}

fn one(text: &str, edit: &Edit) -> Result<String, Error> {
    let root = parse(text)?;
    let mut wanted = to_json(&root);
    let (path, after) = match edit {
        Edit::Set(path, value) => {
            set(&mut wanted, path, value);
            (path, write_set(text, &root, path, value))
        }
        Edit::Append(path, value) => {
            if let Some(Json::Array(items)) = walk_json(&mut wanted, path) {
                items.push(value.clone());
            }
            (path, write_append(text, &root, path, value))
        }
        Edit::Remove(path) => {
            if let [way @ .., Step::Item(at)] = &path[..]
                && let Some(Json::Array(items)) = walk_json(&mut wanted, way)
                && *at < items.len()
            {
                items.remove(*at);
            }
            (path, write_remove(text, &root, path))
        }
    };
    let nearest = (0..=path.len()).rev().find_map(|length| walk(&root, &path[..length]));
    let unwritable = || Error::Unwritable { line: nearest.map_or(1, |node| node.span.line) };
    let after = after.ok_or_else(unwritable)?;
    // Another anchor, another tag, a comment in the middle: whatever was not thought of shows here.
    if read(&after).ok().as_ref() == Some(&wanted) { Ok(after) } else { Err(unwritable()) }
}

fn walk<'a>(root: &'a Node, path: &[Step]) -> Option<&'a Node> {
    path.iter().try_fold(root, |node, step| match (step, &node.value) {
        (Step::Key(key), _) => node.get(key),
        (Step::Item(at), Value::Sequence(items)) => items.get(*at),
        _ => None,
    })
}

fn walk_json<'a>(root: &'a mut Json, path: &[Step]) -> Option<&'a mut Json> {
    path.iter().try_fold(root, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Item(at) => value.get_mut(at),
    })
}

fn set(wanted: &mut Json, path: &[Step], value: &Json) {
    if let [way @ .., Step::Key(key)] = path
        && let Some(Json::Object(entries)) = walk_json(wanted, way)
    {
        entries.insert(key.clone(), value.clone());
    }
}

fn write_set(text: &str, root: &Node, path: &[Step], value: &Json) -> Option<String> {
    let [way @ .., Step::Key(key)] = path else { return None };
    let parent = walk(root, way)?;
    if let Some(old) = parent.get(key) {
        return Some(splice(text, old.span.start, old.span.end, &flow(value)));
    }
    let Value::Mapping(entries) = &parent.value else { return None };
    let entry = format!("{}: {}", written(key), flow(value));
    let Some((first, last)) = entries.first().zip(entries.last()) else {
        let open = parent.span.start + text[parent.span.start..].find('{')? + 1;
        return Some(splice(text, open, open, &entry));
    };
    if text[parent.span.start..].starts_with('{') {
        return Some(splice(text, last.1.span.end, last.1.span.end, &format!(", {entry}")));
    }
    let indentation = " ".repeat(first.0.span.column - 1);
    let end = line_end(text, last.1.span.end);
    Some(splice(text, end, end, &format!("{}{indentation}{entry}\n", line_break(text, end))))
}

fn write_append(text: &str, root: &Node, path: &[Step], value: &Json) -> Option<String> {
    let sequence = walk(root, path)?;
    let Value::Sequence(items) = &sequence.value else { return None };
    let last = items.last()?;
    if text[sequence.span.start..].starts_with('[') {
        return Some(splice(text, last.span.end, last.span.end, &format!(", {}", flow(value))));
    }
    let dash = dash(text, last)?;
    let prefix = &text[dash..last.span.start];
    let end = line_end(text, last.span.end);
    Some(splice(text, end, end, &format!("{}{prefix}{}\n", line_break(text, end), flow(value))))
}

fn write_remove(text: &str, root: &Node, path: &[Step]) -> Option<String> {
    let [way @ .., Step::Item(at)] = path else { return None };
    let sequence = walk(root, way)?;
    let Value::Sequence(items) = &sequence.value else { return None };
    let item = items.get(*at)?;
    if items.len() == 1 {
        return None;
    }
    if text[sequence.span.start..].starts_with('[') {
        let (start, end) = match items.get(at + 1) {
            Some(next) => (item.span.start, next.span.start),
            None => (items[at - 1].span.end, item.span.end),
        };
        return Some(splice(text, start, end, ""));
    }
    Some(splice(text, dash(text, item)?, line_end(text, item.span.end), ""))
}

/// Where the line begins in which a block sequence's item does, if nothing but its dash is before it.
fn dash(text: &str, item: &Node) -> Option<usize> {
    let line = text[..item.span.start].rfind('\n').map_or(0, |end| end + 1);
    let before = text[line..item.span.start].trim();
    (before == "-").then_some(line)
}

/// Behind the line break that ends the line of a place.
fn line_end(text: &str, at: usize) -> usize {
    // A value that ends where a line begins ended with the line before.
    let at = if at > 0 && text.as_bytes().get(at - 1) == Some(&b'\n') { at - 1 } else { at };
    text[at..].find('\n').map_or(text.len(), |length| at + length + 1)
}

/// What must come before a new line at this place: the last line of a file may have no end.
fn line_break(text: &str, at: usize) -> &'static str {
    if at == text.len() && !text.ends_with('\n') { "\n" } else { "" }
}

fn splice(text: &str, start: usize, end: usize, new: &str) -> String {
    format!("{}{new}{}", &text[..start], &text[end..])
}

/// A value in one line.
fn flow(value: &Json) -> String {
    match value {
        Json::String(text) => written(text),
        Json::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Json::Object(entries) => {
            // A name is what people look for first.
            let (first, others): (Vec<_>, Vec<_>) = entries.iter().partition(|(key, _)| *key == "name");
            let entries = first.into_iter().chain(others);
            let entries = entries.map(|(key, value)| format!("{}: {}", written(key), flow(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> Vec<Step> {
        let step = |step: &str| step.parse::<usize>().map_or_else(|_| Step::from(step), Step::from);
        text.split('/').map(step).collect()
    }

    fn edited(text: &str, change: Edit) -> Option<String> {
        edit(text, &[change]).ok()
    }

    #[test]
    fn one_place_changes_and_all_else_stays() {
        let rows = [
            ("a: 1 # why\nb: 2\n", Edit::Set(path("a"), json!(7)), "a: 7 # why\nb: 2\n"),
            ("n: {x: 1}  # c\n", Edit::Set(path("n/y"), json!("z")), "n: {x: 1, y: z}  # c\n"),
            ("n: {}\n", Edit::Set(path("n/y"), json!(2)), "n: {y: 2}\n"),
            (
                "n:\n  x: 1 # c\n# d\nm: 2\n",
                Edit::Set(path("n/y"), json!(2)),
                "n:\n  x: 1 # c\n  y: 2\n# d\nm: 2\n",
            ),
            ("n:\n  x: 1", Edit::Set(path("n/y"), json!({"a": 1})), "n:\n  x: 1\n  y: {a: 1}\n"),
            (
                "l:\n  - {name: a} # first\n  - name: b\n    cpus: 2\n\nm: 1\n",
                Edit::Append(path("l"), json!({"name": "c", "cpus": 2})),
                "l:\n  - {name: a} # first\n  - name: b\n    cpus: 2\n  - {name: c, cpus: 2}\n\nm: 1\n",
            ),
            ("l: [a, b] # c\n", Edit::Append(path("l"), json!("c")), "l: [a, b, c] # c\n"),
            ("l:\n- a\n- b # x\n- c\n", Edit::Remove(path("l/1")), "l:\n- a\n- c\n"),
            ("l: [a, b, c]\n", Edit::Remove(path("l/1")), "l: [a, c]\n"),
            ("l: [a, b, c]\n", Edit::Remove(path("l/2")), "l: [a, b]\n"),
            ("l:\n  - name: a\n    x: 1\n  - {name: b}\n", Edit::Remove(path("l/0")), "l:\n  - {name: b}\n"),
            (
                "l:\n  - {n: a}\n",
                Edit::Set(path("l/0/address"), json!("10.0.0.1")),
                "l:\n  - {n: a, address: 10.0.0.1}\n",
            ),
            ("l:\n  - n: a\n", Edit::Set(path("l/0/c"), json!(true)), "l:\n  - n: a\n    c: true\n"),
            ("a: x\n", Edit::Set(path("a"), json!("no: \"1\"")), "a: \"no: \\\"1\\\"\"\n"),
        ];
        for (before, change, after) in rows {
            assert_eq!(edited(before, change.clone()).as_deref(), Some(after), "{before:?} {change:?}");
        }
    }

    #[test]
    fn what_would_mean_something_else_is_refused() {
        let rows = [
            ("l: [a]\n", Edit::Remove(path("l/0"))),
            ("l: [a]\n", Edit::Remove(path("l/3"))),
            ("l: 1\n", Edit::Append(path("l"), json!(1))),
            ("a: &x {b: 1}\nc: *x\n", Edit::Set(path("a/b"), json!(2))),
            ("l:\n  - - a\n    - b\n", Edit::Remove(path("l/0/0"))),
            ("a: [", Edit::Set(path("a"), json!(1))),
        ];
        for (text, change) in rows {
            assert!(edited(text, change.clone()).is_none(), "{text:?} {change:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_back(text in "\\PC{0,12}|[a-z0-9:#'\" ,{}\\[\\]-]{0,12}", number in any::<i32>()) {
            let before = "c:\n  nodes:\n    - {name: a} # keep\n  more: [x]\n";
            let value = json!({"name": text, "cpus": number});
            let edits = [Edit::Append(path("c/nodes"), value.clone()), Edit::Append(path("c/more"), json!(text))];
            let after = edit(before, &edits).unwrap();
            let read = read(&after).unwrap();
            prop_assert_eq!(&read["c"]["nodes"][1], &value);
            prop_assert_eq!(&read["c"]["more"][1], &json!(text));
            prop_assert!(after.contains("- {name: a} # keep\n"), "{}", after);
        }
    }
}
