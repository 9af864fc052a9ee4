//! `ai-how validate`: every finding of every file.

use config::diagnostic;

use crate::{
    cli::{DiagnosticFormat, Validate},
    document::Document,
    exit,
    failure::Failure,
    output,
    settings::Settings,
};

/// Exit status 0 when every file is accepted, 1 when one is not, 2 when one cannot be read.
pub(crate) fn run(arguments: &Validate, settings: &Settings) -> Result<u8, Failure> {
    let mut documents = Vec::new();
    let mut unreadable = false;
    for path in &arguments.files {
        match Document::load(path, arguments.strict, settings) {
            Ok(document) => documents.push(document),
            // What the other files have to say is told all the same.
            Err(failure) => {
                settings.say_failure(&failure);
                unreadable = true;
            }
        }
    }
    if documents.is_empty() {
        return Err(Failure::told(exit::USAGE));
    }
    match arguments.format {
        DiagnosticFormat::Text => {
            documents.iter().try_for_each(|document| output::data(document.text(settings.colour_data)))?;
        }
        DiagnosticFormat::Json => match documents.as_slice() {
            [document] if arguments.files.len() == 1 => {
                output::data(document.report(diagnostic::json::render) + "\n")?
            }
            documents => {
                let values: Vec<_> =
                    documents.iter().map(|document| document.report(diagnostic::json::value)).collect();
                output::data(format_args!("{:#}\n", serde_json::Value::Array(values)))?;
            }
        },
        DiagnosticFormat::Github => {
            documents
                .iter()
                .try_for_each(|document| output::data(document.report(diagnostic::github::render)))?;
        }
        DiagnosticFormat::Sarif => output::data(sarif(&documents))?,
    }
    if unreadable {
        return Ok(exit::USAGE);
    }
    Ok(if documents.iter().all(|document| document.loaded.is_valid()) { exit::OK } else { exit::FAILED })
}

fn sarif(documents: &[Document]) -> String {
    // The reports borrow the names, so they are collected by nesting.
    fn nest(documents: &[Document], reports: &mut Vec<config::Report<'_>>) -> String {
        match documents.split_first() {
            None => diagnostic::sarif::render(reports),
            Some((document, rest)) => document.report(|report| {
                let mut reports = reports.clone();
                reports.push(*report);
                nest(rest, &mut reports)
            }),
        }
    }
    nest(documents, &mut Vec::new())
}
