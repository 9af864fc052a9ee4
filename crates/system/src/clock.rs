//! The clock.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// The time of day, UTC.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Waits, for the few places where the other side gives no event to wait for.
pub fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}

/// Measures how long something takes.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts measuring.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.elapsed().as_secs_f64()
    }

    /// What is left of `limit`; zero when it has passed.
    pub fn left_of(&self, limit: Duration) -> Duration {
        limit.saturating_sub(self.elapsed())
    }
}
