//! Wire: the protobuf encoding (<https://protobuf.dev/programming-guides/encoding/>), as far as OTLP traces need it.

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH_DELIMITED: u32 = 2;
const FIXED32: u32 = 5;

/// Longest varint: 64 bits, 7 in each byte.
const VARINT_MAX: usize = 10;

/// Bytes being written, front to back.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity) }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Fields that were written elsewhere.
    pub(super) fn append(&mut self, other: &Self) {
        self.bytes.extend_from_slice(&other.bytes);
    }

    pub(super) fn varint(&mut self, field: u32, value: u64) {
        self.tag(field, VARINT);
        self.raw_varint(value);
    }

    pub(super) fn fixed64(&mut self, field: u32, value: u64) {
        self.tag(field, FIXED64);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn fixed32(&mut self, field: u32, value: u32) {
        self.tag(field, FIXED32);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn string(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    pub(super) fn bytes(&mut self, field: u32, value: &[u8]) {
        self.tag(field, LENGTH_DELIMITED);
        self.raw_varint(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    /// A nested message, written by `body`. Its length comes before it and is known after it, so space for a length
    /// of `expected` bytes is left; only where that was wrong is the message moved.
    pub(super) fn message(&mut self, field: u32, expected: usize, body: impl FnOnce(&mut Self)) {
        self.tag(field, LENGTH_DELIMITED);
        let start = self.bytes.len();
        let expected = expected.min(VARINT_MAX);
        self.bytes.extend_from_slice(&[0; VARINT_MAX][..expected]);
        body(self);
        let (length, width) = encode_varint((self.bytes.len() - start - expected) as u64);
        let (length, space) = (&length[..width], start..start + expected);
        if width == expected {
            self.bytes[space].copy_from_slice(length);
        } else {
            self.bytes.splice(space, length.iter().copied());
        }
    }

    fn tag(&mut self, field: u32, kind: u32) {
        self.raw_varint(u64::from(field << 3 | kind));
    }

    fn raw_varint(&mut self, value: u64) {
        if value < 0x80 {
            self.bytes.push(value as u8);
            return;
        }
        let (encoded, width) = encode_varint(value);
        self.bytes.extend_from_slice(&encoded[..width]);
    }
}

/// A varint and its width.
fn encode_varint(mut value: u64) -> ([u8; VARINT_MAX], usize) {
    let mut encoded = [0; VARINT_MAX];
    let mut width = 0;
    for byte in &mut encoded {
        width += 1;
        *byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            break;
        }
        *byte |= 0x80;
    }
    (encoded, width)
}
