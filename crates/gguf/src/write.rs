//! GGUF version 3, written in memory: what [`tiny`](crate::tiny) and the tests need of it.

/// Where tensor data begins and each tensor in it, when the metadata do not say otherwise.
pub(crate) const ALIGNMENT: usize = 32;

/// A value of the metadata.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(&'a str),
    Texts(&'a [String]),
    F32s(&'a [f32]),
    I32s(&'a [i32]),
}

/// A file that grows.
#[derive(Debug, Default)]
pub(crate) struct File {
    entries: u64,
    metadata: Vec<u8>,
    tensors: u64,
    infos: Vec<u8>,
    data: Vec<u8>,
}

impl File {
    /// Adds a key and its value.
    pub(crate) fn entry(&mut self, key: &str, value: Value<'_>) {
        self.entries += 1;
        let out = &mut self.metadata;
        text(out, key);
        match value {
            Value::U32(value) => {
                number(out, 4);
                number(out, value);
            }
            Value::F32(value) => {
                number(out, 6);
                out.extend(value.to_le_bytes());
            }
            Value::Bool(value) => {
                number(out, 7);
                out.push(value.into());
            }
            Value::Text(value) => {
                number(out, 8);
                text(out, value);
            }
            Value::Texts(items) => {
                array(out, 8, items.len());
                items.iter().for_each(|item| text(out, item));
            }
            Value::F32s(items) => {
                array(out, 6, items.len());
                out.extend(items.iter().flat_map(|item| item.to_le_bytes()));
            }
            Value::I32s(items) => {
                array(out, 5, items.len());
                out.extend(items.iter().flat_map(|item| item.to_le_bytes()));
            }
        }
    }

    /// Adds a tensor. `shape` begins with the length of a row.
    pub(crate) fn tensor(&mut self, name: &str, shape: &[u64], kind: u32, data: &[u8]) {
        self.tensors += 1;
        self.data.resize(self.data.len().next_multiple_of(ALIGNMENT), 0);
        text(&mut self.infos, name);
        number(&mut self.infos, shape.len() as u32);
        self.infos.extend(shape.iter().flat_map(|length| length.to_le_bytes()));
        number(&mut self.infos, kind);
        self.infos.extend((self.data.len() as u64).to_le_bytes());
        self.data.extend(data);
    }

    /// The bytes of the file. They end with those of the last tensor.
    pub(crate) fn bytes(self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        number(&mut out, 3);
        out.extend(self.tensors.to_le_bytes());
        out.extend(self.entries.to_le_bytes());
        out.extend(self.metadata);
        out.extend(self.infos);
        if !self.data.is_empty() {
            out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
            out.extend(self.data);
        }
        out
    }
}

fn number(out: &mut Vec<u8>, value: u32) {
    out.extend(value.to_le_bytes());
}

fn text(out: &mut Vec<u8>, value: &str) {
    out.extend((value.len() as u64).to_le_bytes());
    out.extend(value.as_bytes());
}

fn array(out: &mut Vec<u8>, kind: u32, length: usize) {
    number(out, 9);
    number(out, kind);
    out.extend((length as u64).to_le_bytes());
}
