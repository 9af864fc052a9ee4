//! `ai-how prompt run`: the appliance on this terminal.

use appliance::transcript::{INIT, Limits, Marker, Step, Transcript};
use guest::console::{self, End};
use std::time::Duration;
use system::cancel::Cancel;

use super::{
    dry_run,
    machine::{END_LIMIT, Machine, Wish},
};
use crate::{cli::PromptRun, commands::image::Progress, exit, failure::Failure, output, settings::Settings};

pub(super) fn run(arguments: &PromptRun, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    // The serial line has no word for the size of a window, so the guest is told before it begins.
    let window = console::window_size();
    let window = window.map(|(lines, columns)| format!("zosia.rows={lines} zosia.columns={columns}"));
    let wish = Wish::new(&arguments.machine, &Vec::from_iter(window))?;
    let verdict = wish.verdict(settings, cancel)?;
    let node = wish.node()?;
    let size = &wish.size;
    output::words(format_args!(
        "{} processors: {}\n{} MiB of memory: {}\n",
        size.cpus, size.cpus_reason, size.memory_mib, size.memory_reason
    ));
    let accelerator = verdict.accelerator(node.arch);
    let model = wish.model.as_deref().unwrap_or("no model: the stub prompt answers");
    output::words(format_args!("{} machine ({accelerator}), {model}; Ctrl-] ends it\n", node.arch));
    let progress = Progress::new(settings);
    if arguments.dry_run {
        let printed = dry_run::print(&wish, arguments.on, &verdict, settings, &progress, cancel);
        progress.clear();
        return printed;
    }
    let site = wish.site(&arguments.machine, settings)?;
    let machine = Machine::start(&wish, &site, &verdict, settings, &progress, cancel);
    progress.clear();
    let machine = machine?;
    let power_on = machine.power_on();
    let forever = Limits { markers: Duration::MAX, end: END_LIMIT };
    let mut heard = Transcript::new(vec![Step::of(Marker::line(INIT)), Step::of(Marker::Prompt)], forever);
    let attached = machine.console().attach(cancel, &mut |bytes| {
        // What goes wrong is on the terminal already.
        let _ = heard.hear(power_on.seconds(), bytes);
    });
    let begun = machine.begun();
    let ended = machine.end();
    let words = match attached.map_err(|error| Failure::new(exit::FAILED, error))? {
        End::Off => "powered off",
        End::Detached => "ended; its power was taken",
        End::Stopped => "interrupted; its power was taken",
    };
    output::words(format_args!("\n{words}"));
    if let Some(prompt) = heard.prompt() {
        output::words(format_args!("; the prompt came {prompt:.2} s after power-on"));
        if let Some(begun) = begun {
            output::words(format_args!(
                ", and the boot was over when the kernel had run for {:.2} s",
                begun.uptime
            ));
        }
    }
    output::words("\n");
    ended?;
    if cancel.requested() { Err(engine::Error::Interrupted.into()) } else { Ok(exit::OK) }
}
