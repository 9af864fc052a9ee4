//! `ai-how render`: a template with its expressions replaced. The result goes to stdout, words about it to stderr.

use config::{
    Context,
    template::{self, Rendered, Variable},
};
use serde_json::json;

use crate::{
    cli::{Render, RenderFormat},
    document::{self, Document},
    exit,
    failure::Failure,
    output,
    settings::Settings,
};

/// Exit status 1 when it is no YAML or a variable has no value, 2 when it cannot be read.
pub(crate) fn run(arguments: &Render, settings: &Settings) -> Result<u8, Failure> {
    let path = &arguments.template;
    let bytes = document::read(path)?;
    let context = document::context(path, settings);
    let refused = |found: Vec<config::Diagnostic>| {
        output::painted(Document::with_findings(path, bytes.clone(), found).text(settings.facts.colour));
        Failure::told(exit::FAILED)
    };
    if arguments.show_variables || arguments.validate_only {
        let variables = template::variables(&bytes).map_err(|found| refused(vec![found]))?;
        let list = match arguments.format {
            RenderFormat::Yaml => text(&variables, &context, arguments.show_variables),
            RenderFormat::Json => format!("{:#}\n", json(&variables, &context)),
        };
        if arguments.validate_only {
            output::data(list)?;
            return Ok(exit::OK);
        }
        output::words(list);
    }
    let Rendered { text, value } = template::render(&bytes, &context).map_err(refused)?;
    let result = match arguments.format {
        RenderFormat::Yaml => text,
        RenderFormat::Json => format!("{value:#}\n"),
    };
    output::to(arguments.output.as_deref(), &result)?;
    if let Some(output) = &arguments.output {
        let (from, to) = (bytes.len(), result.len());
        output::words(format_args!("wrote {}: {to} bytes, the template has {from}\n", output.display()));
    }
    Ok(exit::OK)
}

fn total(variables: &[Variable]) -> usize {
    variables.iter().map(|variable| variable.uses).sum()
}

fn text(variables: &[Variable], context: &Context, values: bool) -> String {
    let width = variables.iter().map(|variable| variable.name.chars().count()).max().unwrap_or(0);
    let line = |Variable { name, uses, line }: &Variable| {
        let value = context.environment.get(name).map_or("not set", String::as_str);
        format!("  {name:width$}  {value}  (line {line}, {uses} of them)\n")
    };
    let lines: String = if values { variables.iter().map(line).collect() } else { String::new() };
    format!("{} variables, {} of them different\n{lines}", total(variables), variables.len())
}

fn json(variables: &[Variable], context: &Context) -> serde_json::Value {
    let of = |variable: &Variable| {
        let value = context.environment.get(&variable.name);
        json!({"name": variable.name, "uses": variable.uses, "line": variable.line, "value": value})
    };
    json!({
        "total": total(variables),
        "unique": variables.len(),
        "variables": variables.iter().map(of).collect::<Vec<_>>(),
    })
}
