//! Templates: whole or not there, whatever happens to who makes them, and made again when they are damaged.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    bench::Bench,
    host::Host,
    start::{Cache, MACHINES, Start, Told},
};

/// Machines of the same shape in another lab.
const OTHER: &str = r#"version: "2.0"
name: other
clusters:
  hpc:
    kind: slurm
    networks: {lan: {subnet: 192.168.193.0/24}}
    defaults: {cpus: 1, memory_mib: 640, disk_gib: 4}
    controller: {name: controller}
    nodes: [{name: compute-01}]
"#;

/// A lab that goes with this value, also when the test fails.
struct Destroyed<'a>(&'a Bench, &'a str);

impl Drop for Destroyed<'_> {
    fn drop(&mut self) {
        let destroyed = self.0.command(&["cluster", "destroy", self.1, "--force"]).output();
        drop(destroyed);
    }
}

/// No process, interface or mount is left; the lab's disks may be, for the next start.
fn assert_nothing_runs(bench: &Bench, before: &Host, after: &str) {
    let limit = Instant::now() + Duration::from_secs(10);
    loop {
        let more = Host::look(&bench.path("")).more_than(before);
        if more.is_empty() {
            return;
        }
        assert!(Instant::now() < limit, "left after {after}: {more:#?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn hostname(bench: &Bench, config: &str, node: &str) {
    assert_eq!(bench.ok(&["ssh", "--file", config, node, "hostname"]), format!("{node}\n"));
}

fn destroy(bench: &Bench, after: &str) {
    bench.ok(&["cluster", "destroy", "bench.yaml", "--force"]);
    bench.assert_clean(after);
}

#[test]
fn killed_at_any_moment_a_start_leaves_a_whole_template_or_none() {
    let bench = Bench::new();
    let cache = Cache::new(&bench);
    let before = Host::look(&bench.path(""));

    // While the template is made.
    let mut start = Start::spawn(&bench, &cache, "bench.yaml");
    start.wait_for("booting a machine to keep as a template");
    start.kill();
    assert_nothing_runs(&bench, &before, "kill -9 when the template boots");
    assert_eq!(cache.templates().0, [""; 0].map(Path::new));

    let mut start = Start::spawn(&bench, &cache, "bench.yaml");
    start.wait_until("the template's state", |_| {
        cache.templates().1.iter().any(|folder| folder.join("state").exists())
    });
    start.kill();
    assert_nothing_runs(&bench, &before, "kill -9 when the template is frozen");
    assert_eq!(cache.templates().0, [""; 0].map(Path::new));

    let told = Start::spawn(&bench, &cache, "bench.yaml").done();
    assert_eq!((told.made(), told.copied_and_booted()), (1, (2, 0)), "{told:?}");
    assert_eq!(told.warnings(), [""; 0]);
    let template = cache.template();
    hostname(&bench, "bench.yaml", "compute-01");
    destroy(&bench, "starts that were killed while they made a template");

    // While copies start: the disk of one that was ready is its node's, and boots; the others are copied again.
    for moment in ["\"state\":\"starting\"", "copied from a template", "\"state\":\"ready\""] {
        let mut start = Start::spawn(&bench, &cache, "bench.yaml");
        // Both would be ready at once, and a start that is over leaves its lab running.
        let held = moment.contains("ready").then(|| start.hold_the_agent(&bench, "hpc-compute-01"));
        start.wait_for(moment);
        start.kill();
        drop(held);
        assert_nothing_runs(&bench, &before, &format!("kill -9 at {moment}"));
        let kept = ready_disks(&bench);
        let told = Start::spawn(&bench, &cache, "bench.yaml").done();
        assert_eq!(told.copied_and_booted(), (2 - kept, kept), "kill -9 at {moment}: {told:?}");
        assert_eq!((told.made(), told.warnings()), (0, Vec::new()), "{told:?}");
        assert_eq!(ready_disks(&bench), 2);
        hostname(&bench, "bench.yaml", "compute-01");
        destroy(&bench, &format!("a start after kill -9 at {moment}"));
    }
    assert_eq!(cache.template(), template);
}

/// How many nodes have a disk that they have worked with.
fn ready_disks(bench: &Bench) -> usize {
    let labs = fs::read_dir(bench.path("state/labs")).unwrap().flatten();
    let disks = labs.flat_map(|lab| fs::read_dir(lab.path().join("disks")).unwrap().flatten());
    let (unready, others): (Vec<_>, Vec<_>) = disks
        .map(|entry| entry.path())
        .partition(|path| path.extension().is_some_and(|end| end == "unready"));
    let is_ready = |disk: &&PathBuf| {
        disk.extension().is_some_and(|end| end == "qcow2")
            && !unready.contains(&disk.with_extension("unready"))
    };
    others.iter().filter(is_ready).count()
}

#[test]
fn two_starts_make_one_template() {
    let bench = Bench::new();
    let cache = Cache::new(&bench);
    fs::write(bench.path("other.yaml"), OTHER).unwrap();
    let other = Destroyed(&bench, "other.yaml");
    let starts = ["bench.yaml", "other.yaml"].map(|config| Start::spawn(&bench, &cache, config));
    let told = starts.map(Start::done);
    assert_eq!(told.iter().map(Told::made).sum::<usize>(), 1, "{told:?}");
    for told in &told {
        assert_eq!((told.copied_and_booted(), told.warnings()), ((2, 0), Vec::new()), "{told:?}");
    }
    cache.template();
    for config in ["bench.yaml", "other.yaml"] {
        hostname(&bench, config, "compute-01");
    }
    drop(other);
    destroy(&bench, "two starts at once");

    damaged_ones_are_made_again(&bench, &cache);
}

/// A byte of the memory that is another one, and a state without its end.
fn damaged_ones_are_made_again(bench: &Bench, cache: &Cache) {
    for name in ["memory", "state"] {
        let template = cache.template();
        let (file, made) = (template.join(name), made_at(&template));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let opened = OpenOptions::new().read(true).write(true).open(&file).unwrap();
        let length = opened.metadata().unwrap().len();
        if name == "memory" {
            let mut byte = [0];
            opened.read_exact_at(&mut byte, length / 2).unwrap();
            opened.write_all_at(&[!byte[0]], length / 2).unwrap();
        } else {
            opened.set_len(length / 2).unwrap();
        }
        drop(opened);

        let told = Start::spawn(bench, cache, "bench.yaml").done();
        assert_eq!((told.made(), told.copied_and_booted()), (1, (2, 0)), "{told:?}");
        let id = template.file_name().unwrap().to_str().unwrap();
        let warning = format!("the template {id} is damaged: {} is not what was written", file.display());
        let warnings = told.warnings();
        assert!(warnings.len() == 1 && warnings[0].starts_with(&warning), "{warnings:?} {warning}");
        assert_eq!(cache.template(), template);
        assert_ne!(made_at(&template), made);
        hostname(bench, "bench.yaml", "compute-01");
        destroy(bench, &format!("a start with a damaged {name}"));
    }
}

fn made_at(template: &Path) -> String {
    let record = fs::read_to_string(template.join("template.json")).unwrap();
    serde_json::from_str::<serde_json::Value>(&record).unwrap()["made"].to_string()
}

#[test]
fn without_room_for_a_template_the_nodes_boot() {
    if !fs::metadata("/proc/self").is_ok_and(|data| data.uid() == 0) {
        eprintln!("skipped: only root can mount a small disk and start a lab beside it");
        return;
    }
    let bench = Bench::new();
    let cache = Cache::new(&bench);
    fs::create_dir(cache.folder.join("templates")).unwrap();
    let mut start = Command::new("unshare");
    start.args([
        "--mount",
        "sh",
        "-c",
        "mount -t tmpfs -o size=16m none cache/templates && exec \"$@\"",
        "sh",
    ]);
    start.arg(env!("CARGO_BIN_EXE_ai-how")).args(MACHINES).arg("bench.yaml");
    start.current_dir(bench.path("")).env("AI_HOW_STATE", bench.path("state"));
    start.env("AI_HOW_CACHE", &cache.folder);
    let told = Start::of(&bench, start, "full").done();
    assert_eq!((told.made(), told.copied_and_booted()), (0, (0, 2)), "{told:?}");
    let warnings = told.warnings();
    let place = cache.folder.join("templates");
    let numbers = warnings
        .first()
        .and_then(|warning| warning.strip_prefix("no start from templates: a template needs "))
        .and_then(|rest| rest.strip_suffix(" MiB are free there; the nodes boot"))
        .and_then(|rest| rest.split_once(&format!(" MiB in {}, and ", place.display())));
    let numbers = numbers.map(|(needed, free)| [needed, free].map(str::parse::<u64>));
    let Some([Ok(needed), Ok(free)]) = numbers else { panic!("{warnings:#?}") };
    // It has 640 MiB of memory, and the disk has 16.
    assert!(warnings.len() == 1 && needed > 640 && free <= 16, "{warnings:#?}");
    hostname(&bench, "bench.yaml", "compute-01");
    destroy(&bench, "a disk that is full");
}
