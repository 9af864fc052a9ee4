//! `${}` expressions of version 1.0, as `expandvars` reads them with unset variables refused.
//!
//! ```text
//! $NAME ${NAME}        the value              $$                 the process id
//! ${NAME:-D} ${NAME-D} the value, or D        ${NAME:=D} ${NAME=D} the same, and D from then on
//! ${NAME:+V} ${NAME+V} V if there is a value  ${NAME:?E} ${NAME?E} the value, or the error E
//! ${#NAME}             its length             ${NAME:O} ${NAME:O:L} a part of it
//! ```
//!
//! An empty value counts as none wherever there is an alternative. D, V, E, O and L may hold expressions.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::num::IntErrorKind;
use std::str::Chars;

use crate::diagnostic::{Code, Diagnostic};
use crate::draft::{Findings, shown};
use crate::suggest::nearest;
use crate::yaml::{Node, Value};

/// How deeply expressions may be nested.
const MAX_DEPTH: usize = 16;

/// Longest text an expression may become.
const MAX_LENGTH: usize = 64 * 1024;

/// Longest that all texts of a document together may become.
const MAX_TOTAL: usize = 4 << 20;

/// Why a text cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// A variable without a value.
    #[error("the variable `{0}` is not set")]
    Unbound(String),
    /// `${NAME:?E}` without a value; the text is E.
    #[error("the variable `{0}` is not set: {1}")]
    Refused(String, String),
    /// A brace is missing, or what is in the braces is not understood.
    #[error("{0}")]
    Malformed(&'static str),
}

/// Expands the expressions in `text`. `${NAME:=D}` sets `NAME` in `environment`.
///
/// # Errors
/// When a variable is not set or an expression is malformed.
pub fn expand(
    text: &str,
    environment: &mut BTreeMap<String, String>,
    process_id: u32,
) -> Result<String, ExpandError> {
    Expander { environment, process_id }.expand(text, true, 0)
}

/// Expands all texts below `node`, keys excepted.
pub(crate) fn expand_values(
    node: &mut Node,
    environment: &BTreeMap<String, String>,
    process_id: u32,
    findings: &mut Findings,
) {
    let mut pass = Pass { environment: environment.clone(), process_id, budget: MAX_TOTAL, findings };
    pass.node(node);
}

/// The names of the variables in a text, in its order, as often as they occur.
pub(crate) fn names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    collect_names(text, 0, &mut names);
    names
}

fn collect_names(text: &str, depth: usize, names: &mut Vec<String>) {
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek().copied()) {
            ('\\', Some(_)) | ('$', Some('$')) => drop(rest.next()),
            ('$', Some('{')) => {
                rest.next();
                // What has no end has no name; whoever expands it says so.
                let Ok(inner) = braced(&mut rest) else { return };
                let mut inner = inner.chars().peekable();
                inner.next_if(|c| matches!(c, '#' | '!'));
                let name = take_name(&mut inner);
                if !name.is_empty() {
                    names.push(name);
                }
                if depth < MAX_DEPTH {
                    collect_names(&inner.collect::<String>(), depth + 1, names);
                }
            }
            ('$', Some(next)) if is_name(next) => names.push(take_name(&mut rest)),
            _ => {}
        }
    }
}

/// One way through a document.
struct Pass<'a> {
    environment: BTreeMap<String, String>,
    process_id: u32,
    /// How much text may still come out.
    budget: usize,
    findings: &'a mut Findings,
}

impl Pass<'_> {
    fn node(&mut self, node: &mut Node) {
        match &mut node.value {
            Value::String(text) if text.contains(['$', '\\']) => match self.text(text) {
                Ok(expanded) => *text = expanded,
                Err(error) => self.findings.push(explain(&error, node.span, &self.environment)),
            },
            Value::Sequence(items) => items.iter_mut().for_each(|item| self.node(item)),
            Value::Mapping(entries) => entries.iter_mut().for_each(|(_, value)| self.node(value)),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) -> Result<String, ExpandError> {
        let expanded = expand(text, &mut self.environment, self.process_id)?;
        self.budget = self
            .budget
            .checked_sub(expanded.len())
            .ok_or(ExpandError::Malformed("all expanded texts together are too long"))?;
        Ok(expanded)
    }
}

fn explain(error: &ExpandError, span: crate::Span, environment: &BTreeMap<String, String>) -> Diagnostic {
    match error {
        ExpandError::Unbound(name) => {
            let help = match nearest(name, environment.keys().map(String::as_str)) {
                Some(near) => {
                    format!("did you mean `{near}`? Otherwise set it, or write `${{{name}:-default}}`")
                }
                None => format!("set it, or write `${{{name}:-default}}`; a literal dollar is `\\$`"),
            };
            Diagnostic::error(Code::UnboundVariable, span, shown(&error.to_string()))
                .cause("every `$NAME` and `${NAME}` in the values of this file is replaced")
                .help(help)
        }
        ExpandError::Refused(name, reason) => {
            Diagnostic::error(Code::UnboundVariable, span, shown(&error.to_string()))
                .cause(format!("the file asks for it and says: {}", shown(reason)))
                .help(format!("set `{}`", shown(name)))
        }
        ExpandError::Malformed(_) => Diagnostic::error(Code::BadExpansion, span, error.to_string())
            .cause("every `$NAME` and `${NAME}` in the values of this file is replaced")
            .help("write `${NAME}` or `${NAME:-default}`; a literal dollar is `\\$`"),
    }
}

struct Expander<'a> {
    environment: &'a mut BTreeMap<String, String>,
    process_id: u32,
}

/// What stands behind the name in braces.
enum Operator {
    Default,
    Assign,
    Alternative,
    Refuse,
    Part,
}

impl Expander<'_> {
    /// `strict` refuses variables without a value; inside an expression they are empty.
    fn expand(&mut self, text: &str, strict: bool, depth: usize) -> Result<String, ExpandError> {
        if depth > MAX_DEPTH {
            return Err(ExpandError::Malformed("expressions are nested too deeply"));
        }
        let mut result = String::with_capacity(text.len());
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match (c, rest.peek().copied()) {
                ('\\', None) => {
                    return Err(ExpandError::Malformed("a `\\` at the end has nothing to escape"));
                }
                ('\\', Some(next)) => {
                    if !matches!(next, '$' | '\\') {
                        result.push('\\');
                    }
                    result.push(next);
                    rest.next();
                }
                ('$', Some('$')) => {
                    rest.next();
                    // A name or a brace right behind it is taken for a variable `$NAME`, which no one has.
                    match rest.peek().copied() {
                        Some('{') => {
                            rest.next();
                            return Err(ExpandError::Unbound(format!("${}", braced(&mut rest)?)));
                        }
                        Some(next) if is_name(next) => {
                            return Err(ExpandError::Unbound(format!("${}", take_name(&mut rest))));
                        }
                        _ => result.push_str(&self.process_id.to_string()),
                    }
                }
                ('$', Some('{')) => {
                    rest.next();
                    let inner = braced(&mut rest)?;
                    result.push_str(&self.braces(&inner, strict, depth)?);
                }
                ('$', Some(next)) if is_name(next) => {
                    let name = take_name(&mut rest);
                    match self.environment.get(&name) {
                        Some(value) => result.push_str(value),
                        None if strict => return Err(ExpandError::Unbound(name)),
                        None => {}
                    }
                }
                _ => result.push(c),
            }
            if result.len() > MAX_LENGTH {
                return Err(ExpandError::Malformed("the expanded text is too long"));
            }
        }
        Ok(result)
    }

    fn braces(&mut self, inner: &str, strict: bool, depth: usize) -> Result<String, ExpandError> {
        if let Some(name) = inner.strip_prefix('#') {
            return self.length(name);
        }
        let mut rest = inner.chars().peekable();
        let (name, value) = if rest.next_if_eq(&'$').is_some() {
            ("$".to_owned(), Some(self.process_id.to_string()))
        } else if rest.next_if_eq(&'!').is_some() {
            let name = take_name(&mut rest);
            let Some(target) = self.environment.get(&name) else { return Err(ExpandError::Unbound(name)) };
            let value = self.environment.get(target).cloned();
            (name, value)
        } else {
            let name = take_name(&mut rest);
            let value = self.environment.get(&name).cloned();
            (name, value)
        };
        if name.is_empty() {
            return Err(ExpandError::Malformed("a name is missing in `${}`"));
        }
        let Some(operator) = operator(&mut rest) else {
            return match value {
                Some(value) => Ok(value),
                None if strict => Err(ExpandError::Unbound(name)),
                None => Ok(String::new()),
            };
        };
        let operand: String = rest.collect();
        let operand = self.expand(&operand, false, depth + 1)?;
        let value = value.filter(|value| !value.is_empty());
        match (operator, value) {
            (Operator::Alternative, Some(_)) => Ok(operand),
            (Operator::Alternative, None) => Ok(String::new()),
            (Operator::Part, value) => part(&value.unwrap_or_default(), &operand),
            (_, Some(value)) => Ok(value),
            (Operator::Default, None) => Ok(operand),
            (Operator::Assign, None) => {
                self.environment.insert(name, operand.clone());
                Ok(operand)
            }
            (Operator::Refuse, None) if operand.is_empty() => {
                Err(ExpandError::Refused(name, "parameter null or not set".to_owned()))
            }
            (Operator::Refuse, None) => Err(ExpandError::Refused(name, operand)),
        }
    }

    fn length(&self, name: &str) -> Result<String, ExpandError> {
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(ExpandError::Malformed("`${#NAME}` takes a name only"));
        }
        let value = self.environment.get(name);
        Ok(value.map_or(0, |value| value.chars().count()).to_string())
    }
}

/// What is between the opening brace, already taken, and its closing brace.
fn braced(rest: &mut Peekable<Chars<'_>>) -> Result<String, ExpandError> {
    let mut inner = String::new();
    let mut open = 1_usize;
    for c in rest.by_ref() {
        match c {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Ok(inner);
        }
        inner.push(c);
    }
    Err(ExpandError::Malformed("a `}` is missing"))
}

fn operator(rest: &mut Peekable<Chars<'_>>) -> Option<Operator> {
    let colon = rest.next_if_eq(&':').is_some();
    let operator = match rest.peek().copied() {
        Some('-') => Operator::Default,
        Some('=') => Operator::Assign,
        Some('+') => Operator::Alternative,
        Some('?') => Operator::Refuse,
        // Anything else is taken for an offset, which then may turn out to be none.
        None if !colon => return None,
        _ => return Some(Operator::Part),
    };
    rest.next();
    Some(operator)
}

/// `OFFSET` or `OFFSET:LENGTH` of a value. What is no number counts as zero; a negative offset counts from
/// the end.
fn part(value: &str, range: &str) -> Result<String, ExpandError> {
    let (offset, length) = match range.split_once(':') {
        Some((offset, length)) => (offset.trim(), Some(length.trim())),
        None => (range.trim(), None),
    };
    if range.is_empty() || length.is_some_and(|length| length.contains(':')) {
        return Err(ExpandError::Malformed("a part is `${NAME:OFFSET}` or `${NAME:OFFSET:LENGTH}`"));
    }
    let length = match length.map(|length| (length, number(length))) {
        None => None,
        Some((_, Some(length))) if length < 0 => {
            return Err(ExpandError::Malformed("the length of a part cannot be negative"));
        }
        Some((_, Some(length))) => Some(length),
        Some((text, None)) if text.chars().all(is_name) => Some(0),
        Some(_) => return Err(ExpandError::Malformed("the length of a part must be a number")),
    };
    let characters: Vec<char> = value.chars().collect();
    let size = i64::try_from(characters.len()).unwrap_or(i64::MAX);
    let offset = number(offset).unwrap_or(0);
    let from_start = |at: i64| if at < 0 { at.saturating_add(size).max(0) } else { at.min(size) };
    let start = from_start(offset);
    let end = length.map_or(size, |length| from_start(offset.saturating_add(length)));
    let count = usize::try_from(end - start).unwrap_or(0);
    Ok(characters.into_iter().skip(usize::try_from(start).unwrap_or(0)).take(count).collect())
}

/// A whole number; one that is larger than any text is long keeps to the limit.
fn number(text: &str) -> Option<i64> {
    match text.parse() {
        Ok(number) => Some(number),
        Err(error) => match error.kind() {
            IntErrorKind::PosOverflow => Some(i64::MAX),
            IntErrorKind::NegOverflow => Some(i64::MIN),
            _ => None,
        },
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn take_name(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut name = String::new();
    while let Some(c) = rest.next_if(|c| is_name(*c)) {
        name.push(c);
    }
    name
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{ExpandError, expand};

    fn expanded(text: &str) -> Result<String, ExpandError> {
        let mut environment = BTreeMap::from(
            [("HOME", "/home/ada"), ("X", "xyz"), ("EMPTY", ""), ("REF", "X")]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        expand(text, &mut environment, 4711)
    }

    #[test]
    fn every_operator_has_its_meaning() {
        let rows = [
            ("$HOME/x", "/home/ada/x"),
            ("${HOME}/x", "/home/ada/x"),
            ("${NO:-d}", "d"),
            ("${NO-d}", "d"),
            ("${EMPTY:-d}", "d"),
            ("${EMPTY}", ""),
            ("${X:-d}", "xyz"),
            ("${NO:=d}$NO", "dd"),
            ("${NO=d}", "d"),
            ("${X:+v}", "v"),
            ("${NO+v}", ""),
            ("${X:?e}", "xyz"),
            ("${#X}", "3"),
            ("${#NO}", "0"),
            ("${X:1}", "yz"),
            ("${X:0:2}", "xy"),
            ("${X:9}", ""),
            ("${X:0:99999999999999999999}", "xyz"),
            ("${X:1:9223372036854775807}", "yz"),
            ("${X:99999999999999999999}", ""),
            ("${X: -99999999999999999999}", "xyz"),
            ("${HOME:1:4}", "home"),
            ("${NO:-${X}/y}", "xyz/y"),
            ("${NO:-${NO:-${HOME}}}", "/home/ada"),
            ("${!REF}", "xyz"),
            ("$$", "4711"),
            ("${$}", "4711"),
            (r"\$HOME", "$HOME"),
            (r"\\$X", r"\xyz"),
            (r"a\b", r"a\b"),
            ("100%", "100%"),
            ("cost $", "cost $"),
            ("$ 5", "$ 5"),
            ("~", "~"),
        ];
        for (text, expected) in rows {
            assert_eq!(expanded(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_expanded_says_why() {
        let unbound = |name: &str| ExpandError::Unbound(name.to_owned());
        let refused = |name: &str, reason: &str| ExpandError::Refused(name.to_owned(), reason.to_owned());
        let rows = [
            ("$NO", unbound("NO")),
            ("${NO}", unbound("NO")),
            ("cost $5", unbound("5")),
            ("$$HOME", unbound("$HOME")),
            ("$${HOME}", unbound("$HOME")),
            ("${NO:?set it}", refused("NO", "set it")),
            ("${NO?}", refused("NO", "parameter null or not set")),
            ("${X", ExpandError::Malformed("a `}` is missing")),
            ("${}", ExpandError::Malformed("a name is missing in `${}`")),
            ("\\", ExpandError::Malformed("a `\\` at the end has nothing to escape")),
            ("${X:0:-1}", ExpandError::Malformed("the length of a part cannot be negative")),
        ];
        for (text, expected) in rows {
            assert_eq!(expanded(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn nesting_and_length_are_bounded() {
        let nested = format!("{}x{}", "${NO:-".repeat(1000), "}".repeat(1000));
        assert!(matches!(expanded(&nested), Err(ExpandError::Malformed(_))));
        let mut environment = BTreeMap::from([("A".to_owned(), "a".repeat(40_000))]);
        assert!(matches!(expand("$A$A$A$A", &mut environment, 1), Err(ExpandError::Malformed(_))));
    }
}
