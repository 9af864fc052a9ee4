//! Several clusters in one file.

use std::fs;

use crate::bench::Bench;

/// Two clusters with nodes of the same names, and a node that is in no partition.
const CONFIG: &str = r#"version: "2.0"
name: bench
clusters:
  prod:
    kind: slurm
    networks: {lan: {subnet: 192.168.191.0/24}}
    defaults: {cpus: 1, memory_mib: 640, disk_gib: 4}
    nodes: [{name: compute-01}, {name: spare}]
    partitions: [{name: batch, nodes: [compute-01]}]
  test:
    kind: slurm
    networks: {lan: {subnet: 192.168.192.0/24}}
    defaults: {cpus: 1, memory_mib: 640, disk_gib: 4}
    nodes: [{name: compute-01}]
"#;

#[test]
fn two_clusters_of_one_file_are_two_clusters() {
    let bench = Bench::new();
    fs::write(bench.path("bench.yaml"), CONFIG).unwrap();
    bench.ok(&["cluster", "start", "--no-deploy", "bench.yaml"]);
    bench.ok(&["test", "deploy-ansible", "--file", "bench.yaml"]);

    let on = |node: &str, command: &str| bench.ok(&["ssh", "--file", "bench.yaml", node, command]);
    for (cluster, nodes) in [("prod", "compute-01 spare"), ("test", "compute-01")] {
        let controller = format!("{cluster}-controller");
        let known = "scontrol --oneliner show node | sed -En 's/^NodeName=(\\S+) .*/\\1/p' | sort | xargs";
        assert_eq!(on(&controller, known).trim(), nodes);
        assert_eq!(
            on(&controller, "scontrol show config | awk '$1 == \"ClusterName\" { print $3 }'").trim(),
            cluster
        );
        let compute = format!("{cluster}-compute-01");
        assert_eq!(
            on(&controller, "srun --nodes=1 cat /etc/machine-id"),
            on(&compute, "cat /etc/machine-id")
        );
    }
    // Nobody can send a job to it, so nothing but the deploy waits for it.
    let spare = on("prod-controller", "scontrol --oneliner show node spare");
    assert!(spare.contains(" State=IDLE "), "{spare}");

    bench.ok(&["test", "run-tests", "basic-infrastructure", "--file", "bench.yaml"]);
    for cluster in ["prod", "test"] {
        assert!(bench.events().contains(&format!("\"node\":\"{cluster}-compute-01\"")), "{}", bench.events());
    }
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);
    bench.assert_clean("a destroy of two clusters");
}
