//! Version 1.0 accepts and refuses what the Python tool does: each row a change to a document, and the verdict.

use ai_how_config::model::{ClusterKind, Image, Lab};
use ai_how_config::{Code, Context, Loaded, Severity, Source, load};

const BASE: &str = r#"version: "1.0"
metadata: {name: lab, description: A lab}
clusters:
  hpc:
    name: hpc-cluster
    base_image_path: a.qcow2
    network: {subnet: 192.168.100.0/24, bridge: virbr100}
    controller: {cpu_cores: 1, memory_gb: 1, disk_gb: 10, ip_address: 192.168.100.10}
    compute_nodes:
      - {cpu_cores: 1, memory_gb: 1, disk_gb: 10, ip: 192.168.100.11}
      - {cpu_cores: 1, memory_gb: 1, disk_gb: 10, ip: 192.168.100.12}
    slurm_config: {partitions: [debug], default_partition: debug}
  cloud:
    name: cloud-cluster
    network: {subnet: 192.168.200.0/24, bridge: virbr200}
    control_plane: {cpu_cores: 1, memory_gb: 1, disk_gb: 10, ip_address: 192.168.200.10}
    worker_nodes: {count: 2, ip: DHCP, cpu_cores: 1, memory_gb: 1, disk_gb: 10}
    kubernetes_config: {cni: calico, ingress: nginx, storage_class: local-path}
"#;

fn loaded(text: &str) -> Loaded {
    load(&Source { name: "lab.yaml", bytes: text.as_bytes() }, &Context::default())
}

fn changed(from: &str, to: &str) -> String {
    assert!(BASE.contains(from), "{from}");
    BASE.replacen(from, to, 1)
}

fn lab(text: &str) -> Lab {
    let loaded = loaded(text);
    assert!(loaded.is_valid(), "{:#?}", loaded.diagnostics);
    loaded.lab.unwrap_or_else(|| Lab {
        name: String::new(),
        description: String::new(),
        clusters: Vec::new(),
    })
}

#[test]
fn documents_are_accepted_and_refused_as_before() {
    const NODE: &str = "ip: 192.168.100.11}";
    const NETWORK: &str = "bridge: virbr100}";
    const SLURM: &str = "default_partition: debug}";
    const CONTROLLER: &str = "ip_address: 192.168.100.10}";
    let gpu = |fields: &str| {
        format!("ip: 192.168.100.11, pcie_passthrough: {{enabled: true, devices: [{{{fields}}}]}}}}")
    };
    let mount = |fields: &str| format!("ip_address: 192.168.100.10, virtio_fs_mounts: [{{{fields}}}]}}");
    let hardware =
        |fields: &str| format!("default_partition: debug}}\n    hardware: {{acceleration: {{{fields}}}}}");
    let storage = |fields: &str| format!("default_partition: debug}}\n    storage: {{{fields}}}");
    let rows: Vec<(&str, String, bool, &str)> = vec![
        ("", String::new(), true, "nothing changed"),
        // Closed at the root and at `clusters`, open elsewhere.
        ("metadata:", "owner: me\nmetadata:".into(), false, "the root is closed"),
        ("metadata:", "1: me\nmetadata:".into(), false, "a number is a key like another"),
        ("  hpc:", "  spark: {}\n  hpc:".into(), false, "`clusters` is closed"),
        ("name: lab,", "name: lab, owner: me,".into(), true, "`metadata` is open"),
        (NODE, "ip: 192.168.100.11, gpus: 4}".into(), true, "nodes are open"),
        (NODE, "ip: 192.168.100.11, 1: 4, yes: no}".into(), true, "for any key"),
        (NETWORK, "bridge: virbr100, gateway_ip: [1]}".into(), true, "networks are open"),
        ("metadata:", "global: {anything: [1, 2]}\nmetadata:".into(), true, "`global` holds anything"),
        ("metadata:", "global: []\nmetadata:".into(), false, "but is a mapping"),
        ("metadata:", "global: null\nmetadata:".into(), false, "not nothing"),
        // Types, as PyYAML reads them.
        ("name: lab,", "name: 42,".into(), false, "a number is no text"),
        ("name: lab,", "name: yes,".into(), false, "`yes` is a boolean"),
        ("name: lab,", "name: y,".into(), true, "`y` is a text"),
        ("name: lab,", "name: 2026-01-31,".into(), false, "a date is no text"),
        ("name: lab,", "name: !!str 42,".into(), true, "unless it is tagged"),
        ("name: lab,", "name: ~,".into(), false, "nothing is no text"),
        ("cpu_cores: 1,", "cpu_cores: 2.0,".into(), true, "2.0 is an integer in JSON Schema"),
        ("cpu_cores: 1,", "cpu_cores: 2.5,".into(), false, "2.5 is not"),
        ("cpu_cores: 1,", "cpu_cores: 0x10,".into(), true, "hexadecimal"),
        ("cpu_cores: 1,", "cpu_cores: 1:30,".into(), true, "base 60"),
        ("cpu_cores: 1,", "cpu_cores: 1_0,".into(), true, "underscores"),
        ("cpu_cores: 1,", "cpu_cores: \"1\",".into(), false, "a text is no integer"),
        ("cpu_cores: 1,", "cpu_cores: true,".into(), false, "a boolean neither"),
        ("cpu_cores: 1,", "cpu_cores: .inf,".into(), false, "infinity neither"),
        ("cpu_cores: 1,", "cpu_cores: 99999999999999999999999999,".into(), true, "there is no upper limit"),
        ("cpu_cores: 1,", "cpu_cores: 0,".into(), false, "at least 1"),
        ("memory_gb: 1,", "memory_gb: 0,".into(), false, "at least 1"),
        ("disk_gb: 10,", "disk_gb: 9,".into(), false, "at least 10"),
        ("disk_gb: 10,", "".into(), false, "required"),
        ("name: hpc-cluster", "name: \"\"".into(), true, "a name has no pattern"),
        ("name: hpc-cluster", "name: \"../../etc; rm -rf\"".into(), true, "whatever it is"),
        // Images and networks.
        ("a.qcow2", "a.img".into(), false, "an image is a qcow2 file"),
        ("    base_image_path: a.qcow2\n", String::new(), true, "the schema does not require an image"),
        (CONTROLLER, "ip_address: x, base_image_path: b.raw}".into(), false, "for nodes too"),
        ("192.168.100.0/24", "999.999.999.999/99".into(), true, "the pattern counts digits only"),
        ("192.168.100.0/24", "192.168.100.0".into(), false, "a prefix is needed"),
        ("192.168.100.0/24", "192.168.100.7/24".into(), true, "host bits are not looked at"),
        ("192.168.100.0/24", "192.168.200.0/24".into(), true, "overlaps are not looked at"),
        ("virbr100", "a-very-long-name-for-a-bridge".into(), true, "any text"),
        (", bridge: virbr100}", "}".into(), false, "but required"),
        // Addresses.
        (CONTROLLER, "ip_address: DHCP}".into(), true, "any text for the controller"),
        (CONTROLLER, "ip_address: 10}".into(), false, "but a text"),
        (NODE, "ip: not-an-ip}".into(), true, "any text for a node"),
        (NODE, "ip: 10.0.0.999}".into(), true, "the format is not enforced"),
        (NODE, "ip: DHCP}".into(), false, "but DHCP matches both forms of the list"),
        (NODE, "ip: 192.168.100.12}".into(), true, "duplicates are not looked at"),
        ("ip: DHCP, cpu", "ip: 192.168.200.11, cpu".into(), false, "DHCP only with count"),
        ("count: 2", "count: 0".into(), false, "at least 1"),
        ("count: 2, ", String::new(), false, "a mapping without count"),
        ("{count: 2, ip: DHCP, cpu_cores: 1, memory_gb: 1, disk_gb: 10}", "[]".into(), false, "an empty list"),
        ("{count: 2, ip: DHCP, cpu_cores: 1, memory_gb: 1, disk_gb: 10}", "{cpu: [], gpu: []}".into(), false, "the old form"),
        ("{count: 2, ip: DHCP, cpu_cores: 1, memory_gb: 1, disk_gb: 10}", "2".into(), false, "no number"),
        (NODE, "ip: 192.168.100.11, auto_start: maybe}".into(), false, "a boolean"),
        (NODE, "ip: 192.168.100.11, auto_start: off}".into(), true, "`off` is one"),
        (CONTROLLER, "ip_address: x, auto_start: maybe}".into(), true, "not looked at for the controller"),
        // Devices.
        (NODE, gpu("pci_address: \"0000:01:00.0\", device_type: gpu"), true, "a GPU"),
        (NODE, gpu("pci_address: 0000:01:00.0, device_type: gpu"), false, "unquoted it is a number in base 60"),
        (NODE, gpu("pci_address: 0000:0a:00.0, device_type: gpu"), true, "unless it has letters"),
        (NODE, gpu("pci_address: \"0000:01:00.255\", device_type: gpu"), true, "any function up to 255"),
        (NODE, gpu("pci_address: \"0000:01:00.256\", device_type: gpu"), false, "and not above"),
        (NODE, gpu("pci_address: \"0000:01:00.0\", device_type: fpga"), false, "an unknown type"),
        (NODE, gpu("pci_address: \"0000:01:00.0\""), false, "the type is required"),
        (NODE, gpu("pci_address: \"0000:01:00.0\", device_type: gpu, device_id: 2805"), false, "quote identifiers"),
        (NODE, gpu("pci_address: \"0000:01:00.0\", device_type: gpu, device_id: 22bd, iommu_group: -1"), false, "a group is not negative"),
        (NODE, "ip: x, pcie_passthrough: {}}".into(), true, "nothing is required"),
        // Mounts.
        (CONTROLLER, mount("tag: t, host_path: x, mount_point: /x, mode: \"0755\""), true, "a mount"),
        (CONTROLLER, mount("tag: t, host_path: x, mount_point: /x, mode: 0755"), false, "an unquoted mode is octal"),
        (CONTROLLER, mount("tag: t, host_path: x, mount_point: x"), false, "not absolute"),
        (CONTROLLER, mount("tag: a b, host_path: x, mount_point: /x"), false, "a space in the tag"),
        (CONTROLLER, mount("host_path: x, mount_point: /x"), false, "no tag"),
        // SLURM.
        (SLURM, "default_partition: other}".into(), true, "membership is not looked at"),
        (SLURM, "default_partition: debug, max_job_time: forever}".into(), true, "any text"),
        (SLURM, "default_partition: debug, max_job_time: 24:00:00}".into(), false, "unquoted it is a number"),
        (SLURM, "default_partition: debug, max_job_time: 01:00:00}".into(), true, "unless it starts with a zero"),
        ("partitions: [debug]", "partitions: []".into(), true, "no partition at all"),
        ("partitions: [debug]", "partitions: [1]".into(), false, "a number is no name"),
        ("    slurm_config: {partitions: [debug], default_partition: debug}\n", String::new(), false, "required"),
        // Hardware and storage.
        (SLURM, hardware("cpu_model: host, numa_topology: null"), true, "null is possible here"),
        (SLURM, hardware("numa_topology: {nodes: 9}"), false, "at most 8"),
        (SLURM, hardware("numa_topology: {memory_per_node: 1023}"), false, "at least 1024"),
        (SLURM, hardware("cpu_model: epyc"), false, "an unknown model"),
        (SLURM, hardware("cpu_features: [\"+sse4.1\", avx]"), true, "with and without a sign"),
        (SLURM, hardware("cpu_features: [\"+a-b\"]"), false, "no dash"),
        (SLURM, hardware("cpu_topology: {sockets: 1, cores: 4}"), false, "all three"),
        (SLURM, hardware("cpu_topology: {sockets: 4, cores: 64, threads: 2}"), true, "at the limits"),
        (SLURM, hardware("performance: {hugepage_size: 4M}"), false, "2M or 1G"),
        (SLURM, hardware("enable_kvm: null"), false, "null is not a boolean"),
        (SLURM, storage("beegfs: {enabled: true, mount_point: /mnt}"), true, "BeeGFS"),
        (SLURM, storage("beegfs: {enabled: true}"), false, "needs a mount point"),
        (SLURM, storage("beegfs: {enabled: true, mount_point: /mnt, metadata_nodes: []}"), false, "an empty list"),
        (SLURM, storage("virtio_fs: {}"), false, "enabled is required"),
        ("storage_class: local-path}", "storage_class: 1}".into(), false, "a text"),
        ("cni: calico, ", String::new(), false, "all three are required"),
        // Keys twice, merge keys, whole documents.
        ("name: hpc-cluster", "name: 1\n    name: hpc-cluster".into(), true, "the last one counts"),
        ("name: hpc-cluster", "name: hpc-cluster\n    name: 1".into(), false, "the last one counts"),
        ("      - {cpu_cores: 1, memory_gb: 1, disk_gb: 10, ip: 192.168.100.11}\n      - {cpu_cores: 1, memory_gb: 1, disk_gb: 10, ip: 192.168.100.12}", "      - &n {cpu_cores: 1, memory_gb: 1, disk_gb: 10, ip: 192.168.100.11}\n      - {<<: *n, ip: 192.168.100.12}".into(), true, "merge keys work"),
        ("\"1.0\"", "\"1.0.0\"".into(), false, "exactly 1.0"),
        ("\"1.0\"", "1.0".into(), false, "and a text"),
        ("metadata: {name: lab, description: A lab}\n", String::new(), false, "required"),
        (", description: A lab", String::new(), false, "required"),
    ];
    let mut wrong = Vec::new();
    for (from, to, accepted, why) in rows {
        let loaded = loaded(&changed(from, &to));
        if loaded.is_valid() != accepted {
            wrong.push(format!("`{from}` -> `{to}` ({why}): {:?}", loaded.diagnostics.first()));
        }
        // Whatever is accepted becomes a lab that can be used.
        if let Some(lab) = &loaded.lab {
            check_usable(lab, why);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What everything that comes after relies on.
fn check_usable(lab: &Lab, why: &str) {
    let mut addresses = std::collections::HashSet::new();
    let mut domains = std::collections::HashSet::new();
    for cluster in &lab.clusters {
        let fit =
            |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        assert!(fit(&cluster.name) && !cluster.name.starts_with('.'), "{why}: {}", cluster.name);
        for node in &cluster.nodes {
            assert!(domains.insert(&node.domain), "{why}: {}", node.domain);
            assert!(fit(&node.domain) && node.domain.len() <= 63, "{why}: {}", node.domain);
            for interface in &node.interfaces {
                let network = &cluster.networks[0];
                assert!(network.subnet.contains(&interface.address), "{why}: {}", interface.address);
                assert_ne!(interface.address, network.gateway, "{why}");
                assert!(addresses.insert(interface.address), "{why}: {} twice", interface.address);
            }
        }
        if let ClusterKind::Slurm(slurm) = &cluster.kind {
            assert!(
                slurm.partitions.iter().any(|partition| partition.name == slurm.default_partition),
                "{why}"
            );
        }
    }
}

#[test]
fn names_and_addresses_are_those_of_the_tool() {
    let lab = lab(BASE);
    let names: Vec<_> = lab
        .clusters
        .iter()
        .flat_map(|cluster| &cluster.nodes)
        .map(|node| format!("{} {} {}", node.domain, node.name, node.interfaces[0].address))
        .collect();
    assert_eq!(
        names,
        [
            "hpc-cluster-controller controller 192.168.100.10",
            "hpc-cluster-compute-01 compute-01 192.168.100.11",
            "hpc-cluster-compute-02 compute-02 192.168.100.12",
            "cloud-cluster-control-plane control-plane 192.168.200.10",
            "cloud-cluster-cpu-worker-01 cpu-worker-01 192.168.200.11",
            "cloud-cluster-cpu-worker-02 cpu-worker-02 192.168.200.12",
        ]
    );
    let hpc = &lab.clusters[0];
    assert_eq!((hpc.nodes[0].memory_mib, hpc.nodes[0].disk_gib, hpc.nodes[0].cpus), (1024, 10, 1));
    assert_eq!(hpc.nodes[0].image, Image::File("a.qcow2".to_owned()));
    assert_eq!(lab.clusters[1].nodes[0].image, Image::Unspecified);
    assert_eq!(hpc.networks[0].gateway.to_string(), "192.168.100.1");
    assert_eq!(hpc.networks[0].domain, "hpc-cluster.local");
    assert_eq!(hpc.networks[0].bridge.as_deref(), Some("virbr100"));
}

#[test]
fn a_network_is_as_its_keys_beyond_the_schema_say() {
    let of = |keys: &str| {
        let loaded = loaded(&changed("bridge: virbr100}", &format!("bridge: virbr100, {keys}}}")));
        let codes: Vec<_> = loaded.diagnostics.iter().map(|found| found.code).collect();
        let mut lab = loaded.lab.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics));
        let network = lab.clusters.remove(0).networks.remove(0);
        let ends = [network.dhcp_start, network.dhcp_end].map(|end| end.map(|end| end.octets()[3]));
        (codes, network.gateway.octets()[3], ends, network.dns_servers)
    };
    let quad = [9, 9, 9, 9].into();
    let all = "gateway_ip: 192.168.100.2, dhcp_start: 192.168.100.50, dhcp_end: 192.168.100.90, dns_servers: [9.9.9.9]";
    assert_eq!(of(all), (vec![], 2, [Some(50), Some(90)], vec![quad]));
    assert_eq!(of("dns_mode: isolated"), (vec![], 1, [None, None], vec![]));
    for (keys, code) in [
        ("dhcp_start: 192.168.1.50", Code::AddressOutsideSubnet),
        ("dhcp_end: 192.168.100.255", Code::ReservedAddress),
        ("dhcp_start: 192.168.100.90, dhcp_end: 192.168.100.50", Code::ReversedRange),
        ("dhcp_start: soon", Code::InvalidAddress),
        ("dns_servers: [dns.example.com]", Code::InvalidAddress),
        ("dns_mode: shared_dns", Code::UnusedSetting),
        ("service_discovery: {type: consul}", Code::UnusedSetting),
    ] {
        assert_eq!(of(keys), (vec![code], 1, [None, None], vec![]), "{keys}");
    }
}

fn found(text: &str) -> Vec<(Code, usize)> {
    let loaded = loaded(text);
    assert!(loaded.is_valid(), "{:#?}", loaded.diagnostics);
    loaded.diagnostics.iter().map(|found| (found.code, found.span.line)).collect()
}

#[test]
fn a_size_that_no_machine_has_is_told_and_replaced_by_the_limit() {
    for (from, to) in [
        ("cpu_cores: 1,", "cpu_cores: 4294967295,"),
        ("memory_gb: 1,", "memory_gb: 99999999999999999999999999,"),
        ("disk_gb: 10", "disk_gb: 18446744073709551615"),
    ] {
        let text = BASE.replace(from, to);
        // The controller, two nodes, the control plane, and counted workers.
        assert_eq!(found(&text), [8, 10, 11, 16, 17].map(|line| (Code::OutOfRange, line)), "{to}");
        for node in lab(&text).clusters.iter().flat_map(|cluster| &cluster.nodes) {
            assert!(node.cpus <= 1024 && node.memory_mib <= 64 << 20 && node.disk_gib <= 1 << 20, "{node:?}");
        }
    }
    let largest = BASE.replace(
        "cpu_cores: 1, memory_gb: 1, disk_gb: 10",
        "cpu_cores: 1024, memory_gb: 65536, disk_gb: 1048576",
    );
    assert_eq!(found(&largest), []);
}

#[test]
fn a_setting_without_effect_is_told_when_it_asks_for_something() {
    let hardware = |fields: &str| {
        changed(
            "default_partition: debug}",
            &format!("default_partition: debug}}\n    hardware: {{acceleration: {{{fields}}}}}"),
        )
    };
    let mount = |fields: &str| {
        let mounts = format!(
            "ip_address: 192.168.100.10, virtio_fs_mounts: [{{tag: t, host_path: /x, mount_point: /x, {fields}}}]}}"
        );
        changed("ip_address: 192.168.100.10}", &mounts)
    };
    for (text, line) in [
        (hardware("enable_kvm: false"), 13),
        (hardware("numa_topology: {nodes: 1, memory_per_node: 2048}"), 13),
        (hardware("numa_topology: {memory_per_node: 1025}"), 13),
        (mount("owner: root"), 8),
        (mount("group: slurm"), 8),
        (mount("mode: \"0700\""), 8),
    ] {
        assert_eq!(found(&text), [(Code::UnusedSetting, line)], "{text}");
    }
    for text in [
        hardware("enable_kvm: true, numa_topology: {nodes: 1, memory_per_node: 1024}"),
        mount("owner: admin, group: admin, mode: \"0755\""),
    ] {
        assert_eq!(found(&text), [], "{text}");
    }
}

#[test]
fn beegfs_is_put_on_nodes_that_there_are() {
    let storage = |fields: &str| {
        let storage =
            format!("default_partition: debug}}\n    storage: {{beegfs: {{mount_point: /b, {fields}}}}}");
        changed("default_partition: debug}", &storage)
    };
    let wrong = "management_node: controler, metadata_nodes: [controller, node-1], storage_nodes: [compute-02, compute-03]";
    let document = storage(&format!("enabled: true, {wrong}"));
    let loaded = loaded(&document);
    let told: Vec<_> = loaded.diagnostics.iter().map(|found| (found.code, found.message.as_str())).collect();
    let expected =
        ["controler", "node-1", "compute-03"].map(|name| format!("the cluster has no node `{name}`"));
    assert_eq!(told, [0, 1, 2].map(|at: usize| (Code::UnknownNode, expected[at].as_str())));
    assert_eq!(loaded.diagnostics[0].help.as_deref(), Some("did you mean `controller`?"));
    assert_eq!(found(&storage(&format!("enabled: false, {wrong}"))), []);
}

#[test]
fn a_mount_that_a_node_would_not_survive_is_left_out() {
    let mount = |place: &str| {
        let mounts = format!(
            "ip_address: 192.168.100.10, virtio_fs_mounts: [{{tag: t, host_path: /x, mount_point: {place}}}]}}"
        );
        changed("ip_address: 192.168.100.10}", &mounts)
    };
    for place in ["/etc", "/usr/", "//proc", "/./sys", "/", "/x/../etc"] {
        assert_eq!(found(&mount(place)), [(Code::UnfitMount, 8)], "{place}");
        assert!(lab(&mount(place)).clusters[0].nodes[0].mounts.is_empty(), "{place}");
    }
    assert_eq!(found(&mount("/var/x..y")), []);
}

#[test]
fn clusters_of_one_name_are_still_two() {
    let loaded = loaded(&changed("name: cloud-cluster", "name: hpc-cluster"));
    assert_eq!(loaded.diagnostics[0].code, Code::DuplicateCluster);
    let lab = loaded.lab.unwrap();
    let names: Vec<_> = lab.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    assert_eq!(names, ["hpc-cluster", "hpc-cluster-cloud"]);
    assert_eq!(lab.clusters[1].nodes[0].domain, "hpc-cluster-control-plane");
}

#[test]
fn workers_with_and_without_gpus_are_counted_apart() {
    let gpu = r#"{cpu_cores: 1, memory_gb: 1, disk_gb: 10, ip: IP, pcie_passthrough: {enabled: true, devices: [{pci_address: "0000:0N:00.0", device_type: gpu}]}}"#;
    let plain = "{cpu_cores: 1, memory_gb: 1, disk_gb: 10, ip: IP}";
    let workers: Vec<_> = [gpu, plain, gpu, plain]
        .iter()
        .enumerate()
        .map(|(n, node)| {
            node.replace("IP", &format!("192.168.200.{}", n + 11)).replace("0N", &format!("0{n}"))
        })
        .collect();
    let text = changed(
        "{count: 2, ip: DHCP, cpu_cores: 1, memory_gb: 1, disk_gb: 10}",
        &format!("[{}]", workers.join(", ")),
    );
    let lab = lab(&text);
    let names: Vec<_> = lab.clusters[1].nodes.iter().skip(1).map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["gpu-worker-01", "cpu-worker-01", "gpu-worker-02", "cpu-worker-02"]);
}

#[test]
fn every_partition_has_every_compute_node() {
    let text = changed(
        "partitions: [debug], default_partition: debug}",
        "partitions: [gpu, debug], default_partition: debug, max_job_time: 1-0}",
    );
    let ClusterKind::Slurm(slurm) = &lab(&text).clusters[0].kind else { unreachable!("hpc runs SLURM") };
    let partitions: Vec<_> = slurm
        .partitions
        .iter()
        .map(|partition| format!("{} {} {}", partition.name, partition.nodes.join("+"), partition.max_time))
        .collect();
    assert_eq!(partitions, ["gpu compute-01+compute-02 1-0", "debug compute-01+compute-02 1-0"]);
    assert_eq!(slurm.default_partition, "debug");
}

#[test]
fn variables_are_expanded_in_values_when_one_is_in_braces() {
    let context =
        Context { environment: [("A".to_owned(), "images".to_owned())].into(), ..Context::default() };
    let image = |text: &str| {
        let loaded = load(&Source { name: "lab.yaml", bytes: changed("a.qcow2", text).as_bytes() }, &context);
        loaded.lab.map(|lab| lab.clusters[0].nodes[0].image.clone())
    };
    assert_eq!(image("${A}/a.qcow2"), Some(Image::File("images/a.qcow2".to_owned())));
    assert_eq!(image("$A/a.qcow2"), Some(Image::File("$A/a.qcow2".to_owned())), "no braces, no expansion");
    assert_eq!(image("${A}$B.qcow2"), None, "unset");
    assert_eq!(image("${B:-x}.qcow2"), Some(Image::File("x.qcow2".to_owned())));
}

#[test]
fn strict_refuses_what_is_only_odd() {
    let text = changed("ip: 192.168.100.12}", "ip: 192.168.100.11}");
    let context = Context { strict: true, ..Context::default() };
    let strict = load(&Source { name: "lab.yaml", bytes: text.as_bytes() }, &context);
    assert!(!strict.is_valid());
    let found: Vec<_> =
        loaded(&text).diagnostics.iter().map(|found| (found.code.as_str(), found.severity)).collect();
    assert_eq!(found, [("duplicate-address", Severity::Warning)]);
}

#[test]
fn what_was_odd_before_does_not_hide_what_is_wrong() {
    let wrong = changed("partitions: [debug]", "partetions: [debug]");
    assert!(!loaded(&wrong).is_valid());
    let text = wrong.replace("    slurm_config: {", "    slurm_config: {}\n    slurm_config: {");
    let found: Vec<_> =
        loaded(&text).diagnostics.iter().map(|found| (found.code.as_str(), found.severity)).collect();
    assert!(found.contains(&("duplicate-key", Severity::Warning)), "{found:?}");
    assert!(found.contains(&("missing-key", Severity::Error)), "{found:?}");
}
