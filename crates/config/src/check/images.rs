//! Images that are built, by their names.

use std::collections::HashSet;

use crate::diagnostic::Code;
use crate::draft::{Draft, Findings, shown};
use crate::model::Image;
use crate::suggest::nearest;

/// `known` are the names that there are; without any, every name will do.
pub(super) fn check(draft: &Draft, known: &[String], findings: &mut Findings) {
    let mut seen = HashSet::new();
    for image in draft.clusters.iter().flat_map(|cluster| &cluster.nodes).map(|node| &node.image) {
        let Image::Built(name) = &image.value else { continue };
        // Nodes that name none have their cluster's.
        if known.is_empty() || known.contains(name) || !seen.insert(image.span) {
            continue;
        }
        let help = match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                format!("use one of: {}; or the path of a file, which ends in `.qcow2`", known.join(", "))
            }
        };
        let found = findings
            .meaning(Code::UnknownImage, image.span, format!("there is no image `{}`", shown(name)))
            .cause(format!("images that are built have names: {}", known.join(", ")))
            .help(help);
        findings.push(found);
    }
}
