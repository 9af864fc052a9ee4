//! SLURM partitions: their names, their nodes, their default and their time limits.

use std::collections::{HashMap, HashSet};

use super::is_slurm_time;
use crate::diagnostic::{Code, Severity};
use crate::draft::{Cluster, Draft, Findings, Kind, Members, Partition, Slurm, shown};
use crate::model::Role;
use crate::suggest::nearest;

pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    for cluster in &draft.clusters {
        let Kind::Slurm(slurm) = &cluster.kind else { continue };
        names(slurm, findings);
        default(slurm, findings);
        times(slurm, findings);
        members(cluster, slurm, findings);
    }
}

fn names(slurm: &Slurm, findings: &mut Findings) {
    let mut seen = HashMap::new();
    for Partition { name, .. } in &slurm.partitions {
        if let Some(first) = seen.insert(name.value.as_str(), name.span) {
            let found = findings
                .meaning(
                    Code::DuplicatePartition,
                    name.span,
                    format!("the partition `{}` is defined twice", name.value),
                )
                .cause("jobs ask for a partition by its name")
                .help(findings.help("rename one of the two", "only the first is used"))
                .also(first, "first defined here");
            findings.push(found);
        }
        if name.value.eq_ignore_ascii_case("default") {
            let found = findings
                .meaning(
                    Code::ReservedName,
                    name.span,
                    format!("a partition cannot be called `{}`", name.value),
                )
                .cause("SLURM reads a partition called DEFAULT as settings for other partitions")
                .help("choose another name, and mark the partition as the default one");
            findings.push(found);
        }
    }
}

fn default(slurm: &Slurm, findings: &mut Findings) {
    if let Some(default) = &slurm.default
        && !slurm.partitions.iter().any(|partition| partition.name.value == default.value)
    {
        let names: Vec<_> = slurm.partitions.iter().map(|partition| partition.name.value.as_str()).collect();
        let help = match nearest(&default.value, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => "list it under `partitions`".to_owned(),
            None => format!("use one of: {}", shown(&names.join(", "))),
        };
        let found = findings
            .meaning(
                Code::UnknownPartition,
                default.span,
                format!("the default partition `{}` is not one of the partitions", shown(&default.value)),
            )
            .cause("jobs that name no partition would have nowhere to go")
            .help(findings.help(&help, "the first partition is the default"));
        findings.push(found);
    }
    let mut first = None;
    for default in
        slurm.partitions.iter().filter_map(|partition| partition.default).filter(|default| default.value)
    {
        if let Some(first) = first {
            let found = findings
                .meaning(Code::SeveralDefaults, default.span, "a second partition is the default")
                .cause("jobs that name no partition go to one")
                .help("mark one partition only")
                .also(first, "the first default");
            findings.push(found);
        } else {
            first = Some(default.span);
        }
    }
}

fn times(slurm: &Slurm, findings: &mut Findings) {
    let mut seen = HashSet::new();
    for time in slurm.partitions.iter().filter_map(|partition| partition.max_time.as_ref()) {
        // In version 1.0 all partitions share one.
        if is_slurm_time(&time.value) || !seen.insert(time.span) {
            continue;
        }
        let found = findings
            .meaning(Code::BadTime, time.span, format!("`{}` is not a SLURM time", shown(&time.value)))
            .cause("SLURM reads minutes, `MM:SS`, `HH:MM:SS`, `D-HH`, `D-HH:MM`, `D-HH:MM:SS` and `INFINITE`")
            .help(findings.help("write a time like `01:00:00`", "there is no limit"));
        findings.push(found);
    }
}

fn members(cluster: &Cluster, slurm: &Slurm, findings: &mut Findings) {
    let roles: HashMap<_, _> =
        cluster.nodes.iter().map(|node| (node.name.value.as_str(), node.role)).collect();
    let mut busy = HashSet::new();
    for partition in &slurm.partitions {
        // One that names no nodes has them all.
        let Members::Named(members) = &partition.members else { return };
        let mut seen = HashMap::new();
        for member in members {
            let name = member.value.as_str();
            busy.insert(name);
            if let Some(first) = seen.insert(name, member.span) {
                let found = findings
                    .meaning(
                        Code::RepeatedNode,
                        member.span,
                        format!("the partition `{}` names `{}` twice", partition.name.value, shown(name)),
                    )
                    .cause("a node is in a partition or not")
                    .help("remove one of the two")
                    .also(first, "first named here");
                findings.push(found);
            }
            let found = match roles.get(name) {
                Some(Role::Compute) => continue,
                Some(_) => findings
                    .meaning(Code::UnknownNode, member.span, format!("`{name}` does not run jobs"))
                    .cause("it is the controller; partitions consist of nodes listed under `nodes`")
                    .help("remove it from the partition"),
                None => {
                    let near = nearest(
                        name,
                        roles.iter().filter(|(_, role)| **role == Role::Compute).map(|(name, _)| *name),
                    );
                    findings
                        .meaning(
                            Code::UnknownNode,
                            member.span,
                            format!("the cluster `{}` has no node `{}`", cluster.key.value, shown(name)),
                        )
                        .cause("partitions consist of nodes listed under `nodes`, each written out")
                        .help(match near {
                            Some(near) => format!("did you mean `{near}`?"),
                            None => "add it to `nodes`, or remove it here".to_owned(),
                        })
                }
            };
            findings.push(found);
        }
    }
    if slurm.partitions.is_empty() {
        return;
    }
    for node in cluster.nodes.iter().filter(|node| node.role == Role::Compute) {
        if !busy.contains(node.name.value.as_str()) {
            let found = findings
                .meaning(Code::IdleNode, node.name.span, format!("`{}` is in no partition", node.name.value))
                .severity(Severity::Warning)
                .cause("no job can ever run on it")
                .help("add it to a partition");
            findings.push(found);
        }
    }
}
