//! The bytes of a file in their order, with their place. Nothing is believed to be there before it was read.

use std::io::{self, Read};

use crate::Error;

/// Longest name of a key or tensor, and longest text that is kept, bytes. It is what the format allows for keys.
const LONGEST_KEPT: u64 = 0xffff;

/// Longest text that llama.cpp reads, bytes.
const LONGEST: u64 = 1 << 30;

/// A file that is read from its beginning.
#[derive(Debug)]
pub(crate) struct Source<R> {
    input: R,
    at: u64,
    size: u64,
}

impl<R: Read> Source<R> {
    /// `size` is that of the whole file. No byte beyond is read.
    pub(crate) fn new(input: R, size: u64) -> Self {
        Self { input, at: 0, size }
    }

    /// The place of the next byte.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Says that what was read before the next byte cannot be.
    pub(crate) fn damaged(&self, what: impl Into<String>) -> Error {
        Error::Damaged { at: self.at, what: what.into() }
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// As many bytes as there is room for.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        let length = bytes.len() as u64;
        self.must_have(length)?;
        self.input.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::HeaderEnds { found: self.at },
            _ => Error::Unreadable(error),
        })?;
        self.at += length;
        Ok(())
    }

    /// A text behind its length. `what` names it should it be damaged.
    pub(crate) fn text(&mut self, what: &str) -> Result<String, Error> {
        let length = self.length(what, LONGEST_KEPT)?;
        self.must_have(length)?;
        // It grows as bytes come, so a length alone takes no memory.
        let mut bytes = Vec::new();
        let read = (&mut self.input).take(length).read_to_end(&mut bytes).map_err(Error::Unreadable)? as u64;
        if read < length {
            return Err(Error::HeaderEnds { found: self.at + read });
        }
        let text = String::from_utf8(bytes).map_err(|_| self.damaged(format!("{what} is no UTF-8")))?;
        self.at += length;
        Ok(text)
    }

    /// Goes behind a text.
    pub(crate) fn skip_text(&mut self, what: &str) -> Result<(), Error> {
        let length = self.length(what, LONGEST)?;
        self.skip(length)
    }

    /// Goes behind so many bytes.
    pub(crate) fn skip(&mut self, length: u64) -> Result<(), Error> {
        self.must_have(length)?;
        let skipped =
            io::copy(&mut (&mut self.input).take(length), &mut io::sink()).map_err(Error::Unreadable)?;
        self.at += skipped;
        if skipped < length { Err(Error::HeaderEnds { found: self.at }) } else { Ok(()) }
    }

    fn length(&mut self, what: &str, most: u64) -> Result<u64, Error> {
        let length = self.u64()?;
        if length > most {
            return Err(self.damaged(format!("{what} would be {length} bytes long")));
        }
        Ok(length)
    }

    /// Knows without reading whether the file can hold so many bytes more.
    fn must_have(&self, length: u64) -> Result<(), Error> {
        if length > self.size.saturating_sub(self.at) {
            return Err(Error::HeaderEnds { found: self.size });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time and then fails.
    struct Failing(usize);

    impl Read for Failing {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            let Some(left) = self.0.checked_sub(1) else { return Err(io::Error::other("broken disk")) };
            self.0 = left;
            bytes[0] = 1;
            Ok(1)
        }
    }

    #[test]
    fn places_are_counted() {
        let mut source = Source::new(&b"\x01\0\0\0\x03\0\0\0\0\0\0\0abcdefg"[..], 19);
        assert_eq!(source.u32().unwrap(), 1);
        assert_eq!((source.text("it").unwrap().as_str(), source.at()), ("abc", 15));
        source.skip(4).unwrap();
        assert!(matches!(source.skip(1), Err(Error::HeaderEnds { found: 19 })));
    }

    #[test]
    fn a_file_that_is_shorter_than_its_size_is_cut_short() {
        let source = || Source::new(&b"\x05\0\0\0\0\0\0\0abc"[..], 1000);
        assert!(matches!(source().text("it"), Err(Error::HeaderEnds { found: 11 })));
        assert!(matches!(source().skip(12), Err(Error::HeaderEnds { found: 11 })));
        assert!(matches!(source().skip_text("it"), Err(Error::HeaderEnds { found: 11 })));
        let mut late = source();
        late.skip(8).unwrap();
        assert!(matches!(late.u32(), Err(Error::HeaderEnds { .. })));
    }

    #[test]
    fn a_failing_disk_is_no_damage() {
        assert!(matches!(Source::new(Failing(2), 100).u32(), Err(Error::Unreadable(_))));
        assert!(matches!(Source::new(Failing(2), 100).skip(4), Err(Error::Unreadable(_))));
    }
}
