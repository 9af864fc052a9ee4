//! `ai-how prompt` as far as it needs no machine: arguments, models, matrix files and results.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use serde_json::{Value, json};

use crate::home::{Home, Ran};

const HEADER: &str = "timestamp,threads,batch_threads,args,tokens,seconds,tok_per_s,ok\n";

/// What starts machines, which no test here may come to.
const VERBS: [&str; 6] = ["run", "smoke", "diag", "selftest", "perf", "matrix"];

fn home_with_model() -> Home {
    let home = Home::new();
    home.run(["prompt", "tiny-model", "tiny.gguf"]).succeeds();
    home
}

fn run(home: &Home, words: &str) -> Ran {
    home.run_soon(words.split_whitespace())
}

/// A GGUF header, and a key of so many bytes that is not there.
fn header(version: u32, tensors: u64, keys: u64) -> Vec<u8> {
    let counts = [tensors.to_le_bytes(), keys.to_le_bytes()].concat();
    [&b"GGUF"[..], &version.to_le_bytes(), &counts].concat()
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let home = home_with_model();
    for (words, told) in [
        ("--arch riscv64", "--arch"),
        ("--memory-mib 1", "--memory-mib"),
        ("--memory-mib=-1", "--memory-mib"),
        ("--memory-mib lots", "--memory-mib"),
        ("--cpus 0", "--cpus"),
        ("--cpus 1025", "--cpus"),
        ("--lab moon", "--lab"),
        ("--no-such-option", "--no-such-option"),
        ("second.gguf", "second.gguf"),
    ] {
        for verb in VERBS {
            run(&home, &format!("prompt {verb} tiny.gguf {words}")).fails(2, &[told]);
        }
    }
    for (words, told) in [
        ("--timeout 0", "--timeout"),
        ("--timeout 1.5", "--timeout"),
        ("--timeout 86401", "--timeout"),
        ("--format yaml", "--format"),
    ] {
        for verb in &VERBS[1..] {
            run(&home, &format!("prompt {verb} tiny.gguf {words}")).fails(2, &[told]);
        }
    }
    for (words, told) in [
        ("--tokens 0", "--tokens"),
        ("--tokens 100001", "--tokens"),
        ("--runs 0", "--runs"),
        ("--min-tok-s=-1", "a number from 0 on"),
        ("--min-tok-s nan", "a number from 0 on"),
        ("--min-tok-s inf", "a number from 0 on"),
        ("--min-tok-s fast", "a number from 0 on"),
        ("--threads 0", "--threads"),
        ("--threads 513", "--threads"),
        ("--threads abc", "--threads"),
        ("--batch-threads 0", "--batch-threads"),
        ("--args ä", "plain ASCII"),
    ] {
        for verb in ["perf", "matrix"] {
            run(&home, &format!("prompt {verb} tiny.gguf {words}")).fails(2, &[told]);
        }
    }
    run(&home, "prompt perf tiny.gguf --profile fast").fails(2, &["--profile", "phi35-fast"]);
    run(&home, "prompt perf tiny.gguf --threads 1,2").fails(2, &["--threads"]);
    run(&home, "prompt matrix tiny.gguf --matrix m --threads 1").fails(2, &["--matrix"]);
    run(&home, "prompt run tiny.gguf --on macos").fails(2, &["--dry-run"]);
    let long = "x".repeat(2000);
    for verb in VERBS {
        run(&home, &format!("prompt {verb} tiny.gguf --append {long}")).fails(2, &["--append"]);
        run(&home, &format!("prompt {verb} tiny.gguf --append zosia.ä=1")).fails(2, &["--append", "ASCII"]);
    }
    run(&home, &format!("prompt perf tiny.gguf --args {long}")).fails(2, &["the arguments have 2000 bytes"]);
    assert_eq!(home.names("state"), Vec::<String>::new());
}

#[test]
fn what_is_no_model_is_refused_before_anything_starts() {
    let home = home_with_model();
    let model = fs::read(home.path("tiny.gguf")).unwrap();
    home.write("truncated.gguf", &model[..model.len() / 2]);
    home.write("zero.gguf", "");
    home.write("magic.gguf", b"GGML then something else that is long enough to be looked at");
    // What the tests of old took for a model: a header, and nothing in it.
    let small = header(3, 0, 0);
    assert_eq!(small.len(), 24);
    home.write("24.gguf", small);
    home.write("keys.gguf", header(3, 1, u64::MAX));
    home.write("version.gguf", header(99, 0, 0));
    fs::create_dir(home.path("folder.gguf")).unwrap();
    for verb in ["run", "smoke", "diag", "selftest", "perf", "matrix", "model-disk"] {
        for (name, code) in [
            ("truncated.gguf", 1),
            ("zero.gguf", 1),
            ("magic.gguf", 1),
            ("24.gguf", 1),
            ("keys.gguf", 1),
            ("version.gguf", 1),
            ("folder.gguf", 2),
            ("missing.gguf", 2),
        ] {
            run(&home, &format!("prompt {verb} {name}")).fails(code, &[name]);
        }
    }
    for verb in ["perf", "matrix"] {
        run(&home, &format!("prompt {verb}")).fails(2, &["perf requires model", "tiny-model"]);
    }
    assert_eq!(home.names("state"), Vec::<String>::new());
}

#[test]
fn a_tiny_model_is_the_same_each_time_and_written_over_nothing() {
    let home = Home::new();
    let ran = run(&home, "prompt tiny-model");
    assert!(ran.err.contains("tiny.gguf") && ran.err.contains("llama"), "{ran:#?}");
    assert_eq!(ran.succeeds(), "tiny.gguf\n");
    run(&home, "prompt tiny-model").fails(3, &["cannot write tiny.gguf"]);
    let told = run(&home, "prompt tiny-model same.gguf --format json").json();
    assert_eq!((&told["path"], &told["architecture"]), (&json!("same.gguf"), &json!("llama")), "{told:#}");
    run(&home, "prompt tiny-model other.gguf --seed 2").succeeds();
    let read = |name: &str| fs::read(home.path(name)).unwrap();
    assert_eq!(read("tiny.gguf"), read("same.gguf"));
    assert_ne!(read("tiny.gguf"), read("other.gguf"));
    run(&home, "prompt tiny-model a.gguf --seed=-1").fails(2, &["--seed"]);
    run(&home, "prompt tiny-model nowhere/a.gguf").fails(3, &["nowhere/a.gguf"]);
}

#[test]
fn a_model_disk_is_made_of_what_is_named() {
    let home = Home::new().with(&["mke2fs", "debugfs"]);
    run(&home, "prompt tiny-model tiny.gguf").succeeds();
    run(&home, "prompt model-disk").fails(2, &["MODEL"]);
    run(&home, "prompt model-disk tiny.gguf --extra-mib 0").fails(2, &["--extra-mib"]);
    run(&home, "prompt model-disk tiny.gguf --extra-mib lots").fails(2, &["--extra-mib"]);
    run(&home, "prompt model-disk tiny.gguf --output tiny.gguf").fails(2, &["is the model"]);
    let told =
        run(&home, "prompt model-disk tiny.gguf --output tiny.img --extra-mib 16 --format json").json();
    assert_eq!(
        (&told["disk"], &told["label"], &told["size_mib"]),
        (&json!("tiny.img"), &json!("ZOSIA_MODEL"), &json!(17))
    );
    let ran = run(&home, "prompt model-disk tiny.gguf --out again.img");
    assert!(ran.err.contains("wrote: again.img"), "{ran:#?}");
    assert_eq!(ran.succeeds(), "again.img\n");
    assert_eq!(fs::metadata(home.path("again.img")).unwrap().len(), 513 << 20);
}

#[test]
fn a_matrix_is_shown_before_it_is_measured() {
    let home = Home::new();
    let matrix = |words: &str| run(&home, &format!("prompt matrix --dry-run {words}")).succeeds();
    let first = "# threads|batch_threads|llama_args\n";
    assert_eq!(matrix("--cpus 4"), format!("{first}2|2|\n4|4|\n6|6|\n"));
    assert_eq!(matrix("--cpus 1"), format!("{first}1|1|\n3|3|\n"));
    let all = "2|1|\n2|8|\n4|1|\n4|8|\n2|1|-b,256\n2|8|-b,256\n4|1|-b,256\n4|8|-b,256\n";
    let told = matrix("--threads 2,4,2 --batch-threads 1,8 --args= --args -b,256");
    assert_eq!(told, format!("{first}{all}"));
    // What it prints, it reads.
    home.write("matrix.txt", &told);
    assert_eq!(matrix("--matrix matrix.txt"), told);
    home.write("own.txt", "# mine\n\n 4 | | -b 256 \n2|1\n4\n");
    assert_eq!(matrix("--matrix own.txt"), format!("{first}4|4|-b,256\n2|1|\n4|4|\n"));
    let json: Value = serde_json::from_str(&matrix("--threads 2 --args=-b,1 --format json")).unwrap();
    assert_eq!(json, json!([{"threads": 2, "batch_threads": 2, "args": "-b,1"}]));
    assert_eq!(home.names("state"), Vec::<String>::new());
}

#[test]
fn a_bad_matrix_is_refused_with_all_that_is_wrong() {
    let home = home_with_model();
    for (words, told) in [
        ("--threads=", "--threads"),
        ("--threads 1,,2", "--threads"),
        ("--threads ,", "--threads"),
        ("--batch-threads=", "--batch-threads"),
    ] {
        run(&home, &format!("prompt matrix tiny.gguf --dry-run {words}")).fails(2, &[told]);
    }
    let many: String = (1..=200).map(|number| format!("{number},")).collect();
    let many = many.trim_end_matches(',');
    let words = format!("prompt matrix --dry-run --threads {many} --batch-threads {many}");
    run(&home, &words).fails(2, &["40000 combinations are more than the 10000"]);
    home.write("bad.txt", "4|4|\nfour|4|\n4|0|\n\n4|4|-p,\u{e4}\n");
    let bad = "prompt matrix tiny.gguf --matrix bad.txt";
    run(&home, bad).fails(
        2,
        &["bad.txt", "line 2: threads `four`", "line 3: batch threads `0`", "line 5: the arguments"],
    );
    home.write("none.txt", "# nothing\n\n");
    run(&home, "prompt matrix tiny.gguf --matrix none.txt").fails(2, &["none.txt", "no combination"]);
    home.write("binary.txt", [0xff, 0xfe, b'\n']);
    run(&home, "prompt matrix tiny.gguf --matrix binary.txt").fails(2, &["binary.txt", "UTF-8"]);
    home.write("large.txt", "#\n".repeat(1 << 20));
    run(&home, "prompt matrix tiny.gguf --matrix large.txt").fails(2, &["large.txt", "1 MiB"]);
    for name in ["missing.txt", "/dev", "pipe"] {
        if name == "pipe" {
            nix::unistd::mkfifo(&home.path(name), nix::sys::stat::Mode::S_IRWXU).unwrap();
        }
        run(&home, &format!("prompt matrix tiny.gguf --matrix {name}")).fails(2, &[name]);
    }
    assert_eq!(home.names("state"), Vec::<String>::new());
}

/// An emulator that only arrives: enough to know that there is one, and too little for any machine.
fn home_with_emulator() -> Home {
    let home = Home::new().with_fake("qemu-system-x86_64", "emulator");
    run(&home, "prompt tiny-model tiny.gguf").succeeds();
    home
}

#[test]
fn results_of_something_else_are_refused_and_stay_as_they_are() {
    let home = home_with_emulator();
    let refused = |verb: &str, name: &str, told: &[&str]| {
        let before = fs::read(home.path(name)).ok();
        run(&home, &format!("prompt {verb} tiny.gguf --results {name}")).fails(2, told);
        assert_eq!(fs::read(home.path(name)).ok(), before, "{name}");
    };
    home.write("other.csv", "a,b,c\n1,2,3\n");
    home.write("more.csv", HEADER.replace(",ok", ",ok,more"));
    home.write("poem.csv", "roses are red");
    home.write("model.csv", fs::read(home.path("tiny.gguf")).unwrap());
    home.write("rows.csv", format!("{HEADER}now,4,4,,64,1.0,64.0,1\nnow,x,4,,64,1,1,1\nnow,4\n"));
    fs::create_dir(home.path("folder.csv")).unwrap();
    nix::unistd::mkfifo(&home.path("pipe.csv"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for verb in ["perf", "matrix"] {
        for name in ["other.csv", "more.csv", "poem.csv", "model.csv"] {
            refused(verb, name, &[name, "its first line is", HEADER.trim_end(), "name another file"]);
        }
        refused(verb, "rows.csv", &["line 3: threads `x`", "line 4: it has 2 fields instead of 8"]);
        for name in ["folder.csv", "/dev/null"] {
            refused(verb, name, &[name, "no plain file"]);
        }
        run(&home, &format!("prompt {verb} tiny.gguf --results pipe.csv"))
            .fails(2, &["pipe.csv", "no plain file"]);
        run(&home, &format!("prompt {verb} tiny.gguf --results tiny.gguf/a.csv")).fails(3, &["tiny.gguf"]);
    }
    assert!(!home.path("state/runs").exists());
}

/// Rows of every combination of `--threads 1,2`.
fn measured(home: &Home, name: &str, second: &str) {
    home.write(name, format!("{HEADER}2026-11-27T10:00:00Z,1,1,,64,2.000,32.00,1\n2026-11-27T10:01:00Z,2,2,,64,1.000,{second}\n"));
}

#[test]
fn what_was_measured_is_not_measured_again() {
    let home = home_with_emulator();
    measured(&home, "done.csv", "64.00,1");
    let without_load = json!({"2026-11-27T10:01:00Z t2 b2": 80.5, "2026-11-27T10:01:01Z t1 b1": 1.0});
    home.write(
        "done.machine.json",
        json!({"machine": {"uefi": false}, "without_load": without_load}).to_string(),
    );
    let before = fs::read(home.path("done.csv")).unwrap();
    let words = "prompt matrix tiny.gguf --threads 1,2 --results done.csv";
    let ran = run(&home, words);
    assert!(ran.err.contains("2 of 2 runs are in done.csv already; --again"), "{ran:#?}");
    assert!(ran.err.contains("SKIP prompt/t2 b2") && ran.err.contains("64.00 tokens a second"), "{ran:#?}");
    let table = ran.succeeds();
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["threads", "batch", "args", "runs", "ok", "tok/s", "without", "load", "seconds"]);
    assert_eq!(lines[1], ["2", "2", "1", "1", "64.00", "80.50", "1.000"]);
    assert_eq!(lines[2], ["1", "1", "1", "1", "32.00", "-", "2.000"]);
    assert_eq!(fs::read(home.path("done.csv")).unwrap(), before);

    let report = fs::read_to_string(home.path("state/runs/latest/report.html")).unwrap();
    assert!(report.contains("<section id=\"speed\">"), "two settings are compared");
    let told: Value =
        serde_json::from_slice(&fs::read(home.path("state/runs/latest/matrix.json")).unwrap()).unwrap();
    assert_eq!(
        (&told[0]["threads"], &told[0]["tok_per_s"], &told[1]["runs"]),
        (&json!(2), &json!(64.0), &json!(1))
    );

    let events = run(&home, &format!("{words} --format json")).succeeds();
    let best = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let best: Vec<Value> = best.filter(|event| event["figure"] == "tokens-per-second-mean").collect();
    assert_eq!((&best[0]["node"], &best[0]["value"]), (&json!("t2 b2"), &json!(64.0)), "{best:#?}");
}

#[test]
fn what_was_too_slow_before_is_too_slow_still() {
    let home = home_with_emulator();
    measured(&home, "slow.csv", "8.00,0");
    let words = "prompt matrix tiny.gguf --threads 1,2 --results slow.csv";
    let ran = run(&home, words);
    assert_eq!(ran.code, Some(5), "{ran:#?}");
    assert!(ran.err.contains("1 of 2 runs were too slow or failed"), "{ran:#?}");
    run(&home, &format!("{words} --no-fail-fast")).succeeds();
}

#[test]
fn a_line_that_was_half_written_goes() {
    let home = home_with_emulator();
    measured(&home, "torn.csv", "64.00,1");
    let whole = fs::read(home.path("torn.csv")).unwrap();
    home.write("torn.csv", [&whole[..], b"2026-11-27T10:02:00Z,4,4,\"-b,2"].concat());
    let ran = run(&home, "prompt matrix tiny.gguf --threads 1,2 --results torn.csv");
    assert!(ran.err.contains("torn.csv: its last line was half written"), "{ran:#?}");
    ran.succeeds();
    assert_eq!(fs::read(home.path("torn.csv")).unwrap(), whole);
}

#[test]
fn figures_of_two_machines_do_not_get_into_one_file() {
    let home = home_with_emulator();
    measured(&home, "one.csv", "64.00,1");
    let words = "prompt matrix tiny.gguf --threads 1,2 --results one.csv --cpus 2";
    run(&home, words).succeeds();
    run(&home, &words.replace("--cpus 2", "--cpus 1"))
        .fails(2, &["one.csv", "cpus is 2 there and 1 here", "--results"]);
    run(&home, "prompt tiny-model other.gguf --seed 2").succeeds();
    run(&home, &words.replace("tiny.gguf", "other.gguf"))
        .fails(2, &["model is \"tiny.gguf\" there and \"other.gguf\" here"]);
    run(&home, words).succeeds();
}

#[test]
fn results_that_cannot_be_written_are_told_before_anything_starts() {
    if system::host::is_root() {
        return;
    }
    let home = home_with_emulator();
    measured(&home, "fixed.csv", "64.00,1");
    fs::set_permissions(home.path("fixed.csv"), fs::Permissions::from_mode(0o444)).unwrap();
    run(&home, "prompt perf tiny.gguf --results fixed.csv").fails(3, &["fixed.csv"]);
    assert!(!Path::new(&home.path("state/runs")).exists());
}
