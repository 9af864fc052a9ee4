//! Domain and network XML, from the templates beside this crate. Everything that comes from a config file is escaped,
//! and an undefined name is an error.

use std::net::Ipv4Addr;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use config::{
    hardware::{DeviceKind, Mount},
    model::Arch,
};
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value, context, value::Serde};
use plan::model::{ClusterPlan, InterfacePlan, NetworkPlan, NodePlan, Plan};
use serde::{Deserialize, Serialize};

use crate::hardware::{Cpu, HostDevice};

/// A network card, in a domain's XML and by itself.
const INTERFACE: &str = include_str!("../templates/interface.xml");

/// An address that is kept, in a network's XML and by itself.
const RESERVATION: &str = include_str!("../templates/reservation.xml");

/// Our mark, in an object's XML and by itself.
const MARK: &str = include_str!("../templates/mark.xml");

/// The XML namespace of our mark in libvirt's metadata.
pub const MARK_NAMESPACE: &str = "urn:ai-how:mark:1";

/// A template did not render. It is built in, so this is a defect of ai-how and not of the user's file.
#[derive(Debug, thiserror::Error)]
#[error("cannot render the XML of {object}")]
pub struct Error {
    /// What was being rendered.
    pub object: String,
    /// What the template engine says.
    pub source: minijinja::Error,
}

/// What runs a guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accelerator {
    /// The processor itself.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

impl std::fmt::Display for Accelerator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        })
    }
}

/// Says whose an object is, and as what it was made; kept in its libvirt metadata. What does not bear it is never touched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The lab's identity, unique on the host.
    pub lab: String,
    /// The cluster.
    pub cluster: String,
    /// The plan it was made from.
    pub plan: String,
    /// Counts the starts of the lab.
    pub generation: u64,
    /// What the object was made from, as JSON: a domain's [`NodePlan`], or a network's [`ClusterPlan`] without nodes.
    /// Empty where nobody will ask.
    pub record: String,
}

impl Mark {
    /// The same on a domain of this node.
    pub fn of_node(self, node: &NodePlan) -> Self {
        // Plain data with string keys: there is nothing in it that JSON cannot say.
        Self { record: serde_json::to_string(node).unwrap_or_default(), ..self }
    }

    /// The same on a network of this cluster.
    pub fn of_network(self, cluster: &ClusterPlan) -> Self {
        let cluster = ClusterPlan { nodes: Vec::new(), ..cluster.clone() };
        Self { record: serde_json::to_string(&cluster).unwrap_or_default(), ..self }
    }

    /// As what the domain that bears it was made.
    pub fn node(&self) -> Option<NodePlan> {
        serde_json::from_str(&self.record).ok()
    }

    /// Of what cluster the network that bears it is, without its nodes.
    pub fn cluster(&self) -> Option<ClusterPlan> {
        serde_json::from_str(&self.record).ok()
    }
}

/// The files of a machine that was frozen, as the QEMU process sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// The guest's memory. It is never written to.
    pub memory: String,
    /// What its processors and devices knew.
    pub state: String,
}

/// How a machine comes to life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// It boots.
    Boot,
    /// It boots without network card and identity, to be frozen. Its memory is this file.
    Template {
        /// The guest's memory, which the machine makes and fills.
        memory: String,
    },
    /// It goes on as a copy of a template. Its network cards are plugged in afterwards, with [`interface`].
    Copy(Frozen),
    /// It goes on where it was frozen itself, network cards and all.
    Resume(Frozen),
}

/// A kernel and its initramfs, as the QEMU process sees them.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// The kernel.
    pub kernel: String,
    /// The initramfs.
    pub initrd: String,
}

/// Where a node's files are, as the QEMU process sees them.
#[derive(Debug, Clone)]
pub struct Machine {
    /// How it comes to life.
    pub start: Start,
    /// How it runs.
    pub accelerator: Accelerator,
    /// The lab's folder, absolute.
    pub folder: String,
    /// The folder of its sockets, absolute and short: a socket's path ends at 107 bytes.
    pub sockets: String,
    /// What it is handed to boot; without it firmware finds a boot loader on the disk.
    pub kernel: Option<Kernel>,
    /// The firmware; the emulator's own unless given.
    pub firmware: Option<String>,
    /// The public key that may log in as root, in OpenSSH's one-line form.
    pub authorized_key: String,
}

/// An address that a network's DHCP keeps for a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The card's MAC address: colon-separated, lower case.
    pub mac: String,
    /// The host name that goes with it.
    pub name: String,
    /// The address.
    pub address: Ipv4Addr,
}

/// For whom a network's DHCP keeps addresses: every card on it.
pub fn reservations(plan: &Plan, network: &NetworkPlan) -> Vec<Reservation> {
    plan.nodes()
        .flat_map(|(_, node)| node.interfaces.iter().map(move |interface| (node, interface)))
        .filter(|(_, interface)| interface.network == network.name)
        .map(|(node, interface)| Reservation {
            mac: interface.mac.clone(),
            name: node.name.clone(),
            address: interface.address,
        })
        .collect()
}

/// The XML of a reservation, as a network has it.
///
/// # Errors
/// See [`Error`].
pub fn reservation(reservation: &Reservation) -> Result<String, Error> {
    render("reservation.xml", RESERVATION, context! { host => Serde(reservation) }, &reservation.mac)
}

/// The XML of a mark by itself. Libvirt gives it the prefix and [`MARK_NAMESPACE`].
///
/// # Errors
/// See [`Error`].
pub fn mark(mark: &Mark) -> Result<String, Error> {
    let context = context! { mark => Serde(mark), mark_prefix => "" };
    render("mark.xml", MARK, context, &mark.cluster)
}

/// The XML of a network, with a DHCP reservation for every card on it.
///
/// # Errors
/// See [`Error`].
pub fn network(plan: &Plan, network: &NetworkPlan, mark: &Mark) -> Result<String, Error> {
    let context = context! {
        namespace => MARK_NAMESPACE,
        mark => Serde(mark),
        network => Serde(network),
        hosts => Serde(reservations(plan, network)),
        mac => bridge_mac(network),
        prefix => network.subnet.prefix_len(),
    };
    render("network.xml", include_str!("../templates/network.xml"), context, &network.name)
}

/// The bridge's address: a fork of the lab has a bridge of its own, and its nodes know the one of the lab.
fn bridge_mac(network: &NetworkPlan) -> String {
    let [.., a, b, c] = network.uuid.into_bytes();
    format!("52:54:00:{a:02x}:{b:02x}:{c:02x}")
}

/// The XML of a domain.
///
/// # Errors
/// See [`Error`].
pub fn domain(node: &NodePlan, machine: &Machine, mark: &Mark) -> Result<String, Error> {
    let (memory, frozen, plugged) = match &machine.start {
        Start::Boot => (None, None, true),
        Start::Template { memory } => (Some(memory), None, false),
        Start::Copy(frozen) => (None, Some(frozen), false),
        Start::Resume(frozen) => (None, Some(frozen), true),
    };
    let context = context! {
        namespace => MARK_NAMESPACE,
        mark => Serde(mark),
        node => Serde(node),
        x86 => node.arch == Arch::X86_64,
        machine => machine_type(node.arch),
        kvm => machine.accelerator == Accelerator::Kvm,
        folder => &machine.folder,
        firmware => &machine.firmware,
        appliance => node.is_appliance(),
        disk => node.attached_disk(),
        seed => node.seed(),
        sockets => &machine.sockets,
        kernel => machine.kernel.as_ref().map(|found| &found.kernel),
        initrd => machine.kernel.as_ref().map(|found| &found.initrd),
        command_line => command_line(node, machine),
        cpu => Serde(Cpu::of(node, machine.accelerator)),
        pins => node.first_cpu.map(|first| (first..first.saturating_add(node.cpus)).collect::<Vec<_>>()),
        hugepages_mib => node.hardware.hugepages_mib,
        // Who shares a directory maps the guest's memory, and so may what a device of the host works with.
        shared_memory => node.hardware.shared_memory || !node.mounts.is_empty() || !node.devices.is_empty(),
        node_mounts => Serde(&node.mounts),
        devices => Serde(node.devices.iter().map(HostDevice::of).collect::<Vec<_>>()),
        has_gpu => node.devices.iter().any(|device| device.kind == DeviceKind::Gpu),
        memory => memory.map(|path| option_value(path)),
        frozen_memory => frozen.map(|frozen| option_value(&frozen.memory)),
        state => frozen.map(|frozen| &frozen.state),
        plugged,
    };
    render("domain.xml", include_str!("../templates/domain.xml"), context, &node.domain)
}

/// The XML of a node's network card: the one with this place in [`NodePlan::interfaces`].
///
/// # Errors
/// See [`Error`].
pub fn interface(interface: &InterfacePlan, place: usize) -> Result<String, Error> {
    let context = context! { interface => Serde(interface), bus => place + 1 };
    render("interface.xml", INTERFACE, context, &interface.mac)
}

/// QEMU's board for virtual machines.
fn machine_type(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "q35",
        Arch::Aarch64 => "virt",
    }
}

/// The serial port of [`machine_type`], as the kernel calls it.
fn console(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "ttyS0",
        Arch::Aarch64 => "ttyAMA0",
    }
}

/// What every kernel of an image of ours is told, whoever boots it.
pub(crate) fn boot_line(arch: Arch) -> String {
    // Nobody attacks a throw-away guest from inside, and every mitigation costs under emulation. So does a fifth level of
    // page tables, which an emulated x86-64 processor has and nobody's node needs.
    let levels = if arch == Arch::X86_64 { " no5lvl" } else { "" };
    format!("console={} quiet mitigations=off{levels} net.ifnames=0", console(arch))
}

/// The kernel's command line of an appliance, whoever starts it.
pub fn appliance_command_line(node: &NodePlan) -> String {
    // How often an x86-64 processor can count to itself is measured for a quarter of a second, and nothing here needs it.
    let delays = if node.arch == Arch::X86_64 { " lpj=5000000" } else { "" };
    let (common, skipped) = (boot_line(node.arch), SKIPPED.join(","));
    // A kernel that panicked would stand there for ever.
    let own = format!(
        "{common} rdinit=/init panic=-1{delays} {QUICK} initcall_blacklist={skipped} {}",
        node.append
    );
    own.trim_end().to_owned()
}

/// What an appliance's kernel leaves out, for a third of its boot on an emulated processor: nobody logs in, nothing is signed or
/// encrypted, and there is no network but the loopback interface.
const QUICK: &str = "rodata=off cryptomgr.notests audit=0 ipv6.disable=1 lsm=";

/// Parts of the kernel that only test themselves or prepare what nobody asks for: a source of random numbers beside the kernel's
/// own, the derivation of keys, certificates, encrypted keys, congestion control by BPF.
const SKIPPED: [&str; 5] = [
    "jent_mod_init",
    "crypto_kdf108_init",
    "load_system_certificate_list",
    "init_encrypted",
    "bpf_tcp_ca_kfunc_init",
];

/// The kernel's command line. A node's also carries what systemd needs to know about this node and no other: the host
/// name, the machine id and, as a credential, who may log in. Nothing in it is secret.
pub fn command_line(node: &NodePlan, machine: &Machine) -> String {
    let common = boot_line(node.arch);
    if node.is_appliance() {
        return appliance_command_line(node);
    }
    if let Start::Template { .. } = machine.start {
        return format!("{common} ai-how.template systemd.unit=ai-how-template.target");
    }
    [
        common.as_str(),
        &format!("systemd.hostname={}", node.name),
        &format!("systemd.machine_id={}", node.uuid.simple()),
        &format!(
            "systemd.set_credential_binary=ssh.authorized_keys.root:{}",
            BASE64_STANDARD.encode(&machine.authorized_key)
        ),
    ]
    .into_iter()
    .map(str::to_owned)
    .chain(node.mounts.iter().map(|Mount { tag, mount_point, options, .. }| {
        format!("systemd.mount-extra={tag}:{mount_point}:virtiofs:{options}")
    }))
    .collect::<Vec<_>>()
    .join(" ")
}

fn render(name: &str, template: &str, context: Value, object: &str) -> Result<String, Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // The engine's own escaping is for HTML pages and turns every `/` into an entity.
    environment.set_formatter(|out, _, value| match value.as_str() {
        Some(text) => Ok(out.write_str(&escape(text))?),
        None if value.is_undefined() => Err(ErrorKind::UndefinedError.into()),
        None => Ok(write!(out, "{value}")?),
    });
    environment
        .add_template("interface.xml", INTERFACE)
        .and_then(|()| environment.add_template("reservation.xml", RESERVATION))
        .and_then(|()| environment.add_template("mark.xml", MARK))
        .and_then(|()| environment.render_named_str(name, template, context))
        .map_err(|source| Error { object: object.to_owned(), source })
}

/// A value inside an option of QEMU's command line, where a comma ends it.
fn option_value(text: &str) -> String {
    text.replace(',', ",,")
}

/// Text as it may stand between tags and in quotes. What XML cannot say at all is left out.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' | '\n' | '\r' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::{path::Path, process::Command};

    use config::{
        hardware::{CpuFeature, CpuModel, CpuTopology, Device, DeviceSource, Hardware},
        model::{Image, Role},
    };

    use super::*;
    use crate::ssh::tests::two_nodes;

    fn mark() -> Mark {
        Mark {
            lab: "lab-1a2b3c4d".into(),
            cluster: "hpc".into(),
            plan: "0123456789abcdef".into(),
            generation: 1,
            record: r#"{"name":"compute-01"}"#.into(),
        }
    }

    fn machine(accelerator: Accelerator) -> Machine {
        Machine {
            start: Start::Boot,
            accelerator,
            folder: "/state/labs/lab".into(),
            sockets: "/run/ai-how".into(),
            kernel: Some(Kernel { kernel: "/cache/vmlinuz".into(), initrd: "/cache/initrd".into() }),
            firmware: None,
            authorized_key: "ssh-ed25519 AAAA".into(),
        }
    }

    #[test]
    fn network_xml() {
        let plan = two_nodes();
        insta::assert_snapshot!(network(&plan, &plan.clusters[0].networks[0], &mark()).unwrap());
    }

    #[test]
    fn a_network_asks_the_servers_of_the_file() {
        let mut plan = two_nodes();
        let servers = &mut plan.clusters[0].networks[0].dns_servers;
        *servers = vec![[9, 9, 9, 9].into(), [1, 1, 1, 1].into()];
        let xml = network(&plan, &plan.clusters[0].networks[0], &mark()).unwrap();
        for address in ["9.9.9.9", "1.1.1.1"] {
            assert!(xml.contains(&format!("<forwarder addr=\"{address}\"/>")), "{xml}");
        }
        libvirt_accepts(tempfile::tempdir().unwrap().path(), "network", &xml);
    }

    #[test]
    fn domain_xml_under_tcg() {
        let plan = two_nodes();
        let cluster = &plan.clusters[0];
        insta::assert_snapshot!(domain(&cluster.nodes[0], &machine(Accelerator::Tcg), &mark()).unwrap());
    }

    /// A node with all that hardware can say.
    fn workstation() -> NodePlan {
        let device = |source, kind| Device { source, kind, vendor_id: None, device_id: None };
        NodePlan {
            cpus: 8,
            hardware: Hardware {
                cpu: Some(CpuModel::HostPassthrough),
                features: [("avx2", true), ("vmx", true), ("monitor", false)]
                    .map(|(name, present)| CpuFeature { name: name.into(), present })
                    .into(),
                nested: true,
                topology: Some(CpuTopology { sockets: 1, cores: 4, threads: 2 }),
                hugepages_mib: Some(2),
                pinned: true,
                shared_memory: true,
                numa_nodes: Some(2),
            },
            first_cpu: Some(4),
            devices: vec![
                device(DeviceSource::Pci("0000:01:00.0".into()), DeviceKind::Gpu),
                device(DeviceSource::Pci("0000:0a:1f.1".into()), DeviceKind::Audio),
                device(DeviceSource::Mdev("8c6a1c5e-6d0e-5d7e-9b1a-2f3c4d5e6f71".into()), DeviceKind::Gpu),
            ],
            mounts: vec![Mount {
                tag: "data".into(),
                host_path: "/srv/<data>".into(),
                mount_point: "/data".into(),
                options: "ro,relatime".into(),
            }],
            ..two_nodes().clusters[0].nodes[0].clone()
        }
    }

    #[test]
    fn domain_xml_with_all_hardware_under_kvm() {
        insta::assert_snapshot!(domain(&workstation(), &machine(Accelerator::Kvm), &mark()).unwrap());
    }

    #[test]
    fn domain_xml_with_all_hardware_under_tcg() {
        let xml = domain(&workstation(), &machine(Accelerator::Tcg), &mark()).unwrap();
        assert!(xml.contains(r#"<cpu mode="maximum">"#) && !xml.contains("<kvm>"), "{xml}");
        assert!(!xml.contains("svm"), "machines in emulated machines are emulated: {xml}");
    }

    /// A node of somebody else's image, which boots by itself.
    fn foreign() -> NodePlan {
        let plan = two_nodes();
        NodePlan {
            image: Image::Disk("/images/cloud-base.qcow2".into()),
            ..plan.clusters[0].nodes[0].clone()
        }
    }

    #[test]
    fn domain_xml_of_an_image_that_boots_by_itself() {
        let machine = Machine { kernel: None, ..machine(Accelerator::Tcg) };
        insta::assert_snapshot!(domain(&foreign(), &machine, &mark()).unwrap());
    }

    /// An appliance with a model.
    fn appliance() -> NodePlan {
        NodePlan {
            role: Role::Appliance,
            disk_gib: 0,
            image: Image::Appliance(Some("/models/phi.gguf".into())),
            append: "zosia.llama_args=-c,1024".into(),
            interfaces: Vec::new(),
            ..two_nodes().clusters[0].nodes[0].clone()
        }
    }

    #[test]
    fn domain_xml_of_an_appliance() {
        let machine = Machine { firmware: Some("/qboot.rom".into()), ..machine(Accelerator::Tcg) };
        insta::assert_snapshot!(domain(&appliance(), &machine, &mark()).unwrap());
    }

    #[test]
    fn an_appliance_without_a_model_has_no_disk() {
        let bare = NodePlan { image: Image::Appliance(None), append: String::new(), ..appliance() };
        let xml = domain(&bare, &machine(Accelerator::Kvm), &mark()).unwrap();
        assert!(!xml.contains("<disk") && !xml.contains("<loader") && !xml.contains("<rng"), "{xml}");
        // Its emulator is known as the lab's, and one with a disk is so by the disk.
        assert!(xml.contains("<entry name=\"opt/ai-how/lab\">/state/labs/lab</entry>"), "{xml}");
        let arm = appliance_command_line(&NodePlan { arch: Arch::Aarch64, ..bare });
        assert!(
            arm.starts_with("console=ttyAMA0 quiet ") && !arm.contains("lpj=") && !arm.ends_with(' '),
            "{arm}"
        );
    }

    /// What a file may append fits beside what is ours: a kernel's command line ends at 2,047 bytes.
    #[test]
    fn the_longest_command_line_of_an_appliance_is_one() {
        let line = appliance_command_line(&NodePlan { append: "x".repeat(1500), ..appliance() });
        assert!(line.len() <= 2047, "{}", line.len());
    }

    /// Every kind of domain that there is, as libvirt's own schema judges it.
    #[test]
    fn libvirt_accepts_every_domain() {
        let folder = tempfile::tempdir().unwrap();
        for accelerator in [Accelerator::Kvm, Accelerator::Tcg] {
            for arch in [Arch::X86_64, Arch::Aarch64] {
                for node in [two_nodes().clusters[0].nodes[0].clone(), workstation(), appliance()] {
                    let xml = domain(&NodePlan { arch, ..node }, &machine(accelerator), &mark()).unwrap();
                    libvirt_accepts(folder.path(), "domain", &xml);
                }
            }
            let machine = Machine { kernel: None, ..machine(accelerator) };
            let xml = domain(&foreign(), &machine, &mark()).unwrap();
            libvirt_accepts(folder.path(), "domain", &xml);
        }
    }

    #[expect(clippy::disallowed_methods, reason = "libvirt's own program is asked")]
    fn libvirt_accepts(folder: &Path, kind: &str, xml: &str) {
        let path = folder.join("object.xml");
        std::fs::write(&path, xml).unwrap();
        let ran = Command::new("virt-xml-validate").arg(&path).arg(kind).output().unwrap();
        assert!(ran.status.success(), "{}\n{xml}", String::from_utf8_lossy(&ran.stderr));
        // Beyond the schema, libvirt makes an object of it; its test driver does so without an emulator.
        let of_test = ["kvm", "qemu"].iter().fold(xml.to_owned(), |xml, driver| {
            xml.replacen(&format!("<domain type=\"{driver}\""), "<domain type=\"test\"", 1)
        });
        std::fs::write(&path, &of_test).unwrap();
        let define = if kind == "network" { "net-define" } else { "define" };
        let virsh = Command::new("virsh")
            .args(["--connect", "test:///default", define, "--validate"])
            .arg(&path)
            .output()
            .unwrap();
        assert!(virsh.status.success(), "{}\n{of_test}", String::from_utf8_lossy(&virsh.stderr));
    }

    #[test]
    fn a_device_or_a_mount_makes_memory_shared() {
        let NodePlan { devices, mounts, .. } = workstation();
        let plain = two_nodes().clusters[0].nodes[0].clone();
        let is_shared = |node: &NodePlan| {
            let xml = domain(node, &machine(Accelerator::Kvm), &mark()).unwrap();
            xml.contains(r#"<source type="memfd"/>"#) && xml.contains(r#"<access mode="shared"/>"#)
        };
        assert!(!is_shared(&plain));
        assert!(is_shared(&NodePlan { devices, ..plain.clone() }));
        assert!(is_shared(&NodePlan { mounts, ..plain }));
    }

    #[test]
    fn no_screen_is_beside_a_gpu() {
        let xml = domain(&workstation(), &machine(Accelerator::Kvm), &mark()).unwrap();
        assert!(!xml.contains("<graphics") && !xml.contains("<video"), "{xml}");
    }

    fn frozen() -> Frozen {
        Frozen { memory: "/cache/t/memory".into(), state: "/cache/t/state".into() }
    }

    #[test]
    fn domain_xml_of_a_copy() {
        let plan = two_nodes();
        let machine = Machine { start: Start::Copy(frozen()), ..machine(Accelerator::Tcg) };
        insta::assert_snapshot!(domain(&plan.clusters[0].nodes[0], &machine, &mark()).unwrap());
    }

    #[test]
    fn a_template_has_no_card_and_no_name() {
        let plan = two_nodes();
        let node = &plan.clusters[0].nodes[0];
        let start = Start::Template { memory: "/cache/t/memory".into() };
        let xml = domain(node, &Machine { start, ..machine(Accelerator::Tcg) }, &mark()).unwrap();
        assert!(!xml.contains("<interface") && xml.contains("share=on"), "{xml}");
        let line = xml.lines().find(|line| line.contains("<cmdline>")).unwrap();
        assert!(line.contains("ai-how.template") && !line.contains("systemd.hostname"), "{line}");
    }

    #[test]
    fn a_card_is_the_same_plugged_in_and_built_in() {
        let plan = two_nodes();
        let node = &plan.clusters[0].nodes[0];
        let start = Start::Resume(frozen());
        let whole = domain(node, &Machine { start, ..machine(Accelerator::Tcg) }, &mark()).unwrap();
        let card = interface(&node.interfaces[0], 0).unwrap();
        assert!(card.contains(&node.interfaces[0].mac) && whole.contains(card.trim()), "{card}\n{whole}");
    }

    #[test]
    fn kvm_takes_the_host_processor() {
        let plan = two_nodes();
        let cluster = &plan.clusters[0];
        let xml = domain(&cluster.nodes[0], &machine(Accelerator::Kvm), &mark()).unwrap();
        assert!(xml.contains(r#"<domain type="kvm""#) && xml.contains("host-passthrough"), "{xml}");
        assert!(!xml.contains("tb-cache"), "{xml}");
    }

    #[test]
    fn domain_xml_of_an_aarch64_node() {
        let mut node = two_nodes().clusters[0].nodes[0].clone();
        node.arch = Arch::Aarch64;
        insta::assert_snapshot!(domain(&node, &machine(Accelerator::Tcg), &mark()).unwrap());
        let xml = domain(&node, &machine(Accelerator::Kvm), &mark()).unwrap();
        assert!(xml.contains(r#"<gic version="host"/>"#) && xml.contains("host-passthrough"), "{xml}");
    }

    #[test]
    fn a_name_the_template_does_not_know_is_an_error() {
        let error = render("x.xml", "<a>{{ nodes }}</a>", context! {}, "x").unwrap_err();
        assert!(error.to_string().contains("the XML of x"), "{error}");
    }

    #[test]
    fn markup_in_names_is_escaped() {
        let mut plan = two_nodes();
        plan.clusters[0].nodes[0].domain = "<a>&\"'".into();
        let cluster = &plan.clusters[0];
        let xml = domain(&cluster.nodes[0], &machine(Accelerator::Tcg), &mark()).unwrap();
        assert!(xml.contains("<name>&lt;a&gt;&amp;&quot;"), "{xml}");
    }
}
