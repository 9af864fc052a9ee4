//! Files that no one means well: they are refused with a word, never with a panic, and never slowly.

#![expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use ai_how_gguf::{Error, Model, tiny};
use proptest::prelude::*;

/// Nothing of a megabyte may take longer, in a debug build on a busy machine either.
const LONGEST: Duration = Duration::from_secs(2);

/// Where the weights of the tiny model begin, or a little later.
const HEADER: usize = 42_000;

static TINY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut bytes = Vec::new();
    // A vector takes all that is written, and a test that finds less of it fails.
    let _ = tiny::write(&mut bytes, 1);
    bytes
});

/// Reads the file; checks what must hold for any.
fn survives(bytes: &[u8]) -> Result<Model, Error> {
    let begin = Instant::now();
    let read = Model::read(bytes, bytes.len() as u64);
    assert!(begin.elapsed() < LONGEST, "{:?}", begin.elapsed());
    let said = match &read {
        Ok(model) => {
            assert!(model.data_bytes <= bytes.len() as u64 && model.tensors > 0);
            format!(
                "{}{}{}",
                model.architecture,
                model.quantization,
                model.name.as_deref().unwrap_or_default()
            )
        }
        Err(error) => error.to_string(),
    };
    assert!(!said.contains(char::is_control), "{said:?}");
    read
}

/// A number that is wrong in many places.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0_u64..14,
        1 => (0_u32..64).prop_map(|bit| 1 << bit),
        1 => (0_u32..64).prop_map(|bit| (1 << bit) - 1),
        1 => any::<u64>(),
    ]
}

/// What a header is made of.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let text = |text: String| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let known = prop::sample::select(vec![
        "general.architecture",
        "general.name",
        "general.type",
        "general.file_type",
        "general.alignment",
        "split.count",
        "llama.context_length",
        "tokenizer.ggml.tokens",
    ]);
    prop_oneof![
        3 => number().prop_map(|number| number.to_le_bytes().to_vec()),
        3 => number().prop_map(|number| (number as u32).to_le_bytes().to_vec()),
        2 => known.prop_map(move |name| text(name.to_owned())),
        1 => ".{0,8}".prop_map(text),
        1 => prop::collection::vec(any::<u8>(), 0..16),
    ]
}

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(survives(&bytes).is_err());
    }

    #[test]
    fn any_header(
        version in 2_u8..=3,
        tensors in number(),
        entries in number(),
        pieces in prop::collection::vec(piece(), 0..60),
    ) {
        let begin = [b"GGUF", &[version, 0, 0, 0][..], &tensors.to_le_bytes(), &entries.to_le_bytes()].concat();
        let _ = survives(&[begin, pieces.concat()].concat());
    }

    #[test]
    fn one_wrong_byte(at in 0..HEADER, byte: u8) {
        let mut bytes = TINY.clone();
        bytes[at] = byte;
        let _ = survives(&bytes);
    }

    #[test]
    fn one_wrong_byte_and_an_end(at in 0..HEADER, byte: u8, end in 0..HEADER) {
        let mut bytes = TINY[..end.max(at + 1)].to_vec();
        bytes[at] = byte;
        let _ = survives(&bytes);
    }

    #[test]
    fn any_end(end in 0..TINY.len()) {
        refused_as_cut_short(end);
    }

    #[test]
    fn any_end_in_the_header(end in 0..HEADER) {
        refused_as_cut_short(end);
    }
}

fn refused_as_cut_short(end: usize) {
    let (size, whole) = (end as u64, TINY.len() as u64);
    let read = survives(&TINY[..end]);
    let is_right = match &read {
        Err(Error::Empty) => end == 0,
        Err(Error::Short { found }) => *found == size && end < 24,
        Err(Error::HeaderEnds { found }) => *found == size && end < HEADER,
        Err(Error::DataEnds { needed, found }) => (*needed, *found) == (whole, size),
        _ => false,
    };
    assert!(is_right, "{end}: {read:?}");
}

#[test]
fn the_first_and_the_last_ends() {
    (0..600).chain(TINY.len() - 200..TINY.len()).for_each(refused_as_cut_short);
}

#[test]
fn every_bit_of_the_first_entries_and_tensors() {
    let last = (0..TINY.len()).rev().find(|at| TINY[*at..].starts_with(b"output.weight")).unwrap();
    for at in (0..300).chain(last - 200..last + 60) {
        for bit in 0..8 {
            let mut bytes = TINY.clone();
            bytes[at] ^= 1 << bit;
            let _ = survives(&bytes);
        }
    }
}

#[test]
fn many_small_things_are_walked_over_quickly() {
    let begin = |entries: u64| [b"GGUF\x03\0\0\0", &1_u64.to_le_bytes()[..], &entries.to_le_bytes()].concat();
    // A list of empty texts.
    let mut texts = begin(1);
    texts.extend(b"\x01\0\0\0\0\0\0\0k\x09\0\0\0\x08\0\0\0\0\0\x02\0\0\0\0\0");
    texts.extend(std::iter::repeat_n(0, 8 << 17));
    assert!(matches!(survives(&texts), Err(Error::NoArchitecture)));
    // Keys that differ.
    let mut keys = begin(50_000);
    for number in 0..50_000_u32 {
        keys.extend(4_u64.to_le_bytes());
        keys.extend(format!("{number:04x}").as_bytes().iter().take(4));
        keys.extend([0; 5]);
    }
    let _ = survives(&keys);
    // Tensors without weights.
    let mut tensors = [b"GGUF\x03\0\0\0", &40_000_u64.to_le_bytes()[..], &1_u64.to_le_bytes()].concat();
    tensors.extend(b"\x14\0\0\0\0\0\0\0general.architecture\x08\0\0\0\x01\0\0\0\0\0\0\0x");
    for number in 0..40_000_u32 {
        tensors.extend(5_u64.to_le_bytes());
        tensors.extend(format!("{number:05}").as_bytes());
        tensors.extend(1_u32.to_le_bytes());
        tensors.extend([0; 8 + 4 + 8]);
    }
    tensors.extend([0; 64]);
    assert_eq!(survives(&tensors).unwrap().parameters, 0);
}
