//! What it takes to make one machine of another: how the same node differs in two plans.

use std::fmt;

use config::hardware::Mount;
use serde::{Serialize, Serializer};

use crate::model::{NetworkPlan, NodePlan};

/// What is done with a node or a network so that it becomes what the plan says. A later one disturbs more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Nothing.
    None,
    /// It changes while it runs.
    Live,
    /// It is off, and goes on with its disk.
    Start,
    /// It powers off and goes on with its disk.
    Restart,
    /// It is not there, and is made.
    Create,
    /// It is made anew, and what was on its disk is gone.
    Recreate,
    /// It goes, with its disk.
    Remove,
}

impl Action {
    /// Whether a disk is lost by it.
    pub fn loses_disk(self) -> bool {
        matches!(self, Self::Recreate | Self::Remove)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Live => "live",
            Self::Start => "start",
            Self::Restart => "restart",
            Self::Create => "create",
            Self::Recreate => "recreate",
            Self::Remove => "remove",
        })
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One thing in which a node is not what the plan says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What: `cpus`, `image`.
    pub what: &'static str,
    /// As it is.
    pub is: String,
    /// As the plan has it.
    pub wanted: String,
    /// What it takes to change it.
    pub action: Action,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} -> {}", self.what, self.is, self.wanted)
    }
}

/// How a node that was made as `is` differs from what is `wanted`.
pub fn of_node(is: &NodePlan, wanted: &NodePlan) -> Vec<Difference> {
    let mut list = List(Vec::new());
    list.compare("role", is, wanted, Action::Recreate, |node| node.role.to_string());
    if is.is_appliance() && wanted.is_appliance() {
        // What keeps nothing loses nothing.
        list.compare("arch", is, wanted, Action::Restart, |node| node.arch.to_string());
        list.compare("model", is, wanted, Action::Restart, image);
        list.compare("append", is, wanted, Action::Restart, append);
        list.compare("UEFI", is, wanted, Action::Restart, |node| node.uefi.to_string());
    } else {
        list.compare("arch", is, wanted, Action::Recreate, |node| node.arch.to_string());
        list.compare("image", is, wanted, Action::Recreate, image);
    }
    // A file system grows while it is in use, and does not shrink without losing what is at its end.
    let disk = if wanted.disk_gib > is.disk_gib { Action::Live } else { Action::Recreate };
    list.compare("disk", is, wanted, disk, |node| format!("{} GiB", node.disk_gib));
    list.compare("cpus", is, wanted, Action::Restart, |node| node.cpus.to_string());
    list.compare("memory", is, wanted, Action::Restart, |node| format!("{} MiB", node.memory_mib));
    list.compare("addresses", is, wanted, Action::Restart, addresses);
    list.compare("hardware", is, wanted, Action::Restart, |node| {
        // Plain data with string keys: there is nothing in it that JSON cannot say.
        serde_json::to_string(&node.hardware).unwrap_or_default()
    });
    list.compare("host processors from", is, wanted, Action::Restart, |node| {
        node.first_cpu.map_or("any".to_owned(), |first| first.to_string())
    });
    list.compare("devices", is, wanted, Action::Restart, |node| {
        named(&node.devices, |device| device.source.to_string())
    });
    list.compare("mounts", is, wanted, Action::Restart, |node| named(&node.mounts, mount));
    list.0
}

/// How a network that was made as `is` differs from what is `wanted`. Who is on it is another matter.
pub fn of_network(is: &NetworkPlan, wanted: &NetworkPlan) -> Vec<Difference> {
    let mut list = List(Vec::new());
    list.compare("subnet", is, wanted, Action::Recreate, |network| network.subnet.to_string());
    list.compare("gateway", is, wanted, Action::Recreate, |network| network.gateway.to_string());
    list.compare("bridge", is, wanted, Action::Recreate, |network| network.bridge.clone());
    list.compare("domain", is, wanted, Action::Recreate, |network| network.domain.clone());
    list.compare("DHCP range", is, wanted, Action::Recreate, |network| {
        format!("{} to {}", network.dhcp_start, network.dhcp_end)
    });
    list.compare("DNS servers", is, wanted, Action::Recreate, |network| {
        named(&network.dns_servers, ToString::to_string)
    });
    list.0
}

struct List(Vec<Difference>);

impl List {
    fn compare<T>(
        &mut self,
        what: &'static str,
        is: &T,
        wanted: &T,
        action: Action,
        text: impl Fn(&T) -> String,
    ) {
        let (is, wanted) = (text(is), text(wanted));
        if is != wanted {
            self.0.push(Difference { what, is, wanted, action });
        }
    }
}

fn addresses(node: &NodePlan) -> String {
    named(&node.interfaces, |card| format!("{} on {} ({})", card.address, card.network, card.mac))
}

fn image(node: &NodePlan) -> String {
    let otherwise = if node.is_appliance() { "none" } else { "unspecified" };
    node.image.name().unwrap_or(otherwise).to_owned()
}

fn append(node: &NodePlan) -> String {
    if node.append.is_empty() { "none".to_owned() } else { format!("`{}`", node.append) }
}

fn mount(mount: &Mount) -> String {
    format!("{} at {} ({}, {})", mount.host_path, mount.mount_point, mount.tag, mount.options)
}

fn named<T>(items: &[T], name: impl Fn(&T) -> String) -> String {
    if items.is_empty() { "none".to_owned() } else { items.iter().map(name).collect::<Vec<_>>().join(", ") }
}

#[cfg(test)]
mod tests {
    use config::model::Image;

    use super::*;
    use crate::{
        derive,
        model::tests::{lab, mixed_lab},
    };

    fn action(change: impl FnOnce(&mut NodePlan)) -> Option<Action> {
        let is = derive::plan(&lab()).clusters[0].nodes[1].clone();
        let mut wanted = is.clone();
        change(&mut wanted);
        of_node(&is, &wanted).into_iter().map(|difference| difference.action).max()
    }

    #[test]
    fn what_it_takes_depends_on_what_changes() {
        assert_eq!(action(|_| ()), None);
        assert_eq!(action(|node| node.auto_start = false), None);
        assert_eq!(action(|node| node.disk_gib += 1), Some(Action::Live));
        assert_eq!(action(|node| node.disk_gib -= 1), Some(Action::Recreate));
        assert_eq!(action(|node| node.cpus = 2), Some(Action::Restart));
        assert_eq!(action(|node| node.memory_mib = 1024), Some(Action::Restart));
        assert_eq!(action(|node| node.first_cpu = Some(2)), Some(Action::Restart));
        assert_eq!(action(|node| node.hardware.nested = true), Some(Action::Restart));
        assert_eq!(action(|node| node.interfaces[0].address = [10, 9, 8, 99].into()), Some(Action::Restart));
        assert_eq!(action(|node| node.image = Image::Built("another".into())), Some(Action::Recreate));
        let both = action(|node| (node.cpus, node.image) = (2, Image::Built("another".into())));
        assert_eq!(both, Some(Action::Recreate), "the larger one counts");
    }

    #[test]
    fn an_appliance_restarts_and_loses_nothing() {
        let is = derive::plan(&mixed_lab()).clusters[1].nodes[0].clone();
        let told = |change: fn(&mut NodePlan)| {
            let mut wanted = is.clone();
            change(&mut wanted);
            let found = of_node(&is, &wanted);
            found.into_iter().map(|found| (found.action, found.to_string())).collect::<Vec<_>>()
        };
        let check = |change: fn(&mut NodePlan), words: &str| {
            assert_eq!(told(change), [(Action::Restart, words.to_owned())]);
        };
        check(|node| node.image = Image::Appliance(Some("/m/phi.gguf".into())), "model none -> /m/phi.gguf");
        check(|node| node.append = "none".into(), "append none -> `none`");
        check(|node| node.uefi = true, "UEFI false -> true");
        check(|node| node.arch = config::model::Arch::X86_64, "arch aarch64 -> x86_64");
        check(|node| node.cpus = 4, "cpus 2 -> 4");
        check(|node| node.memory_mib = 512, "memory 256 MiB -> 512 MiB");
        assert_eq!(told(|_| ()), []);
        // Another kind of machine in its place is another machine.
        let other =
            NodePlan { domain: is.domain.clone(), ..derive::plan(&lab()).clusters[0].nodes[1].clone() };
        for (is, wanted) in [(&is, &other), (&other, &is)] {
            let action = of_node(is, wanted).into_iter().map(|found| found.action).max();
            assert_eq!(action, Some(Action::Recreate));
        }
    }

    #[test]
    fn a_difference_says_what_is_and_what_is_wanted() {
        let is = derive::plan(&lab()).clusters[0].nodes[1].clone();
        let wanted = NodePlan { cpus: 4, ..is.clone() };
        assert_eq!(of_node(&is, &wanted)[0].to_string(), "cpus 1 -> 4");
    }

    #[test]
    fn a_network_that_changes_is_made_anew() {
        let is = derive::plan(&lab()).clusters[0].networks[0].clone();
        assert_eq!(of_network(&is, &is), []);
        let wanted = NetworkPlan { gateway: [10, 9, 8, 254].into(), ..is.clone() };
        assert_eq!(of_network(&is, &wanted)[0].action, Action::Recreate);
    }
}
