//! Nodes that are copies of a template: each is a machine of its own, and where a copy cannot be had a node boots.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    io::Read,
    process::Stdio,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    bench::Bench,
    start::{Cache, MACHINES, Start},
};

/// As many as make it likely that two get something in common.
const EIGHT: &str = r#"version: "2.0"
name: bench
clusters:
  hpc:
    kind: slurm
    networks: {lan: {subnet: 192.168.191.0/24}}
    defaults: {cpus: 1, memory_mib: 640, disk_gib: 4}
    controller: {name: controller}
    nodes: [{name: c1}, {name: c2}, {name: c3}, {name: c4}, {name: c5}, {name: c6}, {name: c7}]
"#;

/// One fact a line, then munge with a key that all nodes have, and a credential. The clock comes first and at once.
const WHO: &str = "date +%s.%N; echo $(</proc/sys/kernel/hostname) $(</etc/hostname); echo $(</etc/machine-id); \
    echo $(</sys/class/net/eth0/address); set -- $(ip -4 -o address show dev eth0); echo ${4%/*}; \
    read -r type key rest </etc/ssh/ssh_host_ed25519_key.pub; echo $key; \
    echo $(od -An -N32 -tx1 /dev/urandom); echo $(</proc/sys/kernel/random/uuid); \
    umask 077; printf %064d 7 >/etc/munge/munge.key; chown munge: /etc/munge/munge.key; \
    chmod 0400 /etc/munge/munge.key; systemctl start munge; munge -n";

/// Both sides of the clock's comparison have something to do between.
const CLOCK_TOLERANCE: f64 = 2.0;

/// What a node says of itself.
#[derive(Debug)]
struct Node {
    /// When it was asked, what its clock said, and when that was heard.
    clocks: [f64; 3],
    names: String,
    machine_id: String,
    mac: String,
    address: String,
    host_key: String,
    random: String,
    uuid: String,
    credential: String,
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

fn ask_who(bench: &Bench, node: &str) -> Node {
    let asked = now();
    let mut ssh = bench.command(&["ssh", "--file", "bench.yaml", node, WHO]);
    let mut ssh = ssh.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = ssh.stdout.take().unwrap();
    let (mut text, mut byte) = (String::new(), [0]);
    while output.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
        text.push(char::from(byte[0]));
    }
    let heard = now();
    let clocks = [asked, text.parse().unwrap_or_else(|_| panic!("{node}: {text:?} is no time")), heard];
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert!(ssh.wait().unwrap().success(), "{node}: {rest}");
    let lines: Vec<String> = rest.lines().map(str::to_owned).collect();
    let Ok([names, machine_id, mac, address, host_key, random, uuid, credential]) =
        <[String; 8]>::try_from(lines)
    else {
        panic!("{node}: {rest}")
    };
    Node { clocks, names, machine_id, mac, address, host_key, random, uuid, credential }
}

/// Does the same for every node, two at a time as the host has processors.
fn each<T: Send>(names: &[String], work: impl Fn(&str) -> T + Sync) -> BTreeMap<String, T> {
    let half = |names: &[String]| names.iter().map(|name| (name.clone(), work(name))).collect::<Vec<_>>();
    thread::scope(|scope| {
        let threads: Vec<_> =
            names.chunks(names.len().div_ceil(2)).map(|part| scope.spawn(move || half(part))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

fn assert_different<'a>(
    what: &str,
    nodes: &'a BTreeMap<String, Node>,
    value: impl Fn(&'a Node) -> &'a String,
) {
    let values: BTreeSet<&String> = nodes.values().map(value).collect();
    assert!(
        values.len() == nodes.len() && values.iter().all(|value| !value.is_empty()),
        "{what}: {nodes:#?}"
    );
}

#[test]
fn eight_copies_share_nothing() {
    let bench = Bench::new();
    fs::write(bench.path("bench.yaml"), EIGHT).unwrap();
    let start = bench.command(&[&MACHINES[..], &["bench.yaml"]].concat());
    let told = Start::of(&bench, start, "eight").done();
    assert_eq!(told.copied_and_booted(), (8, 0), "{told:?}");
    assert_eq!(told.warnings(), [""; 0]);

    let plan: serde_json::Value =
        serde_json::from_str(&bench.ok(&["plan", "bench.yaml", "--format", "json"])).unwrap();
    let planned = plan["clusters"][0]["nodes"].as_array().unwrap();
    let names: Vec<String> = planned.iter().map(|node| node["name"].as_str().unwrap().to_owned()).collect();
    let nodes = each(&names, |name| ask_who(&bench, name));

    // Who they are is the plan's.
    for plan in planned {
        let name = plan["name"].as_str().unwrap();
        let (node, interface) = (&nodes[name], &plan["interfaces"][0]);
        assert_eq!(node.names, format!("{name} {name}"));
        assert_eq!(node.machine_id, plan["uuid"].as_str().unwrap().replace('-', ""), "{name}");
        assert_eq!(node.mac, interface["mac"].as_str().unwrap(), "{name}");
        assert_eq!(node.address, interface["address"].as_str().unwrap(), "{name}");
        let [asked, said, heard] = node.clocks;
        assert!(
            said > asked - CLOCK_TOLERANCE && said < heard + CLOCK_TOLERANCE,
            "the clock of {name}: asked at {asked}, it said {said}, heard at {heard}"
        );
    }
    // What nobody planned is theirs alone.
    assert_different("host keys", &nodes, |node| &node.host_key);
    assert_different("random numbers", &nodes, |node| &node.random);
    assert_different("kernel's UUIDs", &nodes, |node| &node.uuid);
    assert_different("machine ids", &nodes, |node| &node.machine_id);

    // A credential of each is good on each: same key, same time, and a munged that is its own.
    // Each has a journal of its own; the template's id may still lead to it, until journald began anew.
    let mut check = "journalctl --quiet --lines=1 --output=cat | wc -l; cd /run/log/journal; \
                     for name in *; do [ -L $name ] && to=$(readlink $name) || to=folder; echo -n \"$name=$to \"; done; echo\n"
        .to_owned();
    for node in nodes.values() {
        writeln!(check, "printf %s {} | unmunge --keys=STATUS", node.credential).unwrap();
    }
    let said = each(&names, |name| bench.ok(&["ssh", "--file", "bench.yaml", name, &check]));
    for (name, said) in &said {
        assert_eq!(said.matches("Success (0)").count(), 8, "{name}: {said}");
        let [lines, journals] = said.lines().take(2).collect::<Vec<_>>()[..] else {
            panic!("{name}: {said}")
        };
        assert_eq!(lines, "1", "{name}: {said}");
        let own = &nodes[name].machine_id;
        let journals: Vec<_> =
            journals.split_whitespace().filter_map(|journal| journal.split_once('=')).collect();
        let (folders, links): (Vec<_>, Vec<_>) = journals.into_iter().partition(|(_, to)| *to == "folder");
        assert_eq!(folders, [(own.as_str(), "folder")], "{name}: {said}");
        assert!(links.len() <= 1 && links.iter().all(|(_, to)| to == own), "{name}: {said}");
    }
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);
    bench.assert_clean("eight copies");
}

#[test]
fn a_silent_agent_means_a_boot() {
    let bench = Bench::new();
    let cache = Cache::new(&bench).with_the_users_templates();
    // Half as slow as it is, so that silence is found out sooner; slow enough for one node that boots alone.
    let path = cache.folder.join("accelerator.json");
    let mut verdict: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let slowness = verdict["slowness"].as_f64().unwrap() / 2.0;
    verdict["slowness"] = slowness.into();
    fs::write(&path, verdict.to_string()).unwrap();

    let mut start = Start::spawn(&bench, &cache, "bench.yaml");
    let held = start.hold_the_agent(&bench, "hpc-compute-01");
    let told = start.done();
    drop(held);
    assert_eq!(told.copied_and_booted(), (1, 1), "{told:?}");
    let warnings = told.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].starts_with("compute-01 cannot be a copy of a template")
            && warnings[0].contains("does not answer within")
            && !warnings[0].contains('\n'),
        "{warnings:?}"
    );
    let names = |node| bench.ok(&["ssh", "--file", "bench.yaml", node, "hostname"]);
    assert_eq!((names("controller"), names("compute-01")), ("controller\n".into(), "compute-01\n".into()));
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);
    bench.assert_clean("a silent agent");
}

#[test]
fn a_cold_start_boots_every_node() {
    let bench = Bench::new();
    let cache = Cache::new(&bench);
    let start = cache.command(&bench, &[&MACHINES[..], &["--cold", "bench.yaml"]].concat());
    let told = Start::of(&bench, start, "cold").done();
    assert_eq!(told.copied_and_booted(), (0, 2), "{told:?}");
    assert_eq!(told.warnings(), [""; 0]);
    assert!(!cache.folder.join("templates").exists());

    // Another node takes the place and the address of one that never said that it goes.
    let config = fs::read_to_string(bench.path("bench.yaml")).unwrap();
    fs::write(bench.path("bench.yaml"), config.replace("compute-01", "compute-02")).unwrap();
    let start = cache.command(&bench, &[&MACHINES[..], &["--cold", "--force", "bench.yaml"]].concat());
    let told = Start::of(&bench, start, "another node").done();
    assert_eq!((told.copied_and_booted(), told.warnings()), ((0, 1), Vec::new()), "{told:?}");
    assert_eq!(bench.ok(&["ssh", "--file", "bench.yaml", "compute-02", "hostname"]), "compute-02\n");
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);
    bench.assert_clean("a cold start");
}
