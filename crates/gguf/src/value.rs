//! The types of values in the metadata, by their number in the file.

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// So many bytes.
    Number(Number),
    /// A length of 8 bytes and that many bytes.
    Text,
    /// The type of the items, their number, and the items.
    Array,
}

/// A number of a fixed size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    U64,
    I64,
    F64,
}

impl Type {
    /// The type with this number.
    pub(crate) fn of(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Number(Number::U8),
            1 => Self::Number(Number::I8),
            2 => Self::Number(Number::U16),
            3 => Self::Number(Number::I16),
            4 => Self::Number(Number::U32),
            5 => Self::Number(Number::I32),
            6 => Self::Number(Number::F32),
            7 => Self::Number(Number::Bool),
            8 => Self::Text,
            9 => Self::Array,
            10 => Self::Number(Number::U64),
            11 => Self::Number(Number::I64),
            12 => Self::Number(Number::F64),
            _ => return None,
        })
    }
}

impl Number {
    /// How many bytes it takes.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// The value in these little-endian bytes, when it is a whole number that is not negative.
    pub(crate) fn unsigned(self, bytes: [u8; 8]) -> Option<u64> {
        let value = u64::from_le_bytes(bytes);
        match self {
            Self::U8 | Self::U16 | Self::U32 | Self::U64 => Some(value),
            // The bytes above its own are zero, so a negative number of any size shows in its own highest bit.
            Self::I8 | Self::I16 | Self::I32 | Self::I64 => {
                (value >> (self.size() * 8 - 1) == 0).then_some(value)
            }
            Self::F32 | Self::F64 | Self::Bool => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_and_negative_ones_are_not() {
        let bytes = |value: i64, size: usize| {
            let mut bytes = [0; 8];
            bytes[..size].copy_from_slice(&value.to_le_bytes()[..size]);
            bytes
        };
        let rows = [
            (Number::U8, bytes(255, 1), Some(255)),
            (Number::I8, bytes(-1, 1), None),
            (Number::I8, bytes(127, 1), Some(127)),
            (Number::I16, bytes(-1, 2), None),
            (Number::U32, bytes(2048, 4), Some(2048)),
            (Number::I32, bytes(i64::from(i32::MIN), 4), None),
            (Number::I64, bytes(-1, 8), None),
            (Number::U64, bytes(-1, 8), Some(u64::MAX)),
            (Number::F32, bytes(1, 4), None),
            (Number::Bool, bytes(1, 1), None),
        ];
        for (number, bytes, expected) in rows {
            assert_eq!(number.unsigned(bytes), expected, "{number:?} {bytes:?}");
        }
    }

    #[test]
    fn types_end_with_the_last_known_one() {
        assert_eq!(Type::of(12), Some(Type::Number(Number::F64)));
        assert_eq!(Type::of(13), None);
    }
}
