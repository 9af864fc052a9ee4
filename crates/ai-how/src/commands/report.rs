//! `ai-how report`: the reports of a run, written again from its events. A run that was killed has none yet.

use std::path::Path;

use crate::{exit, failure::Failure, output};

pub(crate) fn run(folder: &Path) -> Result<u8, Failure> {
    let artifacts =
        report::replay::write_artifacts(folder).map_err(|error| Failure::new(exit::USAGE, error))?;
    output::data(format_args!("{}\n{}\n", artifacts.report.display(), artifacts.junit.display()))?;
    Ok(exit::OK)
}
