//! What a document with findings looks like in every rendering.

use std::collections::BTreeMap;

use ai_how_config::diagnostic::{github, json, sarif, text};
use ai_how_config::{Context, Loaded, Report, Source, load};

/// A byte order mark, Windows line ends, letters of more than one byte.
const LAB: &str = concat!("\u{feff}version: \"2.0\"\r\n", "name: größe: 1\r\n",);

/// Two errors, one of them with a second place, and a warning.
const TYPICAL: &str = r#"version: "2.0"
name: lab
clusters:
  hpc:
    kind: slurm
    networks:
      lan: {subnet: 192.168.190.0/24}
    nodes:
      - {name: compute-01, address: 192.168.190.11}
      - {name: compute-02, address: 192.168.190.11, cpu: 2}
      - {name: compute-03}
    partitions:
      - {name: debug, nodes: [compute-01, compute-02]}
"#;

fn loaded(bytes: &[u8]) -> Loaded {
    load(&Source { name: "lab.yaml", bytes }, &Context::default())
}

fn plain(bytes: &[u8]) -> String {
    let loaded = loaded(bytes);
    text::render(&Report { source: Source { name: "lab.yaml", bytes }, loaded: &loaded }, text::Color::Never)
}

#[test]
fn text_shows_place_cause_and_fix() {
    insta::assert_snapshot!(plain(TYPICAL.as_bytes()));
}

#[test]
fn text_copes_with_marks_line_ends_and_every_script() {
    insta::assert_snapshot!(plain(LAB.as_bytes()));
}

#[test]
fn text_cuts_long_lines_and_still_names_the_right_column() {
    let many: String = (0..800).map(|n| format!("größe{n}: 1, ")).collect();
    let line = format!("name: lab\ndescription: x\nclusters: {{a: {{{}x: 1}}}}\n", many);
    let rendered = plain(format!("version: \"2.0\"\n{line}").as_bytes());
    let longest = rendered.lines().map(|line| line.chars().count()).max().unwrap_or_default();
    assert!((100..260).contains(&longest), "{longest}\n{rendered}");
    let last = "clusters: {a: {".len()
        + (0..45).map(|n| format!("größe{n}: 1, ").chars().count()).sum::<usize>()
        + 1;
    assert!(rendered.contains(&format!("--> lab.yaml:4:{last}\n")), "{last}\n{rendered}");
}

#[test]
fn text_has_colours_only_when_asked_for() {
    let bytes = TYPICAL.as_bytes();
    let loaded = loaded(bytes);
    let report = Report { source: Source { name: "lab.yaml", bytes }, loaded: &loaded };
    assert!(text::render(&report, text::Color::Always).contains("\u{1b}["));
    assert!(!text::render(&report, text::Color::Never).contains('\u{1b}'));
}

#[test]
fn text_never_passes_on_control_characters() {
    let rendered = plain(b"version: \"2.0\"\nname: \"\\e[2J\\r\\n::error::\"\nclusters: {\"\\e[1m\": 1}\n");
    assert!(!rendered.contains(['\u{1b}', '\r']), "{rendered:?}");
}

#[test]
fn text_without_findings_is_the_verdict_alone() {
    let bytes = include_bytes!("../../../config/lab.yaml");
    let loaded = loaded(bytes);
    let report = Report { source: Source { name: "lab.yaml", bytes }, loaded: &loaded };
    assert_eq!(text::render(&report, text::Color::Never), "lab.yaml: valid\n");
}

#[test]
fn json_has_its_stable_shape() {
    let loaded = loaded(TYPICAL.as_bytes());
    let report = Report { source: Source { name: "lab.yaml", bytes: TYPICAL.as_bytes() }, loaded: &loaded };
    insta::assert_snapshot!(format!("{:#}", json::value(&report)));
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&json::render(&report)).ok(),
        Some(json::value(&report))
    );
}

#[test]
fn github_commands_are_one_line_each() {
    let source = Source { name: "my lab, 50%.yaml", bytes: TYPICAL.as_bytes() };
    let loaded = load(&source, &Context { environment: BTreeMap::new(), ..Context::default() });
    insta::assert_snapshot!(github::render(&Report { source, loaded: &loaded }));
}

#[test]
fn sarif_has_results_and_a_rule_for_each() {
    let loaded = loaded(TYPICAL.as_bytes());
    let report = Report { source: Source { name: "lab.yaml", bytes: TYPICAL.as_bytes() }, loaded: &loaded };
    let log: serde_json::Value = serde_json::from_str(&sarif::render(&[report, report])).unwrap_or_default();
    let run = &log["runs"][0];
    let results = run["results"].as_array().map(Vec::as_slice).unwrap_or_default();
    assert_eq!(results.len(), 2 * loaded.diagnostics.len());
    for result in results {
        let index =
            result["ruleIndex"].as_u64().and_then(|index| usize::try_from(index).ok()).unwrap_or(usize::MAX);
        assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
    }
    insta::assert_snapshot!(format!("{:#}", serde_json::Value::from(results.get(..3).unwrap_or_default())));
}
