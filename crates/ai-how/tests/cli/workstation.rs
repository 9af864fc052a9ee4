//! What users of version 1.0 type: `render`, `plan clusters`, `inventory`, `topology`, on a file of theirs.

use std::{fs, os::unix::fs::symlink};

use serde_json::{Value, json};

use crate::home::Home;

/// The example in version 1.0: a SLURM cluster with a GPU beside a Kubernetes cluster.
fn home() -> Home {
    let home = Home::new();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/workstation-1.0.yaml");
    home.write("workstation.yaml", fs::read(example).unwrap());
    home
}

#[test]
fn a_template_is_rendered_and_nothing_else_of_it_changes() {
    let home = Home::new();
    home.write("t.yaml", "# the data\nz: ${DATA}/x  # where\na: \"${NONE:-${DATA}}\"\nn: 010\n");
    let run = |arguments: &[&str]| {
        let mut command = home.command([&["render"], arguments].concat());
        crate::home::Ran::of(command.env("DATA", "/srv/data").output().unwrap())
    };
    let expected = "# the data\nz: /srv/data/x  # where\na: \"/srv/data\"\nn: 010\n";
    assert_eq!(run(&["t.yaml"]).succeeds(), expected);
    let ran = run(&["t.yaml", "--output", "new/folder/out.yaml", "--show-variables"]);
    assert!(
        ran.err.contains("DATA") && ran.err.contains("/srv/data") && ran.err.contains("NONE"),
        "{ran:#?}"
    );
    assert_eq!(ran.succeeds(), "");
    assert_eq!(fs::read_to_string(home.path("new/folder/out.yaml")).unwrap(), expected);
    assert_eq!(
        run(&["t.yaml", "--format", "json"]).json(),
        json!({"z": "/srv/data/x", "a": "/srv/data", "n": 8})
    );
    // Counting needs no values.
    let count = home.run(["render", "t.yaml", "--validate-only", "--format", "json"]).json();
    assert_eq!((&count["total"], &count["unique"]), (&json!(3), &json!(2)));
    home.run(["render", "t.yaml"]).fails(1, &["DATA", "t.yaml:2"]);
    home.run(["render", "none.yaml"]).fails(2, &["none.yaml"]);
    // No brace is in it, and none in what is said of it.
    home.write("plain.yaml", "a: $UN\n");
    let ran = home.run(["render", "plain.yaml"]);
    assert!(ran.err.contains("`UN` is not set") && !ran.err.contains("with `${`"), "{ran:#?}");
    home.write("empty.yaml", "");
    home.run(["render", "empty.yaml"]).fails(1, &["empty"]);
}

#[test]
fn machines_of_a_file_that_cannot_be_started_are_listed_as_it_has_them() {
    let home = home();
    home.write(
        "old.yaml",
        r#"{metadata: {}, clusters: {cloud: {name: c, worker_nodes: {gpu: [{cpu_cores: 2}]}}}}"#,
    );
    let ran = home.run(["plan", "clusters", "old.yaml", "-f", "json"]);
    assert!(ran.err.contains("cannot be started"), "{ran:#?}");
    assert_eq!(ran.json()["clusters"]["cloud"]["vms"][0]["name"], "c-gpu-01");
    home.write("unbound.yaml", r#"{metadata: {}, clusters: {cloud: {name: "${NOBODY_SET_THIS}"}}}"#);
    home.write("two.yaml", r#"{version: "2.0", clusters: {}}"#);
    for (file, told) in [("unbound.yaml", "NOBODY_SET_THIS"), ("two.yaml", "two.yaml")] {
        let ran = home.run(["plan", "clusters", file]);
        assert!(ran.code == Some(4) && ran.out.is_empty() && ran.err.contains(told), "{ran:#?}");
    }
}

#[test]
fn planned_machines_have_the_keys_and_values_of_version_1() {
    let home = home();
    let list = home.run(["plan", "clusters", "workstation.yaml", "--format", "json"]).json();
    assert_eq!(list["metadata"]["name"], "workstation");
    let hpc = &list["clusters"]["hpc"];
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(hpc), ["name", "type", "network", "base_image", "vms"]);
    assert_eq!(hpc["network"], json!({"subnet": "192.168.100.0/24", "bridge": "virbr100"}));
    let node = &hpc["vms"][1];
    assert_eq!(
        keys(node),
        [
            "name",
            "type",
            "cpu_cores",
            "memory_gb",
            "disk_gb",
            "ip_address",
            "base_image",
            "gpu_assigned",
            "pcie_passthrough"
        ]
    );
    assert_eq!((&node["name"], &node["memory_gb"]), (&json!("hpc-cluster-compute-01"), &json!(16)));
    assert_eq!(node["gpu_assigned"], "0000:01:00.0 (10de:2805)");
    assert_eq!(node["pcie_passthrough"]["devices"][1]["device_id"], "22bd");
    assert!(hpc["vms"][0]["base_image"].as_str().unwrap().ends_with("/images/hpc-controller.qcow2"));
    let names: Vec<&str> = list["clusters"]["cloud"]["vms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|vm| vm["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["cloud-cluster-control-plane", "cloud-cluster-cpu-worker-01", "cloud-cluster-gpu-worker-01"]
    );
    for format in ["text", "markdown"] {
        let text =
            home.run(["plan", "clusters", "workstation.yaml", "-f", format, "-o", "a/b.txt"]).succeeds();
        assert_eq!(text, "");
        let text = fs::read_to_string(home.path("a/b.txt")).unwrap();
        assert!(text.contains("hpc-cluster-compute-01") && text.contains("0000:01:00.0"), "{text}");
    }
    let plan = home.run(["plan", "workstation.yaml", "--format", "json"]).json();
    assert_eq!(plan["clusters"][0]["networks"][0]["name"], "hpc-cluster-network");
    let shown = home.run(["plan", "show", "workstation.yaml"]).succeeds();
    assert_eq!(shown, home.run(["plan", "workstation.yaml"]).succeeds());
}

#[test]
fn ansible_reads_the_inventories() {
    let home = home();
    let hpc =
        home.run(["inventory", "generate-hpc", "workstation.yaml", "hpc", "--ssh-key", "/k"]).succeeds();
    for words in [
        "[hpc_controllers]\nhpc-controller\n",
        "[hpc_compute_nodes]\nhpc-compute02\n",
        "[hpc_gpu_nodes]\nhpc-compute01\n",
        "[hpc:children]\nhpc_controllers\nhpc_compute_nodes\nhpc_gpu_nodes\n",
        "ansible_host=192.168.100.11",
        "ansible_user=admin",
        "slurm_node_name=compute-01",
        "gpu_count=1",
        r#"slurm_gres_conf=["NodeName=compute-01 Name=gpu Type=nvidia_2805 File=/dev/nvidia0"]"#,
        "beegfs_enabled=true",
    ] {
        assert!(hpc.contains(words), "{words} is missing in\n{hpc}");
    }
    home.run(["inventory", "generate-k8s", "workstation.yaml", "cloud", "-o", "k/hosts.ini"]).succeeds();
    let cloud = fs::read_to_string(home.path("k/hosts.ini")).unwrap();
    for words in
        ["[etcd]\ncontrol-plane\n", "[kube_node]\ncpu-worker-01\ngpu-worker-01\n", "ansible_become=True"]
    {
        assert!(cloud.contains(words), "{words} is missing in\n{cloud}");
    }
    for name in ["all/dns-fix.yml", "all/local-path-provisioner.yml", "k8s_cluster/network.yml"] {
        assert!(home.path("k/group_vars").join(name).exists(), "{name}");
    }
    home.run(["inventory", "generate-hpc", "workstation.yaml", "cloud"])
        .fails(2, &["cloud", "there are: hpc"]);
    home.run(["inventory", "generate-k8s", "lab.yaml", "hpc"]).fails(2, &["there are: none"]);
}

#[test]
fn devices_of_a_host_are_listed() {
    let home = home();
    for (name, text) in [
        ("class", "0x030000\n"),
        ("vendor", "0x10de\n"),
        ("device", "0x2330\n"),
        ("mdev_supported_types/nvidia-1/name", "x"),
    ] {
        home.write(format!("host/sys/bus/pci/devices/0000:01:00.0/{name}"), text);
    }
    let gpus = home.run(["inventory", "gpu", "--root", "host", "--format", "json"]).json();
    let gpu = &gpus["gpus"][0];
    assert_eq!((&gpu["address"], &gpu["mig_capable"]), (&json!("0000:01:00.0"), &json!(true)));
    assert_eq!((&gpu["mdev_types"], &gpu["owner"]), (&json!(["nvidia-1"]), &Value::Null));
    let text = home.run(["inventory", "pcie", "--root", "host"]).succeeds();
    assert!(text.contains("0000:01:00.0  0300   10de:2330") && text.contains("1 devices"), "{text}");
    assert_eq!(home.run(["inventory", "gpu", "--root", "empty"]).succeeds(), "");
    let text = home.run(["inventory", "gpu", "--root", "host"]).succeeds();
    assert!(text.contains("MIG, 1 type\n") || text.contains("MIG, 1 type "), "{text}");
    // In MIG mode, NVIDIA's driver tells of instances.
    home.write(
        "host/proc/driver/nvidia/gpus/0000:01:00.0/information",
        "Model: \t\t X\nDevice Minor: \t 3\n",
    );
    for instance in ["gi1", "gi2"] {
        home.write(format!("host/proc/driver/nvidia/capabilities/gpu3/mig/{instance}/access"), "");
    }
    let text = home.run(["inventory", "gpu", "--root", "host"]).succeeds();
    assert!(text.contains("MIG on (2 instances), 1 type"), "{text}");
}

#[test]
fn what_shares_a_group_with_a_gpu_is_told_with_what_it_is() {
    let home = home();
    for (function, class, name) in [
        ("0", "0x030000", ""),
        ("1", "0x040300", "audio"),
        ("2", "0x0c0330", "usb"),
        ("3", "0x010802", "nvme"),
        ("4", "0x010601", "storage"),
        ("5", "0x028000", "network"),
        ("6", "0x060400", "bridge"),
        ("7", "0x118000", "other"),
    ] {
        let folder = format!("host/sys/bus/pci/devices/0000:01:00.{function}");
        for (file, text) in [("class", class), ("vendor", "0x10de"), ("device", "0x2805")] {
            home.write(format!("{folder}/{file}"), text);
        }
        symlink("../../groups/4", home.path(format!("{folder}/iommu_group"))).unwrap();
        if name.is_empty() {
            continue;
        }
        let gpus = home.run(["inventory", "gpu", "--root", "host", "--format", "json"]).json();
        let mates = &gpus["gpus"][0]["mates"];
        let mate = mates.as_array().and_then(|mates| mates.last()).unwrap();
        let address = format!("0000:01:00.{function}");
        assert_eq!((&mate["address"], &mate["kind"]), (&json!(address), &json!(name)), "{gpus:#}");
        assert_eq!(gpus["gpus"][0]["group_mates"].as_array().unwrap().last().unwrap(), &json!(address));
        let text = home.run(["inventory", "gpu", "--root", "host"]).succeeds();
        assert!(text.contains(&format!("{address} ({name})")), "{text}");
    }
}

/// A host that has the devices of the example, or one that has their ids wrong.
fn host(home: &Home, folder: &str, right: bool) {
    let write = |path: String, text: &str| home.write(format!("{folder}/{path}"), text);
    for (address, class, device, group) in [
        ("0000:01:00.0", "0x030000\n", "0x2805\n", "1"),
        ("0000:01:00.1", "0x040300\n", "0x22bd\n", "1"),
        ("0000:07:00.0", "0x030000\n", "0x2504\n", "7"),
    ] {
        let of = format!("sys/bus/pci/devices/{address}");
        write(format!("{of}/class"), class);
        write(format!("{of}/vendor"), "0x10de\n");
        write(format!("{of}/device"), if right { device } else { "0x0000\n" });
        write(format!("sys/kernel/iommu_groups/{group}/type"), "DMA\n");
        for (name, target) in [("driver", "../drivers/vfio-pci"), ("iommu_group", group)] {
            symlink(target, home.path(format!("{folder}/{of}/{name}"))).unwrap();
        }
    }
    for module in ["kvm", "vfio", "vfio_iommu_type1", "vfio_pci"] {
        write(format!("sys/module/{module}/uevent"), "");
    }
    write("dev/kvm".to_owned(), "");
    write("proc/sys/kernel/arch".to_owned(), "x86_64\n");
}

#[test]
fn a_file_that_wants_devices_is_checked_against_any_host() {
    let home = home();
    host(&home, "right", true);
    let ran = home.run(["validate", "workstation.yaml", "--root", "right"]);
    assert_eq!(ran.err, "", "{ran:#?}");
    let text = ran.succeeds();
    for words in [
        "0000:01:00.0  hpc-cluster-compute-01",
        "cloud-cluster-gpu-worker-01  Ready",
        "workstation.yaml: valid",
    ] {
        assert!(text.contains(words), "{words} is missing in\n{text}");
    }
    // This host has none of them.
    let ran = home.run(["validate", "workstation.yaml"]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.out.contains("help:") && !ran.out.contains(": valid"), "{ran:#?}");
    assert!(ran.err.contains("--skip-pcie-validation") && ran.err.contains("--root"), "{ran:#?}");
    home.run(["validate", "workstation.yaml", "--skip-pcie-validation"]).succeeds();
}

#[test]
fn what_is_wrong_with_devices_is_told_in_every_format() {
    let home = home();
    host(&home, "wrong", false);
    let run = |format: &str| {
        let ran = home.run(["validate", "workstation.yaml", "--root", "wrong", "--format", format]);
        assert_eq!(ran.code, Some(1), "{ran:#?}");
        ran
    };
    let json = run("json").json();
    assert_eq!(json["valid"], false, "{json:#}");
    // What this host has too little of is told as well.
    let all = json["diagnostics"].as_array().unwrap();
    let found: Vec<&Value> = all.iter().filter(|found| found["code"] == "other-device").collect();
    assert_eq!(found.len(), 3, "{json:#}");
    let place = (&found[0]["severity"], &found[0]["line"], &found[0]["column"]);
    assert_eq!(place, (&"error".into(), &39.into(), &29.into()), "{json:#}");
    assert!(found[0]["cause"].is_string() && found[0]["help"].is_string(), "{json:#}");
    let github = run("github").out;
    assert!(github.contains("::error file=workstation.yaml,line=39,col=29,"), "{github}");
    let sarif = run("sarif").json();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.iter().filter(|result| result["ruleId"] == "other-device").count(), 3);
    let text = run("text").out;
    assert!(text.contains("error[other-device]") && text.contains("Not Ready"), "{text}");
    assert!(text.contains("workstation.yaml: not valid, 3 errors") && !text.contains(": valid"), "{text}");
}

#[test]
fn a_node_that_wants_devices_names_some() {
    let home = home();
    let file = fs::read_to_string(home.path("workstation.yaml")).unwrap();
    let without = |line: &&str| !line.trim_start().starts_with("- {pci_address:");
    let file: Vec<&str> = file.lines().filter(without).collect();
    home.write("none.yaml", file.join("\n").replace("devices:", "devices: []"));
    let ran = home.run(["validate", "none.yaml", "--format", "json"]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    let json = ran.json();
    let found = json["diagnostics"].as_array().unwrap().iter().find(|found| found["code"] == "no-devices");
    assert_eq!((&json["valid"], &found.unwrap()["severity"]), (&json!(false), &json!("error")));
    let text = home.run(["validate", "none.yaml", "--skip-pcie-validation"]).succeeds();
    assert!(text.contains("warning[no-devices]"), "{text}");
}

#[test]
fn an_error_elsewhere_keeps_no_device_from_being_looked_at() {
    let home = home();
    host(&home, "wrong", false);
    let two = "version: \"2.0\"\nname: lab\nclusters:\n  hpc:\n    kind: slurm\n    networks: {lan: {subnet: 10.1.0.0/24}}\n    nodes:\n      - {name: a, devices: [{pci: \"0000:01:00.0\", device_id: \"2805\"}]}\n      - {name: b, devices: [{pci: \"0000:01:00.0\"}]}\n";
    home.write("two.yaml", two);
    let ran = home.run(["validate", "two.yaml", "--root", "wrong"]);
    for words in ["error[duplicate-gpu]", "error[other-device]", "Not Ready"] {
        assert!(ran.code == Some(1) && ran.out.contains(words), "{words} is missing: {ran:#?}");
    }
    home.write("unread.yaml", two.replace("name: a,", "name: a, cpus: many,"));
    let ran = home.run(["validate", "unread.yaml", "--root", "wrong"]);
    assert!(ran.code == Some(1) && ran.err.contains("unread.yaml: devices were not looked at"), "{ran:#?}");
    assert_eq!(home.run(["validate", "unread.yaml", "--skip-pcie-validation"]).err, "");
}

#[test]
fn a_topology_shows_what_wants_the_same_device() {
    let home = home();
    let file =
        fs::read_to_string(home.path("workstation.yaml")).unwrap().replace("0000:07:00.0", "0000:01:00.0");
    home.write("shared.yaml", file);
    let text = home.run(["topology", "--config", "shared.yaml"]).succeeds();
    assert!(text.contains("GPU 0000:01:00.0 (10de:2805)  SHARED with cloud-cluster-gpu-worker-01"), "{text}");
    let json = home.run(["topology", "-c", "shared.yaml", "--format", "json"]).json();
    assert_eq!(
        json["labs"][0]["clusters"][1]["nodes"][2]["devices"][0]["shared_with"],
        json!(["hpc-cluster-compute-01"])
    );
    let none = home.run(["topology"]);
    assert!(none.err.contains("there are no labs"), "{none:#?}");
    assert_eq!(none.succeeds(), "");
}
