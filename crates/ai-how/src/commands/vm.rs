//! `ai-how vm`: one machine of any lab, named as libvirt names it. The verbs of version 1.0.

use engine::{Scope, Site};
use plan::{Plan, clusters, model::NodePlan};
use serde_json::json;
use system::cancel::Cancel;

use super::{
    cluster::{self, How, Stop, Target},
    workstation::{gpu, state},
};
use crate::{
    cli::{self, Format, Lab, Vm},
    document, exit,
    failure::Failure,
    labs, output,
    settings::Settings,
};

pub(crate) fn run(command: &Vm, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    match command {
        Vm::Start { machine, no_wait, format } => {
            Found::of(machine, settings, cancel)?.start(!no_wait, *format, settings, cancel)
        }
        Vm::Stop { machine, force, format } => {
            Found::of(machine, settings, cancel)?.stop(*force, *format, settings, cancel)
        }
        Vm::Restart { machine, no_wait, format } => {
            let found = Found::of(machine, settings, cancel)?;
            match found.stop(false, *format, settings, cancel)? {
                exit::OK => found.start(!no_wait, *format, settings, cancel),
                code => Ok(code),
            }
        }
        Vm::Status { machine, format } => Found::of(machine, settings, cancel)?.status(*format, cancel),
    }
}

/// A machine and its lab.
struct Found {
    lab: Lab,
    plan: Plan,
    site: Site,
    node: NodePlan,
}

impl Found {
    fn of(machine: &cli::Machine, settings: &Settings, cancel: &Cancel) -> Result<Self, Failure> {
        let name = &machine.name;
        let found = match &machine.file {
            Some(file) => {
                let lab = Lab { file: file.clone(), place: machine.place, fork: None };
                let (plan, site) = document::site(&lab, settings)?;
                let plan = site.as_started(cancel)?.unwrap_or(plan);
                Self::in_lab(lab, plan, site, name).into_iter().collect()
            }
            None => Self::anywhere(machine, settings, cancel)?,
        };
        let mut found: Vec<Self> = found;
        match (found.pop(), found.len()) {
            (Some(found), 0) => Ok(found),
            (Some(last), _) => {
                let labs = found.iter().chain([&last]).map(|found| found.site.folder.id());
                let labs = labs.collect::<Vec<_>>().join(", ");
                let message = format!("several labs have a machine `{name}`: {labs}; say which with --file");
                Err(Failure::new(exit::USAGE, message))
            }
            (None, _) => {
                let message =
                    format!("no lab has a machine `{name}`; `ai-how topology` shows those there are");
                Err(Failure::new(exit::FAILED, message))
            }
        }
    }

    /// In the labs that were started.
    fn anywhere(machine: &cli::Machine, settings: &Settings, cancel: &Cancel) -> Result<Vec<Self>, Failure> {
        let labs = labs::all(machine.place, settings, cancel)?.into_iter().filter_map(|(site, plan)| {
            let lab = Lab { file: labs::file_of(&site.folder), place: machine.place, fork: None };
            Self::in_lab(lab, plan, site, &machine.name)
        });
        Ok(labs.collect())
    }

    fn in_lab(lab: Lab, plan: Plan, site: Site, name: &str) -> Option<Self> {
        let node = plan.nodes().map(|(_, node)| node).find(|node| node.domain == name)?.clone();
        Some(Self { lab, plan, site, node })
    }

    fn target(&self) -> Target<'_> {
        Target { lab: &self.lab, plan: &self.plan, site: &self.site }
    }

    fn scope(&self) -> Scope {
        Scope::Nodes([self.node.domain.clone()].into())
    }

    fn start(&self, wait: bool, format: Format, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
        let how = How {
            cold: false,
            deploy: None,
            ssh_key: None,
            dry_run: false,
            force: false,
            rebuild: false,
            wait,
            scope: self.scope(),
        };
        cluster::start(&self.target(), &how, format, settings, cancel)
    }

    fn stop(&self, now: bool, format: Format, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
        let stop = Stop { dry_run: false, now };
        cluster::stop(&self.target(), &[self.scope()], stop, format, settings, cancel)
    }

    fn status(&self, format: Format, cancel: &Cancel) -> Result<u8, Failure> {
        let node = &self.node;
        let nodes = engine::status(&self.site, &self.plan, cancel)?;
        let live = nodes.iter().find(|status| status.domain == node.domain);
        let live = live.map_or("undefined", |status| state(&status.state));
        let volume = self.site.folder.path().join(&node.disk).display().to_string();
        let gpu = gpu(node);
        if format == Format::Json {
            let status = json!({
                "name": node.domain,
                "domain_uuid": node.uuid,
                "vm_type": node.role,
                "state": live,
                "cpu_cores": node.cpus,
                "memory_gb": clusters::gib(node.memory_mib),
                "volume_path": volume,
                "ip_address": node.own_address(),
                "gpu_assigned": gpu,
                "lab": self.site.folder.id(),
            });
            output::json(&status)?;
            return Ok(exit::OK);
        }
        let rows = [
            ("name", node.domain.clone()),
            ("UUID", node.uuid.to_string()),
            ("type", node.role.to_string()),
            ("state", live.to_owned()),
            ("CPUs", node.cpus.to_string()),
            ("memory", format!("{} MiB", node.memory_mib)),
            ("volume", volume),
            ("address", node.own_address().map_or_else(|| "none".to_owned(), |address| address.to_string())),
            ("GPU", gpu.unwrap_or_else(|| "none".to_owned())),
            ("lab", self.site.folder.id()),
        ];
        output::text(plan::columns(&rows.map(|(what, value)| [what.to_owned(), value])))?;
        Ok(exit::OK)
    }
}
