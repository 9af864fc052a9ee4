//! `ai-how ssh` and `ai-how console`.

use engine::Site;
use guest::console::{Console, End};
use plan::model::NodePlan;
use system::cancel::Cancel;

use crate::{
    cli::{self, Lab, Ssh},
    document, exit,
    failure::Failure,
    output,
    settings::Settings,
};

/// Ends with the status of what ran on the node.
pub(crate) fn ssh(arguments: &Ssh, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    let lab = Lab { file: arguments.file.clone(), place: arguments.place, fork: arguments.fork.clone() };
    let (site, node) = find(&lab, &arguments.node, settings)?;
    let session = site.find(cancel)?.ok_or_else(|| engine::Error::NotRunning { lab: site.folder.id() })?;
    let code = session.ssh().interactive(&node.label, &arguments.command)?;
    Ok(u8::try_from(code).unwrap_or(exit::FAILED))
}

pub(crate) fn console(arguments: &cli::Console, settings: &Settings) -> Result<u8, Failure> {
    let lab = Lab { file: arguments.file.clone(), place: arguments.place, fork: arguments.fork.clone() };
    let (site, node) = find(&lab, &arguments.node, settings)?;
    let failed = |error| Failure::new(exit::FAILED, error);
    let console = Console::open(&site.folder.sockets(), &node.domain, &node.label).map_err(failed)?;
    output::words(format_args!("{}: press Enter for a shell, Ctrl-] to detach\n", node.label));
    let end = console.attach().map_err(failed)?;
    let words = match end {
        End::Detached => "detached",
        End::Off => "is off",
    };
    output::words(format_args!("\n{} {words}\n", node.label));
    Ok(exit::OK)
}

/// The lab of a file and the node a person means: in what runs, else in what the file says.
fn find(lab: &Lab, name: &str, settings: &Settings) -> Result<(Site, NodePlan), Failure> {
    let (plan, site) = document::site(lab, settings)?;
    let plan = site.plan()?.unwrap_or(plan);
    match plan.find(name) {
        Some(node) => Ok((site, node.clone())),
        None => {
            let known: Vec<&str> = plan.nodes().map(|(_, node)| node.label.as_str()).collect();
            let message = format!(
                "there is no node `{name}` in {}; there are: {}",
                lab.file.display(),
                known.join(", ")
            );
            Err(Failure::new(exit::USAGE, message))
        }
    }
}
