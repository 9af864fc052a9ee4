//! `ai-how test`, as far as it goes without a machine.

use std::os::unix::fs::PermissionsExt;

use crate::home::Home;

/// The programs that tests below need besides an emulator.
fn home() -> Home {
    Home::new().with_fake("qemu-system-x86_64", "emulator")
}

#[test]
fn unknown_names_are_told_before_anything_starts() {
    let home = Home::new();
    home.run(["test", "--file", "lab.yaml", "run-test", "munge-rums"])
        .fails(2, &["no check named `munge-rums`", "did you mean `munge-runs`", "list-tests"]);
    home.run(["test", "--file", "lab.yaml", "run-tests", "slurm-job"])
        .fails(2, &["no suite named `slurm-job`", "did you mean `slurm-jobs`", "list-tests"]);
    home.run(["test", "--file", "lab.yaml", "sabotage", "slurm-job"])
        .fails(2, &["did you mean `slurm-jobs`"]);
    home.run(["test", "--file", "lab.yaml", "run-test"]).fails(2, &["<NAME>"]);
    // As the framework that this one replaces has it.
    home.run(["test", "bogus"]).fails(1, &["unknown command: bogus", "ai-how test help"]);
}

#[test]
fn the_list_of_tests_is_for_people_and_programs() {
    let home = Home::new();
    let text = home.run(["test", "list-tests"]).succeeds();
    assert!(text.contains("slurm-jobs (") && text.contains("  munge-runs "), "{text}");
    let json = home.run(["test", "list-tests", "--format", "json"]).json();
    let suites = json.as_array().or_else(|| json["suites"].as_array()).unwrap();
    assert_eq!(suites.len(), text.lines().filter(|line| !line.starts_with(' ')).count(), "{json:#}");
    for suite in suites {
        let name = suite["name"].as_str().unwrap();
        assert!(text.contains(&format!("{name} (")), "{name}");
        assert!(!suite["checks"].as_array().unwrap().is_empty(), "{name}");
    }
}

#[test]
fn suites_of_ones_own_are_read_and_their_errors_told() {
    let home = Home::new();
    home.run(["test", "list-tests", "--suites", "nowhere"]).fails(2, &["nowhere"]);
    home.write("suites/broken/suite.yaml", "checks: 7\n");
    home.run(["test", "list-tests", "--suites", "suites"]).fails(2, &["suites/broken/suite.yaml"]);
}

#[test]
fn without_ansible_nothing_is_started() {
    let home = home();
    for verb in ["e2e", "sabotage"] {
        home.run(["test", "--file", "lab.yaml", verb])
            .fails(3, &["Ansible is not installed", "make set-up", "AI_HOW_ANSIBLE"]);
    }
    let output =
        home.command(["test", "--file", "lab.yaml"]).env("AI_HOW_ANSIBLE", "/nowhere").output().unwrap();
    crate::home::Ran::of(output).fails(3, &["AI_HOW_ANSIBLE is /nowhere", "make set-up"]);
    assert_eq!((home.names("state"), home.processes()), (Vec::new(), Vec::new()));
}

#[test]
fn without_an_emulator_nothing_is_started() {
    if ["/usr/sbin", "/sbin"]
        .iter()
        .any(|folder| std::fs::exists(format!("{folder}/qemu-system-x86_64")).unwrap())
    {
        eprintln!("skipped: the emulator is in a folder that is always looked at");
        return;
    }
    let home = Home::new();
    for command in [
        &["cluster", "start", "lab.yaml"][..],
        &["cluster", "start", "lab.yaml", "--format", "json"],
        &["test", "--file", "lab.yaml", "start-cluster"],
    ] {
        home.run(command)
            .fails(3, &["qemu-system-x86_64 is not installed", "make set-up", "qemu-system-x86"]);
    }
    assert_eq!(home.names("state"), Vec::<String>::new());
    // What needs no emulator does not ask for one.
    home.run(["test", "--file", "lab.yaml", "run-tests"]).fails(1, &["does not run", "ai-how cluster start"]);
}

#[test]
fn an_emulator_is_only_asked_for_where_nodes_need_it() {
    let home = home().with_namespaces().with_fake("mmdebstrap", "builder-that-fails");
    let config = std::fs::read_to_string(home.path("lab.yaml")).unwrap();
    home.write("arm.yaml", config.replace("kind: slurm", "kind: slurm\n    arch: aarch64"));
    home.run(["cluster", "start", "arm.yaml"])
        .fails(3, &["qemu-system-aarch64 is not installed", "make set-up", "qemu-system-arm"]);
    assert_eq!(home.names("state"), Vec::<String>::new());
    // As far as there is an image to boot.
    let ran = home.run(["cluster", "start", "lab.yaml"]);
    assert!(ran.err.contains("nothing works today"), "{ran:#?}");
    let doctor = home.run(["doctor", "--format", "json"]).json();
    let nodes = doctor.as_array().unwrap().iter().find(|finding| finding["name"] == "aarch64 nodes").unwrap();
    assert_eq!(
        (nodes["state"].as_str(), nodes["mend"].as_str()),
        (Some("fair"), Some("make set-up")),
        "{nodes:#}"
    );
}

#[test]
fn ansible_is_found_in_the_cache_that_is_named() {
    let home = home().with_namespaces();
    let found = |cache: &str| {
        let findings = home.run(["doctor", "--format", "json", "--cache", cache]).json();
        let ansible =
            findings.as_array().unwrap().iter().find(|found| found["name"] == "Ansible").unwrap().clone();
        ansible["found"].as_str().unwrap().to_owned()
    };
    assert!(found("other").contains("not installed"), "{}", found("other"));
    let playbook = home.write(
        "other/ansible-1/bin/ansible-playbook",
        "#!/bin/sh\necho 'ansible-playbook [core 2.19.1]\n  ansible python module location = /nowhere/ansible'\n",
    );
    std::fs::set_permissions(playbook, PermissionsExt::from_mode(0o755)).unwrap();
    home.write("other/ansible-1/complete", "");
    assert!(found("other").contains("ansible-core 2.19.1"), "{}", found("other"));
}

#[test]
fn a_plan_of_another_version_is_told_and_can_be_removed() {
    let home = home().with_namespaces();
    let status = ["cluster", "status", "lab.yaml", "--format", "json"];
    let folder = home.run(status).json()["folder"].as_str().unwrap().to_owned();
    home.write(format!("{folder}/plan.json"), r#"{"format": 99}"#);
    home.run(status).fails(1, &["plan.json", "it is of format 99", "ai-how cluster destroy"]);
    home.run(["ssh", "--file", "lab.yaml", "controller"]).fails(1, &["it is of format 99"]);
    for (content, told) in [
        (&br#"{"format": 99}"#[..], "use the ai-how that wrote it"),
        (b"", "move it away"),
        (b"{\"format\": 1, \"lab\"", "it is damaged"),
        (b"\xff\xfe", "it is damaged"),
    ] {
        home.write(format!("{folder}/plan.json"), content);
        home.run(status).fails(1, &["plan.json", told]);
        for all in [&["topology"][..], &["vm", "status", "hpc-controller"]] {
            let ran = home.run(all);
            assert!(ran.err.contains("is left out: ") && ran.err.contains(told), "{ran:#?}");
        }
    }
    home.run(["cluster", "destroy", "lab.yaml", "--force"]).succeeds();
    assert!(!std::path::Path::new(&folder).exists());
}

#[test]
fn a_start_without_an_image_leaves_a_record_and_no_lab() {
    let home = home().with_namespaces().with_fake("mmdebstrap", "builder-that-fails");
    let ran = home.run(["cluster", "start", "lab.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(3), ""), "{ran:#?}");
    assert!(ran.err.contains("nothing works today"), "{ran:#?}");
    assert_eq!(home.names("state/labs"), Vec::<String>::new());
    assert_eq!(home.names("cache/images").len(), 1, "the lock file alone: {:?}", home.names("cache/images"));
    for file in ["events.jsonl", "junit.xml", "plan.json", "report.html"] {
        assert!(home.path("state/runs/latest").join(file).is_file(), "{file}");
    }
    let report = home.run(["report", "state/runs/latest"]).succeeds();
    assert!(report.contains("report.html") && report.contains("junit.xml"), "{report}");
}

#[test]
fn a_name_that_is_no_text_does_not_stop_a_run() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let home = home().with_namespaces().with_fake("mmdebstrap", "builder-that-fails");
    let name = OsStr::from_bytes(b"la\xffb.yaml");
    home.write(name, crate::home::LAB);
    let ran = home.run(["cluster".as_ref(), "start".as_ref(), name]);
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    assert!(ran.err.contains("nothing works today"), "{ran:#?}");
}

#[test]
fn a_folder_that_is_no_run_has_no_report() {
    let home = Home::new();
    home.run(["report", "nowhere"]).fails(2, &["nowhere", "events.jsonl"]);
}
