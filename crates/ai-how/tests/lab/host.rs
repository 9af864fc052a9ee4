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
        let folder = folder.display().to_string();
        let mut traces = BTreeSet::new();
        for entry in entries("/proc") {
            // What a lab starts names the test's folder, or was given it in its environment.
            let read = |name: &str| {
                let bytes = fs::read(format!("/proc/{entry}/{name}")).unwrap_or_default();
                String::from_utf8_lossy(&bytes).replace('\0', " ")
            };
            let line = read("cmdline");
            if entry.parse::<u32>().is_ok() && (line.contains(&folder) || read("environ").contains(&folder)) {
                traces.insert(format!("process {entry}: {line}"));
            }
        }
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

fn entries(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
