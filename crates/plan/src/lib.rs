//! A lab with every choice made. Pure: the same lab gives the same bytes, on any machine, at any time.
//!
//! ```text
//! config::Lab ──plan()──> Plan ──text / JSON / graph──> the user
//!                           └──> render, engine, deploy, harness, report
//! ```

pub mod change;
pub mod clusters;
mod derive;
pub mod graph;
pub mod model;
mod text;
pub mod topology;

pub use derive::plan;
pub use model::Plan;
pub use text::{columns, text};
