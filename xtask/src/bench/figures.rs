//! Every figure that is measured: its name, its unit and its limit. `docs/benchmark.md` tells what each one means.

/// What one figure is.
#[derive(Debug)]
pub(crate) struct Figure {
    /// `phase.what`.
    pub(crate) name: &'static str,
    /// `s`, `ms`, `MiB`, or `x` for a ratio.
    pub(crate) unit: &'static str,
    pub(crate) limit: Option<Limit>,
}

/// What a figure must not exceed, on two processors without KVM.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limit {
    pub(crate) at_most: f64,
    pub(crate) judged: Judged,
}

/// Which of the samples a limit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// Time: what else the host does makes single samples larger, and none smaller.
    Median,
    /// Memory: the largest node has to fit too.
    Max,
}

impl Judged {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Median => "median",
            Self::Max => "max",
        }
    }
}

const fn plain(name: &'static str, unit: &'static str) -> Figure {
    Figure { name, unit, limit: None }
}

const fn median(name: &'static str, unit: &'static str, at_most: f64) -> Figure {
    Figure { name, unit, limit: Some(Limit { at_most, judged: Judged::Median }) }
}

const fn max(name: &'static str, unit: &'static str, at_most: f64) -> Figure {
    Figure { name, unit, limit: Some(Limit { at_most, judged: Judged::Max }) }
}

/// In the order in which they are shown.
pub(crate) const FIGURES: &[Figure] = &[
    median("validate.wall", "ms", 15.0),
    median("plan-clusters.wall", "ms", 15.0),
    plain("plan.100-nodes", "ms"),
    median("plan.1000-nodes", "ms", 200.0),
    plain("plan.10000-nodes", "ms"),
    median("plan.growth", "x", 10.0),
    median("image.wall", "s", 60.0),
    plain("image.cpu", "s"),
    plain("image.peak-memory", "MiB"),
    median("boot.ready", "s", 40.0),
    plain("boot.raw-ready", "s"),
    median("boot.ratio", "x", 1.2),
    plain("boot.node-ready", "s"),
    plain("boot.raw-node-ready", "s"),
    plain("boot.phase", "s"),
    plain("boot.wall", "s"),
    plain("boot.cpu", "s"),
    plain("boot.node-cpu", "s"),
    plain("boot.raw-node-cpu", "s"),
    plain("boot.peak-memory", "MiB"),
    median("deploy.wall", "s", 60.0),
    plain("deploy.cpu", "s"),
    plain("deploy.peak-memory", "MiB"),
    median("deploy-again.wall", "s", 20.0),
    plain("deploy-again.cpu", "s"),
    plain("deploy-again.peak-memory", "MiB"),
    plain("tests.wall", "s"),
    plain("tests.cpu", "s"),
    plain("tests.peak-memory", "MiB"),
    max("node.memory", "MiB", 400.0),
    plain("node.peak-memory", "MiB"),
    plain("node.cpu", "s"),
    median("warm.ready", "s", 2.5),
    median("warm.ratio", "x", 0.1),
    max("warm.bare-node-memory", "MiB", 180.0),
    median("warm.srun", "s", 10.0),
    plain("cold.srun", "s"),
    plain("warm.srun-ratio", "x"),
    median("warm.node-memory", "MiB", 180.0),
    median("start-again.wall", "s", 1.0),
    plain("snapshot.wall", "s"),
    median("revert.resumed", "s", 1.0),
    plain("revert.ready", "s"),
    median("revert.srun", "s", 4.0),
    plain("fork.wall", "s"),
    max("fork.keeper-memory", "MiB", 10.0),
    max("fork.keeper-private-memory", "MiB", 5.0),
    plain("fork.libvirtd-memory", "MiB"),
    median("eight.ready", "s", 6.0),
    plain("eight.cold-ready", "s"),
    plain("eight.ratio", "x"),
    max("eight.node-memory", "MiB", 180.0),
    median("sixteen.idle", "s", 30.0),
    plain("sixteen.cold-idle", "s"),
    plain("sixteen.ratio", "x"),
    median("sixteen.node-memory", "MiB", 180.0),
    median("prompt.build", "s", 60.0),
    median("prompt.build-again", "s", 2.0),
    median("prompt.kernel-to-prompt.x86_64", "s", 1.5),
    median("prompt.kernel-to-prompt.aarch64", "s", 1.5),
    median("prompt.power-on.x86_64", "s", 3.0),
    median("prompt.power-on.aarch64", "s", 3.0),
    median("prompt.first-token.x86_64", "s", 5.0),
    median("prompt.first-token.aarch64", "s", 5.0),
    median("e2e.wall", "s", 90.0),
    plain("e2e.image", "s"),
    plain("e2e.boot", "s"),
    plain("e2e.deploy", "s"),
    plain("e2e.tests", "s"),
    plain("e2e.cleanup", "s"),
    plain("e2e.cpu", "s"),
    plain("e2e.peak-memory", "MiB"),
];

/// The figure of that name.
pub(crate) fn named(name: &str) -> Option<&'static Figure> {
    FIGURES.iter().find(|figure| figure.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for figure in FIGURES {
            assert_eq!(
                FIGURES.iter().filter(|other| other.name == figure.name).count(),
                1,
                "{}",
                figure.name
            );
        }
    }

    #[test]
    fn the_page_explains_every_figure_and_its_limit() {
        let page = include_str!("../../../docs/benchmark.md");
        for figure in FIGURES {
            let rows = page.lines().filter(|line| line.starts_with('|'));
            let mut found = rows.filter(|row| row.contains(&format!("`{}`", figure.name)));
            let row = found.next().unwrap_or_else(|| panic!("nothing about {}", figure.name));
            if let Some(limit) = figure.limit {
                let text = format!("{} {} ({})", limit.at_most, figure.unit, limit.judged.name());
                assert!(row.contains(&text), "{row} lacks {text}");
            }
        }
    }
}
