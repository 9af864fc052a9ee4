//! One module for each command.

pub(crate) mod ask;
pub(crate) mod changes;
pub(crate) mod cluster;
pub(crate) mod doctor;
pub(crate) mod fork;
pub(crate) mod image;
pub(crate) mod inventory;
pub(crate) mod kubernetes;
pub(crate) mod logs;
pub(crate) mod node;
mod packer;
pub(crate) mod plan;
pub(crate) mod prompt;
pub(crate) mod proxy;
pub(crate) mod reach;
pub(crate) mod render;
pub(crate) mod report;
pub(crate) mod shell;
pub(crate) mod snapshot;
pub(crate) mod take_over;
pub(crate) mod test;
pub(crate) mod topology;
pub(crate) mod validate;
pub(crate) mod vm;
pub(crate) mod workstation;
