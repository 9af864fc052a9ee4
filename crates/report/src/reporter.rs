//! The one interface between the record and those who tell it.

use events::Event;

/// Tells a run to someone. Called from one thread, in the order of the events.
///
/// A reporter whose reader has gone away stays silent: the run does not depend on it.
pub trait Reporter: Send {
    /// Tells one event.
    fn event(&mut self, event: &Event);

    /// Called a few times a second while a live run is silent, for displays that show passing time.
    fn tick(&mut self) {}

    /// Called once, after the last event.
    fn finish(&mut self) {}
}
