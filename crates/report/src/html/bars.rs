//! How fast a model was with each of several settings: a pair of bars for each, with and without the time for loading it.
//!
//! Horizontal places are percentages, as in the timeline; vertical ones are pixels.

use serde::Serialize;

use crate::run::Run;
use crate::text;

/// The figure of the darker bar.
const WITH: &str = "tokens-per-second";
/// The figure of the lighter one.
const WITHOUT: &str = "tokens-per-second-without-load";

/// The height of a bar, pixels.
const BAR: u32 = 15;
/// From a pair to the next, pixels.
const GAP: u32 = 14;
/// Above the first pair, pixels.
const TOP: u32 = 6;
/// The height of the axis below the bars, with its name, pixels.
const AXIS: u32 = 40;
/// How much of the width bars may take, percent: their values stand behind them.
const WIDEST: f64 = 86.0;

/// The picture.
#[derive(Debug, Serialize)]
pub(super) struct Bars {
    /// Pixels.
    height: u32,
    /// Where the bars end and the axis begins, pixels.
    floor: u32,
    /// The longest name, characters.
    name_length: usize,
    ticks: Vec<Tick>,
    pairs: Vec<Pair>,
    /// The picture in words.
    words: String,
    /// Whether there is a bar without load time.
    without: bool,
    /// Whether a bar is of several runs.
    ranges: bool,
}

#[derive(Debug, Serialize)]
struct Tick {
    x: f64,
    label: String,
}

#[derive(Debug, Serialize)]
struct Pair {
    name: String,
    /// Pixels.
    y: u32,
    bars: Vec<Bar>,
}

#[derive(Debug, Serialize)]
struct Bar {
    /// `with` or `without`.
    kind: &'static str,
    y: u32,
    width: f64,
    value: String,
    /// Where the value stands: behind the bar and its range.
    value_x: f64,
    /// From the slowest to the fastest of several runs.
    range: Option<(f64, f64)>,
    title: String,
}

/// What was measured of one setting, in the order of the runs.
struct Measured {
    name: String,
    with: Vec<f64>,
    without: Vec<f64>,
}

/// Draws what was measured, the fastest first; nothing when there are no two settings to compare.
pub(super) fn draw(run: &Run) -> Option<Bars> {
    let mut all = measured(run);
    if all.len() < 2 {
        return None;
    }
    let key = |one: &Measured| mean(&one.with).or_else(|| mean(&one.without)).unwrap_or_default();
    all.sort_by(|one, other| key(other).total_cmp(&key(one)));
    let highest = all.iter().flat_map(|one| one.with.iter().chain(&one.without)).copied().fold(0.0, f64::max);
    let axis = Axis { end: if highest > 0.0 { highest } else { 1.0 } };
    let height = 2 * BAR + 1;
    let pair = |(index, one): (usize, &Measured)| {
        let y = TOP + u32::try_from(index).unwrap_or_default() * (height + GAP);
        let bars = [("with", y, &one.with), ("without", y + BAR + 1, &one.without)];
        let bars = bars.into_iter().filter_map(|(kind, y, values)| axis.bar(kind, y, &one.name, values));
        Pair { name: one.name.clone(), y, bars: bars.collect() }
    };
    let pairs: Vec<Pair> = all.iter().enumerate().map(pair).collect();
    let floor = TOP + u32::try_from(pairs.len()).unwrap_or_default() * (height + GAP) - GAP / 2;
    Some(Bars {
        height: floor + AXIS,
        floor,
        name_length: all.iter().map(|one| one.name.chars().count()).max().unwrap_or_default(),
        ticks: axis.ticks(),
        words: words(&all),
        without: all.iter().any(|one| !one.without.is_empty()),
        ranges: all.iter().any(|one| one.with.len().max(one.without.len()) > 1),
        pairs,
    })
}

fn measured(run: &Run) -> Vec<Measured> {
    let mut all: Vec<Measured> = Vec::new();
    for figure in run.measured.iter().filter(|figure| [WITH, WITHOUT].contains(&figure.figure.as_str())) {
        // A record may have been written by anybody.
        if !figure.value.is_finite() || figure.value < 0.0 {
            continue;
        }
        let name = text::plain(&figure.node);
        let at = all.iter().position(|known| known.name == name).unwrap_or(all.len());
        if at == all.len() {
            all.push(Measured { name, with: Vec::new(), without: Vec::new() });
        }
        if let Some(known) = all.get_mut(at) {
            if figure.figure == WITH { &mut known.with } else { &mut known.without }.push(figure.value);
        }
    }
    all
}

#[expect(clippy::cast_precision_loss, reason = "there are fewer runs than a double has digits")]
fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// For those who cannot see it.
fn words(all: &[Measured]) -> String {
    let one = |one: &Measured| {
        let figure = |values: &[f64]| mean(values).map(shown);
        let with = figure(&one.with).map(|value| format!("{value} with load time"));
        let without = figure(&one.without).map(|value| format!("{value} without"));
        let values: Vec<String> = with.into_iter().chain(without).collect();
        format!("{}: {}", one.name, values.join(", "))
    };
    let all: Vec<String> = all.iter().map(one).collect();
    format!("Tokens a second, the fastest first. {}.", all.join("; "))
}

/// A value with as many digits as matter.
fn shown(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// From tokens a second to percent.
#[derive(Clone, Copy)]
struct Axis {
    /// The highest value. Greater than zero.
    end: f64,
}

impl Axis {
    fn at(self, value: f64) -> f64 {
        (value / self.end * WIDEST * 1000.0).round() / 1000.0
    }

    fn bar(self, kind: &'static str, y: u32, name: &str, values: &[f64]) -> Option<Bar> {
        let value = mean(values)?;
        let (least, most) = values
            .iter()
            .fold((f64::INFINITY, 0.0_f64), |(least, most), value| (least.min(*value), most.max(*value)));
        let load = if kind == "with" { "with load time" } else { "without load time" };
        let mut title = format!("{name}: {value:.2} tokens a second {load}");
        if values.len() > 1 {
            let runs = text::count(values.len(), "run");
            title.push_str(&format!("\nmean of {runs}, from {least:.2} to {most:.2}"));
        }
        let width = self.at(value);
        let range = (values.len() > 1).then(|| (self.at(least), self.at(most)));
        Some(Bar { kind, y, width, value: shown(value), value_x: self.at(most), range, title })
    }

    /// Four to nine ticks at round values.
    fn ticks(self) -> Vec<Tick> {
        let magnitude = 10_f64.powf((self.end / 10.0).log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * magnitude);
        let step = steps.into_iter().find(|step| self.end / step <= 8.0).unwrap_or(self.end);
        let digits = if step >= 1.0 { 0 } else { usize::try_from(-step.log10().floor() as i64).unwrap_or(3) };
        let ticks =
            (0_u32..).map(|index| f64::from(index) * step).take_while(|value| self.at(*value) <= 100.0);
        ticks.map(|value| Tick { x: self.at(value), label: format!("{value:.digits$}") }).collect()
    }
}
