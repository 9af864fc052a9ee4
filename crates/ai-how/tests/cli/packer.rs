//! `ai-how image packer`: templates that Packer itself accepts, and their keys.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::home::{Home, Ran};

const ALL: [&str; 4] = ["hpc-controller", "hpc-compute", "cloud-base", "cloud-gpu-worker"];

fn home() -> Home {
    let home = Home::new().with(&["ssh-keygen", "unshare", "sh"]).with_fake("qemu-system-x86_64", "emulator");
    home.with_fake("ansible-playbook", "ansible-playbook")
}

#[test]
fn a_file_gets_the_templates_that_it_calls_for() {
    let home = home();
    let write = |arguments: &[&str]| {
        let all = [&["image", "packer"], arguments, &["--output", "out"]].concat();
        let written = home.run(all).succeeds();
        fs::remove_dir_all(home.path("out")).unwrap();
        written.lines().map(|line| line.trim_start_matches("out/").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(write(&["lab.yaml"]), ALL[..2]);
    assert_eq!(write(&["lab.yaml", "--all"]), ALL);
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/workstation-1.0.yaml");
    assert_eq!(write(&[example]), ALL, "it has both kinds of clusters, and a worker with a GPU");
    let build = ["image", "packer", "lab.yaml", "--output", "out", "--build", "cloud-base"];
    home.run(build).fails(2, &["no image named `cloud-base`", "hpc-controller, hpc-compute", "--all"]);
}

#[test]
fn packer_accepts_every_template() {
    if image::packer_takes_plugins() {
        eprintln!("skipped: Packer is not there, or would fetch plugins");
        return;
    }
    let home = home().with(&["packer"]);
    home.run(["image", "packer", "lab.yaml", "--all", "--output", "out"]).succeeds();
    let validate = |name: &str| {
        let mut packer = home.surround("packer", ["validate".to_owned(), format!("out/{name}")]);
        packer.env("CHECKPOINT_DISABLE", "1");
        Ran::of(packer.output().unwrap())
    };
    for name in ALL {
        let ran = validate(name);
        assert_eq!(ran.code, Some(0), "{name}: {ran:#?}");
    }
    // It looks closely enough to see what is wrong.
    let template = home.path("out/cloud-base/image.pkr.hcl");
    let broken = fs::read_to_string(&template).unwrap().replace("disk_discard ", "disc_discard ");
    fs::write(&template, broken).unwrap();
    assert_ne!(validate("cloud-base").code, Some(0));

    // One key for all, which stays; nobody else reads it.
    let key = home.path("out/id_ed25519");
    let before = fs::read(&key).unwrap();
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    home.run(["image", "packer", "lab.yaml", "--output", "out"]).succeeds();
    assert_eq!(fs::read(&key).unwrap(), before);
}
