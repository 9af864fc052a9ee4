//! Subnets, gateways, bridges and addresses.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::HostFacts;
use crate::diagnostic::Code;
use crate::draft::{Cluster, Draft, Findings, Network};
use crate::yaml::Located;

pub(super) fn check(draft: &Draft, host: Option<&HostFacts>, findings: &mut Findings) {
    for cluster in &draft.clusters {
        for (index, network) in cluster.networks.iter().enumerate() {
            if let Some(subnet) = network.subnet {
                size(cluster, index, subnet, findings);
                gateway(network, subnet.value, findings);
                dhcp_range(network, subnet.value, findings);
            }
        }
        places(cluster, findings);
    }
    duplicates(draft, findings);
    overlaps(draft, host, findings);
    bridges(draft, findings);
}

/// Whether `subnet` holds a gateway and this many nodes.
pub(crate) fn has_room(subnet: Ipv4Net, nodes: usize) -> bool {
    // Without network and broadcast address, and without the gateway.
    let free = (1_u64 << (32 - u32::from(subnet.prefix_len()))).saturating_sub(3);
    subnet.prefix_len() <= 30 && free >= nodes as u64
}

/// Whether `address` is the network's own or the broadcast address.
pub(crate) fn is_reserved(subnet: Ipv4Net, address: Ipv4Addr) -> bool {
    address == subnet.network() || address == subnet.broadcast()
}

fn size(cluster: &Cluster, index: usize, subnet: Located<Ipv4Net>, findings: &mut Findings) {
    let interfaces = cluster.nodes.iter().flat_map(|node| &node.interfaces);
    let nodes = interfaces.filter(|interface| interface.network == index).count();
    if has_room(subnet.value, nodes) {
        return;
    }
    let found = findings
        .meaning(
            Code::SubnetTooSmall,
            subnet.span,
            format!("`{}` has no room for {nodes} nodes", subnet.value),
        )
        .cause("beside the nodes, the gateway, the network and the broadcast address take one address each")
        .help(findings.help("use a shorter prefix", "a free network is used"));
    findings.push(found);
}

fn gateway(network: &Network, subnet: Ipv4Net, findings: &mut Findings) {
    let Some(gateway) = network.gateway else { return };
    if !subnet.contains(&gateway.value) {
        let found =
            outside(gateway, subnet, unreachable("gateway"), findings).help("use an address of the subnet");
        findings.push(found);
    } else if is_reserved(subnet, gateway.value) {
        let found = reserved(gateway, subnet, None, findings).help("use another address of the subnet");
        findings.push(found);
    }
}

fn dhcp_range(network: &Network, subnet: Ipv4Net, findings: &mut Findings) {
    for (what, end) in network.dhcp_ends() {
        let found = if !subnet.contains(&end.value) {
            outside(end, subnet, format!("the {what} is one of the network's"), findings)
        } else if is_reserved(subnet, end.value) {
            reserved(end, subnet, None, findings)
        } else {
            continue;
        };
        findings.push(found.help(findings.help("use an address of the subnet", "the usual one is used")));
    }
    if let (Some(start), Some(end)) = (network.dhcp_start, network.dhcp_end)
        && start.value > end.value
    {
        let found = findings
            .meaning(Code::ReversedRange, end.span, format!("`{}` comes before `{}`", end.value, start.value))
            .cause("DHCP gives addresses from the first one to the last one")
            .also(start.span, "the first one is set here")
            .help(findings.help("swap them", "the usual addresses are used"));
        findings.push(found);
    }
}

fn places(cluster: &Cluster, findings: &mut Findings) {
    for node in &cluster.nodes {
        for interface in &node.interfaces {
            let (Some(address), Some(network)) = (interface.address, cluster.networks.get(interface.network))
            else {
                continue;
            };
            let Some(subnet) = network.subnet.map(|subnet| subnet.value) else { continue };
            let gateway = network.gateway_in(subnet);
            let found = if !subnet.contains(&address.value) {
                outside(address, subnet, unreachable("node"), findings)
            } else if is_reserved(subnet, address.value) {
                reserved(address, subnet, None, findings)
            } else if address.value == gateway {
                reserved(address, subnet, Some(network), findings)
            } else {
                continue;
            };
            let found =
                found.help(findings.help("use another address of the subnet", "a free address is used"));
            findings.push(found);
        }
    }
}

fn outside(
    address: Located<Ipv4Addr>,
    subnet: Ipv4Net,
    cause: String,
    findings: &Findings,
) -> crate::Diagnostic {
    findings
        .meaning(
            Code::AddressOutsideSubnet,
            address.span,
            format!("`{}` is not in `{subnet}`", address.value),
        )
        .cause(cause)
}

fn unreachable(whose: &str) -> String {
    format!("the {whose} could not be reached over this network")
}

fn reserved(
    address: Located<Ipv4Addr>,
    subnet: Ipv4Net,
    gateway_of: Option<&Network>,
    findings: &Findings,
) -> crate::Diagnostic {
    let whose = match gateway_of {
        Some(_) => "the gateway's address",
        None if address.value == subnet.network() => "the network's own address",
        None => "the broadcast address",
    };
    let found = findings
        .meaning(Code::ReservedAddress, address.span, format!("`{}` is {whose} in `{subnet}`", address.value))
        .cause("no node can have it");
    match gateway_of.and_then(|network| network.gateway) {
        Some(gateway) => found.also(gateway.span, "the gateway is set here"),
        None => found,
    }
}

fn duplicates(draft: &Draft, findings: &mut Findings) {
    let mut seen = HashMap::new();
    for cluster in &draft.clusters {
        for node in &cluster.nodes {
            for address in node.interfaces.iter().filter_map(|interface| interface.address) {
                let Some((first, owner)) = seen.insert(address.value, (address.span, &node.domain)) else {
                    continue;
                };
                let found = findings
                    .meaning(
                        Code::DuplicateAddress,
                        address.span,
                        format!("the address `{}` is used twice", address.value),
                    )
                    .cause(format!("`{owner}` and `{}` would answer to it at once", node.domain))
                    .help(findings.help(
                        "give one of them another address, or none to have one chosen",
                        "a free address is used for the second",
                    ))
                    .also(first, "first used here");
                findings.push(found);
            }
        }
    }
}

/// Sorted by first address, a network overlaps an earlier one exactly when it starts before that one's end.
fn overlaps(draft: &Draft, host: Option<&HostFacts>, findings: &mut Findings) {
    let mut subnets: Vec<_> = draft
        .clusters
        .iter()
        .flat_map(|cluster| &cluster.networks)
        .filter_map(|network| network.subnet)
        .collect();
    for subnet in &subnets {
        for (name, other) in host.iter().flat_map(|host| &host.subnets) {
            if subnet.value.contains(&other.network()) || other.contains(&subnet.value.network()) {
                let found = findings
                    .meaning(
                        Code::HostSubnet,
                        subnet.span,
                        format!("`{}` overlaps `{other}`, which the host has on `{name}`", subnet.value),
                    )
                    .cause("the host could no longer reach what is behind that interface")
                    .help("choose another private network, like `10.190.0.0/24`");
                findings.push(found);
            }
        }
    }
    subnets.sort_by_key(|subnet| (subnet.value.network(), subnet.span.start));
    let mut widest: Option<Located<Ipv4Net>> = None;
    for subnet in subnets {
        if let Some(other) = widest.filter(|other| subnet.value.network() <= other.value.broadcast()) {
            let (first, second) =
                if other.span.start <= subnet.span.start { (other, subnet) } else { (subnet, other) };
            let found = findings
                .meaning(
                    Code::OverlappingSubnets,
                    second.span,
                    format!("`{}` overlaps `{}`", second.value, first.value),
                )
                .cause("an address in both would belong to two networks")
                .help("give each network addresses of its own")
                .also(first.span, "the other network");
            findings.push(found);
        }
        if widest.is_none_or(|other| subnet.value.broadcast() > other.value.broadcast()) {
            widest = Some(subnet);
        }
    }
}

fn bridges(draft: &Draft, findings: &mut Findings) {
    let mut seen = HashMap::new();
    for bridge in draft
        .clusters
        .iter()
        .flat_map(|cluster| &cluster.networks)
        .filter_map(|network| network.bridge.as_ref())
    {
        if let Some(first) = seen.insert(bridge.value.as_str(), bridge.span) {
            let found = findings
                .meaning(
                    Code::DuplicateBridge,
                    bridge.span,
                    format!("the bridge `{}` is used twice", bridge.value),
                )
                .cause("every network has a bridge of its own")
                .help(findings.help("rename one of the two", "a name is chosen for the second"))
                .also(first, "first used here");
            findings.push(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::has_room;

    #[test]
    fn room_leaves_out_gateway_network_and_broadcast() {
        let rows = [
            ("10.0.0.0/24", 253, true),
            ("10.0.0.0/24", 254, false),
            ("10.0.0.0/30", 1, true),
            ("10.0.0.0/31", 0, false),
            ("0.0.0.0/0", 5, true),
        ];
        for (subnet, nodes, expected) in rows {
            let parsed = subnet.parse().unwrap_or_else(|error| panic!("{subnet}: {error}"));
            assert_eq!(has_room(parsed, nodes), expected, "{subnet} {nodes}");
        }
    }
}
