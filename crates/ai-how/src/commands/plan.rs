//! `ai-how plan`: what a file becomes.

use crate::{
    cli::{Plan, PlanFormat},
    document, exit,
    failure::Failure,
    output,
    settings::Settings,
};

pub(crate) fn run(arguments: &Plan, settings: &Settings) -> Result<u8, Failure> {
    let plan = document::plan(&arguments.file, settings)?;
    match arguments.format {
        PlanFormat::Text => output::data(plan::text(&plan))?,
        PlanFormat::Json => {
            let plan = serde_json::to_string_pretty(&plan).map_err(Failure::environment)?;
            output::data(format_args!("{plan}\n"))?;
        }
        PlanFormat::Mermaid => output::data(plan::graph::mermaid(&plan))?,
        PlanFormat::Dot => output::data(plan::graph::dot(&plan))?,
    }
    Ok(exit::OK)
}
