//! Events in; terminal, JSON lines, JUnit and one HTML page out.
//!
//! ```text
//! workers ──emit──> Recorder ──> events.jsonl ──read──> Run ──> junit.xml, report.html
//!                       └──────> Reporters (terminal, JSON lines on stdout)
//! ```
//!
//! A [`Recorder`] stamps what happened, keeps it and hands it to every [`Reporter`]. [`replay`] feeds the same
//! reporters from a kept record, and writes the JUnit and HTML files from it, so a finished run, a killed run and one
//! that is replayed a month later are told by the same code.
//!
//! This crate neither reads the clock nor asks the environment: the clock is an argument of [`Recorder::create`], and
//! what the terminal can do is told by [`terminal::Facts`].

pub mod html;
pub mod json;
pub mod junit;
pub mod record;
mod recorder;
pub mod replay;
mod reporter;
pub mod run;
pub mod terminal;
mod text;

pub use record::{RecordError, read};
pub use recorder::Recorder;
pub use reporter::Reporter;
