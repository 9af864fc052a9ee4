//! The host, as far as a lab could leave something on it.

use std::{collections::BTreeSet, fs, path::Path};

/// Processes, interfaces, mounts and files that a lab could leave.
#[derive(Debug, Default)]
pub(crate) struct Host {
    traces: BTreeSet<String>,
}

impl Host {
    /// Looks at it. What belongs to the test's own folder counts as a process or a mount, not as a file.
    pub(crate) fn look(folder: &Path) -> Self {
        let mut traces: BTreeSet<String> =
            processes(folder).into_iter().map(|(pid, line)| format!("process {pid}: {line}")).collect();
        traces.extend(entries("/sys/class/net").into_iter().map(|name| format!("interface {name}")));
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        traces.extend(mounts.lines().map(|line| format!("mount {line}")));
        for place in [
            "/run",
            "/run/libvirt",
            "/dev/shm",
            "/var/lib/libvirt",
            "/var/log/libvirt",
            "/etc/libvirt",
            "/var/tmp",
        ] {
            traces.extend(entries(place).into_iter().map(|name| format!("file {place}/{name}")));
        }
        let told = |name: &String| {
            ["ansible", "mitogen", "libvirt", "qemu", "ssh-"].iter().any(|word| name.contains(word))
        };
        traces.extend(entries("/tmp").into_iter().filter(told).map(|name| format!("file /tmp/{name}")));
        Self { traces }
    }

    /// What is here and was not there.
    pub(crate) fn more_than(&self, before: &Self) -> Vec<String> {
        self.traces.difference(&before.traces).cloned().collect()
    }
}

/// The processes that name the test's folder or were given it in their environment, as what a lab starts does, with their
/// command lines.
pub(crate) fn processes(folder: &Path) -> Vec<(u32, String)> {
    let folder = folder.display().to_string();
    let pids = entries("/proc").into_iter().filter_map(|entry| entry.parse::<u32>().ok());
    let found = pids.filter_map(|pid| {
        let read = |name: &str| {
            let bytes = fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ")
        };
        let line = read("cmdline");
        (line.contains(&folder) || read("environ").contains(&folder)).then_some((pid, line))
    });
    found.collect()
}

fn entries(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
