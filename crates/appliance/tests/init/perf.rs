//! What is measured, and what llama.cpp says of it.

use crate::guest::Guest;

/// The last lines of a measurement that takes as long as the fake clock says.
fn measured(uptime: &str, tokens: &str, llama: &str) -> Option<String> {
    let guest = Guest::new(&format!("zosia.perf=1 zosia.perf.tokens={tokens}"))?;
    guest.model().llama(
        "llama-cli",
        &format!("[ \"$1\" != --help ] || exit; echo '{uptime} 0' >/proc/uptime\n{llama}"),
    );
    let console = guest.transcript();
    let (_, said) = console.split_once("zosia: model_path=/models/model.gguf\n").unwrap();
    Some(said.strip_suffix("zosia: shutting down\n").unwrap().to_owned())
}

/// The clock starts at 1.50.
macro_rules! rates {
    ($($name:ident: $uptime:literal, $tokens:literal => $rate:literal;)*) => { $(
        #[test]
        fn $name() {
            let Some(measured) = measured($uptime, $tokens, "") else { return };
            assert_eq!(measured, concat!("\nzosia: perf tokens=", $tokens, " ", $rate, "\n"));
        }
    )* };
}

rates! {
    rate_of_a_second: "2.50", "64" => "seconds=1.000 tok_per_s=64.00";
    rate_rounded_up: "4.50", "2" => "seconds=3.000 tok_per_s=0.67";
    rate_rounded_down: "4.83", "64" => "seconds=3.330 tok_per_s=19.22";
    highest_rate: "1.51", "100000" => "seconds=0.010 tok_per_s=10000000.00";
    lowest_rate: "100001.58", "1" => "seconds=100000.080 tok_per_s=0.00";
    no_time: "1.50", "64" => "seconds=0.000 tok_per_s=640000.00";
    clock_that_went_back: "1.09", "64" => "seconds=0.000 tok_per_s=640000.00";
}

/// Since its end of 2025, which tells no load time.
#[test]
fn speed_that_llama_cli_tells() {
    let Some(measured) = measured(
        "2.50",
        "64",
        r"printf '\n\n[ Prompt: 18803.4 t/s | Generation: 41.5 t/s ]\n\n\nExiting...\n'",
    ) else {
        return;
    };
    assert_eq!(
        measured,
        "\n\n[ Prompt: 18803.4 t/s | Generation: 41.5 t/s ]\n\n\nExiting...\n\n\
         zosia: perf tokens=64 seconds=1.000 tok_per_s=64.00\nzosia: perf eval_tok_per_s=41.50\n"
    );
}

/// Before that, on its standard error.
#[test]
fn speed_that_older_ones_tell() {
    let said = "\
llama_perf_sampler_print:    sampling time =       0.39 ms
llama_perf_context_print:        load time =    1234.56 ms
llama_perf_context_print: prompt eval time =      11.19 ms /    44 tokens (    0.25 ms per token,  3930.68 tokens per second)
llama_perf_context_print:        eval time =      22.73 ms /    19 runs   (    1.20 ms per token,   835.909 tokens per second)
llama_perf_context_print:       total time =      40.19 ms /    63 tokens
";
    let Some(measured) = measured("2.50", "64", &format!("busybox cat >&2 <<'END'\n{said}END")) else {
        return;
    };
    let lines = "zosia: perf tokens=64 seconds=1.000 tok_per_s=64.00\nzosia: perf load_seconds=1.235 eval_tok_per_s=835.91\n";
    assert_eq!(measured, format!("{said}\n{lines}"));
}

/// A line that has no end, and numbers that are none.
#[test]
fn nonsense_that_it_tells() {
    let llama = r"printf '[ Prompt: nan t/s | Generation: inf t/s ]\n load time =  ms\n\\n%%s \377 the end'";
    let Some(measured) = measured("2.50", "64", llama) else { return };
    assert_eq!(
        measured,
        "[ Prompt: nan t/s | Generation: inf t/s ]\n load time =  ms\n\\n%s \u{fffd} the end\n\
         zosia: perf tokens=64 seconds=1.000 tok_per_s=64.00\n"
    );
}

#[test]
fn failure() {
    let Some(measured) = measured("2.50", "64", "echo 'no backends are loaded' >&2; exit 3") else { return };
    assert_eq!(measured, "no backends are loaded\n\nzosia: llama-cli ended with status 3\n");
}

/// It is asked for one answer, in the words of its time.
#[test]
fn end_of_the_answer() {
    for (help, told) in [
        ("-st,   --single-turn   run", "--single-turn "),
        ("-no-cnv, --no-conversation  -st, --single-turn", "--single-turn "),
        ("-no-cnv, --no-conversation", "-no-cnv "),
        ("--single-turn --simple-io", "--simple-io --single-turn "),
        ("-n, --n-predict", ""),
    ] {
        let Some(guest) = Guest::new("zosia.perf=1 zosia.llama_args=-x") else { return };
        guest.model().llama("llama-cli", &format!(r#"[ "$1" != --help ] || echo '{help}' >&2"#));
        guest.transcript();
        let started = guest.calls();
        let rest = started.lines().last().unwrap().split_once("sentence. ").unwrap().1;
        assert_eq!(rest, format!("{told}-x"));
    }
}

/// It reads nothing, and what the context has no place for does not end it.
#[test]
fn surroundings() {
    let llama = r#"read -r line; echo "read: $? $line"; echo "shift: $LLAMA_ARG_CONTEXT_SHIFT""#;
    let Some(measured) = measured("2.50", "64", llama) else { return };
    assert!(measured.starts_with("read: 1 \nshift: 1\n"), "{measured}");
}
