//! `ai-how validate`: every finding of every file.

use config::diagnostic;
use lab::passthrough::{self, Finding, Judgement, Wanted};
use system::pci::Host;

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
                output::json(&values)?;
            }
        },
        DiagnosticFormat::Github => {
            documents
                .iter()
                .try_for_each(|document| output::data(document.report(diagnostic::github::render)))?;
        }
        DiagnosticFormat::Sarif => output::data(sarif(&documents))?,
    }
    let devices = if arguments.skip_pcie_validation { true } else { check_devices(&documents, arguments)? };
    if unreadable {
        return Ok(exit::USAGE);
    }
    if !devices {
        return Ok(exit::FAILED);
    }
    Ok(if documents.iter().all(|document| document.loaded.is_valid()) { exit::OK } else { exit::FAILED })
}

/// Whether this host can give the devices that nodes want; what is in the way goes to stderr, and how each device stands
/// to stdout, unless that is data.
fn check_devices(documents: &[Document], arguments: &Validate) -> Result<bool, Failure> {
    let mut can = true;
    for document in documents {
        let Some(lab) = &document.loaded.lab else { continue };
        let nodes = lab.clusters.iter().flat_map(|cluster| &cluster.nodes);
        let wanted: Vec<Wanted<'_>> = nodes
            .flat_map(|node| node.devices.iter().map(|device| Wanted { domain: &node.domain, device }))
            .collect();
        let Judgement { devices, findings } = passthrough::judge(&Host::this(), &wanted);
        if arguments.format == DiagnosticFormat::Text && !devices.is_empty() {
            let mut rows = vec![["device", "machine", "standing"].map(str::to_owned)];
            rows.extend(
                devices.into_iter().map(|(domain, device, standing)| [device, domain, standing.to_string()]),
            );
            output::data(plan::columns(&rows))?;
        }
        for Finding { about, problem, remedy } in &findings {
            let about = match about {
                Some((domain, device)) => format!("{device}, for {domain}"),
                None => "this host".to_owned(),
            };
            output::words(format_args!(
                "error: {}: {about}: {problem}\n  help: {remedy}\n",
                document.path.display()
            ));
        }
        if !findings.is_empty() {
            output::words(
                "note: --skip-pcie-validation leaves this out, for a file that is meant for another host\n",
            );
        }
        can &= findings.is_empty();
    }
    Ok(can)
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
