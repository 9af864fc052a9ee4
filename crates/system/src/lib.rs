//! The one door to processes, files, clock, environment and namespaces.
