//! The shape of a document: what its schema says about it, in words and at its place.

use std::fmt::Write as _;

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::paths::{Location, LocationSegment};
use serde_json::Value as Json;

use crate::diagnostic::{Code, Diagnostic, Severity, Span};
use crate::draft::{Findings, shown};
use crate::suggest::nearest;
use crate::yaml::{Node, Text, UnknownKey, Value, to_json};

/// Where looking at the shape stops. A file of another kind would give a finding for every key.
const MOST: usize = 1000;

/// What other programs call a value, and what it is called here.
const OTHER_NAMES: &[(&str, &str)] =
    &[("amd64", "x86_64"), ("x64", "x86_64"), ("x86-64", "x86_64"), ("arm64", "aarch64")];

/// Reports everything in which the tree differs from the schema.
pub(crate) fn check(
    text: &Text<'_>,
    root: &Node,
    schema: Option<&(Json, jsonschema::Validator)>,
    findings: &mut Findings,
) {
    let Some((schema, validator)) = schema else { return };
    let json = to_json(root);
    let reader = Reader { text, root, schema };
    let errors: Vec<_> = validator.iter_errors(&json).take(MOST).collect();
    let is_unfit = |error: &ValidationError<'_>| matches!(error.kind(), Kind::FalseSchema);
    let unfit: Vec<&str> =
        errors.iter().filter(|error| is_unfit(error)).map(|error| error.instance_path().as_str()).collect();
    let mut list = Vec::new();
    for error in &errors {
        // What a key has that is not to be there at all is nobody's concern.
        if !is_unfit(error) && unfit.iter().any(|key| is_within(error.instance_path().as_str(), key)) {
            continue;
        }
        reader.explain(error, &mut list);
        if list.len() >= MOST {
            break;
        }
    }
    findings.extend_with_shape(list);
}

/// Whether a place is that of a key or in its value.
fn is_within(place: &str, key: &str) -> bool {
    place.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Reports keys that version 1.0 accepts without knowing them.
pub(crate) fn unknown_keys(unknown: Vec<UnknownKey>, findings: &mut Findings) {
    for UnknownKey { key, known } in unknown.into_iter().take(MOST) {
        let found = unknown_key(&key.text, key.span, known.iter().copied())
            .severity(Severity::Warning)
            .cause("version 1.0 accepts any key here and ignores those it does not know");
        findings.push(found);
    }
}

fn unknown_key<'a>(key: &str, span: Span, known: impl Iterator<Item = &'a str>) -> Diagnostic {
    let known: Vec<_> = known.collect();
    let help = match nearest(key, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "remove it".to_owned(),
        None => format!("remove it, or use one of: {}", known.join(", ")),
    };
    Diagnostic::error(Code::UnknownKey, span, format!("the key `{}` is not known here", shown(key)))
        .help(help)
}

/// A place in the tree.
struct Target<'a> {
    node: &'a Node,
    /// The key it stands behind, or none for the root and for items of lists.
    key: Option<Span>,
    /// What to call it: the key, or `item 2`.
    name: String,
    /// Where it is: `clusters.hpc.nodes[1]`.
    path: String,
}

struct Reader<'a> {
    text: &'a Text<'a>,
    root: &'a Node,
    schema: &'a Json,
}

impl<'a> Reader<'a> {
    fn target(&self, location: &Location) -> Target<'a> {
        let mut target =
            Target { node: self.root, key: None, name: "the document".to_owned(), path: String::new() };
        for segment in location {
            match (segment, &target.node.value) {
                (LocationSegment::Property(name), Value::Mapping(_)) => {
                    let Some((key, value)) = target.node.entry(&name) else { break };
                    target.node = value;
                    target.key = Some(key.span);
                    target.name = format!("`{}`", shown(&key.text));
                    if !target.path.is_empty() {
                        target.path.push('.');
                    }
                    target.path.push_str(&key.text);
                }
                (LocationSegment::Index(index), Value::Sequence(items)) => {
                    let Some(value) = items.get(index) else { break };
                    target.node = value;
                    target.key = None;
                    target.name = format!("item {} of {}", index + 1, target.name);
                    let _ = write!(target.path, "[{index}]");
                }
                _ => break,
            }
        }
        target
    }

    fn explain(&self, error: &ValidationError<'_>, list: &mut Vec<Diagnostic>) {
        let target = self.target(error.instance_path());
        let Target { node, name, .. } = &target;
        let value_span = self.one_line(node.span);
        let found = match error.kind() {
            Kind::AdditionalProperties { unexpected } => {
                let known = self.known_keys(error.schema_path());
                list.extend(unexpected.iter().take(MOST).filter_map(|key| {
                    let (key, _) = node.entry(key)?;
                    let found = unknown_key(&key.text, key.span, known.iter().copied());
                    Some(match key.text.as_str() {
                        "<<" => found
                            .cause("version 2.0 has no merge keys")
                            .help("write the keys out; an alias can stand for a whole value"),
                        _ => found.cause(format!("{} has no such key", place(&target.path))),
                    })
                }));
                return;
            }
            Kind::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                Diagnostic::error(
                    Code::MissingKey,
                    target.key.unwrap_or_else(|| self.start_of(node)),
                    format!("{name} needs the key `{key}`"),
                )
                .cause(format!("`{key}` is required{}", within(&target.path)))
                .help(format!("add `{key}:` with its value"))
            }
            Kind::Type { kind } => self.wrong_type(&target, kind),
            Kind::Enum { options } => {
                let options: Vec<_> =
                    options.as_array().into_iter().flatten().filter_map(Json::as_str).collect();
                return self.bad_value(&target, &options, list);
            }
            Kind::Constant { expected_value } => {
                return self.bad_value(&target, &[expected_value.as_str().unwrap_or_default()], list);
            }
            Kind::Pattern { pattern } => {
                let (form, example) = describe(pattern);
                Diagnostic::error(Code::BadFormat, value_span, format!("{name} must be {form}"))
                    .cause(format!("`{}` is not", self.written(node)))
                    .help(format!("write it like {example}"))
            }
            Kind::Minimum { limit } => {
                out_of_range(value_span, format!("{name} must be at least {limit}"), self.written(node))
            }
            Kind::Maximum { limit } => {
                out_of_range(value_span, format!("{name} must be at most {limit}"), self.written(node))
            }
            Kind::MaxLength { limit } => {
                let message = format!("{name} may have at most {limit} characters");
                let found = out_of_range(value_span, message, self.written(node));
                match name.as_str() {
                    "`append`" => found.cause(
                        "a kernel's whole command line ends at 2047 bytes, of which ai-how needs some",
                    ),
                    _ => found,
                }
            }
            Kind::MinItems { limit } => {
                let span = target.key.unwrap_or(value_span);
                out_of_range(
                    span,
                    format!("{name} needs at least {limit} {}", plural(*limit, "item")),
                    "the list is shorter",
                )
            }
            Kind::MinProperties { limit } => {
                let span = target.key.unwrap_or(value_span);
                out_of_range(
                    span,
                    format!("{name} needs at least {limit} {}", plural(*limit, "entry")),
                    "the mapping is empty",
                )
            }
            Kind::PropertyNames { error } => return self.bad_name(&target, error, list),
            Kind::OneOfNotValid { .. } if !self.alternatives(error.schema_path()).is_empty() => {
                let keys = quoted(&self.alternatives(error.schema_path()));
                let span = target.key.unwrap_or_else(|| self.start_of(node));
                let message = format!("{name} needs one of the keys {}", keys.join(", "));
                Diagnostic::error(Code::MissingKey, span, message)
                    .cause(format!("without it nothing says what is meant{}", within(&target.path)))
                    .help(format!("add {} with its value", keys.join(" or ")))
            }
            Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
                return self.explain_branches(&target, context, list);
            }
            Kind::OneOfMultipleValid { .. } if !self.alternatives(error.schema_path()).is_empty() => {
                let keys = quoted(&self.alternatives(error.schema_path())).join(" and ");
                Diagnostic::error(Code::BadValue, value_span, format!("{name} has {keys}"))
                    .cause("each of these says what it is about")
                    .help("remove one of the two, or make two items of it")
            }
            Kind::OneOfMultipleValid { .. } => Diagnostic::error(
                Code::BadValue,
                value_span,
                format!("`{}` is not possible for {name} here", self.written(node)),
            )
            .cause("in a list every node has an address of its own; `DHCP` goes with `count` only")
            .help("write an address, or replace the list with a mapping that has `count`"),
            // Only a kind of cluster makes a key impossible that there is.
            Kind::FalseSchema => self.unfit_key(&target, error.instance_path()),
            // No schema of ours uses another keyword.
            _ => Diagnostic::error(Code::BadValue, value_span, error.to_string()),
        };
        list.push(found);
    }

    fn unfit_key(&self, target: &Target<'_>, location: &Location) -> Diagnostic {
        // A cluster is an entry of the document's `clusters`, and the key may be one of its nodes'.
        let cluster = location.into_iter().take(2).try_fold(self.root, |node, segment| match segment {
            LocationSegment::Property(name) => node.get(&name),
            LocationSegment::Index(_) => None,
        });
        let kind = match cluster.and_then(|cluster| cluster.get("kind")).map(|kind| &kind.value) {
            Some(Value::String(kind)) => kind,
            _ => "this",
        };
        let (cause, help) = unfit(kind, target.name.trim_matches('`'));
        let span = target.key.unwrap_or(target.node.span);
        let message = format!("{} is not for a cluster of kind `{kind}`", target.name);
        Diagnostic::error(Code::UnfitKey, span, message).cause(cause).help(help)
    }

    fn wrong_type(&self, target: &Target<'_>, kind: &TypeKind) -> Diagnostic {
        let expected = match kind {
            TypeKind::Single(kind) => kind.to_string(),
            TypeKind::Multiple(_) => "value".to_owned(),
        };
        let node = target.node;
        let words = match expected.as_str() {
            "string" => "a text",
            "integer" => "an integer",
            "boolean" => "true or false",
            "array" => "a list",
            "object" => "a mapping",
            "null" => "nothing",
            _ => "another value",
        };
        let span = if matches!(node.value, Value::Null) && node.span.start >= node.span.end {
            target.key.unwrap_or(node.span)
        } else {
            self.one_line(node.span)
        };
        let written = self.written(node);
        let help = match (expected.as_str(), &node.value) {
            (_, Value::Null) => "write a value behind the colon, or remove the key".to_owned(),
            ("string", Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Opaque(_)) => {
                format!("write it in quotes: \"{written}\"")
            }
            ("integer" | "boolean", Value::String(_)) => "write it without quotes and units".to_owned(),
            ("integer", _) => "write a whole number".to_owned(),
            ("array", _) => "write a list: lines that start with `-`, or values in `[ ]`".to_owned(),
            ("object", _) => "write keys with values, indented below".to_owned(),
            _ => format!("write {words}"),
        };
        let cause = match (expected.as_str(), &node.value) {
            ("string", Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Opaque(_)) => {
                format!("without quotes YAML reads it as {}", node.kind())
            }
            (_, Value::Null) => "the key has no value".to_owned(),
            _ => format!("it is read{} as {}", within(&target.path), node.kind()),
        };
        Diagnostic::error(
            Code::WrongType,
            span,
            format!("{} must be {words}, not {}", target.name, node.kind()),
        )
        .cause(cause)
        .help(help)
    }

    fn bad_value(&self, target: &Target<'_>, options: &[&str], list: &mut Vec<Diagnostic>) {
        let Value::String(given) = &target.node.value else {
            // A wrong type is reported as such.
            return;
        };
        let quoted = quoted(options);
        let near = nearest(given, options.iter().copied());
        let other_name = || OTHER_NAMES.iter().find(|(other, name)| other == given && options.contains(name));
        let help = match (near.or_else(|| other_name().map(|(_, name)| *name)), options) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, [only]) => format!("write `{only}`"),
            (None, _) => "use one of these".to_owned(),
        };
        let found = Diagnostic::error(
            Code::BadValue,
            self.one_line(target.node.span),
            format!("`{}` is not possible for {}", shown(given), target.name),
        )
        .cause(format!("the possible values are: {}", quoted.join(", ")))
        .help(help);
        list.push(found);
    }

    fn bad_name(&self, target: &Target<'_>, error: &ValidationError<'_>, list: &mut Vec<Diagnostic>) {
        let name = error.instance().as_str().unwrap_or_default();
        let Some((key, _)) = target.node.entry(name) else { return };
        let found = match error.kind() {
            Kind::Pattern { pattern } => {
                let (form, example) = describe(pattern);
                Diagnostic::error(Code::BadFormat, key.span, format!("the name must be {form}"))
                    .cause(format!("`{}` is not", shown(name)))
                    .help(format!("use a name like {example}"))
            }
            Kind::MaxLength { limit } => {
                out_of_range(key.span, format!("the name may have at most {limit} characters"), shown(name))
            }
            _ => Diagnostic::error(Code::BadFormat, key.span, error.to_string()),
        };
        list.push(found);
    }

    /// Of several possible forms, the one that was meant is the one whose type fits.
    fn explain_branches(
        &self,
        target: &Target<'_>,
        branches: &[Vec<ValidationError<'static>>],
        list: &mut Vec<Diagnostic>,
    ) {
        let here = |error: &ValidationError<'_>| {
            matches!(error.kind(), Kind::Type { .. })
                && std::ptr::eq(self.target(error.instance_path()).node, target.node)
        };
        let mut meant = branches.iter().filter(|branch| !branch.iter().any(here));
        if let (Some(branch), None) = (meant.next(), meant.next()) {
            for error in branch {
                self.explain(error, list);
            }
            return;
        }
        let mut possible: Vec<_> = branches
            .iter()
            .flatten()
            .filter_map(|error| match error.kind() {
                Kind::Type { kind: TypeKind::Single(kind) } if here(error) => {
                    Some(match kind.to_string().as_str() {
                        "array" => "a list",
                        "object" => "a mapping",
                        "null" => "nothing",
                        _ => "a text",
                    })
                }
                _ => None,
            })
            .collect();
        possible.dedup();
        let possible = possible.join(" or ");
        let node = target.node;
        let found = Diagnostic::error(
            Code::WrongType,
            if node.span.start < node.span.end {
                self.one_line(node.span)
            } else {
                target.key.unwrap_or(node.span)
            },
            format!("{} must be {possible}, not {}", target.name, node.kind()),
        )
        .cause(format!("it is read{} as {}", within(&target.path), node.kind()))
        .help(match &node.value {
            Value::String(_) | Value::Null | Value::Sequence(_) | Value::Mapping(_) => {
                format!("write {possible}")
            }
            _ if possible == "a text" => format!("write it in quotes: \"{}\"", self.written(node)),
            _ => format!("write {possible}"),
        });
        list.push(found);
    }

    /// The keys of which the `oneOf` at `location` in the schema wants one; none where it is about something else.
    fn alternatives(&self, location: &Location) -> Vec<&'a str> {
        let branches = self.schema.pointer(location.as_str()).and_then(Json::as_array);
        let key = |branch: &'a Json| branch.get("required")?.get(0)?.as_str();
        branches.into_iter().flatten().map(key).collect::<Option<_>>().unwrap_or_default()
    }

    /// The keys of the object whose `additionalProperties` are at `location` in the schema.
    fn known_keys(&self, location: &Location) -> Vec<&'a str> {
        let pointer = location.as_str();
        let object = pointer.rfind('/').and_then(|end| self.schema.pointer(&pointer[..end]));
        let keys = object.and_then(|object| object.get("properties")).and_then(Json::as_object);
        keys.into_iter().flat_map(|keys| keys.keys().map(String::as_str)).collect()
    }

    /// How the document writes a value, shortened.
    fn written(&self, node: &Node) -> String {
        match &node.value {
            Value::String(text) => shown(text),
            _ => shown(self.text.slice(self.one_line(node.span))),
        }
    }

    /// The part of a place that is on its first line.
    fn one_line(&self, span: Span) -> Span {
        let length = self.text.slice(span).lines().next().unwrap_or_default().trim_end().len();
        Span { end: span.start + length, ..span }
    }

    fn start_of(&self, node: &Node) -> Span {
        if node.span.start == self.root.span.start { Span::START } else { self.one_line(node.span) }
    }
}

fn quoted(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("`{name}`")).collect()
}

fn place(path: &str) -> String {
    if path.is_empty() { "the document".to_owned() } else { format!("`{}`", shown(path)) }
}

fn within(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(" in `{}`", shown(path)) }
}

fn plural(count: u64, word: &str) -> String {
    match (count, word.strip_suffix('y')) {
        (1, _) => word.to_owned(),
        (_, Some(stem)) => format!("{stem}ies"),
        (_, None) => format!("{word}s"),
    }
}

fn out_of_range(span: Span, message: String, given: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::error(Code::OutOfRange, span, message)
        .cause(format!("given is: {given}"))
        .help("choose a value within the limits")
}

/// Why clusters of a kind do not have a key, and what to do about it.
fn unfit(kind: &str, key: &str) -> (&'static str, &'static str) {
    const OTHERS: &str = "only clusters of another kind have it";
    match (kind, key) {
        ("appliance", "networks" | "address" | "addresses") => (
            "appliances have no network; their serial console is the way in",
            "remove it, or change the kind",
        ),
        ("appliance", "image") => (
            "appliances boot a kernel and an initramfs of their own",
            "remove it; `model` says what a prompt loads",
        ),
        ("appliance", "disk_gib") => (
            "appliances have no disk and keep nothing",
            "remove it; `memory_mib` is all the room that they have",
        ),
        ("appliance", "mounts") => (
            "appliances see no directories of the host",
            "remove it; `model` names the one file that a prompt loads",
        ),
        ("appliance", "controller" | "control_plane") => {
            ("appliances need no other node", "list it under `nodes`, or remove it")
        }
        (_, "model" | "append") => {
            ("only appliances have it", "remove it, or move it to a cluster of kind `appliance`")
        }
        (_, "controller") => (OTHERS, "call it `control_plane`, or remove it"),
        (_, "control_plane") => (OTHERS, "call it `controller`, or remove it"),
        _ => (OTHERS, "remove it, or change the kind"),
    }
}

/// A pattern of the schemas in words, with an example.
fn describe(pattern: &str) -> (&'static str, &'static str) {
    match pattern {
        r"^1\.0$" => ("the version of the format", "\"1.0\""),
        r".*\.qcow2$" => ("the path of a qcow2 image", "`images/node.qcow2`"),
        r"^([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}$" => ("an IPv4 network", "`192.168.100.0/24`"),
        r"^[+-]?[a-zA-Z0-9_.]+$" => ("the name of a processor feature", "`+avx2`"),
        r"^[+-]?[a-zA-Z0-9_.-]+$" => ("the name of a processor feature", "`+avx2`"),
        r"^[a-zA-Z0-9_=,.-]+$" => ("mount options", "`ro,relatime`"),
        pattern if pattern.starts_with("^[0-9a-fA-F]{8}") => {
            ("a UUID", "`4b20d080-1b54-4048-85b3-a6a62d165c01`")
        }
        r"^[0-9a-fA-F]{4}$" => ("four hexadecimal digits", "\"10de\""),
        r"^[^\x00-\x1f\x7f]+$" => ("the path of a file, without control characters", "`models/phi.gguf`"),
        r"^[ -~]*$" => ("one line of printable ASCII characters", "`zosia.llama_threads=2`"),
        r"^[a-zA-Z0-9_-]+$" => ("a tag of letters, digits, `_` and `-`", "`project-repo`"),
        r"^/" => ("an absolute path", "`/mnt/data`"),
        r"^0[0-7]{3}$" => ("a file mode of four octal digits", "\"0755\""),
        r"^[A-Za-z0-9][A-Za-z0-9._-]*$" => ("a name of letters, digits, `.`, `_` and `-`", "`my-lab`"),
        r"^[A-Za-z0-9][A-Za-z0-9_-]*$" => ("a name of letters, digits, `_` and `-`", "`debug`"),
        r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" => {
            ("a host name label: lower-case letters, digits and `-`", "`compute-01`")
        }
        r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?|.*\.qcow2)$" => {
            ("the name of a built image or a path that ends in `.qcow2`", "`debian-13`")
        }
        r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$" => {
            ("a DNS domain", "`hpc.internal`")
        }
        r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,14}$" => {
            ("the name of a bridge: at most 15 letters, digits, `.`, `_` and `-`", "`virbr100`")
        }
        pattern if pattern.starts_with("^[0-9a-fA-F]{4}:") => ("a PCI address", "`\"0000:01:00.0\"`"),
        _ => ("of another form", "the example in the documentation"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::describe;

    fn patterns(schema: &Json, found: &mut Vec<String>) {
        match schema {
            Json::Object(entries) => {
                for (key, value) in entries {
                    match value.as_str().filter(|_| key == "pattern") {
                        Some(pattern) => found.push(pattern.to_owned()),
                        None => patterns(value, found),
                    }
                }
            }
            Json::Array(items) => items.iter().for_each(|item| patterns(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_pattern_has_words() {
        let mut found = Vec::new();
        patterns(&crate::schema_v1(), &mut found);
        patterns(&crate::schema_v2(), &mut found);
        assert!(found.len() > 10, "{found:?}");
        for pattern in found {
            assert_ne!(describe(&pattern).0, "of another form", "{pattern}");
        }
    }
}
