//! YAML text to a lab, or every diagnostic with its line.
pub mod model;
