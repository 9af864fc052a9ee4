//! Input that no one means well: it is refused with a place, never with a panic, and never slowly.

#![expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]

mod survival;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ai_how_config::{Context, Source, load};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use survival::survives;

/// Nothing may take longer. A debug build on an idle machine keeps to it too; on a busy one it gets more.
const LONGEST: Duration = Duration::from_secs(if cfg!(debug_assertions) { 6 } else { 1 });

fn head(text: &str) -> String {
    text.chars().take(40).collect()
}

#[test]
fn every_known_attack_is_answered_quickly() {
    let mut attacks: Vec<String> = vec![
        "[".repeat(1 << 20),
        "[".repeat(10 << 20),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        "? ".repeat(100_000),
        "a: ".repeat(100_000),
        "&a ".repeat(100_000),
        "!a ".repeat(100_000),
        "*a ".repeat(100_000),
        "\"".repeat(100_000),
        "'".repeat(100_001),
        "\"\\".repeat(100_000),
        "# ".repeat(400_000),
        "\n".repeat(1 << 20),
        "\r".repeat(1 << 20),
        "\t".repeat(1 << 20),
        " ".repeat(1 << 20),
        "a\n".repeat(400_000),
        "a: 1\n".repeat(200_000),
        "---\n".repeat(200_000),
        "...\n".repeat(200_000),
        "%TAG ! x\n".repeat(50_000),
        "|\n".repeat(300_000),
        "x".repeat(1 << 20),
        "ä".repeat(500_000),
        format!("a: |{}x", "\n ".repeat(300_000)),
        format!("version: \"2.0\"\n{}: 1\n", "k".repeat(900_000)),
        format!("version: \"2.0\"\nname: {}\n", "n".repeat(900_000)),
        format!("version: \"2.0\"\nname: \"{}\"\n", "\\e".repeat(400_000)),
        format!("version: \"1.0\"\nmetadata: {{name: \"{}\", description: x}}\n", "${X:-".repeat(150_000)),
    ];
    let blocks: String = (0..1400).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    attacks.push(blocks);
    let mut keys = "version: \"2.0\"\n".to_owned();
    for number in 0..45_000 {
        let _ = writeln!(keys, "k{number}: {number}");
    }
    attacks.push(keys);
    let mut anchors = "version: \"2.0\"\n".to_owned();
    for number in 0..40_000 {
        let _ = writeln!(anchors, "k{number}: &a{number} x");
    }
    attacks.push(anchors);
    let mut slow = Vec::new();
    for attack in &attacks {
        let (loaded, elapsed) = survives(attack.as_bytes(), &Context::default());
        assert!(!loaded.is_valid(), "{}", head(attack));
        if elapsed > LONGEST {
            slow.push(format!("{}: {elapsed:?}", head(attack)));
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
}

#[test]
fn expansion_does_not_fill_the_memory() {
    let text = format!("version: \"1.0\"\nglobal: {{x: \"${{A}}\", y: [{}]}}\n", "$A, ".repeat(40_000));
    let environment = [("A".to_owned(), "a".repeat(60_000))].into();
    let context = Context { environment, ..Context::default() };
    let begin = Instant::now();
    let loaded = load(&Source { name: "input.yaml", bytes: text.as_bytes() }, &context);
    assert!(loaded.diagnostics.iter().any(|found| found.code.as_str() == "bad-expansion"));
    assert!(begin.elapsed() < LONGEST, "{:?}", begin.elapsed());
}

#[test]
fn a_lab_of_a_thousand_nodes_loads_quickly() {
    let mut nodes = String::new();
    let mut names = Vec::new();
    for number in 0..1000 {
        let _ = writeln!(
            nodes,
            "      - {{name: compute-{number:04}, cpus: 2, memory_mib: 1024, address: 10.0.{}.{}}}",
            number / 250,
            number % 250 + 4
        );
        names.push(format!("compute-{number:04}"));
    }
    let names = names.join(", ");
    let text = format!(
        "version: \"2.0\"\nname: large\nclusters:\n  hpc:\n    kind: slurm\n    networks:\n      lan: {{subnet: 10.0.0.0/16}}\n    nodes:\n{nodes}    partitions:\n      - {{name: all, nodes: [{names}]}}\n"
    );
    let (loaded, elapsed) = survives(text.as_bytes(), &Context::default());
    assert!(loaded.is_valid(), "{:?}", loaded.diagnostics.first());
    assert!(elapsed < LONGEST, "{elapsed:?}");
}

#[test]
fn a_thousand_findings_of_each_kind_are_found_quickly() {
    let mut clusters = String::new();
    for number in 0..1500 {
        let _ = writeln!(
            clusters,
            "  c{number}:\n    kind: slurm\n    networks: {{lan: {{subnet: 10.0.0.0/8, bridge: br}}}}\n    nodes: [{{name: n, address: 10.0.0.1}}, {{name: n}}]\n    partitions: [{{name: p, nodes: [n, n, m]}}]"
        );
    }
    let text = format!("version: \"2.0\"\nname: large\nclusters:\n{clusters}");
    let (loaded, elapsed) = survives(text.as_bytes(), &Context::default());
    assert!(loaded.omitted > 5000, "{}", loaded.omitted);
    assert!(elapsed < LONGEST, "{elapsed:?}");
}

#[test]
fn what_a_cluster_says_for_all_its_nodes_does_not_fill_the_memory() {
    let mut nodes = String::new();
    for number in 0..5000 {
        let _ = writeln!(nodes, "      - {{name: n{number}}}");
    }
    let long = "a".repeat(400_000);
    let text = format!(
        "version: \"2.0\"\nname: lab\nclusters:\n  prompts:\n    kind: appliance\n    model: {long}\n    append: {long}\n    nodes:\n{nodes}"
    );
    let (loaded, elapsed) = survives(text.as_bytes(), &Context::default());
    let found: Vec<_> = loaded.diagnostics.iter().map(|found| found.code.as_str()).collect();
    assert_eq!(found, ["out-of-range", "out-of-range"]);
    assert!(elapsed < LONGEST, "{elapsed:?}");
}

fn examples() -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let names = ["lab.yaml", "two-clusters.yaml", "workstation-1.0.yaml", "prompts.yaml"];
    names.iter().filter_map(|name| std::fs::read_to_string(folder.join(name)).ok()).collect()
}

/// Pieces that YAML and the format give a meaning to.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "version: \"2.0\"\n",
            "version: \"1.0\"\n",
            "clusters:\n",
            "  hpc:\n",
            "    nodes: ",
            "kind: appliance\n",
            "model: ",
            "append: ",
            "name: ",
            "- ",
            "? ",
            ": ",
            "{",
            "}",
            "[",
            "]",
            ",",
            "&a ",
            "*a ",
            "<<: ",
            "!!str ",
            "!x ",
            "|\n",
            ">-\n",
            "\"",
            "'",
            "#",
            "\n",
            "\r\n",
            "  ",
            "\t",
            "---\n",
            "...\n",
            "%YAML 1.2\n",
            "${",
            "}",
            "${A:-b}",
            "null",
            "yes",
            "0755",
            "1:30",
            "1e9999",
            ".inf",
            "9223372036854775808",
            "-9223372036854775808",
            "192.168.1.1",
            "10.0.0.0/8",
            "\u{feff}",
            "\u{85}",
            "\u{2028}",
            "🦀",
            "~",
            "=",
        ])
        .prop_map(str::to_owned),
        "[a-z0-9:#\\-\\[\\]{} \n]{0,8}",
        any::<char>().prop_map(String::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let (_, elapsed) = survives(&bytes, &Context::default());
        prop_assert!(elapsed < LONGEST, "{:?}", elapsed);
    }

    #[test]
    fn anything_like_yaml_is_survived(pieces in prop::collection::vec(piece(), 0..120)) {
        let (_, elapsed) = survives(pieces.concat().as_bytes(), &Context::default());
        prop_assert!(elapsed < LONGEST, "{:?}", elapsed);
    }

    #[test]
    fn examples_with_changes_are_survived(
        example in 0..4_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..30_usize, piece()), 1..6),
    ) {
        let examples = examples();
        let mut text: Vec<char> = examples[example % examples.len()].chars().collect();
        for (place, length, piece) in changes {
            let start = place.index(text.len().max(1)).min(text.len());
            let end = (start + length).min(text.len());
            text.splice(start..end, piece.chars());
        }
        let text: String = text.into_iter().collect();
        let (_, elapsed) = survives(text.as_bytes(), &Context::default());
        prop_assert!(elapsed < LONGEST, "{:?}", elapsed);
    }

    #[test]
    fn examples_that_end_early_are_survived(example in 0..4_usize, end in any::<prop::sample::Index>()) {
        let examples = examples();
        let bytes = examples[example % examples.len()].as_bytes();
        let (_, elapsed) = survives(&bytes[..end.index(bytes.len())], &Context::default());
        prop_assert!(elapsed < LONGEST, "{:?}", elapsed);
    }
}

/// The long form of the tests above, for a night: `-- --ignored`.
#[test]
#[ignore = "runs for two minutes"]
fn a_long_run_finds_nothing() {
    let end = Instant::now() + Duration::from_secs(120);
    let mut runner = proptest::test_runner::TestRunner::default();
    let strategy = prop::collection::vec(piece(), 0..200);
    let mut count = 0_u32;
    while Instant::now() < end {
        let tree = strategy.new_tree(&mut runner).map(|tree| tree.current()).unwrap_or_default();
        let (_, elapsed) = survives(tree.concat().as_bytes(), &Context::default());
        assert!(elapsed < LONGEST, "{elapsed:?}");
        count += 1;
    }
    assert!(count > 1000, "only {count} inputs in two minutes");
}
