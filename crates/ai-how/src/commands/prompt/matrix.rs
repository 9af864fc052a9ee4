//! `ai-how prompt matrix`: the same model with other settings, one machine after the other. What was measured is in a file, and
//! the command that is given again goes on from it.

use std::{collections::BTreeMap, path::Path};

use appliance::{
    matrix::{self, Combination, usual_threads},
    results::Row,
};
use events::{EventKind, Level, Outcome};
use serde_json::{Value, json};
use system::{cancel::Cancel, file};

use super::{
    bench::{self, Bench, SUITE},
    machine::Wish,
    perf::{Gauge, numbered, require_model, wish},
    provenance::Provenance,
    results::ResultsFile,
};
use crate::{
    cli::{Format, Measuring, PromptMachine, PromptMatrix},
    exit,
    failure::Failure,
    output,
    run::Run,
    settings::Settings,
};

/// Where results are unless told otherwise: the command that goes on is given in the same folder.
const RESULTS: &str = "prompt-matrix.csv";

/// How many tokens are generated unless told otherwise.
const TOKENS: u32 = 64;

/// Larger than any matrix file.
const LARGEST: u64 = 1 << 20;

pub(super) fn run(arguments: &PromptMatrix, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    let (machine, measuring) = (&arguments.machine, &arguments.measuring);
    let combinations = combinations(arguments)?;
    if arguments.dry_run {
        return dry_run(&combinations, measuring.format);
    }
    require_model(machine)?;
    let tokens = measuring.tokens.unwrap_or(TOKENS);
    // What does not fit on a command line is told now, not hours later.
    let longest = combinations.iter().max_by_key(|combination| combination.args.len());
    let longest = longest.ok_or_else(|| Failure::new(exit::USAGE, "there is nothing to measure"))?;
    let first = wish(machine, longest, tokens)?;
    let bench = Bench::new(&first, machine, measuring.timeout, settings, cancel)?;
    let path = measuring.results.as_deref().unwrap_or(Path::new(RESULTS));
    let results = ResultsFile::open(path)?;
    let provenance = Provenance::open(&results, setup(machine, &first, &bench)?)?;
    let mut matrix = Matrix {
        gauge: Gauge { bench: &bench, measuring, tokens },
        machine,
        results,
        provenance,
        plots: combinations.into_iter().map(Plot::new).collect(),
    };
    if !arguments.again {
        matrix.keep();
    }
    let code = bench.run("matrix", &first, measuring.format, |run| {
        let result = matrix.measure(run, &first);
        let kept = matrix.record(run);
        result.and(kept)
    });
    if measuring.format == Format::Text {
        output::data(matrix.table())?;
        let (done, all) = (matrix.done(), matrix.all());
        if done < all {
            let path = matrix.results.path().display();
            output::words(format_args!(
                "{done} of {all} runs are in {path}; the same command goes on with the others\n"
            ));
        }
    }
    code
}

/// What is to be measured.
fn combinations(arguments: &PromptMatrix) -> Result<Vec<Combination>, Failure> {
    if let Some(path) = &arguments.matrix {
        let told =
            |error: String| Failure::new(exit::USAGE, format!("the matrix file {}: {error}", path.display()));
        let bytes = file::read_given(path, LARGEST + 1).map_err(|error| Failure::new(exit::USAGE, error))?;
        if bytes.len() as u64 > LARGEST {
            return Err(told(format!("it has more than {} MiB", LARGEST >> 20)));
        }
        let text = String::from_utf8(bytes).map_err(|_| told("it is not UTF-8".to_owned()))?;
        return matrix::read(&text).map_err(|error| told(error.to_string()));
    }
    let threads = match &arguments.threads[..] {
        // The size of the machine, which the size of the model has no part in.
        [] => usual_threads(
            Wish::new(&PromptMachine { model: None, ..arguments.machine.clone() }, &[])?.size.cpus,
        ),
        threads => threads.to_vec(),
    };
    matrix::combine(&threads, &arguments.batch_threads, &arguments.args)
        .map_err(|error| Failure::new(exit::USAGE, error))
}

fn dry_run(combinations: &[Combination], format: Format) -> Result<u8, Failure> {
    match format {
        Format::Text => output::data(matrix::write(combinations))?,
        Format::Json => output::json(&combinations.iter().map(settings_json).collect::<Vec<_>>())?,
    }
    Ok(exit::OK)
}

fn settings_json(combination: &Combination) -> Value {
    let Combination { threads, batch_threads, args } = combination;
    json!({"threads": threads, "batch_threads": batch_threads, "args": args})
}

/// What figures depend on and the columns of results do not tell.
fn setup(
    machine: &PromptMachine,
    wish: &Wish,
    bench: &Bench<'_>,
) -> Result<BTreeMap<String, Value>, Failure> {
    let model = machine.model.as_deref();
    let size = model.and_then(|path| std::fs::metadata(path).ok()).map(|data| data.len());
    let of = [
        ("model", json!(model.and_then(Path::file_name).map(|name| name.to_string_lossy()))),
        ("model_bytes", json!(size)),
        ("arch", json!(wish.node()?.arch.to_string())),
        ("accelerator", json!(bench.accelerators())),
        ("cpus", json!(wish.size.cpus)),
        ("memory_mib", json!(wish.size.memory_mib)),
        ("append", json!(machine.append)),
        ("uefi", json!(machine.uefi)),
    ];
    Ok(of.map(|(key, value)| (key.to_owned(), value)).into())
}

/// What was measured of a combination.
struct Plot {
    combination: Combination,
    /// Rows that were there, then those of now.
    rows: Vec<Row>,
    /// Rates without load time, as far as they are known.
    without_load: Vec<f64>,
}

impl Plot {
    fn new(combination: Combination) -> Self {
        Self { combination, rows: Vec::new(), without_load: Vec::new() }
    }

    fn rate(&self) -> Option<f64> {
        mean(self.rows.iter().filter_map(|row| row.tok_per_s))
    }

    fn ok(&self) -> usize {
        self.rows.iter().filter(|row| row.ok).count()
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are fewer runs than a double has digits")]
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_usize), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

struct Matrix<'a> {
    gauge: Gauge<'a>,
    machine: &'a PromptMachine,
    results: ResultsFile,
    provenance: Provenance,
    plots: Vec<Plot>,
}

impl Matrix<'_> {
    fn measuring(&self) -> &Measuring {
        self.gauge.measuring
    }

    fn runs(&self) -> usize {
        usize::try_from(self.measuring().runs).unwrap_or(usize::MAX)
    }

    fn all(&self) -> usize {
        self.plots.len().saturating_mul(self.runs())
    }

    fn done(&self) -> usize {
        self.plots.iter().map(|plot| plot.rows.len()).sum()
    }

    /// Takes over what was measured before, the newest of it.
    fn keep(&mut self) {
        let (runs, tokens) = (self.runs(), self.gauge.tokens);
        for plot in &mut self.plots {
            let rows = self.results.rows().iter().filter(|row| row.is_of(&plot.combination, tokens));
            let rows: Vec<Row> = rows.cloned().collect();
            plot.rows = rows.get(rows.len().saturating_sub(runs)..).unwrap_or_default().to_vec();
            let without_load =
                plot.rows.iter().filter_map(|row| self.provenance.without_load(&plot.combination, row));
            plot.without_load = without_load.collect();
        }
    }

    fn measure(&mut self, run: &Run, first: &Wish) -> Result<(), Failure> {
        let (kept, all) = (self.done(), self.all());
        if kept > 0 {
            let path = self.results.path().display();
            let message =
                format!("{kept} of {all} runs are in {path} already; --again measures them once more");
            run.sink().emit(EventKind::Notice { level: Level::Info, message });
        }
        if kept < all {
            self.gauge.bench.images(run, first)?;
        }
        bench::tests(run, || {
            for index in 0..self.plots.len() {
                self.measure_one(run, index)?;
            }
            let bad = self.done() - self.plots.iter().map(Plot::ok).sum::<usize>();
            if bad == 0 || self.measuring().no_fail_fast {
                return Ok(());
            }
            Err(bench::failed(format!("{bad} of {all} runs were too slow or failed")))
        })
    }

    fn measure_one(&mut self, run: &Run, index: usize) -> Result<(), Failure> {
        let runs = self.measuring().runs;
        let Some(plot) = self.plots.get_mut(index) else { return Ok(()) };
        let combination = &plot.combination;
        let label = combination.label();
        let wish = wish(self.machine, combination, self.gauge.tokens)?;
        for (number, row) in (1..).zip(&plot.rows) {
            let rate = row
                .tok_per_s
                .map_or("without a rate".to_owned(), |rate| format!("{rate:.2} tokens a second"));
            let without_load = self.provenance.without_load(combination, row);
            bench::measure(run.sink(), "tokens-per-second", &label, row.tok_per_s, "tok/s");
            bench::measure(run.sink(), "tokens-per-second-without-load", &label, without_load, "tok/s");
            run.sink().emit(EventKind::CheckFinished {
                suite: SUITE.to_owned(),
                check: numbered(&label, number, runs),
                node: wish.node()?.label.clone(),
                fork: String::new(),
                outcome: Outcome::Skipped,
                seconds: 0.0,
                reason: format!("measured on {}: {rate}", row.timestamp),
                output: String::new(),
            });
        }
        let begun = u32::try_from(plot.rows.len()).unwrap_or(u32::MAX);
        for number in begun.saturating_add(1)..=runs {
            let check = numbered(&label, number, runs);
            let (row, without_load) = self.gauge.measure(run, &wish, combination, &check)?;
            self.results.add(row.clone())?;
            self.provenance.note(combination, &row, without_load)?;
            let ok = row.ok;
            plot.rows.push(row);
            plot.without_load.extend(without_load);
            if !ok && !self.gauge.measuring.no_fail_fast {
                return Err(bench::failed(format!("{SUITE}/{check} failed")));
            }
        }
        Ok(())
    }

    /// The best first; what gave no rate last.
    fn sorted(&self) -> Vec<&Plot> {
        let mut plots: Vec<&Plot> = self.plots.iter().filter(|plot| !plot.rows.is_empty()).collect();
        let rate = |plot: &Plot| plot.rate().unwrap_or(f64::NEG_INFINITY);
        plots.sort_by(|one, other| rate(other).total_cmp(&rate(one)));
        plots
    }

    /// Tells programs what the table tells people: as figures of the run, the best first, and in a file beside its record.
    fn record(&self, run: &Run) -> Result<(), Failure> {
        let plots = self.sorted();
        for plot in &plots {
            let label = plot.combination.label();
            bench::measure(run.sink(), "tokens-per-second-mean", &label, plot.rate(), "tok/s");
        }
        let json = |plot: &&Plot| {
            let mut value = settings_json(&plot.combination);
            value["tokens"] = json!(self.gauge.tokens);
            value["runs"] = json!(plot.rows.len());
            value["ok"] = json!(plot.ok());
            value["tok_per_s"] = json!(plot.rate());
            value["tok_per_s_without_load"] = json!(mean(plot.without_load.iter().copied()));
            value["seconds"] = json!(mean(plot.rows.iter().filter_map(|row| row.seconds)));
            value
        };
        let document = Value::from(plots.iter().map(json).collect::<Vec<_>>());
        Ok(file::write(&run.folder().join("matrix.json"), format!("{document:#}\n").as_bytes())?)
    }

    /// What was measured, for people; nothing when nothing was.
    fn table(&self) -> String {
        let figure =
            |value: Option<f64>, digits| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
        let row = |plot: &Plot| {
            let Combination { threads, batch_threads, args } = &plot.combination;
            [
                threads.to_string(),
                batch_threads.to_string(),
                args.replace(',', " "),
                plot.rows.len().to_string(),
                plot.ok().to_string(),
                figure(plot.rate(), 2),
                figure(mean(plot.without_load.iter().copied()), 2),
                figure(mean(plot.rows.iter().filter_map(|row| row.seconds)), 3),
            ]
        };
        let plots = self.sorted();
        if plots.is_empty() {
            return String::new();
        }
        let header = ["threads", "batch", "args", "runs", "ok", "tok/s", "without load", "seconds"];
        let rows: Vec<[String; 8]> =
            std::iter::once(header.map(str::to_owned)).chain(plots.into_iter().map(row)).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
        let widths: [usize; 8] = std::array::from_fn(width);
        let mut text = String::new();
        for row in &rows {
            for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
                // Numbers end under each other, words begin there.
                let padded = if column == 2 { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
                text.push_str(&padded);
                text.push_str(if column == 7 { "\n" } else { "  " });
            }
        }
        text
    }
}
