//! The yardstick for a boot: the same machines started by QEMU alone, without libvirt, networks of ours or anything of
//! ai-how. What a lab takes longer than this is what ai-how costs.
//!
//! The machines are described by the XML that ai-how gave to libvirt, and they are started by the same rule: a node waits
//! until fewer are booting than the host has processors.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use guest::ready;
use plan::Plan;
use plan::model::NodePlan;
use system::cancel::Cancel;
use system::clock::Stopwatch;
use system::process::{self, Command, Output};
use system::watch::FolderWatch;
use system::{file, host};

use super::process::Taken;
use crate::Failure;

/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(600);

/// How often a wait looks at what tells nothing by itself: an interruption, a QEMU that ended.
const LOOK: Duration = Duration::from_millis(500);

/// One machine.
#[derive(Debug, PartialEq)]
pub(crate) struct Machine {
    label: String,
    name: String,
    kvm: bool,
    /// The translation cache, MiB.
    tb_cache: Option<String>,
    cpus: u32,
    memory_mib: u64,
    disk_gib: u64,
    macs: Vec<String>,
    kernel: PathBuf,
    initrd: PathBuf,
    command_line: String,
}

/// What a boot took.
#[derive(Debug)]
pub(crate) struct Booted {
    /// From nothing until the last machine said that it is ready.
    pub(crate) seconds: f64,
    pub(crate) nodes: Vec<Node>,
}

/// What one machine took.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) label: String,
    /// From its QEMU's start until it said that it is ready.
    pub(crate) seconds: f64,
    /// When all were ready.
    pub(crate) taken: Option<Taken>,
}

/// The machines of the run whose folder this is, in the order of its plan.
pub(crate) fn machines(run: &Path) -> Result<Vec<Machine>, Failure> {
    let plan: Plan = serde_json::from_str(&file::read(&run.join("plan.json"))?)?;
    let started = plan.nodes().map(|(_, node)| node).filter(|node| node.auto_start);
    started
        .map(|node| {
            let xml = file::read(&run.join("xml").join(format!("{}.xml", node.domain)))?;
            Machine::new(node, &xml).map_err(|error| format!("the XML of {}: {error}", node.domain).into())
        })
        .collect()
}

/// Boots them in a folder that is made for it and removed afterwards.
pub(crate) fn boot(machines: &[Machine], folder: &Path, cancel: &Cancel) -> Result<Booted, Failure> {
    file::remove_folder(folder)?;
    file::create_folder(&folder.join("ready"))?;
    let stop = Stop(Cancel::new());
    let result = thread::scope(|scope| {
        // Ends the QEMUs before the scope waits for them, also when something fails.
        let stop = &stop;
        let mut running = Running { folder, booting: Vec::new(), emulators: Vec::new(), ready: Vec::new() };
        let result =
            running.all(machines, cancel, |command| scope.spawn(|| command.cancel(&stop.0).output()));
        stop.0.request();
        result
    });
    file::remove_folder(folder)?;
    result
}

/// Ends every QEMU of this boot when it is dropped.
struct Stop(Cancel);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.request();
    }
}

type Emulator<'scope> = ScopedJoinHandle<'scope, Result<Output, process::Error>>;

/// Machines that run.
struct Running<'a, 'scope> {
    folder: &'a Path,
    booting: Vec<(&'a Machine, Stopwatch)>,
    emulators: Vec<(&'a Machine, Emulator<'scope>)>,
    /// Those that are ready, with the seconds that took.
    ready: Vec<(&'a Machine, f64)>,
}

impl<'a, 'scope> Running<'a, 'scope> {
    fn all(
        &mut self,
        machines: &'a [Machine],
        cancel: &Cancel,
        spawn: impl Fn(Command) -> Emulator<'scope>,
    ) -> Result<Booted, Failure> {
        let slots = host::cpus().max(2);
        let folder = self.folder;
        let changes = FolderWatch::new(&folder.join("ready"))?;
        let watch = Stopwatch::start();
        let mut waiting = machines.iter();
        loop {
            let ready = &mut self.ready;
            self.booting.retain(|(machine, since)| {
                let done = ready::read(&machine.ready(folder)).is_some();
                if done {
                    ready.push((machine, since.seconds()));
                }
                !done
            });
            while self.booting.len() < slots
                && let Some(machine) = waiting.next()
            {
                machine.make_disk(folder)?;
                self.booting.push((machine, Stopwatch::start()));
                let qemu = Command::new("qemu-system-x86_64").args(machine.arguments(folder)).deadline(LIMIT);
                self.emulators.push((machine, spawn(qemu)));
            }
            if self.booting.is_empty() {
                break;
            }
            self.check(&watch, cancel)?;
            changes.wait(LOOK)?;
        }
        let seconds = watch.seconds();
        let node = |(machine, seconds): &(&Machine, f64)| Node {
            label: machine.label.clone(),
            seconds: *seconds,
            taken: machine.taken(folder),
        };
        Ok(Booted { seconds, nodes: self.ready.iter().map(node).collect() })
    }

    fn check(&mut self, watch: &Stopwatch, cancel: &Cancel) -> Result<(), Failure> {
        if cancel.requested() {
            return Err("interrupted".into());
        }
        if let Some(at) = self.emulators.iter().position(|(_, emulator)| emulator.is_finished()) {
            let (machine, emulator) = self.emulators.swap_remove(at);
            let said = match emulator.join() {
                Ok(Ok(output)) => output.stderr,
                Ok(Err(error)) => error.to_string(),
                Err(panic) => std::panic::resume_unwind(panic),
            };
            return Err(format!("the yardstick's {} ended: {}", machine.label, said.trim_end()).into());
        }
        if watch.elapsed() > LIMIT {
            let silent: Vec<String> =
                self.booting.iter().map(|(machine, _)| machine.describe(self.folder)).collect();
            return Err(format!("not ready after {} s: {}", LIMIT.as_secs(), silent.join("; ")).into());
        }
        Ok(())
    }
}

impl Machine {
    fn new(node: &NodePlan, xml: &str) -> Result<Self, Failure> {
        let document = roxmltree::Document::parse(xml)?;
        let find = |name: &str| document.descendants().find(|element| element.has_tag_name(name));
        let text = |name: &str| find(name).and_then(|element| element.text());
        let needed = |name: &'static str| text(name).ok_or_else(|| format!("it has no {name}"));
        Ok(Self {
            label: node.label.clone(),
            name: node.domain.clone(),
            kvm: document.root_element().attribute("type") == Some("kvm"),
            tb_cache: text("tb-cache").map(str::to_owned),
            cpus: node.cpus,
            memory_mib: node.memory_mib,
            disk_gib: node.disk_gib,
            macs: node.interfaces.iter().map(|interface| interface.mac.clone()).collect(),
            kernel: needed("kernel")?.into(),
            initrd: needed("initrd")?.into(),
            command_line: needed("cmdline")?.to_owned(),
        })
    }

    fn disk(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.qcow2", self.name))
    }

    fn ready(&self, folder: &Path) -> PathBuf {
        folder.join("ready").join(format!("{}.jsonl", self.name))
    }

    fn console(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.log", self.name))
    }

    fn pid_file(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.pid", self.name))
    }

    fn taken(&self, folder: &Path) -> Option<Taken> {
        Taken::of(fs::read_to_string(self.pid_file(folder)).ok()?.trim().parse().ok()?)
    }

    fn describe(&self, folder: &Path) -> String {
        format!("{} ({})", self.label, file::tail(&self.console(folder), 3).replace('\n', " "))
    }

    /// The disk of an image lies beside its kernel.
    fn make_disk(&self, folder: &Path) -> Result<(), Failure> {
        let command = Command::new("qemu-img").args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"]);
        let command = command.arg(self.kernel.with_file_name("disk.qcow2")).arg(self.disk(folder));
        command.arg(format!("{}G", self.disk_gib)).run()?;
        Ok(())
    }

    /// The devices of the XML, without libvirt's bus topology. The network only answers DHCP.
    fn arguments(&self, folder: &Path) -> Vec<String> {
        // A comma would end the value of an option.
        let path = |path: &Path| path.display().to_string().replace(',', ",,");
        let tb_cache = self.tb_cache.as_ref().map(|size| format!(",tb-size={size}")).unwrap_or_default();
        let accelerator = if self.kvm { "kvm".to_owned() } else { format!("tcg{tb_cache}") };
        let mut words = vec![
            "-nodefaults".to_owned(),
            "-no-user-config".to_owned(),
            "-display".to_owned(),
            "none".to_owned(),
        ];
        let mut option = |name: &str, value: String| words.extend([format!("-{name}"), value]);
        option("name", self.name.clone());
        // As the XML has it: its ticks would cost the yardstick a twentieth.
        option("machine", "q35,hpet=off".to_owned());
        option("accel", accelerator);
        option("cpu", if self.kvm { "host" } else { "max" }.to_owned());
        option("smp", self.cpus.to_string());
        option("m", self.memory_mib.to_string());
        option("kernel", self.kernel.display().to_string());
        option("initrd", self.initrd.display().to_string());
        option("append", self.command_line.clone());
        let disk = path(&self.disk(folder));
        option("drive", format!("id=disk,if=none,format=qcow2,cache=unsafe,discard=unmap,file={disk}"));
        option("device", "virtio-blk-pci,drive=disk".to_owned());
        for (index, mac) in self.macs.iter().enumerate() {
            option("netdev", format!("user,id=net{index},restrict=on"));
            option("device", format!("virtio-net-pci,netdev=net{index},mac={mac},romfile="));
        }
        option("chardev", format!("file,id=console,path={}", path(&self.console(folder))));
        option("serial", "chardev:console".to_owned());
        option("chardev", format!("file,id=ready,path={}", path(&self.ready(folder))));
        option("device", "virtio-serial-pci".to_owned());
        option("device", "virtserialport,chardev=ready,name=ai-how.ready".to_owned());
        option("object", "rng-random,id=random,filename=/dev/urandom".to_owned());
        option("device", "virtio-rng-pci,rng=random".to_owned());
        option("pidfile", self.pid_file(folder).display().to_string());
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = r#"<domain type="qemu">
  <name>hpc-controller</name>
  <os>
    <type arch="x86_64" machine="q35">hvm</type>
    <kernel>/cache/image/vmlinuz</kernel>
    <initrd>/cache/image/initrd</initrd>
    <cmdline>console=ttyS0 quiet &amp; systemd.hostname=controller</cmdline>
  </os>
  <features><acpi/><tcg><tb-cache unit="MiB">64</tb-cache></tcg></features>
</domain>"#;

    fn node() -> NodePlan {
        let text = r#"{"name":"controller","label":"controller","domain":"hpc-controller",
            "uuid":"00000000-0000-0000-0000-000000000000","role":"controller","cpus":1,"memory_mib":768,"disk_gib":8,
            "image":{"built":"debian-13"},"auto_start":true,"disk":"d","console":"c","ready":"r",
            "interfaces":[{"network":"n","mac":"72:55:52:1e:8f:d9","address":"10.0.0.2"}]}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_machine_is_what_libvirt_was_given() {
        let machine = Machine::new(&node(), XML).unwrap();
        let words = machine.arguments(Path::new("/bench,1"));
        let has = |name: &str, value: &str| words.windows(2).any(|pair| pair[0] == name && pair[1] == value);
        assert!(has("-accel", "tcg,tb-size=64"), "{words:?}");
        assert!(has("-append", "console=ttyS0 quiet & systemd.hostname=controller"), "{words:?}");
        assert!(has("-kernel", "/cache/image/vmlinuz"), "{words:?}");
        assert!(has("-device", "virtio-net-pci,netdev=net0,mac=72:55:52:1e:8f:d9,romfile="), "{words:?}");
        assert!(has("-chardev", "file,id=ready,path=/bench,,1/ready/hpc-controller.jsonl"), "{words:?}");
    }

    #[test]
    fn kvm_takes_the_host_processor() {
        let machine = Machine::new(&node(), &XML.replace(r#"type="qemu""#, r#"type="kvm""#)).unwrap();
        let words = machine.arguments(Path::new("/bench")).join(" ");
        assert!(words.contains("-accel kvm -cpu host"), "{words}");
    }

    #[test]
    fn xml_without_a_kernel_is_refused() {
        let error = Machine::new(&node(), "<domain type='qemu'/>").unwrap_err();
        assert!(error.to_string().contains("no kernel"), "{error}");
    }
}
