use super::*;
use crate::write::{File, Value};

/// A tensor of 4 × 2 weights, F32.
const SHAPE: &[u64] = &[4, 2];
const DATA: &[u8] = &[0; 32];

fn read(bytes: &[u8]) -> Result<Model, Error> {
    Model::read(bytes, bytes.len() as u64)
}

fn refusal(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

/// A file with these entries and one tensor.
fn with(entries: &[(&str, Value<'_>)]) -> Vec<u8> {
    let mut file = File::default();
    entries.iter().for_each(|(key, value)| file.entry(key, *value));
    file.tensor("t", SHAPE, 0, DATA);
    file.bytes()
}

/// A file with these tensors.
fn of(tensors: &[(&str, &[u64], u32, usize)]) -> Vec<u8> {
    let mut file = File::default();
    file.entry("general.architecture", Value::Text("llama"));
    for (name, shape, kind, size) in tensors {
        file.tensor(name, shape, *kind, &vec![0; *size]);
    }
    file.bytes()
}

/// What begins a file: version, tensors, entries.
fn begin(version: u32, tensors: u64, entries: u64) -> Vec<u8> {
    [&b"GGUF"[..], &version.to_le_bytes(), &tensors.to_le_bytes(), &entries.to_le_bytes()].concat()
}

/// The same file with other bytes in the place of the first of these.
fn replaced(mut bytes: Vec<u8>, old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = bytes.windows(old.len()).position(|window| window == old).unwrap();
    bytes[at..at + old.len()].copy_from_slice(new);
    bytes
}

fn llama() -> Vec<u8> {
    with(&[("general.architecture", Value::Text("llama"))])
}

#[test]
fn a_small_file_is_read() {
    let expected = Model {
        version: 3,
        architecture: "llama".to_owned(),
        name: None,
        quantization: "F32".to_owned(),
        parameters: 8,
        context_length: None,
        tensors: 1,
        data_bytes: 32,
    };
    assert_eq!(read(&llama()).unwrap(), expected);
    let mut second = llama();
    second[4] = 2;
    assert_eq!(read(&second).unwrap(), Model { version: 2, ..expected });
}

#[test]
fn what_the_metadata_say_is_told() {
    let model = read(&with(&[
        ("qwen3.context_length", Value::U32(40_960)),
        ("llama.context_length", Value::U32(1)),
        ("qwen3.vision.context_length", Value::F32(0.5)),
        ("general.name", Value::Text("A\x1b[31m name\nof two lines")),
        ("general.file_type", Value::U32(15 + 1024)),
        ("general.architecture", Value::Text("qwen3")),
        ("tokenizer.ggml.tokens", Value::Texts(&["a".to_owned(), String::new(), "ccc".to_owned()])),
        ("tokenizer.ggml.scores", Value::F32s(&[0.0, 1.0])),
        ("tokenizer.ggml.token_type", Value::I32s(&[])),
        ("general.alignment", Value::U32(32)),
        ("split.count", Value::U32(1)),
        ("general.type", Value::Text("model")),
        ("some", Value::Bool(true)),
        ("other", Value::Text("text")),
    ]))
    .unwrap();
    assert_eq!(model.architecture, "qwen3");
    assert_eq!(model.context_length, Some(40_960));
    assert_eq!(model.quantization, "Q4_K_M");
    assert_eq!(model.name.unwrap(), "A\u{fffd}[31m name\u{fffd}of two lines");
}

#[test]
fn the_quantization_is_that_of_most_weights_when_the_file_does_not_say() {
    let tensors: &[(&str, &[u64], u32, usize)] =
        &[("a", &[8], 0, 32), ("b", &[8], 0, 32), ("c", &[256, 2], 12, 288), ("d", &[32], 8, 34)];
    let model = read(&of(tensors)).unwrap();
    assert_eq!((model.quantization.as_str(), model.parameters), ("Q4_K", 8 + 8 + 512 + 32));
    // 34 bytes are the last ones: nothing needs to follow.
    assert_eq!(model.data_bytes, 32 + 32 + 288 + 34);
    let unknown =
        with(&[("general.architecture", Value::Text("llama")), ("general.file_type", Value::U32(999))]);
    assert_eq!(read(&unknown).unwrap().quantization, "F32");
}

#[test]
fn types_that_are_not_known_are_not_checked() {
    let bytes = of(&[("a", &[5, 7], 999, 64), ("b", &[8], 0, 32)]);
    let model = read(&bytes).unwrap();
    assert_eq!((model.quantization.as_str(), model.parameters), ("type 999", 43));
    let cut = &bytes[..bytes.len() - 1];
    assert!(matches!(read(cut), Err(Error::DataEnds { .. })));
    assert!(
        refusal(&of(&[("a", &[1], 0x1_0000, 32)]))
            .contains("the tensor `a` has the type 65536, which is none")
    );
}

#[test]
fn another_alignment_is_kept_to() {
    let mut bytes =
        with(&[("general.architecture", Value::Text("llama")), ("general.alignment", Value::U32(4096))]);
    assert!(matches!(read(&bytes), Err(Error::DataEnds { needed: 4128, .. })));
    bytes.resize(4127, 0);
    assert!(matches!(read(&bytes), Err(Error::DataEnds { needed: 4128, found: 4127 })));
    bytes.push(0);
    assert!(read(&bytes).is_ok());
}

#[test]
fn what_is_no_gguf_file_is_named() {
    let rows: &[(&[u8], &str)] = &[
        (b"", "the file is empty; copy or download it again"),
        (b"GG", "24 bytes, and it has 2."),
        (b"GGUF\x03\0\0\0", "24 bytes, and it has 8."),
        (b"hello", "it begins with `hello` and not with `GGUF`. Check that this is the right file"),
        (b"\x1b[2J\0\xff..", "it begins with `\\x1b[2J\\x00\\xff..` and"),
        (
            b"PK\x03\x04..........",
            "it begins with `PK\\x03\\x04....` and not with `GGUF`. This is a ZIP archive",
        ),
        (b"\x80\x02}q\x00.", "a pickle, in which PyTorch"),
        (b"\x40\x9c\0\0\0\0\0\0{\"__metadata__\"", "the format safetensors"),
        (b"tjgg\x03\0\0\0", "before August 2023"),
        (b"lmgg", "before August 2023"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "run `git lfs pull`"),
        (b"\n<!DOCTYPE html>\n<html class=\"\">", "/resolve/"),
        (b"<HTML>", "a web page"),
        (b"\x1f\x8b\x08\0\0\0", "unpack it first"),
        (b"\x28\xb5\x2f\xfd\0\0", "unpack it first"),
        (b"\xfd7zXZ\0", "unpack it first"),
    ];
    for (bytes, expected) in rows {
        let said = refusal(bytes);
        assert!(said.contains(expected), "{}: {said}", bytes.escape_ascii());
    }
}

#[test]
fn versions_that_llama_cpp_does_not_read_are_refused() {
    for found in [0, 1, 4, 0xffff_ffff] {
        assert!(matches!(read(&begin(found, 1, 1)), Err(Error::Version { found: told }) if told == found));
    }
    for version in [1_u32, 2, 3] {
        assert!(matches!(read(&begin(version.swap_bytes(), 1, 1)), Err(Error::BigEndian)));
    }
}

#[test]
fn a_header_alone_is_no_model() {
    assert!(matches!(read(&begin(3, 0, 0)), Err(Error::NoTensors)));
    let mut vocabulary = File::default();
    vocabulary.entry("general.architecture", Value::Text("llama"));
    assert!(matches!(read(&vocabulary.bytes()), Err(Error::NoTensors)));
    assert!(matches!(read(&with(&[])), Err(Error::NoArchitecture)));
    assert!(matches!(read(&with(&[("general.architecture", Value::Text(""))])), Err(Error::NoArchitecture)));
}

#[test]
fn what_belongs_to_a_model_is_none() {
    let rows = [("adapter", "llama", "LoRA"), ("imatrix", "", "importance"), ("mmproj", "clip", "projector")];
    for (kind, architecture, expected) in rows {
        let said = refusal(&with(&[
            ("general.type", Value::Text(kind)),
            ("general.architecture", Value::Text(architecture)),
        ]));
        assert!(said.contains(expected), "{said}");
    }
    assert!(refusal(&with(&[("general.architecture", Value::Text("clip"))])).contains("projector"));
    assert!(matches!(read(&with(&[("split.count", Value::U32(3))])), Err(Error::Part { parts: 3 })));
}

#[test]
fn a_file_that_was_cut_short_says_what_is_missing() {
    let whole = llama();
    for end in 24..whole.len() {
        match read(&whole[..end]).unwrap_err() {
            Error::HeaderEnds { found } => assert_eq!(found, end as u64),
            Error::DataEnds { needed, found } => {
                assert_eq!((needed, found), (whole.len() as u64, end as u64));
            }
            other => panic!("{end}: {other}"),
        }
    }
    // More behind it does no harm.
    assert!(read(&[whole, vec![0; 100]].concat()).is_ok());
}

#[test]
fn damage_is_found() {
    let long = 1_u64 << 56;
    let architecture = ("general.architecture", Value::Text("llama"));
    let key = |bytes: &[u8]| [&begin(3, 1, 1)[..], bytes].concat();
    let rows: &[(Vec<u8>, &str)] = &[
        (begin(3, 1, long), "entries of metadata"),
        (replaced(llama(), &begin(3, 1, 1), &begin(3, long, 1)), "72057594037927936 tensors"),
        (
            key(&long.to_le_bytes()),
            "the file is damaged at byte 32: the name of a key would be 72057594037927936 bytes",
        ),
        (key(b"\x02\0\0\0\0\0\0\0\xff\xfe"), "the name of a key is no UTF-8"),
        (key(b"\x01\0\0\0\0\0\0\0k\x0d\0\0\0"), "`k` has the type 13"),
        (key(b"\x01\0\0\0\0\0\0\0\x1b\x0d\0\0\0"), "`\u{fffd}` has the type 13"),
        (key(b"\x01\0\0\0\0\0\0\0k\x09\0\0\0\x09\0\0\0\x01\0\0\0\0\0\0\0"), "a list of lists"),
        (key(b"\x01\0\0\0\0\0\0\0k\x09\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"), "items"),
        (key(b"\x01\0\0\0\0\0\0\0k\x08\0\0\0\0\0\0\0\0\0\0\x01"), "`k` would be"),
        (with(&[("general.architecture", Value::U32(1))]), "`general.architecture` is no text"),
        (with(&[("general.file_type", Value::Text("x"))]), "no whole number"),
        (with(&[("general.alignment", Value::U32(0))]), "aligned to 0"),
        (with(&[("general.alignment", Value::U32(33))]), "aligned to 33"),
        (with(&[architecture, architecture]), "`general.architecture` is there twice"),
        (replaced(llama(), b"llama", b"ll\xffma"), "`general.architecture` is no UTF-8"),
        (of(&[("a", &[8], 0, 32), ("a", &[8], 0, 32)]), "the tensor `a` is there twice"),
        (of(&[("a", &[2, 2, 2, 2, 2], 0, 128)]), "5 dimensions"),
        (of(&[("a", &[u64::MAX], 0, 32)]), "18446744073709551615 long"),
        (of(&[("a", &[0, u64::MAX], 0, 32)]), "18446744073709551615 long"),
        (of(&[("a", &[1 << 32, 1 << 32], 0, 32)]), "long in a dimension"),
        (of(&[("a", &[1 << 62], 0, 32)]), "no end"),
        (of(&[("a", &[255], 12, 144)]), "rows of 255, which Q4_K cannot hold"),
        // The second one begins where the first one goes on.
        (of(&[("a", &[16], 0, 32), ("b", &[8], 0, 32)]), "the tensor `b` would begin at byte 32"),
    ];
    for (bytes, expected) in rows {
        let error = read(bytes).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{expected}: {error}");
        assert!(error.to_string().contains(expected), "{expected}: {error}");
    }
}

#[test]
fn offsets_cannot_overflow() {
    let at_the_end = |begin: u64| {
        // Behind a type that is not known a tensor may begin anywhere.
        let bytes = of(&[("a", &[1], 999, 64), ("b", &[8], 0, 32)]);
        replaced(bytes, &[0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0], &[&[0; 4][..], &begin.to_le_bytes()].concat())
    };
    assert!(read(&at_the_end(64)).is_ok());
    assert!(refusal(&at_the_end(65)).contains("would begin at byte 65"));
    assert!(refusal(&at_the_end(u64::MAX - 31)).contains("no end"));
    assert!(refusal(&at_the_end(u64::MAX - 95)).contains("no end"));
}

#[test]
fn a_disk_that_fails_is_told() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("broken"))
        }
    }
    let error = Model::read(Broken, 100).unwrap_err();
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "broken");
    let later = Model::read((&begin(3, 1, 1)[..]).chain(Broken), 1000);
    assert!(matches!(later, Err(Error::Unreadable(_))));
}

#[test]
fn no_memory_is_taken_for_what_is_only_claimed() {
    // Were it, some of these would take 64 GiB.
    let claims: &[&[u8]] = &[
        &[],
        b"\xff\xff\0\0\0\0\0\0k",
        b"\x01\0\0\0\0\0\0\0k\x08\0\0\0\0\0\0\x40\0\0\0\0",
        b"\x01\0\0\0\0\0\0\0k\x09\0\0\0\x08\0\0\0\0\0\0\x40\0\0\0\0",
        b"\x01\0\0\0\0\0\0\0k\x09\0\0\0\x0a\0\0\0\0\0\0\x40\0\0\0\0",
    ];
    for claim in claims {
        let bytes = [&begin(3, 1 << 20, 1 << 16)[..], claim].concat();
        let error = Model::read(&bytes[..], u64::MAX).unwrap_err();
        assert!(matches!(error, Error::HeaderEnds { found } if found == bytes.len() as u64), "{error}");
    }
}
