//! JSON Schemas, made from the types of each version.
//!
//! The schemas in use are the files under `schemas/`; a test proves that they are what the types give.

use std::sync::OnceLock;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Value as Json, json};

use crate::{v1, v2};

const V1: &str = include_str!("../../../schemas/cluster-1.0.schema.json");
const V2: &str = include_str!("../../../schemas/cluster-2.0.schema.json");

/// The JSON Schema (draft-07) of version 1.0, made from the types.
#[must_use]
pub fn schema_v1() -> Json {
    generate::<v1::Document>()
}

/// The JSON Schema (draft-07) of version 2.0, made from the types.
#[must_use]
pub fn schema_v2() -> Json {
    generate::<v2::Document>()
}

/// Every schema with the name of its file under `schemas/`.
#[must_use]
pub fn schemas() -> [(&'static str, String); 2] {
    [("cluster-1.0.schema.json", schema_v1()), ("cluster-2.0.schema.json", schema_v2())]
        .map(|(name, schema)| (name, format!("{schema:#}\n")))
}

/// The schema, plain and compiled, of version 1.0.
pub(crate) fn validator_v1() -> Option<&'static (Json, jsonschema::Validator)> {
    static VALIDATOR: OnceLock<Option<(Json, jsonschema::Validator)>> = OnceLock::new();
    VALIDATOR.get_or_init(|| compile(V1)).as_ref()
}

/// The schema, plain and compiled, of version 2.0.
pub(crate) fn validator_v2() -> Option<&'static (Json, jsonschema::Validator)> {
    static VALIDATOR: OnceLock<Option<(Json, jsonschema::Validator)>> = OnceLock::new();
    VALIDATOR.get_or_init(|| compile(V2)).as_ref()
}

/// `None` only when the file is no schema, which a test excludes.
fn compile(text: &str) -> Option<(Json, jsonschema::Validator)> {
    let schema: Json = serde_json::from_str(text).ok()?;
    let validator = jsonschema::options()
        .with_draft(jsonschema::Draft::Draft7)
        .should_validate_formats(false)
        .with_pattern_options(jsonschema::PatternOptions::regex())
        .build(&schema)
        .ok()?;
    Some((schema, validator))
}

fn generate<T: JsonSchema>() -> Json {
    let mut settings = SchemaSettings::draft07();
    // First, so that the transforms of the draft see the result.
    settings.transforms.insert(0, Box::new(RecursiveTransform(simplify as fn(&mut Schema))));
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

fn simplify(schema: &mut Schema) {
    without_null(schema);
    without_integer_format(schema);
    constants_to_enum(schema);
}

/// A key that may be left out may not be null.
fn without_null(schema: &mut Schema) {
    if let Some(Json::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = &types[..] {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(Json::Array(branches)) = schema.get_mut("anyOf") {
        branches.retain(|branch| branch != &json!({ "type": "null" }));
        if let [Json::Object(only)] = &branches[..] {
            let only = only.clone();
            schema.remove("anyOf");
            for (key, value) in only {
                schema.insert(key, value);
            }
        }
    }
}

/// How wide an integer is in memory is nobody's concern.
fn without_integer_format(schema: &mut Schema) {
    if schema.get("type").is_some_and(|kind| kind == "integer") {
        schema.remove("format");
    }
}

/// A choice of texts, each with a description, becomes a plain list of them.
fn constants_to_enum(schema: &mut Schema) {
    let Some(Json::Array(branches)) = schema.get("oneOf") else { return };
    let constants: Option<Vec<Json>> = branches.iter().map(|branch| branch.get("const").cloned()).collect();
    if let Some(constants) = constants {
        schema.remove("oneOf");
        schema.insert("type".to_owned(), "string".into());
        schema.insert("enum".to_owned(), constants.into());
    }
}

#[cfg(test)]
mod tests {
    use super::{V1, V2, compile};

    #[test]
    fn the_files_compile() {
        assert!(compile(V1).is_some());
        assert!(compile(V2).is_some());
    }
}
