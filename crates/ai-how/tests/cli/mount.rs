//! Small file systems that exist for one run only, in mount namespaces.

use std::process::Command;

use crate::home::{AI_HOW, Home, Ran};

/// Runs a shell script in which a tmpfs with these options is mounted on a folder of the home, `$AI_HOW` is the program
/// and `mount` is gone when the script ends. `None`, with a reason on stderr, where this host makes no namespaces.
pub(crate) fn run(home: &Home, folder: &str, options: &str, script: &str) -> Option<Ran> {
    let mut words = vec!["--mount"];
    if !system::host::is_root() {
        words.extend(["--user", "--map-auto", "--map-root-user"]);
    }
    let folder = home.path(folder);
    std::fs::create_dir_all(&folder).unwrap();
    let mount = format!("mount -t tmpfs -o {options} none \"$TMPFS\"");
    let possible =
        Command::new("unshare").args(&words).args(["sh", "-c", &mount]).env("TMPFS", &folder).output();
    match possible {
        Ok(output) if output.status.success() => {}
        other => {
            eprintln!("skipped: this host makes no mount namespaces: {other:?}");
            return None;
        }
    }
    let script = format!("PATH=$OUTER {mount} && {{ {script}\n}}");
    let output = home
        .surround("unshare", words.iter().copied().chain(["sh", "-c", &script]))
        .env("OUTER", std::env::var_os("PATH").unwrap_or_default())
        .env("TMPFS", folder)
        .env("AI_HOW", AI_HOW)
        .output();
    Some(Ran::of(output.expect("unshare starts")))
}
