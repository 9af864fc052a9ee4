//! `ai-how doctor`: what is missing is told with what mends it.

use crate::home::{Home, Ran};

#[test]
fn whatever_is_missing_has_a_mend() {
    // An empty PATH: some programs are found all the same, in the folders for daemons.
    let home = Home::new();
    let ran = home.run(["doctor", "--format", "json"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(3), ""), "{ran:#?}");
    let findings = ran.json();
    let findings = findings.as_array().unwrap();
    for finding in findings {
        let word = |key: &str| finding[key].as_str().unwrap();
        assert!(["good", "fair", "bad"].contains(&word("state")), "{finding:#}");
        assert_eq!(word("state") == "good", word("mend").is_empty(), "{finding:#}");
        assert!(!word("name").is_empty() && !word("found").is_empty(), "{finding:#}");
    }
    for name in ["namespaces", "image builder", "Ansible"] {
        let finding = findings.iter().find(|finding| finding["name"] == name).unwrap();
        assert_eq!(finding["state"], "bad", "{finding:#}");
        assert!(finding["mend"].as_str().unwrap().contains("make set-up"), "{finding:#}");
    }

    let ran = home.run(["doctor"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(3), ""), "{ran:#?}");
    let lines: Vec<&str> = ran.out.lines().collect();
    let (mends, states): (Vec<&str>, Vec<&str>) =
        lines.iter().partition(|line| line.trim_start().starts_with("mend: "));
    assert_eq!(states.len(), findings.len(), "{}", ran.out);
    assert_eq!(
        mends.len(),
        findings.iter().filter(|finding| finding["state"] != "good").count(),
        "{}",
        ran.out
    );
    for pair in lines.windows(2) {
        let unwell = pair[0].starts_with("bad ") || pair[0].starts_with("fair");
        assert_eq!(unwell, pair[1].trim_start().starts_with("mend: "), "{}", ran.out);
    }
    assert!(!ran.out.contains('\u{1b}'));
}

#[test]
fn what_is_there_is_good() {
    let home = Home::new()
        .with(&["mke2fs"])
        .with_fake("mmdebstrap", "builder")
        .with_fake("qemu-system-x86_64", "emulator");
    let findings = home.run(["doctor", "--format", "json"]).json();
    let state = |name: &str| {
        let finding = findings.as_array().unwrap().iter().find(|finding| finding["name"] == name).unwrap();
        finding["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (state("QEMU"), state("image builder"), state("file system tools")),
        ("good".into(), "good".into(), "good".into())
    );
    assert_ne!(state("accelerator"), "bad");
}

#[test]
fn the_status_is_that_of_the_worst_finding() {
    // All that the host has, and an emulator that is quick.
    let home = Home::new().with_fake("qemu-system-x86_64", "emulator");
    let path = format!("{}:{}", home.path("bin").display(), std::env::var("PATH").unwrap_or_default());
    let ran = Ran::of(home.command(["doctor", "--format", "json"]).env("PATH", path).output().unwrap());
    let code = ran.code;
    let findings = ran.json();
    let bad = findings.as_array().unwrap().iter().any(|finding| finding["state"] == "bad");
    assert_eq!(code, Some(if bad { 3 } else { 0 }), "{findings:#}");
}

#[test]
fn a_short_command_does_not_load_libvirts_library() {
    let home = Home::new();
    // The loader lists what it would load, and the program does not run.
    let mut command = home.command(["--version"]);
    let listed = Ran::of(command.env("LD_TRACE_LOADED_OBJECTS", "1").output().unwrap()).succeeds();
    assert!(listed.contains("libc.so") && !listed.contains("libvirt"), "{listed}");
}
