//! Events to terminal, JSON lines, JUnit and HTML.
