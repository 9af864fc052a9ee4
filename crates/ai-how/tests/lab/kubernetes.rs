//! A SLURM cluster and a Kubernetes cluster side by side: both start, and the nodes of the latter are prepared for
//! Kubespray. What stands in for Kubespray only leaves what a control plane has: nodes of a private lab can download nothing.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use serde_json::Value;

use crate::bench::Bench;

const CONFIG: &str = r#"version: "2.0"
name: bench
clusters:
  hpc:
    kind: slurm
    networks: {lan: {subnet: 192.168.191.0/24}}
    defaults: {cpus: 1, memory_mib: 640, disk_gib: 4}
    controller: {name: controller}
    nodes: [{name: compute-01}]
  cloud:
    kind: kubernetes
    networks: {lan: {subnet: 192.168.192.0/24}}
    defaults: {cpus: 1, memory_mib: 640, disk_gib: 4}
    nodes: [{name: worker-01}]
"#;

const DEPLOY: [&str; 3] = ["cluster", "deploy-kubernetes", "bench.yaml"];

/// What the role's own tasks are called in events.
const OURS: &str = "kubernetes_node : ";

/// What a kubelet refuses to start with.
const SWAP: &str = "dd if=/dev/zero of=/swap bs=1M count=8 status=none && chmod 600 /swap && mkswap -q /swap && \
                    swapon /swap && echo '/swap none swap sw 0 0' >>/etc/fstab";

/// Everything that the role promises, one word each where it holds.
const FACTS: &str = r#"
    [ "$(grep -c . /proc/swaps)" = 1 ] && echo swapless
    grep -q ' swap ' /etc/fstab || echo forgotten
    [ "$(systemctl is-enabled swap.target)" = masked ] && echo masked
    [ -d /sys/module/overlay ] && [ -d /sys/module/br_netfilter ] && echo loaded
    [ "$(sysctl -n net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables net.ipv4.ip_forward | xargs)" = '1 1 1' ] && echo set
    [ "$(getent hosts control-plane worker-01 | xargs)" = '192.168.192.10 control-plane 192.168.192.11 worker-01' ] && echo known
    [ "$(cat /etc/resolv.conf)" = 'nameserver 192.168.192.1' ] && echo served
    true
"#;

#[test]
fn both_kinds_of_clusters_start_and_nodes_are_prepared_for_kubespray() {
    let bench = Bench::new();
    fs::write(bench.path("bench.yaml"), CONFIG).unwrap();
    bench.ok(&["cluster", "start", "bench.yaml"]);
    // Nothing is promised of a Kubernetes cluster that a start does not do.
    let plan = bench.ok(&["plan", "bench.yaml"]);
    let cloud = plan.lines().find(|line| line.starts_with("start of cloud: ")).unwrap();
    assert!(cloud.contains("cluster deploy-kubernetes") && !cloud.contains("with Ansible"), "{plan}");
    let on = |node: &str, script: &str| {
        bench.ok(&["exec", "--file", "bench.yaml", "--node", node, "--format", "json", "--", script])
    };
    let words = |node: &str, script: &str| {
        let answer: Value = serde_json::from_str(&on(node, script)).unwrap();
        assert_eq!(answer["nodes"][0]["code"], 0, "{answer}");
        let text = answer["nodes"][0]["stdout"].as_str().unwrap();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(words("controller", "srun -N1 hostname"), "compute-01", "SLURM takes jobs");
    on("worker-01", SWAP);

    // A check finds what is to be done, and does nothing of it.
    bench.ok(&[&DEPLOY[..], &["--check"]].concat());
    assert!(!changed(&bench).is_empty());
    assert_eq!(words("worker-01", FACTS), "", "nothing was done");

    bench.ok(&DEPLOY);
    let done = changed(&bench);
    assert_eq!(done.iter().filter(|(node, _)| node == "worker-01").count(), 3, "{done:?}");
    let all = "swapless forgotten masked loaded set known served";
    for node in ["control-plane", "worker-01"] {
        assert_eq!(words(node, FACTS), all, "{node}");
    }
    // As the next boot does it.
    let again = "modprobe -r br_netfilter overlay && sysctl -qw net.ipv4.ip_forward=0 && \
                 systemctl restart systemd-modules-load systemd-sysctl";
    on("worker-01", again);
    assert_eq!(words("worker-01", FACTS), all);

    // The second time nothing changes, and Kubespray comes after it.
    bench.ok(&[&DEPLOY[..], &["--kubespray", &stand_in(&bench)]].concat());
    let done = changed(&bench);
    let expected = ["Install what answers like a cluster", "Keep it where the nodes are reached from"];
    let tasks: Vec<&str> = done.iter().map(|(_, task)| task.rsplit(" : ").next().unwrap()).collect();
    assert_eq!(tasks, expected, "{done:?}");
    let kept = labs(&bench).into_iter().map(|lab| lab.join("cloud.kubeconfig")).find(|path| path.exists());
    let kept = kept.unwrap();
    assert_eq!(fs::read_to_string(&kept).unwrap(), "server: https://192.168.192.10:6443\n");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);

    bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);
    bench.assert_clean("a destroy of two kinds of clusters");
    assert!(!kept.exists());
}

/// Node and task of every change that the newest run tells. Only nodes of the Kubernetes cluster may have had tasks.
fn changed(bench: &Bench) -> Vec<(String, String)> {
    let events = bench.events();
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let tasks: Vec<Value> = events.filter(|event| event["event"] == "task").collect();
    let word = |task: &Value, key: &str| task[key].as_str().unwrap().to_owned();
    assert!(tasks.iter().any(|task| word(task, "task").starts_with(OURS)));
    assert!(tasks.iter().all(|task| ["control-plane", "worker-01"].contains(&&*word(task, "node"))));
    assert!(tasks.iter().all(|task| task["status"] != "failed" && task["status"] != "unreachable"));
    let changed = tasks.iter().filter(|task| task["status"] == "changed");
    changed.map(|task| (word(task, "node"), word(task, "task"))).collect()
}

/// A folder that looks like Kubespray's, with a playbook that leaves behind what Kubespray would.
fn stand_in(bench: &Bench) -> String {
    let tasks = r#"
- name: Install what answers like a cluster
  ansible.builtin.shell: |
    mkdir -p /etc/kubernetes
    echo 'server: https://127.0.0.1:6443' >/etc/kubernetes/admin.conf
    printf '%s\n' '#!/bin/sh' 'echo control-plane=True; echo worker-01=True' >/usr/local/bin/kubectl
    chmod 755 /usr/local/bin/kubectl
"#;
    for (name, text) in [
        ("cluster.yml", "- ansible.builtin.import_playbook: playbooks/cluster.yml\n"),
        (
            "playbooks/cluster.yml",
            "- {hosts: kube_control_plane, gather_facts: false, roles: [control_plane]}\n",
        ),
        ("roles/control_plane/tasks/main.yml", tasks),
    ] {
        let path = bench.path("kubespray").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    "kubespray".to_owned()
}

fn labs(bench: &Bench) -> Vec<PathBuf> {
    fs::read_dir(bench.path("state/labs")).unwrap().map(|lab| lab.unwrap().path()).collect()
}
