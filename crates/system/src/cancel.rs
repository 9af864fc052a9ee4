//! Stopping early: one flag that Ctrl-C, a termination signal or a failed sibling sets, and that everything which
//! waits looks at.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// A request to stop, shared by everyone who works on the same thing.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// One that nobody has asked for yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag on SIGINT, SIGTERM and SIGHUP. A second SIGINT ends the program at once, for a user who does not
    /// want to wait for the clean-up; whatever lives in a lab of ours ends with the lease this process holds.
    ///
    /// # Errors
    /// The system refuses the handlers.
    pub fn on_signals() -> io::Result<Self> {
        let cancel = Self::new();
        signal_hook::flag::register_conditional_shutdown(SIGINT, 130, Arc::clone(&cancel.0))?;
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&cancel.0))?;
        }
        Ok(cancel)
    }

    /// Asks everyone to stop.
    pub fn request(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether somebody asked.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
