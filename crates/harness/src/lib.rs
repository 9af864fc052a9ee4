//! Suites, checks and the runner.
