//! Everything that is on the console, for each mode on each kind of appliance.

use crate::guest::Guest;

/// What there is besides the stub.
#[derive(Clone, Copy)]
enum Has {
    Nothing,
    Model,
    Llama(&'static str),
    Both(&'static str),
}

fn transcript(command_line: &str, has: Has) -> Option<String> {
    let guest = Guest::new(command_line)?;
    let llama = |name| {
        guest.llama(
            name,
            r#"case $* in *--help*) echo "usage: llama"; exit ;; esac
            echo "14.75 0" >/proc/uptime
            echo "Once upon a time""#,
        );
    };
    match has {
        Has::Nothing => {}
        Has::Model => {
            guest.model();
        }
        Has::Llama(name) => llama(name),
        Has::Both(name) => {
            guest.model();
            llama(name);
        }
    }
    let console = guest.transcript();
    let console = console.strip_prefix("zosia: init\n").unwrap_or_else(|| panic!("{console}"));
    let console = console.strip_suffix("zosia: shutting down\n").unwrap_or_else(|| panic!("{console}"));
    Some(console.to_owned())
}

macro_rules! transcripts {
    ($($name:ident: $line:literal, $has:expr => $said:literal;)*) => { $(
        #[test]
        fn $name() {
            let Some(said) = transcript($line, $has) else { return };
            assert_eq!(said, $said);
        }
    )* };
}

use Has::{Both, Llama, Model, Nothing};

transcripts! {
    ci_with_nothing: "zosia.ci=1", Nothing => "\
zosia: no virtio model disk found (/dev/vda..)
zosia: llama binary not found; starting stub prompt
zosia: ci mode; powering off
";
    ci_with_a_model: "zosia.ci=1", Model => "\
zosia: llama binary not found; starting stub prompt
zosia: ci mode; powering off
";
    ci_with_llama: "zosia.ci=1", Llama("llama-cli") => "\
zosia: no virtio model disk found (/dev/vda..)
zosia: model not found in /models; starting stub prompt
zosia: ci mode; powering off
";
    ci_with_both: "zosia.ci=1", Both("llama-cli") => "\
zosia: starting llama-cli (model /models/model.gguf)
zosia: ci mode; powering off
";
    ci_with_llama_run: "zosia.ci=1", Both("llama-run") => "\
zosia: llama-run is non-interactive; rebuild with llama-cli or set zosia.allow_llama_run=1
zosia: ci mode; powering off
";
    ci_with_llama_run_allowed: "zosia.ci=1 zosia.allow_llama_run=1", Both("llama-run") => "\
zosia: starting llama-run (model /models/model.gguf)
zosia: ci mode; powering off
";
    ci_with_llama_run_and_no_model: "zosia.ci=1", Llama("llama-run") => "\
zosia: no virtio model disk found (/dev/vda..)
zosia: model not found in /models; starting stub prompt
zosia: ci mode; powering off
";

    diag_with_nothing: "zosia.diag=1", Nothing => "\
zosia: no virtio model disk found (/dev/vda..)
zosia: diag
zosia: model_dev=none
zosia: llama_bin=none
zosia: model_path=none
";
    diag_with_a_model: "zosia.diag=1", Model => "\
zosia: diag
zosia: model_dev=/dev/vda
zosia: llama_bin=none
zosia: model_path=/models/model.gguf
";
    diag_with_llama: "zosia.diag=1", Llama("llama-cli") => "\
zosia: no virtio model disk found (/dev/vda..)
zosia: diag
zosia: model_dev=none
zosia: llama_bin=llama-cli
zosia: model_path=none
";
    diag_with_both: "zosia.diag=1", Both("llama-cli") => "\
zosia: diag
zosia: model_dev=/dev/vda
zosia: llama_bin=llama-cli
zosia: model_path=/models/model.gguf
";
    diag_with_llama_run: "zosia.diag=1", Both("llama-run") => "\
zosia: diag
zosia: model_dev=/dev/vda
zosia: llama_bin=llama-run
zosia: model_path=/models/model.gguf
";

    selftest_with_nothing: "zosia.selftest=1", Nothing => "\
zosia: no virtio model disk found (/dev/vda..)
zosia: selftest
zosia: llama_bin=none
";
    selftest_with_a_model: "zosia.selftest=1", Model => "\
zosia: selftest
zosia: llama_bin=none
";
    selftest_with_llama: "zosia.selftest=1", Llama("llama") => "\
zosia: no virtio model disk found (/dev/vda..)
zosia: selftest
zosia: llama_bin=llama
usage: llama

";
    selftest_with_both: "zosia.selftest=1", Both("llama-cli") => "\
zosia: selftest
zosia: llama_bin=llama-cli
usage: llama

";
    selftest_with_llama_run: "zosia.selftest=1", Both("llama-run") => "\
zosia: selftest
zosia: llama_bin=llama-run
usage: llama

";

    perf_with_nothing: "zosia.perf=1", Nothing => "\
zosia: no virtio model disk found (/dev/vda..)
zosia: perf
zosia: llama_bin=none
zosia: model_path=none
zosia: perf requires model + llama binary
";
    perf_with_a_model: "zosia.perf=1", Model => "\
zosia: perf
zosia: llama_bin=none
zosia: model_path=/models/model.gguf
zosia: perf requires model + llama binary
";
    perf_with_llama: "zosia.perf=1", Llama("llama-cli") => "\
zosia: no virtio model disk found (/dev/vda..)
zosia: perf
zosia: llama_bin=llama-cli
zosia: model_path=none
zosia: perf requires model + llama binary
";
    perf_with_both: "zosia.perf=1", Both("llama-cli") => "\
zosia: perf
zosia: llama_bin=llama-cli
zosia: model_path=/models/model.gguf
Once upon a time

zosia: perf tokens=64 seconds=13.250 tok_per_s=4.83
";
    perf_with_llama_run: "zosia.perf=1 zosia.allow_llama_run=1", Both("llama-run") => "\
zosia: perf
zosia: llama_bin=llama-run
zosia: model_path=/models/model.gguf
zosia: perf requires llama-cli; llama-run is non-interactive
";

    prompt_with_llama_cli: "", Both("llama-cli") => "\
zosia: starting llama-cli (model /models/model.gguf)
Once upon a time

";
    prompt_with_llama: "", Both("llama") => "\
zosia: starting llama (model /models/model.gguf)
Once upon a time

";
    prompt_with_llama_run: "zosia.allow_llama_run=1", Both("llama-run") => "\
zosia: starting llama-run (model /models/model.gguf)
Once upon a time

";
}

/// A stub and what is said before it.
fn stub(has: impl Fn(&Guest) -> &Guest) -> Option<String> {
    let guest = Guest::new("")?;
    has(&guest);
    let mut running = guest.boot();
    running.expect("\n> ").type_in("/poweroff\n");
    Some(running.end().0)
}

const STUB: &str =
    "zosia (stub): no model loaded\nType /poweroff to exit.\n> /poweroff\n\nzosia: shutting down\n";

#[test]
fn stub_with_nothing() {
    let Some(said) = stub(|guest| guest) else { return };
    let before = "zosia: init\nzosia: no virtio model disk found (/dev/vda..)\n\
                  zosia: llama binary not found; starting stub prompt\n";
    assert_eq!(said, format!("{before}{STUB}"));
}

#[test]
fn stub_with_a_model() {
    let Some(said) = stub(|guest| guest.model()) else { return };
    assert_eq!(said, format!("zosia: init\nzosia: llama binary not found; starting stub prompt\n{STUB}"));
}

#[test]
fn stub_with_llama() {
    let Some(said) = stub(|guest| guest.llama("llama-cli", "")) else { return };
    let before = "zosia: init\nzosia: no virtio model disk found (/dev/vda..)\n\
                  zosia: model not found in /models; starting stub prompt\n";
    assert_eq!(said, format!("{before}{STUB}"));
}

#[test]
fn stub_with_llama_run() {
    let Some(said) = stub(|guest| guest.model().llama("llama-run", "")) else { return };
    let before = "zosia: init\nzosia: llama-run is non-interactive; rebuild with llama-cli or set zosia.allow_llama_run=1\n";
    assert_eq!(said, format!("{before}{STUB}"));
}

/// The better of several programs.
#[test]
fn first_program_found() {
    for (names, first) in [
        (&["llama-run", "llama", "llama-cli"][..], "llama-cli"),
        (&["llama-run", "llama"], "llama"),
        (&["llama-run"], "llama-run"),
    ] {
        let Some(guest) = Guest::new("zosia.diag=1") else { return };
        for name in names {
            guest.llama(name, "");
        }
        assert!(guest.transcript().contains(&format!("\nzosia: llama_bin={first}\n")));
    }
}

/// Not all that lies there can be started.
#[test]
fn program_that_is_none() {
    let Some(guest) = Guest::new("zosia.diag=1") else { return };
    guest.file("usr/bin/llama-cli", "").llama("llama", "");
    assert!(guest.transcript().contains("\nzosia: llama_bin=llama\n"));
}

/// Older ones are told less; none is told `-m`, which they do not have.
#[test]
fn llama_run_is_told_what_it_knows() {
    for (help, told) in [("-c, --context-size", ""), ("  -t, --threads <value>", "-t 2 ")] {
        let Some(guest) = Guest::new("zosia.allow_llama_run=1 zosia.llama_args=-c,99") else { return };
        guest.model().llama("llama-run", &format!("[ $1 = --help ] && echo '{help}'"));
        guest.transcript();
        assert_eq!(
            guest.calls().lines().last().unwrap(),
            format!("llama-run {told}-c 99 /models/model.gguf")
        );
    }
}

/// llama-cli is a client of a server that it starts.
#[test]
fn loopback_is_up() {
    let Some(guest) = Guest::new("") else { return };
    guest.model().llama("llama-cli", "");
    guest.transcript();
    assert_eq!(
        guest.calls(),
        "mount -t ext4 -o ro /dev/vda /models\nifconfig lo up\nllama-cli -m /models/model.gguf -t 2 -tb 2\n"
    );
}
