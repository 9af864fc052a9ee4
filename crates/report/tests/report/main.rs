//! The crate from the outside: a realistic run through every reporter.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod bars;
mod fixture;
mod html;
mod junit;
mod record;
mod replay;
mod terminal;
