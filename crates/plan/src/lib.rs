//! A lab with every name, UUID, MAC, address and path decided.
pub mod model;
