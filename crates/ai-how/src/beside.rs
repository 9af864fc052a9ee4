//! Snippets of appliances. Nothing in an appliance could run them, so they run on this host, beside the machine, as the user
//! who tests it: each node has a folder to work in, and variables tell where the machine's console is.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use engine::Place;
use harness::shell::Error;
use lab::Folder;
use plan::model::NodePlan;
use system::{
    cancel::Cancel,
    environment,
    file::{self, SocketFolder},
    process::{self, Command, Output},
};

use crate::{failure::Failure, proof::Proof};

/// What runs beside the appliances of a lab.
pub(crate) struct Beside {
    folder: Folder,
    /// Where the records are of what snippets start: with that of their own run.
    runs: PathBuf,
    /// What every snippet is told.
    environment: Vec<(&'static str, PathBuf)>,
    /// A lab's folder has a longer path than a socket's address can hold.
    sockets: SocketFolder,
    /// By label.
    nodes: BTreeMap<String, NodePlan>,
}

impl Beside {
    /// For the appliances of the lab that is proved; nothing where it has none.
    pub(crate) fn new(proof: &Proof<'_>) -> Result<Option<Self>, Failure> {
        let appliances = proof.plan.nodes().filter(|(_, node)| node.is_appliance());
        let nodes: BTreeMap<String, NodePlan> =
            appliances.map(|(_, node)| (node.label.clone(), node.clone())).collect();
        if nodes.is_empty() {
            return Ok(None);
        }
        let folder = proof.site.folder.clone();
        // What a run that was killed left there is nothing to this one.
        file::remove_folder(&folder.work())?;
        let sockets = SocketFolder::open(&folder.sockets()).map_err(Failure::environment)?;
        let place = match proof.site.place {
            Place::Private => "private",
            Place::System => "system",
        };
        let environment = vec![
            ("AI_HOW", environment::current_program().map_err(Failure::environment)?),
            ("AI_HOW_STATE", proof.settings.state.clone()),
            ("AI_HOW_CACHE", proof.settings.cache.clone()),
            ("PLACE", place.into()),
        ];
        Ok(Some(Self { folder, runs: proof.run.folder().join("runs"), environment, sockets, nodes }))
    }

    /// Whether the snippets of this node run here.
    pub(crate) fn has(&self, node: &str) -> bool {
        self.nodes.contains_key(node)
    }

    /// Runs a snippet with bash beside a node. Whatever it started ends with it.
    pub(crate) fn run(
        &self,
        label: &str,
        script: &str,
        deadline: Duration,
        cancel: &Cancel,
    ) -> Result<Output, Error> {
        let unreachable = |reason: String| Error::Unreachable { node: label.to_owned(), reason };
        let node = self.nodes.get(label).ok_or_else(|| unreachable("it is no appliance".to_owned()))?;
        let work = self.folder.work().join(&node.domain);
        file::create_folder(&work).map_err(|error| unreachable(error.to_string()))?;
        let lab = self.folder.path();
        let bash = self
            .environment
            .iter()
            .fold(Command::new("bash").arg("-s"), |bash, (name, value)| bash.env(name, value));
        let bash = bash
            .env("AI_HOW_RUNS", self.runs.join(label))
            .env("CONSOLE", self.sockets.path_for_others(format!("{}.console", node.domain)))
            .env("CONSOLE_LOG", lab.join(&node.console))
            .env("READY", lab.join(&node.ready));
        let ran = bash.folder(work).input(script).own_session().deadline(deadline).cancel(cancel).output();
        ran.map_err(|error| match error {
            process::Error::TimedOut { limit, .. } => Error::TimedOut { node: label.to_owned(), limit },
            process::Error::Cancelled { .. } => Error::Cancelled,
            error => unreachable(error.to_string()),
        })
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // What stays goes with the lab.
        let _ = file::remove_folder(&self.folder.work());
    }
}
