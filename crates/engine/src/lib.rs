//! Carries out a plan: makes reality match it, tells Events, picks nothing.
//!
//! ```text
//! Site (where, whose) ──open──> Session (a lab that runs)
//!                                  ├─ start    networks, disks, domains, readiness; what is there already stays
//!                                  ├─ stop     guests power off, disks stay
//!                                  └─ destroy  everything that bears this lab's mark goes, and its folder
//! ```
//!
//! Every step is an "ensure": done twice it does nothing the second time, so a start that was interrupted is mended by
//! the next one. What does not bear this lab's mark is never touched.

mod access;
mod base;
mod boot;
mod change;
mod changes;
mod claim;
mod copies;
mod devices;
mod error;
mod forecast;
mod foreign;
mod fork;
mod freeze;
mod keep;
mod memory;
mod processors;
mod prompt;
mod scope;
mod scrub;
mod session;
mod slots;
mod snapshot;
mod start;
mod status;
mod stop;
mod take_over;
mod templates;
#[cfg(test)]
mod tests;
mod together;

pub use access::{outer_ssh_access, use_image_key};
pub use changes::{Changes, NetworkChange, NodeChange};
pub use devices::device_owner;
pub use error::Error;
pub use forecast::{Forecast, forecast};
pub use freeze::set_clock;
pub use keep::Deployed;
pub use memory::room;
pub use prompt::known_appliance;
pub use scope::Scope;
pub use session::{Place, Session, Site};
pub use snapshot::{Snapshot, Snapshots, check_name};
pub use start::{Start, Started, Templates, images, own_image, title};
pub use status::{NodeStatus, status};
pub use stop::leaks;
pub use take_over::Taken;
pub use together::together;
