//! A language model small enough to be made when it is needed: it says words at random, and llama.cpp loads and
//! runs it as it does a large one.
//!
//! Some 300 000 weights in two layers of the architecture `llama`, F16. The same seed gives the same bytes everywhere:
//! weights come from whole numbers and one multiplication, never from a function of the platform's.

mod random;
mod vocabulary;

use std::io::{self, Write};

use crate::write::{File, Value};
use random::Random;
use vocabulary::{Kind, Vocabulary};

const LAYERS: usize = 2;
const EMBEDDING: usize = 64;
const HEADS: usize = 4;
/// Fewer than heads: the models that people use share keys and values among heads too.
const KEY_VALUE_HEADS: usize = 2;
const HEAD: usize = EMBEDDING / HEADS;
const FEED_FORWARD: usize = 128;
const CONTEXT: u32 = 2048;

/// `general.file_type` for F16 with vectors as F32.
const MOSTLY_F16: u32 = 1;
/// The types of tensors, by their numbers.
const F32: u32 = 0;
const F16: u32 = 1;

/// What the first place of each embedding holds. No layer sees or changes it, so it is still positive at the output,
/// whatever was read before.
const ANCHOR: f32 = 8.0;
/// What the output makes of that place for a token that shall not be said: the place holds some 3 after normalisation, so
/// the token's logit is near -60, and those of words are around 0. No sampler takes it, at no temperature that is in use.
const NEVER: f32 = -20.0;
/// The limits of the weights. With larger ones it says the same few words again and again.
const EMBEDDED: f32 = 3.0;
const INNER: f32 = 0.2;
const SAID: f32 = 0.3;

/// ChatML, in the words in which it is most often written: programs of llama.cpp that read no templates know it by them.
const CHAT_TEMPLATE: &str = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] \
                             + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}\
                             {{ '<|im_start|>assistant\n' }}{% endif %}";

/// Writes the model that this seed gives.
///
/// Any text can be its input. It answers with English words and never ends by itself, so asked for 64 tokens it gives 64.
///
/// # Errors
/// The output takes no more bytes.
pub fn write(output: &mut impl Write, seed: u64) -> io::Result<()> {
    output.write_all(&model(seed))
}

fn model(seed: u64) -> Vec<u8> {
    let vocabulary = Vocabulary::new();
    let mut file = File::default();
    describe(&mut file, &vocabulary);
    weigh(&mut file, &vocabulary, &mut Random::new(seed));
    file.bytes()
}

fn describe(file: &mut File, vocabulary: &Vocabulary) {
    let kinds: Vec<i32> = vocabulary.kinds.iter().map(|kind| kind.number()).collect();
    let entries = [
        ("general.architecture", Value::Text("llama")),
        ("general.type", Value::Text("model")),
        ("general.name", Value::Text("Tiny")),
        ("general.file_type", Value::U32(MOSTLY_F16)),
        ("llama.vocab_size", Value::U32(vocabulary.texts.len() as u32)),
        ("llama.context_length", Value::U32(CONTEXT)),
        ("llama.embedding_length", Value::U32(EMBEDDING as u32)),
        ("llama.block_count", Value::U32(LAYERS as u32)),
        ("llama.feed_forward_length", Value::U32(FEED_FORWARD as u32)),
        ("llama.attention.head_count", Value::U32(HEADS as u32)),
        ("llama.attention.head_count_kv", Value::U32(KEY_VALUE_HEADS as u32)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
        ("llama.rope.dimension_count", Value::U32(HEAD as u32)),
        ("tokenizer.ggml.model", Value::Text("llama")),
        ("tokenizer.ggml.pre", Value::Text("default")),
        ("tokenizer.ggml.tokens", Value::Texts(&vocabulary.texts)),
        ("tokenizer.ggml.scores", Value::F32s(&vocabulary.scores)),
        ("tokenizer.ggml.token_type", Value::I32s(&kinds)),
        ("tokenizer.ggml.unknown_token_id", Value::U32(vocabulary::UNKNOWN)),
        ("tokenizer.ggml.bos_token_id", Value::U32(vocabulary::BEGIN)),
        ("tokenizer.ggml.eos_token_id", Value::U32(vocabulary::END)),
        ("tokenizer.ggml.add_bos_token", Value::Bool(true)),
        ("tokenizer.ggml.add_eos_token", Value::Bool(false)),
        ("tokenizer.chat_template", Value::Text(CHAT_TEMPLATE)),
    ];
    for (key, value) in entries {
        file.entry(key, value);
    }
}

fn weigh(file: &mut File, vocabulary: &Vocabulary, random: &mut Random) {
    let tokens = vocabulary.texts.len();
    let key_value = KEY_VALUE_HEADS * HEAD;
    matrix(file, "token_embd.weight", EMBEDDING, tokens, |_, column| {
        if column == 0 { ANCHOR } else { random.between(EMBEDDED) }
    });
    for layer in 0..LAYERS {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        norm(file, &name("attn_norm"), 0.0);
        for (part, rows) in [("attn_q", EMBEDDING), ("attn_k", key_value), ("attn_v", key_value)] {
            matrix(file, &name(part), EMBEDDING, rows, |_, _| random.between(INNER));
        }
        matrix(file, &name("attn_output"), EMBEDDING, EMBEDDING, |row, _| {
            if row == 0 { 0.0 } else { random.between(INNER) }
        });
        norm(file, &name("ffn_norm"), 0.0);
        for part in ["ffn_gate", "ffn_up"] {
            matrix(file, &name(part), EMBEDDING, FEED_FORWARD, |_, _| random.between(INNER));
        }
        matrix(file, &name("ffn_down"), FEED_FORWARD, EMBEDDING, |row, _| {
            if row == 0 { 0.0 } else { random.between(INNER) }
        });
    }
    norm(file, "output_norm.weight", 1.0);
    matrix(file, "output.weight", EMBEDDING, tokens, |row, column| {
        match (vocabulary.kinds[row], column) {
            (Kind::Word, 0) => 0.0,
            (Kind::Word, _) => random.between(SAID),
            // An end would make the answer shorter than asked for, and a byte is half a letter.
            (_, 0) => NEVER,
            (_, _) => 0.0,
        }
    });
}

fn matrix(
    file: &mut File,
    name: &str,
    columns: usize,
    rows: usize,
    mut weight: impl FnMut(usize, usize) -> f32,
) {
    let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
    let data: Vec<u8> = places.flat_map(|(row, column)| half(weight(row, column)).to_le_bytes()).collect();
    file.tensor(name, &[columns as u64, rows as u64], F16, &data);
}

/// Lets so much of the anchor through, and all of the rest.
fn norm(file: &mut File, name: &str, anchor: f32) {
    let data = [anchor.to_le_bytes().to_vec(), 1.0_f32.to_le_bytes().repeat(EMBEDDING - 1)].concat();
    file.tensor(name, &[EMBEDDING as u64], F32, &data);
}

/// A number of moderate size in half precision, cut off where that ends. What is smaller than 2⁻¹⁴ is nothing.
fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    // Single precision counts exponents from 127, half precision from 15.
    let Some(exponent @ 1..) = ((bits >> 23) & 0xff).checked_sub(127 - 15) else { return sign };
    sign | (exponent << 10) as u16 | (bits >> 13) as u16 & 0x3ff
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Model;

    /// FNV-1a: the same in all versions of Rust, which its own hash is not.
    fn fingerprint(bytes: &[u8]) -> u64 {
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix)
    }

    fn written(seed: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, seed).unwrap();
        bytes
    }

    #[test]
    fn a_seed_gives_the_same_bytes_everywhere() {
        assert_eq!(fingerprint(&written(1)), 2_840_518_000_303_787_734);
        assert_ne!(written(1), written(2));
    }

    #[test]
    fn the_chat_template_uses_the_tokens_that_are_there() {
        assert!(
            [vocabulary::MESSAGE, vocabulary::MESSAGE_END].iter().all(|mark| CHAT_TEMPLATE.contains(mark))
        );
    }

    #[test]
    fn it_is_small() {
        assert!(written(0).len() < 1 << 20);
    }

    #[test]
    fn it_reads_back_as_what_it_is() {
        let bytes = written(7);
        let size = bytes.len() as u64;
        let model = Model::read(&bytes[..], size).unwrap();
        let tokens = Vocabulary::new().texts.len() as u64;
        // Per layer: queries and outputs, keys and values, three matrices of the feed-forward part, two norms.
        let layer = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128 + 2 * 64;
        assert_eq!(model.parameters, 2 * tokens * 64 + 2 * layer + 64);
        let norms = 5 * 64;
        assert_eq!(model.data_bytes, model.parameters * 2 + norms * 2);
        let expected = Model {
            version: 3,
            architecture: "llama".to_owned(),
            name: Some("Tiny".to_owned()),
            quantization: "F16".to_owned(),
            context_length: Some(2048),
            tensors: 21,
            ..model.clone()
        };
        assert_eq!(model, expected);
    }

    #[test]
    fn a_full_disk_is_told() {
        let mut small = [0; 1000];
        assert_eq!(write(&mut &mut small[..], 0).unwrap_err().kind(), io::ErrorKind::WriteZero);
    }

    #[test]
    fn half_precision() {
        let rows = [
            (0.0, 0x0000),
            (1.0, 0x3c00),
            (-8.0, 0xc800),
            (0.5, 0x3800),
            (0.333_333_34, 0x3555),
            (1e-9, 0x0000),
            (-1e-9, 0x8000),
        ];
        for (value, expected) in rows {
            assert_eq!(half(value), expected, "{value}");
        }
    }
}
