//! Processors: those of the host that a node has for itself, and those that a node sees.

use std::fs;

use crate::bench::{Bench, words};

/// A lab of two nodes that have the host's first two processors for themselves.
fn config(name: &str, net: u8) -> String {
    format!(
        r#"version: "2.0"
name: {name}
clusters:
  {name}:
    kind: slurm
    networks: {{lan: {{subnet: 192.168.{net}.0/24, dhcp_start: 192.168.{net}.200, dns_servers: [127.0.0.1]}}}}
    hardware: {{pinned: true}}
    defaults: {{cpus: 1, memory_mib: 640, disk_gib: 4}}
    nodes: [{{name: compute-01}}]
"#
    )
}

#[test]
fn a_processor_belongs_to_one_machine_of_all_labs() {
    let bench = Bench::new();
    for (name, net) in [("one", 194), ("two", 195)] {
        fs::write(bench.path(&format!("{name}.yaml")), config(name, net)).unwrap();
    }
    bench.ok(&["cluster", "start", "--no-deploy", "one.yaml"]);
    for refused in
        [&["cluster", "start", "--no-deploy", "two.yaml"][..], &["cluster", "fork", "a", "one.yaml"]]
    {
        let output = bench.run(refused);
        let told = words(&output);
        assert!(!output.status.success() && told.contains("for itself, which one-"), "{refused:?}: {told}");
    }
    // The one that has them is none the worse, and who comes later gets them when they are free.
    let status = bench.ok(&["cluster", "status", "one.yaml"]);
    assert_eq!(status.matches("ready").count(), 2, "{status}");
    bench.ok(&["cluster", "stop", "one.yaml"]);
    bench.ok(&["cluster", "start", "--no-deploy", "two.yaml"]);
    for name in ["one", "two"] {
        bench.ok(&["cluster", "destroy", &format!("{name}.yaml"), "--force"]);
    }
    bench.assert_clean("labs with processors of their own");
}

#[test]
fn a_node_sees_the_processors_and_the_memory_of_its_file() {
    let bench = Bench::new();
    let config = r#"version: "2.0"
name: bench
clusters:
  hpc:
    kind: slurm
    networks: {lan: {subnet: 192.168.196.0/24}}
    hardware:
      cpu: maximum
      features: ["-aes", "+avx"]
      topology: {sockets: 2, threads: 2}
      numa_nodes: 2
      shared_memory: true
    defaults: {cpus: 8, memory_mib: 1024, disk_gib: 4}
    nodes: [{name: compute-01, auto_start: false}]
"#;
    fs::write(bench.path("bench.yaml"), config).unwrap();
    bench.ok(&["cluster", "start", "--no-deploy", "bench.yaml"]);
    let on = |script: &str| bench.ok(&["ssh", "--file", "bench.yaml", "controller", script]);
    let seen = on("lscpu | tr -s ' '");
    for fact in
        ["CPU(s): 8", "Thread(s) per core: 2", "Core(s) per socket: 2", "Socket(s): 2", "NUMA node(s): 2"]
    {
        assert!(seen.contains(fact), "{fact} is missing in {seen}");
    }
    let flags = on("grep -m1 ^flags /proc/cpuinfo");
    let has = |flag: &str| flags.split_whitespace().any(|one| one == flag);
    assert!(has("avx") && !has("aes"), "{flags}");
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);
    bench.assert_clean("a node with a shape of its own");
}
