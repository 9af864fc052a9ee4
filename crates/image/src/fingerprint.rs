//! What an image is named by: the hash of what goes into it.

use sha2::{Digest, Sha256};

/// Takes in what something is made of, piece by piece.
#[derive(Debug, Default)]
pub struct Fingerprint(Sha256);

impl Fingerprint {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a piece. Neither what it is nor its content can be taken for a part of its neighbour.
    pub fn add(&mut self, what: &str, content: &[u8]) {
        for bytes in [what.as_bytes(), content] {
            self.0.update(bytes.len().to_le_bytes());
            self.0.update(bytes);
        }
    }

    /// Its first 16 hexadecimal digits, which are short enough for a name and long enough not to meet another.
    pub fn digits(self) -> String {
        self.0.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pieces: &[(&str, &str)]) -> String {
        let mut fingerprint = Fingerprint::new();
        pieces.iter().for_each(|(what, content)| fingerprint.add(what, content.as_bytes()));
        fingerprint.digits()
    }

    #[test]
    fn pieces_do_not_run_into_each_other() {
        let all = [
            of(&[("a", "bc")]),
            of(&[("ab", "c")]),
            of(&[("a", "b"), ("", "c")]),
            of(&[("a", "b"), ("c", "")]),
        ];
        assert!(all.iter().all(|digits| digits.len() == 16));
        assert!(all.iter().enumerate().all(|(place, digits)| !all[..place].contains(digits)), "{all:?}");
    }
}
