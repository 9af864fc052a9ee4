//! What a node of somebody else's image is told about itself, in the form of cloud-init's data source `NoCloud`: a disk with
//! the label [`SEED_LABEL`] that holds these files. An image without cloud-init does not look at it.

use config::hardware::Mount;
use plan::model::NodePlan;
use serde_json::{Map, Value, json};

use crate::ssh::FOREIGN_USER;

/// The label of the disk's file system.
pub const SEED_LABEL: &str = "cidata";

/// The files of a node's seed, by name. The key may log in; nothing in them is secret.
pub fn seed(node: &NodePlan, authorized_key: &str) -> Vec<(&'static str, String)> {
    let metadata = json!({"instance-id": node.uuid, "local-hostname": node.name});
    let mut user = json!({
        "hostname": node.name,
        "ssh_pwauth": false,
        "users": [{
            "name": FOREIGN_USER,
            "shell": "/bin/bash",
            "lock_passwd": true,
            "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "ssh_authorized_keys": [authorized_key],
        }],
    });
    if !node.mounts.is_empty() {
        // Lines of its `fstab`: nobody tells its kernel, as that of our images is told.
        let lines = node.mounts.iter().map(|Mount { tag, mount_point, options, .. }| {
            json!([tag, mount_point, "virtiofs", options, "0", "0"])
        });
        user["mounts"] = lines.collect();
    }
    // JSON is YAML.
    let mut files =
        vec![("meta-data", format!("{metadata}\n")), ("user-data", format!("#cloud-config\n{user}\n"))];
    // Unless told otherwise cloud-init brings up the first card alone.
    if node.interfaces.len() > 1 {
        files.push(("network-config", format!("{}\n", network(node))));
    }
    files
}

/// Addresses come from DHCP, and the way out is over the first card.
fn network(node: &NodePlan) -> Value {
    let cards = node.interfaces.iter().enumerate().map(|(place, interface)| {
        let mut card = json!({"match": {"macaddress": interface.mac}, "dhcp4": true});
        if place > 0 {
            card["dhcp4-overrides"] = json!({"use-routes": false, "use-dns": false});
        }
        (format!("card{place}"), card)
    });
    json!({"version": 2, "ethernets": cards.collect::<Map<_, _>>()})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::tests::two_nodes;

    #[test]
    fn a_seed_tells_a_node_who_it_is_and_who_may_log_in() {
        let plan = two_nodes();
        let mut node = plan.clusters[0].nodes[1].clone();
        node.mounts = vec![Mount {
            tag: "data".into(),
            host_path: "/srv/data".into(),
            mount_point: "/data".into(),
            options: "ro,relatime".into(),
        }];
        let files = seed(&node, "ssh-ed25519 AAAA ai-how");
        let file = |name: &str| files.iter().find(|(found, _)| *found == name).unwrap().1.as_str();
        let user = file("user-data").strip_prefix("#cloud-config\n").unwrap();
        let user: Value = serde_json::from_str(user).unwrap();
        assert_eq!(user["users"][0]["ssh_authorized_keys"][0], "ssh-ed25519 AAAA ai-how");
        assert_eq!(user["mounts"], json!([["data", "/data", "virtiofs", "ro,relatime", "0", "0"]]));
        let metadata: Value = serde_json::from_str(file("meta-data")).unwrap();
        assert_eq!(
            (&metadata["local-hostname"], &metadata["instance-id"]),
            (&json!("compute-01"), &json!(node.uuid))
        );
        let network: Value = serde_json::from_str(file("network-config")).unwrap();
        assert_eq!(network["ethernets"]["card1"]["match"]["macaddress"], node.interfaces[1].mac.as_str());
        let plain = seed(&plan.clusters[0].nodes[0], "k");
        assert_eq!(plain.len(), 2, "one card needs no word");
        assert!(!plain[1].1.contains("mounts"), "nor does no mount: {plain:?}");
    }
}
