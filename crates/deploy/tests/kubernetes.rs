//! Kubernetes clusters, as a real Ansible sees them: the inventory in all forms, the group variables, the playbook with and
//! without Kubespray, and the wait for a cluster. No machine is started.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests drive Ansible from outside"
)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use ai_how_deploy::{
    find_ansible,
    generated::{self, Reach},
};
use config::{Context, Source};
use plan::model::ClusterPlan;
use serde_json::{Value, json};

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The Kubernetes cluster of an example, with a change.
fn cluster(example: &str, from: &str, to: &str) -> ClusterPlan {
    let text = fs::read_to_string(repository().join("config").join(example)).unwrap();
    assert!(text.contains(from), "{from}");
    let environment = [("HOME", "/home/ada"), ("TOT", "/home/ada")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let context = Context { environment, ..Context::default() };
    let loaded =
        config::load(&Source { name: example, bytes: text.replacen(from, to, 1).as_bytes() }, &context);
    let lab = loaded.lab.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics));
    plan::plan(&lab).clusters.into_iter().find(|cluster| cluster.kind == "kubernetes").unwrap()
}

/// A folder with the inventory of a cluster in all forms, and what belongs to it.
fn inventory(cluster: &ClusterPlan, off: &[String]) -> tempfile::TempDir {
    // A space, as paths of users have it.
    let reach = Reach::of_lab(cluster, Path::new("/a lab/ssh/key"), Some(Path::new("/a lab/ssh/config")));
    let folder = tempfile::tempdir().unwrap();
    let hosts = generated::kubernetes(cluster, off, &reach);
    fs::write(folder.path().join("hosts.yaml"), hosts.yaml()).unwrap();
    fs::write(folder.path().join("hosts.ini"), hosts.ini()).unwrap();
    fs::write(folder.path().join("hosts.json"), hosts.json().to_string()).unwrap();
    for (name, text) in generated::kubespray_variables(cluster) {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// Runs a program of the Ansible that deploys, with the settings that come with the playbook, and Kubespray's roles.
fn ansible(program: &str, home: &Path, arguments: &[&str]) -> Output {
    let installation = find_ansible(&system::environment::cache_folder()).unwrap();
    let ours = repository().join("ansible");
    let mut command = Command::new(installation.playbook.with_file_name(program));
    command.args(arguments).current_dir(home).env("LC_ALL", "C.UTF-8").env("ANSIBLE_NOCOLOR", "1");
    command.env("ANSIBLE_CONFIG", ours.join("ansible.cfg")).env("ANSIBLE_HOME", home.join("home"));
    command.env("ANSIBLE_ROLES_PATH", home.join("kubespray/roles")).env("PYTHONDONTWRITEBYTECODE", "1");
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn listed(folder: &Path, name: &str) -> Value {
    let path = folder.join(name).display().to_string();
    let output = ansible("ansible-inventory", folder, &["--inventory", &path, "--list"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", said(&output));
    let mut list: Value = serde_json::from_slice(&output.stdout).unwrap();
    // Every group is in `all`, and whether directly or in which order is nobody's concern.
    let groups = list.as_object_mut().unwrap();
    groups.remove("all");
    for group in groups.values_mut() {
        if let Some(Value::Array(children)) = group.get_mut("children") {
            children.sort_by_key(Value::to_string);
        }
    }
    list
}

#[test]
fn all_forms_of_the_inventory_are_the_same_to_ansible() {
    let cluster = cluster("kubernetes.yaml", "", "");
    let folder = inventory(&cluster, &[]);
    assert_eq!(listed(folder.path(), "hosts.yaml"), listed(folder.path(), "hosts.json"));
    let (mut yaml, mut ini) = (listed(folder.path(), "hosts.yaml"), listed(folder.path(), "hosts.ini"));

    assert_eq!(yaml["kube_control_plane"]["hosts"], json!(["control-plane"]));
    assert_eq!(yaml["etcd"]["hosts"], json!(["control-plane"]));
    assert_eq!(yaml["kube_node"]["hosts"], json!(["worker-01", "worker-02"]));
    assert_eq!(yaml["k8s_cluster"]["children"], json!(["calico_rr", "kube_control_plane", "kube_node"]));
    assert!(yaml["calico_rr"]["hosts"].is_null(), "nobody is in it: {yaml:#}");

    let expected = json!({
        "ansible_host": "192.168.196.11",
        "ip": "192.168.196.11",
        "ansible_user": "root",
        "ansible_ssh_private_key_file": "/a lab/ssh/key",
        "ansible_ssh_common_args": "-F '/a lab/ssh/config'",
        "ansible_become": true,
        "upstream_dns_servers": ["8.8.8.8", "8.8.4.4", "1.1.1.1"],
        "local_path_provisioner_enabled": true,
        "local_path_provisioner_is_default_storageclass": "true",
        "cluster_name": "cloud.local",
        "kube_network_plugin": "calico",
        "ingress_nginx_enabled": true,
        "kubernetes_node_name_servers": ["192.168.196.1"],
    });
    let hosts = |list: &mut Value| list["_meta"]["hostvars"].as_object_mut().unwrap().remove("worker-01");
    assert_eq!(hosts(&mut yaml), Some(expected.clone()));
    assert_eq!(hosts(&mut ini), Some(expected));
    assert_eq!(yaml, ini);

    // A machine that is off is in no group.
    let folder = inventory(&cluster, &["cloud-worker-02".to_owned()]);
    for name in ["hosts.yaml", "hosts.ini"] {
        let list = listed(folder.path(), name);
        assert_eq!(list["kube_node"]["hosts"], json!(["worker-01"]), "{name}");
        assert_eq!(list["_meta"]["hostvars"]["worker-02"], Value::Null, "{name}");
    }
}

#[test]
fn what_the_file_asks_for_reaches_kubespray_in_both_versions() {
    let wanted = "kubernetes: {cni: calico, ingress: nginx, storage_class: local-path}";
    let written = "kubernetes_config: {cni: calico, ingress: nginx, storage_class: local-path}";
    for (example, from, to) in [
        ("kubernetes.yaml", wanted, "kubernetes: {cni: cilium, ingress: none, storage_class: none}"),
        (
            "workstation-1.0.yaml",
            written,
            "kubernetes_config: {cni: cilium, ingress: traefik, storage_class: ceph}",
        ),
    ] {
        let folder = inventory(&cluster(example, from, to), &[]);
        let list = listed(folder.path(), "hosts.yaml");
        let node = &list["_meta"]["hostvars"]["control-plane"];
        assert_eq!(node["kube_network_plugin"], "cilium", "{example}");
        assert_eq!(node["ingress_nginx_enabled"], false, "{example}");
        assert_eq!(node["local_path_provisioner_enabled"], false, "{example}");
        assert_eq!(node["local_path_provisioner_is_default_storageclass"], "false", "{example}");
    }
    let asked = cluster("kubernetes.yaml", &format!("    {wanted}\n"), "").kubernetes.unwrap();
    assert_eq!(asked, cluster("kubernetes.yaml", "", "").kubernetes.unwrap(), "these are the defaults");
}

/// A folder that Kubespray could be in: a playbook that imports another one, with a role above it.
fn kubespray(folder: &Path) -> PathBuf {
    let kubespray = folder.join("kubespray");
    for (name, text) in [
        ("cluster.yml", "- ansible.builtin.import_playbook: playbooks/cluster.yml\n"),
        ("playbooks/cluster.yml", "- hosts: k8s_cluster\n  roles: [etcd]\n"),
        ("roles/etcd/tasks/main.yml", "- name: Install etcd\n  ansible.builtin.debug:\n"),
    ] {
        let path = kubespray.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    kubespray
}

#[test]
fn kubespray_is_imported_where_it_is_given_and_nothing_else_changes() {
    let folder = inventory(&cluster("kubernetes.yaml", "", ""), &[]);
    let hosts = folder.path().join("hosts.yaml").display().to_string();
    let kubespray = kubespray(folder.path());
    let playbook = repository().join("ansible/kubernetes.yaml").display().to_string();
    let play = |arguments: &[&str]| {
        let output = ansible(
            "ansible-playbook",
            folder.path(),
            &[&["--inventory", &hosts, &playbook], arguments].concat(),
        );
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    };
    play(&["--syntax-check"]);
    let alone = play(&["--list-tasks"]);
    assert!(alone.contains("Tell that Kubespray is left out") && !alone.contains("Install etcd"), "{alone}");

    let variables = json!({"kubespray_folder": kubespray}).to_string();
    let whole = play(&["--list-tasks", "--extra-vars", &variables]);
    assert!(whole.contains("Install etcd") && !whole.contains("Tell that"), "{whole}");
    let check = play(&["--list-tasks", "--check", "--extra-vars", &variables]);
    assert!(check.contains("Tell that") && !check.contains("Install etcd"), "a check cannot go on: {check}");
    let place = |words: &str| whole.find(words).unwrap_or_else(|| panic!("{words} is not in {whole}"));
    let order = ["Make the node fit", "Install etcd", "Wait until every node is ready"].map(place);
    assert!(order.is_sorted(), "{whole}");
}

/// Waits for a cluster whose `kubectl` is this script, on this machine.
fn health(folder: &Path, kubectl: &str) -> Output {
    let write = |name: &str, text: &str, mode: u32| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    let kubectl = write("kubectl", &format!("#!/bin/sh\ncd \"${{0%/*}}\"\n{kubectl}\n"), 0o755);
    let admin = write("admin.conf", "clusters:\n- server: https://127.0.0.1:6443\n", 0o600);
    let hosts = "all: {vars: {ansible_connection: local}, children: {k8s_cluster: {hosts: {head: {ip: 10.0.0.10}, w1: {ip: 10.0.0.11}}}}}";
    let hosts = write("local.yaml", hosts, 0o644);
    let roles = repository().join("ansible/roles/kubernetes_health");
    let play = json!([{"hosts": "head", "gather_facts": false, "roles": [{"role": roles}]}]).to_string();
    let play = write("play.yaml", &play, 0o644);
    let variables = json!({
        "kubernetes_health_kubectl": kubectl,
        "kubernetes_health_kubeconfig": admin,
        "kubernetes_health_attempts": 3,
        "kubernetes_health_delay": 0.1,
        "kubeconfig_file": folder.join("cloud.kubeconfig"),
    });
    ansible(
        "ansible-playbook",
        folder,
        &["--inventory", &hosts, &play, "--extra-vars", &variables.to_string()],
    )
}

#[test]
fn the_way_into_a_cluster_is_kept_when_every_node_is_ready_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("cloud.kubeconfig");
    for (what, kubectl) in [
        ("a node that is not ready", "echo head=True; echo w1=False"),
        ("a node that is not there", "echo head=True"),
        ("a server that does not answer", "echo head=True; echo w1=True; exit 1"),
    ] {
        let output = health(folder.path(), kubectl);
        assert!(!output.status.success(), "{what}: {}", said(&output));
        assert!(!kept.exists(), "{what}");
    }
    let output = health(folder.path(), "echo head=True; test -e late && echo w1=True; touch late");
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(fs::read_to_string(&kept).unwrap(), "clusters:\n- server: https://10.0.0.10:6443\n");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!said(&output).contains("6443"), "what is in it is told nobody: {}", said(&output));
}
