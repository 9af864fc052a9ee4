//! `ai-how report`: the reports of a run, written again from its events. A run that was killed has none yet.

use std::path::Path;

use serde_json::json;

use crate::{cli::Format, exit, failure::Failure, output};

pub(crate) fn run(folder: &Path, format: Format) -> Result<u8, Failure> {
    let artifacts =
        report::replay::write_artifacts(folder).map_err(|error| Failure::new(exit::USAGE, error))?;
    let (report, junit) = (artifacts.report.display(), artifacts.junit.display());
    match format {
        Format::Text => output::data(format_args!("{report}\n{junit}\n"))?,
        Format::Json => {
            output::json(&json!({"report": report.to_string(), "junit": junit.to_string()}))?;
        }
    }
    Ok(exit::OK)
}
