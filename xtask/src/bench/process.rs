//! What a process has taken so far, from `/proc`.

use std::fs;
use std::path::Path;

use system::host;
pub(crate) use system::host::proportional_memory_mib;

/// The most memory a process ever had in RAM, MiB; `None` when it is gone.
pub(crate) fn peak_memory_mib(pid: i32) -> Option<f64> {
    high_water(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn high_water(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib / 1024.0)
}

/// The memory that a process shares with no other, MiB; `None` when it is gone.
pub(crate) fn private_memory_mib(pid: i32) -> Option<f64> {
    private(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?)
}

fn private(smaps: &str) -> Option<f64> {
    let kib = |name: &str| -> Option<f64> {
        let line = smaps.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    };
    Some((kib("Private_Clean:")? + kib("Private_Dirty:")?) / 1024.0)
}

/// The process that keeps a fork of a lab below this folder.
pub(crate) fn keeper_of_fork(labs: &Path, fork: &str) -> Option<i32> {
    let end = format!("+{fork}");
    let keeps = |words: &[String]| {
        matches!(words, [_, verb, folder, ..]
            if verb == "lab-keeper" && Path::new(folder).starts_with(labs) && folder.ends_with(&end))
    };
    host::processes(keeps).first().copied()
}

/// A child of a process that runs a program of that name.
pub(crate) fn child(parent: i32, program: &str) -> Option<i32> {
    let runs = |words: &[String]| words.first().is_some_and(|word| Path::new(word).ends_with(program));
    let is_child = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        parent_in(&stat) == Some(parent)
    };
    host::processes(runs).into_iter().find(is_child)
}

/// The program's name stands in brackets and may hold anything; the state and the parent follow the last bracket.
fn parent_in(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
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
            memory_mib: proportional_memory_mib(pid)?,
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
    fn private_memory_is_clean_and_dirty() {
        let smaps = "Pss:   4096 kB\nPrivate_Clean:    512 kB\nPrivate_Dirty:   1024 kB\n";
        assert_eq!(private(smaps), Some(1.5));
        assert_eq!(private(""), None);
    }

    #[test]
    fn a_parent_is_found_behind_any_name() {
        assert_eq!(parent_in("7 (a) b (c) S 42 7 7 0"), Some(42));
        assert_eq!(parent_in(""), None);
    }

    #[test]
    fn this_process_has_taken_something() {
        let taken = Taken::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(taken.memory_mib > 0.0 && taken.peak_memory_mib > 0.0, "{taken:?}");
    }
}
