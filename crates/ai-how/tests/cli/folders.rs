//! Where things are kept: folders that cannot be written to, have odd names, or very long ones.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

use crate::{
    home::{Home, Ran},
    mount,
};

fn home() -> Home {
    Home::new().with_fake("qemu-system-x86_64", "emulator")
}

/// Every command that looks and changes nothing, and some that change what is not there.
fn look_around(home: &Home, state: &Path) {
    for (arguments, code) in [
        (&["validate", "lab.yaml"][..], 0),
        (&["plan", "lab.yaml"], 0),
        (&["cluster", "status", "lab.yaml"], 0),
        (&["cluster", "status", "lab.yaml", "--format", "json"], 0),
        (&["cluster", "stop", "lab.yaml"], 0),
        (&["ssh", "--file", "lab.yaml", "controller"], 1),
        (&["console", "--file", "lab.yaml", "controller"], 1),
        (&["test", "--file", "lab.yaml", "run-tests"], 1),
        (&["cluster", "destroy", "lab.yaml", "--force"], 0),
        (&["image", "list", "--format", "json"], 0),
    ] {
        let mut command = home.command(arguments);
        let ran = Ran::of(command.env("AI_HOW_STATE", state).env("AI_HOW_CACHE", state).output().unwrap());
        assert_eq!(ran.code, Some(code), "{arguments:?} in {}: {ran:#?}", state.display());
    }
}

#[test]
fn spaces_and_every_script_are_names_like_others() {
    let home = home();
    let state = home.path("my labs/лаборатория 実験 'quoted' \"twice\" $HOME, a=b");
    look_around(&home, &state);
    let mut command = home.command(["cluster", "status", "lab.yaml", "--format", "json"]);
    let status = Ran::of(command.env("AI_HOW_STATE", &state).output().unwrap()).json();
    assert!(Path::new(status["folder"].as_str().unwrap()).starts_with(&state), "{status:#}");
}

#[test]
fn a_name_that_is_no_text_is_a_name_like_others() {
    let home = home();
    look_around(&home, &home.path(OsStr::from_bytes(b"sta\xffte")));
}

#[test]
fn a_path_may_be_longer_than_a_socket_address() {
    let home = home();
    let state = home.path(format!("{0}/{0}/{0}", "long".repeat(40)));
    assert!(state.as_os_str().len() > 400);
    look_around(&home, &state);
}

#[test]
fn options_go_before_variables_and_empty_ones_are_none() {
    let home = Home::new();
    let folder = |mut command: std::process::Command| {
        let json = Ran::of(command.output().unwrap()).json();
        json["folder"].as_str().unwrap().to_owned()
    };
    let status = ["cluster", "status", "lab.yaml", "--format", "json"];
    let mut command = home.command(status);
    command.args(["--state", "other"]);
    assert!(
        folder(command).starts_with(home.path("other").to_str().unwrap()),
        "relative to where the program starts"
    );

    let mut command = home.command(status);
    command.env("AI_HOW_STATE", "").env("AI_HOW_CACHE", "").env("XDG_STATE_HOME", home.path("shared"));
    assert!(folder(command).starts_with(home.path("shared/ai-how").to_str().unwrap()));

    let mut command = home.command(status);
    command.env_remove("AI_HOW_STATE").env("XDG_STATE_HOME", "ignored/because/relative");
    assert!(folder(command).starts_with(home.path(".local/state/ai-how").to_str().unwrap()));
}

#[test]
fn a_state_folder_that_is_a_file_is_told() {
    let home = home();
    home.write("state", "");
    let refused = |state: &str| {
        for arguments in [
            &["cluster", "start", "lab.yaml"][..],
            &["cluster", "status", "lab.yaml"],
            &["cluster", "destroy", "lab.yaml", "--force"],
            &["vm", "status", "hpc-controller"],
            &["topology"],
        ] {
            let arguments = [arguments, &["--state", state]].concat();
            home.run(arguments).fails(3, &["labs are kept in", state, "which is no folder"]);
        }
    };
    refused("state");
    std::os::unix::fs::symlink("nowhere", home.path("dangling")).unwrap();
    refused("dangling");
    home.run(["plan", "lab.yaml"]).succeeds();
}

#[test]
fn a_link_to_a_state_folder_is_one() {
    let home = home();
    std::fs::create_dir(home.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", home.path("linked")).unwrap();
    look_around(&home, &home.path("linked"));
}

#[test]
fn a_read_only_state_folder_is_told_and_can_be_looked_at() {
    let home = home().with_namespaces();
    let Some(ran) = mount::run(&home, "state", "ro", "\"$AI_HOW\" cluster start lab.yaml") else { return };
    ran.fails(3, &["cannot create the folder", "/state/labs", "Read-only file system"]);
    let script =
        "\"$AI_HOW\" plan lab.yaml && \"$AI_HOW\" validate lab.yaml && \"$AI_HOW\" cluster status lab.yaml";
    let Some(ran) = mount::run(&home, "state", "ro", script) else { return };
    assert!(ran.succeeds().contains("absent"));
}

#[test]
fn a_read_only_cache_is_told() {
    let home = home().with_namespaces();
    let Some(ran) = mount::run(&home, "cache", "ro", "\"$AI_HOW\" image build") else { return };
    ran.fails(3, &["cannot create the folder", "/cache/images", "Read-only file system"]);
    assert_eq!(home.names("state"), Vec::<String>::new());
}
