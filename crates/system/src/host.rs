//! What the host is: processors, memory, disk, networks, users.

use std::{
    fs,
    io::{self, Read},
    num::NonZero,
    path::Path,
};

use ipnet::Ipv4Net;
use nix::unistd::{Uid, User};

/// Processors this process may use.
pub fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// `MemTotal`, MiB; 0 when `/proc` does not tell.
pub fn memory_mib() -> u64 {
    meminfo("MemTotal:")
}

/// `MemAvailable`, MiB; 0 when `/proc` does not tell.
pub fn available_memory_mib() -> u64 {
    meminfo("MemAvailable:")
}

fn meminfo(key: &str) -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .map_or(0, |kib| kib / 1024)
}

/// Free space where `path`, or the nearest folder above it that exists, lives, MiB.
pub fn free_disk_mib(path: &Path) -> Option<u64> {
    let folder = path.ancestors().find(|folder| folder.exists())?;
    let stat = nix::sys::statvfs::statvfs(folder).ok()?;
    Some(stat.blocks_available().saturating_mul(stat.fragment_size()) / (1024 * 1024))
}

/// The host's own IPv4 networks by interface, without loopback.
pub fn subnets() -> Vec<(String, Ipv4Net)> {
    let Ok(addresses) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    addresses
        .filter_map(|entry| {
            let address = entry.address?.as_sockaddr_in()?.ip();
            let mask = entry.netmask?.as_sockaddr_in()?.ip();
            let net = Ipv4Net::with_netmask(address, mask).ok()?.trunc();
            (!address.is_loopback()).then_some((entry.interface_name, net))
        })
        .collect()
}

/// Whether this process may read and write a file or device.
pub fn may_write(path: &Path) -> bool {
    let flags = nix::unistd::AccessFlags::R_OK | nix::unistd::AccessFlags::W_OK;
    nix::unistd::access(path, flags).is_ok()
}

/// Whether the host has a network interface of that name.
pub fn has_interface(name: &str) -> bool {
    Path::new("/sys/class/net").join(name).exists()
}

/// Mount points of the host at or below a folder.
pub fn mounts_below(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = text.lines().filter_map(|line| line.split(' ').nth(1));
    points.filter(|point| Path::new(point).starts_with(folder)).map(str::to_owned).collect()
}

/// Changes with every boot of the host; verdicts about the hardware are kept under it.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// So many bytes that nobody can guess.
///
/// # Errors
/// The kernel's device is not there.
pub fn random(count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The processor's model, as the kernel names it; empty where it does not.
pub fn cpu_model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name") || line.starts_with("CPU part"));
    line.and_then(|line| line.split_once(':')).map_or_else(String::new, |(_, model)| model.trim().to_owned())
}

/// The instruction set of this program, and so of the host as far as it matters here: `x86_64`, `aarch64`.
pub fn arch() -> &'static str {
    std::env::consts::ARCH
}

/// The kernel's release, as `uname -r`.
pub fn kernel_release() -> String {
    nix::sys::utsname::uname()
        .map_or_else(|_| String::new(), |name| name.release().to_string_lossy().into_owned())
}

/// Whether this process is root.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// The name of the user this process runs as; the number when it has none.
pub fn user() -> String {
    let uid = Uid::effective();
    User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

/// Subordinate ids the user was given in `/etc/subuid` or `/etc/subgid`.
pub fn subordinate_ids(file: &str) -> u64 {
    let uid = Uid::effective().to_string();
    let name = user();
    fs::read_to_string(file)
        .unwrap_or_default()
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let owner = fields.next()?;
            let count: u64 = fields.nth(1)?.trim().parse().ok()?;
            (owner == name || owner == uid).then_some(count)
        })
        .sum()
}

/// Proportional set size of a process, MiB: its memory with shared pages split among those who share them.
pub fn proportional_memory_mib(pid: i32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let kib: f64 =
        text.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse().ok())?;
    Some(kib / 1024.0)
}

/// Processor seconds (user and system) a process has used so far, its ended children included.
pub fn cpu_seconds(pid: i32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name stands in brackets and may hold anything; the numbers follow the last bracket.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = [11, 12, 13, 14].iter().filter_map(|&at| fields.get(at)?.parse::<u64>().ok()).sum();
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten()?;
    #[expect(clippy::cast_precision_loss, reason = "ticks of one process stay far below 2^52")]
    Some(ticks as f64 / per_second as f64)
}

/// Memory of a process that is in RAM, MiB, shared pages counted in full.
pub fn resident_memory_mib(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib: u64 = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok())?;
    Some(kib / 1024)
}

/// The words a process was started with.
pub fn command_line(pid: i32) -> Option<Vec<String>> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let mut words: Vec<String> = words.collect();
    // The line ends with a zero, so the last word is empty.
    words.pop();
    Some(words)
}

/// Process ids whose command line satisfies `wanted`.
pub fn processes(wanted: impl Fn(&[String]) -> bool) -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| command_line(*pid).is_some_and(|words| wanted(&words))).collect()
}

/// The processes of a session, by its leader's process id, the leader among them. One that has ended and waits to be reaped
/// is none.
pub(crate) fn of_session(leader: i32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_of_it = |pid: &i32| {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // As above, what stands in brackets may hold anything. Then come state, parent, group and session.
        let fields = text.rsplit_once(')').map(|(_, fields)| fields.split_whitespace());
        let Some(mut fields) = fields else { return false };
        fields.next() != Some("Z") && fields.nth(2).is_some_and(|session| session == leader.to_string())
    };
    pids.filter(is_of_it).collect()
}

/// The QEMU processes that run a machine, whoever started them.
pub fn emulators() -> Vec<i32> {
    processes(|words| words.first().is_some_and(|program| program.contains("qemu-system-")))
}

/// What libvirt calls the machine that a QEMU process runs; the process, where it was started by something else.
pub fn guest_name(pid: i32) -> String {
    let words = command_line(pid).unwrap_or_default();
    let name = words.iter().find_map(|word| word.strip_prefix("guest=")?.split(',').next());
    name.map_or_else(|| format!("process {pid}"), str::to_owned)
}

/// On which of the host's processors each of a process's threads may run whose name satisfies `wanted`.
pub fn thread_processors(pid: i32, wanted: impl Fn(&str) -> bool) -> Vec<Vec<u32>> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let each = threads.filter_map(|thread| {
        let status = fs::read_to_string(thread.path().join("status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        wanted(field("Name:")?).then(|| processor_list(field("Cpus_allowed_list:")?))
    });
    each.flatten().collect()
}

/// The numbers of a list as the kernel writes it: `0-3,8`. None when it is no such list.
fn processor_list(text: &str) -> Option<Vec<u32>> {
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        numbers.extend(first.parse::<u32>().ok()?..=last.parse().ok()?);
    }
    Some(numbers)
}

/// The QEMU process that runs a domain of libvirt whose files are below `folder`; `None` when it does not run.
pub fn guest_process(domain: &str, folder: &str) -> Option<i32> {
    let name = format!("guest={domain},");
    let wanted = |words: &[String]| {
        words.iter().any(|word| word.starts_with(&name))
            && words.iter().any(|word| names_folder(word, folder))
    };
    processes(wanted).first().copied()
}

/// Whether a word of a command line names this folder or something in it. The folder of a lab's fork only begins like the
/// lab's.
pub fn names_folder(word: &str, folder: &str) -> bool {
    word.match_indices(folder).any(|(at, _)| {
        let next = word[at + folder.len()..].chars().next();
        next.is_none_or(|next| !(next.is_ascii_alphanumeric() || "-_.+".contains(next)))
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_thread_tells_where_it_may_run() {
        assert_eq!(processor_list("0-3,8"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(processor_list("7"), Some(vec![7]));
        assert_eq!(processor_list(""), None);
        let (told, thread) = std::sync::mpsc::channel::<()>();
        let pinned = std::thread::Builder::new().name("CPU 9/TCG".into()).spawn(move || {
            let mut only = nix::sched::CpuSet::new();
            only.set(0).unwrap();
            nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &only).unwrap();
            thread.recv()
        });
        let own = i32::try_from(std::process::id()).unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while thread_processors(own, |name| name == "CPU 9/TCG") != [[0]] {
            assert!(std::time::Instant::now() < deadline, "the thread is not seen where it is");
            std::thread::yield_now();
        }
        drop(told);
        assert!(pinned.unwrap().join().unwrap().is_err());
    }

    #[test]
    fn a_fork_is_not_its_lab() {
        let lab = "/state/labs/lab-1";
        assert!(names_folder("/state/labs/lab-1", lab));
        assert!(names_folder("path=/state/labs/lab-1/disks/a.qcow2,mode=0600", lab));
        assert!(names_folder("-F/state/labs/lab-1,x", lab));
        assert!(!names_folder("/state/labs/lab-1+trial/disks/a.qcow2", lab));
        assert!(!names_folder("/state/labs/lab-10/disks/a.qcow2", lab));
    }

    #[test]
    fn the_guest_of_a_fork_is_not_taken_for_its_labs() {
        let folder = format!("/nowhere/labs/lab-{}", std::process::id());
        let disk = format!("{folder}+trial/disks/a.qcow2");
        let mut fork = Command::new("sh")
            .args(["-c", "read -r line", "sh", "guest=hpc-a,debug-threads=on", &disk])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = i32::try_from(fork.id()).unwrap();
        // Between fork and exec it still has this program's words.
        while command_line(pid).is_none_or(|words| words.first().is_none_or(|word| word != "sh")) {
            std::thread::yield_now();
        }
        let found = (guest_process("hpc-a", &folder), guest_process("hpc-a", &format!("{folder}+trial")));
        drop(fork.stdin.take());
        fork.wait().unwrap();
        assert_eq!(found, (None, Some(pid)));
    }
}
