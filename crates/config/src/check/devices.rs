//! Devices of the host that are given to nodes: each to one of them, and once.

use std::collections::HashMap;

use crate::diagnostic::Code;
use crate::draft::{Draft, Findings};
use crate::hardware::{DeviceKind, DeviceSource, Wanted};

pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    let wanted = draft.wanted();
    let mut seen: HashMap<&DeviceSource, &Wanted> = HashMap::new();
    for one in &wanted {
        let source = &one.device.source;
        let Some(first) = seen.get(source).copied() else {
            seen.insert(source, one);
            continue;
        };
        let is_gpu = [first, one].iter().any(|wanted| wanted.device.kind == DeviceKind::Gpu);
        let (what, code) =
            if is_gpu { ("GPU", Code::DuplicateGpu) } else { ("device", Code::DuplicateDevice) };
        let found = if first.domain == one.domain {
            findings
                .meaning(
                    Code::RepeatedDevice,
                    one.span,
                    format!("the {what} at `{source}` is given to `{}` twice", one.domain),
                )
                .cause("a machine has a device once")
                .help("remove one of the two, or correct its address")
        } else {
            findings
                .meaning(
                    code,
                    one.span,
                    format!(
                        "the {what} at `{source}` is given to `{}` and to `{}`",
                        first.domain, one.domain
                    ),
                )
                .cause(format!("a {what} that is passed through belongs to one running machine"))
                .help("give it to one node only, or never run the two at the same time")
        };
        // Counted nodes share one place; saying it once is enough.
        if first.span != one.span {
            findings.push(found.also(first.span, "first used here"));
        } else if !findings.list.iter().any(|earlier| earlier.span == one.span && earlier.code == found.code)
        {
            findings.push(found);
        }
    }
}
