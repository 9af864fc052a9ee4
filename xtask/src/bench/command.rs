//! Running one command and measuring what it takes.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use nix::errno::Errno;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::time::TimeValLike;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use system::cancel::Cancel;
use system::clock::{self, Stopwatch};

use super::process::peak_memory_mib;
use crate::{Failure, not_started};

/// How often a running command's memory is looked at. The kernel keeps the peak, so only what is added in the last such
/// moment is missed.
const LOOK: Duration = Duration::from_millis(100);

/// How long a command that was asked to end may clean up.
const GRACE: Duration = Duration::from_secs(60);

/// What a command took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// When it was started.
    pub(crate) started: Timestamp,
    /// From before it was started until it had ended.
    pub(crate) wall_seconds: f64,
    /// User and system, with everything it started and waited for.
    pub(crate) cpu_seconds: f64,
    /// The most it had in RAM itself; 0 when it ended before anyone could look.
    pub(crate) peak_memory_mib: f64,
}

impl Cost {
    /// Seconds from `start` until it had ended.
    pub(crate) fn ended_after(&self, start: Timestamp) -> f64 {
        self.started.duration_since(start).as_secs_f64() + self.wall_seconds
    }
}

/// Runs a command to its end, whatever that is. It gets a process group of its own: Ctrl-C reaches us alone, and we ask
/// it to end.
pub(crate) fn measure(
    command: &mut Command,
    limit: Duration,
    cancel: &Cancel,
) -> Result<(ExitStatus, Cost), Failure> {
    if cancel.requested() {
        return Err("interrupted".into());
    }
    let cpu_before = children_cpu_seconds()?;
    let started = clock::now();
    let watch = Stopwatch::start();
    let child = command.stdin(Stdio::null()).process_group(0).spawn();
    let mut child = child.map_err(|error| not_started(command, &error))?;
    let pid = Pid::from_raw(child.id().cast_signed());
    let mut peak = 0.0_f64;
    let mut asked: Option<(Stopwatch, String)> = None;
    let (sender, ends) = mpsc::channel();
    // It stays a zombie until it is reaped below: its number cannot become another process's.
    thread::spawn(move || {
        while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
        // Nobody listens any more only when this program is on its way out.
        let _ = sender.send(watch.seconds());
    });
    let wall_seconds = loop {
        peak = peak.max(peak_memory_mib(pid.as_raw()).unwrap_or(0.0));
        match ends.recv_timeout(LOOK) {
            Ok(seconds) => break seconds,
            Err(RecvTimeoutError::Disconnected) => return Err("lost a command".into()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        match &asked {
            Some((since, _)) if since.elapsed() > GRACE => killpg(pid, Signal::SIGKILL)?,
            Some(_) => {}
            None => {
                let why = if cancel.requested() {
                    "interrupted".to_owned()
                } else if watch.elapsed() > limit {
                    format!("it was not done after {} s", limit.as_secs())
                } else {
                    continue;
                };
                kill(pid, Signal::SIGTERM)?;
                asked = Some((Stopwatch::start(), why));
            }
        }
    };
    let status = child.wait()?;
    if let Some((_, why)) = asked {
        return Err(why.into());
    }
    let cpu_seconds = children_cpu_seconds()? - cpu_before;
    Ok((status, Cost { started, wall_seconds, cpu_seconds, peak_memory_mib: peak }))
}

/// Processor seconds of all children that ended, with theirs. Commands are measured one after the other, so what is
/// added belongs to the last one.
fn children_cpu_seconds() -> Result<f64, Failure> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds =
        |microseconds: i64| Duration::from_micros(microseconds.max(0).cast_unsigned()).as_secs_f64();
    Ok(seconds(usage.user_time().num_microseconds()) + seconds(usage.system_time().num_microseconds()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn time_and_memory_are_measured() {
        let (status, cost) = measure(&mut shell("sleep 0.2; exit 3"), LONG, &Cancel::new()).unwrap();
        assert_eq!(status.code(), Some(3));
        assert!((0.2..5.0).contains(&cost.wall_seconds), "{cost:?}");
        assert!(cost.peak_memory_mib > 0.1, "{cost:?}");
    }

    #[test]
    fn work_of_children_counts() {
        let busy = "(i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done)";
        let (_, cost) = measure(&mut shell(busy), LONG, &Cancel::new()).unwrap();
        assert!(cost.cpu_seconds > 0.005, "{cost:?}");
    }

    #[test]
    fn one_that_takes_too_long_is_asked_to_end() {
        let error =
            measure(&mut shell("exec sleep 30"), Duration::from_millis(50), &Cancel::new()).unwrap_err();
        assert!(error.to_string().contains("not done"), "{error}");
    }

    #[test]
    fn nothing_starts_after_an_interruption() {
        let cancel = Cancel::new();
        cancel.request();
        assert_eq!(measure(&mut shell("sleep 30"), LONG, &cancel).unwrap_err().to_string(), "interrupted");
    }
}
