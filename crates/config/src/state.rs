//! The state files of the tool of version 1.0: which machines it made, and where their disks are.
//!
//! Only that is read. What the file says of networks, addresses and sizes is in the config file, too, and there it is right.

use serde::Deserialize;

/// The version of state files that is known; older ones have none.
const VERSION: &str = "2.0";

/// What a state file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The cluster's name.
    pub cluster: String,
    /// Its machines: the controller first.
    pub machines: Vec<Machine>,
}

/// A machine that the tool made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Libvirt's name for it.
    pub name: String,
    /// Its disk.
    pub volume: String,
}

/// Why a state file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is damaged, or another kind of file.
    #[error("it is no state file of version 1.0: {0}")]
    Damaged(#[from] serde_json::Error),
    /// Another tool wrote it.
    #[error("it is of version {found}, and only {VERSION} and older ones are known")]
    Newer {
        /// The version it says it is of.
        found: String,
    },
}

#[derive(Deserialize)]
struct Head {
    state_file_version: Option<String>,
}

#[derive(Deserialize)]
struct Document {
    cluster_name: String,
    #[expect(dead_code, reason = "a file without it, or with another one, is no state file")]
    cluster_type: ClusterType,
    controller: Option<Vm>,
    compute_nodes: Vec<Vm>,
    worker_nodes: Vec<Vm>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ClusterType {
    Hpc,
    Cloud,
}

#[derive(Deserialize)]
struct Vm {
    name: String,
    // Older files have another name for it.
    #[serde(alias = "disk_path")]
    volume_path: String,
}

/// Reads a state file.
///
/// # Errors
/// See [`Error`].
pub fn read(text: &str) -> Result<State, Error> {
    // A newer file may lack what is looked for, so what it is comes before what it says.
    let head: Head = serde_json::from_str(text)?;
    if let Some(found) = head.state_file_version.filter(|version| version != VERSION) {
        return Err(Error::Newer { found });
    }
    let document: Document = serde_json::from_str(text)?;
    let nodes = document.compute_nodes.into_iter().chain(document.worker_nodes);
    let machines = document.controller.into_iter().chain(nodes);
    Ok(State {
        cluster: document.cluster_name,
        machines: machines.map(|vm| Machine { name: vm.name, volume: vm.volume_path }).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(version: &str, key: &str, gpu: &str) -> String {
        format!(
            r#"{{"cluster_name":"hpc","cluster_type":"hpc",{version}
            "controller":{{"name":"hpc-controller","domain_uuid":"u","state":"shutoff","{key}":"/v/c.qcow2","gpu_assigned":{gpu}}},
            "compute_nodes":[{{"name":"hpc-compute-01","{key}":"/v/1.qcow2"}}],"worker_nodes":[],"network_config":null}}"#
        )
    }

    #[test]
    fn files_of_all_ages_are_read() {
        for text in [
            state(r#""state_file_version":"2.0","#, "volume_path", "null"),
            state("", "disk_path", "true"),
            state("", "disk_path", r#""0000:01:00.0 (10de:2805)""#),
        ] {
            let state = read(&text).unwrap();
            let machines: Vec<_> = state
                .machines
                .iter()
                .map(|machine| (machine.name.as_str(), machine.volume.as_str()))
                .collect();
            assert_eq!(machines, [("hpc-controller", "/v/c.qcow2"), ("hpc-compute-01", "/v/1.qcow2")]);
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["", "{", "[]", "{}", r#"{"cluster_name":1}"#, &state("", "disk", "null")] {
            assert!(matches!(read(text), Err(Error::Damaged(_))), "{text}");
        }
        let newer = state(r#""state_file_version":"3.0","#, "volume_path", "null");
        assert!(matches!(read(&newer), Err(Error::Newer { .. })));
        let other =
            state("", "volume_path", "null").replace(r#""cluster_type":"hpc""#, r#""cluster_type":"k8s""#);
        assert!(matches!(read(&other), Err(Error::Damaged(_))));
    }
}
