//! Deploys what runs on the nodes: Ansible turns booted machines into SLURM clusters, and what it says becomes events.
//!
//! ```text
//! Plan ──> inventory ─┐
//! playbook (embedded) ├─> the run's folder ──> ansible-playbook ──> lines ──> events, Summary or Error
//! munge key (secrets) ┘                                       └──> ansible.log
//! ```
//!
//! Everything a role needs is decided in the [`plan::Plan`] and rendered into one inventory, so nothing is asked of the
//! nodes. The same plan gives the same bytes, and a second deploy changes nothing.

mod deployment;
mod error;
pub mod generated;
mod installation;
pub mod inventory;
pub mod kept;
mod lines;
mod munge;
mod playbook;

pub use deployment::{Deployment, NodeSummary, Summary};
pub use error::Error;
pub use installation::{Installation, find_ansible};
pub use playbook::unpack as unpack_playbook;
