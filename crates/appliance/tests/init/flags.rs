//! Each flag: what it does, what it does not without its exact word, and which of several words counts.

use crate::guest::Guest;

/// What llama-cli is started with.
const PLAIN: &str = "llama-cli -m /models/model.gguf -t 2 -tb 2\n";

/// Boots with a model and llama-cli: the console, and how llama-cli was started.
fn boot(command_line: &str) -> Option<(String, String)> {
    let guest = Guest::new(command_line)?;
    guest.model().llama("llama-cli", "");
    let console = guest.transcript();
    let calls = guest.calls();
    let started: String = calls
        .lines()
        .filter(|line| line.starts_with("llama-cli -m"))
        .map(|line| format!("{line}\n"))
        .collect();
    Some((console, started))
}

/// One test for each command line: which of the modes it leads to.
macro_rules! modes {
    ($($name:ident: $line:expr => $mode:literal;)*) => { $(
        #[test]
        fn $name() {
            let Some((console, _)) = boot($line) else { return };
            let mode = console.lines().nth(1).unwrap();
            assert_eq!(mode, $mode, "{console}");
        }
    )* };
}

/// One test for each command line: what llama-cli is started with.
macro_rules! starts {
    ($($name:ident: $line:expr => $started:expr;)*) => { $(
        #[test]
        fn $name() {
            let Some((console, started)) = boot($line) else { return };
            assert_eq!(started, $started, "{console}");
        }
    )* };
}

modes! {
    diag_is_on: "zosia.diag=1" => "zosia: diag";
    diag_is_off: "zosia.diag=0" => "zosia: starting llama-cli (model /models/model.gguf)";
    selftest_is_on: "zosia.selftest=1" => "zosia: selftest";
    selftest_is_off: "zosia.selftest=0" => "zosia: starting llama-cli (model /models/model.gguf)";
    perf_is_on: "zosia.perf=1" => "zosia: perf";
    perf_is_off: "zosia.perf=0" => "zosia: starting llama-cli (model /models/model.gguf)";
    a_flag_among_others: "console=ttyS0 quiet zosia.diag=1 panic=-1" => "zosia: diag";
    a_flag_between_spaces: "  quiet   zosia.diag=1  " => "zosia: diag";
    true_is_not_1: "zosia.diag=true" => "zosia: starting llama-cli (model /models/model.gguf)";
    leading_zero_is_not_1: "zosia.diag=01" => "zosia: starting llama-cli (model /models/model.gguf)";
    more_is_not_1: "zosia.diag=11" => "zosia: starting llama-cli (model /models/model.gguf)";
    another_name: "zosia.diag_mode=1" => "zosia: starting llama-cli (model /models/model.gguf)";
    another_prefix: "azosia.diag=1" => "zosia: starting llama-cli (model /models/model.gguf)";
    another_case: "zosia.DIAG=1" => "zosia: starting llama-cli (model /models/model.gguf)";
    a_0_does_not_undo_a_1: "zosia.diag=1 zosia.diag=0" => "zosia: diag";
}

starts! {
    nothing_asked_for: "" => PLAIN;
    ci_is_on: "zosia.ci=1" => "";
    ci_is_off: "zosia.ci=0" => PLAIN;
    ci_is_not_ci_mode: "zosia.ci_mode=1" => PLAIN;
    ci_is_not_true: "zosia.ci=true" => PLAIN;
    threads: "zosia.llama_threads=6" => "llama-cli -m /models/model.gguf -t 6 -tb 6\n";
    batch_threads: "zosia.llama_batch_threads=3" => "llama-cli -m /models/model.gguf -t 2 -tb 3\n";
    both_threads: "zosia.llama_threads=6 zosia.llama_batch_threads=8" => "llama-cli -m /models/model.gguf -t 6 -tb 8\n";
    both_threads_the_other_way_round: "zosia.llama_batch_threads=8 zosia.llama_threads=6"
        => "llama-cli -m /models/model.gguf -t 6 -tb 8\n";
    the_last_threads_count: "zosia.llama_threads=6 zosia.llama_threads=4" => "llama-cli -m /models/model.gguf -t 4 -tb 4\n";
    threads_are_not_octal: "zosia.llama_threads=010" => "llama-cli -m /models/model.gguf -t 10 -tb 10\n";
    most_threads: "zosia.llama_threads=512" => "llama-cli -m /models/model.gguf -t 512 -tb 512\n";
    arguments: "zosia.llama_args=-b,256,-c,1024" => "llama-cli -m /models/model.gguf -t 2 -tb 2 -b 256 -c 1024\n";
    arguments_with_an_equals_sign: "zosia.llama_args=-c=2048" => "llama-cli -m /models/model.gguf -t 2 -tb 2 -c=2048\n";
    arguments_are_no_patterns: "zosia.llama_args=/*,?" => "llama-cli -m /models/model.gguf -t 2 -tb 2 /* ?\n";
    arguments_keep_backslashes: r"zosia.llama_args=a\nb,$HOME,`id`"
        => "llama-cli -m /models/model.gguf -t 2 -tb 2 a\\nb $HOME `id`\n";
    arguments_without_the_empty_ones: "zosia.llama_args=,-b,,256," => "llama-cli -m /models/model.gguf -t 2 -tb 2 -b 256\n";
    the_last_arguments_count: "zosia.llama_args=-a zosia.llama_args=-b" => "llama-cli -m /models/model.gguf -t 2 -tb 2 -b\n";
    tokens_by_default: "zosia.perf=1" => perf("64");
    tokens: "zosia.perf=1 zosia.perf.tokens=128" => perf("128");
    tokens_9999: "zosia.perf.tokens=9999 zosia.perf=1" => perf("9999");
    most_tokens: "zosia.perf=1 zosia.perf.tokens=100000" => perf("100000");
    the_last_tokens_count: "zosia.perf=1 zosia.perf.tokens=1 zosia.perf.tokens=2" => perf("2");
    everything: "zosia.perf=1 zosia.perf.tokens=7 zosia.llama_threads=3 zosia.llama_batch_threads=4 zosia.llama_args=-c,99"
        => perf("7").replace("-t 2 -tb 2", "-t 3 -tb 4").replace("sentence.", "sentence. -c 99");
}

fn perf(tokens: &str) -> String {
    format!(
        "llama-cli -m /models/model.gguf -t 2 -tb 2 -n {tokens} --ignore-eos -p \
         Describe a lighthouse in one short sentence.\n"
    )
}

/// The environment that a kernel makes of words it does not know is no way around the command line.
#[test]
fn arguments_do_not_become_flags() {
    let Some(guest) = Guest::new("quiet threads=7 ci=1 tokens=9") else { return };
    guest.model().llama("llama-cli", "");
    guest.transcript();
    assert_eq!(guest.calls().lines().last().unwrap(), PLAIN.trim());
}

#[test]
fn llama_run_may_run() {
    let Some(guest) = Guest::new("zosia.allow_llama_run=1") else { return };
    guest.model().llama("llama-run", "");
    assert!(guest.transcript().contains("\nzosia: starting llama-run (model /models/model.gguf)\n"));
}

#[test]
fn llama_run_may_not_run() {
    for line in ["zosia.ci=1", "zosia.ci=1 zosia.allow_llama_run=true"] {
        let Some(guest) = Guest::new(line) else { return };
        guest.model().llama("llama-run", "");
        assert!(!guest.transcript().contains("starting"));
        assert!(!guest.calls().contains("llama-run"));
    }
}

/// As many as the kernel lists processors, however it does.
macro_rules! processors {
    ($($name:ident: $online:literal => $threads:literal;)*) => { $(
        #[test]
        fn $name() {
            let Some(guest) = Guest::new("") else { return };
            guest.model().llama("llama-cli", "").file("sys/devices/system/cpu/online", concat!($online, "\n"));
            guest.transcript();
            let end = concat!(" -t ", $threads, " -tb ", $threads, "\n");
            assert!(guest.calls().ends_with(end), "{}", guest.calls());
        }
    )* };
}

processors! {
    one_processor: "0" => "1";
    four_processors: "0-3" => "4";
    processors_with_a_gap: "1,3,8-15" => "10";
}
