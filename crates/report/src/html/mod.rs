//! The report of a run as one HTML page that needs nothing else: no network, no fonts, no scripts of others.
//!
//! Rust decides what is shown and where bars and boxes stand ([`timeline`], [`topology`], [`evidence`], [`checks`], [`bars`]);
//! `templates/report.html` holds the markup. Everything a node, a file or a user said is escaped by the template
//! engine, and the page's own policy lets no script run but the one it was written with.

mod bars;
mod checks;
mod evidence;
mod timeline;
mod topology;

use events::{Event, Level, Outcome, TaskStatus};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use plan::model::Plan;
use serde::Serialize;

use crate::run::{Counts, Figure, Notice, PhaseRun, Run, TaskRun};
use crate::text;
use evidence::Failure;
use timeline::Timeline;
use topology::Picture;

const TEMPLATE: &str = include_str!("../../templates/report.html");
const STYLE: &str = include_str!("../../templates/report.css");
const SCRIPT: &str = include_str!("../../templates/report.js");
/// The SHA-256 of [`SCRIPT`] in Base64: the only script the page's policy lets run.
const SCRIPT_HASH: &str = "sha256-euY2cD8uFJpPV5DxudsdJpPIgoxFDA7xGka2Pk+3KcA=";

/// What is said of a run without an end.
const NO_END: &str = "the record has no end: the run was killed, or goes on";
/// How many of the slowest tasks are shown.
const SLOWEST: usize = 15;
/// How much of an attachment is shown, bytes.
const LARGEST_ATTACHMENT: usize = 256 * 1024;

/// Why the page could not be made: the template does not fit the code it was built with.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the HTML report: this is a defect of ai-how, the record of the run is unharmed")]
pub struct HtmlError(#[from] minijinja::Error);

/// A text file that belongs to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its path in the run's folder. A node's console is found by the plan's path for it.
    pub name: String,
    /// What is in it. A long one is cut in the middle.
    pub text: String,
}

/// What the template is given.
#[derive(Debug, Serialize)]
struct Page {
    style: &'static str,
    script: &'static str,
    script_hash: &'static str,
    title: String,
    verdict: &'static str,
    status: &'static str,
    message: String,
    counts: String,
    tally: Tally,
    shares: Vec<Share>,
    facts: Vec<Fact>,
    phases: Vec<PhaseFact>,
    failures: Vec<Failure>,
    notices: Vec<NoticeRow>,
    bars: Option<bars::Bars>,
    timeline: Option<Timeline>,
    pictures: Vec<Picture>,
    grids: Vec<checks::Grid>,
    checks: Vec<checks::Row>,
    tasks: TaskCounts,
    slowest: Vec<TaskRow>,
    figures: Vec<FigureRow>,
    attachments: Vec<AttachmentRow>,
}

#[derive(Debug, Serialize)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
    total: usize,
}

/// A part of the bar under the verdict.
#[derive(Debug, Serialize)]
struct Share {
    status: &'static str,
    percent: f64,
}

#[derive(Debug, Serialize)]
struct Fact {
    name: &'static str,
    value: String,
}

#[derive(Debug, Serialize)]
struct PhaseFact {
    name: String,
    status: &'static str,
    spent: String,
}

#[derive(Debug, Serialize)]
struct NoticeRow {
    level: &'static str,
    message: String,
}

#[derive(Debug, Default, Serialize)]
struct TaskCounts {
    total: usize,
    ok: usize,
    changed: usize,
    skipped: usize,
    failed: usize,
}

#[derive(Debug, Serialize)]
struct TaskRow {
    play: String,
    task: String,
    node: String,
    status: String,
    spent: String,
    /// Of the slowest.
    percent: f64,
}

#[derive(Debug, Serialize)]
struct FigureRow {
    figure: String,
    node: String,
    value: String,
    unit: String,
}

#[derive(Debug, Serialize)]
struct AttachmentRow {
    name: String,
    size: String,
    text: String,
}

/// The page of a run. With a plan it shows the topology too.
///
/// # Errors
///
/// When the template does not fit, which a test of this crate rules out.
pub fn render(
    events: &[Event],
    plan: Option<&Plan>,
    attachments: &[Attachment],
) -> Result<String, HtmlError> {
    let run = Run::from_events(events);
    let mut engine = Environment::new();
    engine.set_auto_escape_callback(|_| AutoEscape::Html);
    engine.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.add_template("report.html", TEMPLATE)?;
    Ok(engine.get_template("report.html")?.render(Serde(page(&run, plan, attachments)))?)
}

fn page(run: &Run, plan: Option<&Plan>, attachments: &[Attachment]) -> Page {
    let counts = run.counts();
    let failures = evidence::collect(run, plan, attachments);
    let verdict = match run.outcome() {
        Outcome::Passed => "Passed",
        Outcome::Failed => "Failed",
        Outcome::Skipped => "Nothing tested",
        Outcome::Interrupted => "Interrupted",
    };
    let lab = if run.lab.is_empty() { "run" } else { &run.lab };
    Page {
        style: STYLE,
        script: SCRIPT,
        script_hash: SCRIPT_HASH,
        title: format!("{verdict}: {}", text::plain(lab)),
        verdict,
        status: timeline::outcome_class(run.outcome()),
        message: run.finish.as_ref().map_or_else(|| NO_END.into(), |finish| text::plain(&finish.message)),
        counts: if counts.total() > 0 { counts.to_string() } else { "no checks".into() },
        tally: tally(counts),
        shares: shares(counts),
        facts: facts(run),
        phases: phases(run),
        notices: notices(run),
        bars: bars::draw(run),
        timeline: timeline::place(run, &failures),
        pictures: plan.map(|plan| topology::draw(plan, run)).unwrap_or_default(),
        grids: checks::grids(run, &failures),
        checks: checks::rows(run, &failures),
        tasks: task_counts(run),
        slowest: slowest(run),
        figures: figures(run),
        attachments: attachments.iter().map(attachment).collect(),
        failures,
    }
}

fn tally(counts: Counts) -> Tally {
    Tally {
        passed: counts.passed,
        failed: counts.failed + counts.interrupted,
        skipped: counts.skipped,
        total: counts.total(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a run has fewer checks than a double has digits")]
fn shares(counts: Counts) -> Vec<Share> {
    let tally = tally(counts);
    [("failed", tally.failed), ("skipped", tally.skipped), ("passed", tally.passed)]
        .into_iter()
        .filter(|&(_, number)| number > 0)
        .map(|(status, number)| Share { status, percent: number as f64 * 100.0 / tally.total as f64 })
        .collect()
}

fn facts(run: &Run) -> Vec<Fact> {
    let started = run.started.map(|time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
    let exit = run.finish.as_ref().map(|finish| finish.exit_code.to_string());
    [
        ("Command", run.command.clone()),
        ("Lab", run.lab.clone()),
        ("File", run.file.clone()),
        ("Accelerator", run.accelerator.clone()),
        ("Started", started.unwrap_or_default()),
        ("Duration", text::seconds(run.seconds)),
        ("Exit status", exit.unwrap_or_else(|| "none".into())),
        ("Run", run.name.clone()),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| Fact { name, value: text::plain(&value) })
    .collect()
}

fn phases(run: &Run) -> Vec<PhaseFact> {
    let fact = |phase: &PhaseRun| PhaseFact {
        name: phase.phase.to_string(),
        status: timeline::outcome_class(phase.outcome),
        spent: text::seconds(phase.seconds),
    };
    run.phases.iter().map(fact).collect()
}

fn notices(run: &Run) -> Vec<NoticeRow> {
    let row = |notice: &Notice| NoticeRow {
        level: match notice.level {
            Level::Info => "note",
            Level::Warning => "warning",
            Level::Error => "error",
        },
        message: text::plain(&notice.message),
    };
    run.notices.iter().map(row).collect()
}

fn task_counts(run: &Run) -> TaskCounts {
    let mut counts = TaskCounts { total: run.tasks.len(), ..TaskCounts::default() };
    for task in &run.tasks {
        match task.status {
            TaskStatus::Ok => counts.ok += 1,
            TaskStatus::Changed => counts.changed += 1,
            TaskStatus::Skipped => counts.skipped += 1,
            TaskStatus::Failed | TaskStatus::Unreachable => counts.failed += 1,
        }
    }
    counts
}

fn slowest(run: &Run) -> Vec<TaskRow> {
    let mut tasks: Vec<_> = run.tasks.iter().collect();
    tasks.sort_by(|one, other| other.seconds.total_cmp(&one.seconds));
    let longest = tasks.first().map_or(1.0, |task| task.seconds.max(0.001));
    let row = |task: &&TaskRun| TaskRow {
        play: text::plain(&task.play),
        task: text::plain(&task.task),
        node: text::plain(&task.node),
        status: task.status.to_string(),
        spent: text::seconds(task.seconds),
        percent: task.seconds * 100.0 / longest,
    };
    tasks.iter().take(SLOWEST).map(row).collect()
}

fn figures(run: &Run) -> Vec<FigureRow> {
    let row = |figure: &Figure| FigureRow {
        figure: text::plain(&figure.figure),
        node: text::plain(&figure.node),
        value: if figure.value.fract() == 0.0 {
            format!("{:.0}", figure.value)
        } else {
            format!("{:.2}", figure.value)
        },
        unit: text::plain(&figure.unit),
    };
    run.measured.iter().map(row).collect()
}

fn attachment(file: &Attachment) -> AttachmentRow {
    let text = text::plain(&file.text);
    AttachmentRow {
        name: file.name.clone(),
        size: text::count(text.lines().count(), "line"),
        text: text::cut_middle(&text, LARGEST_ATTACHMENT),
    }
}
