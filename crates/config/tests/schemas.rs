//! The files under `schemas/` are what the types give.

use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

#[test]
fn the_files_are_fresh() {
    for (name, expected) in ai_how_config::schemas() {
        let path = folder().join(name);
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(
            text == expected,
            "schemas/{name} is stale; run: cargo test -p ai-how-config --test schemas -- --ignored"
        );
    }
}

#[test]
#[ignore = "writes schemas/"]
fn write_the_files() {
    for (name, text) in ai_how_config::schemas() {
        let path = folder().join(name);
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

#[test]
fn every_object_of_version_2_is_closed_and_every_property_described() {
    fn walk(schema: &serde_json::Value, path: &str) {
        match schema {
            serde_json::Value::Object(entries) => {
                if let Some(properties) = entries.get("properties").and_then(|found| found.as_object()) {
                    assert_eq!(entries.get("additionalProperties"), Some(&false.into()), "{path}");
                    for (name, property) in properties {
                        assert!(property.get("description").is_some(), "{path}.{name} has no description");
                    }
                }
                // A condition narrows what is described and closed around it.
                for (key, value) in entries.iter().filter(|(key, _)| *key != "if" && *key != "then") {
                    walk(value, &format!("{path}.{key}"));
                }
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| walk(item, path)),
            _ => {}
        }
    }
    let schema = ai_how_config::schema_v2();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    walk(&schema, "");
}
