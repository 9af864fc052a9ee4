//! What a command would change, for people and programs: `plan --diff` and `--dry-run`.

use std::fmt::Write;

use engine::{Changes, Scope, Site};
use plan::{
    Plan,
    change::{Action, Difference},
};
use serde_json::json;
use system::cancel::Cancel;

use crate::{exit, failure::Failure, output};

/// What a start would change. Nothing is touched, not even a folder made.
pub(crate) fn find(site: &Site, plan: &Plan, scope: &Scope, cancel: &Cancel) -> Result<Changes, Failure> {
    Ok(match site.find(cancel)? {
        Some(session) => session.changes(plan, scope)?,
        None => site.changes(plan, scope)?,
    })
}

/// Shows changes.
pub(crate) fn show(changes: &Changes, site: &Site, json: bool) -> Result<u8, Failure> {
    if json {
        let value = json!({"lab": site.folder.id(), "networks": changes.networks, "nodes": changes.nodes});
        output::json(&value)?;
    } else {
        output::text(text(changes, &site.folder.id()))?;
    }
    Ok(exit::OK)
}

/// What changes, one line for each thing that it is made of.
fn text(changes: &Changes, lab: &str) -> String {
    let mut rows: Vec<[String; 3]> = Vec::new();
    let mut add = |action: Action, name: &str, differences: &[Difference], drift: &[Difference]| {
        let drift = drift.iter().map(|found| format!("changed behind our back: {found}"));
        let mut why: Vec<String> = differences.iter().map(ToString::to_string).chain(drift).collect();
        if action == Action::None && why.is_empty() {
            return;
        }
        if why.is_empty() {
            why.push(String::new());
        }
        for (index, why) in why.into_iter().enumerate() {
            let first = |text: &str| if index == 0 { text.to_owned() } else { String::new() };
            rows.push([first(&action.to_string()), first(name), why]);
        }
    };
    for change in &changes.networks {
        add(change.action, &format!("network {}", change.network), &change.differences, &[]);
    }
    for change in &changes.nodes {
        add(change.action, &change.node, &change.differences, &change.drift);
    }
    if rows.is_empty() {
        return format!("lab {lab}: everything is as the file has it\n");
    }
    let mut counts: Vec<(Action, usize)> = Vec::new();
    let actions = changes.nodes.iter().map(|change| change.action).filter(|action| *action != Action::None);
    for action in actions {
        match counts.iter_mut().find(|(counted, _)| *counted == action) {
            Some((_, count)) => *count += 1,
            None => counts.push((action, 1)),
        }
    }
    counts.sort_unstable();
    let counts: Vec<String> =
        counts.into_iter().map(|(action, count)| format!("{count} to {action}")).collect();
    let counts = if counts.is_empty() { "no node changes".to_owned() } else { counts.join(", ") };
    let mut out = format!("lab {lab}: {counts}\n");
    // Writing to a string cannot fail, so the result is not looked at.
    let _ = write!(out, "{}", plan::columns(&rows));
    out
}
