//! PID 1 outlives everything, and powers off.

use crate::guest::{End, Guest};

/// What is said after `zosia: init` when this is all there is of a session.
fn session(script: &str) -> Option<String> {
    let guest = Guest::new("")?;
    guest.program("lib/zosia/session", script);
    Some(guest.transcript())
}

#[test]
fn session_that_fails() {
    let Some(console) = session("exit 7") else { return };
    assert_eq!(console, "zosia: init\nzosia: the session ended with status 7\nzosia: shutting down\n");
}

/// What a session ends with that such a signal ends.
macro_rules! killed {
    ($($name:ident: $signal:literal => $status:literal;)*) => { $(
        #[test]
        fn $name() {
            let Some(console) = session(concat!("kill -", $signal, " $$; usleep 9000000")) else { return };
            let end = concat!("zosia: the session ended with status ", $status, "\nzosia: shutting down\n");
            assert!(console.ends_with(end), "{console}");
        }
    )* };
}

killed! {
    session_that_is_killed: "KILL" => "137";
    session_that_is_terminated: "TERM" => "143";
    session_that_crashes: "SEGV" => "139";
}

/// By what it started.
#[test]
fn session_that_llama_kills() {
    let Some(guest) = Guest::new("") else { return };
    guest.model().llama("llama-cli", "kill -KILL $PPID; usleep 50000");
    let console = guest.transcript();
    assert!(
        console.ends_with("\nzosia: the session ended with status 137\nzosia: shutting down\n"),
        "{console}"
    );
}

#[test]
fn session_that_is_not_there() {
    let Some(guest) = Guest::new("") else { return };
    guest.remove("lib/zosia/session");
    let console = guest.transcript();
    assert!(
        console.ends_with("\nzosia: the session ended with status 127\nzosia: shutting down\n"),
        "{console}"
    );
}

#[test]
fn stub_that_is_not_there() {
    let Some(guest) = Guest::new("") else { return };
    guest.remove("bin/zosia-repl");
    let console = guest.transcript();
    assert!(
        console.ends_with("\nzosia: the session ended with status 2\nzosia: shutting down\n"),
        "{console}"
    );
}

/// The shell that would say how the session ended.
#[test]
fn nobody_knows_the_status() {
    let Some(console) = session("exec </dev/null >/dev/null 2>&1; kill -KILL $PPID; usleep 50000") else {
        return;
    };
    assert_eq!(console, "zosia: init\nzosia: the session ended with status unknown\nzosia: shutting down\n");
}

/// What is said after a signal to PID 1.
macro_rules! signals {
    ($($name:ident: $signal:literal, $then:literal => $said:literal;)*) => { $(
        #[test]
        fn $name() {
            let Some(console) = session(concat!("kill -", $signal, " 1; ", $then)) else { return };
            assert_eq!(console, concat!("zosia: init\n", $said, "zosia: shutting down\n"));
        }
    )* };
}

// The first two ask for a power-off; nothing else does anything.
signals! {
    interrupt: "INT", "usleep 9000000" => "";
    terminate: "TERM", "usleep 9000000" => "";
    kill: "KILL", "echo here" => "here\n";
    hang_up: "HUP", "echo here" => "here\n";
    quit: "QUIT", "echo here" => "here\n";
    user_defined: "USR1", "echo here" => "here\n";
    stop: "STOP", "echo here" => "here\n";
}

/// While it powers off, it does nothing else.
#[test]
fn signal_after_signal() {
    let Some(guest) = Guest::new("") else { return };
    guest.program("lib/zosia/session", "kill -TERM 1; usleep 9000000");
    guest.program("bin/poweroff", "kill -TERM 1; kill -INT 1; exec busybox poweroff -f");
    assert_eq!(guest.transcript(), "zosia: init\nzosia: shutting down\n");
}

#[test]
fn power_off_that_fails() {
    let Some(guest) = Guest::new("zosia.diag=1") else { return };
    guest.program("bin/poweroff", "exit 1");
    let (console, end) = guest.boot().end();
    assert_eq!(end, End::Restart, "{console}");
}

/// The kernel is asked without a program, and a PID 1 that gets nowhere stays.
#[test]
fn power_off_and_restart_that_fail() {
    let Some(guest) = Guest::new("zosia.diag=1") else { return };
    guest.program("bin/poweroff", "exit 1").program("bin/reboot", "exit 1");
    guest.program("bin/sleep", "[ $1 = 2 ] || exec busybox sleep 60");
    let mut running = guest.boot();
    running.expect("zosia: shutting down\nzosia: cannot power off\n");
    assert!(running.wait_until(|| guest.read("proc/sysrq-trigger") == "o\nb\n"));
}

/// A shell that gets no process more ends, which a PID 1 must not.
#[test]
fn no_process_is_to_be_had() {
    let Some(mut guest) = Guest::new("") else { return };
    guest.process_limit("1");
    let mut running = guest.boot();
    running.expect("zosia: init\n");
    assert!(running.wait_until(|| guest.read("proc/sysrq-trigger") == "o\n"));
}

/// As it is in a virtual machine: nothing is mounted yet.
#[test]
fn nothing_is_mounted() {
    let Some(guest) = Guest::new("") else { return };
    guest.remove("proc/cmdline");
    guest.program(
        "bin/mount",
        r#"echo "mount $*" >>/calls; busybox cat "$3" >>/calls; echo zosia.ci=1 >/proc/cmdline"#,
    );
    let console = guest.transcript();
    assert!(console.ends_with("zosia: ci mode; powering off\nzosia: shutting down\n"), "{console}");
    let table = "none /dev devtmpfs\nnone /sys sysfs\nnone /proc proc\n";
    assert_eq!(guest.calls(), format!("mount -a -T /tmp/fstab\n{table}"));
}

const DRIVER: &str = "/lib/modules/virtio_blk.ko";

/// Which modules this kernel is given; it refuses them all.
fn modules(guest: &Guest) -> Vec<String> {
    let console = guest.transcript();
    let refused = console.lines().filter_map(|line| line.strip_prefix("zosia: the kernel refuses "));
    refused.map(str::to_owned).collect()
}

#[test]
fn driver_without_a_disk() {
    let Some(guest) = Guest::new("zosia.diag=1") else { return };
    guest.file(DRIVER, "").file("sys/bus/virtio/devices/virtio0/device", "0x0003\n");
    assert!(modules(&guest).is_empty());
}

#[test]
fn driver_with_a_disk() {
    let Some(guest) = Guest::new("zosia.diag=1") else { return };
    guest.file(DRIVER, "").file("sys/bus/virtio/devices/virtio0/device", "0x0003\n");
    for disk in ["virtio1", "virtio2"] {
        guest.file(&format!("sys/bus/virtio/devices/{disk}/device"), "0x0002\n");
    }
    assert_eq!(modules(&guest), [DRIVER]);
}

/// Others may be what the disk is found with.
#[test]
fn other_modules_first() {
    let Some(guest) = Guest::new("zosia.diag=1") else { return };
    guest.file(DRIVER, "").file("/lib/modules/virtio_mmio.ko", "").file("/lib/modules/a.ko", "");
    guest.file("sys/bus/virtio/devices/virtio0/device", "0x0002\n");
    assert_eq!(modules(&guest), ["/lib/modules/a.ko", "/lib/modules/virtio_mmio.ko", DRIVER]);
}

#[test]
fn driver_that_is_built_in() {
    let Some(guest) = Guest::new("zosia.diag=1") else { return };
    guest.file("sys/bus/virtio/devices/virtio0/device", "0x0002\n");
    assert!(modules(&guest).is_empty());
}
