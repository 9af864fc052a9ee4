//! `ai-how cluster take-over`: machines that the tool of version 1.0 made, as its state files tell.

use std::path::{Path, PathBuf};

use config::state;
use engine::{Site, Taken};
use plan::Plan;
use serde_json::{Value, json};

use super::{cluster, reach::unknown};
use crate::{
    cli::{Format, Lab},
    document, exit,
    failure::Failure,
    labs, output,
    settings::Settings,
};

/// Takes over all machines of the state files that the config file has, too.
pub(crate) fn run(
    lab: &Lab,
    from: &[PathBuf],
    dry_run: bool,
    format: Format,
    settings: &Settings,
) -> Result<u8, Failure> {
    let (plan, site) = document::site(lab, settings)?;
    let machines = machines(&plan, from, lab)?;
    if dry_run {
        match format {
            Format::Json => output::json(&json(&machines, &site))?,
            Format::Text => {
                let row = |taken: &Taken<'_>| [taken.node.label.clone(), taken.volume.display().to_string()];
                let rows: Vec<[String; 2]> = machines.iter().map(row).collect();
                output::text(format_args!("would take over:\n{}", plan::columns(&rows)))?;
            }
        }
        return Ok(exit::OK);
    }
    let _lock = cluster::lock(&site)?;
    let recorded = site.plan()?;
    let told = |taken: &Taken<'_>| {
        output::words(format_args!("{}: copied {}\n", taken.node.label, taken.volume.display()));
    };
    labs::remember_file(&site, &lab.file)?;
    site.take_over(&plan, recorded.as_ref(), &machines, &told)?;
    let file = lab.file.display();
    output::words(format_args!(
        "`ai-how cluster start {file}` starts them; what the other tool made is as it was\n"
    ));
    if format == Format::Json {
        output::json(&json(&machines, &site))?;
    }
    Ok(exit::OK)
}

fn json(machines: &[Taken<'_>], site: &Site) -> Value {
    let of = |Taken { node, volume }: &Taken<'_>| {
        let disk = site.folder.path().join(&node.disk).display().to_string();
        json!({"node": node.label, "from": volume.display().to_string(), "disk": disk})
    };
    machines.iter().map(of).collect()
}

fn machines<'a>(plan: &'a Plan, from: &[PathBuf], lab: &Lab) -> Result<Vec<Taken<'a>>, Failure> {
    let mut machines = Vec::new();
    for path in from {
        let bytes = document::read(path)?;
        let refused = |why: String| Failure::new(exit::CONFIG, format!("{}: {why}", path.display()));
        let text = String::from_utf8(bytes).map_err(|error| refused(error.to_string()))?;
        let state = state::read(&text).map_err(|error| refused(error.to_string()))?;
        for machine in state.machines {
            let node = plan.nodes().map(|(_, node)| node).find(|node| node.domain == machine.name);
            let node = node.ok_or_else(|| unknown(&machine.name, &lab.file, plan))?;
            // As the tool itself read it: from where it was started.
            let volume = Path::new(&machine.volume).to_owned();
            if !volume.is_file() {
                return Err(refused(format!(
                    "the disk of {} is not there: {}",
                    machine.name,
                    volume.display()
                )));
            }
            if machines.iter().any(|taken: &Taken<'_>| taken.node.domain == node.domain) {
                return Err(refused(format!("{} is in these state files twice", machine.name)));
            }
            machines.push(Taken { node, volume });
        }
    }
    if machines.is_empty() {
        return Err(Failure::new(exit::CONFIG, "these state files have no machines"));
    }
    Ok(machines)
}
