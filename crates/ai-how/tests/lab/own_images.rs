//! Nodes that boot qcow2 files of the user's: one with our kernel beside it, and one that boots by itself.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    bench::{Bench, words},
    start::{Cache, MACHINES, Start},
};

/// Two nodes of one file, and one of another.
const CONFIG: &str = r#"version: "2.0"
name: own
clusters:
  hpc:
    kind: slurm
    image: images/own.qcow2
    networks: {lan: {subnet: 192.168.187.0/24}}
    defaults: {cpus: 1, memory_mib: 640, disk_gib: 4}
    controller: {name: controller}
    nodes: [{name: compute-01}]
"#;

/// The folder of the image that ai-how builds.
fn built(bench: &Bench) -> PathBuf {
    bench.ok(&["image", "build"]).trim_end().into()
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", words(&output));
}

#[test]
fn a_file_with_its_kernel_beside_it_is_as_good_as_our_image() {
    let bench = Bench::new();
    let cache = Cache::new(&bench);
    let image = built(&bench);
    let folder = bench.path("images");
    fs::create_dir(&folder).unwrap();
    for (from, to) in [("disk.qcow2", "own.qcow2"), ("vmlinuz", "own.vmlinuz"), ("initrd", "own.initrd")] {
        fs::copy(image.join(from), folder.join(to)).unwrap();
    }
    fs::write(bench.path("own.yaml"), CONFIG).unwrap();
    let before = fs::metadata(folder.join("own.qcow2")).unwrap().modified().unwrap();

    let told = Start::spawn(&bench, &cache, "own.yaml").done();
    assert_eq!((told.made(), told.copied_and_booted()), (1, (2, 0)), "{told:?}");
    let key =
        |node: &str| bench.ok(&["ssh", "--file", "own.yaml", node, "cat /etc/ssh/ssh_host_ed25519_key.pub"]);
    assert_ne!(key("controller"), key("compute-01"));
    let listed = cache.command(&bench, &["image", "list"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("own 1 CPU 640 MiB") && !listed.contains("older image"), "{listed}");

    // Disks that lie on a file that is another one by now are not started.
    bench.ok(&["cluster", "stop", "own.yaml"]);
    assert_eq!(fs::metadata(folder.join("own.qcow2")).unwrap().modified().unwrap(), before);
    fs::copy(folder.join("own.qcow2"), folder.join("new")).unwrap();
    fs::rename(folder.join("new"), folder.join("own.qcow2")).unwrap();
    let again = cache.command(&bench, &[&MACHINES[..], &["own.yaml"]].concat()).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(words(&again).contains("is not what it was when the disk was made"), "{}", words(&again));
    bench.ok(&["cluster", "destroy", "own.yaml", "--force"]);
    bench.assert_clean("a destroy");
}

/// In the guest, in the place of cloud-init: the user and the key that the seed asks for, and one that came with the image.
const READ_SEED: &str = r##"#!/bin/sh
set -eu
echo 'admin:*:1000:1000::/home/admin:/bin/bash' >>/etc/passwd
mount -o ro /dev/vdb /mnt
install -d -o 1000 -g 1000 -m 700 /home/admin /home/admin/.ssh
python3 - >/home/admin/.ssh/authorized_keys <<'END'
import json
user = json.loads(open("/mnt/user-data").read().removeprefix("#cloud-config"))["users"][0]
assert user["name"] == "admin"
print(*user["ssh_authorized_keys"], sep="\n")
END
cp /etc/baked-key.pub /home/admin/.ssh/authorized_keys2
chown 1000:1000 /home/admin/.ssh/*
"##;

const READ_SEED_UNIT: &str = "[Unit]\nDefaultDependencies=no\nBefore=ssh.socket\n[Service]\nType=oneshot\nExecStart=/usr/bin/read-seed\n";

/// Where the two partitions begin and end, MiB.
const PARTITIONS: [u32; 3] = [1, 65, 65 + 2048];

/// The boot sector of a disk with two partitions, the first of which boots.
fn boot_sector(code: &[u8]) -> Vec<u8> {
    let mut sector = code.to_vec();
    sector.resize(446, 0);
    for (place, (active, kind)) in [(0x80, 0x0c), (0, 0x83)].into_iter().enumerate() {
        let [begin, end] = [PARTITIONS[place], PARTITIONS[place + 1]].map(|mib| mib * 2048);
        sector.extend([active, 0, 0, 0, kind, 0, 0, 0]);
        sector.extend([begin, end - begin].into_iter().flat_map(u32::to_le_bytes));
    }
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    sector
}

/// A disk with a boot loader, a kernel on a partition of its own, and a root file system that knows nothing of ai-how's
/// ways: no command line of ours, no credential.
fn make_bootable(image: &Path, folder: &Path) {
    let path = |name: &str| folder.join(name).display().to_string();
    let write = |name: &str, content: &str| fs::write(folder.join(name), content).unwrap();
    write("read-seed", READ_SEED);
    write("read-seed.service", READ_SEED_UNIT);
    run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", &path("baked-key")]);
    // The same initramfs, for the second partition instead of the whole disk.
    let initrd = fs::read(image.join("initrd")).unwrap();
    let (whole, second) = (b"-o noatime /dev/vda /root", b"-o atime  /dev/vda2 /root");
    let place = initrd.windows(whole.len()).position(|found| found == whole).unwrap();
    let initrd = [&initrd[..place], second, &initrd[place + whole.len()..]].concat();
    fs::write(folder.join("initrd"), initrd).unwrap();
    let sector = boot_sector(&fs::read("/usr/lib/syslinux/mbr/mbr.bin").unwrap());
    fs::write(folder.join("disk.raw"), sector).unwrap();
    write(
        "syslinux.cfg",
        "DEFAULT linux\nLABEL linux\n  LINUX vmlinuz\n  INITRD initrd\n  APPEND console=ttyS0 quiet mitigations=off net.ifnames=0 no5lvl\n",
    );
    run(
        "qemu-img",
        &["convert", "-O", "raw", &image.join("disk.qcow2").display().to_string(), &path("root.raw")],
    );
    let unit = "/etc/systemd/system";
    write(
        "inject",
        &format!(
            "cd /usr/bin\nwrite {} read-seed\nsif read-seed mode 0100755\ncd /etc\nwrite {} baked-key.pub\ncd {unit}\n\
             write {} read-seed.service\nmkdir sockets.target.wants\ncd sockets.target.wants\nsymlink read-seed.service \
             {unit}/read-seed.service\n",
            path("read-seed"),
            path("baked-key.pub"),
            path("read-seed.service")
        ),
    );
    run("debugfs", &["-w", "-f", &path("inject"), &path("root.raw")]);
    let script = r#"
cd "$1"
truncate -s 2113M disk.raw
dd if=root.raw of=disk.raw bs=1M seek=65 conv=notrunc,sparse status=none
mformat -i disk.raw@@1M -T 131072 -F ::
mcopy -i disk.raw@@1M "$2/vmlinuz" initrd syslinux.cfg ::
syslinux --install --offset $((1024 * 1024)) disk.raw
qemu-img convert -O qcow2 disk.raw own.qcow2
"#;
    run("bash", &["-euc", script, "bash", &folder.display().to_string(), &image.display().to_string()]);
}

#[test]
fn an_image_that_boots_by_itself_is_reached_with_the_key_of_its_seed() {
    if system::environment::find_program("syslinux").is_none() {
        eprintln!("skipped: there is no boot loader for it on this host");
        return;
    }
    let bench = Bench::new();
    let folder = bench.path("images");
    fs::create_dir(&folder).unwrap();
    make_bootable(&built(&bench), &folder);
    fs::write(
        bench.path("own.yaml"),
        CONFIG.replace("{name: compute-01}", "{name: compute-01, image: debian-13}"),
    )
    .unwrap();
    assert!(
        bench.ok(&["plan", "own.yaml"]).contains("boots controller, because nothing of ours is in its image")
    );

    let key = bench.path("images/baked-key").display().to_string();
    let start = ["cluster", "start", "own.yaml", "--cold", "--format", "json", "--ssh-key", &key];
    let told = bench.ok(&start);
    assert!(told.contains("SLURM is not deployed on hpc, because nothing of ours is in the image"), "{told}");
    let status: serde_json::Value =
        serde_json::from_str(&bench.ok(&["cluster", "status", "own.yaml", "--format", "json"])).unwrap();
    assert_eq!(status["nodes"][0]["ready"], true, "{status}");

    // Known at first sight, with the key that the seed told, at the address of the plan.
    let said =
        bench.ok(&["ssh", "--file", "own.yaml", "controller", "whoami; hostname -I 2>/dev/null || ip -4 a"]);
    assert!(said.starts_with("admin\n") && said.contains("192.168.187."), "{said}");
    let snapshot = bench.run(&["cluster", "snapshot", "create", "now", "own.yaml"]);
    assert!(
        words(&snapshot).contains("controller cannot be frozen, because nothing of ours is in its image")
    );

    // With the key that came with the image; and strict from then on.
    let config = bench.path("ssh.conf");
    fs::write(&config, bench.ok(&["ssh-config", "--file", "own.yaml"])).unwrap();
    let ssh = |script: &str| {
        let mut command = Command::new("ssh");
        command.arg("-F").arg(&config).args(["controller", script]).output().unwrap()
    };
    let baked = ssh("rm ~/.ssh/authorized_keys; echo done");
    assert!(baked.status.success(), "{}", words(&baked));
    let baked = ssh("echo with the other key");
    assert_eq!(String::from_utf8_lossy(&baked.stdout), "with the other key\n", "{}", words(&baked));
    let labs = fs::read_dir(bench.path("state/labs")).unwrap().next().unwrap().unwrap().path();
    let seen = fs::read_to_string(labs.join("ssh/first_seen")).unwrap();
    let other = fs::read_to_string(folder.join("baked-key.pub")).unwrap();
    let changed = seen.lines().map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        format!("{} {other}", words[0])
    });
    fs::write(labs.join("ssh/first_seen"), changed.collect::<String>()).unwrap();
    assert!(words(&ssh("true")).contains("Host key verification failed"), "a changed host key is accepted");

    bench.ok(&["cluster", "destroy", "own.yaml", "--force"]);
    bench.assert_clean("a destroy");
}
