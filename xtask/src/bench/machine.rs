//! What the figures were measured on: without it a figure says nothing.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use system::host;
use system::process::Command;

/// The host and what it was asked to run.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    /// Processors this process may use.
    cpus: usize,
    processor: String,
    memory_mib: u64,
    kernel: String,
    qemu: String,
    libvirt: String,
    /// What ai-how found out about KVM here; null when no machine was started yet.
    accelerator: Value,
    /// Load averages when the benchmark began: above zero, somebody else was at work.
    load: String,
    /// The commit; empty outside a git repository.
    revision: String,
    /// Whether files differ from that commit.
    modified: bool,
}

impl Machine {
    /// Looks at the host. The load is that of this moment.
    pub(crate) fn observe() -> Self {
        Self {
            cpus: host::cpus(),
            processor: processor(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            memory_mib: host::memory_mib(),
            kernel: host::kernel_release(),
            qemu: first_line("qemu-system-x86_64", &["--version"]),
            libvirt: first_line("libvirtd", &["--version"]),
            accelerator: Value::Null,
            load: load(&fs::read_to_string("/proc/loadavg").unwrap_or_default()),
            revision: first_line("git", &["rev-parse", "HEAD"]),
            modified: !first_line("git", &["status", "--porcelain"]).is_empty(),
        }
    }

    /// Adds the verdict about KVM, which the first start leaves in the cache.
    pub(crate) fn with_accelerator(mut self, cache: &Path) -> Self {
        let text = fs::read_to_string(cache.join("accelerator.json")).unwrap_or_default();
        self.accelerator = serde_json::from_str(&text).unwrap_or_default();
        self
    }
}

/// What a program says first; empty when it cannot say.
fn first_line(program: &str, arguments: &[&str]) -> String {
    let said = Command::new(program).args(arguments.iter().copied()).run().unwrap_or_default();
    said.lines().next().unwrap_or_default().trim().to_owned()
}

fn processor(cpuinfo: &str) -> String {
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map(|(_, name)| name.trim().to_owned()).unwrap_or_default()
}

fn load(loadavg: &str) -> String {
    loadavg.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read() {
        assert_eq!(processor("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n"), "Some CPU @ 2 GHz");
        assert_eq!(processor(""), "");
        assert_eq!(load("0.52 0.58 0.59 1/467 12345\n"), "0.52 0.58 0.59");
    }
}
