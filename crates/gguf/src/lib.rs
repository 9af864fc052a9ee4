//! Files in the format GGUF, in which llama.cpp has its models: [`Model`] reads what one holds and sees that it is whole,
//! [`tiny`] makes one.
//!
//! ```text
//! GGUF | version | number of tensors | number of entries | entries: key, type, value | tensors: name, shape, type, place | data
//! ```
//!
//! The room works on bytes that are handed in and opens no files. The libraries there are (`gguf`, `ggus`, `gguf-rs`) do not
//! see whether the data is there, and they want the file in memory or take memory for whatever length it claims.

mod error;
mod file_type;
mod metadata;
mod model;
mod source;
mod tensor;
pub mod tiny;
mod value;
mod write;

pub use error::{Error, Format};
pub use model::Model;
