//! What both versions are lowered to before they are checked: a lab as the file states it, with places.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::diagnostic::{Code, Diagnostic, Severity, Span};
use crate::hardware::{self, CpuTopology, Device, Mount, Wanted};
use crate::model::{Arch, Image, Kubernetes, Role};
use crate::yaml::Located;

/// A lab as the file states it.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) clusters: Vec<Cluster>,
}

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) key: Located<String>,
    pub(crate) name: Located<String>,
    pub(crate) kind: Kind,
    pub(crate) networks: Vec<Network>,
    pub(crate) nodes: Vec<Node>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Slurm(Slurm),
    Kubernetes(Kubernetes),
    Appliance,
}

#[derive(Debug)]
pub(crate) struct Slurm {
    pub(crate) partitions: Vec<Partition>,
    /// The default partition, where it is named beside the partitions.
    pub(crate) default: Option<Located<String>>,
}

#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) name: Located<String>,
    pub(crate) members: Members,
    /// Set where the partition itself says whether it is the default.
    pub(crate) default: Option<Located<bool>>,
    pub(crate) max_time: Option<Located<String>>,
}

#[derive(Debug)]
pub(crate) enum Members {
    EveryComputeNode,
    Named(Vec<Located<String>>),
}

#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) name: Located<String>,
    /// None when the text is no subnet.
    pub(crate) subnet: Option<Located<Ipv4Net>>,
    /// None when the file does not give one, or none that is an address.
    pub(crate) gateway: Option<Located<Ipv4Addr>>,
    /// The same of the addresses that DHCP gives to strangers.
    pub(crate) dhcp_start: Option<Located<Ipv4Addr>>,
    pub(crate) dhcp_end: Option<Located<Ipv4Addr>>,
    pub(crate) dns_servers: Vec<Ipv4Addr>,
    pub(crate) bridge: Option<Located<String>>,
    pub(crate) domain: String,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: Located<String>,
    pub(crate) domain: String,
    pub(crate) role: Role,
    pub(crate) arch: Arch,
    pub(crate) cpus: u64,
    pub(crate) memory_mib: Located<u64>,
    pub(crate) disk_gib: Located<u64>,
    pub(crate) image: Located<Image>,
    /// What is added to its kernel's command line, one behind the other.
    pub(crate) append: Vec<Located<String>>,
    /// The first one is the one it is reached by.
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) auto_start: bool,
    pub(crate) hardware: Hardware,
    /// Devices of the host.
    pub(crate) devices: Vec<Passed>,
    /// Directories of the host.
    pub(crate) mounts: Vec<Located<Mount>>,
}

/// How processors and memory are made, as a cluster says for all its nodes. What depends on a node's size is apart.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hardware {
    pub(crate) own: hardware::Hardware,
    /// Sockets, and threads of a core.
    pub(crate) topology: Option<Located<(u64, u64)>>,
    pub(crate) numa_nodes: Option<Located<u64>>,
}

/// A device of the host that a node gets.
#[derive(Debug, Clone)]
pub(crate) struct Passed {
    pub(crate) device: Located<Device>,
    /// The IOMMU group that the file says it is in.
    pub(crate) iommu_group: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Interface {
    /// Index into [`Cluster::networks`].
    pub(crate) network: usize,
    /// None when one is to be chosen.
    pub(crate) address: Option<Located<Ipv4Addr>>,
}

impl Hardware {
    /// The arrangement of so many virtual processors; none when the file asks for none, or for one they do not fit.
    pub(crate) fn topology(&self, cpus: u64) -> Option<CpuTopology> {
        self.topology.and_then(|given| CpuTopology::of(cpus, given.value.0, given.value.1))
    }

    /// Threads of a core.
    pub(crate) fn threads(&self, cpus: u64) -> u64 {
        self.topology(cpus).map_or(1, |topology| u64::from(topology.threads))
    }
}

impl Draft {
    /// Every device that a node wants, in the order of the nodes.
    pub(crate) fn wanted(&self) -> Vec<Wanted> {
        let nodes = self.clusters.iter().flat_map(|cluster| &cluster.nodes);
        let of = |node: &Node, passed: &Passed| Wanted {
            domain: node.domain.clone(),
            arch: node.arch,
            auto_start: node.auto_start,
            device: passed.device.value.clone(),
            iommu_group: passed.iommu_group,
            span: passed.device.span,
        };
        nodes.flat_map(|node| node.devices.iter().map(move |passed| of(node, passed))).collect()
    }
}

impl Network {
    /// The host's address: as given, or the first one of the subnet.
    pub(crate) fn gateway_in(&self, subnet: Ipv4Net) -> Ipv4Addr {
        self.gateway.map_or_else(
            || Ipv4Addr::from(u32::from(subnet.network()).saturating_add(1)),
            |gateway| gateway.value,
        )
    }

    /// The ends of the DHCP range that the file gives, with what they are called there.
    pub(crate) fn dhcp_ends(&self) -> impl Iterator<Item = (&'static str, Located<Ipv4Addr>)> {
        [("first DHCP address", self.dhcp_start), ("last DHCP address", self.dhcp_end)]
            .into_iter()
            .filter_map(|(what, end)| Some((what, end?)))
    }
}

/// What was found so far, and how findings about the meaning of a document count.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) list: Vec<Diagnostic>,
    meaning: Severity,
    /// What the schema refuses; there is no use in looking for a meaning in it.
    refused: HashSet<Span>,
}

impl Findings {
    /// `meaning` is what a finding counts that the schema cannot make.
    pub(crate) fn new(meaning: Severity) -> Self {
        Self { list: Vec::new(), meaning, refused: HashSet::new() }
    }

    pub(crate) fn push(&mut self, found: Diagnostic) {
        if !self.refused.contains(&found.span) {
            self.list.push(found);
        }
    }

    /// Adds what the schema says, unless an error was told about that place before.
    pub(crate) fn extend_with_shape(&mut self, list: Vec<Diagnostic>) {
        let errors = self.list.iter().filter(|found| found.severity == Severity::Error);
        let said: HashSet<Span> = errors.map(|found| found.span).collect();
        self.refused.extend(list.iter().map(|found| found.span));
        self.list.extend(list.into_iter().filter(|found| !said.contains(&found.span)));
    }

    /// A finding about the meaning of a document.
    pub(crate) fn meaning(&self, code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, span, message).severity(self.meaning)
    }

    /// What to do about what is `refused`, and what happens `instead` where it is accepted nevertheless.
    pub(crate) fn help(&self, refused: &str, instead: &str) -> String {
        match self.meaning {
            Severity::Error => refused.to_owned(),
            Severity::Warning if refused.ends_with('?') => format!("{refused} Until then {instead}"),
            Severity::Warning => format!("{refused}; until then {instead}"),
        }
    }
}

/// Reads an IPv4 address.
pub(crate) fn address(text: &Located<String>, findings: &mut Findings) -> Option<Located<Ipv4Addr>> {
    match text.value.parse() {
        Ok(value) => Some(Located { value, span: text.span }),
        Err(_) => {
            let found = findings
                .meaning(Code::InvalidAddress, text.span, format!("`{}` is not an IPv4 address", shown(&text.value)))
                .cause("an IPv4 address is four numbers from 0 to 255, without leading zeros, with points between them")
                .help(findings.help("write an address like `192.168.190.10`", "a free address is used"));
            findings.push(found);
            None
        }
    }
}

/// Reads the addresses of a list.
pub(crate) fn addresses<'a>(
    list: impl IntoIterator<Item = &'a Located<String>>,
    findings: &mut Findings,
) -> Vec<Ipv4Addr> {
    list.into_iter().filter_map(|text| Some(address(text, findings)?.value)).collect()
}

/// Networks that no cards can be on, with what they are for.
const SPECIAL: [(Ipv4Net, &str); 5] = [
    (Ipv4Net::new_assert(Ipv4Addr::new(0, 0, 0, 0), 8), "machines that have no address yet"),
    (Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8), "what a machine says to itself"),
    (Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16), "addresses that machines choose for themselves"),
    (Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4), "messages to many machines"),
    (Ipv4Net::new_assert(Ipv4Addr::new(240, 0, 0, 0), 4), "nobody yet, and for messages to all machines"),
];

fn overlap(one: Ipv4Net, other: Ipv4Net) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

/// Reads an IPv4 network; bits behind the prefix are reported and cleared.
pub(crate) fn subnet(text: &Located<String>, findings: &mut Findings) -> Option<Located<Ipv4Net>> {
    let Ok(given) = text.value.parse::<Ipv4Net>() else {
        let found = findings
            .meaning(
                Code::InvalidSubnet,
                text.span,
                format!("`{}` is not an IPv4 network", shown(&text.value)),
            )
            .cause("an IPv4 network is an address and the length of its prefix, from 0 to 32")
            .help(findings.help("write a network like `192.168.190.0/24`", "a free network is used"));
        findings.push(found);
        return None;
    };
    let value = given.trunc();
    if let Some((special, what)) = SPECIAL.iter().find(|(special, _)| overlap(*special, value)) {
        let found = findings
            .meaning(Code::InvalidSubnet, text.span, format!("`{given}` cannot be the network of a lab"))
            .cause(format!("`{special}` is for {what}"))
            .help(
                findings.help("choose a private network, like `192.168.190.0/24`", "a free network is used"),
            );
        findings.push(found);
        return None;
    }
    if value != given {
        let found = findings
            .meaning(
                Code::HostBits,
                text.span,
                format!("`{given}` is an address in the network `{value}`, not a network"),
            )
            .cause(format!("the bits behind the prefix of {} bits must be zero", given.prefix_len()))
            .help(findings.help(&format!("write `{value}`"), &format!("`{value}` is used")));
        findings.push(found);
    }
    Some(Located { value, span: text.span })
}

/// A text of the user's, short enough for a message.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    let head: String = text.chars().take(MOST).collect();
    format!("{head}…")
}

#[cfg(test)]
mod tests {
    use super::{Findings, address, subnet};
    use crate::diagnostic::{Code, Severity, Span};
    use crate::yaml::Located;

    fn located(text: &str) -> Located<String> {
        Located { value: text.to_owned(), span: Span::START }
    }

    #[test]
    fn addresses_and_subnets_are_read_strictly() {
        for text in ["192.168.1", "192.168.1.256", "192.168.001.1", "DHCP", "", "::1", " 1.2.3.4"] {
            let mut findings = Findings::new(Severity::Error);
            assert_eq!(address(&located(text), &mut findings), None, "{text}");
            assert_eq!(findings.list[0].code, Code::InvalidAddress);
        }
        for text in ["10.0.0.0", "10.0.0.0/33", "10.0.0/8", "300.0.0.0/8"] {
            let mut findings = Findings::new(Severity::Error);
            assert_eq!(subnet(&located(text), &mut findings), None, "{text}");
            assert_eq!(findings.list[0].code, Code::InvalidSubnet);
        }
    }

    #[test]
    fn host_bits_are_reported_and_cleared() {
        let mut findings = Findings::new(Severity::Warning);
        let read = subnet(&located("192.168.1.7/24"), &mut findings).map(|net| net.value.to_string());
        assert_eq!(read.as_deref(), Some("192.168.1.0/24"));
        assert_eq!(findings.list.len(), 1);
        assert_eq!((findings.list[0].code, findings.list[0].severity), (Code::HostBits, Severity::Warning));
    }
}
