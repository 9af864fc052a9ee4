//! One run of ansible-playbook: where, with which settings, and with what it needs to be told.

use std::{collections::BTreeMap, ffi::OsString, path::Path, time::Duration};

use events::Sink;
use system::{cancel::Cancel, environment, process::Command};

use crate::{Error, Installation, NodeSummary, transcript::Transcript};

/// `base` is right for real hardware, `most` for the slowest node that is still of use.
pub(crate) fn scaled(base: f64, slowness: f64, most: f64) -> f64 {
    (base * slowness.max(1.0)).min(most)
}

/// Where and how playbooks run.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    /// The words that run a command where the nodes can be reached.
    pub(crate) enter: &'a [OsString],
    /// The Ansible to use.
    pub(crate) ansible: &'a Installation,
    /// Whether mitogen may speed it up, where it is installed.
    pub(crate) mitogen: bool,
    /// Where the playbook was unpacked. The log is left there.
    pub(crate) folder: &'a Path,
    /// How many times slower than real hardware the nodes are.
    pub(crate) slowness: f64,
    /// How many nodes there are.
    pub(crate) nodes: usize,
}

impl Run<'_> {
    /// Runs one of the unpacked playbooks with further `words` and `settings`, for `limit` at most.
    pub(crate) fn playbook(
        &self,
        name: &str,
        words: impl IntoIterator<Item = OsString>,
        settings: impl IntoIterator<Item = (&'static str, OsString)>,
        limit: Duration,
        sink: &dyn Sink,
        cancel: &Cancel,
    ) -> Result<BTreeMap<String, NodeSummary>, Error> {
        let mut all = self.enter.to_vec();
        // The user's own settings for Ansible are for the user's own playbooks.
        all.push("env".into());
        for name in environment::variables().into_keys().filter(|name| name.starts_with("ANSIBLE_")) {
            all.extend(["-u".into(), name.into()]);
        }
        all.extend(self.settings().into_iter().chain(settings).map(|(name, value)| assignment(name, value)));
        all.push(self.ansible.playbook.clone().into());
        // Whoever enters a namespace starts in its root folder, so every path is absolute.
        all.push(self.folder.join(name).into());
        all.extend(words);
        let command = Command::new_from(all).deadline(limit).cancel(cancel);
        Transcript::new(&self.folder.join("ansible.log"))?.follow(&command, sink)
    }

    fn settings(&self) -> Vec<(&'static str, OsString)> {
        let timeout = scaled(10.0, self.slowness, 120.0);
        let mut settings: Vec<(&str, OsString)> = vec![
            // Ansible refuses to run in a locale that is not UTF-8.
            ("LC_ALL", "C.UTF-8".into()),
            ("ANSIBLE_CONFIG", self.folder.join("ansible.cfg").into()),
            ("ANSIBLE_HOME", self.folder.join("home").into()),
            ("ANSIBLE_NOCOLOR", "1".into()),
            ("ANSIBLE_CALLBACKS_ENABLED", "ai_how_events".into()),
            ("ANSIBLE_FORKS", self.nodes.min(32).to_string().into()),
            ("ANSIBLE_TIMEOUT", format!("{timeout:.0}").into()),
            ("PYTHONDONTWRITEBYTECODE", "1".into()),
        ];
        if let Some(strategies) = self.ansible.mitogen.as_ref().filter(|_| self.mitogen) {
            settings.push(("ANSIBLE_STRATEGY_PLUGINS", strategies.into()));
            settings.push(("ANSIBLE_STRATEGY", "mitogen_linear".into()));
        }
        settings
    }
}

/// A word for `env`.
fn assignment(name: &str, value: OsString) -> OsString {
    let mut word = OsString::from(name);
    word.push("=");
    word.push(value);
    word
}
