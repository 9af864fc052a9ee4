//! Measuring: how long the parts of a lab's life take, and what they cost. `docs/benchmark.md` is the user's page.

mod command;
mod figures;
mod labs;
mod machine;
mod process;
mod program;
mod prompt;
mod record;
mod runs;
mod statistics;
mod table;
mod told;
mod warm;
mod yardstick;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use system::cancel::Cancel;
use system::clock;
use system::file::{self, Lock};

use self::machine::Machine;
use self::program::Program;
use self::record::{Document, Record};
use self::runs::Bench;
use crate::Failure;

/// Where the benchmark works.
const FOLDER: &str = "target/bench";

/// What to measure, and how often.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How often everything is measured
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Where the JSON goes
    #[arg(long, value_name = "FILE", default_value = "target/bench/bench.json")]
    out: PathBuf,
    /// Measure these only
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART,...")]
    only: Vec<Part>,
    /// Fail when a limit does not hold
    #[arg(long)]
    enforce: bool,
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// `validate` of a file with two clusters
    Validate,
    /// `plan clusters` of a file with two clusters, and plans of up to ten thousand nodes
    Plan,
    /// Building the image from nothing
    Image,
    /// Starting three nodes, and the same by QEMU alone
    Boot,
    /// The first and the second deployment
    Deploy,
    /// The tests, and what each node takes of the host after them
    Tests,
    /// Three nodes as copies of templates, without SLURM and with it; a snapshot, a fork; and the same lab booted
    Warm,
    /// Eight nodes as copies, and booted
    Eight,
    /// Sixteen nodes with SLURM as copies, and once from nothing: minutes
    Sixteen,
    /// The appliance of each architecture: building it, its prompt, the first word of a tiny model
    Prompt,
    /// `test e2e` as a whole
    E2e,
}

/// Measures, writes the JSON and shows a table.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let cancel = Cancel::on_signals()?;
    let folder = std::path::absolute(FOLDER)?;
    file::create_folder(&folder)?;
    let Some(_lock) = Lock::try_take(&folder.join("lock"))? else {
        return Err("another benchmark runs in this working copy".into());
    };
    labs::write()?;
    let machine = Machine::observe();
    let started = clock::now();
    let program = Program::build(&folder, &cancel)?;
    let mut record = Record::default();
    let result = Bench { program: &program, folder: &folder, arguments, record: &mut record }.run();
    let machine = machine.with_accelerator(&program.cache);
    let document = Document::new(started.to_string(), arguments.runs, result.is_ok(), machine, &record);
    write(&arguments.out, &document)?;
    eprint!("\n{}", table::table(&document.figures));
    eprintln!("\n{}", arguments.out.display());
    result?;
    let broken: Vec<&str> =
        document.figures.iter().filter(|figure| figure.broken()).map(|figure| figure.name).collect();
    if arguments.enforce && !broken.is_empty() {
        return Err(format!("limits that did not hold: {}", broken.join(", ")).into());
    }
    Ok(())
}

impl Arguments {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

fn write(path: &Path, document: &Document) -> Result<(), Failure> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        file::create_folder(folder)?;
    }
    let mut text = serde_json::to_vec_pretty(document)?;
    text.push(b'\n');
    Ok(file::write(path, &text)?)
}
