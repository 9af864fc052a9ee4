//! What is said on the port that a host listens at, when the boot is over.

use crate::guest::{End, Guest};

/// A port of this name, and one that is somebody else's.
fn ports(guest: &Guest) {
    guest.file("sys/class/virtio-ports/vport0p1/name", "org.qemu.guest_agent.0\n").file("dev/vport0p1", "");
    guest.file("sys/class/virtio-ports/vport1p1/name", "ai-how.ready\n").file("dev/vport1p1", "");
}

fn told(mode: &str) -> String {
    format!("{{\"state\":\"ready\",\"uptime\":1.50,\"mode\":\"{mode}\"}}\n")
}

/// A port that is a file is written anew each time, so it has the last word alone.
const LOADING: &str = "{\"state\":\"loading\",\"uptime\":1.50,\"mode\":\"prompt\"}\n";

#[test]
fn modes() {
    for (command_line, mode) in [
        ("zosia.ci=1", "prompt"),
        ("zosia.diag=1", "diag"),
        ("zosia.selftest=1", "selftest"),
        ("zosia.perf=1", "perf"),
        ("", "prompt"),
    ] {
        let Some(guest) = Guest::new(command_line) else { return };
        // Longer than it takes to tell.
        guest.model().llama("llama-cli", "usleep 20000");
        ports(&guest);
        guest.program("bin/poweroff", "usleep 20000; exec busybox poweroff -f");
        guest.transcript();
        assert_eq!(guest.read("dev/vport1p1"), told(mode), "{command_line}");
        assert_eq!(guest.read("dev/vport0p1"), "");
    }
}

/// The kernel's own word on what that process, the one that starts llama.cpp, waits for.
const CALL: &str = "proc/77/syscall";

/// A model takes long to load, and before that nobody is heard.
#[test]
fn a_prompt_that_is_read() {
    for call in ["0 0x0", "63 0x0"] {
        let Some(guest) = Guest::new("") else { return };
        ports(&guest);
        guest.file("proc/self/stat", "77 (sh) R\n").file(CALL, "202 0x7f00 0x0\n");
        let loads = format!(
            "usleep 700000; echo so far $(busybox cat /dev/vport1p1); echo '{call} 0x7f00' >/{CALL}; read -r _"
        );
        let mut running = guest.model().llama("llama-cli", &loads).boot();
        assert!(running.wait_until(|| guest.read("dev/vport1p1") == told("prompt")), "{call}");
        running.type_in("\n");
        let (console, end) = running.end();
        assert_eq!(end, End::Off, "{console}");
        assert!(console.contains(&format!("so far {LOADING}")), "{console}");
    }
}

/// Whose model cannot be loaded has no prompt; and one that only answers never reads.
#[test]
fn a_prompt_that_is_not_read() {
    for (program, word) in [("llama-cli", LOADING.to_owned()), ("llama-run", told("prompt"))] {
        let Some(guest) = Guest::new("zosia.allow_llama_run=1") else { return };
        ports(&guest);
        guest.file("proc/self/stat", "77 (sh) R\n").file(CALL, "running\n");
        guest.model().llama(program, &format!("[ \"$1\" = --help ] && exit; usleep 700000; rm /{CALL}"));
        guest.transcript();
        assert_eq!(guest.read("dev/vport1p1"), word, "{program}");
    }
}

#[test]
fn stub() {
    let Some(guest) = Guest::new("") else { return };
    ports(&guest);
    let mut running = guest.boot();
    running.expect("\n> ");
    assert!(running.wait_until(|| guest.read("dev/vport1p1") == told("stub")));
}

/// A write waits until the host has opened its end.
#[test]
fn nobody_listens() {
    let Some(guest) = Guest::new("") else { return };
    ports(&guest);
    guest.remove("dev/vport1p1").fifo("dev/vport1p1");
    let mut running = guest.boot();
    running.expect("\n> ").type_in("/poweroff\n");
    assert_eq!(running.end().1, End::Off);
}

/// It is told only what came true.
#[test]
fn nothing_begins() {
    let Some(guest) = Guest::new("zosia.llama_threads=abc") else { return };
    ports(&guest);
    guest.transcript();
    assert_eq!(guest.read("dev/vport1p1"), "");
}
