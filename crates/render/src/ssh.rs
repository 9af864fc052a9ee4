//! The OpenSSH configuration of a lab: `ssh -F <file> NODE` reaches every node, for us, for Ansible and for the user.

use std::{fmt::Write, net::Ipv4Addr};

use plan::{Plan, model::NodePlan};
use serde::Serialize;

/// Who logs in to a node whose image is not ours. Images of version 1.0 have this user, and a seed asks for it.
pub const FOREIGN_USER: &str = "admin";

/// Who logs in to the others.
const USER: &str = "root";

/// Where the lab's SSH files are.
#[derive(Debug, Clone)]
pub struct SshAccess {
    /// The private key.
    pub identity: String,
    /// The nodes' host keys, as they told them over their own channel.
    pub known_hosts: String,
    /// The host keys of nodes that have no such channel, as each one had it when it was first seen.
    pub first_seen: String,
    /// A further private key for these nodes, which somebody put into their image.
    pub image_identity: Option<String>,
    /// Where shared connections have their sockets; short. `None` shares none.
    pub control: Option<String>,
    /// The command that connects to a node from outside of the lab, as the configuration has it. With it the file says
    /// nothing of hosts that are not the lab's, so it can be included in a user's own.
    pub proxy: Option<String>,
}

/// How a node is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SshHost {
    /// What it is called.
    pub host: String,
    /// What else it may be called.
    pub aliases: Vec<String>,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its port.
    pub port: u16,
    /// Who logs in.
    pub user: String,
    /// The private key.
    pub identity_file: String,
    /// A further private key, which somebody put into its image.
    pub image_identity_file: Option<String>,
    /// The name that its host key is kept under.
    pub host_key_alias: String,
    /// Where host keys are kept.
    pub known_hosts_file: String,
    /// `yes`, or `accept-new` for a node whose host key is the one it is first seen with.
    pub strict_host_key_checking: String,
    /// The command that connects to it, as `ProxyCommand` has it: with `%h` for the address and `%p` for the port.
    pub proxy_command: Option<String>,
}

/// How each node is reached, as [`ssh_config`] has it. Appliances are not there: they have a console and nothing else.
pub fn ssh_hosts(plan: &Plan, access: &SshAccess) -> Vec<SshHost> {
    let host = |node: &NodePlan| {
        let is_it = |name: &str| plan.find(name).is_some_and(|found| found.domain == node.domain);
        let mut aliases: Vec<String> = Vec::new();
        for name in [&node.domain, &node.name] {
            if is_it(name) && *name != node.label && !aliases.contains(name) {
                aliases.push(name.clone());
            }
        }
        let foreign = node.is_foreign();
        SshHost {
            host: node.label.clone(),
            aliases,
            address: node.address(),
            port: 22,
            user: if foreign { FOREIGN_USER } else { USER }.to_owned(),
            identity_file: access.identity.clone(),
            image_identity_file: access.image_identity.clone().filter(|_| foreign),
            host_key_alias: node.domain.clone(),
            known_hosts_file: if foreign { &access.first_seen } else { &access.known_hosts }.clone(),
            strict_host_key_checking: if foreign { "accept-new" } else { "yes" }.to_owned(),
            proxy_command: access.proxy.clone(),
        }
    };
    plan.nodes().map(|(_, node)| node).filter(|node| !node.is_appliance()).map(host).collect()
}

/// The whole file.
pub fn ssh_config(plan: &Plan, access: &SshAccess) -> String {
    let mut out = String::from("# Made by ai-how for this lab; it is written anew at every start.\n");
    let mut all: Vec<String> = Vec::new();
    for node in ssh_hosts(plan, access) {
        let names = [&node.host].into_iter().chain(&node.aliases);
        let mut names: Vec<String> = names.map(|name| quote(name)).collect();
        all.extend(names.iter().cloned());
        if access.proxy.is_none() {
            // Inventories name hosts by address. From outside of the lab it may be another machine's.
            names.push(node.address.to_string());
        }
        // Writing to a string cannot fail, so the result is not looked at.
        let _ = write!(
            out,
            "\nHost {}\n  HostName {}\n  HostKeyAlias {}\n",
            names.join(" "),
            node.address,
            quote(&node.host_key_alias)
        );
        // Of each setting OpenSSH takes the first that it finds, and of keys all.
        if node.user != USER {
            let _ = write!(
                out,
                "  User {}\n  StrictHostKeyChecking {}\n  UserKnownHostsFile {}\n",
                node.user,
                node.strict_host_key_checking,
                quote(&node.known_hosts_file)
            );
            if let Some(identity) = &node.image_identity_file {
                let _ = writeln!(out, "  IdentityFile {}", quote(identity));
            }
        }
    }
    let _ = write!(
        out,
        "
Host {hosts}
  User {USER}
  IdentityFile {identity}
  IdentitiesOnly yes
  PreferredAuthentications publickey
  UserKnownHostsFile {known_hosts}
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  UpdateHostKeys no
  # The default exchange costs seconds on an emulated processor.
  KexAlgorithms curve25519-sha256
  ServerAliveInterval 30
  ServerAliveCountMax 6
  LogLevel ERROR
",
        hosts = if access.proxy.is_some() { all.join(" ") } else { "*".to_owned() },
        identity = quote(&access.identity),
        known_hosts = quote(&access.known_hosts),
    );
    if let Some(control) = &access.control {
        let _ = write!(out, "  ControlMaster auto\n  ControlPath {control}/ssh-%C\n  ControlPersist 15m\n");
    }
    if let Some(proxy) = &access.proxy {
        let _ = writeln!(out, "  ProxyCommand {proxy}");
    }
    out
}

/// As `ssh_config(5)` reads a word that may hold spaces.
fn quote(word: &str) -> String {
    if word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c)) {
        return word.to_owned();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " "))
}

#[cfg(test)]
pub(crate) mod tests {
    use config::hardware::Hardware;
    use config::model::{Arch, Cluster, ClusterKind, Image, Interface, Kubernetes, Lab, Network, Node, Role};

    use super::*;

    /// A cluster of two nodes, the second with two cards.
    pub(crate) fn two_nodes() -> Plan {
        let node = |name: &str, role, last: u8, networks: &[&str]| Node {
            name: name.into(),
            domain: format!("hpc-{name}"),
            role,
            arch: Arch::default(),
            cpus: 2,
            memory_mib: 768,
            disk_gib: 8,
            image: Image::Built("debian-13".into()),
            append: String::new(),
            interfaces: networks
                .iter()
                .zip(8..)
                .map(|(network, third)| Interface {
                    network: (*network).into(),
                    address: [10, 9, third, last].into(),
                })
                .collect(),
            auto_start: true,
            hardware: Hardware::default(),
            devices: Vec::new(),
            mounts: Vec::new(),
        };
        let network = |name: &str, third: u8| Network {
            name: name.into(),
            subnet: format!("10.9.{third}.0/24").parse().unwrap(),
            gateway: [10, 9, third, 1].into(),
            dhcp_start: None,
            dhcp_end: None,
            dns_servers: Vec::new(),
            bridge: None,
            domain: "hpc.local".into(),
        };
        plan::plan(&Lab {
            name: "lab".into(),
            description: String::new(),
            clusters: vec![Cluster {
                key: "hpc".into(),
                name: "hpc".into(),
                kind: ClusterKind::Kubernetes(Kubernetes {
                    cni: "calico".into(),
                    ingress: "nginx".into(),
                    storage_class: "local-path".into(),
                }),
                networks: vec![network("lan", 8), network("storage", 9)],
                nodes: vec![
                    node("controller", Role::Controller, 10, &["lan"]),
                    node("compute-01", Role::Compute, 11, &["lan", "storage"]),
                ],
            }],
        })
    }

    #[test]
    fn every_node_has_its_entry() {
        let access = SshAccess {
            identity: "/state/labs/a lab/ssh/id_ed25519".into(),
            known_hosts: "/state/labs/a lab/ssh/known_hosts".into(),
            first_seen: "/state/labs/a lab/ssh/first_seen".into(),
            image_identity: None,
            control: Some("/run/ssh".into()),
            proxy: None,
        };
        insta::assert_snapshot!(ssh_config(&two_nodes(), &access));
    }

    #[test]
    fn a_node_of_another_image_is_known_at_first_sight() {
        let mut plan = two_nodes();
        plan.clusters[0].nodes[1].image = Image::Disk("/images/cloud-base.qcow2".into());
        let access = SshAccess {
            identity: "/k".into(),
            known_hosts: "/h".into(),
            first_seen: "/f".into(),
            image_identity: Some("/i".into()),
            control: None,
            proxy: None,
        };
        let text = ssh_config(&plan, &access);
        let node = text.split("\nHost ").find(|entry| entry.starts_with("compute-01")).unwrap();
        for words in
            ["User admin", "StrictHostKeyChecking accept-new", "UserKnownHostsFile /f", "IdentityFile /i"]
        {
            assert!(node.contains(words), "{words} is missing in {text}");
            assert_eq!(text.matches(words).count(), 1, "{words} is said of others too: {text}");
        }
    }

    #[test]
    fn a_file_for_outside_says_nothing_of_other_hosts() {
        let access = SshAccess {
            identity: "/k".into(),
            known_hosts: "/h".into(),
            first_seen: "/f".into(),
            image_identity: None,
            control: None,
            proxy: Some("ai-how lab-proxy /lab %h %p".into()),
        };
        let text = ssh_config(&two_nodes(), &access);
        assert!(
            !text.contains("Host *") && text.contains("  ProxyCommand ai-how lab-proxy /lab %h %p\n"),
            "{text}"
        );
    }
}
