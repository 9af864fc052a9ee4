//! `ai-how prompt` with real machines: on a terminal, through a pipe, killed, and out of the same packages twice.

use std::{
    fs,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    pty::{Winsize, openpty},
};
use serde_json::Value;
use std::os::fd::AsFd;

use crate::bench::{Bench, signal, words};

/// How long a machine may take to say something, on a busy host that emulates it.
const LIMIT: Duration = Duration::from_secs(180);

/// The program on a terminal of its own.
struct Terminal {
    child: Child,
    master: fs::File,
    said: String,
}

impl Terminal {
    fn new(mut command: Command) -> Self {
        let size = Winsize { ws_row: 37, ws_col: 111, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        // Who has the other end, too, would never see this one go.
        fcntl(&pty.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        let end = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
        command.stdin(end(&pty.slave)).stdout(end(&pty.slave)).stderr(end(&pty.slave));
        let child = command.spawn().unwrap();
        Self { child, master: fs::File::from(pty.master), said: String::new() }
    }

    fn type_in(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until it has said this since it was asked last.
    fn expect(&mut self, text: &str) {
        let limit = Instant::now() + LIMIT;
        while !self.said.contains(text) {
            assert!(Instant::now() < limit, "it never said {text:?}: {}", self.said);
            let mut fds = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::from(200_u8)).unwrap() == 0 {
                continue;
            }
            let mut buffer = [0; 4096];
            // A terminal that nobody has open any more reads as an error.
            let count = self.master.read(&mut buffer).unwrap_or(0);
            assert_ne!(count, 0, "it ended before it said {text:?}: {}", self.said);
            self.said.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        let end = self.said.find(text).unwrap() + text.len();
        self.said.drain(..end);
    }

    fn status(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

fn appliance(bench: &Bench, arguments: &[&str]) -> Terminal {
    Terminal::new(bench.command(&[&["prompt", "run"], arguments].concat()))
}

fn tiny(bench: &Bench) {
    bench.ok(&["prompt", "tiny-model", "tiny.gguf"]);
}

#[test]
fn a_terminal_is_the_guests_until_it_powers_off() {
    let bench = Bench::new();
    let mut terminal = appliance(&bench, &[]);
    terminal.expect("zosia: init\r\n");
    terminal.expect("> ");
    terminal.type_in("hello there\r");
    terminal.expect("assistant: hello there\r\n");
    // The guest hears Ctrl-C, and nobody else does.
    terminal.type_in("not this\u{3}");
    terminal.expect("^C");
    terminal.expect("> ");
    terminal.type_in("/poweroff\r");
    terminal.expect("zosia: shutting down");
    terminal.expect("powered off; the prompt came ");
    assert_eq!(terminal.status(), Some(0));
    bench.assert_clean("a talk");

    let mut terminal = appliance(&bench, &[]);
    terminal.expect("> ");
    terminal.type_in("\u{1d}");
    terminal.expect("its power was taken");
    assert_eq!(terminal.status(), Some(0));
    bench.assert_clean("Ctrl-]");
}

#[test]
fn uefi_boots_it_too() {
    let bench = Bench::new();
    for arch in ["x86_64", "aarch64"] {
        let smoke = bench.ok(&[
            "prompt",
            "smoke",
            "--uefi",
            "--memory-mib",
            "512",
            "--arch",
            arch,
            "--format",
            "json",
        ]);
        assert!(smoke.contains(r#""check":"smoke","node":"prompt","outcome":"passed""#), "{arch}: {smoke}");
    }
    bench.assert_clean("UEFI");
}

#[test]
fn a_model_answers_on_both_architectures() {
    let bench = Bench::new();
    tiny(&bench);
    for arch in ["x86_64", "aarch64"] {
        let told = bench.ok(&["prompt", "smoke", "tiny.gguf", "--arch", arch, "--format", "json"]);
        let events: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for figure in ["kernel-start-to-prompt", "power-on-to-prompt"] {
            let found = events.iter().find(|event| event["figure"] == figure);
            let seconds = found.and_then(|event| event["value"].as_f64());
            assert!(seconds.is_some_and(|seconds| seconds > 0.1), "{arch} {figure}: {told}");
        }
        bench.ok(&["prompt", "diag", "--arch", arch]);
        bench.assert_clean(arch);
    }
    let perf = ["prompt", "perf", "tiny.gguf", "--tokens", "8", "--results", "r.csv", "--min-tok-s"];
    let told = bench.ok(&[&perf[..], &["0.01"]].concat());
    assert!(told.contains("tokens=8 ok=1"), "{told}");
    // A threshold that no machine holds is a failed check, and is written down as one.
    let slow = bench.run(&[&perf[..], &["1000000"]].concat());
    assert_eq!(slow.status.code(), Some(5), "{}", words(&slow));
    let rows = fs::read_to_string(bench.path("r.csv")).unwrap();
    let rows: Vec<&str> = rows.lines().collect();
    assert_eq!(rows[0], "timestamp,threads,batch_threads,args,tokens,seconds,tok_per_s,ok");
    assert!(rows.len() == 3 && rows[1].ends_with(",1") && rows[2].ends_with(",0"), "{rows:?}");
}

/// A machine that says its first line and hangs is no machine that boots; one that says a value makes no sense powers off.
#[test]
fn what_goes_wrong_is_told_and_ends() {
    let bench = Bench::new();
    let hangs = r#"rdinit=/bin/sh -- -c "echo zosia: init; sleep 99999""#;
    let ran = bench.run(&["prompt", "smoke", "--append", hangs, "--timeout", "1"]);
    assert_eq!(ran.status.code(), Some(5), "{}", words(&ran));
    assert!(words(&ran).contains(" did not come within "), "{}", words(&ran));
    for (append, line) in [
        ("zosia.llama_threads=abc", "zosia: invalid zosia.llama_threads=abc: no whole number from 1 to 512"),
        (
            "zosia.perf.tokens=999999",
            "zosia: invalid zosia.perf.tokens=999999: no whole number from 1 to 100000",
        ),
        ("zosia.llama_args=,, zosia.ci=1", "zosia: zosia.llama_args=,, is empty; the default is used"),
    ] {
        let ran = bench.run(&["prompt", "run", "--append", append]);
        let said = words(&ran);
        assert!(
            ran.status.success() && said.contains(line) && said.contains("zosia: shutting down"),
            "{said}"
        );
    }
    let long = bench.run(&["prompt", "run", "--append", &"x".repeat(10_000)]);
    assert!(long.status.code() == Some(2) && words(&long).contains("10000 bytes"), "{}", words(&long));
    bench.assert_clean("what went wrong");
}

/// Whoever ends the command, and however, ends the machine; what a kill leaves of its folder goes with the next one.
#[test]
fn a_command_that_ends_takes_its_machine_along() {
    let bench = Bench::new();
    for name in ["HUP", "TERM", "KILL"] {
        let mut terminal = appliance(&bench, &[]);
        terminal.expect("zosia: init");
        signal(name, terminal.child.id());
        let code = terminal.status();
        assert_eq!(code, (name != "KILL").then_some(130), "{name}");
        bench.assert_clean(name);
    }
    let labs = || fs::read_dir(bench.path("state/labs")).unwrap().count();
    assert_eq!(labs(), 1);
    bench.ok(&["prompt", "smoke"]);
    assert_eq!(labs(), 0);
    // A terminal that is closed in the middle.
    let mut terminal = appliance(&bench, &[]);
    terminal.expect("zosia: init");
    let Terminal { mut child, master, .. } = terminal;
    drop(master);
    assert!(child.wait().unwrap().code().is_some());
    bench.assert_clean("a terminal that was closed");
}

#[test]
fn the_same_packages_give_the_same_bytes() {
    let bench = Bench::new();
    let build = |cache: Option<&str>| -> Value {
        let mut command = bench.command(&["prompt", "build", "--format", "json"]);
        if let Some(cache) = cache {
            command.env("AI_HOW_CACHE", bench.path(cache));
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let fresh = build(Some("fresh"));
    let size = |value: &Value| {
        let parts = value["parts"].as_array().unwrap();
        parts.iter().find(|part| part["name"] == "initrd").unwrap()["size"].as_u64().unwrap()
    };
    assert!(size(&fresh) <= 40_000_000, "{}", size(&fresh));
    for what in ["/bin/busybox", "/init", "/usr/bin/llama-cli"] {
        let path = &what[1..];
        assert!(fresh["contents"].as_array().unwrap().iter().any(|file| file["path"] == path), "{what}");
    }
    let mut there = build(None);
    if there["packages"] != fresh["packages"] {
        // The mirror has newer ones since the other was built.
        there = build(Some("other"));
    }
    assert_eq!(there["packages"], fresh["packages"]);
    assert_eq!(there["parts"], fresh["parts"]);
    // What is there takes no time.
    let watch = Instant::now();
    build(Some("fresh"));
    assert!(watch.elapsed() < Duration::from_secs(2), "{:?}", watch.elapsed());
}
