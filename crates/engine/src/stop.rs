//! Taking a lab down: gently with the disks kept, or for good.

use std::{thread, time::Duration};

use events::{EventKind, Level, NodeState, Sink};
use guest::ready;
use plan::{Plan, model::NodePlan};
use system::{
    cancel::Cancel,
    clock::{self, Stopwatch},
    file, host, process,
};

use crate::{
    Error, Place, Scope, Session, Site,
    start::Placed,
    together::{first_error, together},
};

/// How long a guest may take to power off at least, as in version 1.0, whatever its services have to write down first.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(30);

/// How long one of our own images takes at most on a host with KVM; multiplied with the host's slowness.
const SHUTDOWN_TIME: Duration = Duration::from_secs(6);

/// How long a guest may take to power off on a host of this slowness.
pub(crate) fn shutdown_limit(slowness: f64) -> Duration {
    SHUTDOWN_TIME.mul_f64(slowness).max(SHUTDOWN_LIMIT)
}

/// How long the kernel may take to clear away an emulator that was killed, before libvirt is left to it.
const KILL_LIMIT: Duration = Duration::from_secs(1);

impl Session {
    /// Powers nodes off, those that serve others last, and ends the lab when none is left that runs. Disks stay. Without a
    /// slowness to be patient with, the power is taken from them at once.
    ///
    /// # Errors
    /// Libvirt refuses, or the lab does not end.
    pub fn stop(
        self,
        plan: &Plan,
        scope: &Scope,
        slowness: Option<f64>,
        sink: &dyn Sink,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let Some(slowness) = slowness else {
            let meant = plan.nodes().filter(|(cluster, node)| scope.has(&cluster.name, &node.domain));
            self.power_off_now(&meant.collect::<Vec<_>>())?;
            return self.end_when_empty(scope);
        };
        let limit = shutdown_limit(slowness);
        for serves in [false, true] {
            let nodes = plan.nodes().filter(|(cluster, node)| {
                scope.has(&cluster.name, &node.domain) && node.role.serves() == serves
            });
            first_error(together(nodes, |(_, node)| self.power_off(node, limit, sink, cancel)))?;
        }
        self.end_when_empty(scope)
    }

    /// Takes networks down that nobody needs any more, and ends a lab in which nothing runs.
    fn end_when_empty(self, scope: &Scope) -> Result<(), Error> {
        if !self.marked(&Scope::Lab)?.is_empty() {
            return self.destroy_networks(scope);
        }
        self.destroy_networks(&Scope::Lab)?;
        let site = self.site.clone();
        self.end()?;
        Ok(site.folder.clear_runtime()?)
    }

    pub(crate) fn power_off(
        &self,
        node: &NodePlan,
        limit: Duration,
        sink: &dyn Sink,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let NodePlan { domain, label, .. } = node;
        if !self.has(node)? {
            return Ok(());
        }
        let say =
            |state| sink.emit(EventKind::NodeState { node: label.clone(), state, detail: String::new() });
        say(NodeState::Stopping);
        if node.is_appliance() {
            // It keeps nothing, and nobody in it hears a power button.
            self.end_domain(domain)?;
            say(NodeState::Stopped);
            return Ok(());
        }
        // In an image of somebody else's only the power button is sure to be heard.
        if node.is_foreign() || !self.ask_to_power_off(node, limit, cancel) {
            self.hypervisor.shutdown_domain(domain)?;
        }
        // Whoever starts the lab before it is off waits for that.
        let word = self.folder().join(&node.ready);
        file::write(&word, ready::STOPPING.as_bytes())?;
        self.await_off(node, limit, sink, cancel)?;
        file::remove_file(&word)?;
        say(NodeState::Stopped);
        Ok(())
    }

    /// Waits until a node is off that was asked to power off; one that takes too long loses its power.
    pub(crate) fn await_off(
        &self,
        node: &NodePlan,
        limit: Duration,
        sink: &dyn Sink,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let watch = Stopwatch::start();
        while self.has(node)? {
            if watch.elapsed() >= limit || cancel.requested() {
                let message = format!("{} did not power off in time and lost its power", node.label);
                sink.emit(EventKind::Notice { level: Level::Warning, message });
                self.hypervisor.destroy_domain(&node.domain)?;
                break;
            }
            clock::sleep(Duration::from_millis(100));
        }
        // As below: it would hang from now on.
        self.ssh().disconnect(&node.label);
        Ok(())
    }

    /// Whether a node's machine is there, and is this lab's.
    fn has(&self, node: &NodePlan) -> Result<bool, Error> {
        Ok(self.marked(&Scope::Lab)?.contains(&node.domain))
    }

    /// Our nodes have no session manager that would hear a power button, so systemd is asked itself: over the agent, which
    /// needs no network and answers before it is ended, too, or else over SSH, whose answer is lost with the connection.
    fn ask_to_power_off(&self, node: &NodePlan, limit: Duration, cancel: &Cancel) -> bool {
        let soon = "(sleep 0.2; systemctl --no-block poweroff) >/dev/null 2>&1 &";
        self.agent(node, limit, cancel).and_then(|mut agent| agent.run(soon)).is_ok()
            || self.ssh().run(&node.label, "systemctl --no-block poweroff", limit, cancel).is_ok()
    }

    /// Takes the power from these nodes, all at once.
    pub(crate) fn power_off_now(&self, nodes: &[Placed<'_>]) -> Result<(), Error> {
        let ours = self.marked(&Scope::Lab)?;
        thread::scope(|scope| {
            // A connection to a machine that is gone would hang until somebody gives it up.
            scope.spawn(|| together(nodes, |(_, node)| self.ssh().disconnect(&node.label)));
            self.end_domains(
                ours.iter().filter(|domain| nodes.iter().any(|(_, node)| node.domain == **domain)),
            )
        })
    }

    /// The domains that bear this lab's mark.
    fn marked(&self, scope: &Scope) -> Result<Vec<String>, Error> {
        let lab = self.site.folder.id();
        let domains = self.hypervisor.observe()?.domains.into_iter().filter_map(|domain| {
            let mark = domain.mark.filter(|mark| mark.lab == lab)?;
            scope.has(&mark.cluster, &domain.name).then_some(domain.name)
        });
        Ok(domains.collect())
    }

    fn end_domains<'a>(&self, domains: impl Iterator<Item = &'a String>) -> Result<(), Error> {
        first_error(together(domains, |domain| self.end_domain(domain)))
    }

    pub(crate) fn end_domain(&self, domain: &str) -> Result<(), Error> {
        // Libvirt asks an emulator to end and looks five times a second whether it has. One that is gone costs no look.
        if let Some(pid) = host::guest_process(domain, &self.folder().display().to_string()) {
            process::kill(pid, KILL_LIMIT);
        }
        Ok(self.hypervisor.destroy_domain(domain)?)
    }

    fn destroy_networks(&self, scope: &Scope) -> Result<(), Error> {
        let lab = self.site.folder.id();
        for network in self.hypervisor.observe()?.networks {
            if network.mark.is_some_and(|mark| mark.lab == lab && scope.has_shared_of(&mark.cluster)) {
                self.hypervisor.destroy_network(&network.name)?;
            }
        }
        Ok(())
    }

    /// Takes the power from what `scope` means, and removes its networks and disks. When nothing is left, the lab goes as a
    /// whole.
    ///
    /// # Errors
    /// As [`Session::destroy`].
    pub fn destroy_part(self, recorded: &Plan, scope: &Scope) -> Result<(), Error> {
        self.end_domains(self.marked(scope)?.iter())?;
        self.destroy_networks(scope)?;
        match self.site.remove_part(recorded, scope)? {
            Left::Something => Ok(()),
            Left::Nothing => self.destroy(),
        }
    }

    /// Takes the power from everything that bears this lab's mark, ends the lab and removes its folder.
    ///
    /// # Errors
    /// Libvirt refuses, the lab does not end, or a file cannot be removed.
    pub fn destroy(self) -> Result<(), Error> {
        self.end_domains(self.marked(&Scope::Lab)?.iter())?;
        self.destroy_networks(&Scope::Lab)?;
        let site = self.site.clone();
        self.end()?;
        Ok(site.folder.remove()?)
    }
}

/// What is left of a lab of which a part was removed.
enum Left {
    Something,
    Nothing,
}

impl Site {
    /// Destroys what `scope` means of a lab, whether it runs or not. `recorded` is what it was made as.
    ///
    /// # Errors
    /// As [`Session::destroy`].
    pub fn destroy_part(&self, recorded: &Plan, scope: &Scope, cancel: &Cancel) -> Result<(), Error> {
        match self.find(cancel)? {
            Some(session) => session.destroy_part(recorded, scope),
            None => match self.remove_part(recorded, scope)? {
                Left::Something => Ok(()),
                Left::Nothing => Ok(self.folder.remove()?),
            },
        }
    }

    /// Removes the disks of what `scope` means, and writes down what is left.
    fn remove_part(&self, recorded: &Plan, scope: &Scope) -> Result<Left, Error> {
        for (cluster, node) in recorded.nodes() {
            if scope.has(&cluster.name, &node.domain) {
                self.remove_files(node)?;
            }
        }
        // What was never started is nothing to stay for.
        let stays = recorded.nodes().filter(|(cluster, node)| {
            !scope.has(&cluster.name, &node.domain) && self.folder.path().join(&node.disk).exists()
        });
        let stays = stays.map(|(_, node)| node.domain.clone());
        let left = Scope::Nodes(stays.collect()).narrow(recorded);
        if left.clusters.is_empty() {
            return Ok(Left::Nothing);
        }
        self.write_plan(&left.identified())?;
        Ok(Left::Something)
    }

    /// Destroys the lab, whether it runs or not, and whatever of it is left.
    ///
    /// # Errors
    /// As [`Session::destroy`].
    pub fn destroy(&self, cancel: &Cancel) -> Result<(), Error> {
        match self.find(cancel) {
            Ok(Some(session)) => session.destroy(),
            Ok(None) => Ok(self.folder.remove()?),
            // A private lab whose libvirt is gone still ends with its keeper.
            Err(error) => match lab::Private::find(&self.folder).filter(|_| self.place == Place::Private) {
                Some(private) => {
                    private.end()?;
                    Ok(self.folder.remove()?)
                }
                None => Err(error),
            },
        }
    }
}

/// What is left of a lab that was destroyed: its processes, its folder, its bridges, its mounts. Each is told as a person
/// would name it; nothing is left when there is none.
pub fn leaks(site: &Site, plan: &Plan) -> Vec<String> {
    let folder = site.folder.path();
    let text = folder.display().to_string();
    let mut leaks = Vec::new();
    let mine = i32::try_from(std::process::id()).unwrap_or(0);
    for pid in host::processes(|words| words.iter().any(|word| host::names_folder(word, &text))) {
        if pid != mine {
            let words = host::command_line(pid).unwrap_or_default();
            leaks.push(format!("the process {pid} ({})", words.first().cloned().unwrap_or_default()));
        }
    }
    if folder.exists() {
        leaks.push(format!("the folder {text}"));
    }
    for network in plan.clusters.iter().flat_map(|cluster| &cluster.networks) {
        if host::has_interface(&network.bridge) {
            leaks.push(format!("the bridge {}", network.bridge));
        }
    }
    leaks.extend(host::mounts_below(folder).into_iter().map(|mount| format!("the mount {mount}")));
    leaks
}
