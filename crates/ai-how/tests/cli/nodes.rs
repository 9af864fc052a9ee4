//! Commands about nodes and labs that do not run.

use crate::home::Home;

#[test]
fn an_unknown_node_is_a_usage_error_that_names_the_known_ones() {
    let home = Home::new();
    for command in ["ssh", "console", "logs"] {
        home.run([command, "--file", "lab.yaml", "compute-99"])
            .fails(2, &["`compute-99`", "lab.yaml", "controller, compute-01"]);
    }
}

#[test]
fn a_lab_that_does_not_run_is_told_with_the_way_to_start_it() {
    let home = Home::new().with_fake("qemu-system-x86_64", "emulator");
    home.run(["ssh", "--file", "lab.yaml", "controller", "true"])
        .fails(1, &["does not run", "ai-how cluster start"]);
    home.run(["console", "--file", "lab.yaml", "controller"])
        .fails(1, &["controller", "ai-how cluster status"]);
    home.run(["exec", "--file", "lab.yaml", "--all", "true"])
        .fails(1, &["does not run", "ai-how cluster start"]);
    home.run(["cp", "--file", "lab.yaml", "x", "controller:y"]).fails(1, &["does not run"]);
    home.run(["ssh-config", "--file", "lab.yaml"]).fails(1, &["does not run", "ai-how cluster start"]);
    home.run(["logs", "--file", "lab.yaml", "controller"]).fails(1, &["controller", "never started"]);
    for verb in [&["run-tests"][..], &["run-test", "munge-runs"], &["deploy-ansible"]] {
        home.run(["test", "--file", "lab.yaml"].iter().chain(verb))
            .fails(1, &["does not run", "ai-how cluster start"]);
    }
    let ran = home.run(["cluster", "stop", "lab.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""), "{ran:#?}");
    assert_eq!(home.names("state"), Vec::<String>::new(), "asking makes no lab and is no run");
    let ran = home.run(["cluster", "destroy", "lab.yaml", "--force"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""), "{ran:#?}");
    assert_eq!(home.names("state/labs"), Vec::<String>::new());
}

#[test]
fn the_status_of_a_lab_that_was_never_started_is_told() {
    let home = Home::new();
    let text = home.run(["cluster", "status", "lab.yaml"]).succeeds();
    assert!(text.starts_with("lab small-") && text.matches("absent").count() == 2, "{text}");
    let json = home.run(["cluster", "status", "lab.yaml", "--format", "json"]).json();
    assert_eq!(
        (&json["nodes"][1]["node"], &json["nodes"][1]["state"]),
        (&"compute-01".into(), &"absent".into())
    );
    assert_eq!(home.names("state"), Vec::<String>::new());
}

#[test]
fn exec_must_be_told_where() {
    let home = Home::new();
    for arguments in
        [&["exec", "true"][..], &["exec", "--all", "--node", "controller", "true"], &["exec", "--all"]]
    {
        let ran = home.run(arguments);
        assert_eq!(ran.code, Some(2), "{ran:#?}");
    }
}
