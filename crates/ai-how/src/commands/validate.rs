//! `ai-how validate`: every finding of every file.

use config::{Severity, diagnostic};
use lab::passthrough::{self, Judgement};
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
    let host = Host::at(&arguments.root);
    let look = |document| (!arguments.skip_pcie_validation).then(|| check_devices(document, &host));
    let standings: Vec<String> = documents.iter_mut().filter_map(look).collect();
    match arguments.format {
        DiagnosticFormat::Text => {
            let standings = standings.iter().map(String::as_str).chain(std::iter::repeat(""));
            for (document, standings) in documents.iter().zip(standings) {
                output::data(format_args!("{standings}{}", document.text(settings.colour_data)))?;
            }
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
    let mut found = documents.iter().flat_map(|document| &document.loaded.diagnostics);
    if found.any(|found| found.code.is_about_devices() && found.severity == Severity::Error) {
        output::words(
            "note: for a file that is meant for another host there are --root and --skip-pcie-validation\n",
        );
    }
    if unreadable {
        return Ok(exit::USAGE);
    }
    Ok(if documents.iter().all(|document| document.loaded.is_valid()) { exit::OK } else { exit::FAILED })
}

/// Adds what keeps a host from giving the devices that nodes want. Returns how each device stands, for people.
fn check_devices(document: &mut Document, host: &Host) -> String {
    if document.loaded.devices.is_none() {
        // What has no version of ours is no lab, and has no devices.
        if document.loaded.version.is_some() {
            let path = document.path.display();
            output::words(format_args!(
                "note: {path}: devices were not looked at, because errors keep the file from being read so far\n"
            ));
        }
        return String::new();
    }
    let Judgement { devices, findings } = passthrough::judge(host, &document.loaded);
    document.loaded.add_device_findings(findings);
    if devices.is_empty() {
        return String::new();
    }
    let mut rows = vec![["device", "machine", "standing"].map(str::to_owned)];
    rows.extend(devices.into_iter().map(|(domain, device, standing)| [device, domain, standing.to_string()]));
    plan::columns(&rows) + "\n"
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
