//! The memory of a process that is stopped, as a file: how a running machine is frozen whose memory is a private mapping,
//! which nobody but its own process sees.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    ops::Range,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use crate::file::next_data;

/// The kernel's page, on every machine that ai-how runs on.
const PAGE: u64 = 4096;

/// What is looked at, read and written at a time.
const CHUNK: u64 = 1024 * PAGE;

/// An entry of `/proc/PID/pagemap`: the page is in memory, or in swap.
const PRESENT: u64 = 1 << 63 | 1 << 62;

/// Writes `size` bytes from `address` on of the process `pid` into a new file, readable by its owner alone. Pages of
/// zeros become holes. The process should not run meanwhile.
///
/// # Errors
/// The process is gone or not ours, the memory is not all there, or the disk is full.
pub fn dump(pid: i32, address: u64, size: u64, to: &Path) -> io::Result<()> {
    let process = Path::new("/proc").join(pid.to_string());
    let memory = File::open(process.join("mem"))?;
    let pagemap = File::open(process.join("pagemap"))?;
    let base = Base::of(&process, address)?;
    let out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    out.set_len(size)?;
    let mut buffer = vec![0; CHUNK as usize];
    for start in (0..size).step_by(CHUNK as usize) {
        let end = (start + CHUNK).min(size);
        let at = address + start;
        for run in wanted(&pagemap, at, end - start, &base)? {
            let part = &mut buffer[..(run.end - run.start) as usize];
            memory.read_exact_at(part, at + run.start)?;
            write_pages(&out, part, start + run.start)?;
        }
    }
    Ok(())
}

/// What pages hold that the process never touched.
enum Base {
    /// Zeros.
    Nothing,
    /// What the file has there; the mapping starts at this address and this place of the file.
    File { file: File, address: u64, offset: u64 },
    /// What a file has that cannot be looked at any more.
    Unknown,
}

impl Base {
    fn of(process: &Path, address: u64) -> io::Result<Self> {
        let maps = fs::read_to_string(process.join("maps"))?;
        for line in maps.lines() {
            // start-end permissions offset device inode path
            let mut fields = line.splitn(6, ' ');
            let hexadecimal = |text: &str| u64::from_str_radix(text, 16).ok();
            let Some((start, end)) = fields.next().and_then(|range| range.split_once('-')) else { continue };
            let (Some(start), Some(end)) = (hexadecimal(start), hexadecimal(end)) else { continue };
            if !(start..end).contains(&address) {
                continue;
            }
            let offset = fields.nth(1).and_then(hexadecimal).unwrap_or(0);
            let inode = fields.nth(1).unwrap_or("0");
            let path = fields.next().unwrap_or("").trim_start();
            return Ok(match File::open(path) {
                _ if inode == "0" => Self::Nothing,
                Ok(file) => Self::File { file, address: start, offset },
                Err(_) => Self::Unknown,
            });
        }
        Err(io::Error::new(ErrorKind::NotFound, format!("nothing is mapped at {address:#x}")))
    }

    /// The end of the hole of the file that the page at this address is in, as an address; nothing when it is in none.
    fn hole(&self, at: u64) -> Option<u64> {
        let Self::File { file, address, offset } = self else { return None };
        let place = at - address + offset;
        match next_data(file, place) {
            Ok(Some(data)) if data.start > place => Some(at + data.start - place),
            Ok(None) => Some(u64::MAX),
            _ => None,
        }
    }
}

/// The parts of `size` bytes from the address `at` on that may be something else than zeros, counted from `at`.
fn wanted(pagemap: &File, at: u64, size: u64, base: &Base) -> io::Result<Vec<Range<u64>>> {
    let pages = size / PAGE;
    let mut entries = vec![0; (pages * 8) as usize];
    pagemap.read_exact_at(&mut entries, at / PAGE * 8)?;
    let mut runs: Vec<Range<u64>> = Vec::new();
    let mut hole_until = 0;
    for (page, entry) in (0..pages).zip(entries.chunks_exact(8)) {
        let entry = entry.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        let start = page * PAGE;
        let zero = entry & PRESENT == 0
            && match base {
                Base::Nothing => true,
                Base::Unknown => false,
                Base::File { .. } => {
                    if at + start >= hole_until {
                        hole_until = base.hole(at + start).unwrap_or(0);
                    }
                    at + start < hole_until
                }
            };
        match runs.last_mut() {
            _ if zero => {}
            Some(run) if run.end == start => run.end += PAGE,
            _ => runs.push(start..start + PAGE),
        }
    }
    Ok(runs)
}

/// Writes what is not zero, in runs as long as possible.
fn write_pages(out: &File, content: &[u8], at: u64) -> io::Result<()> {
    const ZEROS: [u8; PAGE as usize] = [0; PAGE as usize];
    let mut from = None;
    let pages = content.chunks(PAGE as usize).enumerate();
    for (page, bytes) in pages {
        let start = page * PAGE as usize;
        match (bytes == &ZEROS[..bytes.len()], from) {
            (false, None) => from = Some(start),
            (true, Some(first)) => {
                out.write_all_at(&content[first..start], at + first as u64)?;
                from = None;
            }
            _ => {}
        }
    }
    from.map_or(Ok(()), |first| out.write_all_at(&content[first..], at + first as u64))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        os::unix::fs::MetadataExt,
        process::{Child, Command, Stdio},
    };

    use super::*;

    const SIZE: u64 = 16 * 1024 * 1024;

    /// Maps 16 MiB (of the file that it is given), writes bytes at places, tells the address, and stays.
    const OTHER: &str = r#"
import ctypes, mmap, sys
file, *places = sys.argv[1:]
if file:
    opened = open(file, "rb")
    memory = mmap.mmap(opened.fileno(), 16 << 20, access=mmap.ACCESS_COPY)
else:
    memory = mmap.mmap(-1, 16 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for place in places:
    at, value = map(int, place.split("="))
    memory[at] = value
print(ctypes.addressof(ctypes.c_char.from_buffer(memory)), flush=True)
sys.stdin.read()
"#;

    struct Other(Child, u64);

    impl Other {
        fn new(file: &str, places: &[&str]) -> Self {
            let mut command = Command::new("python3");
            command.args(["-c", OTHER, file]).args(places).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
            Self(child, line.trim().parse().unwrap())
        }

        /// What is dumped of it, and how much of the disk that takes.
        fn dump(&self) -> (Vec<u8>, u64) {
            let folder = tempfile::tempdir().unwrap();
            let to = folder.path().join("memory");
            dump(i32::try_from(self.0.id()).unwrap(), self.1, SIZE, &to).unwrap();
            (fs::read(&to).unwrap(), fs::metadata(&to).unwrap().blocks() * 512)
        }
    }

    impl Drop for Other {
        fn drop(&mut self) {
            drop(self.0.stdin.take());
            self.0.wait().unwrap();
        }
    }

    fn bytes(dumped: &[u8]) -> Vec<(usize, u8)> {
        dumped.iter().copied().enumerate().filter(|(_, byte)| *byte != 0).collect()
    }

    #[test]
    fn anonymous_memory_is_dumped_without_what_was_never_touched() {
        let (dumped, taken) = Other::new("", &["20480=7", "16777215=1"]).dump();
        assert_eq!(bytes(&dumped), [(20480, 7), (16777215, 1)]);
        assert!(taken < 256 * 1024, "{taken}");
    }

    #[test]
    fn private_memory_over_a_file_is_dumped_with_what_the_file_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("base");
        let file = File::create_new(&path).unwrap();
        file.set_len(SIZE).unwrap();
        file.write_all_at(&[1], 0).unwrap();
        file.write_all_at(&[2], 6 * 1024 * 1024).unwrap();
        let other = Other::new(path.to_str().unwrap(), &["4096=9", "10485760=8"]);
        let (dumped, taken) = other.dump();
        assert_eq!(bytes(&dumped), [(0, 1), (4096, 9), (6 * 1024 * 1024, 2), (10485760, 8)]);
        assert!(taken < 256 * 1024, "{taken}");
        assert_eq!(fs::read(&path).unwrap()[4096], 0, "the file itself is as it was");

        // A file that is gone is still read through the process.
        fs::remove_file(&path).unwrap();
        assert_eq!(other.dump().0, dumped);
    }

    #[test]
    fn nothing_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(dump(pid, 0, 4096, &folder.path().join("memory")).is_err());
    }
}
