//! `ai-how image` with templates: they are listed with the images, and go by themselves or with the image they are made of.

use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::FileExt,
    path::Path,
    time::{Duration, SystemTime},
};

use config::model::Arch;
use image::Recipe;
use serde_json::{Value, json};
use system::cancel::Cancel;
use template::{Key, Kind, Store, Template};

use crate::home::Home;

/// When the images here were built.
const BUILT: &str = "2026-01-02T03:04:05Z";

/// An image of a recipe of before.
const OLDER: &str = "debian-13-0000000000000000";

fn current() -> String {
    Recipe::named("debian-13", Arch::X86_64).expect("the recipe of the default image").id()
}

/// An image, as far as `list` and `rm` look at it.
fn add_image(home: &Home, folder: &str) {
    let (name, hash) = folder.rsplit_once('-').unwrap();
    let manifest = json!({
        "name": name, "hash": hash, "built": BUILT, "seconds": 1.0, "kernel": "6.12-test", "packages": [],
    });
    let path = Path::new("cache/images").join(folder);
    home.write(path.join("disk.qcow2"), "disk");
    home.write(path.join("image.json"), manifest.to_string());
}

fn store(home: &Home) -> Store {
    Store::new(&home.path("cache"))
}

fn key(image: &str, cpus: u32) -> Key {
    Key::default().with("image", image).with("cpus", cpus.to_string())
}

/// A template: of its memory most is a hole. Each was used a day later than the one with a processor less.
fn add_template(home: &Home, image: &str, cpus: u32) -> Template {
    let store = store(home);
    let staging = store.staging(key(image, cpus)).unwrap();
    let memory = File::create(staging.files().memory()).unwrap();
    memory.set_len(256 << 20).unwrap();
    memory.write_all_at(b"memory", 8192).unwrap();
    fs::write(staging.files().state(), "state").unwrap();
    fs::write(staging.files().disk(), "disk").unwrap();
    let template = store.publish(staging, Kind::Node, &format!("debian-13 {cpus} CPU"), 1.0).unwrap();
    let day = Duration::from_secs(24 * 60 * 60);
    File::open(template.folder.join("template.json"))
        .unwrap()
        .set_modified(SystemTime::UNIX_EPOCH + cpus * day)
        .unwrap();
    template
}

/// A template of an image that [`add_image`] makes.
fn add_template_of(home: &Home, folder: &str, cpus: u32) -> Template {
    add_template(home, &format!("{folder} of {BUILT}"), cpus)
}

/// The templates that are left, by their processors.
fn left(home: &Home) -> Vec<String> {
    let templates = store(home).list();
    templates.iter().filter_map(|template| template.manifest.key.get("cpus").map(str::to_owned)).collect()
}

fn removed(templates: &[&Template]) -> String {
    templates.iter().map(|template| format!("removed {}\n", template.folder.display())).collect()
}

/// A home with two images and two templates of each; those of the current one are the even ones.
fn furnished() -> (Home, [Template; 4]) {
    let home = Home::new();
    let current = current();
    add_image(&home, OLDER);
    add_image(&home, &current);
    let of = [OLDER, &current, OLDER, &current];
    let templates = [1, 2, 3, 4].map(|cpus| add_template_of(&home, of[cpus as usize - 1], cpus));
    (home, templates)
}

#[test]
fn templates_are_listed_after_the_images() {
    let home = Home::new();
    let current = current();
    add_image(&home, &current);
    add_image(&home, OLDER);
    // The last one used is the first one made.
    let fits = add_template_of(&home, &current, 4);
    let others = [
        add_template_of(&home, OLDER, 1),
        // The same recipe, built on another day.
        add_template(&home, &format!("{current} of 2025-12-31T00:00:00Z"), 2),
        add_template_of(&home, "debian-13-1111111111111111", 3),
    ];
    let list = home.run(["image", "list"]).succeeds();
    let line = |template: &Template, note: &str| {
        let cpus = template.manifest.key.get("cpus").unwrap().parse::<u32>().unwrap();
        let id = &template.manifest.id;
        format!("  {id:26}  1970-01-0{} 00:00  1 MiB  debian-13 {cpus} CPU{note}", cpus + 1)
    };
    let mut expected = vec![
        format!("  {OLDER}  2026-01-02 03:04  0 MiB  6.12-test        (older recipe)"),
        format!("  {current}  2026-01-02 03:04  0 MiB  6.12-test"),
    ];
    expected.extend(others.iter().map(|template| line(template, "  (older image)")));
    expected.push(line(&fits, ""));
    assert_eq!(list.lines().collect::<Vec<_>>(), expected);

    // They are told, and not the emptiness of the images, when there is nothing else.
    fs::remove_dir_all(home.path("cache/images")).unwrap();
    let ran = home.run(["image", "list"]);
    assert_eq!(ran.err, "", "{ran:#?}");
    let notes = ran.succeeds().lines().filter(|line| line.ends_with("  (older image)")).count();
    assert_eq!(notes, 4);
}

#[test]
fn programs_tell_templates_from_images() {
    let home = Home::new();
    add_image(&home, &current());
    let older = add_template_of(&home, OLDER, 1);
    let fits = add_template_of(&home, &current(), 2);
    let list = home.run(["image", "list", "--format", "json"]).json();
    let [image, first, second] = &list.as_array().unwrap()[..] else { panic!("{list:#}") };
    assert_eq!((&image["kind"], &image["name"]), (&json!("image"), &json!("debian-13")));
    let expected = |template: &Template, image: &str, current: bool, last_used: &str| {
        json!({
            "kind": "template",
            "id": template.manifest.id,
            "name": template.manifest.name,
            "image": format!("{image} of {BUILT}"),
            "current": current,
            "made": template.manifest.made.to_string(),
            "last_used": last_used,
            "size_mib": 1,
            "folder": template.folder.display().to_string(),
        })
    };
    assert_eq!(*first, expected(&older, OLDER, false, "1970-01-02T00:00:00Z"));
    assert_eq!(*second, expected(&fits, &current(), true, "1970-01-03T00:00:00Z"));
}

#[test]
fn a_template_is_removed_by_its_id() {
    let (home, templates) = furnished();
    let mut memory = File::open(templates[1].files().memory()).unwrap();
    let out = home.run(["image", "rm", &templates[1].manifest.id]).succeeds();
    assert_eq!(out, removed(&[&templates[1]]));
    assert_eq!(left(&home), ["1", "3", "4"]);
    assert_eq!(home.names("cache/images").len(), 2);
    // A copy that runs goes on.
    let mut bytes = [0; 8198];
    memory.read_exact(&mut bytes).unwrap();
    assert!(bytes.ends_with(b"memory"));

    home.run(["image", "rm", &templates[1].manifest.id]).fails(2, &[&templates[1].manifest.id]);
}

#[test]
fn the_templates_of_an_image_go_with_it() {
    let (home, templates) = furnished();
    let image = |folder: &str| format!("removed {}\n", home.path("cache/images").join(folder).display());
    // Built on another day, and of an image whose name only begins like this one's.
    let earlier = add_template(&home, &format!("{OLDER} of 2025-12-31T00:00:00Z"), 5);
    add_template_of(&home, &format!("{OLDER}0"), 6);
    let out = home.run(["image", "rm", OLDER]).succeeds();
    assert_eq!(out, image(OLDER) + &removed(&[&templates[0], &templates[2], &earlier]));
    assert_eq!(left(&home), ["2", "4", "6"]);
    assert_eq!(home.names("cache/images"), [current()]);

    let (home, templates) = furnished();
    let image = |folder: &str| format!("removed {}\n", home.path("cache/images").join(folder).display());
    let out = home.run(["image", "rm", "debian-13"]).succeeds();
    let [first, second, third, fourth] = &templates;
    let expected = [image(OLDER), removed(&[first, third]), image(&current()), removed(&[second, fourth])];
    assert_eq!(out, expected.concat());
    assert_eq!((left(&home), home.names("cache/images")), (Vec::new(), Vec::new()));
}

#[test]
fn the_templates_of_an_image_that_a_lab_uses_stay() {
    let (home, templates) = furnished();
    let base = home.path("cache/images").join(OLDER).join("disk.qcow2");
    home.write("state/labs/small-01234567/disks/node.qcow2", format!("QFI {}", base.display()));
    home.run(["image", "rm", OLDER]).fails(1, &["in use", "small-01234567", OLDER]);
    assert_eq!(left(&home).len(), templates.len());
    // The disk of a copy lies on the image and not on the template.
    home.run(["image", "rm", &templates[0].manifest.id]).succeeds();
    assert_eq!(left(&home), ["2", "3", "4"]);
}

#[test]
fn all_templates_go_at_once() {
    let (home, templates) = furnished();
    let out = home.run(["image", "rm", "--templates"]).succeeds();
    assert_eq!(out, removed(&templates.iter().collect::<Vec<_>>()));
    assert_eq!(left(&home), Vec::<String>::new());
    assert_eq!(home.names("cache/images").len(), 2);
    assert_eq!(home.run(["image", "rm", "--templates"]).succeeds(), "");

    home.run(["image", "rm"]).fails(2, &["--templates"]);
    home.run(["image", "rm", "debian-13", "--templates"]).fails(2, &["cannot be used with"]);
}

#[test]
fn a_name_that_nothing_has_is_told_with_those_of_both_kinds() {
    let (home, templates) = furnished();
    let [first, second, third, fourth] = templates.each_ref().map(|template| template.manifest.id.as_str());
    let words = [
        "no image or template named `0123456789abcdef`",
        &format!("images: {OLDER}, {}", current()),
        &format!("templates: {first}, {second}, {third}, {fourth}"),
    ];
    home.run(["image", "rm", "0123456789abcdef"]).fails(2, &words);
    // What leads to a template is not its name.
    for name in [&format!("../templates/{first}"), &format!("{first}/"), "", "."] {
        home.run(["image", "rm", name]).fails(2, &["no image or template"]);
    }
    assert_eq!((left(&home).len(), home.names("cache/images").len()), (4, 2));
}

#[test]
fn what_a_killed_command_left_is_cleared() {
    let (home, templates) = furnished();
    let store = store(&home);
    std::mem::forget(store.staging(key("abandoned", 1)).unwrap());
    let _claim = store.claim(&key("made", 1).id(), &Cancel::new(), || ()).unwrap().unwrap();
    let _held = store.staging(key("made", 1)).unwrap();
    let [abandoned, held] = ["abandoned", "made"].map(|image| format!(".{}.making", key(image, 1).id()));
    let making = || {
        let names = home.names("cache/templates");
        names.into_iter().filter(|name| name.ends_with(".making")).collect::<Vec<_>>()
    };

    // Who only looks changes nothing, and neither does who is told that there is nothing of that name.
    let list: Value = home.run(["image", "list", "--format", "json"]).json();
    assert_eq!(list.as_array().unwrap().len(), 6, "{list:#}");
    home.run(["image", "rm", "debian-99"]).fails(2, &["debian-99"]);
    assert_eq!(making().len(), 2);

    let ran = home.run(["image", "rm", &templates[0].manifest.id]);
    assert!(ran.err.contains(&abandoned) && !ran.err.contains(&held), "{ran:#?}");
    assert_eq!(ran.succeeds(), removed(&[&templates[0]]));
    assert_eq!(making(), [held]);
}
