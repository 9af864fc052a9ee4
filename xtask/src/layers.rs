//! The order of the rooms: what flows from one to the next flows one way.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

use crate::{Failure, output};

/// A crate of the program and the crates of ours that it may import. In the order of the flow.
struct Room {
    name: &'static str,
    imports: &'static [&'static str],
    /// Neither it nor what it imports touches the world: the same input gives the same bytes.
    pure: bool,
}

const fn pure(name: &'static str, imports: &'static [&'static str]) -> Room {
    Room { name, imports, pure: true }
}

const fn room(name: &'static str, imports: &'static [&'static str]) -> Room {
    Room { name, imports, pure: false }
}

/// Who reads a plan may name the types of `config` in it.
const ROOMS: &[Room] = &[
    pure("events", &[]),
    pure("config", &[]),
    pure("gguf", &[]),
    pure("plan", &["config"]),
    pure("render", &["config", "plan"]),
    room("system", &["events"]),
    room("image", &["config", "events", "system"]),
    room("appliance", &["config", "events", "gguf", "image", "system"]),
    room("template", &["system"]),
    room("guest", &["config", "plan", "system"]),
    room("lab", &["config", "plan", "render", "system"]),
    room("deploy", &["config", "events", "plan", "render", "system"]),
    room("harness", &["config", "events", "guest", "plan", "system"]),
    room("report", &["config", "events", "plan"]),
    room(
        "engine",
        &["appliance", "config", "events", "guest", "image", "lab", "plan", "render", "system", "template"],
    ),
];

/// Crates that are at the end of the flow: they import what they like, and nobody imports them.
const ENDS: &[&str] = &["ai-how", "xtask"];

/// What a pure room has no use for, and why.
const IMPURE: &[(&str, &str)] = &[
    ("system", "is the door to the world"),
    ("nix", "calls the operating system"),
    ("libc", "calls the operating system"),
    ("rustix", "calls the operating system"),
    ("signal-hook", "listens to the operating system"),
    ("tempfile", "writes files"),
    ("walkdir", "reads files"),
    ("virt", "talks to libvirt"),
    ("tokio", "is for waiting, and there is nothing to wait for"),
    ("futures", "is for waiting, and there is nothing to wait for"),
    ("async-trait", "is for waiting, and there is nothing to wait for"),
    ("reqwest", "talks to the network"),
    ("rand", "gives other bytes each time"),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `dev`, `build`, or nothing for an ordinary one.
    kind: Option<String>,
}

/// Checks the workspace.
pub(crate) fn run() -> Result<(), Failure> {
    let metadata = output(Command::new("cargo").args(["metadata", "--no-deps", "--format-version=1"]))?;
    let packages = serde_json::from_str::<Metadata>(&metadata)?.packages;
    let mut wrong: Vec<String> = packages.iter().flat_map(violations).collect();
    for package in &packages {
        let manifest: toml::Table = toml::from_str(&fs::read_to_string(&package.manifest_path)?)?;
        if !inherits_lints(&manifest) {
            wrong.push(format!("{} lacks `[lints] workspace = true`", room_name(&package.name)));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n       ").into()) }
}

/// `ai-how-plan` is known as `plan` here, as it is in code.
fn room_name(package: &str) -> &str {
    package.strip_prefix("ai-how-").unwrap_or(package)
}

fn violations(package: &Package) -> Vec<String> {
    let name = room_name(&package.name);
    if ENDS.contains(&name) {
        return Vec::new();
    }
    let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
        return vec![format!("{name} has no place in the flow: give it one in xtask/src/layers.rs")];
    };
    let mut wrong = Vec::new();
    for dependency in &package.dependencies {
        let import = room_name(&dependency.name);
        let ours = ENDS.contains(&import) || ROOMS.iter().any(|room| room.name == import);
        if ours && !room.imports.contains(&import) {
            wrong.push(format!("{name} imports {import}, and may import {:?} of ours", room.imports));
        }
        // Tests of a pure room may read their fixtures.
        if room.pure && dependency.kind.as_deref() != Some("dev") {
            let reason = IMPURE.iter().find(|(impure, _)| *impure == import).map(|(_, reason)| reason);
            wrong
                .extend(reason.map(|reason| format!("{name} is pure, but imports {import}, which {reason}")));
        }
    }
    wrong
}

fn inherits_lints(manifest: &toml::Table) -> bool {
    manifest.get("lints").and_then(|lints| lints.get("workspace")) == Some(&toml::Value::Boolean(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependency = |(name, kind): &(&str, Option<&str>)| Dependency {
            name: (*name).to_owned(),
            kind: kind.map(str::to_owned),
        };
        Package {
            name: name.to_owned(),
            dependencies: dependencies.iter().map(dependency).collect(),
            manifest_path: PathBuf::new(),
        }
    }

    #[test]
    fn this_workspace_keeps_the_order() {
        run().unwrap();
    }

    #[test]
    fn an_import_against_the_flow_is_found() {
        let found =
            violations(&package("ai-how-plan", &[("ai-how-config", None), ("ai-how-render", Some("dev"))]));
        assert_eq!(found, [r#"plan imports render, and may import ["config"] of ours"#]);
        assert_eq!(violations(&package("ai-how-lab", &[("ai-how", None)])).len(), 1);
    }

    #[test]
    fn a_pure_room_that_waits_is_found_and_its_tests_are_not() {
        let found = violations(&package("ai-how-render", &[("tokio", None), ("tempfile", Some("dev"))]));
        assert_eq!(
            found,
            ["render is pure, but imports tokio, which is for waiting, and there is nothing to wait for"]
        );
    }

    #[test]
    fn a_new_crate_needs_a_place() {
        assert_eq!(violations(&package("ai-how-drawer", &[])).len(), 1);
    }

    #[test]
    fn the_table_is_in_the_order_of_the_flow() {
        for (index, room) in ROOMS.iter().enumerate() {
            for import in room.imports {
                assert!(
                    ROOMS[..index].iter().any(|above| above.name == *import),
                    "{} imports {import}",
                    room.name
                );
                assert!(
                    !room.pure || ROOMS.iter().any(|above| above.name == *import && above.pure),
                    "{} is pure, {import} is not",
                    room.name
                );
            }
        }
    }

    #[test]
    fn lints_of_its_own_are_found() {
        assert!(inherits_lints(&toml::from_str("[lints]\nworkspace = true").unwrap()));
        assert!(!inherits_lints(&toml::from_str("[lints.rust]\nunused = 'allow'").unwrap()));
    }
}
