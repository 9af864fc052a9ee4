//! The chart of tokens a second.

use ai_how_report::html::render;
use events::{Event, EventKind, FORMAT, Outcome, Phase};

use crate::fixture;

fn measured(figure: &str, node: &str, value: f64) -> EventKind {
    EventKind::Measured { figure: figure.into(), node: node.into(), value, unit: "tok/s".into() }
}

const WITH: &str = "tokens-per-second";
const WITHOUT: &str = "tokens-per-second-without-load";

/// A matrix of five settings with two runs each, of which one setting was measured by an earlier command.
fn matrix() -> Vec<Event> {
    let mut told = vec![
        (
            0.0,
            EventKind::RunStarted {
                format: FORMAT,
                run: "20261127-101500-matrix-prompt".into(),
                command: "prompt matrix phi.gguf --threads 2,4 --args= --args=-b,256 --runs 2".into(),
                lab: "prompt".into(),
                file: "phi.gguf".into(),
                accelerator: "kvm".into(),
            },
        ),
        (0.1, EventKind::PhaseStarted { phase: Phase::Tests }),
    ];
    let settings = [
        ("t2 b2", [14.2, 14.6], [17.9, 18.1]),
        ("t4 b4", [22.4, 23.9], [31.0, 33.2]),
        ("t2 b2 -b 256", [15.0, 15.1], [18.4, 18.8]),
        ("t4 b4 -b 256 -c 1024 --no-warmup", [24.1, 24.5], [34.0, 34.6]),
    ];
    let mut at = 0.2;
    for (label, with, without) in settings {
        for run in 0..2 {
            let (suite, check, node) = ("prompt".into(), format!("{label} run {}", run + 1), "prompt".into());
            let (fork, reason, output) = (String::new(), String::new(), String::new());
            told.push((
                at + 5.0,
                EventKind::CheckFinished {
                    suite,
                    check,
                    node,
                    fork,
                    outcome: Outcome::Passed,
                    seconds: 5.0,
                    reason,
                    output,
                },
            ));
            told.push((at + 5.0, measured(WITH, label, with[run])));
            told.push((at + 5.0, measured(WITHOUT, label, without[run])));
            told.push((at + 5.0, measured("kernel-start-to-prompt", label, 0.8)));
            at += 5.2;
        }
    }
    told.push((at, measured(WITH, "t6 b6", 19.5)));
    told.push((at, EventKind::PhaseFinished { phase: Phase::Tests, outcome: Outcome::Passed, seconds: at }));
    told.push((
        at + 0.1,
        EventKind::RunFinished {
            outcome: Outcome::Passed,
            exit_code: 0,
            seconds: at + 0.1,
            message: String::new(),
        },
    ));
    fixture::stamp(told)
}

fn chart(page: &str) -> Option<&str> {
    let (_, rest) = page.split_once("<section id=\"speed\">")?;
    Some(rest.split_once("</section>").expect("its end").0)
}

#[test]
fn settings_are_compared_with_and_without_load_time() {
    let page = render(&matrix(), None, &[]).expect("a page");
    // It stays in the target folder, to be looked at.
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("report-matrix");
    std::fs::create_dir_all(&folder).expect("a folder of ours");
    std::fs::write(folder.join("report.html"), &page).expect("a folder of ours");
    assert!(page.contains("<a href=\"#speed\">"));
    insta::assert_snapshot!(chart(&page).expect("a chart"));
}

#[test]
fn one_setting_is_no_comparison() {
    let one =
        [measured(WITH, "t2 b2", 14.0), measured(WITHOUT, "t2 b2", 15.0), measured(WITH, "t2 b2", 16.0)];
    let one: Vec<Event> = fixture::stamp(one.into_iter().map(|kind| (1.0, kind)).collect());
    assert_eq!(chart(&render(&one, None, &[]).expect("a page")), None);
    assert_eq!(chart(&render(&fixture::events(), None, &[]).expect("a page")), None);
}

#[test]
fn a_chart_can_be_made_of_any_figures() {
    for values in [[0.0, 0.0], [1e-9, 3e-9], [1e12, 1.0], [f64::NAN, 2.0], [-1.0, 2.0], [f64::INFINITY, 2.0]]
    {
        let told = [
            measured(WITH, "a", values[0]),
            measured(WITHOUT, "b</svg>", values[1]),
            measured(WITH, "c", 0.5),
        ];
        let told: Vec<Event> = fixture::stamp(told.into_iter().map(|kind| (1.0, kind)).collect());
        let page = render(&told, None, &[]).expect("a page");
        let chart = chart(&page).expect("a chart");
        assert!(!chart.contains("NaN") && !chart.contains("inf%"), "{values:?}: {chart}");
        assert!(
            (2..=12).contains(&chart.matches("class=\"tick\"").count().div_ceil(2)),
            "{values:?}: {chart}"
        );
        assert_eq!(chart.matches("</svg>").count(), 3, "{values:?}");
    }
}
