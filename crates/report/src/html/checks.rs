//! The checks, in two views: for each suite a grid of checks by nodes, where a bad node is a column and a bad check a
//! row, and one row for each result.

use serde::Serialize;

use super::evidence::{self, Failure};
use super::timeline::outcome_class;
use crate::run::{CheckRun, Run};
use crate::text;

/// Names of nodes with more characters than these, all together, stand upright.
const NAMES_ACROSS: usize = 26;

/// A suite by nodes.
#[derive(Debug, Serialize)]
pub(super) struct Grid {
    suite: String,
    nodes: Vec<String>,
    /// Whether the names of the nodes stand upright.
    upright: bool,
    rows: Vec<GridRow>,
}

#[derive(Debug, Serialize)]
struct GridRow {
    check: String,
    /// One for each node; none where the check did not run.
    cells: Vec<Option<Cell>>,
}

#[derive(Debug, Serialize)]
struct Cell {
    status: &'static str,
    title: String,
    /// Where its failure is told; empty when it has none.
    anchor: String,
}

/// One result.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    status: &'static str,
    suite: String,
    check: String,
    node: String,
    spent: String,
    reason: String,
    output: String,
    /// Where its failure is told; empty when it has none.
    anchor: String,
}

/// A grid for each suite that ran on several nodes; of a suite on one node the rows tell as much.
pub(super) fn grids(run: &Run, failures: &[Failure]) -> Vec<Grid> {
    let nodes = run.nodes.iter().map(|node| node.name.as_str());
    let places: Vec<String> = run.checks.iter().map(CheckRun::place).collect();
    let nodes = distinct(nodes.chain(places.iter().map(String::as_str)));
    let grid = |suite: &str| {
        let checks = || run.checks.iter().filter(move |check| check.suite == suite);
        let nodes: Vec<&str> =
            nodes.iter().copied().filter(|node| checks().any(|check| check.place() == *node)).collect();
        let row = |name: &str| GridRow {
            check: text::plain(name),
            cells: nodes
                .iter()
                // A check that ran twice counts as it went in the end.
                .map(|node| checks().rfind(|check| check.check == name && check.place() == *node))
                .map(|check| check.map(|check| cell(check, failures)))
                .collect(),
        };
        Grid {
            suite: text::plain(suite),
            upright: nodes.iter().map(|node| node.chars().count()).sum::<usize>() > NAMES_ACROSS,
            rows: distinct(checks().map(|check| check.check.as_str())).into_iter().map(row).collect(),
            nodes: nodes.iter().map(|node| text::plain(node)).collect(),
        }
    };
    let suites = distinct(run.checks.iter().map(|check| check.suite.as_str()));
    suites.into_iter().map(grid).filter(|grid| grid.nodes.len() > 1).collect()
}

/// Every result, in the order in which the checks began.
pub(super) fn rows(run: &Run, failures: &[Failure]) -> Vec<Row> {
    let row = |check: &CheckRun| {
        let anchor = anchor(check, failures);
        Row {
            status: outcome_class(check.outcome),
            suite: text::plain(&check.suite),
            check: text::plain(&check.check),
            node: text::plain(&check.place()),
            spent: text::seconds(check.seconds),
            reason: text::plain(&check.reason),
            // A failure's output stands with its other evidence.
            output: if anchor.is_empty() { text::plain(&check.output) } else { String::new() },
            anchor,
        }
    };
    run.checks.iter().map(row).collect()
}

fn cell(check: &CheckRun, failures: &[Failure]) -> Cell {
    let CheckRun { check: name, node, outcome, seconds, reason, .. } = check;
    let mut title = format!("{name} on {node}: {outcome}, {}", text::seconds(*seconds));
    if !reason.is_empty() {
        title.push_str(&format!("\n{}", text::first_line(reason)));
    }
    Cell { status: outcome_class(*outcome), title: text::plain(&title), anchor: anchor(check, failures) }
}

fn anchor(check: &CheckRun, failures: &[Failure]) -> String {
    evidence::anchor(failures, "check", &format!("{}/{}", check.suite, check.check), &check.place())
}

/// Each name once, where it came first.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut distinct = Vec::new();
    for name in names {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    distinct
}
