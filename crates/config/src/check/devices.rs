//! Devices of the host that are given to nodes.

use std::collections::HashMap;

use crate::diagnostic::Code;
use crate::draft::{Draft, Findings};

pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    let mut seen = HashMap::new();
    for cluster in &draft.clusters {
        for node in &cluster.nodes {
            for gpu in &node.gpus {
                let Some((first, owner)) = seen.get(&gpu.value.to_ascii_lowercase()).copied() else {
                    seen.insert(gpu.value.to_ascii_lowercase(), (gpu.span, &node.domain));
                    continue;
                };
                let found = findings
                    .meaning(
                        Code::DuplicateGpu,
                        gpu.span,
                        format!("the GPU at `{}` is given to `{owner}` and to `{}`", gpu.value, node.domain),
                    )
                    .cause("a GPU that is passed through belongs to one running machine")
                    .help("give it to one node only, or never run the two at the same time");
                // Counted nodes share one place; saying it once is enough.
                if first != gpu.span {
                    findings.push(found.also(first, "first used here"));
                } else if !findings.list.iter().any(|earlier| earlier.span == gpu.span) {
                    findings.push(found);
                }
            }
        }
    }
}
