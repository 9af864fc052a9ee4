//! `ai-how plan`: what a file becomes.

use crate::{
    cli::{Plan, PlanFormat},
    document, exit,
    failure::Failure,
    settings::Settings,
};

pub(crate) fn run(arguments: &Plan, settings: &Settings) -> Result<u8, Failure> {
    let plan = document::plan(&arguments.file, settings)?;
    match arguments.format {
        PlanFormat::Text => print!("{}", plan::text(&plan)),
        PlanFormat::Json => println!("{}", serde_json::to_string_pretty(&plan).map_err(Failure::environment)?),
        PlanFormat::Mermaid => print!("{}", plan::graph::mermaid(&plan)),
        PlanFormat::Dot => print!("{}", plan::graph::dot(&plan)),
    }
    Ok(exit::OK)
}
