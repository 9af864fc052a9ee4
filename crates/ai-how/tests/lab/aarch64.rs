//! Nodes of another architecture do all that others do: they are copies, deployed or not, snapshots and forks. Beside them
//! is a node of x86-64, because SLURM does not mind and neither may anything else.

use std::{collections::BTreeSet, fs};

use crate::{
    bench::{Bench, words},
    start::{Cache, Start},
};

const MIXED: &str = r#"version: "2.0"
name: bench
clusters:
  mix:
    kind: slurm
    arch: aarch64
    networks: {lan: {subnet: 192.168.191.0/24}}
    defaults: {cpus: 1, memory_mib: 640, disk_gib: 4}
    controller: {name: controller}
    nodes: [{name: arm}, {name: x86, arch: x86_64}]
"#;

const START: [&str; 5] = ["cluster", "start", "--format", "json", "bench.yaml"];

/// What both compute nodes say.
const JOB: &str = "srun -N2 sh -c 'echo $(hostname) $(uname -m)' | sort";

#[test]
fn aarch64_nodes_are_copied_deployed_kept_reverted_and_forked() {
    let bench = Bench::new();
    fs::write(bench.path("bench.yaml"), MIXED).unwrap();
    let cache = Cache::new(&bench);
    let run = |arguments: &[&str]| {
        let output = cache.command(&bench, arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", words(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let on = |fork: &[&str], node: &str, command: &str| {
        bench.ok(&[&["ssh", "--file", "bench.yaml"], fork, &[node, command]].concat())
    };
    for arch in ["x86_64", "aarch64"] {
        run(&["image", "build", "--arch", arch]);
        run(&["doctor"]);
    }
    let plan = run(&["plan", "bench.yaml"]);
    assert!(plan.contains("each new shape (1 CPU, 640 MiB; 1 CPU, 640 MiB aarch64)"), "{plan}");

    // A machine of each architecture, and of each role on each.
    let first = Start::of(&bench, cache.command(&bench, &START), "first").done();
    assert!(first.tasks() > 0 && first.warnings().is_empty(), "{first:?}");
    assert_eq!((first.made(), first.copied_and_booted()), (5, (3, 0)), "{first:?}");
    assert_eq!(on(&[], "controller", JOB), "arm aarch64\nx86 x86_64\n");
    let keys = assert_identities(&bench, &|node, command| on(&[], node, command));

    // Back to a moment, with what was in memory alone.
    on(&[], "arm", "echo nonce >/run/nonce; sync");
    bench.ok(&["cluster", "snapshot", "create", "then", "bench.yaml"]);
    on(&[], "arm", "rm /run/nonce; touch /root/later");
    bench.ok(&["cluster", "snapshot", "revert", "then", "bench.yaml"]);
    let said = on(&[], "arm", "cat /run/nonce; ls /root; date +%s");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((lines.len(), lines[0]), (2, "nonce"), "{said}");
    assert!((now() - lines[1].parse::<i64>().unwrap()).abs() <= 3, "{said}");
    assert_eq!(on(&[], "controller", JOB), "arm aarch64\nx86 x86_64\n");

    // And the same nodes once more beside themselves.
    bench.ok(&["cluster", "fork", "try", "bench.yaml"]);
    let fork = ["--fork", "try"];
    assert_eq!(on(&fork, "arm", "cat /run/nonce; rm /run/nonce"), "nonce\n");
    assert_eq!(on(&fork, "controller", JOB), "arm aarch64\nx86 x86_64\n");
    assert_eq!(on(&[], "arm", "cat /run/nonce"), "nonce\n");
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force", "--fork", "try"]);
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);

    // What was deployed once is there at once, and somebody else.
    let second = Start::of(&bench, cache.command(&bench, &START), "second").done();
    assert_eq!((second.tasks(), second.made(), second.copied_and_booted()), (0, 0, (3, 0)), "{second:?}");
    assert_eq!(on(&[], "controller", JOB), "arm aarch64\nx86 x86_64\n");
    let new_keys = assert_identities(&bench, &|node, command| on(&[], node, command));
    assert!(keys.is_disjoint(&new_keys), "{keys:?} {new_keys:?}");
    assert_eq!(on(&[], "arm", "systemctl --failed --no-legend"), "");
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);
    bench.assert_clean("aarch64 nodes");
}

/// Each node is who the plan says. Returns their host keys, no two of which are the same.
fn assert_identities(bench: &Bench, on: &dyn Fn(&str, &str) -> String) -> BTreeSet<String> {
    let plan: serde_json::Value =
        serde_json::from_str(&bench.ok(&["plan", "bench.yaml", "--format", "json"])).unwrap();
    let nodes = plan["clusters"][0]["nodes"].as_array().unwrap();
    let mut keys = BTreeSet::new();
    for node in nodes {
        let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let (name, card) = (word(&node["name"]), &node["interfaces"][0]);
        let who = "uname -m; hostname; cat /etc/machine-id /sys/class/net/eth0/address; \
                   ip -4 -o address show dev eth0 | awk '{print $4}'; cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub";
        let said = on(&name, who);
        let lines: Vec<String> = said.lines().map(str::to_owned).collect();
        let planned = [
            word(&node["arch"]),
            name.clone(),
            word(&node["uuid"]).replace('-', ""),
            word(&card["mac"]),
            format!("{}/24", word(&card["address"])),
        ];
        assert_eq!(lines[..5], planned, "{said}");
        assert!(keys.insert(lines[5].clone()), "{name} has a key of another node");
    }
    keys
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}
