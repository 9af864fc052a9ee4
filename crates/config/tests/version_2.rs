//! Version 2.0: what is filled in, what is chosen, and what is refused.

#![expect(clippy::panic, reason = "a test that cannot go on says so")]

use ai_how_config::model::{Arch, ClusterKind, Image, Kubernetes, Lab, Role};
use ai_how_config::{Code, Context, Diagnostic, HostFacts, Loaded, PathKind, Source, Span, load};

fn loaded(text: &str) -> Loaded {
    load(&Source { name: "lab.yaml", bytes: text.as_bytes() }, &Context::default())
}

fn lab(text: &str) -> Lab {
    let loaded = loaded(text);
    loaded.lab.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
}

fn codes(text: &str) -> Vec<Code> {
    loaded(text).diagnostics.iter().map(|found| found.code).collect()
}

/// The smallest lab there is, with more keys in its cluster and in its node.
fn small(cluster: &str, node: &str) -> String {
    format!(
        "version: \"2.0\"\nname: lab\nclusters:\n  hpc:\n    kind: slurm\n    networks: {{lan: {{subnet: 10.1.0.0/24}}, storage: {{subnet: 10.2.0.0/24}}}}\n    nodes:\n      - {{name: compute-01{node}}}\n{cluster}"
    )
}

#[test]
fn what_is_left_out_is_filled_in() {
    let lab = lab(&small("", ""));
    let cluster = &lab.clusters[0];
    assert_eq!((lab.name.as_str(), lab.description.as_str(), cluster.key.as_str()), ("lab", "", "hpc"));
    let nodes: Vec<_> =
        cluster.nodes.iter().map(|node| (node.name.as_str(), node.domain.as_str(), node.role)).collect();
    assert_eq!(
        nodes,
        [("controller", "hpc-controller", Role::Controller), ("compute-01", "hpc-compute-01", Role::Compute)]
    );
    for node in &cluster.nodes {
        assert_eq!((node.cpus, node.memory_mib, node.disk_gib), (1, 768, 8));
        assert_eq!(node.image, Image::Built("debian-13".to_owned()));
        assert_eq!((node.interfaces.len(), node.interfaces[0].network.as_str()), (1, "lan"));
        assert!(node.auto_start);
    }
    assert_eq!(cluster.networks[0].gateway.to_string(), "10.1.0.1");
    let domains: Vec<_> = cluster.networks.iter().map(|network| network.domain.as_str()).collect();
    assert_eq!(domains, ["hpc.internal", "storage.hpc.internal"]);
    let ClusterKind::Slurm(slurm) = &cluster.kind else { panic!("{:?}", cluster.kind) };
    assert_eq!(slurm.default_partition, "compute");
    assert_eq!(slurm.partitions.len(), 1);
    assert_eq!(
        (slurm.partitions[0].nodes.join(" "), slurm.partitions[0].max_time.as_str()),
        ("compute-01".to_owned(), "INFINITE")
    );
}

#[test]
fn a_kubernetes_cluster_has_a_control_plane_and_workers() {
    let of_kind = |more: &str| {
        let document = small(more, "");
        lab(&document.replace("kind: slurm", "kind: kubernetes")).clusters.remove(0)
    };
    let cluster = of_kind("");
    let nodes: Vec<_> = cluster.nodes.iter().map(|node| (node.name.as_str(), node.role)).collect();
    assert_eq!(nodes, [("control-plane", Role::ControlPlane), ("compute-01", Role::Worker)]);
    let wanted = |cni: &str, ingress: &str, storage_class: &str| {
        let [cni, ingress, storage_class] = [cni, ingress, storage_class].map(str::to_owned);
        ClusterKind::Kubernetes(Kubernetes { cni, ingress, storage_class })
    };
    assert_eq!(cluster.kind, wanted("calico", "nginx", "local-path"));
    let cluster = of_kind(
        "    control_plane: {name: head, memory_mib: 1500}\n    kubernetes: {cni: kube-ovn, ingress: none, storage_class: none}\n",
    );
    assert_eq!((cluster.nodes[0].name.as_str(), cluster.nodes[0].memory_mib), ("head", 1500));
    assert_eq!(cluster.kind, wanted("kube-ovn", "none", "none"));
}

#[test]
fn what_another_kind_of_cluster_has_is_refused() {
    for (kind, key, value) in [
        ("slurm", "control_plane", "{}"),
        ("slurm", "kubernetes", "{}"),
        ("kubernetes", "controller", "{}"),
        ("kubernetes", "partitions", "[{name: a, nodes: [compute-01]}]"),
    ] {
        let document =
            small(&format!("    {key}: {value}\n"), "").replace("kind: slurm", &format!("kind: {kind}"));
        let loaded = loaded(&document);
        let found: Vec<_> = loaded.diagnostics.iter().map(|found| (found.code, &found.message)).collect();
        let message = format!("`{key}` is not for a cluster of kind `{kind}`");
        assert_eq!(found, [(Code::UnfitKey, &message)]);
    }
}

/// The smallest cluster of appliances there is, with more keys in it and in its node.
fn prompts(cluster: &str, node: &str) -> String {
    format!(
        "version: \"2.0\"\nname: lab\nclusters:\n  prompts:\n    kind: appliance\n    nodes:\n      - {{name: prompt-01{node}}}\n{cluster}"
    )
}

#[test]
fn an_appliance_has_neither_disk_nor_network() {
    let cluster = lab(&prompts("", "")).clusters.remove(0);
    assert_eq!((&cluster.kind, cluster.networks.len()), (&ClusterKind::Appliance, 0));
    let [node] = &cluster.nodes[..] else { panic!("one node") };
    assert_eq!((node.name.as_str(), node.domain.as_str()), ("prompt-01", "prompts-prompt-01"));
    assert_eq!((node.role, node.role.name(), node.role.serves()), (Role::Appliance, "appliance", false));
    assert_eq!((node.cpus, node.memory_mib, node.disk_gib), (2, 256, 0));
    assert_eq!((&node.image, node.image.name()), (&Image::Appliance(None), None));
    assert_eq!((node.append.as_str(), node.interfaces.len(), node.arch), ("", 0, Arch::X86_64));
    assert!(node.auto_start);
    let json = serde_json::to_value(&cluster).unwrap_or_default();
    assert_eq!(
        (&json["kind"], json["nodes"][0].get("append")),
        (&serde_json::json!({"kind": "appliance"}), None)
    );
}

#[test]
fn a_lab_with_appliances_is_read_back_as_it_was_written() {
    let text = format!(
        "{}{}",
        small("", ""),
        prompts("    append: a=1\n    model: m.gguf\n", ", append: b=2")
            .split_once("clusters:\n")
            .unwrap_or_default()
            .1
    );
    let written = lab(&text);
    assert_eq!(written.clusters.len(), 2);
    let json = serde_json::to_string(&written).unwrap_or_default();
    assert_eq!(serde_json::from_str::<Lab>(&json).ok(), Some(written));
    // Nothing is added to what other clusters were written as.
    assert!(!serde_json::to_string(&lab(&small("", ""))).unwrap_or_default().contains("append"));
}

#[test]
fn an_appliance_says_otherwise_than_its_cluster() {
    let cluster = "    arch: aarch64\n    model: models/phi.gguf\n    append: zosia.llama_threads=2\n    defaults: {cpus: 3, memory_mib: 512}\n    hardware: {pinned: true}\n";
    let node = ", model: ../other.img, append: ' zosia.diag=1 ', memory_mib: 4096, auto_start: false, devices: [{pci: \"0000:01:00.0\"}]}\n      - {name: prompt-02";
    let nodes = lab(&prompts(cluster, node)).clusters.remove(0).nodes;
    let model = |name: &str| Image::Appliance(Some(name.to_owned()));
    let own = &nodes[0];
    assert_eq!((&own.image, own.image.name()), (&model("../other.img"), Some("../other.img")));
    assert_eq!(own.append, "zosia.llama_threads=2 zosia.diag=1");
    assert_eq!((own.cpus, own.memory_mib, own.auto_start, own.devices.len()), (3, 4096, false, 1));
    let other = &nodes[1];
    assert_eq!((&other.image, other.append.as_str()), (&model("models/phi.gguf"), "zosia.llama_threads=2"));
    assert_eq!((other.cpus, other.memory_mib, other.arch), (3, 512, Arch::Aarch64));
    assert!(nodes.iter().all(|node| node.hardware.pinned));
    assert_eq!(codes(&prompts("", ", memory_mib: 127")), [Code::OutOfRange]);
}

/// Code, message, cause and help of the only finding.
fn told(text: &str) -> (Code, String, String, String) {
    let mut list = loaded(text).diagnostics;
    assert_eq!(list.len(), 1, "{list:#?}");
    let Diagnostic { code, message, cause, help, .. } = list.remove(0);
    (code, message, cause.unwrap_or_default(), help.unwrap_or_default())
}

#[test]
fn what_appliances_do_not_have_is_refused_with_the_reason() {
    for (key, value, cause, help) in [
        ("networks", "{lan: {subnet: 10.1.0.0/24}}", "no network", "change the kind"),
        ("networks", "{lan: {subnet: 127.0.0.0/8}}", "no network", "change the kind"),
        ("networks", "{}", "no network", "change the kind"),
        ("networks", "5", "no network", "change the kind"),
        ("image", "debian-13", "of their own", "`model`"),
        ("image", "own.qcow2", "of their own", "`model`"),
        ("defaults", "{disk_gib: 8}", "no disk", "`memory_mib`"),
        ("controller", "{}", "no other node", "`nodes`"),
        ("control_plane", "{}", "no other node", "`nodes`"),
        ("partitions", "[{nodes: []}]", "another kind", "change the kind"),
        ("kubernetes", "{}", "another kind", "change the kind"),
    ] {
        let found = told(&prompts(&format!("    {key}: {value}\n"), ""));
        let key = if key == "defaults" { "disk_gib" } else { key };
        assert_eq!(found.0, Code::UnfitKey, "{key}");
        assert_eq!(found.1, format!("`{key}` is not for a cluster of kind `appliance`"));
        assert!(found.2.contains(cause) && found.3.contains(help), "{found:?}");
    }
    for (key, value) in [
        ("networks", "[lan]"),
        ("address", "10.1.0.7"),
        ("address", "nonsense"),
        ("addresses", "{lan: 10.1.0.7}"),
        ("image", "debian-13"),
        ("disk_gib", "8"),
        ("disk_gib", "0"),
        ("mounts", "[{tag: a, host_path: /data, mount_point: /etc}]"),
    ] {
        let found = told(&prompts("", &format!(", {key}: {value}")));
        let message = format!("`{key}` is not for a cluster of kind `appliance`");
        assert_eq!((found.0, found.1), (Code::UnfitKey, message));
    }
}

#[test]
fn what_only_appliances_have_is_refused_elsewhere() {
    for kind in ["slurm", "kubernetes"] {
        let of_kind = |text: String| text.replace("kind: slurm", &format!("kind: {kind}"));
        for (cluster, node) in [
            ("    model: m.gguf\n", ""),
            ("    append: quiet\n", ""),
            ("", ", model: m.gguf"),
            ("", ", append: quiet"),
        ] {
            let (code, message, cause, help) = told(&of_kind(small(cluster, node)));
            assert_eq!(code, Code::UnfitKey);
            assert!(message.ends_with(&format!("is not for a cluster of kind `{kind}`")), "{message}");
            assert!(cause == "only appliances have it" && help.contains("`appliance`"), "{cause} {help}");
        }
        // A controller and a control plane do not even know them.
        let leader = if kind == "slurm" { "controller" } else { "control_plane" };
        let found = codes(&of_kind(small(&format!("    {leader}: {{model: m.gguf}}\n"), "")));
        assert_eq!(found, [Code::UnknownKey]);
        // Networks are theirs alone to leave out.
        let without = of_kind(small("", ", networks: [lan]"));
        let without = without
            .replace("    networks: {lan: {subnet: 10.1.0.0/24}, storage: {subnet: 10.2.0.0/24}}\n", "");
        let (code, message, ..) = told(&without);
        assert_eq!((code, message.as_str()), (Code::MissingKey, "`hpc` needs the key `networks`"));
    }
}

#[test]
fn what_a_kernel_is_told_is_one_line_of_ascii_that_fits() {
    for wrong in ["\"a\\nb\"", "\"a\\tb\"", "größer", "\"\\x7f\"", "\"\\0\"", "\"a\\n\""] {
        for text in
            [prompts(&format!("    append: {wrong}\n"), ""), prompts("", &format!(", append: {wrong}"))]
        {
            let (code, message, ..) = told(&text);
            assert_eq!(code, Code::BadFormat, "{wrong}");
            assert!(message.ends_with("must be one line of printable ASCII characters"), "{message}");
        }
    }
    let words = |length: usize| "x".repeat(length);
    let own = |cluster: usize, node: usize| {
        prompts(&format!("    append: {}\n", words(cluster)), &format!(", append: {}", words(node)))
    };
    for (cluster, node, fits) in
        [(1500, 0, true), (0, 1501, false), (1501, 0, false), (749, 750, true), (750, 750, false)]
    {
        let text = match (cluster, node) {
            (0, node) => prompts("", &format!(", append: {}", words(node))),
            (cluster, 0) => prompts(&format!("    append: {}\n", words(cluster)), ""),
            (cluster, node) => own(cluster, node),
        };
        if fits {
            assert_eq!(codes(&text), [], "{cluster} {node}");
            continue;
        }
        let (code, message, cause, help) = told(&text);
        assert_eq!(code, Code::OutOfRange, "{cluster} {node}");
        assert!(
            format!("{message} {cause}").contains("1500") && cause.contains("2047 bytes"),
            "{message} {cause}"
        );
        assert!(!help.is_empty());
    }
    // Each of the two is told once, and not the sum of them.
    assert_eq!(codes(&own(1501, 1501)), [Code::OutOfRange, Code::OutOfRange]);
    assert_eq!(codes(&prompts("    append: 5\n", "")), [Code::WrongType]);
    assert_eq!(codes(&prompts("    append: \"\"\n", ", append: \"\"")), []);
}

#[test]
fn a_model_is_a_file_that_is_looked_for() {
    let text = prompts(
        "    model: models/phi.gguf\n",
        "}\n      - {name: prompt-02, model: /m/other.gguf}\n      - {name: prompt-03",
    );
    let mut found = loaded(&text);
    let named: Vec<_> =
        found.paths.iter().map(|path| (path.kind, path.path.as_str(), path.span.line)).collect();
    assert_eq!(named, [(PathKind::Model, "/m/other.gguf", 8), (PathKind::Model, "models/phi.gguf", 10)]);
    found.look(|path| path.path.starts_with('/'));
    let told: Vec<_> = found.diagnostics.iter().map(|found| (found.code, found.span.line)).collect();
    assert_eq!(told, [(Code::MissingModel, 10)], "once, however many nodes have it");
    assert!(found.is_valid() && Code::MissingModel.is_about_host(), "the file may be meant for another host");
    for wrong in ["\"\"", "\"a\\nb\"", "\"a\\x7f\""] {
        assert_eq!(codes(&prompts(&format!("    model: {wrong}\n"), "")), [Code::BadFormat], "{wrong}");
    }
}

#[test]
fn appliances_are_checked_like_other_machines() {
    let two = prompts("", "}\n      - {name: prompt-01");
    assert_eq!(told(&two).2, "nodes are told apart by their names");
    assert_eq!(codes(&prompts("", "").replace("prompt-01", "localhost")), [Code::ReservedName]);
    assert_eq!(
        codes(&prompts("", "").replace("prompt-01", "default")),
        [],
        "nothing but SLURM knows that name"
    );
    assert_eq!(codes(&prompts("", "").replace("prompt-01", &"a".repeat(60))), [Code::NameTooLong]);
    // Machines of different kinds share the host's names.
    let other = "  pro:\n    kind: appliance\n    nodes: [{name: a-b}]\n  pro-a:\n    kind: slurm\n    networks: {lan: {subnet: 10.3.0.0/24}}\n    nodes: [{name: b}]\n";
    assert_eq!(codes(&small(other, "")), [Code::DuplicateDomain]);
    // And its memory and its processors, but not its disk.
    let host = HostFacts { cpus: 2, memory_mib: 300, free_disk_gib: 0, subnets: Vec::new() };
    let context = Context { host: Some(host), ..Context::default() };
    let text = prompts("    hardware: {pinned: true}\n", "}\n      - {name: prompt-02");
    let found = load(&Source { name: "lab.yaml", bytes: text.as_bytes() }, &context).diagnostics;
    let found: Vec<_> = found.iter().map(|found| found.code).collect();
    assert_eq!(found, [Code::HostMemory, Code::HostCpus]);
    let device =
        ", devices: [{pci: \"0000:03:00.0\"}]}\n      - {name: prompt-02, devices: [{pci: \"0000:03:00.0\"}]";
    assert_eq!(codes(&prompts("", device)), [Code::DuplicateGpu]);
}

#[test]
fn a_node_overrides_the_defaults_and_they_the_rest() {
    let cluster = "    defaults: {cpus: 2, memory_mib: 1000}\n    image: images/own.qcow2\n";
    let lab = lab(&small(cluster, ", memory_mib: 2000, image: debian-12"));
    let sizes: Vec<_> =
        lab.clusters[0].nodes.iter().map(|node| (node.cpus, node.memory_mib, node.disk_gib)).collect();
    assert_eq!(sizes, [(2, 1000, 8), (2, 2000, 8)]);
    assert_eq!(lab.clusters[0].nodes[0].image, Image::File("images/own.qcow2".to_owned()));
    assert_eq!(lab.clusters[0].nodes[1].image, Image::Built("debian-12".to_owned()));
}

#[test]
fn an_image_that_nobody_builds_is_refused_where_it_is_named() {
    let context = Context { images: vec!["debian-13".to_owned()], ..Context::default() };
    let found = |cluster: &str, node: &str| {
        let text = small(cluster, node);
        let loaded = load(&Source { name: "lab.yaml", bytes: text.as_bytes() }, &context);
        let told = loaded.diagnostics.into_iter();
        told.map(|found| (found.code, found.span.line, found.help.unwrap_or_default())).collect::<Vec<_>>()
    };
    let near = "did you mean `debian-13`?".to_owned();
    assert_eq!(found("    image: debain-13\n", ""), [(Code::UnknownImage, 9, near)]);
    let [(code, line, help)] = &found("", ", image: nosuch")[..] else { panic!("one finding") };
    assert_eq!((*code, *line), (Code::UnknownImage, 8));
    assert!(help.contains("debian-13"), "{help}");
    assert_eq!(found("    image: images/own.qcow2\n", ", image: debian-13"), []);
}

#[test]
fn what_is_not_on_the_host_is_a_warning_whatever_is_asked() {
    let mounts =
        "mounts: [{tag: a, host_path: /data, mount_point: /a}, {tag: b, host_path: /none, mount_point: /b}]";
    let text = small("    image: own.qcow2\n", &format!(", {mounts}"));
    for strict in [false, true] {
        let context = Context { strict, ..Context::default() };
        let mut loaded = load(&Source { name: "lab.yaml", bytes: text.as_bytes() }, &context);
        loaded.look(|path| path.path == "/data");
        let told: Vec<_> = loaded.diagnostics.iter().map(|found| (found.code, found.span.line)).collect();
        assert_eq!(told, [(Code::MissingDirectory, 8), (Code::MissingImage, 9)]);
        assert!(loaded.is_valid(), "{:#?}", loaded.diagnostics);
    }
}

#[test]
fn a_place_that_a_node_runs_from_holds_no_mount() {
    for (place, refused) in [
        ("/", true),
        ("/etc", true),
        ("/usr/", true),
        ("/a/../etc", true),
        ("/etc/lab", false),
        ("/home", false),
    ] {
        let mounts = format!(", mounts: [{{tag: a, host_path: /data, mount_point: {place}}}]");
        let expected: &[Code] = if refused { &[Code::UnfitMount] } else { &[] };
        assert_eq!(codes(&small("", &mounts)), expected, "{place}");
    }
}

#[test]
fn a_subnet_with_a_meaning_of_its_own_is_refused() {
    for subnet in ["127.0.5.0/24", "224.1.0.0/16", "250.0.0.0/8", "0.0.0.0/24", "169.254.7.0/24", "0.0.0.0/0"]
    {
        assert_eq!(codes(&small("", "").replace("10.1.0.0/24", subnet)), [Code::InvalidSubnet], "{subnet}");
    }
}

#[test]
fn an_architecture_is_the_nodes_or_the_clusters_and_never_the_hosts() {
    let archs = |cluster, node| {
        lab(&small(cluster, node)).clusters[0].nodes.iter().map(|node| node.arch).collect::<Vec<_>>()
    };
    assert_eq!(archs("", ""), [Arch::X86_64, Arch::X86_64]);
    assert_eq!(archs("    arch: aarch64\n", ""), [Arch::Aarch64, Arch::Aarch64]);
    assert_eq!(archs("    arch: aarch64\n", ", arch: x86_64"), [Arch::Aarch64, Arch::X86_64]);
}

#[test]
fn an_architecture_by_another_name_is_recognised() {
    for (other, name) in [("arm64", "aarch64"), ("amd64", "x86_64"), ("x86-64", "x86_64")] {
        let loaded = loaded(&small("", &format!(", arch: {other}")));
        let found = &loaded.diagnostics[0];
        assert_eq!(found.code, Code::BadValue);
        let help = found.help.as_deref().unwrap_or_default();
        assert!(help.contains(&format!("did you mean `{name}`?")), "{found:#?}");
    }
}

#[test]
fn free_addresses_are_chosen_in_the_order_of_the_file() {
    let text = "version: \"2.0\"\nname: lab\nclusters:\n  hpc:\n    kind: slurm\n    networks: {lan: {subnet: 10.1.0.0/28, gateway: 10.1.0.3}}\n    nodes:\n      - {name: a}\n      - {name: b, address: 10.1.0.12}\n      - {name: c}\n      - {name: d}\n      - {name: e}\n      - {name: f}\n";
    let addresses: Vec<_> =
        lab(text).clusters[0].nodes.iter().map(|node| node.interfaces[0].address.to_string()).collect();
    // From the ninth behind the gateway on, without the one that is given; after the end from the start.
    assert_eq!(
        addresses,
        ["10.1.0.13", "10.1.0.14", "10.1.0.12", "10.1.0.1", "10.1.0.2", "10.1.0.4", "10.1.0.5"]
    );
}

#[test]
fn a_network_has_the_dhcp_range_and_the_dns_servers_of_its_file() {
    let text = |keys: &str| small("", "").replace("10.1.0.0/24", &format!("10.1.0.0/24, {keys}"));
    let lab = lab(&text("dhcp_start: 10.1.0.100, dhcp_end: 10.1.0.120, dns_servers: [9.9.9.9, 1.1.1.1]"));
    let network = &lab.clusters[0].networks[0];
    assert_eq!(network.dhcp_start, Some([10, 1, 0, 100].into()));
    assert_eq!(network.dhcp_end, Some([10, 1, 0, 120].into()));
    assert_eq!(network.dns_servers, [[9, 9, 9, 9], [1, 1, 1, 1]].map(std::net::Ipv4Addr::from));
    let other = &lab.clusters[0].networks[1];
    assert_eq!((other.dhcp_start, other.dhcp_end, other.dns_servers.len()), (None, None, 0));
    for (keys, code) in [
        ("dhcp_start: 10.2.0.1", Code::AddressOutsideSubnet),
        ("dhcp_end: 10.1.0.0", Code::ReservedAddress),
        ("dhcp_start: 10.1.0.9, dhcp_end: 10.1.0.8", Code::ReversedRange),
        ("dns_servers: [\"::1\"]", Code::InvalidAddress),
    ] {
        assert_eq!(codes(&text(keys)), [code], "{keys}");
    }
}

#[test]
fn a_node_has_an_address_on_each_of_its_networks() {
    let lab = lab(&small("", ", networks: [storage, lan], address: 10.2.0.99, addresses: {lan: 10.1.0.99}"));
    let interfaces: Vec<_> = lab.clusters[0].nodes[1]
        .interfaces
        .iter()
        .map(|interface| (interface.network.as_str(), interface.address.to_string()))
        .collect();
    assert_eq!(interfaces, [("storage", "10.2.0.99".to_owned()), ("lan", "10.1.0.99".to_owned())]);
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let text = "version: \"2.0\"\nname: lab\nowner: me\nclusters:\n  hpc:\n    kind: slurm\n    networks: {lan: {subnet: 10.1.0.0/24}}\n    nodes:\n      - {name: a, address: 10.1.0.1}\n      - {name: a, address: 10.9.0.9, cpu: 1}\n    partitions:\n      - {name: p, nodes: [a, b], max_time: soon}\n";
    assert_eq!(
        codes(text),
        [
            Code::UnknownKey,
            Code::ReservedAddress,
            Code::DuplicateNode,
            Code::AddressOutsideSubnet,
            Code::UnknownKey,
            Code::UnknownNode,
            Code::BadTime,
        ]
    );
}

#[test]
fn names_that_could_do_harm_are_refused() {
    for name in ["../x", "a/b", "a b", "a;b", "$(x)", "-a", "a-", "A", "", "a\\tb", "ä", "a.b"] {
        let text = small("", "").replace("compute-01", &format!("\"{name}\""));
        assert_eq!(codes(&text), [Code::BadFormat], "{name}");
    }
    let long = small("", "").replace("compute-01", &"a".repeat(64));
    assert_eq!(codes(&long), [Code::OutOfRange, Code::NameTooLong][..1]);
}

#[test]
fn yaml_1_2_decides_what_a_scalar_is() {
    assert!(codes(&small("", ", image: no")).is_empty(), "`no` is a text");
    assert_eq!(codes(&small("", ", cpus: 1:30")), [Code::WrongType]);
    assert_eq!(codes(&small("", ", cpus: 1_0")), [Code::WrongType]);
    assert!(
        codes(&small("    partitions: [{name: p, nodes: [compute-01], max_time: 24:00:00}]\n", ""))
            .is_empty()
    );
    assert_eq!(
        codes(&small("    partitions: [{name: p, nodes: [compute-01], max_time: 30}]\n", "")),
        [Code::WrongType]
    );
}

#[test]
fn a_document_without_a_proper_version_is_still_looked_at() {
    let text = small("", ", cpu: 1").replace("\"2.0\"", "2.0");
    assert_eq!(codes(&text), [Code::UnquotedVersion, Code::UnknownKey]);
    assert_eq!(codes("version: [1]\n"), [Code::UnknownVersion]);
    assert_eq!(codes("- version\n"), [Code::WrongType]);
    assert_eq!(codes("text"), [Code::WrongType]);
}

#[test]
fn the_host_only_ever_warns() {
    let host = HostFacts { cpus: 2, memory_mib: 1000, free_disk_gib: 10, subnets: Vec::new() };
    let context = Context { host: Some(host), strict: true, ..Context::default() };
    let loaded = load(&Source { name: "lab.yaml", bytes: small("", "").as_bytes() }, &context);
    let found: Vec<_> = loaded.diagnostics.iter().map(|found| found.code).collect();
    assert_eq!(found, [Code::HostMemory, Code::HostDisk]);
    assert!(loaded.is_valid());
}

#[test]
fn the_same_document_gives_the_same_lab() {
    let text = small("", ", networks: [lan, storage]");
    assert_eq!(lab(&text), lab(&text));
    let windows = text.replace('\n', "\r\n");
    assert_eq!(lab(&format!("\u{feff}{windows}")), lab(&text));
}

#[test]
fn places_are_right_behind_a_byte_order_mark_windows_line_ends_and_any_letters() {
    let text =
        "\u{feff}version: \"2.0\"\r\n# größe 🦀\r\nname: lab # ä\r\ndescription: \"🦀🦀\" \r\nwönder: 1\r\n";
    let loaded = loaded(text);
    let found = loaded.diagnostics.iter().find(|found| found.code == Code::UnknownKey);
    let span = found.map(|found| found.span).unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics));
    assert_eq!((span.line, span.column), (5, 1));
    assert_eq!(text.get(span.range()), Some("wönder"));
}

#[test]
fn a_device_is_given_once() {
    let two = |first: &str, second: &str| {
        small("", &format!(", devices: [{first}]}}\n      - {{name: compute-02, devices: [{second}]"))
    };
    let (nic, gpu) = (r#"{pci: "0000:03:00.0", kind: network}"#, r#"{pci: "0000:03:00.0"}"#);
    assert_eq!(codes(&two(nic, nic)), [Code::DuplicateDevice]);
    assert_eq!(codes(&two(gpu, gpu)), [Code::DuplicateGpu]);
    assert_eq!(codes(&two(nic, gpu)), [Code::DuplicateGpu]);
    let part = "{mdev: 4b20d080-1b54-4048-85b3-a6a62d165c01, kind: other}";
    assert_eq!(codes(&two(part, part)), [Code::DuplicateDevice]);
    assert_eq!(codes(&two(part, &part.replace("4b20d", "4B20D"))), [Code::DuplicateDevice]);
    assert_eq!(codes(&small("", &format!(", devices: [{nic}, {nic}]"))), [Code::RepeatedDevice]);
    assert_eq!(codes(&two(nic, part)), []);
    // Across clusters, too.
    let other = "  more:\n    kind: slurm\n    networks: {lan: {subnet: 10.3.0.0/24}}\n    nodes:\n      - {name: one, devices: [DEVICE]}\n";
    let clusters = small(&other.replace("DEVICE", nic), &format!(", devices: [{nic}]"));
    assert_eq!(codes(&clusters), [Code::DuplicateDevice]);
}

#[test]
fn a_device_says_which_it_is_and_once() {
    let device = |text: &str| {
        let found = loaded(&small("", &format!(", devices: [{text}]"))).diagnostics;
        assert_eq!(found.len(), 1, "{found:#?}");
        let found = &found[0];
        (found.code, found.message.clone(), found.help.clone().unwrap_or_default())
    };
    let missing = "item 1 of `devices` needs one of the keys `pci`, `mdev`".to_owned();
    let help = "add `pci` or `mdev` with its value".to_owned();
    assert_eq!(device("{kind: gpu}"), (Code::MissingKey, missing, help));
    let (code, message, _) = device(r#"{pci: "0000:01:00.0", mdev: 4b20d080-1b54-4048-85b3-a6a62d165c01}"#);
    assert_eq!((code, message.as_str()), (Code::BadValue, "item 1 of `devices` has `pci` and `mdev`"));
}

#[test]
fn devices_are_told_whatever_else_is_wrong() {
    let gpu = r#", devices: [{pci: "0000:01:00.0", kind: audio}]"#;
    let found = loaded(&small("", &format!("{gpu}, adress: 10.1.0.7")));
    assert!(!found.is_valid());
    let devices = found.devices.unwrap_or_else(|| panic!("{:#?}", found.diagnostics));
    assert_eq!((devices[0].domain.as_str(), devices[0].span.line), ("hpc-compute-01", 8));
    // Not where types are wrong.
    assert_eq!(loaded(&small("", &format!("{gpu}, cpus: many"))).devices, None);
}

#[test]
fn what_is_said_about_devices_counts_like_any_other_finding() {
    let text = small("", r#", devices: [{pci: "0000:01:00.0"}]"#);
    let span = |loaded: &Loaded| loaded.devices.as_ref().map_or(Span::START, |devices| devices[0].span);
    let mut first = loaded(&text);
    let place = span(&first);
    first.add_device_findings(vec![Diagnostic::warning(Code::HostScreen, place, "a word")]);
    assert!(first.is_valid() && first.diagnostics.len() == 1);
    first.add_device_findings(vec![Diagnostic::error(Code::MissingDevice, place, "another")]);
    assert!(!first.is_valid());
    let codes: Vec<Code> = first.diagnostics.iter().map(|found| found.code).collect();
    assert_eq!(codes, [Code::MissingDevice, Code::HostScreen]);
    let many = vec![Diagnostic::error(Code::MissingDevice, place, "many"); 600];
    first.add_device_findings(many);
    assert_eq!((first.diagnostics.len(), first.omitted), (500, 102));
}
