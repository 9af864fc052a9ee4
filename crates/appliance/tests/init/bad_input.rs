//! What nobody should ask for, and what nobody should give it: a line that says what is wrong, and a power-off.

use crate::guest::Guest;

/// All that is said by an appliance with a model and llama-cli, which is not started.
fn refused(command_line: &str) -> Option<String> {
    let guest = Guest::new(command_line)?;
    guest.model().llama("llama-cli", "");
    let console = guest.transcript();
    assert!(!guest.calls().contains("llama-cli"), "{console}");
    Some(console)
}

macro_rules! refused {
    ($($name:ident: $line:expr => $why:expr;)*) => { $(
        #[test]
        fn $name() {
            let Some(console) = refused($line) else { return };
            assert_eq!(console, format!("zosia: init\nzosia: invalid {}\nzosia: shutting down\n", $why));
        }
    )* };
}

refused! {
    threads_abc: "zosia.llama_threads=abc" => "zosia.llama_threads=abc: no whole number from 1 to 512";
    threads_0: "zosia.llama_threads=0" => "zosia.llama_threads=0: no whole number from 1 to 512";
    threads_000: "zosia.llama_threads=000" => "zosia.llama_threads=000: no whole number from 1 to 512";
    threads_513: "zosia.llama_threads=513" => "zosia.llama_threads=513: no whole number from 1 to 512";
    threads_negative: "zosia.llama_threads=-1" => "zosia.llama_threads=-1: no whole number from 1 to 512";
    threads_signed: "zosia.llama_threads=+1" => "zosia.llama_threads=+1: no whole number from 1 to 512";
    threads_fraction: "zosia.llama_threads=1.5" => "zosia.llama_threads=1.5: no whole number from 1 to 512";
    threads_huge: "zosia.llama_threads=18446744073709551617"
        => "zosia.llama_threads=18446744073709551617: no whole number from 1 to 512";
    threads_hexadecimal: "zosia.llama_threads=0x2" => "zosia.llama_threads=0x2: no whole number from 1 to 512";
    threads_program: "zosia.llama_threads=$(poweroff)" => "zosia.llama_threads=$(poweroff): no whole number from 1 to 512";
    threads_pattern: "zosia.llama_threads=*" => "zosia.llama_threads=*: no whole number from 1 to 512";
    threads_equals: "zosia.llama_threads==4" => "zosia.llama_threads==4: no whole number from 1 to 512";
    batch_threads_abc: "zosia.llama_batch_threads=abc" => "zosia.llama_batch_threads=abc: no whole number from 1 to 512";
    tokens_0: "zosia.perf=1 zosia.perf.tokens=0" => "zosia.perf.tokens=0: no whole number from 1 to 100000";
    tokens_999999: "zosia.perf=1 zosia.perf.tokens=999999" => "zosia.perf.tokens=999999: no whole number from 1 to 100000";
    tokens_without_perf: "zosia.perf.tokens=abc" => "zosia.perf.tokens=abc: no whole number from 1 to 100000";
    tokens_in_diag: "zosia.diag=1 zosia.perf.tokens=abc" => "zosia.perf.tokens=abc: no whole number from 1 to 100000";
    cut_command_line: "x".repeat(2047).as_str() => "command line: too long, the kernel cut it at 2047 bytes";
    cut_in_the_middle_of_a_flag: format!("{:2037}zosia.ci=1", "").as_str()
        => "command line: too long, the kernel cut it at 2047 bytes";
    cut_among_other_letters: format!("{}a", "é".repeat(1023)).as_str()
        => "command line: too long, the kernel cut it at 2047 bytes";
    long_command_line: "x ".repeat(5000).as_str() => "command line: too long, the kernel cut it at 10000 bytes";
}

/// What is empty is told, and the default is taken.
macro_rules! emptied {
    ($($name:ident: $line:literal => $told:literal;)*) => { $(
        #[test]
        fn $name() {
            let Some(guest) = Guest::new($line) else { return };
            guest.model().llama("llama-cli", "");
            assert_eq!(
                guest.transcript(),
                concat!(
                    "zosia: init\nzosia: ", $told, " is empty; the default is used\n",
                    "zosia: starting llama-cli (model /models/model.gguf)\n\nzosia: shutting down\n"
                )
            );
            assert_eq!(guest.calls().lines().last().unwrap(), "llama-cli -m /models/model.gguf -t 2 -tb 2");
        }
    )* };
}

emptied! {
    empty_arguments: "zosia.llama_args=" => "zosia.llama_args=";
    arguments_of_commas: "zosia.llama_args=,," => "zosia.llama_args=,,";
    empty_threads: "zosia.llama_threads=" => "zosia.llama_threads=";
    threads_emptied: "zosia.llama_threads=7 zosia.llama_threads=" => "zosia.llama_threads=";
    empty_batch_threads: "zosia.llama_batch_threads=" => "zosia.llama_batch_threads=";
    empty_tokens: "zosia.perf.tokens=" => "zosia.perf.tokens=";
}

/// The longest that no kernel cuts.
#[test]
fn longest_command_line() {
    let Some(console) = refused(&format!("{:2035} zosia.ci=1", "zosia.x")) else { return };
    assert!(console.ends_with("zosia: ci mode; powering off\nzosia: shutting down\n"), "{console}");
}

#[test]
fn empty_command_line() {
    let Some(guest) = Guest::new("") else { return };
    guest.model().llama("llama-cli", "").file("proc/cmdline", "");
    let console = guest.transcript();
    assert_eq!(
        console,
        "zosia: init\nzosia: starting llama-cli (model /models/model.gguf)\n\nzosia: shutting down\n"
    );
}

/// A file that is no model, in place of one.
macro_rules! no_models {
    ($($name:ident: $content:expr, $line:literal => $before:literal, $why:literal;)*) => { $(
        #[test]
        fn $name() {
            let Some(guest) = Guest::new($line) else { return };
            guest.model().llama("llama-cli", "").file("models/model.gguf", $content);
            assert_eq!(
                guest.transcript(),
                concat!(
                    "zosia: init\n", $before, "zosia: invalid model /models/model.gguf: the file ", $why,
                    "\nzosia: shutting down\n"
                )
            );
        }
    )* };
}

no_models! {
    empty_model: "", "" => "", "is empty";
    short_model: "GGU", "" => "", "does not begin with GGUF";
    model_of_zeros: [0; 4096], "" => "", "does not begin with GGUF";
    model_of_lines: "\n\n\n\n\n\n", "" => "", "does not begin with GGUF";
    model_in_small_letters: "ggufgguf", "" => "", "does not begin with GGUF";
    empty_model_in_ci: "", "zosia.ci=1" => "", "is empty";
    wrong_model_to_measure: "ELF", "zosia.perf=1"
        => "zosia: perf\nzosia: llama_bin=llama-cli\nzosia: model_path=/models/model.gguf\n", "does not begin with GGUF";
}

/// What only llama.cpp can see.
#[test]
fn truncated_model() {
    let Some(guest) = Guest::new("") else { return };
    guest.model().llama("llama-cli", "echo 'failed to load model' >&2; exit 1");
    assert_eq!(
        guest.transcript(),
        "zosia: init\nzosia: starting llama-cli (model /models/model.gguf)\nfailed to load model\n\n\
         zosia: llama-cli ended with status 1\nzosia: shutting down\n"
    );
}

#[test]
fn llama_that_crashes() {
    let Some(guest) = Guest::new("") else { return };
    guest.model().llama("llama-cli", "kill -SEGV $$");
    let console = guest.transcript();
    assert!(
        console.ends_with("\nzosia: llama-cli ended with status 139\nzosia: shutting down\n"),
        "{console}"
    );
}

#[test]
fn selftest_of_a_llama_that_fails() {
    let Some(guest) = Guest::new("zosia.selftest=1") else { return };
    guest.llama("llama-cli", "echo 'no such library'; exit 127");
    let console = guest.transcript();
    let end = "\nno such library\n\nzosia: llama-cli ended with status 127\nzosia: shutting down\n";
    assert!(console.ends_with(end), "{console}");
}
