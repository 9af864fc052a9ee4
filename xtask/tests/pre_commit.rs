//! The pre-commit hook as its users have it: the real `pre-commit`, a repository that names this one, no libvirt.
#![expect(clippy::disallowed_methods, reason = "it drives git and pre-commit as a person does")]
#![expect(clippy::unwrap_used, reason = "it is a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Kept from run to run, for the dependencies.
const TARGET: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/pre-commit");

#[test]
fn the_hook_checks_labs_where_there_is_no_libvirt() {
    // What the last run built of ours came from a clone in another place, and is of no use to this one.
    let clean = ["clean", "--quiet", "--workspace", "--target-dir", TARGET];
    Command::new("cargo").current_dir(ROOT).args(clean).status().unwrap();

    let folder = tempfile::tempdir().unwrap();
    let hook = folder.path().join("hook");
    copy_working_tree(&hook);
    let revision = commit(&hook);

    let repository = folder.path().join("repository");
    fs::create_dir(&repository).unwrap();
    let config = format!(
        "repos:\n  - repo: {}\n    rev: {revision}\n    hooks:\n      - id: ai-how-validate\n",
        hook.display()
    );
    fs::write(repository.join(".pre-commit-config.yaml"), config).unwrap();
    fs::copy(Path::new(ROOT).join("config/lab.yaml"), repository.join("lab.yaml")).unwrap();
    commit(&repository);

    let good = pre_commit(&repository, folder.path());
    assert!(good.status.success(), "{}", words(&good));

    let lab = fs::read_to_string(repository.join("lab.yaml")).unwrap();
    let line = lab.lines().count() + 1;
    fs::write(repository.join("lab.yaml"), format!("{lab}no_such_key: 1\n")).unwrap();
    let bad = pre_commit(&repository, folder.path());
    assert!(!bad.status.success(), "{}", words(&bad));
    assert!(words(&bad).contains(&format!("lab.yaml:{line}:1")), "{}", words(&bad));

    let libraries = Command::new("ldd").arg(Path::new(TARGET).join("debug/ai-how")).output().unwrap();
    assert!(libraries.status.success() && !words(&libraries).contains("libvirt"), "{}", words(&libraries));
}

/// What the next commit here would hold, so that the hook under test is the one being worked on.
fn copy_working_tree(to: &Path) {
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let list = Command::new("git").current_dir(ROOT).args(list).output().unwrap();
    for file in String::from_utf8(list.stdout).unwrap().split_terminator('\0') {
        let (from, to) = (Path::new(ROOT).join(file), to.join(file));
        if from.is_file() {
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from, to).unwrap();
        }
    }
}

/// Commits everything in a new repository and returns the revision.
fn commit(folder: &Path) -> String {
    let git = |arguments: &[&str]| {
        let identity =
            ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "core.hooksPath=/dev/null"];
        let output = Command::new("git").current_dir(folder).args(identity).args(arguments).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", words(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "--quiet"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message", "test"]);
    git(&["rev-parse", "HEAD"])
}

fn pre_commit(repository: &Path, folder: &Path) -> Output {
    let tools = Command::new(Path::new(ROOT).join("scripts/set-up")).arg("--print-tools").output().unwrap();
    let program = PathBuf::from(words(&tools).trim()).join("bin/pre-commit");
    assert!(program.exists(), "pre-commit is not there: run scripts/set-up test");
    Command::new(program)
        .current_dir(repository)
        .args(["run", "--all-files"])
        .env("PRE_COMMIT_HOME", folder.join("cache"))
        .env("CARGO_TARGET_DIR", TARGET)
        // A build that looks for a library of the system fails.
        .env("PKG_CONFIG", "/bin/false")
        .output()
        .unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
