//! The standard test framework: suites of checks that prove a running cluster, and sabotages that prove the checks.
//!
//! ```text
//! tests/suites/*/suite.yaml ──> load ──> Suites ──> select ──> Selection ─┐
//! Plan ──> variables ─────────────────────────────────────────────────────┴─> run ──> batch ──> Shell (SSH, or a fake)
//!                                                          Events, Summary <── judge <──────────┘
//! ```
//!
//! A check is a shell snippet and what is expected of it. The snippets for one node and suite travel in one session
//! (`batch`), because a session costs a slow guest more than a check does; each runs in a shell of its own, with its own
//! time limit and its own output. Whoever has nodes implements [`shell::Shell`], and whoever can copy them
//! [`forks::Forks`], for checks and sabotages that leave a cluster broken; this room knows no SSH and no machines.

pub mod forks;
pub mod list;
pub mod load;
pub mod run;
pub mod sabotage;
pub mod select;
pub mod shell;
pub mod suite;
pub mod summary;

mod batch;
mod evidence;
mod expect;
mod variables;

#[cfg(test)]
mod fixture;

pub use load::Suites;
