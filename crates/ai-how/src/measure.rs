//! Figures about the machines of a lab, taken while they run.

use std::path::Path;

use events::{EventKind, Sink};
use plan::Plan;
use system::host;

/// Tells how much memory and processor time each node has taken on the host.
pub(crate) fn nodes(plan: &Plan, lab: &Path, sink: &dyn Sink) {
    let folder = lab.display().to_string();
    for (_, node) in plan.nodes() {
        let Some(pid) = host::guest_process(&node.domain, &folder) else { continue };
        let figures = [
            ("node-memory-pss", host::proportional_memory_mib(pid), "MiB"),
            ("node-cpu-seconds", host::cpu_seconds(pid), "s"),
        ];
        for (figure, value, unit) in figures {
            if let Some(value) = value {
                let node = node.label.clone();
                sink.emit(EventKind::Measured {
                    figure: figure.to_owned(),
                    node,
                    value,
                    unit: unit.to_owned(),
                });
            }
        }
    }
}
