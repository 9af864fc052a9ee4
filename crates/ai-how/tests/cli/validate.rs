//! `ai-how validate`: whatever a file holds, a clear answer, and soon.

use std::{
    fmt::Write as _,
    fs,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::home::{AI_HOW, Home, LAB, Ran};

/// A debug build on a busy machine gets more.
const LONGEST: Duration = Duration::from_secs(if cfg!(debug_assertions) { 15 } else { 1 });

/// Two errors, on lines 10 and 11.
fn wrong() -> String {
    LAB.replace("10.213.77.11}", "10.99.0.1}").replace("controller, address", "controller, adress")
}

fn warned() -> String {
    LAB.replace("10.213.77.11}", "10.213.77.11}\n      - {name: compute-02}")
}

/// Each has a name and content that is no config, in one way or another.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let before = format!("*a{}, ", level - 1).repeat(9);
        let _ = writeln!(laughs, "a{level}: &a{level} [{before}]");
    }
    let mut merges = "version: \"2.0\"\nbase: &m0 {a: 1}\n".to_owned();
    for level in 1..40 {
        let _ = writeln!(merges, "m{level}: &m{level} {{<<: [*m{0}, *m{0}], b{level}: *m{0}}}", level - 1);
    }
    let blocks: String = (0..5000).map(|depth| format!("{}a:\n", " ".repeat(depth % 900))).collect();
    vec![
        ("empty", Vec::new()),
        ("only-comments", b"# nothing here\n\n# and here\n".to_vec()),
        ("not-yaml", b"<?xml version=\"1.0\"?>\n<lab name=\"x\">]]></lab>\n".to_vec()),
        ("elf", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0".to_vec()),
        ("every-byte", (0..=255).collect()),
        ("zeroes", vec![0; 4096]),
        ("utf-16", LAB.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("ten-megabytes", format!("{LAB}# {}\n", "x".repeat(10 << 20)).into_bytes()),
        ("ten-megabytes-of-nodes", "- {name: n, cpus: 1}\n".repeat(500_000).into_bytes()),
        ("deep-flow", "[".repeat(500_000).into_bytes()),
        (
            "deep-flow-that-closes",
            format!("version: {}{}", "[".repeat(200_000), "]".repeat(200_000)).into_bytes(),
        ),
        ("deep-blocks", blocks.into_bytes()),
        ("deep-sequences", "- ".repeat(300_000).into_bytes()),
        ("billion-laughs", laughs.into_bytes()),
        ("merges-that-double", merges.into_bytes()),
        ("alias-of-itself", b"version: &a [*a]\n".to_vec()),
        ("tabs", LAB.replace("  ", "\t").into_bytes()),
        ("one-tab", LAB.replace("    kind", "\tkind").into_bytes()),
        ("several-documents", format!("{LAB}---\n{LAB}").into_bytes()),
        ("top-is-a-list", b"- version: \"2.0\"\n".to_vec()),
        ("top-is-a-word", b"lab\n".to_vec()),
        ("wrong-types", b"version: \"2.0\"\nname: [x]\ndescription: {a: b}\nclusters: 7\n".to_vec()),
        (
            "wrong-types-deeper",
            LAB.replace("[compute-01]", "{a: 1}")
                .replace("{subnet: 10.213.77.0/24}", "[1, 2]")
                .replace("{cpus: 1, memory_mib: 256, disk_gib: 2}", "\"none\"")
                .replace("slurm", "[]")
                .into_bytes(),
        ),
        ("nulls", b"version: \"2.0\"\nname: ~\nclusters: ~\n".to_vec()),
        (
            "numbers-out-of-range",
            LAB.replace("memory_mib: 256", "memory_mib: 99999999999999999999").into_bytes(),
        ),
        ("negative", LAB.replace("cpus: 1", "cpus: -1").into_bytes()),
        ("not-a-number", LAB.replace("cpus: 1", "cpus: .nan").into_bytes()),
        (
            "old-types",
            b"version: \"1.0\"\nmetadata: 1\nglobal: []\nclusters: {hpc: [], cloud: \"x\"}\n".to_vec(),
        ),
        ("expansion", b"version: \"1.0\"\nmetadata: {name: \"${A:-${B:-${C:-\", description: x}\n".to_vec()),
        ("end-of-line-missing", b"version: \"2.0\"\nname: \"".to_vec()),
        ("only-carriage-returns", LAB.replace('\n', "\r").replace("slurm", "slum").into_bytes()),
    ]
}

#[test]
fn hostile_files_get_an_error_with_a_place_and_soon() {
    let home = Home::new();
    for (name, content) in hostile() {
        let file = home.write(format!("{name}.yaml"), content);
        let begin = Instant::now();
        let ran = home.run(["validate".as_ref(), file.as_os_str()]);
        let elapsed = begin.elapsed();
        assert_eq!(ran.code, Some(1), "{name}: {ran:#?}");
        let place = ran.out.split(&format!("{name}.yaml:")).nth(1).unwrap_or_default();
        let mut numbers = place.lines().next().unwrap_or_default().split(':').map(str::parse::<u32>);
        assert!(
            matches!((numbers.next(), numbers.next()), (Some(Ok(1..)), Some(Ok(1..)))),
            "{name}: {}",
            ran.out
        );
        assert!(ran.out.contains("error["), "{name}: {}", ran.out);
        assert!(ran.out.len() < 100_000, "{name}: {} bytes are too many to read", ran.out.len());
        assert!(elapsed < LONGEST, "{name}: {elapsed:?}");
    }
}

#[test]
fn a_mark_windows_line_ends_and_both_are_fine() {
    let home = Home::new();
    let windows = LAB.replace('\n', "\r\n");
    for (name, content) in [
        ("mark", format!("\u{feff}{LAB}")),
        ("windows", windows.clone()),
        ("both", format!("\u{feff}{windows}")),
        ("no-last-line-end", LAB.trim_end().to_owned()),
    ] {
        let file = home.write(format!("{name}.yaml"), content);
        let ran = home.run(["validate".as_ref(), file.as_os_str()]);
        assert_eq!(ran.code, Some(0), "{name}: {ran:#?}");
    }
    // A mark takes no column, and a line end of two bytes is one.
    let file = home.write("wrong.yaml", format!("\u{feff}{}", wrong().replace('\n', "\r\n")));
    let ran = home.run(["validate".as_ref(), file.as_os_str()]);
    assert!(ran.out.contains("wrong.yaml:10:"), "{ran:#?}");
}

#[test]
fn what_cannot_be_read_is_a_usage_error() {
    let home = Home::new();
    fs::create_dir(home.path("folder")).unwrap();
    home.run(["validate", "folder"]).fails(2, &["cannot read folder", "Is a directory"]);
    home.run(["validate", "nowhere.yaml"]).fails(2, &["cannot read nowhere.yaml", "No such file"]);
    home.run(["validate", "lab.yaml/below"]).fails(2, &["cannot read lab.yaml/below"]);
    home.run(["plan", "nowhere.yaml"]).fails(2, &["cannot read nowhere.yaml"]);
    // Whoever is root reads what others may not; nobody reads another process's memory from its beginning.
    home.run(["validate", "/proc/self/mem"]).fails(2, &["cannot read /proc/self/mem"]);
    home.run(["validate", "--no-such-option"]).fails(2, &["--no-such-option"]);
    // Without a file it is the default one, which is not there.
    home.run(["validate"]).fails(2, &["cannot read config/lab.yaml"]);
}

#[test]
fn a_file_without_an_end_is_answered() {
    let ran = Home::new().run(["validate", "/dev/zero"]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.out.contains("/dev/zero:1:1") && ran.out.contains("more than 64 MiB"), "{ran:#?}");
}

#[test]
fn a_pipe_that_nobody_writes_to_holds_nothing_up() {
    let home = Home::new();
    let mode = nix::sys::stat::Mode::S_IRWXU;
    nix::unistd::mkfifo(&home.path("pipe"), mode).unwrap();
    for command in
        [&["validate"][..], &["plan"], &["render"], &["cluster", "start"], &["topology", "--config"]]
    {
        let ran = home.run_soon([command, &["pipe"]].concat());
        ran.fails(2, &["cannot read pipe", "it is not a plain file"]);
    }
    let taken = ["cluster", "take-over", "lab.yaml", "--from", "pipe"];
    home.run_soon(taken).fails(2, &["cannot read pipe", "it is not a plain file"]);
    // In the place of another lab's plan.
    fs::create_dir_all(home.path("state/labs/other")).unwrap();
    nix::unistd::mkfifo(&home.path("state/labs/other/plan.json"), mode).unwrap();
    assert_eq!(home.run_soon(["validate", "lab.yaml"]).succeeds(), "lab.yaml: valid\n");
}

#[test]
fn what_a_shell_hands_over_is_read() {
    let home = Home::new();
    for script in [
        "cat lab.yaml | \"$AI_HOW\" validate /dev/stdin",
        "\"$AI_HOW\" validate /dev/stdin < lab.yaml",
        "\"$AI_HOW\" validate <(sleep 0.3; cat lab.yaml)",
    ] {
        let mut shell = home.surround("bash", ["-c", script]);
        shell.env("AI_HOW", AI_HOW).env("PATH", std::env::var_os("PATH").unwrap());
        let out = Ran::of(shell.output().unwrap()).succeeds();
        assert!(out.ends_with(": valid\n"), "{script}: {out}");
    }
}

#[test]
fn what_is_not_on_this_host_is_a_warning_for_another_one() {
    let home = Home::new();
    let mount = |path: &str| format!("compute-01, mounts: [{{tag: t, host_path: {path}, mount_point: /t}}],");
    for (from, to, code) in [
        ("image: debian-13", "image: nothere.qcow2".to_owned(), "missing-image"),
        ("name: compute-01,", format!("name: {}", mount("/nonexist")), "missing-directory"),
        // A file is no directory.
        (
            "name: compute-01,",
            format!("name: {}", mount(&home.path("lab.yaml").display().to_string())),
            "missing-directory",
        ),
    ] {
        home.write("a/wrong.yaml", LAB.replace(from, &to));
        for strict in [&[][..], &["--strict"]] {
            let out = home.run([&["validate", "a/wrong.yaml"], strict].concat()).succeeds();
            assert!(
                out.contains(&format!("warning[{code}]")) && out.ends_with("valid, 1 warning\n"),
                "{out}"
            );
        }
    }
    // A relative path begins at the file's folder.
    home.write("a/wrong.yaml", LAB.replace("image: debian-13", "image: nothere.qcow2"));
    home.write("a/nothere.qcow2", "");
    assert_eq!(home.run(["validate", "a/wrong.yaml"]).succeeds(), "a/wrong.yaml: valid\n");
}

#[test]
fn an_image_that_nobody_builds_is_refused_before_anything_is_made() {
    let home = Home::new();
    home.write("wrong.yaml", LAB.replace("image: debian-13", "image: debain-13"));
    let ran = home.run(["validate", "wrong.yaml"]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(
        ran.out.contains("error[unknown-image]") && ran.out.contains("did you mean `debian-13`?"),
        "{ran:#?}"
    );
    let ran = home.run(["cluster", "start", "--dry-run", "wrong.yaml"]);
    assert_eq!(ran.code, Some(4), "{ran:#?}");
    assert!(ran.err.contains("error[unknown-image]"), "{ran:#?}");
}

#[test]
fn what_words_and_text_show_does_nothing_to_a_terminal() {
    const CLEAR: &str = "\u{1b}[2J\u{7}";
    let home = Home::new();
    for arguments in [
        &["validate", CLEAR][..],
        &["plan", CLEAR],
        &["lo\u{1b}[2Jgs"],
        &["cluster", "start", "lab.yaml", CLEAR],
        &["cluster", "start", "lab.yaml", "--dry-run", "--cluster", CLEAR],
        &["cluster", "start", "lab.yaml", "--dry-run", "--cluster", CLEAR, "--format", "json"],
    ] {
        let ran = home.run(arguments);
        assert_eq!(ran.code, Some(2), "{ran:#?}");
        assert!(!ran.err.contains(['\u{1b}', '\u{7}']) && ran.err.contains("[2J"), "{ran:#?}");
    }
    let name = home.write("\u{1b}[2J.yaml", wrong());
    let ran = home.run(["validate".as_ref(), name.as_os_str()]);
    assert!(!ran.out.contains('\u{1b}') && ran.out.contains("[2J.yaml:10:"), "{ran:#?}");
    home.write(
        "named.yaml",
        r#"version: "1.0"
metadata: {name: "a\e[2Jb", description: x}
clusters:
  hpc:
    name: hpc
    base_image_path: "images/\e[2J.qcow2"
    network: {subnet: 10.213.78.0/24, bridge: virbr78}
    controller: {cpu_cores: 1, memory_gb: 1, disk_gb: 10, ip_address: 10.213.78.10}
    compute_nodes: [{cpu_cores: 1, memory_gb: 1, disk_gb: 10, ip: 10.213.78.11}]
    slurm_config: {partitions: [debug], default_partition: debug}
"#,
    );
    for arguments in [
        &["plan", "named.yaml"][..],
        &["plan", "named.yaml", "--format", "dot"],
        &["plan", "named.yaml", "--format", "mermaid"],
        &["plan", "clusters", "named.yaml"],
        &["topology", "--config", "named.yaml"],
        &["validate", "named.yaml"],
        &["cluster", "start", "--dry-run", "named.yaml"],
    ] {
        let out = home.run(arguments).succeeds();
        assert!(!out.contains('\u{1b}') && !out.is_empty(), "{arguments:?}: {out}");
    }
}

#[test]
fn sizes_beyond_all_machines_are_shown_as_the_largest() {
    let home = Home::new();
    let text = r#"version: "1.0"
metadata: {name: huge, description: x}
clusters:
  hpc:
    name: hpc
    network: {subnet: 10.213.78.0/24, bridge: virbr78}
    controller: {cpu_cores: 4294967295, memory_gb: 18446744073709551615, disk_gb: 18446744073709551615, ip_address: 10.213.78.10}
    compute_nodes: [{cpu_cores: 4294967295, memory_gb: 18014398509481984, disk_gb: 10, ip: 10.213.78.11}]
    slurm_config: {partitions: [debug], default_partition: debug}
"#;
    home.write("huge.yaml", text);
    for arguments in [&["plan", "huge.yaml"][..], &["topology", "--config", "huge.yaml"]] {
        let out = home.run(arguments).succeeds();
        assert!(out.contains("2048 virtual CPUs, 134217728 MiB"), "{out}");
    }
    let told = home.run(["validate", "huge.yaml"]).succeeds();
    assert_eq!(told.matches("warning[out-of-range]").count(), 5, "{told}");
    assert!(told.contains("warning[host-memory]") && told.contains("warning[host-disk]"), "{told}");
}

#[test]
fn every_file_is_told_about_even_beside_one_that_is_not_there() {
    let home = Home::new();
    home.write("wrong.yaml", wrong());
    home.write("empty.yaml", "");
    let ran = home.run(["validate", "lab.yaml", "wrong.yaml", "empty.yaml"]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    for words in ["wrong.yaml:10:", "wrong.yaml:12:", "empty.yaml:1:1"] {
        assert!(ran.out.contains(words), "{words}: {}", ran.out);
    }
    assert!(ran.out.starts_with("lab.yaml: valid\n") && ran.err.is_empty(), "{ran:#?}");

    let ran = home.run(["validate", "wrong.yaml", "nowhere.yaml", "lab.yaml", "--format", "json"]);
    assert_eq!(ran.code, Some(2), "{ran:#?}");
    assert!(ran.err.contains("cannot read nowhere.yaml"), "{ran:#?}");
    let found = ran.json();
    assert_eq!(
        (&found[0]["valid"], &found[1]["valid"]),
        (&Value::Bool(false), &Value::Bool(true)),
        "{found:#}"
    );
    // The shape follows the number of files that were asked for, not of those that are there.
    assert!(home.run(["validate", "lab.yaml", "nowhere.yaml", "--format", "json"]).json().is_array());
    assert!(home.run(["validate", "lab.yaml", "--format", "json"]).json().is_object());
}

#[test]
fn a_warning_is_an_error_only_when_asked() {
    let home = Home::new();
    home.write("warned.yaml", warned());
    let ran = home.run(["validate", "warned.yaml"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(
        ran.out.contains("warning[idle-node]") && ran.out.ends_with("warned.yaml: valid, 1 warning\n"),
        "{ran:#?}"
    );
    let ran = home.run(["validate", "--strict", "warned.yaml"]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.out.contains("error[idle-node]"), "{ran:#?}");
}

#[test]
fn findings_for_programs_hold_file_line_and_column() {
    let home = Home::new();
    home.write("wrong.yaml", wrong());
    let run = |format: &str| {
        let ran = home.run(["validate", "wrong.yaml", "lab.yaml", "--format", format]);
        assert_eq!(ran.code, Some(1), "{ran:#?}");
        assert_eq!(ran.err, "", "{format}");
        ran
    };
    let json = run("json").json();
    let first = &json[0]["diagnostics"][0];
    assert_eq!(json[0]["file"], "wrong.yaml");
    assert_eq!((&first["line"], &first["column"]), (&10.into(), &36.into()), "{first:#}");
    assert_eq!(json[1]["diagnostics"], Value::Array(Vec::new()));

    let github = run("github").out;
    assert!(github.starts_with("::error file=wrong.yaml,line=10,col=36,"), "{github}");
    assert!(github.lines().all(|line| line.starts_with("::error ")), "{github}");

    let sarif = run("sarif").json();
    assert_eq!(sarif["version"], "2.1.0");
    let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "wrong.yaml");
    assert_eq!((&place["region"]["startLine"], &place["region"]["startColumn"]), (&10.into(), &36.into()));
}

#[test]
fn a_name_that_is_no_text_is_taken_as_it_is() {
    let home = Home::new();
    let name = std::ffi::OsStr::from_bytes(b"la\xffb.yaml");
    home.write(name, wrong());
    for format in ["text", "json", "github", "sarif"] {
        let ran = home.run(["validate".as_ref(), name, "--format".as_ref(), format.as_ref()]);
        assert_eq!(ran.code, Some(1), "{ran:#?}");
    }
}

/// Runs with stdout, stderr or both on a terminal and returns what reached each.
fn on_a_terminal(home: &Home, out: bool, err: bool, no_color: bool) -> (String, String) {
    let terminal = || {
        let pty = nix::pty::openpty(None, None).expect("a terminal");
        (pty.master, pty.slave)
    };
    let pipe = || {
        let (reader, writer) = std::io::pipe().unwrap();
        (OwnedFd::from(reader), OwnedFd::from(writer))
    };
    let (out_reader, out_writer) = if out { terminal() } else { pipe() };
    let (err_reader, err_writer) = if err { terminal() } else { pipe() };
    let mut command = home.command(["validate", "wrong.yaml"]);
    command.stdout(out_writer).stderr(err_writer);
    if no_color {
        command.env("NO_COLOR", "1");
    }
    command.status().expect("the program starts");
    // The writers that are left are the command's own.
    drop(command);
    (drained(out_reader), drained(err_reader))
}

/// All that is left in a pipe or a terminal. A terminal that nobody writes to any more ends with an error.
fn drained(reader: OwnedFd) -> String {
    let mut text = Vec::new();
    let _ = std::io::Read::read_to_end(&mut fs::File::from(reader), &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn colour_goes_to_terminals_only_and_only_when_wanted() {
    let home = Home::new();
    home.write("wrong.yaml", wrong());
    for (out, err, no_color, coloured) in [
        (true, true, false, true),
        (true, true, true, false),
        // Data that goes to a file stays plain although words go to a terminal.
        (false, true, false, false),
        (false, false, false, false),
    ] {
        let (data, words) = on_a_terminal(&home, out, err, no_color);
        let told = format!("stdout is a terminal: {out}, stderr: {err}, NO_COLOR: {no_color}\n{data}{words}");
        assert!(data.contains("wrong.yaml:10:36"), "{told}");
        assert_eq!(data.contains('\u{1b}'), coloured, "{told}");
        assert!(!no_color || !words.contains('\u{1b}'), "{told}");
    }
}

#[test]
fn every_example_is_answered_as_the_library_answers() {
    let home = Home::new();
    let config = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let files: Vec<_> = fs::read_dir(config.join("invalid"))
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    assert!(files.len() > 40, "{files:?}");
    let output = home.command(["validate", "--strict", "--format", "github"]).args(&files).output().unwrap();
    let ran = Ran::of(output);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    // What the host has too little of depends on the host.
    let of_the_host = ["host-memory.yaml", "host-disk.yaml", "host-subnet.yaml"];
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let found = ran.out.contains(&format!("/{name},line="));
        assert!(found || of_the_host.contains(&name.as_str()), "nothing is said about {name} by {AI_HOW}");
    }
}
