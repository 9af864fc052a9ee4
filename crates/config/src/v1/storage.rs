//! Where version 1.0 puts `BeeGFS`: its services run on nodes of the cluster.

use super::Storage;
use crate::diagnostic::Code;
use crate::draft::{Findings, Node, shown};
use crate::suggest::nearest;
use crate::yaml::Located;

pub(super) fn check(storage: Option<Storage>, nodes: &[Node], findings: &mut Findings) {
    let Some(beegfs) = storage.and_then(|storage| storage.beegfs).filter(|beegfs| beegfs.enabled) else {
        return;
    };
    let names: Vec<&str> = nodes.iter().map(|node| node.name.value.as_str()).collect();
    let lists = [beegfs.metadata_nodes, beegfs.storage_nodes].into_iter().flatten().flatten();
    for Located { value, span } in beegfs.management_node.into_iter().chain(lists) {
        if names.contains(&value.as_str()) {
            continue;
        }
        let help = match nearest(&value, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("use one of: {}", shown(&names.join(", "))),
        };
        let found = findings
            .meaning(Code::UnknownNode, span, format!("the cluster has no node `{}`", shown(&value)))
            .cause("the services of BeeGFS run on nodes of the cluster")
            .help(help);
        findings.push(found);
    }
}
