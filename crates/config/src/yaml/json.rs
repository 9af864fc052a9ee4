//! The tree as JSON, for validation against a schema.

use serde_json::{Map, Number, Value as Json};

use super::{Node, Value};

/// The JSON value of a node. Types that JSON does not have become a fraction, which no schema of ours accepts.
pub(crate) fn to_json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(number) => Json::from(*number),
        Value::Float(number) => Json::Number(Number::from_f64(*number).unwrap_or_else(fraction)),
        Value::String(text) => Json::String(text.clone()),
        Value::Opaque(_) => Json::Number(fraction()),
        Value::Sequence(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Mapping(entries) => Json::Object(
            entries.iter().map(|(key, value)| (key.text.clone(), to_json(value))).collect::<Map<_, _>>(),
        ),
    }
}

fn fraction() -> Number {
    Number::from_f64(0.5).unwrap_or_else(|| Number::from(0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Dialect, Text, parse};
    use super::to_json;
    use crate::diagnostic::Diagnostic;

    fn converted(text: &str) -> Result<serde_json::Value, Diagnostic> {
        let text = Text::new(text.as_bytes())?;
        Ok(to_json(&parse(&text)?.resolve(Dialect::Yaml11)?.root))
    }

    #[test]
    fn every_kind_of_value_has_a_place_in_json() {
        let text =
            "{a: [1, 1.5, true, null, text], 1: one, on: yes, b: .inf, c: 2026-01-31, d: !!binary aGk=}";
        let expected = json!({
            "a": [1, 1.5, true, null, "text"], "1": "one", "true": true, "b": 0.5, "c": 0.5, "d": 0.5,
        });
        assert_eq!(converted(text), Ok(expected));
    }
}
