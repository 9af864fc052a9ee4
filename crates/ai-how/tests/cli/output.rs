//! Whoever reads the output may leave early, and the disk it goes to may be full.

use std::{fs::File, io::PipeWriter, process::Stdio};

use crate::home::{Home, LAB, Ran};

/// Commands that write data, with their statuses.
const COMMANDS: [(&[&str], i32); 15] = [
    (&["validate", "wrong.yaml"], 1),
    (&["validate", "wrong.yaml", "--format", "json"], 1),
    (&["validate", "wrong.yaml", "lab.yaml", "--format", "json"], 1),
    (&["validate", "wrong.yaml", "--format", "github"], 1),
    (&["validate", "wrong.yaml", "--format", "sarif"], 1),
    (&["plan", "lab.yaml"], 0),
    (&["plan", "lab.yaml", "--format", "json"], 0),
    (&["plan", "lab.yaml", "--format", "mermaid"], 0),
    (&["plan", "lab.yaml", "--format", "dot"], 0),
    (&["cluster", "status", "lab.yaml"], 0),
    (&["cluster", "status", "lab.yaml", "--format", "json"], 0),
    (&["image", "list", "--format", "json"], 0),
    (&["test", "list-tests"], 0),
    (&["test", "list-tests", "--format", "json"], 0),
    (&["doctor"], 3),
];

fn home() -> Home {
    let home = Home::new();
    home.write("wrong.yaml", LAB.replace("kind: slurm", "kind: slum"));
    home
}

/// A pipe whose reader has left.
fn left() -> PipeWriter {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer
}

#[test]
fn a_reader_that_leaves_early_changes_no_status() {
    let home = home();
    for (arguments, code) in COMMANDS {
        let mut command = home.command(arguments);
        let ran = Ran::of(
            command.stdout(left()).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap(),
        );
        assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:#?}");
        assert!(!ran.err.contains("pipe"), "{arguments:?}: {ran:#?}");
        // `2>&1 | head -1`
        let status = command.stdout(left()).stderr(left()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
    for arguments in [&["--help"][..], &["--version"], &["test", "--help"]] {
        let status = home.command(arguments).stdout(left()).stderr(left()).status().unwrap();
        assert_eq!(status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn nobody_to_hear_an_error_changes_no_status() {
    let home = home();
    for (arguments, code) in [
        (&["plan", "wrong.yaml"][..], 4),
        (&["plan", "nowhere.yaml"], 2),
        (&["cluster", "stop", "lab.yaml"], 0),
        (&["image", "list"], 0),
        (&["test", "bogus"], 1),
        (&["clutser"], 2),
    ] {
        let status = home.command(arguments).stderr(left()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn data_that_does_not_fit_on_the_disk_is_a_failure() {
    let home = home();
    for (arguments, _) in COMMANDS {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ran = Ran::of(
            home.command(arguments)
                .stdout(full)
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
                .wait_with_output()
                .unwrap(),
        );
        ran.fails(3, &["cannot write to standard output", "No space left on device"]);
    }
}

#[test]
fn a_run_goes_on_without_anybody_to_watch() {
    let home = Home::new()
        .with_namespaces()
        .with_fake("qemu-system-x86_64", "emulator")
        .with_fake("mmdebstrap", "builder-that-fails");
    for format in ["text", "json"] {
        let mut command = home.command(["cluster", "start", "lab.yaml", "--format", format]);
        let status = command.stdout(left()).stderr(left()).status().unwrap();
        assert_eq!(status.code(), Some(3), "{format}");
    }
    assert!(home.path("state/runs/latest/report.html").is_file());
}
