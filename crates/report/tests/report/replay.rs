use std::fs;
use std::path::Path;

use ai_how_report::replay::write_artifacts;

use crate::fixture;

/// The folder of the fixture's run as the program leaves it. It stays in the target folder, to be looked at.
fn run_folder(name: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    for file in fixture::attachments() {
        let path = folder.join(file.name);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder of ours");
        fs::write(path, file.text).expect("a folder of ours");
    }
    let events = fixture::events();
    let lines = events.iter().map(|event| serde_json::to_string(event).expect("events are JSON") + "\n");
    fs::write(folder.join("events.jsonl"), lines.collect::<String>()).expect("a folder of ours");
    let plan = serde_json::to_vec(&fixture::plan()).expect("plans are JSON");
    fs::write(folder.join("plan.json"), plan).expect("a folder of ours");
    folder
}

#[test]
fn the_files_of_a_run_are_made_from_its_folder() {
    let folder = run_folder("report-fixture");
    fs::create_dir_all(folder.join("keys")).expect("a folder of ours");
    fs::write(folder.join("keys/id_ed25519"), "PRIVATE KEY").expect("a folder of ours");
    let written = write_artifacts(&folder).expect("files");
    let page = fs::read_to_string(&written.report).expect("a page");
    assert!(page.contains("consoles&#x2f;demo-compute-02.log") && page.contains("10.10.1.12"));
    assert!(!page.contains("PRIVATE KEY"), "only logs and XML are shown");
    let junit = fs::read_to_string(&written.junit).expect("XML");
    // Written again they are the same: a report is no attachment of itself.
    write_artifacts(&folder).expect("files");
    assert_eq!(fs::read_to_string(&written.report).expect("a page"), page);
    assert_eq!(fs::read_to_string(&written.junit).expect("XML"), junit);
}

#[test]
fn a_killed_run_without_a_plan_gets_its_files_too() {
    let folder = run_folder("report-killed");
    let record = fs::read(folder.join("events.jsonl")).expect("a record");
    fs::write(folder.join("events.jsonl"), record.get(..record.len() / 2).expect("within")).expect("ours");
    fs::remove_file(folder.join("plan.json")).expect("it is there");
    let written = write_artifacts(&folder).expect("files");
    assert!(fs::read_to_string(written.report).expect("a page").contains("Interrupted"));
    assert!(fs::read_to_string(written.junit).expect("XML").contains("<error"));
}

#[test]
fn a_torn_plan_costs_the_topology_only() {
    let folder = run_folder("report-torn-plan");
    fs::write(folder.join("plan.json"), "{\"format\": 1, \"lab\"").expect("a folder of ours");
    let page = fs::read_to_string(write_artifacts(&folder).expect("files").report).expect("a page");
    assert!(page.contains("plan.json") && page.contains("[cannot be read: EOF"));
    assert!(!page.contains("id=\"topology\""));
}

#[test]
fn a_folder_without_a_record_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = write_artifacts(folder.path()).expect_err("it is empty").to_string();
    assert!(error.contains("events.jsonl") && error.contains("name the folder of a run"), "{error}");
}
