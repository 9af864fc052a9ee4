//! What a schema cannot say: names that clash, addresses that do not fit, partitions without nodes.
//!
//! One module per family. Every one looks at the whole draft and reports all it finds.

mod addresses;
mod appliances;
mod devices;
mod hardware;
mod images;
mod names;
mod partitions;
mod resources;
mod time;

pub(crate) use addresses::{has_room, is_reserved};
pub(crate) use hardware::{has_numa_room, is_fit};
pub(crate) use time::is_slurm_time;

use crate::Context;
use crate::draft::{Draft, Findings};

/// Runs every check.
pub(crate) fn check(draft: &Draft, context: &Context, findings: &mut Findings) {
    let host = context.host.as_ref();
    names::check(draft, findings);
    addresses::check(draft, host, findings);
    partitions::check(draft, findings);
    devices::check(draft, findings);
    hardware::check(draft, findings);
    images::check(draft, &context.images, findings);
    appliances::check(draft, findings);
    if let Some(host) = host {
        resources::check(draft, host, findings);
    }
}
