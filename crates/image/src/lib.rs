//! Node images: built once, named by the hash of what went in.
