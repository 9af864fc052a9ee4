//! The reference of the command line, `docs/cli.md`, from the same declarations that parse it.

use std::fmt::Write;

use clap::{Arg, Command, CommandFactory};

// The file itself rather than the crate: the crate is the whole program, and every first `make e2e` would build it
// once more for the sake of this page.
#[expect(unused_imports, reason = "the program names the types that are re-exported, and this does not")]
#[path = "../../crates/ai-how/src/cli/mod.rs"]
#[expect(dead_code, unreachable_pub, reason = "it is the program's; here it is only described")]
mod cli;

/// The page. It holds nothing that depends on the machine or the environment.
pub(crate) fn page() -> String {
    let mut root = cli::Cli::command().disable_help_subcommand(true);
    root.build();
    let mut page = String::from(
        "# The command line\n\n<!-- Written by `cargo xtask gen` from crates/ai-how/src/cli/; change that. -->\n\n\
         Options of `ai-how` and of `ai-how test` are taken by every command below them too.\n\n",
    );
    for command in shown(&root) {
        let depth = command.path.len() - 1;
        let name = command.path.join(" ");
        let anchor = name.replace(' ', "-");
        let about = command.command.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(page, "{}- [`{name}`](#{anchor}): {about}", "  ".repeat(depth));
    }
    shown(&root).iter().for_each(|command| section(command, &mut page));
    page
}

/// A command with the way to it.
struct Shown<'a> {
    path: Vec<&'a str>,
    command: &'a Command,
    /// Options that an earlier section has described.
    inherited: Vec<&'a str>,
}

/// Every command that is not hidden, each before its own.
fn shown(root: &Command) -> Vec<Shown<'_>> {
    fn add<'a>(shown: Shown<'a>, list: &mut Vec<Shown<'a>>) {
        let inherited = shown.command.get_arguments().filter(|argument| argument.is_global_set());
        let inherited: Vec<&str> = inherited.map(|argument| argument.get_id().as_str()).collect();
        let (path, command) = (shown.path.clone(), shown.command);
        list.push(shown);
        for child in
            command.get_subcommands().filter(|child| !child.is_hide_set() && child.get_name() != "help")
        {
            let path = [path.as_slice(), &[child.get_name()]].concat();
            add(Shown { path, command: child, inherited: inherited.clone() }, list);
        }
    }
    let mut list = Vec::new();
    add(Shown { path: vec![root.get_name()], command: root, inherited: Vec::new() }, &mut list);
    list
}

fn section(shown: &Shown<'_>, page: &mut String) {
    let command = shown.command;
    // Writing to a string cannot fail, so the results are not looked at.
    let _ = writeln!(page, "\n## {}", shown.path.join(" "));
    if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
        let _ = writeln!(page, "\n{about}");
    }
    let aliases: Vec<_> = command.get_all_aliases().map(|alias| format!("`{alias}`")).collect();
    if !aliases.is_empty() {
        let _ = writeln!(page, "\nAlso called {}.", aliases.join(", "));
    }
    let usage = command.clone().render_usage().to_string();
    let _ = writeln!(page, "\n```\n{}\n```", usage.trim_start_matches("Usage: "));
    let arguments: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| {
            !argument.is_hide_set() && !["help", "version"].contains(&argument.get_id().as_str())
        })
        .filter(|argument| !shown.inherited.contains(&argument.get_id().as_str()))
        .collect();
    if !arguments.is_empty() {
        let _ = writeln!(page, "\n| argument | meaning |\n| --- | --- |");
    }
    for argument in arguments {
        let _ = writeln!(page, "| {} | {} |", spelling(argument), meaning(argument));
    }
    if let Some(after) = command.get_after_help() {
        let _ = writeln!(page, "\n{after}");
    }
}

/// How an argument is typed: `` `-v`, `--verbose` `` or `` `FILE` ``.
fn spelling(argument: &Arg) -> String {
    let names: Vec<String> =
        argument.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    if argument.is_positional() {
        return format!("`{}`", names.join(" "));
    }
    let value =
        if argument.get_action().takes_values() { format!(" {}", names.join(" ")) } else { String::new() };
    let short = argument.get_short().map(|short| format!("`-{short}`"));
    let long = argument.get_long().map(|long| format!("`--{long}{value}`"));
    short.into_iter().chain(long).collect::<Vec<_>>().join(", ")
}

fn meaning(argument: &Arg) -> String {
    let mut text = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let values = argument.get_possible_values();
    // A switch has the values true and false, which nobody types.
    if argument.get_action().takes_values() && !values.is_empty() {
        let values = values.iter().filter(|value| !value.is_hide_set());
        let values: Vec<String> = values
            .map(|value| match value.get_help() {
                Some(help) => format!("`{}` ({})", value.get_name(), help.to_string().trim_end_matches('.')),
                None => format!("`{}`", value.get_name()),
            })
            .collect();
        let _ = write!(text, ": {}", values.join(", "));
    }
    let defaults = argument.get_default_values().iter().filter_map(|value| value.to_str());
    let defaults: Vec<String> = defaults.map(|value| format!("`{value}`")).collect();
    if argument.get_action().takes_values() && !defaults.is_empty() {
        let _ = write!(text, " [default: {}]", defaults.join(" "));
    }
    if let Some(variable) = argument.get_env().and_then(|name| name.to_str()) {
        let _ = write!(text, " [environment: `{variable}`]");
    }
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn hidden_commands_are_left_out_and_all_others_are_there() {
        let page = page();
        assert!(!page.contains("lab-keeper"), "{page}");
        for heading in ["## ai-how", "## ai-how cluster start", "## ai-how test sabotage", "## ai-how doctor"]
        {
            assert!(page.contains(&format!("\n{heading}\n")), "{heading} is missing:\n{page}");
        }
    }

    #[test]
    fn an_option_for_all_commands_is_told_once() {
        assert_eq!(page().matches("`--state DIR`").count(), 1);
        assert_eq!(page().matches("`--no-cleanup`").count(), 1);
    }

    #[test]
    fn the_page_is_the_same_everywhere() {
        let home = std::env::var("HOME").unwrap();
        assert!(home.len() < 2 || !page().contains(&home));
    }
}
