//! Deploys what runs on the nodes: Ansible turns booted machines into clusters, and what it says becomes events.
//!
//! ```text
//! Plan ──> inventory ─┐
//! playbook (embedded) ├─> the run's folder ──> ansible-playbook ──> lines ──> events, Summary or Error
//! munge key (secrets) ┘                                       └──> ansible.log
//! ```
//!
//! Everything a role needs is decided in the [`plan::Plan`] and rendered into one inventory, so nothing is asked of the
//! nodes. The same plan gives the same bytes, and a second deploy changes nothing. This is how SLURM clusters are made; for
//! Kubernetes clusters the inventory is Kubespray's, and so is what comes after the nodes' preparation.

mod deployment;
mod error;
pub mod generated;
mod installation;
pub mod inventory;
pub mod kept;
mod kubernetes;
mod lines;
mod munge;
mod playbook;
mod run;
mod transcript;

pub use deployment::{Deployment, NodeSummary, Summary};
pub use error::Error;
pub use installation::{Installation, find_ansible};
pub use kubernetes::KubernetesDeployment;
pub use playbook::unpack as unpack_playbook;
