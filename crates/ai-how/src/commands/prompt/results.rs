//! The file that results are added to, a line when a run ends: whatever happens later, that line is there.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use appliance::results::{self, Missing, Row};
use system::file;

use crate::{exit, failure::Failure, output};

/// Larger than any results.
const LARGEST: u64 = 64 << 20;

/// A file of results, for nobody else as long as this lives.
pub(super) struct ResultsFile {
    path: PathBuf,
    file: File,
    rows: Vec<Row>,
}

impl ResultsFile {
    /// Opens the file, or makes it. A last line that was half written goes.
    ///
    /// # Errors
    /// It holds something else, somebody else adds to it, or it cannot be written.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let refuse =
            |why: String| Failure::new(exit::USAGE, format!("the results {}: {why}", path.display()));
        // Named pipes hold up whoever opens them.
        if fs::metadata(path).is_ok_and(|data| !data.is_file()) {
            return Err(refuse("it is no plain file; name another".to_owned()));
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            file::create_folder(folder)?;
        }
        let failed = || file::Error::new("open the results", path);
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed())?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(refuse(
                "another command adds to it just now; wait for that, or name another".to_owned(),
            ));
        }
        if file.metadata().map_err(failed())?.len() > LARGEST {
            return Err(refuse(format!("it has more than {} MiB; name another", LARGEST >> 20)));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed())?;
        let found = results::read(&bytes).map_err(|error| refuse(error.to_string()))?;
        let mend = |file: &mut File| -> io::Result<()> {
            if found.whole < bytes.len() {
                file.set_len(u64::try_from(found.whole).unwrap_or(u64::MAX))?;
            }
            match found.missing {
                Missing::Header => file.write_all(&results::header()?)?,
                Missing::LineEnd => file.write_all(b"\n")?,
                Missing::Nothing => {}
            }
            file.sync_data()
        };
        mend(&mut file).map_err(file::Error::new("write the results", path))?;
        if found.whole < bytes.len() {
            let path = path.display();
            output::words(format_args!("{path}: its last line was half written, and is gone\n"));
        }
        Ok(Self { path: path.to_owned(), file, rows: found.rows })
    }

    /// Its rows, those that were added too.
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a row, which is on the disk when this is over.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn add(&mut self, row: Row) -> Result<(), Failure> {
        let written = row.line().and_then(|line| {
            self.file.write_all(&line)?;
            self.file.sync_data()
        });
        written.map_err(file::Error::new("write the results", &self.path))?;
        self.rows.push(row);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(tokens: u32) -> Row {
        Row {
            timestamp: "now".to_owned(),
            threads: Some(1),
            batch_threads: Some(1),
            args: "-b,1".to_owned(),
            tokens,
            seconds: Some(1.0),
            tok_per_s: Some(1.0),
            ok: true,
        }
    }

    #[test]
    fn rows_are_added_to_what_is_there_and_a_torn_one_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/results.csv");
        let mut file = ResultsFile::open(&path).unwrap();
        file.add(row(1)).unwrap();
        let told = ResultsFile::open(&path).map(drop).unwrap_err();
        assert!(told.message().contains("another command adds to it"), "{}", told.message());
        drop(file);
        let torn = fs::read(&path).unwrap();
        fs::write(&path, [&torn[..], b"2026,4,4,\"-b,25"].concat()).unwrap();
        let mut file = ResultsFile::open(&path).unwrap();
        assert_eq!(file.rows(), [row(1)]);
        file.add(row(2)).unwrap();
        drop(file);
        assert_eq!(ResultsFile::open(&path).unwrap().rows(), [row(1), row(2)]);
    }

    #[test]
    fn what_holds_something_else_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.csv");
        for text in [
            "a,b\n1,2\n",
            "a poem",
            "\n",
            "timestamp,threads,batch_threads,args,tokens,seconds,tok_per_s,ok\n1\n",
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(ResultsFile::open(&path).map(drop).unwrap_err().code(), exit::USAGE, "{text}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(ResultsFile::open(folder.path()).map(drop).unwrap_err().code(), exit::USAGE);
    }
}
