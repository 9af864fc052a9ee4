//! `ai-how image`: a build that fails, is interrupted or has company loses nothing and leaves nothing.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use config::model::Arch;
use image::Recipe;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    home::{Home, Ran, find, until},
    mount,
};

/// Nothing, compressed with xz.
const EMPTY_XZ: [u8; 32] = [
    0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x00, 0x00, 0x00, 0x00, 0x1c,
    0xdf, 0x44, 0x21, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x04, 0x59, 0x5a,
];

const BUILD: [&str; 4] = ["image", "build", "--mirror", "http://127.0.0.1:1/debian"];

fn recipe() -> &'static Recipe {
    Recipe::named("debian-13", Arch::X86_64).expect("the recipe of the default image")
}

/// A home in which `mmdebstrap` is one of ours.
fn home(builder: &str) -> Home {
    let programs = ["mkdir", "mktemp", "touch", "tail", "sleep", "cp"];
    Home::new().with_namespaces().with(&programs).with_fake("mmdebstrap", builder)
}

/// A home with all that a build of a root without content needs, up to the image. mke2fs is where Debian has it, which
/// is not in an ordinary user's `PATH`.
fn able(home: Home) -> Home {
    let home = home.with(&["qemu-img", "xz"]);
    let modules = "root/usr/lib/modules/6.12-test";
    for module in recipe().modules {
        home.write(format!("{modules}/{module}.xz"), EMPTY_XZ);
    }
    home.write("root/boot/vmlinuz-6.12-test", "a kernel");
    home.write("root/usr/bin/busybox", "many programs");
    home.write(
        "root/var/lib/dpkg/status",
        "Package: base-files\nVersion: 13\n\nPackage: slurmd\nVersion: 24.11\n",
    );
    for folder in ["root/etc/ssh", "root/etc/systemd/system"] {
        fs::create_dir_all(home.path(folder)).unwrap();
    }
    home
}

fn lock_file() -> String {
    format!(".{}.lock", recipe().id())
}

fn staging() -> String {
    format!(".{}.building", recipe().id())
}

/// A build that goes on. It ends with the test.
struct Building(Option<Child>);

impl Building {
    fn start(mut command: Command) -> Self {
        Self(Some(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")))
    }

    fn child(&mut self) -> &mut Child {
        self.0.as_mut().expect("the build goes on")
    }

    /// The next line on stderr.
    fn line(&mut self) -> String {
        let mut line = String::new();
        BufReader::with_capacity(1, self.child().stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
        line
    }

    fn signal(&mut self, signal: Signal) {
        kill(Pid::from_raw(self.child().id().cast_signed()), signal).unwrap();
    }

    fn end(mut self) -> Ran {
        Ran::of(self.0.take().expect("the build goes on").wait_with_output().unwrap())
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn an_image_of_another_architecture_takes_a_translator_and_has_a_name_of_its_own() {
    let arch = Arch::ALL.into_iter().find(|arch| arch.name() != system::host::arch()).unwrap();
    if fs::exists(format!("/proc/sys/fs/binfmt_misc/qemu-{arch}")).unwrap() {
        eprintln!("skipped: this host knows how to run programs for {arch}");
        return;
    }
    let build = [&BUILD[..], &["--arch", arch.name()]].concat();
    let home = able(home("builder")).with(&["cat", "mount", "nsenter", "true"]);
    home.write("go", "");
    home.run(&build).fails(3, &["there is no qemu-", "-static", "make set-up", "qemu-user-static"]);
    assert!(!home.path("builds").exists());

    let home = home.with(&[&format!("qemu-{arch}-static")]);
    let ran = home.run(&build);
    if ran.err.contains("Linux 6.7") {
        eprintln!("skipped: {}", ran.err);
        return;
    }
    let folder = ran.succeeds();
    assert!(folder.contains(&Recipe::named("debian-13", arch).unwrap().id()), "{folder}");
    let asked = fs::read_to_string(home.path("builds")).unwrap();
    let debian = if arch == Arch::Aarch64 { "arm64" } else { "amd64" };
    assert!(asked.contains(&format!("<--architectures={debian}>")), "{asked}");
    assert!(asked.contains(&format!("linux-image-cloud-{debian}")), "{asked}");
    // The host was told nothing.
    assert!(!fs::exists(format!("/proc/sys/fs/binfmt_misc/qemu-{arch}")).unwrap());

    let list = home.run(["image", "list", "--format", "json"]).json();
    assert_eq!(
        (list[0]["arch"].as_str(), list[0]["current"].as_bool()),
        (Some(arch.name()), Some(true)),
        "{list:#}"
    );
}

#[test]
fn an_image_is_built_listed_and_removed() {
    let home = able(home("builder"));
    home.write("go", "");
    let folder = home.run(BUILD).succeeds();
    assert_eq!(folder.trim_end(), home.path("cache/images").join(recipe().id()).display().to_string());
    for file in ["vmlinuz", "initrd", "disk.qcow2", "image.json"] {
        assert!(fs::metadata(home.path(folder.trim_end()).join(file)).unwrap().len() > 0, "{file}");
    }
    // A second build finds the first one's.
    assert_eq!(home.run(BUILD).succeeds(), folder);
    assert_eq!(fs::read_to_string(home.path("builds")).unwrap().lines().count(), 1);

    let list = home.run(["image", "list", "--format", "json"]).json();
    let image = &list[0];
    assert_eq!(list.as_array().unwrap().len(), 1, "{list:#}");
    assert_eq!(
        (&image["kind"], &image["name"], &image["current"], &image["kernel"]),
        (&"image".into(), &"debian-13".into(), &true.into(), &"6.12-test".into())
    );
    assert_eq!(image["folder"], folder.trim_end());
    assert!(home.run(["image", "list"]).succeeds().trim_start().starts_with(&recipe().id()));

    // What a build tells programs is what the list tells them, and how long it took.
    let build = |home: &Home| {
        let mut told = home.run([&BUILD[..], &["--format", "json"]].concat()).json();
        let seconds = told.as_object_mut().unwrap().remove("build_seconds").unwrap();
        (told, seconds)
    };
    assert_eq!(build(&home), (image.clone(), serde_json::Value::Null));
    let rm = ["image", "rm", "debian-13", "--format", "json"];
    assert_eq!(home.run(rm).json(), serde_json::json!([folder.trim_end()]));
    home.run(rm).fails(2, &["`debian-13`", "none yet"]);
    let (again, seconds) = build(&home);
    assert!(again["folder"] == image["folder"] && seconds.as_f64().unwrap() > 0.0, "{again:#} {seconds}");

    home.run(["image", "rm", "debian-14"]).fails(2, &["`debian-14`", &recipe().id()]);
    assert_eq!(home.run(["image", "rm", "debian-13"]).succeeds(), format!("removed {folder}"));
    assert_eq!(home.names("cache/images"), [lock_file()]);
    home.run(["image", "rm", "debian-13"]).fails(2, &["`debian-13`", "none yet"]);
}

#[test]
fn without_images_the_list_is_empty() {
    let home = Home::new();
    assert_eq!(home.run(["image", "list", "--format", "json"]).json(), serde_json::json!([]));
    let ran = home.run(["image", "list"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""), "{ran:#?}");
    assert!(ran.err.contains("no images"), "{ran:#?}");
    home.run(["image", "rm", "debian-13"]).fails(2, &["no image or template named `debian-13`", "none yet"]);
    home.run(["image", "rm", "--templates"]).succeeds();
    home.run(["image", "build", "debian-99"]).fails(2, &["no image named `debian-99`", "debian-13"]);
    assert_eq!(home.names("cache"), Vec::<String>::new());
}

#[test]
fn a_program_that_is_missing_is_named() {
    Home::new().with_namespaces().run(BUILD).fails(3, &["mmdebstrap", "install the packages"]);
    Home::new().run(BUILD).fails(3, &["unshare", "not installed", "ai-how doctor"]);
}

#[test]
fn a_failed_build_leaves_nothing() {
    let home = home("builder-that-fails");
    home.run(BUILD).fails(3, &["install the packages", "nothing works today"]);
    assert_eq!(home.names("cache/images"), [lock_file()]);
}

#[test]
fn two_builds_at_once_are_one() {
    let home = able(home("builder"));
    let first = Building::start(home.command(BUILD));
    until("the first build starts", || home.path("builds").exists());
    let mut second = Building::start(home.command(BUILD));
    let line = second.line();
    assert!(line.contains("another ai-how is building"), "{line}");
    home.write("go", "");
    let (first, second) = (first.end().succeeds(), second.end().succeeds());
    assert_eq!(first, second);
    assert!(first.contains(&recipe().id()), "{first}");
    assert_eq!(fs::read_to_string(home.path("builds")).unwrap().lines().count(), 1, "built once");
    assert_eq!(home.names("cache/images"), [lock_file(), recipe().id()]);
}

#[test]
fn a_wait_for_another_build_can_be_interrupted() {
    let home = able(home("builder"));
    let first = Building::start(home.command(BUILD));
    until("the first build starts", || home.path("builds").exists());
    let mut second = Building::start(home.command(BUILD));
    second.line();
    second.signal(Signal::SIGTERM);
    assert_eq!(second.end().code, Some(130));
    home.write("go", "");
    first.end().succeeds();
}

#[test]
fn an_interrupted_build_leaves_nothing() {
    let home = home("builder-that-hangs");
    let mut building = Building::start(home.command(BUILD));
    until("the build is in the middle", || home.path("hangs").exists());
    assert!(home.path("cache/images").join(staging()).exists());
    building.signal(Signal::SIGINT);
    building.end().fails(130, &["interrupted", "nothing of it was kept"]);
    assert_eq!(home.names("cache/images"), [lock_file()]);
    until("every process of the build ends", || home.processes().is_empty());
}

#[test]
fn a_killed_build_runs_no_further_and_the_next_one_starts_over() {
    let home = able(home("builder-that-hangs"));
    home.write("tmp/nothing-else", "");
    let mut command = home.command(BUILD);
    command.env("TMPDIR", home.path("tmp"));
    let mut building = Building::start(command);
    until("the build is in the middle", || home.path("hangs").exists());
    until("the program, its namespaces, the builder and its child run", || home.processes().len() > 2);
    building.signal(Signal::SIGKILL);
    building.end();
    until("every process of the build ends", || home.processes().is_empty());
    assert!(home.names("cache/images").contains(&staging()), "a killed program clears nothing");
    assert_eq!(home.names("tmp"), ["nothing-else"]);
    assert_eq!(home.run(["image", "list", "--format", "json"]).json(), serde_json::json!([]));

    fs::remove_file(home.path("bin/mmdebstrap")).unwrap();
    let home = home.with_fake("mmdebstrap", "builder");
    home.write("go", "");
    home.run(BUILD).succeeds();
    assert_eq!(home.names("cache/images"), [lock_file(), recipe().id()]);
}

#[test]
fn a_mirror_that_is_gone_is_named() {
    if find("mmdebstrap").is_none() {
        eprintln!("skipped: mmdebstrap is not installed");
        return;
    }
    let home = Home::new();
    let mut command = home.command(BUILD);
    // mmdebstrap starts more programs than are worth naming.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let ran = Ran::of(command.env("PATH", path).output().unwrap());
    let errors = ran.err.lines().filter(|line| line.starts_with("error")).count();
    assert_eq!((ran.code, ran.out.as_str(), errors), (Some(3), "", 1), "{ran:#?}");
    for words in [
        "the package mirror http://127.0.0.1:1/debian did not deliver",
        "--mirror",
        "AI_HOW_MIRROR",
        "127.0.0.1",
    ] {
        assert!(ran.err.contains(words), "`{words}` is missing: {ran:#?}");
    }
    assert_eq!(home.names("cache/images"), [lock_file()]);
    assert_eq!(home.processes(), Vec::<i32>::new());
}

#[test]
fn a_variable_that_is_set_to_nothing_names_no_mirror() {
    let home = able(home("builder"));
    home.write("go", "");
    let mut command = home.command(["image", "build"]);
    Ran::of(command.env("AI_HOW_MIRROR", "").output().unwrap()).succeeds();
    let arguments = fs::read_to_string(home.path("builds")).unwrap();
    assert!(arguments.contains("<trixie>") && !arguments.contains("<>"), "{arguments}");
}

/// Builds in a cache of these properties, and tells what is left there on stdout.
fn build_in(home: &Home, options: &str) -> Option<Ran> {
    let script = "\"$AI_HOW\" image build --mirror http://127.0.0.1:1/; code=$?; cd \"$TMPFS\" && \
                  for left in images/* images/.[!.]*; do [ ! -e \"$left\" ] || echo \"$left\"; done; exit $code";
    mount::run(home, "cache", options, script)
}

fn is_full(ran: &Ran) {
    assert_eq!(
        (ran.code, ran.out.trim_end()),
        (Some(3), format!("images/{}", lock_file()).as_str()),
        "{ran:#?}"
    );
    let errors: Vec<&str> = ran.err.lines().filter(|line| line.starts_with("error")).collect();
    assert!(
        matches!(errors[..], [error] if error.contains("/cache/images is full")
            && error.contains("Free some space") && error.contains("AI_HOW_CACHE")),
        "{ran:#?}"
    );
}

#[test]
fn a_disk_that_is_too_small_is_told_before_the_build() {
    let home = home("builder");
    let Some(ran) = build_in(&home, "size=64m") else { return };
    is_full(&ran);
    assert!(ran.err.contains("1536 MiB") && ran.err.contains("64 MiB are free. "), "{ran:#?}");
    assert!(!home.path("builds").exists(), "nothing was started");
}

#[test]
fn a_disk_that_fills_up_during_the_build_is_told() {
    // Enough bytes and too few files: the disk is full long before it costs any memory.
    let Some(ran) = build_in(&home("builder-that-fills-the-disk"), "size=3g,nr_inodes=60") else { return };
    is_full(&ran);
    let Some(ran) = build_in(&home("builder-over-quota"), "size=3g") else { return };
    is_full(&ran);
    assert!(ran.err.contains("a quota or the number of files is used up"), "{ran:#?}");
    // The builder is content, and then there is no room for the files we add.
    let home = able(home("builder"));
    home.write("go", "");
    let Some(ran) = build_in(&home, "size=3g,nr_inodes=50") else { return };
    is_full(&ran);
}
