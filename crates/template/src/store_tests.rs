//! What the store promises, on real files.

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt, PermissionsExt},
    path::Path,
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use system::cancel::Cancel;
use tempfile::TempDir;

use crate::{Error, FORMAT, Key, Kind, Staging, Store, Template};

const MIB: usize = 1024 * 1024;

fn store() -> (TempDir, Store) {
    let cache = tempfile::tempdir().unwrap();
    let store = Store::new(&cache.path().join("cache"));
    (cache, store)
}

fn key(cpus: u32) -> Key {
    [("image", "debian-13"), ("memory", "768")].into_iter().collect::<Key>().with("cpus", cpus.to_string())
}

/// Stages what a frozen machine leaves: mostly holes, two MiB of memory.
fn stage(store: &Store, cpus: u32) -> Staging {
    let staging = store.staging(key(cpus)).unwrap();
    let memory = File::create(staging.files().memory()).unwrap();
    memory.set_len(64 * MIB as u64).unwrap();
    memory.write_all_at(&vec![7; 2 * MIB], 20 * MIB as u64).unwrap();
    fs::write(staging.files().state(), b"devices").unwrap();
    fs::write(staging.files().disk(), b"overlay").unwrap();
    staging
}

fn publish(store: &Store, cpus: u32) -> Template {
    store.publish(stage(store, cpus), Kind::Node, "debian-13 1x768", 4.5).unwrap()
}

/// Lets a template be used last so many seconds after the epoch.
fn used_at(template: &Template, seconds: u64) {
    let manifest = File::open(template.folder.join("template.json")).unwrap();
    manifest.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
}

fn ids(templates: &[Template]) -> Vec<String> {
    templates.iter().map(|template| template.manifest.id.clone()).collect()
}

/// What is in the store but lock files, which stay.
fn entries(store: &Store) -> Vec<String> {
    let entries = fs::read_dir(store.folder()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.ends_with(".lock")).collect();
    names.sort();
    names
}

fn writable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

fn rewrite_manifest(template: &Template, from: &str, to: &str) {
    let path = template.folder.join("template.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn what_is_published_is_found() {
    let (_cache, store) = store();
    assert!(store.find(&key(1).id()).is_none());
    assert!(store.list().is_empty());

    let published = publish(&store, 1);
    let found = store.find(&key(1).id()).unwrap();
    assert_eq!(found.folder, store.folder().join(key(1).id()));
    assert_eq!(found.manifest.key, key(1));
    assert_eq!(found.manifest.files, published.manifest.files);
    assert_eq!((found.manifest.kind, found.manifest.name.as_str()), (Kind::Node, "debian-13 1x768"));
    assert_eq!(found.manifest.files.len(), 3);
    found.check().unwrap();
    // Two MiB of the 64 are data, and the small files take a block each.
    assert_eq!(found.size_mib(), 3);
    for path in [found.files().memory(), found.files().state(), found.files().disk()] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o444);
    }
    assert_eq!(fs::metadata(store.folder()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(entries(&store), [key(1).id()]);
}

#[test]
fn one_that_is_there_stays() {
    let (_cache, store) = store();
    let first = publish(&store, 1);
    let second = store.publish(stage(&store, 1), Kind::Node, "another", 9.0).unwrap();
    assert_eq!(second.manifest.made, first.manifest.made);
    assert_eq!(entries(&store), [key(1).id()]);
}

#[test]
fn a_staging_that_is_dropped_leaves_nothing() {
    let (_cache, store) = store();
    let staging = stage(&store, 1);
    assert!(staging.path().is_dir());
    drop(staging);
    assert!(entries(&store).is_empty());
    assert!(store.list().is_empty());
}

#[test]
fn staging_starts_empty() {
    let (_cache, store) = store();
    // A kill leaves what dropping removes.
    std::mem::forget(stage(&store, 1));
    let staging = store.staging(key(1)).unwrap();
    assert_eq!(fs::read_dir(staging.path()).unwrap().count(), 0);
}

#[test]
fn an_incomplete_one_is_refused_and_not_kept() {
    let (_cache, store) = store();
    for name in ["memory", "state", "disk.qcow2"] {
        let staging = stage(&store, 1);
        fs::remove_file(staging.path().join(name)).unwrap();
        let error = store.publish(staging, Kind::Node, "n", 1.0).unwrap_err();
        assert!(matches!(&error, Error::Incomplete { name: missing, .. } if missing == name), "{error}");
        assert!(error.to_string().contains(&format!("{name} is not there")), "{error}");
        assert!(entries(&store).is_empty());
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let (cache, store) = store();
    let elsewhere = cache.path().join("elsewhere");
    fs::write(&elsewhere, "state").unwrap();
    let staging = stage(&store, 1);
    fs::remove_file(staging.files().state()).unwrap();
    std::os::unix::fs::symlink(&elsewhere, staging.files().state()).unwrap();
    let error = store.publish(staging, Kind::Node, "n", 1.0).unwrap_err();
    assert!(error.to_string().contains("state is no file"), "{error}");
    assert!(elsewhere.exists());
}

#[test]
fn a_flipped_byte_is_noticed_in_every_file() {
    let (_cache, store) = store();
    for name in ["memory", "state", "disk.qcow2"] {
        let template = publish(&store, 1);
        let path = template.folder.join(name);
        writable(&path);
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let at = file.metadata().unwrap().len() / 3;
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
        let error = template.check().unwrap_err();
        assert!(matches!(&error, Error::Damaged { path: damaged, .. } if *damaged == path), "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");

        file.write_all_at(&byte, at).unwrap();
        template.check().unwrap();
        store.remove(&template).unwrap();
    }
}

#[test]
fn a_file_that_is_cut_or_gone_is_noticed() {
    let (_cache, store) = store();
    let template = publish(&store, 1);
    // What is cut off is a hole: only the length tells.
    writable(&template.files().memory());
    let memory = File::options().write(true).open(template.files().memory()).unwrap();
    memory.set_len(63 * MIB as u64).unwrap();
    let error = template.check().unwrap_err();
    assert!(matches!(&error, Error::Damaged { path, .. } if *path == template.files().memory()), "{error}");
    memory.set_len(64 * MIB as u64).unwrap();
    template.check().unwrap();

    fs::remove_file(template.files().disk()).unwrap();
    let error = template.check().unwrap_err();
    assert!(matches!(&error, Error::Missing { path, .. } if *path == template.files().disk()), "{error}");
    assert!(error.to_string().contains("disk.qcow2 is gone"), "{error}");
}

#[test]
fn a_record_that_is_none_is_not_found_and_is_replaced() {
    let (_cache, store) = store();
    let id = key(1).id();
    let break_record: [&dyn Fn(&Template); 7] = [
        &|template| fs::remove_file(template.folder.join("template.json")).unwrap(),
        &|template| fs::write(template.folder.join("template.json"), "").unwrap(),
        &|template| fs::write(template.folder.join("template.json"), b"\xff{").unwrap(),
        &|template| {
            rewrite_manifest(
                template,
                &format!("\"format\": {FORMAT}"),
                &format!("\"format\": {}", FORMAT + 1),
            );
        },
        &|template| rewrite_manifest(template, &id, "0123456789abcdef"),
        // The key is not the one of the id.
        &|template| rewrite_manifest(template, "\"cpus\": \"1\"", "\"cpus\": \"2\""),
        &|template| rewrite_manifest(template, "\"memory\": \"", "\"remembrance\": \""),
    ];
    for (index, break_record) in break_record.iter().enumerate() {
        let template = publish(&store, 1);
        break_record(&template);
        assert!(store.find(&id).is_none(), "{index}");
        assert!(store.list().is_empty(), "{index}");
        let again = publish(&store, 1);
        again.check().unwrap();
        store.remove(&again).unwrap();
        assert!(entries(&store).is_empty(), "{index}: {:?}", entries(&store));
    }
}

#[test]
fn a_template_under_another_name_is_not_found() {
    let (_cache, store) = store();
    let template = publish(&store, 1);
    let moved = key(2).id();
    fs::rename(&template.folder, store.folder().join(&moved)).unwrap();
    assert!(store.find(&moved).is_none());
    assert!(store.list().is_empty());
}

#[test]
fn use_makes_a_template_the_last_of_the_list() {
    let (_cache, store) = store();
    let templates = [1, 2, 3].map(|cpus| publish(&store, cpus));
    for (template, seconds) in templates.iter().zip([200, 100, 300]) {
        used_at(template, seconds);
    }
    let [first, second, third] = templates.each_ref().map(|template| template.manifest.id.clone());
    assert_eq!(ids(&store.list()), [second.clone(), first.clone(), third.clone()]);
    assert_eq!(templates[0].last_used().as_second(), 200);
    templates[1].mark_used();
    assert_eq!(ids(&store.list()), [first, third, second]);
    assert!(templates[1].last_used() >= templates[1].manifest.made);
}

#[test]
fn use_of_a_template_that_is_gone_is_no_error() {
    let (_cache, store) = store();
    let template = publish(&store, 1);
    store.remove(&template).unwrap();
    template.mark_used();
    assert_eq!(template.last_used(), template.manifest.made);
    assert!(!template.folder.exists());
}

#[test]
fn room_is_made_by_the_oldest_until_it_fits() {
    let (_cache, store) = store();
    let templates = [1, 2, 3, 4].map(|cpus| publish(&store, cpus));
    for (template, seconds) in templates.iter().zip([400, 100, 200, 300]) {
        used_at(template, seconds);
    }
    let [first, second, third, fourth] = templates.each_ref().map(|template| template.manifest.id.clone());
    let all: u64 = templates.iter().map(Template::size_mib).sum();
    assert_eq!(all, 12);

    assert!(store.make_room(12, &[]).unwrap().is_empty());
    // Two of three MiB each are not enough to remove for a limit of seven.
    assert_eq!(ids(&store.make_room(9, &[]).unwrap()), std::slice::from_ref(&second));
    assert_eq!(
        ids(&store.make_room(7, std::slice::from_ref(&third)).unwrap()),
        std::slice::from_ref(&fourth)
    );
    assert_eq!(ids(&store.list()), [third.clone(), first.clone()]);
    // What is kept counts, and stays above any limit.
    assert_eq!(ids(&store.make_room(0, std::slice::from_ref(&third)).unwrap()), [first]);
    assert_eq!(ids(&store.list()), [third]);
}

#[test]
fn removing_twice_is_fine() {
    let (_cache, store) = store();
    let template = publish(&store, 1);
    let memory = File::open(template.files().memory()).unwrap();
    store.remove(&template).unwrap();
    store.remove(&template).unwrap();
    assert!(entries(&store).is_empty());
    // Who has it open goes on.
    let mut byte = [0];
    memory.read_exact_at(&mut byte, 20 * MIB as u64).unwrap();
    assert_eq!(byte, [7]);
}

#[test]
fn removing_at_once_is_fine() {
    let (_cache, store) = store();
    for _ in 0..20 {
        let template = publish(&store, 1);
        let start = Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    store.remove(&template).unwrap();
                });
            }
        });
        assert!(entries(&store).is_empty());
    }
}

#[test]
fn two_that_claim_the_same_go_one_after_the_other() {
    let (_cache, store) = store();
    let id = key(1).id();
    let (made, waited, working) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let start = Barrier::new(2);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                start.wait();
                let wait = || {
                    waited.fetch_add(1, Ordering::SeqCst);
                };
                let _claim = store.claim(&id, &Cancel::new(), wait).unwrap().unwrap();
                assert!(!working.swap(true, Ordering::SeqCst), "two had the claim at once");
                if store.find(&id).is_none() {
                    publish(&store, 1);
                    made.fetch_add(1, Ordering::SeqCst);
                }
                working.store(false, Ordering::SeqCst);
            });
        }
    });
    assert_eq!(made.load(Ordering::SeqCst), 1);
    assert!(waited.load(Ordering::SeqCst) <= 1);
    assert_eq!(ids(&store.list()), [id]);
}

#[test]
fn a_wait_for_a_claim_ends_when_a_stop_is_requested() {
    let (_cache, store) = store();
    let _held = store.claim("id", &Cancel::new(), || panic!("nobody holds it")).unwrap().unwrap();
    let (cancel, mut told) = (Cancel::new(), false);
    cancel.request();
    assert!(store.claim("id", &cancel, || told = true).unwrap().is_none());
    assert!(told);
    // Another one is free.
    assert!(store.claim("other", &Cancel::new(), || panic!("nobody holds it")).unwrap().is_some());
}

#[test]
fn what_a_kill_left_is_cleared_and_what_somebody_makes_is_not() {
    let (_cache, store) = store();
    let template = publish(&store, 1);
    let claim = store.claim(&key(2).id(), &Cancel::new(), || ()).unwrap().unwrap();
    let held = stage(&store, 2);
    for cpus in [3, 4] {
        std::mem::forget(stage(&store, cpus));
    }
    // A removal that was killed, a folder without a record, a newer version's template, and what nobody knows.
    let folder = |name: &str| store.folder().join(name);
    let [aside, empty, newer, strange] =
        [format!(".{}.removed", key(5).id()), key(6).id(), key(7).id(), "notes".to_owned()]
            .map(|name| folder(&name));
    for path in [&aside, &empty, &newer, &strange] {
        fs::create_dir(path).unwrap();
    }
    fs::write(empty.join("memory"), "half").unwrap();
    fs::write(newer.join("template.json"), r#"{"format": 999, "more": true}"#).unwrap();

    let mut expected = vec![
        folder(&format!(".{}.making", key(3).id())),
        folder(&format!(".{}.making", key(4).id())),
        aside,
        empty,
    ];
    let mut cleared = store.clear_abandoned().unwrap();
    expected.sort();
    cleared.sort();
    assert_eq!(cleared, expected);
    assert!(expected.iter().all(|path| !path.exists()));
    assert!(newer.is_dir() && strange.is_dir());
    assert!(store.clear_abandoned().unwrap().is_empty());
    template.check().unwrap();

    let made = store.publish(held, Kind::Deployed, "slurm", 60.0).unwrap();
    drop(claim);
    assert!(store.clear_abandoned().unwrap().is_empty());
    made.check().unwrap();
}

#[test]
fn an_empty_cache_has_nothing_to_clear() {
    let (_cache, store) = store();
    assert!(store.clear_abandoned().unwrap().is_empty());
    assert!(store.make_room(0, &[]).unwrap().is_empty());
    assert!(!store.folder().exists());
}

#[test]
fn kinds_are_written_in_kebab_case() {
    assert_eq!(serde_json::to_string(&[Kind::Node, Kind::Deployed]).unwrap(), r#"["node","deployed"]"#);
}
