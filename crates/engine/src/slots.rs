//! How many nodes do something at once.

use std::{
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use system::host;

/// A counted number of places.
pub(crate) struct Slots {
    free: Mutex<usize>,
    freed: Condvar,
}

pub(crate) struct Slot<'a>(&'a Slots);

impl Slots {
    pub(crate) fn new(count: usize) -> Self {
        Self { free: Mutex::new(count), freed: Condvar::new() }
    }

    /// For what keeps a processor busy, as a boot does: more of them than the host has processors only makes each one
    /// slower and the last one no faster.
    pub(crate) fn busy() -> Self {
        Self::new(host::cpus().max(2))
    }

    /// Waits for a place; `None` when `stopped` says that nobody needs one any more.
    pub(crate) fn take(&self, stopped: impl Fn() -> bool) -> Option<Slot<'_>> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if stopped() {
                return None;
            }
            if *free > 0 {
                *free -= 1;
                return Some(Slot(self));
            }
            let waited = self.freed.wait_timeout(free, Duration::from_millis(200));
            free = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}
