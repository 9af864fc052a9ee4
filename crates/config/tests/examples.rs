//! Every example under `config/` does what it is there for.
//!
//! A file under `config/invalid/` starts with the findings it must give, in the order of the document:
//! `# expect: CODE LINE, CODE LINE`. All of them are loaded for the host of [`context`].

#![expect(clippy::panic, reason = "a test that cannot go on says so")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use ai_how_config::{Code, Context, HostFacts, Loaded, Severity, Source, load};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

fn context() -> Context {
    let environment =
        [("HOME", "/home/ada"), ("TOT", "/home/ada/lab"), ("PWD", "/home/ada/lab"), ("USER", "ada")];
    Context {
        environment: BTreeMap::from(environment.map(|(name, value)| (name.to_owned(), value.to_owned()))),
        process_id: 1,
        host: Some(HostFacts {
            cpus: 64,
            memory_mib: 128 * 1024,
            free_disk_gib: 2000,
            subnets: vec![("docker0".to_owned(), "172.17.0.0/16".parse().unwrap_or_default())],
        }),
        images: vec!["debian-13".to_owned()],
        strict: false,
    }
}

fn files(folder: &PathBuf) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        })
        .collect()
}

fn loaded(name: &str, bytes: &[u8], context: &Context) -> Loaded {
    let mut loaded = load(&Source { name, bytes }, context);
    // Of the host of the examples, everything is there but this.
    loaded.look(|path| !path.path.contains("nowhere"));
    loaded
}

fn summary(loaded: &Loaded) -> String {
    let words = loaded.diagnostics.iter().map(|found| format!("{} {}", found.code, found.span.line));
    words.collect::<Vec<_>>().join(", ")
}

#[test]
fn examples_that_work_load_without_a_word() {
    let files = files(&folder());
    for name in ["lab.yaml", "two-clusters.yaml", "kubernetes.yaml", "prompts.yaml", "workstation-1.0.yaml"] {
        let bytes = files.get(name).unwrap_or_else(|| panic!("config/{name} is missing"));
        for strict in [false, true] {
            let loaded = loaded(name, bytes, &Context { strict, ..context() });
            assert_eq!(summary(&loaded), "", "{name}");
            assert!(loaded.is_valid(), "{name}");
        }
    }
}

#[test]
fn invalid_examples_give_the_findings_they_name() {
    let mut wrong = Vec::new();
    for (name, bytes) in files(&folder().join("invalid")) {
        let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let first = String::from_utf8_lossy(first);
        let expected =
            first.strip_prefix("# expect: ").unwrap_or_else(|| panic!("{name} does not say what it expects"));
        let actual = summary(&loaded(&name, &bytes, &context()));
        if actual != expected.trim_end() {
            wrong.push(format!("{name}\n  expected: {expected}\n  actual:   {actual}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_has_an_example_named_after_it() {
    let files = files(&folder().join("invalid"));
    let mut missing = BTreeSet::new();
    for code in Code::ALL {
        let found = files.iter().any(|(name, bytes)| {
            name.starts_with(code.as_str())
                && loaded(name, bytes, &context()).diagnostics.iter().any(|found| found.code == *code)
        });
        // A file that is too large is not something to keep in a repository. What a look at the host finds has its examples
        // in a folder of their own, which are tried on a host that a test makes.
        if !found && *code != Code::TooLarge && !code.is_about_devices() {
            missing.insert(code.as_str());
        }
    }
    assert!(missing.is_empty(), "no example for: {missing:?}");
}

#[test]
fn a_file_that_is_too_large_is_refused_at_once() {
    let bytes = vec![b'['; 10 << 20];
    let loaded = loaded("large.yaml", &bytes, &context());
    assert_eq!(summary(&loaded), "too-large 1");
}

#[test]
fn every_finding_has_a_cause_and_a_fix_and_a_place_in_the_file() {
    for (name, bytes) in files(&folder().join("invalid")) {
        let loaded = loaded(&name, &bytes, &context());
        assert!(!loaded.diagnostics.is_empty(), "{name}");
        for found in &loaded.diagnostics {
            let code = found.code;
            assert!(!found.message.ends_with('.') && !found.message.is_empty(), "{name}: {}", found.message);
            assert!(found.help.is_some(), "{name}: {code} has no help");
            assert!(found.cause.is_some() || code == Code::YamlSyntax, "{name}: {code} has no cause");
            assert!(found.span.start <= found.span.end && found.span.end <= bytes.len(), "{name}: {code}");
            let lines =
                bytes.get(..found.span.start).unwrap_or_default().iter().filter(|byte| **byte == b'\n');
            assert_eq!(lines.count() + 1, found.span.line, "{name}: {code} {:?}", found.span);
        }
    }
}

#[test]
fn strict_makes_every_warning_an_error_that_is_not_about_the_host() {
    for (name, bytes) in files(&folder().join("invalid")) {
        let strict = loaded(&name, &bytes, &Context { strict: true, ..context() });
        for found in &strict.diagnostics {
            let expected = if found.code.is_about_host() { Severity::Warning } else { Severity::Error };
            assert_eq!(found.severity, expected, "{name}: {}", found.code);
        }
    }
}

#[test]
fn version_1_stays_accepted_where_the_old_tool_accepted() {
    let refused = ["bad-value-dhcp-1.0.yaml", "wrong-type-1.0.yaml"];
    for (name, bytes) in files(&folder().join("invalid")) {
        if name.ends_with("-1.0.yaml") {
            assert_eq!(
                loaded(&name, &bytes, &context()).is_valid(),
                !refused.contains(&name.as_str()),
                "{name}"
            );
        }
    }
}
