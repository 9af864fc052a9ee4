//! The same lab as an ordinary user, and in the host's own libvirt.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use crate::bench::{Bench, open_to_all, words};

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|data| std::os::unix::fs::MetadataExt::uid(&data) == 0)
}

/// A user of its own, gone with this value.
struct User(String);

impl User {
    fn make() -> Self {
        let name = format!("aihow{}", std::process::id());
        let made =
            Command::new("useradd").args(["--create-home", "--shell", "/bin/bash", &name]).status().unwrap();
        assert!(made.success());
        Self(name)
    }

    fn home(&self) -> PathBuf {
        Path::new("/home").join(&self.0)
    }

    fn shell(&self, script: &str) -> std::process::Output {
        Command::new("runuser")
            .args(["-u", &self.0, "--", "bash", "-c", script])
            .current_dir("/")
            .output()
            .unwrap()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // A test that failed half-way leaves labs, and the next user may have the same number.
        let ended = Command::new("pkill").args(["-KILL", "-u", &self.0]).status();
        drop(ended);
        // Files of the user's subordinate ids lie in its home; as root they go like any other.
        let removed = Command::new("userdel").args(["--remove", "--force", &self.0]).output();
        drop(removed);
    }
}

#[test]
fn an_ordinary_user_builds_starts_and_destroys() {
    if !is_root() {
        eprintln!("skipped: this is an ordinary user already, so every other test shows it");
        return;
    }
    let bench = Bench::new();
    // Where no device manager runs only root can open it; `scripts/set-up` does the same for a user.
    let opened = Command::new("chmod").args(["0666", "/dev/net/tun"]).status().unwrap();
    assert!(opened.success());
    let user = User::make();
    let program = user.home().join("ai-how");
    fs::copy(env!("CARGO_BIN_EXE_ai-how"), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(bench.path("bench.yaml"), user.home().join("bench.yaml")).unwrap();

    // The image is built by the user too: that it works without root is half of the promise.
    let script = "set -e; cd; unset AI_HOW_CACHE AI_HOW_STATE; export HOME=~; id -u >&2; ./ai-how cluster start \
                  --no-deploy bench.yaml; ./ai-how cluster fork try bench.yaml; ./ai-how cluster destroy bench.yaml --force; \
                  ./ai-how ssh --file bench.yaml --fork try compute-01 hostname; \
                  ./ai-how cluster destroy bench.yaml --force --fork try";
    let output = user.shell(script);
    assert!(output.status.success(), "{}", words(&output));
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("compute-01\n"), "{}", words(&output));
    let left = Command::new("ps").args(["-u", &user.0, "-o", "args="]).output().unwrap();
    // One that has ended and waits to be reaped by a slow first process is gone.
    let left = String::from_utf8_lossy(&left.stdout).into_owned();
    assert!(left.lines().all(|line| line.contains("<defunct>")), "{left}");
    drop(user);
    bench.assert_clean("an ordinary user's lab");
}

/// A libvirt as a host has one, its socket where `qemu:///system` looks for it, in namespaces that end with the script.
const HOST: &str = r#"
set -eu
ip link set lo up
mount -t tmpfs tmpfs /run
for folder in /var/lib/libvirt /var/log/libvirt /var/cache/libvirt /etc/libvirt; do mount -t tmpfs tmpfs "$folder"; done
mkdir -p /run/libvirt /run/lock /var/lib/libvirt/qemu /var/lib/libvirt/dnsmasq /var/lib/libvirt/network /var/log/libvirt/qemu
printf '%s\n' 'cgroup_controllers = []' 'security_driver = "none"' 'namespaces = []' 'stdio_handler = "file"' \
    'remember_owner = 0' > /etc/libvirt/qemu.conf
/usr/sbin/libvirtd > /run/libvirtd.log 2>&1 &
for _ in $(seq 200); do [ -S /run/libvirt/libvirt-sock ] && break; sleep 0.1; done
# A stranger with a confusing name, which must live through everything.
cat > /run/stranger.xml <<XML
<network><name>hpc-lan-of-somebody</name><bridge name='virbr9'/><ip address='192.168.77.1' netmask='255.255.255.0'/></network>
XML
virsh -q -c qemu:///system net-create /run/stranger.xml
"$@" cluster start --no-deploy bench.yaml --lab system
"$@" cluster status bench.yaml --lab system
"$@" ssh --file bench.yaml --lab system compute-01 hostname
virsh -q -c qemu:///system list --name
"$@" vm status hpc-compute-01 --lab system --format json | grep '"state": "running"'
"$@" topology --lab system --format json | grep -c '"state": "running"'
"$@" hpc status bench.yaml --lab system | grep '2 of 2 machines run'
"$@" inventory generate-hpc bench.yaml hpc --lab system | grep -c 'ansible_host='
"$@" vm restart hpc-compute-01 --lab system --no-wait
"$@" prompt smoke --lab system
"$@" cluster destroy bench.yaml --force --lab system
echo "left: $(virsh -q -c qemu:///system list --all --name | xargs) $(virsh -q -c qemu:///system net-list --name | xargs)"
"#;

#[test]
fn the_hosts_own_libvirt_runs_the_same_lab() {
    if !is_root() {
        eprintln!("skipped: only root may start a libvirt as a host has one");
        return;
    }
    let bench = Bench::new();
    // The host's QEMU runs as a user of its own, which must be able to read the image.
    let cache = bench.path("cache");
    fs::create_dir(&cache).unwrap();
    let home = std::env::var("HOME").unwrap_or_default();
    let users = std::env::var("AI_HOW_CACHE").unwrap_or(format!("{home}/.cache/ai-how"));
    let images = Path::new(&users).join("images");
    if open_to_all(&images) {
        symlink(&images, cache.join("images")).unwrap();
    } else {
        let copied = Command::new("cp").arg("-r").arg(&images).arg(cache.join("images")).status().unwrap();
        assert!(copied.success(), "there is no image yet: run `ai-how image build`");
    }
    for folder in [bench.path(""), cache.clone()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", HOST, "sh"])
        .arg(env!("CARGO_BIN_EXE_ai-how"))
        .current_dir(bench.path(""))
        .env("AI_HOW_STATE", bench.path("state"))
        .env("AI_HOW_CACHE", &cache)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", words(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("\ncompute-01\n") && said.contains("hpc-compute-01\n"), "{}", words(&output));
    assert!(said.ends_with("left:  hpc-lan-of-somebody\n"), "{}", words(&output));
    bench.assert_clean("a lab in the host's libvirt");
}
