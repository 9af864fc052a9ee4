//! Bad input: a clear error with a status by its kind, nothing that reaches a shell, and nothing half written. Folders that
//! are none are in `folders.rs`, records and state files that are damaged or newer in `framework.rs` and `take_over.rs`.

use std::fs;

use crate::home::{Home, LAB, Ran};

/// Names that mean something to a shell, a file system, a terminal or nobody.
fn names() -> Vec<String> {
    let short = [
        "a/b",
        "..",
        "../../pwned",
        "with space",
        "実験",
        "it's",
        "\"quoted\"",
        "$(touch pwned)",
        "`touch pwned`",
        "a; touch pwned",
        "a\nb",
        "{{ lab }}",
        "%s%n",
    ];
    short.map(str::to_owned).into_iter().chain(["x".repeat(300)]).collect()
}

/// A failure that was meant: a status of the program's own, and words that a person can read.
fn assert_told(ran: &Ran, statuses: &[i32], what: &str) {
    assert!(ran.code.is_some_and(|code| statuses.contains(&code)), "{what}: {ran:#?}");
    let last = ran.err.lines().last().unwrap_or_default();
    assert!(ran.code == Some(0) || last.len() > 10, "{what}: {ran:#?}");
}

fn assert_untouched(home: &Home) {
    for folder in [home.path(""), home.path("..")] {
        assert!(!folder.join("pwned").exists(), "a shell read a name");
    }
    assert_eq!(fs::read_to_string(home.path("lab.yaml")).unwrap(), LAB);
    assert_eq!(home.names("state"), Vec::<String>::new());
}

#[test]
fn no_argument_is_more_than_a_name() {
    let home = Home::new();
    for name in &names() {
        let to = format!("{name}:/tmp/x");
        for arguments in [
            &["cluster", "snapshot", "create", name, "lab.yaml"][..],
            &["cluster", "snapshot", "revert", name, "lab.yaml"],
            &["cluster", "snapshot", "rm", name, "lab.yaml"],
            &["cluster", "fork", name, "lab.yaml"],
            &["cluster", "status", "lab.yaml", "--fork", name],
            &["cluster", "destroy", "lab.yaml", "--force", "--fork", name],
            &["cluster", "start", "lab.yaml", "--cluster", name],
            &["cluster", "start", name],
            &["cluster", "take-over", "lab.yaml", "--from", name],
            &["node", "add", name, "--file", "lab.yaml"],
            &["node", "remove", name, "--file", "lab.yaml", "--force"],
            &["node", "resize", name, "--cpus", "2", "--file", "lab.yaml"],
            &["node", "start", name, "--file", "lab.yaml"],
            &["node", "snapshot", "create", "controller", name, "--file", "lab.yaml"],
            &["vm", "status", name],
            &["vm", "start", name],
            &["ssh", "--file", "lab.yaml", name, "true"],
            &["exec", "--file", "lab.yaml", "--node", name, "--", "true"],
            &["exec", "--file", "lab.yaml", "--role", name, "--", "true"],
            &["logs", "--file", "lab.yaml", name],
            &["console", "--file", "lab.yaml", name],
            &["cp", "--file", "lab.yaml", "lab.yaml", &to],
            &["image", "build", name],
            &["image", "rm", name],
            &["inventory", "generate-hpc", "lab.yaml", name],
            &["test", "run-tests", name, "--file", "lab.yaml"],
            &["test", "run-test", name, "--file", "lab.yaml"],
            &["plan", "clusters", name],
            &["render", name],
            &["report", name],
        ] {
            assert_told(&home.run(arguments), &[1, 2, 3, 4], &format!("{arguments:?}"));
        }
    }
    assert_untouched(&home);
}

#[test]
fn no_name_in_a_file_is_more_than_a_name() {
    let home = Home::new();
    let workstation = |name: &str| {
        format!(
            r#"version: "1.0"
metadata: {{name: {name}, description: {name}}}
clusters:
  hpc:
    name: {name}
    base_image_path: a.qcow2
    network: {{subnet: 10.213.78.0/24, bridge: {name}}}
    controller: {{cpu_cores: 1, memory_gb: 1, disk_gb: 10, ip_address: 10.213.78.10}}
    compute_nodes: [{{cpu_cores: 1, memory_gb: 1, disk_gb: 10, ip: 10.213.78.11}}]
    slurm_config: {{partitions: [{name}], default_partition: {name}}}
"#
        )
    };
    for name in &names() {
        // As YAML has it, which reads JSON.
        let quoted = serde_json::to_string(name).unwrap();
        for place in ["name: small", "hpc:", "name: compute-01", "name: debug", "lan:"] {
            let (before, _) =
                place.split_once("small").or(place.split_once("compute-01")).unwrap_or((place, ""));
            let hostile = match place {
                "hpc:" | "lan:" => format!("{quoted}:"),
                "name: debug" => format!("name: {quoted}"),
                _ => format!("{before}{quoted}"),
            };
            home.write("hostile.yaml", LAB.replacen(place, &hostile, 1));
            assert_told(&home.run(["plan", "hostile.yaml"]), &[4], &hostile);
            assert_told(&home.run(["cluster", "start", "hostile.yaml", "--dry-run"]), &[4], &hostile);
        }
        // Version 1.0 takes any text for a name; what cannot be one is replaced.
        home.write("hostile.yaml", workstation(&quoted));
        for arguments in [
            &["validate", "hostile.yaml"][..],
            &["plan", "hostile.yaml"],
            &["plan", "clusters", "hostile.yaml"],
            &["plan", "hostile.yaml", "--format", "json"],
            &["cluster", "status", "hostile.yaml"],
            &["cluster", "start", "hostile.yaml", "--dry-run"],
            &["inventory", "generate-hpc", "hostile.yaml", "hpc"],
            &["hpc", "destroy", "hostile.yaml", "--force"],
        ] {
            assert_told(&home.run(arguments), &[0], &format!("{name}: {arguments:?}"));
        }
        let plan = home.run(["plan", "hostile.yaml", "--format", "json"]).json();
        let domain = plan["clusters"][0]["nodes"][0]["domain"].as_str().unwrap();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        assert!(domain.chars().all(is_plain) && domain.len() < 128, "{name} became {domain}");
    }
    assert_untouched(&home);
}

#[test]
fn absurd_sizes_are_told_before_anything_is_made() {
    let home = Home::new();
    for size in ["-1", "0", "1.5", "1e9", "18446744073709551616", "two", "[]", "~", "\"\""] {
        for key in ["cpus", "memory_mib", "disk_gib"] {
            home.write(
                "hostile.yaml",
                LAB.replace("name: compute-01,", &format!("name: compute-01, {key}: {size},")),
            );
            let what = format!("{key}: {size}");
            assert_told(&home.run(["cluster", "start", "hostile.yaml", "--dry-run"]), &[4], &what);
            let ran = home.run(["validate", "hostile.yaml"]);
            assert!(ran.out.contains("hostile.yaml:12:"), "{what} has no place: {ran:#?}");
        }
        for option in ["--cpus", "--memory-mib", "--disk-gib"] {
            let ran =
                home.run(["node", "resize", "compute-01", &format!("{option}={size}"), "--file", "lab.yaml"]);
            assert_told(&ran, &[1, 2, 4], &format!("{option}={size}"));
        }
    }
    assert_untouched(&home);
}

#[test]
fn addresses_that_two_clusters_want_are_told_with_both_places() {
    let home = Home::new();
    let second = LAB.split_once("  hpc:").unwrap().1.replace("name: compute-01", "name: compute-07");
    home.write("hostile.yaml", format!("{LAB}  two:{second}"));
    let ran = home.run(["cluster", "start", "hostile.yaml"]);
    assert_told(&ran, &[4], "one address twice");
    assert!(ran.err.contains("error[duplicate-address]"), "{ran:#?}");
    assert!(ran.err.contains("10.213.77.10") && ran.err.contains("10.213.77.11"), "{ran:#?}");
    assert_untouched(&home);
}

#[test]
fn expressions_end_and_unbound_ones_are_named() {
    let home = Home::new();
    let workstation = r#"version: "1.0"
metadata: {name: w, description: "${A} ${B:-${C:-${A}}}"}
clusters:
  hpc:
    name: hpc
    base_image_path: a.qcow2
    network: {subnet: 10.213.78.0/24, bridge: b}
    controller: {cpu_cores: 1, memory_gb: 1, disk_gb: 10, ip_address: 10.213.78.10}
    compute_nodes: [{cpu_cores: 1, memory_gb: 1, disk_gb: 10, ip: 10.213.78.11}]
    slurm_config: {partitions: [debug], default_partition: debug}
"#;
    home.write("hostile.yaml", workstation);
    let render =
        |value: &str| Ran::of(home.command(["render", "hostile.yaml"]).env("A", value).output().unwrap());
    // A value that looks like an expression is a value.
    assert!(
        render("${A}$(touch pwned)")
            .succeeds()
            .contains("description: \"${A}$(touch pwned) ${A}$(touch pwned)\"")
    );
    assert_told(&home.run(["render", "hostile.yaml"]), &[1], "unbound");
    let ran = home.run(["cluster", "start", "hostile.yaml"]);
    assert_told(&ran, &[4], "unbound");
    assert!(ran.err.contains("error[unbound-variable]") && ran.err.contains("`A`"), "{ran:#?}");
    // Deeper than anybody writes.
    let deep = format!("{}x{}", "${A:-".repeat(10_000), "}".repeat(10_000));
    home.write("hostile.yaml", workstation.replace("${A} ${B:-${C:-${A}}}", &deep));
    assert_told(&home.run(["render", "hostile.yaml"]), &[0, 1], "deep");
    assert_untouched(&home);
}
