//! The verbs of version 1.0 for clusters and machines, as far as they need none to run.

use std::fs;

use serde_json::{Value, json};

use crate::home::{Home, LAB};

/// The example in version 1.0: a SLURM cluster with a GPU beside a Kubernetes cluster.
fn home() -> Home {
    let home = Home::new();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/workstation-1.0.yaml");
    home.write("workstation.yaml", fs::read(example).unwrap());
    home.write("lab.yaml", LAB);
    home
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_status_has_the_keys_and_words_of_version_1() {
    let home = home();
    let status = home.run(["system", "status", "workstation.yaml", "-f", "json"]).json();
    assert_eq!(
        keys(&status),
        ["system_status", "hpc_cluster", "cloud_cluster", "shared_resources", "timestamp"]
    );
    assert_eq!(status["system_status"], "stopped");
    assert_eq!(keys(&status["shared_resources"]), ["gpu_allocations", "last_updated"]);
    let hpc = &status["hpc_cluster"];
    let expected = [
        "status",
        "cluster_name",
        "cluster_type",
        "total_vms",
        "running_vms",
        "controller_status",
        "compute_nodes",
        "worker_nodes",
        "last_modified",
        "vms",
    ];
    assert_eq!(keys(hpc), expected);
    assert_eq!(hpc["status"], "not_initialized");
    assert_eq!((&hpc["cluster_name"], &hpc["total_vms"]), (&json!("hpc-cluster"), &json!(3)));
    let vm = json!({
        "name": "hpc-cluster-compute-01", "state": "undefined", "cpu_cores": 8, "memory_gb": 16,
        "ip_address": "192.168.100.11", "gpu_assigned": "0000:01:00.0 (10de:2805)",
    });
    assert_eq!(hpc["vms"][1], vm);
    assert_eq!(status["cloud_cluster"]["worker_nodes"], 2);
    let one = home.run(["hpc", "status", "workstation.yaml", "-f", "json"]).json();
    assert_eq!(&one, hpc);
    let absent = home.run(["system", "status", "lab.yaml", "-f", "json"]).json();
    assert_eq!(absent["cloud_cluster"]["status"], "not_configured");
    let text = home.run(["system", "status", "workstation.yaml"]).succeeds();
    assert!(text.starts_with("system: stopped\n") && text.contains("hpc-cluster-controller"), "{text}");
}

#[test]
fn each_verb_means_its_own_cluster_and_a_file_without_it_is_told() {
    let home = home();
    let hpc = home.run(["hpc", "start", "lab.yaml", "--dry-run"]).succeeds();
    assert!(hpc.contains("create  compute-01"), "{hpc}");
    home.run(["cloud", "start", "lab.yaml"]).fails(4, &["lab.yaml has no Kubernetes cluster", "ai-how hpc"]);
    home.run(["hpc", "stop", "lab.yaml"]).succeeds();
    let all = home.run(["system", "start", "workstation.yaml", "--dry-run"]).succeeds();
    let (first, second) = (all.find("compute-01").unwrap(), all.find("cpu-worker-01").unwrap());
    assert!(first < second, "SLURM's cluster starts first: {all}");
    home.run(["hpc", "destroy", "workstation.yaml"]).succeeds();
}

#[test]
fn a_start_tells_that_it_does_not_do_all_that_is_written() {
    let home = home();
    let text = fs::read_to_string(home.path("workstation.yaml")).unwrap();
    home.write("odd.yaml", text.replace("192.168.100.12", "192.168.7.12"));
    let ran = home.run(["cluster", "start", "odd.yaml", "--dry-run"]);
    assert!(ran.err.contains("odd.yaml has 1 warning, and what cannot be used is replaced"), "{ran:?}");
    let ran = home.run(["cluster", "start", "lab.yaml", "--dry-run"]);
    assert_eq!(ran.err, "");
}

#[test]
fn a_machine_that_no_lab_has_is_told() {
    let home = home();
    for verb in ["start", "stop", "restart", "status"] {
        home.run(["vm", verb, "hpc-cluster-compute-01"]).fails(1, &["hpc-cluster-compute-01", "topology"]);
    }
    let named = home.run(["vm", "status", "hpc-compute-01", "--file", "lab.yaml", "-f", "json"]).json();
    assert_eq!((&named["state"], &named["vm_type"]), (&json!("undefined"), &json!("compute")));
}

#[test]
fn scripts_for_version_1_mean_what_they_meant() {
    let home = home();
    // Its levels, in any letters, and its usual file.
    home.run(["--log-level", "DEBUG", "hpc", "status", "workstation.yaml"]).succeeds();
    let quiet = home.run(["hpc", "stop", "workstation.yaml", "--log-level", "error"]);
    assert_eq!(quiet.code, Some(0), "{quiet:?}");
    assert_eq!(home.run(["--log-level", "loud", "topology"]).code, Some(2));
    home.run(["validate"]).fails(2, &["config/lab.yaml"]);
    fs::create_dir(home.path("config")).unwrap();
    fs::copy(home.path("workstation.yaml"), home.path("config/cluster.yaml")).unwrap();
    let status = home.run(["system", "status", "-f", "json"]).json();
    assert_eq!(status["hpc_cluster"]["cluster_name"], "hpc-cluster");
    home.write("config/lab.yaml", LAB);
    assert_eq!(
        home.run(["system", "status", "-f", "json"]).json()["cloud_cluster"]["status"],
        "not_configured"
    );

    // What was a file for each cluster is one folder for all.
    let ran = home.run(["--state", "output/state.json", "hpc", "status", "workstation.yaml"]);
    assert!(
        ran.code == Some(2) && ran.err.contains("cluster take-over FILE --from output/state.json"),
        "{ran:?}"
    );
    assert!(!home.path("output").exists());
}

#[test]
fn a_failure_is_json_too_where_json_is_asked_for() {
    let home = home();
    for (arguments, code) in [
        (&["vm", "status", "nobody", "-f", "json"][..], 1),
        (&["plan", "clusters", "none \"quoted\".yaml", "--format", "json"], 2),
        (&["cluster", "status", "lab.yaml", "--cluster", "x", "--format=json"], 2),
        (&["validate", "none.yaml", "--format", "json"], 2),
    ] {
        let ran = home.run(arguments);
        let last = ran.err.lines().last().unwrap_or_default();
        let failure: Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        assert_eq!((ran.code, &failure["code"]), (Some(code), &json!(code)), "{ran:?}");
        assert!(failure["error"].as_str().is_some_and(|told| told.len() > 10), "{ran:?}");
    }
}
