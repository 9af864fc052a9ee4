//! What the program says of itself.

use ai_how::cli::Cli;
use clap::{CommandFactory, Parser};

use crate::home::{Home, Ran};

/// The words of every command, hidden ones too, from the program's own definition.
fn every_command() -> Vec<Vec<String>> {
    fn walk(command: &clap::Command, words: &[String], all: &mut Vec<Vec<String>>) {
        for inner in command.get_subcommands() {
            let words: Vec<String> = words.iter().cloned().chain([inner.get_name().to_owned()]).collect();
            walk(inner, &words, all);
            all.push(words);
        }
    }
    let mut all = vec![Vec::new()];
    walk(&Cli::command(), &[], &mut all);
    all
}

#[test]
fn every_command_explains_itself() {
    let home = Home::new();
    let commands = every_command();
    assert!(commands.len() > 20, "{commands:?}");
    for words in commands {
        let help = home.run(words.iter().map(String::as_str).chain(["--help"]));
        assert_eq!((help.code, help.err.as_str()), (Some(0), ""), "{words:?}: {help:#?}");
        assert!(
            help.out.contains(&format!(
                "Usage: ai-how{}",
                words.iter().map(|word| format!(" {word}")).collect::<String>()
            )),
            "{words:?}: {}",
            help.out
        );
        let short = home.run(words.iter().map(String::as_str).chain(["-h"])).succeeds();
        assert!(!short.is_empty(), "{words:?}");
    }
    assert_eq!(home.names("state"), Vec::<String>::new());
}

#[test]
fn every_command_shows_an_example_that_is_one() {
    fn walk(command: &clap::Command, wrong: &mut Vec<String>) {
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
            walk(inner, wrong);
            let about = inner.get_long_about().map(ToString::to_string).unwrap_or_default();
            let Some((_, example)) = about.split_once("Example: ") else {
                wrong.push(format!("{} has no example", inner.get_name()));
                continue;
            };
            // What a shell makes of the rest of the line is not ours.
            let own =
                example.lines().next().unwrap_or_default().split(['>', '|', ';']).next().unwrap_or_default();
            if let Err(error) = Cli::try_parse_from(own.split_whitespace()) {
                wrong.push(format!("{example}: {error}"));
            }
        }
    }
    let mut wrong = Vec::new();
    walk(&Cli::command(), &mut wrong);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_statuses_are_in_the_help() {
    let help = Home::new().run(["--help"]).succeeds();
    assert!(
        help.contains("0 ok, 1 failed, 2 usage, 3 environment, 4 config, 5 tests, 130 interrupted"),
        "{help}"
    );
    assert!(!help.contains("lab-keeper"), "{help}");
}

#[test]
fn the_version_is_told_everywhere() {
    let home = Home::new();
    let version = format!(" {}\n", env!("CARGO_PKG_VERSION"));
    for arguments in [&["--version"][..], &["-V"], &["cluster", "start", "--version"]] {
        let text = home.run(arguments).succeeds();
        assert!(text.starts_with("ai-how") && text.ends_with(&version), "{text}");
    }
}

#[test]
fn what_makes_no_sense_is_a_usage_error_on_stderr() {
    let home = Home::new();
    for arguments in [
        &["clutser"][..],
        &["cluster", "strat"],
        &["plan", "--format", "xml"],
        &["--quiet", "--verbose", "plan"],
    ] {
        home.run(arguments).fails(2, &["error: "]);
    }
    // Asked nothing, it says what can be asked.
    for arguments in [&[][..], &["cluster"], &["image"]] {
        let ran = home.run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{ran:#?}");
        assert!(ran.err.contains("Usage: ai-how"), "{ran:#?}");
    }
    let output = home.command(["clutser"]).output().unwrap();
    assert!(Ran::of(output).err.contains("cluster"));
}

#[test]
fn shells_complete_every_command_and_each_has_its_manual_page() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = home.run(["completion", shell]).succeeds();
        for word in ["snapshot", "generate-k8s", "skip-pcie-validation"] {
            assert!(script.contains(word), "{word} is missing for {shell}");
        }
        assert!(!script.contains("lab-keeper"), "{shell} offers what people never type");
    }
    home.run(["man", "pages/man1"]).succeeds();
    let pages = home.names("pages/man1");
    for page in ["ai-how.1", "ai-how-cluster-snapshot-revert.1", "ai-how-exec.1"] {
        assert!(pages.iter().any(|name| name == page), "{page} is missing in {pages:?}");
    }
    assert!(!pages.iter().any(|name| name.contains("lab-keeper")), "{pages:?}");
}
