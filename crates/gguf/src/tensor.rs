//! What a file says of its tensors: how many weights there are, in which type, and where the data ends.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;

use crate::Error;
use crate::metadata::printable;
use crate::source::Source;

/// More tensors than any model has. The largest have some thousands.
const MOST_TENSORS: u64 = 1 << 20;

/// Most dimensions of a tensor (`GGML_MAX_DIMS`).
const MOST_DIMENSIONS: u32 = 4;

/// No type of a tensor has a higher number, in forks of llama.cpp neither.
const HIGHEST_TYPE: u32 = 0xffff;

/// A type of tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Type {
    number: u32,
    name: &'static str,
    /// Weights that are kept together, and the bytes they take.
    block: u64,
    bytes: u64,
}

/// Numbers and names are those of `enum ggml_type` in ggml.h, sizes what `ggml_blck_size` and `ggml_type_size` of ggml 0.27
/// return. The numbers that are left out were withdrawn.
const TYPES: [Type; 35] = [
    kind(0, "F32", 1, 4),
    kind(1, "F16", 1, 2),
    kind(2, "Q4_0", 32, 18),
    kind(3, "Q4_1", 32, 20),
    kind(6, "Q5_0", 32, 22),
    kind(7, "Q5_1", 32, 24),
    kind(8, "Q8_0", 32, 34),
    kind(9, "Q8_1", 32, 36),
    kind(10, "Q2_K", 256, 84),
    kind(11, "Q3_K", 256, 110),
    kind(12, "Q4_K", 256, 144),
    kind(13, "Q5_K", 256, 176),
    kind(14, "Q6_K", 256, 210),
    kind(15, "Q8_K", 256, 292),
    kind(16, "IQ2_XXS", 256, 66),
    kind(17, "IQ2_XS", 256, 74),
    kind(18, "IQ3_XXS", 256, 98),
    kind(19, "IQ1_S", 256, 50),
    kind(20, "IQ4_NL", 32, 18),
    kind(21, "IQ3_S", 256, 110),
    kind(22, "IQ2_S", 256, 82),
    kind(23, "IQ4_XS", 256, 136),
    kind(24, "I8", 1, 1),
    kind(25, "I16", 1, 2),
    kind(26, "I32", 1, 4),
    kind(27, "I64", 1, 8),
    kind(28, "F64", 1, 8),
    kind(29, "IQ1_M", 256, 56),
    kind(30, "BF16", 1, 2),
    kind(34, "TQ1_0", 256, 54),
    kind(35, "TQ2_0", 256, 66),
    kind(39, "MXFP4", 32, 17),
    kind(40, "NVFP4", 64, 36),
    kind(41, "Q1_0", 128, 18),
    kind(42, "Q2_0", 64, 18),
];

const fn kind(number: u32, name: &'static str, block: u64, bytes: u64) -> Type {
    Type { number, name, block, bytes }
}

fn known(number: u32) -> Option<&'static Type> {
    TYPES.iter().find(|kind| kind.number == number)
}

/// All tensors together.
#[derive(Debug, Default)]
pub(crate) struct Tensors {
    /// How many weights they have.
    pub(crate) parameters: u64,
    /// From where the first one begins to where the last one ends, bytes.
    pub(crate) extent: u64,
    /// Weights by the number of their type.
    weights: BTreeMap<u32, u64>,
}

impl Tensors {
    /// Reads the descriptions of so many.
    pub(crate) fn read(source: &mut Source<impl Read>, count: u64, alignment: u64) -> Result<Self, Error> {
        if count > MOST_TENSORS {
            return Err(source.damaged(format!("it would have {count} tensors")));
        }
        let mut all = Self::default();
        let mut names = HashSet::new();
        // Where the next one begins. Only a lower limit once there was one whose size is not known.
        let mut next = Some(0);
        for _ in 0..count {
            let name = source.text("the name of a tensor")?;
            let shown = printable(&name);
            let weights = weights(source, &shown)?;
            let number = source.u32()?;
            let size = size(source, &shown, number, &weights)?;
            let begin = source.u64()?;
            let fits = match next {
                Some(next) => begin == next,
                None => begin >= all.extent && begin.is_multiple_of(alignment),
            };
            if !fits {
                return Err(
                    source.damaged(format!("the tensor `{shown}` would begin at byte {begin} of the data"))
                );
            }
            if !names.insert(name) {
                return Err(source.damaged(format!("the tensor `{shown}` is there twice")));
            }
            let end = begin.checked_add(size.unwrap_or(0));
            let aligned = end.and_then(|end| end.checked_next_multiple_of(alignment));
            let (Some(end), Some(aligned)) = (end, aligned) else {
                return Err(source.damaged(format!("the tensor `{shown}` would have no end")));
            };
            next = size.map(|_| aligned).filter(|_| next.is_some());
            all.extent = end;
            all.parameters = all.parameters.saturating_add(weights.total);
            let of_type = all.weights.entry(number).or_default();
            *of_type = of_type.saturating_add(weights.total);
        }
        Ok(all)
    }

    /// The name of the type that most weights have.
    pub(crate) fn usual_type(&self) -> String {
        let usual = self.weights.iter().max_by_key(|(_, weights)| **weights).map_or(0, |(number, _)| *number);
        known(usual).map_or_else(|| format!("type {usual}"), |kind| kind.name.to_owned())
    }
}

/// How many weights a tensor has.
#[derive(Debug, Clone, Copy)]
struct Weights {
    total: u64,
    row: u64,
}

fn weights(source: &mut Source<impl Read>, name: &str) -> Result<Weights, Error> {
    let dimensions = source.u32()?;
    if dimensions > MOST_DIMENSIONS {
        return Err(source.damaged(format!("the tensor `{name}` would have {dimensions} dimensions")));
    }
    let mut weights = Weights { total: 1, row: 1 };
    for dimension in 0..dimensions {
        let length = source.u64()?;
        let total = weights.total.checked_mul(length).filter(|total| i64::try_from(*total).is_ok());
        // A dimension of 0 hides how long the others are.
        let (Some(total), Ok(_)) = (total, i64::try_from(length)) else {
            return Err(source.damaged(format!("the tensor `{name}` would be {length} long in a dimension")));
        };
        weights.total = total;
        if dimension == 0 {
            weights.row = length;
        }
    }
    Ok(weights)
}

/// What a tensor takes, bytes. None if its type is newer than this table.
fn size(
    source: &Source<impl Read>,
    name: &str,
    number: u32,
    weights: &Weights,
) -> Result<Option<u64>, Error> {
    if number > HIGHEST_TYPE {
        return Err(source.damaged(format!("the tensor `{name}` has the type {number}, which is none")));
    }
    let Some(kind) = known(number) else { return Ok(None) };
    if !weights.row.is_multiple_of(kind.block) {
        return Err(source.damaged(format!(
            "the tensor `{name}` would have rows of {}, which {} cannot hold",
            weights.row, kind.name
        )));
    }
    let size = (weights.total / kind.block).checked_mul(kind.bytes);
    size.map(Some).ok_or_else(|| source.damaged(format!("the tensor `{name}` would have no end")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_in_order_and_there_once() {
        assert!(TYPES.windows(2).all(|pair| pair[0].number < pair[1].number));
        assert!(TYPES.iter().all(|kind| kind.block > 0 && kind.bytes > 0));
    }
}
