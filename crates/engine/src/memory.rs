//! Memory is promised before a node starts: a guest that was just started has touched little of what it will, so what
//! the kernel calls available is promised to several at once. Every QEMU process on the host tells with its command
//! line how much its guest may still take.

use plan::Plan;
use system::host;

use crate::Error;

/// What QEMU itself takes beside the guest's memory, MiB: its own heap, and 80 for translated code.
const OVERHEAD_MIB: u64 = 176;

/// What must stay free for everything else on the host, MiB.
const RESERVE_MIB: u64 = 256;

/// Checks that there is memory for guests of these sizes, called `node` in the error. Nothing is promised by that alone.
pub(crate) fn check(node: &str, memory_mib: impl IntoIterator<Item = u64>) -> Result<(), Error> {
    let needed_mib = needed_mib(memory_mib);
    if needed_mib == 0 {
        return Ok(());
    }
    let available_mib = available_mib();
    if needed_mib <= available_mib {
        return Ok(());
    }
    Err(Error::Memory { node: node.to_owned(), needed_mib, available_mib })
}

/// How many more times the host has memory for the nodes that start with a plan.
pub fn room(plan: &Plan) -> u64 {
    let nodes = plan.nodes().filter(|(_, node)| node.auto_start);
    available_mib() / needed_mib(nodes.map(|(_, node)| node.memory_mib)).max(1)
}

fn needed_mib(memory_mib: impl IntoIterator<Item = u64>) -> u64 {
    let with_overhead = memory_mib.into_iter().map(|memory_mib| memory_mib.saturating_add(OVERHEAD_MIB));
    with_overhead.fold(0, u64::saturating_add)
}

fn available_mib() -> u64 {
    host::available_memory_mib().saturating_sub(promised_mib().saturating_add(RESERVE_MIB))
}

/// What the guests that run may still take.
fn promised_mib() -> u64 {
    let mut promised = 0_u64;
    for pid in host::emulators() {
        let size = host::command_line(pid).as_deref().and_then(guest_mib).unwrap_or(0);
        promised = promised.saturating_add(size.saturating_sub(host::resident_memory_mib(pid).unwrap_or(0)));
    }
    promised
}

/// The `-m` option, as libvirt (`size=786432k`) and people (`2G`, `768`) write it.
fn guest_mib(words: &[String]) -> Option<u64> {
    let at = words.iter().position(|word| word == "-m")?;
    let value = words.get(at + 1)?.split(',').next()?;
    let value = value.strip_prefix("size=").unwrap_or(value);
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    match value[digits.len()..].to_ascii_lowercase().as_str() {
        "k" => Some(number / 1024),
        "" | "m" => Some(number),
        "g" => number.checked_mul(1024),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_guest_is_read_from_its_command_line() {
        let size = |value: &str| guest_mib(&["qemu".into(), "-m".into(), value.into()]);
        assert_eq!(size("size=786432k"), Some(768));
        assert_eq!(size("2G"), Some(2048));
        assert_eq!(size("512"), Some(512));
        assert_eq!(size("512,slots=2"), Some(512));
        assert_eq!(size("nonsense"), None);
        assert_eq!(guest_mib(&["qemu".into()]), None);
    }

    #[test]
    fn more_than_the_host_has_is_refused_with_both_numbers() {
        let error = check("big", [host::memory_mib() * 2]).unwrap_err();
        assert!(
            error.to_string().contains(&format!("needs {} MiB", host::memory_mib() * 2 + OVERHEAD_MIB)),
            "{error}"
        );
        let error = check("huge", [u64::MAX, u64::MAX]).unwrap_err();
        assert!(error.to_string().contains(&format!("needs {} MiB", u64::MAX)), "{error}");
        check("small", [1]).unwrap();
    }
}
