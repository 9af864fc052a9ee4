//! Of two modes that are asked for, one is done: selftest before diag before perf before the rest.

use crate::guest::Guest;

/// Both, in either order, on an appliance that has a model and llama-cli.
fn first_wins(first: &str, second: &str, line: &str, never: &str) {
    for command_line in
        [format!("zosia.{first}=1 zosia.{second}=1"), format!("zosia.{second}=1 zosia.{first}=1")]
    {
        let Some(guest) = Guest::new(&command_line) else { return };
        guest.model().llama("llama-cli", "");
        let console = guest.transcript();
        assert!(console.starts_with(&format!("zosia: init\n{line}\n")), "{command_line}: {console}");
        assert!(!console.contains(never), "{command_line}: {console}");
    }
}

#[test]
fn selftest_before_diag() {
    first_wins("selftest", "diag", "zosia: selftest", "diag");
}

#[test]
fn selftest_before_perf() {
    first_wins("selftest", "perf", "zosia: selftest", "perf");
}

#[test]
fn selftest_before_ci() {
    first_wins("selftest", "ci", "zosia: selftest", "ci mode");
}

#[test]
fn selftest_before_llama_run() {
    first_wins("selftest", "allow_llama_run", "zosia: selftest", "starting");
}

#[test]
fn diag_before_perf() {
    first_wins("diag", "perf", "zosia: diag", "perf");
}

#[test]
fn diag_before_ci() {
    first_wins("diag", "ci", "zosia: diag", "ci mode");
}

#[test]
fn diag_before_llama_run() {
    first_wins("diag", "allow_llama_run", "zosia: diag", "starting");
}

#[test]
fn perf_before_ci() {
    first_wins("perf", "ci", "zosia: perf", "ci mode");
}

#[test]
fn perf_before_llama_run() {
    first_wins("perf", "allow_llama_run", "zosia: perf", "starting");
}

#[test]
fn ci_before_llama_run() {
    first_wins(
        "ci",
        "allow_llama_run",
        "zosia: starting llama-cli (model /models/model.gguf)\nzosia: ci mode; powering off",
        "Once",
    );
}
