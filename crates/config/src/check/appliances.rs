//! What the kernels of appliances are told.

use crate::diagnostic::Code;
use crate::draft::{Draft, Findings};
use crate::v2::LONGEST_APPEND;

/// What a cluster adds to the command line and what its node does are told one behind the other. A part that is too long by
/// itself is refused by the schema.
pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    for node in draft.clusters.iter().flat_map(|cluster| &cluster.nodes) {
        let [first, second] = &node.append[..] else { continue };
        let length = first.value.len() + 1 + second.value.len();
        if length <= LONGEST_APPEND || [first, second].iter().any(|part| part.value.len() > LONGEST_APPEND) {
            continue;
        }
        let found = findings
            .meaning(
                Code::OutOfRange,
                second.span,
                format!("the `append` of cluster and node are {length} characters for `{}`", node.domain),
            )
            .cause(format!(
                "together they may have {LONGEST_APPEND}: a kernel's whole command line ends at 2047 bytes, of which ai-how \
                 needs some"
            ))
            .help("shorten one of the two")
            .also(first.span, "the cluster's part");
        findings.push(found);
    }
}
