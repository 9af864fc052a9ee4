//! Devices of the host that are given to nodes.

use std::collections::HashMap;

use crate::diagnostic::Code;
use crate::draft::{Draft, Findings};
use crate::hardware::DeviceKind;

pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    let mut seen = HashMap::new();
    for cluster in &draft.clusters {
        for node in &cluster.nodes {
            for gpu in node.devices.iter().filter(|device| device.value.kind == DeviceKind::Gpu) {
                let source = &gpu.value.source;
                let Some((first, owner)) = seen.get(source).copied() else {
                    seen.insert(source, (gpu.span, &node.domain));
                    continue;
                };
                let found = findings
                    .meaning(
                        Code::DuplicateGpu,
                        gpu.span,
                        format!("the GPU at `{source}` is given to `{owner}` and to `{}`", node.domain),
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
