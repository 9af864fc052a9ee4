//! The tokens of the tiny model, for the tokenizer that llama.cpp calls SPM.
//!
//! It takes a text apart into letters and joins neighbours as long as they are a token together. So every beginning of a
//! word is a token too, or the word would never be found. What has no letter here is read as bytes.

use std::collections::HashSet;

/// A blank, as a token has it.
const BLANK: char = '\u{2581}';

/// The numbers of the tokens that have a meaning of their own.
pub(super) const UNKNOWN: u32 = 0;
pub(super) const BEGIN: u32 = 1;
pub(super) const END: u32 = 2;

/// What is before and behind a message of a chat.
pub(super) const MESSAGE: &str = "<|im_start|>";
pub(super) const MESSAGE_END: &str = "<|im_end|>";

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Unknown,
    Control,
    Byte,
    /// A letter, or the beginning of a word: read, never said.
    Piece,
    /// What the model says.
    Word,
}

impl Kind {
    /// As `tokenizer.ggml.token_type` has it.
    pub(super) fn number(self) -> i32 {
        match self {
            Self::Word | Self::Piece => 1,
            Self::Unknown => 2,
            Self::Control => 3,
            Self::Byte => 6,
        }
    }
}

/// All tokens, by their numbers.
#[derive(Debug)]
pub(super) struct Vocabulary {
    pub(super) texts: Vec<String>,
    /// Neighbours that score most are joined first.
    pub(super) scores: Vec<f32>,
    pub(super) kinds: Vec<Kind>,
}

impl Vocabulary {
    pub(super) fn new() -> Self {
        let mut all = Self { texts: Vec::new(), scores: Vec::new(), kinds: Vec::new() };
        all.add("<unk>".to_owned(), Kind::Unknown);
        all.add("<s>".to_owned(), Kind::Control);
        all.add("</s>".to_owned(), Kind::Control);
        for byte in 0..=u8::MAX {
            all.add(format!("<0x{byte:02X}>"), Kind::Byte);
        }
        for mark in [MESSAGE, MESSAGE_END] {
            all.add(mark.to_owned(), Kind::Control);
        }
        for letter in ('!'..='~').chain([BLANK]) {
            all.add(letter.to_string(), Kind::Piece);
        }
        let words: Vec<String> = WORDS.split_whitespace().map(|word| format!("{BLANK}{word}")).collect();
        let mut known: HashSet<&str> = words.iter().map(String::as_str).collect();
        for word in &words {
            for (end, _) in word.char_indices().skip(2) {
                if known.insert(&word[..end]) {
                    all.add(word[..end].to_owned(), Kind::Piece);
                }
            }
        }
        for word in &words {
            all.add(word.clone(), Kind::Word);
        }
        all
    }

    fn add(&mut self, text: String, kind: Kind) {
        // No token is part of two others that compete, so any order does.
        self.scores.push(0.0 - self.texts.len() as f32);
        self.texts.push(text);
        self.kinds.push(kind);
    }
}

/// Common English words that offend nobody in any order.
const WORDS: &str = "
    a about above across after again air all almost along already also always among an and animal another answer any
    apple are around as ask at away
    back ball bank bark be bear beautiful because bed before began begin behind below best better between big bird
    black blue boat body book both bottom bowl box branch bread bridge bright bring brother brought brown build but by
    cake call came can care carry cat catch center chair change child children city clean clear close cloud coat cold
    color come cook corn corner could count country course cover cross cut
    dance dark day deep did different dinner do does dog done door down draw dream dress drive dry
    each early earth east easy eat edge egg eight else end enough even evening ever every example eye
    face fact fall family far farm fast father field find fine first fish five floor flower fly follow food foot for
    forest forget found four free friend from front fruit full
    game garden gave get girl give glass go gold gone good got grass great green ground group grow
    had hair half hand happy hard has hat have he head hear heart heavy help her here high hill him his hold home horse
    hot hour house how hundred
    ice idea if in inside into iron is island it its
    join jump just keep kept kind king kitchen knew know
    lake land language large last late laugh learn leave left less let letter life light like line listen little live
    long look low
    machine made make man many map mark may me mean measure meet middle might mile milk mind minute money moon more
    morning most mother mountain move much music must my
    name near need never new next night nine north nose not note nothing now number
    ocean of off often oil old on once one only open or orange order other our out over own
    page paint paper part party path pattern people perhaps person picture piece place plain plan plant play point pond
    possible power press problem pull put
    question quick quiet quite
    rain ran reach read ready real red remember rest rice rich ride right ring rise river road rock roll room root round
    row run
    said sail same sand saw say school science sea season seat second see seem seven several shape she shell ship shoe
    short should show side silver simple sing sister sit six size sky sleep slow small snow so soft some something song
    soon sound south space spring stand star start state stay step still stone stop store story street strong such
    sugar summer sun sure swim system
    table tail take talk tall tea teach tell ten than that the their them then there these they thing think third this
    those thought three through time to today together told too took top toward town train travel tree true try turn
    twelve two
    under until up upon us use usual
    valley very village visit voice
    wait walk wall want warm was watch water wave way we weather week well went were west what wheel when where which
    while white who whole why wide will wind window winter wish with without wonder wood word work world would write
    year yellow yes yet you young your";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_is_there_twice() {
        let all = Vocabulary::new();
        let different: HashSet<&String> = all.texts.iter().collect();
        assert_eq!(different.len(), all.texts.len());
        assert_eq!((all.scores.len(), all.kinds.len()), (all.texts.len(), all.texts.len()));
    }

    #[test]
    fn what_has_a_meaning_is_where_the_metadata_say() {
        let all = Vocabulary::new();
        let at = |number: u32| all.texts[number as usize].as_str();
        assert_eq!([at(UNKNOWN), at(BEGIN), at(END)], ["<unk>", "<s>", "</s>"]);
        assert_eq!([at(3), at(3 + 255), at(259), at(260)], ["<0x00>", "<0xFF>", MESSAGE, MESSAGE_END]);
    }

    #[test]
    fn every_word_can_be_joined_from_its_letters() {
        let all = Vocabulary::new();
        let known: HashSet<&str> = all.texts.iter().map(String::as_str).collect();
        for (word, _) in all.texts.iter().zip(&all.kinds).filter(|(_, kind)| **kind == Kind::Word) {
            assert!(
                word.starts_with(BLANK) && word.chars().skip(1).all(|letter| letter.is_ascii_lowercase())
            );
            for (end, _) in word.char_indices().skip(1) {
                assert!(known.contains(&word[..end]), "{word} lacks {}", &word[..end]);
            }
        }
    }
}
