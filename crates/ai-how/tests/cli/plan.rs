//! `ai-how plan`: the same file gives the same bytes, and a wrong one gives all that is wrong.

use std::fs;

use crate::home::{Home, LAB};

const FORMATS: [&str; 4] = ["text", "json", "mermaid", "dot"];

#[test]
fn each_format_tells_the_lab() {
    let home = Home::new();
    let plan = |format| home.run(["plan", "lab.yaml", "--format", format]).succeeds();
    for format in FORMATS {
        let text = plan(format);
        for words in ["controller", "compute-01", "10.213.77.11"] {
            assert!(text.contains(words), "{words} is missing in {format}:\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "{format}");
    }
    let json: serde_json::Value = serde_json::from_str(&plan("json")).unwrap();
    assert_eq!(json["lab"], "small");
    assert!(plan("mermaid").contains("graph") || plan("mermaid").contains("flowchart"));
    assert!(plan("dot").contains("graph"));
    assert_eq!(plan("text"), home.run(["plan", "lab.yaml"]).succeeds());
}

#[test]
fn the_same_file_gives_the_same_bytes_from_anywhere() {
    let home = Home::new();
    let elsewhere = home.path("somewhere/else");
    fs::create_dir_all(&elsewhere).unwrap();
    let file = home.path("lab.yaml");
    for format in FORMATS {
        let plan = || home.run(["plan", "lab.yaml", "--format", format]).succeeds();
        let first = plan();
        assert_eq!(plan(), first, "{format}");
        for path in [file.as_os_str(), "../../lab.yaml".as_ref()] {
            let mut command = home.command(["plan".as_ref(), path, "--format".as_ref(), format.as_ref()]);
            let output = command.current_dir(&elsewhere).env("TZ", "Asia/Tokyo").output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), first, "{format}, {}", path.display());
        }
    }
    // Planning leaves nothing behind.
    assert_eq!((home.names("state"), home.names("cache")), (Vec::new(), Vec::new()));
}

#[test]
fn a_wrong_file_ends_every_command_with_all_its_errors() {
    let home = Home::new();
    let wrong =
        LAB.replace("10.213.77.11}", "10.99.0.1}").replace("controller, address", "controller, adress");
    home.write("wrong.yaml", wrong);
    for arguments in [
        &["plan", "wrong.yaml"][..],
        &["plan", "wrong.yaml", "--format", "json"],
        &["cluster", "start", "wrong.yaml"],
        &["cluster", "status", "wrong.yaml"],
        &["cluster", "stop", "wrong.yaml"],
        &["cluster", "destroy", "wrong.yaml", "--force"],
        &["ssh", "--file", "wrong.yaml", "controller"],
        &["console", "--file", "wrong.yaml", "controller"],
        &["test", "--file", "wrong.yaml", "run-tests"],
    ] {
        let ran = home.run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (Some(4), ""), "{arguments:?}: {ran:#?}");
        for words in ["wrong.yaml:10:36", "wrong.yaml:12:37", "wrong.yaml has 2 errors"] {
            assert!(ran.err.contains(words), "`{words}` is missing, {arguments:?}: {ran:#?}");
        }
    }
    assert_eq!((home.names("state"), home.names("cache")), (Vec::new(), Vec::new()));
}
