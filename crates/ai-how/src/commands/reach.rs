//! `ai-how ssh`, `exec`, `cp` and `console`.

use std::{path::Path, time::Duration};

use engine::{Session, Site};
use guest::console::{Console, End};
use plan::{Plan, model::NodePlan};
use serde_json::{Value, json};
use system::{
    cancel::Cancel,
    host,
    process::{self, Output},
};

use crate::{
    cli::{self, At, Exec, Format, Lab, Ssh},
    document, exit,
    failure::Failure,
    output,
    settings::Settings,
};

/// Ends with the status of what ran on the node.
pub(crate) fn ssh(arguments: &Ssh, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    on_terminal(&arguments.at, &arguments.node, &arguments.command, settings, cancel)
}

/// Runs a command on a node with this terminal, and ends with its status.
pub(super) fn on_terminal(
    at: &At,
    node: &str,
    command: &[String],
    settings: &Settings,
    cancel: &Cancel,
) -> Result<u8, Failure> {
    let (site, node) = find(&at.lab(), node, settings)?;
    refuse_appliance(&node)?;
    let session = site.find(cancel)?.ok_or_else(|| engine::Error::NotRunning { lab: site.folder.id() })?;
    let is_off = || match site.as_started(cancel)? {
        Some(plan) => Ok::<bool, Failure>(!session.running(&plan)?.contains(&node.label)),
        None => Ok(false),
    };
    // Nobody answers for a machine that is off, and OpenSSH waits a minute for it. Libvirt, which knows for sure, takes longer
    // to ask than most commands run.
    let folder = site.folder.path().display().to_string();
    if host::guest_process(&node.domain, &folder).is_none() && is_off()? {
        return Err(off(&node.label));
    }
    let code = session.ssh().interactive(&node.label, command)?;
    // OpenSSH has said that it could not connect; why, it cannot know.
    if code == NO_CONNECTION && is_off()? {
        return Err(off(&node.label));
    }
    Ok(u8::try_from(code).unwrap_or(exit::FAILED))
}

/// OpenSSH's status where it reaches nobody, which a command may have, too.
const NO_CONNECTION: i32 = 255;

/// Refuses what takes a shell on a node that has none.
fn refuse_appliance(node: &NodePlan) -> Result<(), Failure> {
    if !node.is_appliance() {
        return Ok(());
    }
    let label = &node.label;
    let message =
        format!("{label} is an appliance: it has no SSH; `ai-how console {label}` attaches to its prompt");
    Err(Failure::new(exit::USAGE, message))
}

fn off(label: &str) -> Failure {
    let message = format!("{label} does not run; `ai-how node start {label}` starts it");
    Failure::new(exit::FAILED, message)
}

pub(crate) fn console(arguments: &cli::Console, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    let lab = arguments.at.lab();
    let (site, node) = find(&lab, &arguments.node, settings)?;
    let failed = |error| Failure::new(exit::FAILED, error);
    let console = Console::open(&site.folder.sockets(), &node.domain, &node.label).map_err(failed)?;
    let what = if node.is_appliance() { "its prompt" } else { "a shell" };
    output::words(format_args!("{}: press Enter for {what}, Ctrl-] to detach\n", node.label));
    let end = console.attach(cancel, &mut |_| ()).map_err(failed)?;
    let words = match end {
        End::Detached | End::Stopped => "detached",
        End::Off => "is off",
    };
    output::words(format_args!("\n{} {words}\n", node.label));
    Ok(exit::OK)
}

/// A lab that runs, with the plan of what runs.
fn open(at: &At, settings: &Settings, cancel: &Cancel) -> Result<(Plan, Session), Failure> {
    let (plan, site) = document::site(&at.lab(), settings)?;
    let session = site.find(cancel)?.ok_or_else(|| engine::Error::NotRunning { lab: site.folder.id() })?;
    let plan = session.plan(&plan)?.unwrap_or(plan);
    Ok((plan, session))
}

/// What a command left behind on a node.
struct Answer {
    node: String,
    /// What it left behind, or why it did not run to its end.
    ran: Result<Output, String>,
}

/// Ends with status 0 when the command did so on every node, and with 1 otherwise.
pub(crate) fn exec(arguments: &Exec, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    let (plan, session) = open(&arguments.at, settings, cancel)?;
    let running = session.running(&plan)?;
    let nodes = chosen(arguments, &plan, &running)?;
    let (ssh, script) = (session.ssh(), arguments.command.join(" "));
    let limit = Duration::from_secs(arguments.timeout);
    let run = |node: &String| {
        let ran = ssh.run(node, &script, limit, cancel).map_err(|error| match error {
            guest::SshError::Process(process::Error::TimedOut { .. }) => {
                format!("did not finish within {} s and was ended", limit.as_secs())
            }
            error => error.to_string(),
        });
        Answer { node: node.clone(), ran }
    };
    let answers = engine::together(&nodes, run);
    if cancel.requested() {
        return Err(engine::Error::Interrupted.into());
    }
    match arguments.format {
        Format::Json => {
            let list: Vec<Value> = answers.iter().map(Answer::json).collect();
            output::json(&json!({"nodes": list}))?;
        }
        Format::Text => answers.iter().try_for_each(Answer::tell)?,
    }
    let good = |answer: &Answer| answer.ran.as_ref().is_ok_and(|output| output.code == 0);
    Ok(if answers.iter().all(good) { exit::OK } else { exit::FAILED })
}

/// The labels of the nodes that are meant, in the order of the plan. One that is named must run.
fn chosen(arguments: &Exec, plan: &Plan, running: &[String]) -> Result<Vec<String>, Failure> {
    let mut named = Vec::new();
    for name in &arguments.node {
        let node = plan.find(name).ok_or_else(|| unknown(name, &arguments.at.file, plan))?;
        refuse_appliance(node)?;
        if !running.contains(&node.label) {
            return Err(off(&node.label));
        }
        named.push(&node.label);
    }
    let has_role = |node: &NodePlan, wanted: &String| node.role.name() == wanted;
    if let Some(none) =
        arguments.role.iter().find(|wanted| !plan.nodes().any(|(_, node)| has_role(node, wanted)))
    {
        let message = format!("no node of {} has the role `{none}`", arguments.at.file.display());
        return Err(Failure::new(exit::USAGE, message));
    }
    let of_role = |node: &NodePlan| arguments.role.iter().any(|wanted| has_role(node, wanted));
    let meant = |node: &&NodePlan| {
        let meant = (arguments.all || of_role(node)) && !node.is_appliance();
        named.contains(&&node.label) || (meant && running.contains(&node.label))
    };
    let nodes: Vec<String> =
        plan.nodes().map(|(_, node)| node).filter(meant).map(|node| node.label.clone()).collect();
    if nodes.is_empty() { Err(Failure::new(exit::FAILED, "none of these nodes runs")) } else { Ok(nodes) }
}

impl Answer {
    /// Each line with the node's name before it; data to stdout, words to stderr.
    fn tell(&self) -> Result<(), Failure> {
        let lines =
            |text: &str| -> String { text.lines().map(|line| format!("{}: {line}\n", self.node)).collect() };
        match &self.ran {
            Ok(ran) => {
                output::data(lines(&ran.stdout))?;
                output::painted(lines(&ran.stderr));
                if ran.code != 0 {
                    output::words(format_args!("{}: status {}\n", self.node, ran.code));
                }
            }
            Err(error) => output::words(lines(error)),
        }
        Ok(())
    }

    fn json(&self) -> Value {
        match &self.ran {
            Ok(ran) => {
                json!({"node": self.node, "code": ran.code, "stdout": ran.stdout, "stderr": ran.stderr})
            }
            Err(error) => json!({"node": self.node, "code": null, "error": error}),
        }
    }
}

/// Copies with OpenSSH's own `scp`, and ends with its status.
pub(crate) fn cp(arguments: &cli::Copy, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    let (plan, session) = open(&arguments.at, settings, cancel)?;
    let mut paths = Vec::new();
    for path in &arguments.paths {
        // As scp itself has it: a colon before the first slash.
        paths.push(match path.split_once(':').filter(|(before, _)| !before.contains('/')) {
            Some((name, rest)) => {
                let node = plan.find(name).ok_or_else(|| unknown(name, &arguments.at.file, &plan))?;
                refuse_appliance(node)?;
                format!("{}:{rest}", node.label)
            }
            None => path.clone(),
        });
    }
    if arguments.paths.iter().all(|path| !path.contains(':')) {
        return Err(Failure::new(exit::USAGE, "none of these paths is on a node: write `NODE:PATH`"));
    }
    let code = session.ssh().copy(&paths, arguments.recursive)?;
    Ok(u8::try_from(code).unwrap_or(exit::FAILED))
}

pub(super) fn unknown(name: &str, file: &Path, plan: &Plan) -> Failure {
    let known: Vec<&str> = plan.nodes().map(|(_, node)| node.label.as_str()).collect();
    let message = format!("there is no node `{name}` in {}; there are: {}", file.display(), known.join(", "));
    Failure::new(exit::USAGE, message)
}

/// The lab of a file and the node a person means: in what runs, else in what the file says.
pub(super) fn find(lab: &Lab, name: &str, settings: &Settings) -> Result<(Site, NodePlan), Failure> {
    let (plan, site) = document::site(lab, settings)?;
    let plan = site.plan()?.unwrap_or(plan);
    match plan.find(name) {
        Some(node) => Ok((site, node.clone())),
        None => Err(unknown(name, &lab.file, &plan)),
    }
}
