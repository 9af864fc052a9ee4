//! One boot of the appliance, from power-on to power-off: listened to, and typed to, as its transcript says.

use std::{path::Path, thread, time::Duration};

use appliance::transcript::{Failure as Wrong, Marker, Next, Step, Transcript};
use guest::ready::{self, Begun};
use system::{cancel::Cancel, clock::Stopwatch, watch::FolderWatch};

use super::machine::Machine;
use crate::{exit, failure::Failure};

/// How often a wait looks at what no event tells of.
const LOOK: Duration = Duration::from_millis(200);

/// How many of a console's last lines are shown.
const LAST_LINES: usize = 40;

/// What became of a boot.
#[derive(Debug)]
pub(super) struct Boot {
    /// What was said, and when.
    pub(super) heard: Transcript,
    /// Whether it was what should be said, and ended as it should.
    pub(super) end: Result<(), Wrong>,
    /// When the power was off, seconds since power-on; nothing when it had to be taken.
    pub(super) off: Option<f64>,
    /// Seconds from the start of the kernel to the prompt, or to what the machine did instead.
    pub(super) kernel_to_prompt: Option<f64>,
}

/// The guest's word that its boot is over.
struct Word {
    begun: Begun,
    /// When it came, seconds since power-on; nothing when it was there before anybody looked.
    at: Option<f64>,
}

impl Boot {
    /// Listens until the machine is off, says something it should not, or is late. `at_prompt` is called when it comes to its
    /// prompt, or to what it does instead.
    ///
    /// # Errors
    /// Somebody asked to stop, or the console was lost.
    pub(super) fn listen(
        machine: &Machine,
        steps: Vec<Step>,
        limits: appliance::transcript::Limits,
        ready: &Path,
        at_prompt: &dyn Fn(),
        cancel: &Cancel,
    ) -> Result<Self, Failure> {
        let waits_for_prompt = steps.iter().any(|step| step.marker == Marker::Prompt);
        let mut heard = Transcript::new(steps, limits);
        let power_on = machine.power_on();
        let over = Cancel::new();
        let (ended, word) = thread::scope(|scope| {
            let word = scope.spawn(|| await_word(ready, power_on, &over));
            let ended = hear(machine, &mut heard, at_prompt, cancel);
            over.request();
            (ended, word.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        let (end, off) = ended?;
        let kernel_to_prompt = word.and_then(|word| {
            // llama.cpp comes to its prompt some time after that word; everything else begins with it.
            if waits_for_prompt && word.begun.mode == "prompt" {
                Some(heard.prompt()? - word.at? + word.begun.uptime)
            } else {
                Some(word.begun.uptime)
            }
        });
        Ok(Self { heard, end, off, kernel_to_prompt })
    }

    /// The end of what was said.
    pub(super) fn last_lines(&self) -> String {
        let lines: Vec<String> = self.heard.lines().collect();
        lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default().join("\n")
    }
}

fn hear(
    machine: &Machine,
    heard: &mut Transcript,
    at_prompt: &dyn Fn(),
    cancel: &Cancel,
) -> Result<(Result<(), Wrong>, Option<f64>), Failure> {
    let (console, power_on) = (machine.console(), machine.power_on());
    let mut at_prompt = Some(at_prompt);
    loop {
        if cancel.requested() {
            return Err(engine::Error::Interrupted.into());
        }
        let bytes = console.hear(LOOK).map_err(|error| Failure::new(exit::FAILED, error))?;
        let at = power_on.seconds();
        let Some(bytes) = bytes else { return Ok((heard.end(), Some(at))) };
        let next = heard.hear(at, &bytes);
        if let Some(tell) = at_prompt.take_if(|_| heard.prompt().is_some()) {
            tell();
        }
        match next.and_then(|next| heard.look(at).map(|()| next)) {
            Err(wrong) => return Ok((Err(wrong), None)),
            Ok(Next::Listen) => {}
            // Who cannot be typed to is off, which is heard next.
            Ok(Next::Type(text)) => drop(console.say(&text)),
        }
    }
}

/// Waits for the guest's word, and notes when it came. The host cannot have heard of it earlier, so what is computed from it
/// is rather too short than too long, by what it takes through the emulator: milliseconds.
fn await_word(ready: &Path, power_on: Stopwatch, over: &Cancel) -> Option<Word> {
    let watch = FolderWatch::new(ready.parent()?).ok()?;
    if let Some(begun) = ready::begun(ready) {
        return Some(Word { begun, at: None });
    }
    loop {
        let last = over.requested();
        let changed = watch.wait(if last { Duration::ZERO } else { LOOK }).ok()?;
        let at = power_on.seconds();
        if let Some(begun) = ready::begun(ready) {
            return Some(Word { begun, at: changed.then_some(at) });
        }
        if last {
            return None;
        }
    }
}
