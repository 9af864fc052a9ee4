//! The prompts on a terminal: what is typed, Ctrl-C, Ctrl-D, and a line that goes dead.

use crate::guest::{End, Guest, Running};

const INTERRUPT: &str = "\x03";
const END_OF_FILE: &str = "\x04";

/// A stub that waits for something to be typed.
fn stub(guest: &Guest) -> Running {
    let mut running = guest.boot();
    running.expect("Type /poweroff to exit.\n> ");
    running
}

/// What follows on what is typed, up to the end.
fn answer(typed: &str) -> Option<String> {
    let guest = Guest::new("")?;
    let mut running = stub(&guest);
    running.type_in(typed);
    let (console, end) = running.end();
    assert_eq!(end, End::Off, "{console}");
    let (_, said) = console.split_once("Type /poweroff to exit.\n").unwrap();
    Some(said.strip_suffix("zosia: shutting down\n").unwrap().to_owned())
}

#[test]
fn stub_says_what_it_hears() {
    let Some(guest) = Guest::new("") else { return };
    let mut running = stub(&guest);
    running.type_in("hello  world\n").expect("hello  world\nassistant: hello world\n> ");
    running.type_in("\n").expect("\n> ");
    running.type_in("  \n").expect("  \n> ");
    running.type_in("* \\n $HOME %s -n\n").expect("assistant: * \\n $HOME %s -n\n> ");
    running.type_in("/help /poweroff\n").expect("assistant: /help /poweroff\n> ");
    running.type_in("/quit\n");
    assert_eq!(running.end().1, End::Off);
}

#[test]
fn words_that_end_the_stub() {
    for word in ["/poweroff", "/quit", "/exit"] {
        let Some(said) = answer(&format!("{word}\n")) else { return };
        assert_eq!(said, format!("> {word}\n\n"));
    }
}

#[test]
fn end_of_file_ends_the_stub() {
    let Some(said) = answer(END_OF_FILE) else { return };
    // The line that follows begins one.
    assert_eq!(said, "> \n");
}

#[test]
fn interrupt_gives_up_the_line() {
    let Some(guest) = Guest::new("") else { return };
    let mut running = stub(&guest);
    running.type_in("not this").type_in(INTERRUPT).expect("^C\n> ");
    running.type_in(INTERRUPT).expect("^C\n> ");
    running.type_in("but this\n").expect("assistant: but this\n> ");
    running.type_in("/exit\n");
    let (console, end) = running.end();
    assert_eq!(end, End::Off);
    assert!(!console.contains("assistant: not"), "{console}");
}

#[test]
fn interrupt_gives_up_the_answer() {
    let Some(guest) = Guest::new("") else { return };
    let mut running = stub(&guest);
    running
        .type_in(&"word ".repeat(500))
        .type_in("\n")
        .expect("assistant: word")
        .type_in(INTERRUPT)
        .expect("\n> ");
    running.type_in("/exit\n");
    assert_eq!(running.end().1, End::Off);
}

/// llama.cpp hears it, as programs do that want to.
#[test]
fn interrupt_reaches_llama() {
    let Some(guest) = Guest::new("") else { return };
    guest
        .model()
        .llama("llama-cli", "trap 'echo heard; exit 130' INT; echo ready; while :; do usleep 9000000; done");
    let mut running = guest.boot();
    running.expect("ready\n").type_in(INTERRUPT);
    let (console, end) = running.end();
    assert_eq!(end, End::Off, "{console}");
    assert!(
        console.ends_with("heard\n\nzosia: llama-cli ended with status 130\nzosia: shutting down\n"),
        "{console}"
    );
}

/// A window is as large as the one who sits before it says, and as it was where that makes no sense.
#[test]
fn windows_have_the_size_of_the_command_line() {
    for (flags, fits) in [
        ("zosia.rows=33 zosia.columns=101", true),
        ("zosia.rows=33", false),
        ("zosia.rows=3x zosia.columns=101", false),
    ] {
        let Some(guest) = Guest::new(flags) else { return };
        guest.model().llama("llama-cli", "/bin/busybox stty size");
        let (console, end) = guest.boot().end();
        assert_eq!(end, End::Off, "{console}");
        assert_eq!(console.contains("\n33 101\n"), fits, "{console}");
    }
}

/// A llama.cpp that does not listen to it yet is ended.
#[test]
fn interrupt_ends_llama() {
    for (flag, llama) in
        [("", "echo ready; usleep 9000000; echo late"), ("zosia.perf=1", "echo ready; usleep 9000000")]
    {
        let Some(guest) = Guest::new(flag) else { return };
        guest.model().llama("llama-cli", &format!("[ \"$1\" = --help ] && exit; {llama}"));
        let mut running = guest.boot();
        running.expect("ready\n").type_in(INTERRUPT);
        let (console, end) = running.end();
        assert_eq!(end, End::Off, "{console}");
        assert!(
            console.ends_with("ready\n^C\nzosia: llama-cli ended with status 130\nzosia: shutting down\n"),
            "{console}"
        );
    }
}

/// One that hears it and goes on all the same: so does llama-cli while it loads a model.
#[test]
fn interrupt_ends_a_llama_that_loads() {
    let Some(guest) = Guest::new("") else { return };
    // The process after the next one is to be llama.cpp.
    let before = "pid=$(($$ + 2)); busybox mkdir /proc/$pid; echo running >/proc/$pid/syscall; \
                  echo \"$pid (sh) R\" >/proc/self/stat";
    guest.file("proc/self/stat", "").program("/bin/ifconfig", before);
    guest.model().llama("llama-cli", "trap '' INT; echo ready; usleep 9000000; echo late");
    let mut running = guest.boot();
    running.expect("ready\n").type_in(INTERRUPT);
    let (console, end) = running.end();
    assert_eq!(end, End::Off, "{console}");
    let said = "ready\n^CKilled\n\nzosia: llama-cli ended with status 137\nzosia: shutting down\n";
    assert!(console.ends_with(said), "{console}");
}

/// A terminal that is set anew sends first what it still has, which it would lose at the end of its session.
#[test]
fn what_is_said_is_sent() {
    let Some(guest) = Guest::new("") else { return };
    guest.model().llama("llama-cli", "/bin/busybox stty -echo -icanon");
    guest.program("bin/poweroff", "busybox stty -a </dev/console >/calls; exec busybox poweroff -f");
    guest.transcript();
    let calls = guest.calls();
    assert!(calls.contains(" echo ") && !calls.contains("-icanon"), "{calls}");
}

/// It is nobody's then, and nobody waits for ever because of it.
#[test]
fn interrupt_before_the_prompt() {
    let Some(guest) = Guest::new("") else { return };
    guest.file("dev/vda", "").program("/bin/findfs", "echo looking >/dev/console; usleep 50000");
    let mut running = guest.boot();
    running
        .expect("looking\n")
        .type_in(INTERRUPT)
        .expect("\n> ")
        .type_in("hello\n")
        .expect("assistant: hello\n> ");
    running.type_in("/exit\n");
    assert_eq!(running.end().1, End::Off);
}

/// A measurement that goes on all the same comes to its end.
#[test]
fn interrupt_of_a_measurement() {
    let Some(guest) = Guest::new("zosia.perf=1") else { return };
    guest.model().llama(
        "llama-cli",
        "[ \"$1\" = --help ] && exit; trap 'exit 0' INT; echo ready; usleep 9000000; exit 1",
    );
    let mut running = guest.boot();
    running
        .expect("ready\n")
        .type_in(INTERRUPT)
        .expect("zosia: perf tokens=64 seconds=0.000 tok_per_s=640000.00\n");
    assert_eq!(running.end().1, End::Off);
}

/// The keys that quit or stop programs do neither.
#[test]
fn other_keys() {
    for key in ["\x1c", "\x1a"] {
        let Some(guest) = Guest::new("") else { return };
        let mut running = stub(&guest);
        running.type_in(key).type_in("/exit\n");
        assert_eq!(running.end().1, End::Off);
    }
}

/// What is typed gets to llama.cpp, and its end is the end.
#[test]
fn llama_reads_the_console() {
    let Some(guest) = Guest::new("") else { return };
    guest.model().llama("llama-cli", r#"echo ready; while read -r line; do echo "heard $line"; done"#);
    let mut running = guest.boot();
    running.expect("ready\n").type_in("hello\n").expect("heard hello\n").type_in(END_OF_FILE);
    let (console, end) = running.end();
    assert_eq!(end, End::Off);
    assert!(console.ends_with("heard hello\n\nzosia: shutting down\n"), "{console}");
}

#[test]
fn hang_up_at_the_stub() {
    let Some(guest) = Guest::new("") else { return };
    assert_eq!(stub(&guest).hang_up(), End::Off);
}

#[test]
fn hang_up_at_llama() {
    // One that reads, one that is deaf to it as well.
    for llama in ["echo ready; read -r _", "trap '' HUP; echo ready; read -r _"] {
        let Some(guest) = Guest::new("") else { return };
        guest.model().llama("llama-cli", llama);
        let mut running = guest.boot();
        running.expect("ready\n");
        assert_eq!(running.hang_up(), End::Off);
    }
}

/// Which of the kernel's consoles is a terminal that can have a session.
#[test]
fn console_that_is_none() {
    for active in ["", "ttyS7\n", "tty0 ttyS7\n"] {
        let Some(guest) = Guest::new("") else { return };
        guest.file("sys/class/tty/console/active", active);
        let mut running = stub(&guest);
        running.type_in("/exit\n");
        assert_eq!(running.end().1, End::Off);
    }
}
