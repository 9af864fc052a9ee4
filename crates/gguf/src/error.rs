//! Why a file is no model that llama.cpp can load, and what the user does about it.
//!
//! The texts say nothing of the path. They are made to be read behind it and a colon.

use std::io;

/// Why there is no model in a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It has no bytes.
    #[error("the file is empty; copy or download it again")]
    Empty,
    /// It begins as a model does, and ends before its first numbers do.
    #[error(
        "the file was cut short: a GGUF file's first numbers alone take {} bytes, and it has {found}. Copy or \
         download it again",
        crate::model::HEADER
    )]
    Short {
        /// The size of the file, bytes.
        found: u64,
    },
    /// It is of another format.
    #[error(
        "no GGUF file: it begins with `{begins}` and not with `GGUF`. {}",
        format.map_or("Check that this is the right file", Format::help)
    )]
    Foreign {
        /// Its first bytes, printable.
        begins: String,
        /// What else it is, where that can be told.
        format: Option<Format>,
    },
    /// It is of a version that llama.cpp does not read.
    #[error(
        "it is written in version {found} of GGUF, and llama.cpp reads 2 and 3; download a file of the model in one of \
         those"
    )]
    Version {
        /// The version it names.
        found: u32,
    },
    /// Its numbers begin with their highest byte.
    #[error(
        "it is a GGUF file for big-endian machines; download one for little-endian ones, or turn it with \
         llama.cpp's gguf_convert_endian.py"
    )]
    BigEndian,
    /// The file ends in its header.
    #[error("the file was cut short: its header goes on behind its {found} bytes. Copy or download it again")]
    HeaderEnds {
        /// The size of the file, bytes.
        found: u64,
    },
    /// The file ends in the data of its tensors.
    #[error(
        "the file was cut short: it takes {needed} bytes to hold its tensors, and it has {found}. Copy or download \
         it again"
    )]
    DataEnds {
        /// The size that the file would have to have, bytes.
        needed: u64,
        /// The size of the file, bytes.
        found: u64,
    },
    /// Something in the header cannot be.
    #[error("the file is damaged at byte {at}: {what}. Copy or download it again")]
    Damaged {
        /// Where, from the file's first byte.
        at: u64,
        /// What cannot be.
        what: String,
    },
    /// It does not say what its tensors are for.
    #[error(
        "it does not say which architecture it is of (`general.architecture`); download the model again, or another one"
    )]
    NoArchitecture,
    /// There are no weights in it.
    #[error(
        "it has no tensors, so it is at most the description of a model; download the file that has the weights"
    )]
    NoTensors,
    /// It belongs to a model and is none.
    #[error("it holds {what} and no language model; give the file of the model that it belongs to")]
    Accessory {
        /// What it is.
        what: &'static str,
    },
    /// It is one of several files that are a model together.
    #[error("it is one of {parts} parts of a model; join them with `llama-gguf-split --merge` first")]
    Part {
        /// How many there are.
        parts: u64,
    },
    /// The system did not let it be read.
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
}

/// A format that is taken for GGUF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// What Hugging Face keeps weights in.
    Safetensors,
    /// A ZIP archive or a pickle, as PyTorch saves weights.
    Pytorch,
    /// What llama.cpp read before there was GGUF.
    Ggml,
    /// What Git has in place of a large file that was not fetched.
    Pointer,
    /// A page that was downloaded in place of the file behind it.
    WebPage,
    /// A file that another program made smaller.
    Compressed,
}

impl Format {
    /// What to do with it.
    fn help(self) -> &'static str {
        match self {
            Self::Safetensors => {
                "These are weights in the format safetensors: download the model as GGUF, or convert it with llama.cpp's \
                 convert_hf_to_gguf.py"
            }
            Self::Pytorch => {
                "This is a ZIP archive or a pickle, in which PyTorch keeps weights: unpack it if the model is in it, else \
                 download the model as GGUF, or convert it with llama.cpp's convert_hf_to_gguf.py"
            }
            Self::Ggml => {
                "This is the format of llama.cpp before August 2023, which it no longer reads: download the model as GGUF"
            }
            Self::Pointer => {
                "This is what Git LFS has in place of the model: run `git lfs pull` in the repository, or download the \
                 file itself"
            }
            Self::WebPage => {
                "This is a web page and not the file that it offers: download that; on Hugging Face its address has \
                 /resolve/ where the page's has /blob/"
            }
            Self::Compressed => "It is compressed: unpack it first",
        }
    }

    /// The format of a file with these first bytes. A dozen are enough for most.
    pub(crate) fn of(first: &[u8]) -> Option<Self> {
        let text = first.trim_ascii_start().to_ascii_lowercase();
        Some(match first {
            // The length of a description, and the description in JSON.
            [_, _, _, _, _, 0, 0, 0, b'{', ..] => Self::Safetensors,
            [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..] => Self::Pytorch,
            [b'l', b'm', b'g', b'g', ..]
            | [b'f', b'm', b'g', b'g', ..]
            | [b't', b'j', b'g', b'g', ..]
            | [b'a', b'l', b'g', b'g', ..] => Self::Ggml,
            [0x1f, 0x8b, ..] | [0xfd, b'7', b'z', b'X', b'Z', ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => {
                Self::Compressed
            }
            _ if first.starts_with(b"version https://git-lfs") => Self::Pointer,
            _ if text.starts_with(b"<!doctype html") || text.starts_with(b"<html") => Self::WebPage,
            _ => return None,
        })
    }
}
