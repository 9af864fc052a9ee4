//! Devices that nodes want, on hosts that a test makes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use ai_how_lab::passthrough::{Standing, judge};
use config::{Code, Context, Diagnostic, Loaded, Severity, Source, load};
use system::pci::Host;
use tempfile::TempDir;

/// Address, class, ids, driver, group.
type Row<'a> = (&'a str, u32, &'a str, Option<&'a str>, Option<u32>);

/// A host with an IOMMU and KVM.
struct Made {
    root: TempDir,
}

impl Made {
    fn new(functions: &[Row<'_>]) -> Self {
        let made = Self { root: tempfile::tempdir().unwrap() };
        for (address, class, ids, driver, group) in functions {
            let folder = format!("sys/bus/pci/devices/{address}");
            let (vendor, device) = ids.split_once(':').unwrap();
            made.write(&format!("{folder}/class"), &format!("{class:#08x}\n"));
            made.write(&format!("{folder}/vendor"), &format!("0x{vendor}\n"));
            made.write(&format!("{folder}/device"), &format!("0x{device}\n"));
            if let Some(driver) = driver {
                made.link(&format!("{folder}/driver"), &format!("../../drivers/{driver}"));
            }
            if let Some(group) = group {
                made.link(&format!("{folder}/iommu_group"), &format!("../../../kernel/iommu_groups/{group}"));
                made.write(&format!("sys/kernel/iommu_groups/{group}/type"), "DMA\n");
            }
        }
        for module in ["kvm", "vfio", "vfio_iommu_type1", "vfio_pci"] {
            made.write(&format!("sys/module/{module}/uevent"), "");
        }
        made.write("dev/kvm", "");
        made.write("proc/cmdline", "root=/dev/sda quiet\n");
        made.write("proc/sys/kernel/arch", "x86_64\n");
        made
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn link(&self, path: &str, target: &str) {
        symlink(Path::new(target), self.path(path)).unwrap();
    }

    fn mdev(&self, parent: &str, uuid: &str) {
        for folder in ["sys/bus/mdev/devices".to_owned(), format!("sys/bus/pci/devices/{parent}")] {
            fs::create_dir_all(self.path(&folder).join(uuid)).unwrap();
        }
    }

    /// How devices stand, and what is found, a line each.
    fn judge(&self, nodes: &[&str]) -> (Vec<Standing>, String) {
        let document = document(nodes);
        let judgement = judge(&Host::at(self.root.path()), &document);
        let told = |found: &Diagnostic| {
            let help = found.help.as_deref().unwrap_or_default();
            format!("{}[{}]: {} -> {help}\n", found.severity.as_str(), found.code, found.message)
        };
        (
            judgement.devices.iter().map(|(_, _, standing)| *standing).collect(),
            judgement.findings.iter().map(told).collect(),
        )
    }

    /// Severity, code and line of what is found.
    fn found(&self, nodes: &[&str]) -> Vec<(Severity, Code)> {
        let findings = judge(&Host::at(self.root.path()), &document(nodes)).findings;
        findings.iter().map(|found| (found.severity, found.code)).collect()
    }
}

/// A lab with nodes that want these devices; a node that starts by hand begins with `off`.
fn document(nodes: &[&str]) -> Loaded {
    let mut text = "version: \"2.0\"\nname: lab\nclusters:\n  hpc:\n    kind: slurm\n    networks: {lan: {subnet: 10.1.0.0/24}}\n    nodes:\n".to_owned();
    for (index, devices) in nodes.iter().enumerate() {
        let (starts, devices) = devices.strip_prefix("off ").map_or((true, *devices), |rest| (false, rest));
        text += &format!("      - {{name: n{index}, auto_start: {starts}, devices: [{devices}]}}\n");
    }
    load(&Source { name: "lab.yaml", bytes: text.as_bytes() }, &Context::default())
}

/// A device by its address, with what else is said of it.
fn pci(address: &str, more: &str) -> String {
    format!("{{pci: \"{address}\"{more}}}")
}

const GPU: &str = "0000:01:00.0";
const AUDIO: &str = "0000:01:00.1";
const PART: &str = "8c6a1c5e-6d0e-5d7e-9b1a-2f3c4d5e6f71";

const VGA: u32 = 0x03_0000;
const ETHERNET: u32 = 0x02_0000;

#[test]
fn a_gpu_with_all_of_its_group_is_ready() {
    let host = Made::new(&[
        ("0000:00:01.0", 0x06_0400, "8086:1901", Some("pcieport"), Some(7)),
        (GPU, VGA, "10de:2805", Some("vfio-pci"), Some(7)),
        (AUDIO, 0x04_0300, "10de:22bd", Some("vfio-pci"), Some(7)),
    ]);
    let gpu = pci(GPU, ", vendor_id: 10de, device_id: \"2805\"");
    let both = format!("{gpu}, {}", pci(AUDIO, ", kind: audio, device_id: 22bd"));
    assert_eq!(host.judge(&[&both]), (vec![Standing::Ready, Standing::Ready], String::new()));
    // Who wants nothing needs nothing.
    assert!(judge(&Host::at("/nonexistent"), &document(&[""])).findings.is_empty());
}

#[test]
fn everything_in_the_way_is_told_at_once() {
    let host = Made::new(&[
        (GPU, 0x03_0200, "10de:2806", Some("nvidia"), Some(7)),
        (AUDIO, 0x04_0300, "10de:22bd", Some("snd_hda_intel"), Some(7)),
        ("0000:02:00.0", ETHERNET, "8086:1533", None, None),
    ]);
    let devices =
        [pci(GPU, ", device_id: \"2805\""), pci("0000:02:00.0", ""), pci("0000:09:00.0", "")].join(", ");
    let (standings, words) = host.judge(&[&devices]);
    assert_eq!(standings, [Standing::ConflictingDriver, Standing::WrongDriver, Standing::NotFound]);
    for expected in [
        "error[other-device]: the file expects any:2805 at `0000:01:00.0`, and the host has 10de:2806",
        "error[held-group]: `0000:01:00.0` shares IOMMU group 7 with `0000:01:00.1`, and snd_hda_intel is bound to that -> `echo vfio-pci",
        "error[device-driver]: nvidia is bound to `0000:01:00.0` and holds it",
        "error[other-device]: `0000:02:00.0` is no GPU: its class is 0200",
        "error[no-iommu-group]: `0000:02:00.0` is in no IOMMU group",
        "error[device-driver]: no driver is bound to `0000:02:00.0`; vfio-pci must be",
        "error[missing-device]: the host has no PCI device at `0000:09:00.0`",
    ] {
        assert!(words.contains(expected), "{expected} is missing in {words}");
    }
}

#[test]
fn what_the_host_lacks_is_told_whatever_the_devices_are() {
    let host = Made::new(&[(GPU, VGA, "10de:2805", Some("vfio-pci"), None)]);
    fs::remove_dir_all(host.path("sys/module/vfio_pci")).unwrap();
    fs::remove_file(host.path("dev/kvm")).unwrap();
    let gpu = pci(GPU, "");
    let (standings, words) = host.judge(&[&gpu]);
    assert_eq!(standings, [Standing::NotReady]);
    for expected in ["has no KVM", "lacks the module vfio_pci", "boot with `intel_iommu=on"] {
        assert!(words.contains(expected), "{expected} is missing in {words}");
    }
    host.write("proc/cmdline", "amd_iommu=on\n");
    host.write("proc/modules", "vfio_pci 16384 0 - Live 0x0\n");
    let (_, words) = host.judge(&[&gpu]);
    assert!(words.contains("the kernel was asked for it") && !words.contains("module vfio_pci"), "{words}");
}

#[test]
fn a_mediated_device_must_exist() {
    let host = Made::new(&[(GPU, VGA, "10de:2805", Some("nvidia"), Some(7))]);
    let part = format!("{{mdev: {PART}}}");
    assert_eq!(host.judge(&[&part]).0, [Standing::NotFound]);
    host.mdev(GPU, PART);
    assert_eq!(host.judge(&[&part]), (vec![Standing::Ready], String::new()));
}

#[test]
fn counted_nodes_hear_the_same_once() {
    let text = r#"
version: "1.0"
metadata: {name: lab, description: A lab}
clusters:
  hpc:
    name: hpc-cluster
    network: {subnet: 192.168.100.0/24, bridge: virbr100}
    controller: {cpu_cores: 1, memory_gb: 1, disk_gb: 10, ip_address: 192.168.100.10}
    compute_nodes: {count: 3, ip: DHCP, cpu_cores: 1, memory_gb: 1, disk_gb: 10, pcie_passthrough: {enabled: true, devices: [{pci_address: "0000:01:00.0", device_type: gpu}]}}
    slurm_config: {partitions: [debug], default_partition: debug}
"#;
    let document = load(&Source { name: "lab.yaml", bytes: text.as_bytes() }, &Context::default());
    let host = Made::new(&[(GPU, VGA, "10de:2805", None, Some(7))]);
    let judgement = judge(&Host::at(host.root.path()), &document);
    assert_eq!((judgement.devices.len(), judgement.findings.len()), (3, 1), "{judgement:#?}");
}

#[test]
fn what_is_refused_is_not_called_ready() {
    let host = Made::new(&[
        (GPU, VGA, "10de:2805", Some("vfio-pci"), None),
        ("0000:02:00.0", VGA, "10de:2805", Some("vfio-pci"), Some(2)),
        ("0000:02:00.1", 0x04_0300, "10de:22bd", Some("vfio-pci"), Some(2)),
        ("0000:02:00.2", 0x0c_0330, "10de:22bd", Some("xhci_hcd"), Some(2)),
    ]);
    assert_eq!(host.judge(&[&pci(GPU, "")]).0, [Standing::NotReady]);
    // One of them is told of the third; all are refused.
    let both = format!("{}, {}", pci("0000:02:00.0", ""), pci("0000:02:00.1", ", kind: audio"));
    let (standings, words) = host.judge(&[&both]);
    assert_eq!((standings, words.lines().count()), (vec![Standing::NotReady; 2], 1), "{words}");
    // A file that gives it to two nodes is refused before the host is looked at.
    let host = Made::new(&[(GPU, VGA, "10de:2805", Some("vfio-pci"), Some(7))]);
    assert_eq!(host.judge(&[&pci(GPU, ""), &pci(GPU, "")]), (vec![Standing::NotReady; 2], String::new()));
}

#[test]
fn a_group_goes_to_one_node_whole() {
    let (first, second) = (pci("0000:03:00.0", ", kind: network"), pci("0000:03:00.1", ", kind: network"));
    let host = Made::new(&[
        ("0000:03:00.0", ETHERNET, "8086:1533", Some("vfio-pci"), Some(3)),
        ("0000:03:00.1", ETHERNET, "8086:1533", Some("vfio-pci"), Some(3)),
    ]);
    let (standings, words) = host.judge(&[&first, &second]);
    assert_eq!(standings, [Standing::NotReady; 2], "{words}");
    let expected = "error[split-group]: `0000:03:00.0` and `0000:03:00.1` are in IOMMU group 3, and wanted by `hpc-n0` and by `hpc-n1`";
    assert!(words.starts_with(expected) && words.lines().count() == 1, "{words}");
    // One that starts by hand may wait for the other.
    let (standings, words) = host.judge(&[&first, &format!("off {second}")]);
    assert!(standings == [Standing::Ready; 2] && words.starts_with("warning[split-group]"), "{words}");
    // Both to one node, or both to each of two.
    let both = format!("{first}, {second}");
    assert_eq!(host.found(&[&both]), []);
    assert_eq!(host.found(&[&both, &format!("off {both}")]), []);
    assert_eq!(host.found(&[&both, &first]), [(Severity::Error, Code::SplitGroup)]);
}

#[test]
fn a_device_is_given_whole_or_in_parts() {
    let (gpu, part) = (pci(GPU, ""), format!("{{mdev: {PART}}}"));
    let host = Made::new(&[
        (GPU, VGA, "10de:2805", Some("vfio-pci"), Some(7)),
        ("0000:01:00.4", VGA, "10de:2805", Some("vfio-pci"), Some(8)),
    ]);
    host.mdev(GPU, PART);
    let (standings, words) = host.judge(&[&gpu, &part]);
    assert_eq!(standings, [Standing::NotReady; 2], "{words}");
    assert!(
        words.contains("error[split-device]") && words.contains("is a part of `0000:01:00.0`"),
        "{words}"
    );
    // Virtual functions are parts, and so is what is made of them.
    host.link("sys/bus/pci/devices/0000:01:00.4/physfn", "../0000:01:00.0");
    let virtual_function = pci("0000:01:00.4", "");
    assert_eq!(host.found(&[&virtual_function, &gpu]), [(Severity::Error, Code::SplitDevice)]);
    let other = PART.replace("8c6a", "9c6a");
    host.mdev("0000:01:00.4", &other);
    assert_eq!(host.found(&[&gpu, &format!("{{mdev: {other}}}")]), [(Severity::Error, Code::SplitDevice)]);
    assert_eq!(host.found(&[&part, &virtual_function]), []);
}

#[test]
fn the_screen_of_the_host_is_a_warning() {
    let host = Made::new(&[(GPU, VGA, "10de:2805", Some("vfio-pci"), Some(7))]);
    host.write(&format!("sys/bus/pci/devices/{GPU}/boot_vga"), "0\n");
    assert_eq!(host.found(&[&pci(GPU, "")]), []);
    host.write(&format!("sys/bus/pci/devices/{GPU}/boot_vga"), "1\n");
    let (standings, words) = host.judge(&[&pci(GPU, "")]);
    assert_eq!(standings, [Standing::Ready]);
    assert!(words.starts_with("warning[host-screen]: ") && words.contains("another GPU"), "{words}");
}

#[test]
fn the_host_runs_the_nodes_itself() {
    let host = Made::new(&[(GPU, VGA, "10de:2805", Some("vfio-pci"), Some(7))]);
    host.write("proc/sys/kernel/arch", "aarch64\n");
    let (standings, words) = host.judge(&[&pci(GPU, "")]);
    assert_eq!(standings, [Standing::NotReady]);
    assert!(words.starts_with("error[foreign-arch]: a node of x86_64 wants"), "{words}");
    // A tree that does not tell is not guessed at.
    fs::remove_file(host.path("proc/sys/kernel/arch")).unwrap();
    assert_eq!(host.found(&[&pci(GPU, "")]), []);
}

#[test]
fn a_remedy_does_no_harm_unsaid_and_names_no_path_that_is_not_there() {
    let mate = |class: u32, driver: &'static str| {
        let host = Made::new(&[
            (GPU, VGA, "10de:2805", Some("vfio-pci"), Some(7)),
            ("0000:02:00.0", class, "144d:a808", Some(driver), Some(7)),
        ]);
        host.judge(&[&pci(GPU, "")]).1
    };
    let vital = "root disk or only network";
    for (class, driver) in [
        (0x01_0802, "nvme"),
        (0x01_0601, "ahci"),
        (0x01_0400, "megaraid_sas"),
        (0x01_0700, "aacraid"),
        (ETHERNET, "igc"),
        (0x02_8000, "iwlwifi"),
        (0xff_0000, "mlx5_core"),
    ] {
        let words = mate(class, driver);
        let (warning, recipe) = (words.find(vital), words.find("driver/unbind"));
        assert!(warning.is_some() && warning < recipe, "{driver}: {words}");
    }
    let words = mate(0x0c_0330, "xhci_hcd");
    assert!(!words.contains(vital) && words.contains("driver/unbind"), "{words}");
    // The same for a device that is wanted itself.
    let host = Made::new(&[
        ("0000:02:00.0", 0x01_0802, "144d:a808", Some("nvme"), Some(2)),
        ("0000:03:00.0", VGA, "10de:2805", None, Some(3)),
    ]);
    let (_, words) = host.judge(&[&pci("0000:02:00.0", ", kind: storage")]);
    assert!(words.contains(vital) && words.contains("nvme is bound"), "{words}");
    let (_, words) = host.judge(&[&pci("0000:03:00.0", "")]);
    assert!(words.contains("no driver is bound to `0000:03:00.0`; vfio-pci must be"), "{words}");
    assert!(!words.contains("unbind") && words.contains("drivers_probe") && !words.contains('…'), "{words}");
}

/// The host that examples are tried on.
fn host_of_examples(example: &str) -> Made {
    let vfio = Some("vfio-pci");
    let host = Made::new(&[
        (GPU, VGA, "10de:2805", vfio, Some(13)),
        ("0000:02:00.0", ETHERNET, "8086:1533", Some("igb"), Some(2)),
        ("0000:03:00.0", ETHERNET, "8086:1533", vfio, Some(3)),
        ("0000:03:00.1", ETHERNET, "8086:1533", vfio, Some(3)),
        ("0000:04:00.0", 0x12_0000, "10ee:5000", vfio, None),
        ("0000:05:00.0", ETHERNET, "8086:1533", vfio, Some(5)),
        ("0000:06:00.0", 0x01_0802, "144d:a808", Some("nvme"), Some(5)),
        ("0000:07:00.0", VGA, "10de:2805", vfio, Some(7)),
        ("0000:08:00.0", VGA, "10de:2805", vfio, Some(8)),
    ]);
    host.mdev("0000:07:00.0", PART);
    host.write("sys/bus/pci/devices/0000:08:00.0/boot_vga", "1\n");
    match example {
        "host-kvm" => fs::remove_file(host.path("dev/kvm")).unwrap(),
        "host-vfio" => fs::remove_dir_all(host.path("sys/module/vfio_pci")).unwrap(),
        "host-iommu" => fs::remove_dir_all(host.path("sys/kernel/iommu_groups")).unwrap(),
        _ => {}
    }
    host
}

#[test]
fn every_code_about_devices_has_an_example_that_gives_what_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/invalid/devices");
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(&path).unwrap();
        let first = String::from_utf8_lossy(&bytes);
        let expected = first.lines().next().and_then(|line| line.strip_prefix("# expect: "));
        let expected = expected.unwrap_or_else(|| panic!("{name} does not say what it expects"));
        let mut loaded = load(&Source { name: &name, bytes: &bytes }, &Context::default());
        assert!(loaded.is_valid() && loaded.diagnostics.is_empty(), "{name}: {:#?}", loaded.diagnostics);
        let host = host_of_examples(&name);
        loaded.add_device_findings(judge(&Host::at(host.root.path()), &loaded).findings);
        let found = loaded.diagnostics.iter().map(|found| format!("{} {}", found.code, found.span.line));
        assert_eq!(found.collect::<Vec<_>>().join(", "), expected, "{name}");
        for found in &loaded.diagnostics {
            assert!(found.cause.is_some() && found.help.is_some(), "{name}: {found:#?}");
            assert!(name.starts_with(found.code.as_str()), "{name} is named after another code");
            seen.insert(found.code);
        }
    }
    let missing: Vec<&Code> =
        Code::ALL.iter().filter(|code| code.is_about_devices() && !seen.contains(code)).collect();
    assert!(missing.is_empty(), "no example for {missing:?}");
}
