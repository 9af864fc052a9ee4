//! What a process has taken so far, from `/proc`.

use std::fs;

use system::host;

/// The most memory a process ever had in RAM, MiB; `None` when it is gone.
pub(crate) fn peak_memory_mib(pid: i32) -> Option<f64> {
    high_water(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn high_water(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib / 1024.0)
}

/// What the QEMU process of a node has taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    /// Proportional set size now, MiB.
    pub(crate) memory_mib: f64,
    /// Peak resident size, MiB.
    pub(crate) peak_memory_mib: f64,
    /// Processor seconds since it was started.
    pub(crate) cpu_seconds: f64,
}

impl Taken {
    /// Of a process that runs.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Some(Self {
            memory_mib: host::proportional_memory_mib(pid)?,
            peak_memory_mib: peak_memory_mib(pid)?,
            cpu_seconds: host::cpu_seconds(pid)?,
        })
    }

    /// Of the process that runs a domain of the lab below this folder.
    pub(crate) fn of_domain(domain: &str, folder: &str) -> Option<Self> {
        host::guest_process(domain, folder).and_then(Self::of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_in_mib() {
        assert_eq!(high_water("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"), Some(2.0));
        // What the kernel shows of a zombie.
        assert_eq!(high_water("Name:\tx\n"), None);
    }

    #[test]
    fn this_process_has_taken_something() {
        let taken = Taken::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(taken.memory_mib > 0.0 && taken.peak_memory_mib > 0.0, "{taken:?}");
    }
}
