//! Reaching a node: readiness, console, SSH.
