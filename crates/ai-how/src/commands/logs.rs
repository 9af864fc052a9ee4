//! `ai-how logs`: the end of a node's console, which is a file that outlives the node, or of its journal.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
    time::Duration,
};

use system::{cancel::Cancel, file, process::shell_quote, watch::FolderWatch};

use super::reach;
use crate::{cli::Logs, exit, failure::Failure, output, settings::Settings};

/// How long a wait for more lasts before somebody looks whether to stop.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) fn run(arguments: &Logs, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    if arguments.journal {
        let mut words: Vec<String> = ["journalctl", "--no-pager", "--lines"].map(str::to_owned).into();
        words.push(arguments.lines.to_string());
        words.extend(arguments.follow.then(|| "--follow".to_owned()));
        // The node's shell reads the words.
        words.extend(arguments.unit.iter().map(|unit| format!("--unit={}", shell_quote(unit.as_ref()))));
        return reach::on_terminal(&arguments.at, &arguments.node, &words, settings, cancel);
    }
    let (site, node) = reach::find(&arguments.at.lab(), &arguments.node, settings)?;
    let path = site.folder.path().join(&node.console);
    if !path.exists() {
        let message = format!("{} has no console log yet: it was never started", node.label);
        return Err(Failure::new(exit::FAILED, message));
    }
    let said = file::tail(&path, arguments.lines);
    if said.is_empty() {
        // A copy of a template went on after all that is said at a boot.
        output::words(format_args!("the console of {} is empty\n", node.label));
    } else {
        output::data(said + "\n")?;
    }
    if arguments.follow {
        follow(&path, cancel)?;
    }
    Ok(exit::OK)
}

/// What is added to a file, until somebody stops it. A file that became shorter was begun anew.
fn follow(path: &Path, cancel: &Cancel) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let watch = FolderWatch::new(folder).map_err(Failure::environment)?;
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |data| data.len());
    let mut at = length(path);
    while !cancel.requested() {
        let now = length(path);
        if now < at {
            at = 0;
        }
        if now > at {
            let mut more = Vec::new();
            let read = File::open(path).and_then(|mut file| {
                file.seek(SeekFrom::Start(at))?;
                file.take(now - at).read_to_end(&mut more)
            });
            read.map_err(Failure::environment)?;
            at = now;
            output::data(String::from_utf8_lossy(&more))?;
            continue;
        }
        watch.wait(LOOK).map_err(Failure::environment)?;
    }
    Ok(())
}
