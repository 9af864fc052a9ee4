//! Version 1.0: the format of the Python tool of the same name, as types.
//!
//! The JSON schema made from these types accepts and refuses the same documents as that tool. Only the root
//! and `clusters` are closed; everywhere else a key that is not listed here is accepted, with a warning.
//! Fields marked `skip` are not in the schema: the tool uses them without checking them.

mod lower;
mod storage;
mod unused;

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

pub(crate) use lower::lower;

use crate::hardware::DeviceKind;
use crate::yaml::{Lenient, Located};

/// A lab in version 1.0 of the format: one SLURM cluster, one Kubernetes cluster, or both.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, title = "ai-how cluster, version 1.0")]
pub struct Document {
    /// The version of the format, in quotes.
    #[schemars(regex(pattern = r"^1\.0$"))]
    pub version: Located<String>,
    /// What the lab is called.
    pub metadata: Metadata,
    /// Kept for older files; not used.
    #[serde(default)]
    #[schemars(schema_with = "any_object")]
    pub global: Option<IgnoredAny>,
    /// At least one of `hpc` and `cloud`.
    pub clusters: Clusters,
}

/// What the lab is called.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Metadata {
    /// The lab's name.
    pub name: Located<String>,
    /// Free text.
    pub description: Located<String>,
}

/// At least one of `hpc` and `cloud`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
pub struct Clusters {
    /// The SLURM cluster.
    pub hpc: Option<Located<Hpc>>,
    /// The Kubernetes cluster.
    pub cloud: Option<Located<Cloud>>,
}

/// The SLURM cluster.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Hpc {
    /// The name that machines and networks start with.
    pub name: Located<String>,
    /// The image of every node that names none.
    #[schemars(regex(pattern = r".*\.qcow2$"))]
    pub base_image_path: Option<Located<String>>,
    /// The network that all nodes are on.
    pub network: Network,
    /// How the processor is presented to the guests.
    pub hardware: Option<Hardware>,
    /// Runs `slurmctld`.
    pub controller: Controller,
    /// Run `slurmd`.
    pub compute_nodes: Nodes,
    /// Partitions.
    pub slurm_config: SlurmConfig,
    /// Shared file systems.
    pub storage: Option<Storage>,
}

/// The Kubernetes cluster.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Cloud {
    /// The name that machines and networks start with.
    pub name: Located<String>,
    /// The image of every node that names none.
    #[schemars(regex(pattern = r".*\.qcow2$"))]
    pub base_image_path: Option<Located<String>>,
    /// The network that all nodes are on.
    pub network: Network,
    /// How the processor is presented to the guests.
    pub hardware: Option<Hardware>,
    /// Runs the Kubernetes control plane.
    pub control_plane: Controller,
    /// Run pods.
    pub worker_nodes: Nodes,
    /// What is installed on the cluster.
    pub kubernetes_config: KubernetesConfig,
}

/// A NAT network with DHCP.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Network {
    /// The IPv4 network, as `192.168.100.0/24`.
    #[schemars(regex(pattern = r"^([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}$"))]
    pub subnet: Located<String>,
    /// The name of the bridge on the host.
    pub bridge: Located<String>,
    /// The host's address; the first of the subnet unless given.
    #[serde(default)]
    #[schemars(skip)]
    pub gateway_ip: Lenient<String>,
    /// First address for strangers.
    #[serde(default)]
    #[schemars(skip)]
    pub dhcp_start: Lenient<String>,
    /// Last address for strangers.
    #[serde(default)]
    #[schemars(skip)]
    pub dhcp_end: Lenient<String>,
    /// Where names outside of the lab are looked up.
    #[serde(default)]
    #[schemars(skip)]
    pub dns_servers: Lenient<Vec<Located<String>>>,
    /// How names are resolved: `isolated` is the only way there is.
    #[serde(default)]
    #[schemars(skip)]
    pub dns_mode: Lenient<String>,
    /// Where services are looked up.
    #[schemars(skip)]
    pub service_discovery: Option<Located<IgnoredAny>>,
}

/// How the processor is presented to the guests.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Hardware {
    /// Acceleration and processor features.
    pub acceleration: Option<Acceleration>,
}

/// Acceleration and processor features.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Acceleration {
    /// Use KVM.
    pub enable_kvm: Option<Located<bool>>,
    /// Allow guests to run guests.
    pub enable_nested: Option<bool>,
    /// The processor model.
    pub cpu_model: Option<CpuModel>,
    /// Processor features, each with `+` or `-` before it.
    #[schemars(inner(regex(pattern = r"^[+-]?[a-zA-Z0-9_.]+$")))]
    pub cpu_features: Option<Vec<String>>,
    /// NUMA nodes; nothing lets the host decide.
    #[serde(default)]
    #[schemars(schema_with = "numa_or_nothing")]
    pub numa_topology: Option<Numa>,
    /// Sockets, cores and threads.
    pub cpu_topology: Option<Located<CpuTopology>>,
    /// Memory and pinning.
    pub performance: Option<Performance>,
}

/// The processor model.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CpuModel {
    /// The host's.
    Host,
    /// The host's, unchanged.
    HostPassthrough,
    /// The nearest named model.
    HostModel,
    /// A generic one.
    Qemu64,
}

/// NUMA nodes.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Numa {
    /// How many.
    #[schemars(range(min = 1, max = 8))]
    pub nodes: Option<Located<u64>>,
    /// MiB each.
    #[schemars(range(min = 1024))]
    pub memory_per_node: Option<Located<u64>>,
}

/// Sockets, cores and threads.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CpuTopology {
    /// Sockets.
    #[schemars(range(min = 1, max = 4))]
    pub sockets: u64,
    /// Cores of a socket.
    #[schemars(range(min = 1, max = 64))]
    pub cores: u64,
    /// Threads of a core.
    #[schemars(range(min = 1, max = 2))]
    pub threads: u64,
}

/// Memory and pinning.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct Performance {
    /// Back memory with huge pages.
    pub enable_hugepages: Option<bool>,
    /// Size of a huge page.
    pub hugepage_size: Option<HugepageSize>,
    /// Pin virtual processors.
    pub cpu_pinning: Option<bool>,
    /// What backs memory.
    pub memory_backing: Option<MemoryBacking>,
}

/// Size of a huge page.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
pub enum HugepageSize {
    /// 2 MiB.
    #[default]
    #[serde(rename = "2M")]
    Mega2,
    /// 1 GiB.
    #[serde(rename = "1G")]
    Giga1,
}

impl HugepageSize {
    /// MiB.
    pub(crate) fn mib(self) -> u64 {
        match self {
            Self::Mega2 => 2,
            Self::Giga1 => 1024,
        }
    }
}

/// What backs memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryBacking {
    /// Anonymous memory.
    Default,
    /// Huge pages.
    Hugepages,
    /// A file in memory that can be shared.
    Memfd,
}

/// The controller or the control plane.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Controller {
    /// Virtual processors.
    #[schemars(range(min = 1))]
    pub cpu_cores: Located<u64>,
    /// Memory, GiB.
    #[schemars(range(min = 1))]
    pub memory_gb: Located<u64>,
    /// Root disk, GiB.
    #[schemars(range(min = 10))]
    pub disk_gb: Located<u64>,
    /// Its address.
    #[schemars(extend("format" = "ipv4"))]
    pub ip_address: Located<String>,
    /// Its image.
    #[schemars(regex(pattern = r".*\.qcow2$"))]
    pub base_image_path: Option<Located<String>>,
    /// Directories of the host.
    pub virtio_fs_mounts: Option<Vec<Mount>>,
    /// Whether starting the cluster starts it.
    #[serde(default)]
    #[schemars(skip)]
    pub auto_start: Lenient<bool>,
}

/// A list of nodes, or a number of equal ones.
#[derive(Debug)]
pub enum Nodes {
    /// Every node by itself.
    List(Vec<Node>),
    /// A number of equal ones.
    Counted(Box<CountedNodes>),
}

/// A compute node or worker.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Node {
    /// Virtual processors.
    #[schemars(range(min = 1))]
    pub cpu_cores: Located<u64>,
    /// Memory, GiB.
    #[schemars(range(min = 1))]
    pub memory_gb: Located<u64>,
    /// Root disk, GiB.
    #[schemars(range(min = 10))]
    pub disk_gb: Located<u64>,
    /// Its address. `DHCP` is possible with `count` only.
    #[schemars(schema_with = "node_address")]
    pub ip: Located<String>,
    /// Whether starting the cluster starts it.
    pub auto_start: Option<bool>,
    /// Its image.
    #[schemars(regex(pattern = r".*\.qcow2$"))]
    pub base_image_path: Option<Located<String>>,
    /// Directories of the host.
    pub virtio_fs_mounts: Option<Vec<Mount>>,
    /// Devices of the host.
    pub pcie_passthrough: Option<Located<Passthrough>>,
    /// From an older form of the format.
    #[schemars(skip)]
    pub worker_type: Option<IgnoredAny>,
}

/// A number of equal nodes with addresses from DHCP.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CountedNodes {
    /// How many.
    #[schemars(range(min = 1))]
    pub count: Located<u64>,
    /// Virtual processors.
    #[schemars(range(min = 1))]
    pub cpu_cores: Located<u64>,
    /// Memory, GiB.
    #[schemars(range(min = 1))]
    pub memory_gb: Located<u64>,
    /// Root disk, GiB.
    #[schemars(range(min = 10))]
    pub disk_gb: Located<u64>,
    /// Always `DHCP`.
    #[schemars(extend("enum" = ["DHCP"]))]
    pub ip: Located<String>,
    /// Whether starting the cluster starts them.
    pub auto_start: Option<bool>,
    /// Their image.
    #[schemars(regex(pattern = r".*\.qcow2$"))]
    pub base_image_path: Option<Located<String>>,
    /// Directories of the host.
    pub virtio_fs_mounts: Option<Vec<Mount>>,
    /// Devices of the host.
    pub pcie_passthrough: Option<Located<Passthrough>>,
}

/// Devices of the host.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Passthrough {
    /// Whether they are passed.
    pub enabled: Option<bool>,
    /// All functions of the device.
    pub devices: Option<Vec<Device>>,
}

/// A PCI function.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Device {
    /// Domain, bus, device and function, as `0000:01:00.0`.
    #[schemars(regex(
        pattern = r"^[0-9a-fA-F]{4}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.(?:[0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])$"
    ))]
    pub pci_address: Located<String>,
    /// What it is.
    pub device_type: DeviceType,
    /// PCI vendor, four hexadecimal digits, in quotes.
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{4}$"))]
    pub vendor_id: Option<String>,
    /// PCI device, four hexadecimal digits, in quotes.
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{4}$"))]
    pub device_id: Option<String>,
    /// Its IOMMU group.
    #[schemars(range(min = 0))]
    pub iommu_group: Option<u64>,
}

/// What a PCI function is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceType {
    /// A GPU.
    Gpu,
    /// The sound part of a GPU.
    Audio,
    /// A network card.
    Network,
    /// A disk.
    Storage,
    /// Anything else.
    Other,
}

impl From<DeviceType> for DeviceKind {
    fn from(given: DeviceType) -> Self {
        match given {
            DeviceType::Gpu => Self::Gpu,
            DeviceType::Audio => Self::Audio,
            DeviceType::Network => Self::Network,
            DeviceType::Storage => Self::Storage,
            DeviceType::Other => Self::Other,
        }
    }
}

/// A directory of the host, in the guest.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Mount {
    /// Its tag.
    #[schemars(regex(pattern = r"^[a-zA-Z0-9_-]+$"))]
    pub tag: String,
    /// Where it is on the host.
    pub host_path: Located<String>,
    /// Where it is in the guest.
    #[schemars(regex(pattern = r"^/"))]
    pub mount_point: String,
    /// Its owner.
    pub owner: Option<Located<String>>,
    /// Its group.
    pub group: Option<Located<String>>,
    /// Its mode, as `"0755"`.
    #[schemars(regex(pattern = r"^0[0-7]{3}$"))]
    pub mode: Option<Located<String>>,
    /// Mount options.
    pub options: Option<String>,
    /// Whether the guest may write.
    #[schemars(skip)]
    pub readonly: Option<IgnoredAny>,
}

/// Partitions.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SlurmConfig {
    /// Their names. Every one has all compute nodes.
    pub partitions: Vec<Located<String>>,
    /// The one that jobs go to.
    pub default_partition: Located<String>,
    /// The longest a job may run, in quotes.
    pub max_job_time: Option<Located<String>>,
}

/// Shared file systems.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Storage {
    /// `BeeGFS`.
    pub beegfs: Option<Beegfs>,
    /// Directories of the host.
    pub virtio_fs: Option<VirtioFs>,
}

/// `BeeGFS`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Beegfs {
    /// Whether it is set up.
    pub enabled: bool,
    /// Where it is mounted.
    #[schemars(regex(pattern = r"^/"))]
    pub mount_point: String,
    /// Where management runs.
    pub management_node: Option<Located<String>>,
    /// Where metadata is.
    #[schemars(length(min = 1))]
    pub metadata_nodes: Option<Vec<Located<String>>>,
    /// Where data is.
    #[schemars(length(min = 1))]
    pub storage_nodes: Option<Vec<Located<String>>>,
    /// How clients mount it.
    pub client_config: Option<BeegfsClient>,
}

/// How clients mount `BeeGFS`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct BeegfsClient {
    /// Mount options.
    pub mount_options: Option<String>,
    /// Whether it is mounted at boot.
    pub auto_mount: Option<bool>,
}

/// Directories of the host.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct VirtioFs {
    /// Whether they are mounted.
    pub enabled: bool,
}

/// What is installed on the Kubernetes cluster.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct KubernetesConfig {
    /// The network plugin.
    pub cni: String,
    /// The ingress controller.
    pub ingress: String,
    /// The storage class.
    pub storage_class: String,
}

fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object" })
}

fn numa_or_nothing(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({ "oneOf": [generator.subschema_for::<Numa>(), { "type": "null" }] })
}

/// As the tool's schema has it: since `ipv4` is not enforced there, `DHCP` matches both and is refused.
fn node_address(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "oneOf": [{ "type": "string", "format": "ipv4" }, { "type": "string", "enum": ["DHCP"] }]
    })
}

impl JsonSchema for Nodes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Nodes".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A list of nodes, or a number of equal ones.",
            "oneOf": [
                { "type": "array", "items": generator.subschema_for::<Node>(), "minItems": 1 },
                generator.subschema_for::<CountedNodes>(),
            ]
        })
    }
}

impl<'de> Deserialize<'de> for Nodes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListOrCount;

        impl<'de> Visitor<'de> for ListOrCount {
            type Value = Nodes;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of nodes or a mapping with `count`")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Nodes, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(items)).map(Nodes::List)
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Nodes, A::Error> {
                Box::deserialize(MapAccessDeserializer::new(entries)).map(Nodes::Counted)
            }
        }

        deserializer.deserialize_any(ListOrCount)
    }
}
