//! Taking a lab down: gently with the disks kept, or for good.

use std::{thread, time::Duration};

use config::model::Role;
use events::{EventKind, Level, NodeState, Sink};
use plan::Plan;
use system::{
    cancel::Cancel,
    clock::{self, Stopwatch},
    host,
};

use crate::{Error, Place, Session, Site, start::Placed};

/// How long a guest may take to power off on a host with KVM; multiplied with the host's slowness.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(6);

impl Session {
    /// Powers every node off, those that serve others last, and ends the lab. Disks stay.
    ///
    /// # Errors
    /// Libvirt refuses, or the lab does not end.
    pub fn stop(self, plan: &Plan, slowness: f64, sink: &dyn Sink, cancel: &Cancel) -> Result<(), Error> {
        let limit = SHUTDOWN_LIMIT.mul_f64(slowness);
        for serves in [false, true] {
            let nodes = plan
                .nodes()
                .filter(|(_, node)| matches!(node.role, Role::Controller | Role::ControlPlane) == serves);
            thread::scope(|scope| {
                let threads: Vec<_> = nodes
                    .map(|(_, node)| {
                        let session = &self;
                        scope.spawn(move || session.power_off(&node.domain, &node.label, limit, sink, cancel))
                    })
                    .collect();
                threads.into_iter().try_for_each(|thread| match thread.join() {
                    Ok(result) => result,
                    Err(panic) => std::panic::resume_unwind(panic),
                })
            })?;
        }
        self.destroy_networks()?;
        let site = self.site.clone();
        self.end()?;
        Ok(site.folder.clear_runtime()?)
    }

    fn power_off(
        &self,
        domain: &str,
        label: &str,
        limit: Duration,
        sink: &dyn Sink,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let lab = self.site.folder.id();
        let ours = |session: &Self| {
            let observed = session.hypervisor.observe()?;
            Ok::<bool, Error>(
                observed
                    .domain(domain)
                    .is_some_and(|found| found.mark.as_ref().is_some_and(|mark| mark.lab == lab)),
            )
        };
        if !ours(self)? {
            return Ok(());
        }
        let say =
            |state| sink.emit(EventKind::NodeState { node: label.to_owned(), state, detail: String::new() });
        say(NodeState::Stopping);
        // The nodes have no session manager that would hear a power button, so systemd is asked itself. Its answer is
        // lost with the connection.
        let asked = self.ssh().run(label, "systemctl --no-block poweroff", limit, cancel);
        if asked.is_err() {
            self.hypervisor.shutdown_domain(domain)?;
        }
        let watch = Stopwatch::start();
        while ours(self)? {
            if watch.elapsed() >= limit || cancel.requested() {
                let message = format!("{label} did not power off in time and lost its power");
                sink.emit(EventKind::Notice { level: Level::Warning, message });
                self.hypervisor.destroy_domain(domain)?;
                break;
            }
            clock::sleep(Duration::from_millis(100));
        }
        say(NodeState::Stopped);
        Ok(())
    }

    /// Takes the power from these nodes, all at once.
    pub(crate) fn power_off_now(&self, nodes: &[Placed<'_>]) -> Result<(), Error> {
        let lab = self.site.folder.id();
        let observed = self.hypervisor.observe()?;
        let ours = |domain: &str| {
            let mark = observed.domain(domain).and_then(|found| found.mark.as_ref());
            mark.is_some_and(|mark| mark.lab == lab)
        };
        thread::scope(|scope| {
            let threads: Vec<_> = nodes
                .iter()
                .filter(|(_, node)| ours(&node.domain))
                .map(|(_, node)| scope.spawn(|| self.hypervisor.destroy_domain(&node.domain)))
                .collect();
            threads.into_iter().try_for_each(|thread| match thread.join() {
                Ok(result) => Ok(result?),
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })
    }

    fn destroy_networks(&self) -> Result<(), Error> {
        let lab = self.site.folder.id();
        for network in self.hypervisor.observe()?.networks {
            if network.mark.is_some_and(|mark| mark.lab == lab) {
                self.hypervisor.destroy_network(&network.name)?;
            }
        }
        Ok(())
    }

    /// Takes the power from everything that bears this lab's mark, ends the lab and removes its folder.
    ///
    /// # Errors
    /// Libvirt refuses, the lab does not end, or a file cannot be removed.
    pub fn destroy(self) -> Result<(), Error> {
        let lab = self.site.folder.id();
        for domain in self.hypervisor.observe()?.domains {
            if domain.mark.is_some_and(|mark| mark.lab == lab) {
                self.hypervisor.destroy_domain(&domain.name)?;
            }
        }
        self.destroy_networks()?;
        let site = self.site.clone();
        self.end()?;
        Ok(site.folder.remove()?)
    }
}

impl Site {
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
