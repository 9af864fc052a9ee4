//! Kubernetes clusters without machines: what is planned, written and refused.

use std::fs;

use crate::home::Home;

fn home() -> Home {
    let home = Home::new();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/kubernetes.yaml");
    home.write("kubernetes.yaml", fs::read(example).unwrap());
    home
}

#[test]
fn the_plan_tells_what_kubespray_is_to_install() {
    let home = home();
    let text = home.run(["plan", "kubernetes.yaml"]).succeeds();
    for words in [
        "kubernetes cluster cloud",
        "cloud-control-plane",
        "network plugin  ingress  storage class\n  calico          nginx    local-path\n",
    ] {
        assert!(text.contains(words), "{words} is missing in\n{text}");
    }
    let json = home.run(["plan", "kubernetes.yaml", "--format", "json"]).json();
    let cluster = &json["clusters"][0];
    assert_eq!(
        (&cluster["kubernetes"]["cni"], &cluster["nodes"][0]["role"]),
        (&"calico".into(), &"control-plane".into())
    );
    let json = home.run(["plan", "lab.yaml", "--format", "json"]).json();
    assert!(json["clusters"][0].get("kubernetes").is_none(), "a SLURM cluster's plan is what it was");
}

#[test]
fn what_is_written_for_kubespray_follows_the_file() {
    let home = home();
    let file =
        fs::read_to_string(home.path("kubernetes.yaml")).unwrap().replace("cni: calico", "cni: flannel");
    home.write("kubernetes.yaml", file);
    let arguments =
        ["inventory", "generate-k8s", "kubernetes.yaml", "cloud", "-f", "yaml", "-o", "out/hosts.yaml"];
    assert_eq!(home.run(arguments).succeeds(), "");
    let read = |name: &str| fs::read_to_string(home.path("out").join(name)).unwrap();
    assert!(read("hosts.yaml").contains("    kube_node:\n      hosts:\n        \"worker-01\": {}\n"));
    let network = read("group_vars/k8s_cluster/network.yml");
    assert!(network.contains("kube_network_plugin: \"flannel\"\n"), "{network}");
}

#[test]
fn nothing_is_deployed_on_machines_that_do_not_run() {
    let home = home();
    home.run(["cluster", "deploy-kubernetes", "kubernetes.yaml"]).fails(1, &["does not run"]);
    let elsewhere = ["cluster", "deploy-kubernetes", "kubernetes.yaml", "--kubespray", "state"];
    home.run(elsewhere).fails(2, &["state is no folder of Kubespray", "cluster.yml"]);
    assert!(!home.path("state/runs").exists(), "neither is a run");
}
