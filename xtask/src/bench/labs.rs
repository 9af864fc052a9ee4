//! The labs that are measured: the example, larger ones whose files are written here, and a fork of the example.

use std::path::Path;

use system::file;

use crate::Failure;

/// The example lab: one controller, two compute nodes.
pub(crate) const LAB: &str = "config/lab.yaml";

/// The fork of the example lab.
pub(crate) const FORK: &str = "bench";

/// A controller and seven compute nodes.
pub(crate) const EIGHT: &str = "target/bench/eight.yaml";

/// A controller and fifteen compute nodes.
pub(crate) const SIXTEEN: &str = "target/bench/sixteen.yaml";

/// Every lab there may be, as `cluster destroy` is told of it.
pub(crate) const ALL: [&[&str]; 4] = [&["--fork", FORK, LAB], &[LAB], &[EIGHT], &[SIXTEEN]];

/// Labs that are only planned: how many nodes each has, and its file.
pub(crate) const PLANNED: [(usize, &str); 3] =
    [(100, "target/bench/100.yaml"), (1000, "target/bench/1000.yaml"), (10_000, "target/bench/10000.yaml")];

/// Writes the files that are not in the repository. They are the same each time, so templates fit that were kept before.
pub(crate) fn write() -> Result<(), Failure> {
    for (path, name, computes) in [(EIGHT, "eight", 7), (SIXTEEN, "sixteen", 15)] {
        file::write(Path::new(path), document(name, computes, "192.168.192.0/24").as_bytes())?;
    }
    for (nodes, path) in PLANNED {
        file::write(Path::new(path), document("many", nodes - 1, "10.64.0.0/16").as_bytes())?;
    }
    Ok(())
}

fn document(name: &str, computes: usize, subnet: &str) -> String {
    let nodes: Vec<String> =
        (1..=computes).map(|number| format!("      - {{name: compute-{number:02}}}\n")).collect();
    let nodes = nodes.concat();
    format!(
        r#"version: "2.0"
name: {name}
clusters:
  hpc:
    kind: slurm
    networks: {{lan: {{subnet: {subnet}}}}}
    defaults: {{cpus: 1, memory_mib: 640, disk_gib: 4}}
    controller: {{name: controller}}
    nodes:
{nodes}"#
    )
}

#[cfg(test)]
mod tests {
    use config::{Context, Source};

    use super::*;

    #[test]
    fn a_document_is_a_lab_of_so_many_small_nodes() {
        let text = document("sixteen", 15, "192.168.192.0/24");
        let source = Source { name: "sixteen.yaml", bytes: text.as_bytes() };
        let loaded = config::load(&source, &Context::default());
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        let plan = plan::plan(&loaded.lab.unwrap());
        assert_eq!(plan.lab, "sixteen");
        let sizes: Vec<_> = plan.nodes().map(|(_, node)| (node.cpus, node.memory_mib)).collect();
        assert_eq!(sizes, [(1, 640); 16]);
        assert!(plan.find("compute-15").is_some());
    }
}
