//! From the folder of a run, kept however it ended, back to a reporter or to its JUnit and HTML files.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use events::Event;
use plan::model::Plan;

use crate::html::{self, Attachment};
use crate::junit;
use crate::record::{self, RecordError};
use crate::reporter::Reporter;

/// The JUnit file's name in the folder of a run.
pub const JUNIT: &str = "junit.xml";
/// The HTML report's name in the folder of a run.
pub const REPORT: &str = "report.html";
/// The plan's name in the folder of a run. A run that starts nothing has none.
pub const PLAN: &str = "plan.json";

/// What is shown in full in the report. A larger file is read at both ends only.
const LARGEST_ATTACHMENT: u64 = 256 * 1024;

/// The kinds of file that are shown in the report. Others in the folder (keys, seeds, disks) are left alone.
const ATTACHED: [&str; 3] = ["log", "xml", "txt"];

/// Why the files of a run could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A file cannot be written.
    #[error("cannot write {path}: make room, or make the folder writable, and report again")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The JUnit XML could not be made.
    #[error("cannot make {JUNIT} from the record")]
    Junit(#[from] quick_junit::SerializeError),
    /// The HTML report could not be made.
    #[error(transparent)]
    Html(#[from] html::HtmlError),
}

/// Where [`write_artifacts`] put what it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifacts {
    /// The JUnit file.
    pub junit: PathBuf,
    /// The HTML report.
    pub report: PathBuf,
}

/// Tells kept events to reporters, from the first word to the last.
pub fn play(events: &[Event], reporters: &mut [Box<dyn Reporter>]) {
    for event in events {
        reporters.iter_mut().for_each(|reporter| reporter.event(event));
    }
    reporters.iter_mut().for_each(|reporter| reporter.finish());
}

/// Reads the record and the plan in the folder of a run and writes its JUnit file and HTML report beside them, over
/// those that are there. Logs and XML found in the folder become attachments of the report.
///
/// Only the record is needed. What else cannot be read (a plan that was torn, a log of another user) is named in the
/// report with the reason.
///
/// # Errors
///
/// When the record cannot be read, or a file cannot be written.
pub fn write_artifacts(folder: &Path) -> Result<Artifacts, ReplayError> {
    let events = record::read(&folder.join(record::FILE))?;
    let artifacts = Artifacts { junit: folder.join(JUNIT), report: folder.join(REPORT) };
    write(&artifacts.junit, &junit::render(&events)?)?;
    let mut attachments = attachments(folder);
    let plan = match read_plan(&folder.join(PLAN)) {
        Ok(plan) => plan,
        Err(error) => {
            attachments.insert(0, unreadable(PLAN.into(), &error));
            None
        }
    };
    write(&artifacts.report, &html::render(&events, plan.as_ref(), &attachments)?)?;
    Ok(artifacts)
}

/// Written beside and moved into place: who looks at the report while it is written again sees a whole one.
fn write(path: &Path, text: &str) -> Result<(), ReplayError> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    fs::write(&unfinished, text)
        .and_then(|()| fs::rename(&unfinished, path))
        .map_err(|source| ReplayError::Write { path: path.into(), source })
}

/// The plan, when there is one.
fn read_plan(path: &Path) -> io::Result<Option<Plan>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Every file of the folder that the report shows, named by its path in the folder, in the order of the names.
fn attachments(folder: &Path) -> Vec<Attachment> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(inner) = folders.pop() {
        let name = |path: &Path| path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned();
        let entries = match fs::read_dir(&inner) {
            Ok(entries) => entries,
            Err(error) => {
                found.push(unreadable(name(&inner), &error));
                continue;
            }
        };
        for entry in entries.flatten() {
            let path = entry.path();
            // A link is neither: it may lead anywhere.
            let is = |kind: fn(&fs::FileType) -> bool| entry.file_type().is_ok_and(|found| kind(&found));
            if is(fs::FileType::is_dir) {
                folders.push(path);
            } else if is(fs::FileType::is_file) && is_attached(&path) {
                found.push(match both_ends(&path) {
                    Ok(text) => Attachment { name: name(&path), text },
                    Err(error) => unreadable(name(&path), &error),
                });
            }
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

/// Stands for what could not be read.
fn unreadable(name: String, error: &io::Error) -> Attachment {
    Attachment { name, text: format!("[cannot be read: {error}]\n") }
}

fn is_attached(path: &Path) -> bool {
    let known = path
        .extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| ATTACHED.contains(&extension));
    known && path.file_name().is_none_or(|name| name != JUNIT)
}

/// A file's text; of a file too large to show, the first third and the last two thirds of what can be shown.
fn both_ends(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut bytes = Vec::new();
    if size <= LARGEST_ATTACHMENT {
        file.read_to_end(&mut bytes)?;
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    let head = LARGEST_ATTACHMENT / 3;
    let rest = LARGEST_ATTACHMENT - head;
    (&mut file).take(head).read_to_end(&mut bytes)?;
    let missing = size - LARGEST_ATTACHMENT;
    bytes.extend_from_slice(
        format!("\n\n[... {missing} bytes left out here; the file is whole ...]\n\n").as_bytes(),
    );
    file.seek(SeekFrom::End(-rest.cast_signed()))?;
    file.take(rest).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
