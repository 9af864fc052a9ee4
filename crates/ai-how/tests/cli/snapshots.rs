//! Snapshots and forks of labs that do not run, and names that are none.

use crate::home::{Home, LAB};

fn home() -> Home {
    let home = Home::new();
    home.write("lab.yaml", LAB);
    home
}

#[test]
fn a_lab_that_does_not_run_has_no_moment_to_keep() {
    let home = home();
    for command in [
        &["cluster", "snapshot", "create", "now", "lab.yaml"][..],
        &["cluster", "snapshot", "revert", "now", "lab.yaml"],
        &["cluster", "fork", "trial", "lab.yaml"],
        &["cluster", "fork", "trial", "lab.yaml", "--count", "3"],
    ] {
        home.run(command).fails(1, &["does not run", "ai-how cluster start"]);
    }
    assert_eq!(home.names("state/labs"), Vec::<String>::new(), "nothing was made");
    assert_eq!(home.run(["cluster", "snapshot", "list", "lab.yaml"]).succeeds(), "");
    let list = home.run(["cluster", "snapshot", "list", "lab.yaml", "--format", "json"]).json();
    assert_eq!(list, serde_json::json!([]));
    home.run(["cluster", "snapshot", "rm", "now", "lab.yaml"])
        .fails(2, &["no snapshot `now`", "there are: none"]);
}

#[test]
fn a_fork_is_named_and_there() {
    let home = home();
    for name in ["a/b", "..", ".hidden", "", "white space"] {
        home.run(["cluster", "status", "lab.yaml", "--fork", name]).fails(2, &["is no name for this"]);
    }
    home.run(["cluster", "start", "lab.yaml", "--fork", "trial"])
        .fails(2, &["there is no fork `trial`", "ai-how cluster fork trial"]);
    home.run(["ssh", "--file", "lab.yaml", "--fork", "trial", "controller"]).fails(1, &["does not run"]);
    home.run(["cluster", "status", "lab.yaml", "--lab", "system", "--fork", "trial"])
        .fails(1, &["only a private lab has snapshots and forks"]);
    for count in ["0", "100", "many"] {
        home.run(["cluster", "fork", "trial", "lab.yaml", "--count", count]).fails(2, &["--count"]);
    }
    assert_eq!(home.names("state/labs"), Vec::<String>::new(), "nothing was made");
}
