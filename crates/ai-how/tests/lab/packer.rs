//! Packer builds an image that has no secret and no identity; nodes of it have one each, and take SLURM.

use std::{fs, path::Path, process::Command};

use crate::{
    bench::{Bench, words},
    start::{Cache, Start},
};

const CONFIG: &str = r#"version: "2.0"
name: packed
clusters:
  hpc:
    kind: slurm
    image: out/hpc-compute.qcow2
    networks: {lan: {subnet: 192.168.186.0/24}}
    defaults: {cpus: 1, memory_mib: 640, disk_gib: 40}
    nodes: [{name: compute-01}]
"#;

fn debugfs(disk: &Path, command: &str) -> String {
    let output = Command::new("debugfs").args(["-R", command]).arg(disk).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// No secret of the build, and nothing that two machines would have in common, is anywhere on the disk: neither in a file
/// nor where one was.
fn assert_sealed(bench: &Bench) {
    let raw = bench.path("disk.raw");
    let convert = Command::new("qemu-img")
        .args(["convert", "-O", "raw"])
        .args([&bench.path("out/hpc-compute.qcow2"), &raw])
        .output()
        .unwrap();
    assert!(convert.status.success(), "{}", words(&convert));
    for path in [
        "/etc/munge/munge.key",
        "/etc/ssh/ssh_host_ed25519_key",
        "/root/.ssh/authorized_keys",
        "/root/.bash_history",
        "/var/lib/systemd/random-seed",
    ] {
        assert!(!debugfs(&raw, &format!("stat {path}")).contains("Inode:"), "{path} is there");
    }
    assert!(debugfs(&raw, "stat /etc/ssh/sshd_config").contains("Inode:"), "nothing is seen at all");
    assert!(debugfs(&raw, "stat /etc/machine-id").contains("Size: 0"));
    fs::remove_file(raw).unwrap();
    let image = String::from_utf8_lossy(&fs::read(bench.path("out/hpc-compute.qcow2")).unwrap()).into_owned();
    let key = fs::read_to_string(bench.path("out/id_ed25519.pub")).unwrap();
    // What every private key of OpenSSH's begins with, and who was let in while it was built.
    for secret in ["b3BlbnNzaC1rZXktdjE", key.split(' ').nth(1).unwrap()] {
        assert!(!image.contains(secret), "{secret} is on the disk");
    }
    assert!(image.contains("PermitRootLogin prohibit-password"), "nothing is seen at all");
}

#[test]
fn clones_of_an_image_that_packer_built_have_keys_of_their_own() {
    if image::packer_takes_plugins() {
        eprintln!("skipped: Packer is not there, or would fetch plugins");
        return;
    }
    let bench = Bench::new();
    let cache = Cache::new(&bench);
    fs::write(bench.path("packed.yaml"), CONFIG).unwrap();
    // What the lab boots is not there yet, and a file that calls for an image need not have it.
    bench.ok(&["image", "packer", "packed.yaml", "--output", "out", "--build", "hpc-compute"]);
    let manifest: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(bench.path("out/hpc-compute.json")).unwrap()).unwrap();
    let files = manifest["builds"][0]["files"].as_array().unwrap();
    for file in files {
        let path = bench.path("out").join(file["name"].as_str().unwrap());
        assert_eq!(fs::metadata(&path).unwrap().len(), file["size"].as_u64().unwrap(), "{}", path.display());
    }
    assert_eq!(files.len(), 3, "{manifest}");
    assert!(!bench.path("out/hpc-compute/build").exists());
    assert_sealed(&bench);

    let told = Start::spawn(&bench, &cache, "packed.yaml").done();
    assert_eq!(told.copied_and_booted().0 + told.copied_and_booted().1, 2, "{told:?}");
    let on = |node: &str, command: &str| bench.ok(&["ssh", "--file", "packed.yaml", node, command]);
    let keys = ["controller", "compute-01"].map(|node| on(node, "cat /etc/ssh/ssh_host_ed25519_key.pub"));
    assert_ne!(keys[0], keys[1]);
    assert_ne!(on("controller", "cat /etc/machine-id"), on("compute-01", "cat /etc/machine-id"));
    assert_eq!(on("controller", "cat /root/.ssh/authorized_keys").lines().count(), 1);
    // It starts at boot what a deploy has given its settings, and nothing before.
    assert_eq!(on("compute-01", "systemctl is-enabled slurmd munge"), "enabled\nenabled\n");
    assert_eq!(on("compute-01", "systemctl is-failed slurmd munge; true"), "inactive\ninactive\n");
    bench.ok(&["cluster", "destroy", "packed.yaml", "--force"]);
    bench.assert_clean("a destroy");
}
