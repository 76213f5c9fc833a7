//! Trailers in the content of a response, as gRPC-Web writes them: lines of `name: value`, in a message of their own.
//!
//! They are compressed as messages are (connect-go compresses all that it is asked to), with gzip: `grpc-encoding` may be
//! unknown, but gzip says what it is, and has a checksum.

use std::{borrow::Cow, io::Read};

use flate2::bufread::GzDecoder;

use crate::protocol::Field;

/// Longest block that is kept, compressed or not: a status and a text.
pub(super) const LENGTH_MAX: u32 = 8 * 1024;

#[derive(Debug)]
pub(super) struct Block {
    text: Vec<u8>,
    /// So many bytes are to come.
    left: u32,
    compressed: bool,
}

impl Block {
    pub(super) fn new(length: u32, compressed: bool) -> Self {
        Self { text: Vec::new(), left: length, compressed }
    }

    /// Takes what belongs to it off the start of these bytes; returns how many.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        let used = bytes.len().min(self.left as usize);
        self.text.extend_from_slice(bytes.get(..used).unwrap_or_default());
        self.left = self.left.saturating_sub(used as u32);
        used
    }

    pub(super) fn plain(&self) -> bool {
        !self.compressed
    }

    /// The text, if it is whole and was not compressed.
    pub(super) fn plain_text(&self) -> Option<&[u8]> {
        (self.left == 0 && !self.compressed).then_some(&self.text)
    }

    /// The text, if it is whole and can be read.
    pub(super) fn text(&self) -> Option<Cow<'_, [u8]>> {
        match self.compressed {
            _ if self.left > 0 => None,
            false => Some(Cow::Borrowed(&self.text)),
            true => inflated(&self.text).map(Cow::Owned),
        }
    }
}

/// The content of a gzip file (RFC 1952), if it is whole and no longer than the bound.
fn inflated(file: &[u8]) -> Option<Vec<u8>> {
    let most = u64::from(LENGTH_MAX);
    let mut text = Vec::new();
    let read = GzDecoder::new(file).take(most.saturating_add(1)).read_to_end(&mut text).ok()?;
    (read as u64 <= most).then_some(text)
}

/// The fields of a text. Lines that are none are passed over.
pub(super) fn fields(text: &[u8]) -> impl Iterator<Item = Field<'_>> {
    text.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        let (name, value) = line.split_at_checked(colon)?;
        Some(Field { name: name.trim_ascii(), value: value.get(1..)?.trim_ascii() })
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    /// A message of compressed trailers.
    pub(crate) fn message(text: &[u8]) -> Vec<u8> {
        let file = compressed(text);
        [&[0x81][..], &(file.len() as u32).to_be_bytes(), &file].concat()
    }

    fn compressed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn read(file: &[u8]) -> Option<Vec<u8>> {
        let mut block = Block::new(file.len() as u32, true);
        assert_eq!(block.take(file), file.len());
        block.text().map(Cow::into_owned)
    }

    #[test]
    fn what_was_compressed_is_read() {
        let text = b"grpc-status: 5\r\ngrpc-message: not it\r\n";
        assert_eq!(read(&compressed(text)).as_deref(), Some(&text[..]));
        assert_eq!(read(&compressed(b"")).as_deref(), Some(&b""[..]));
    }

    #[test]
    fn what_is_damaged_cut_or_of_another_format_is_not_read() {
        let file = compressed(b"grpc-status: 5\r\n");
        for end in 0..file.len() {
            assert_eq!(read(&file[..end]), None, "{end} bytes");
        }
        for at in [0, 12, file.len() - 1] {
            let mut file = file.clone();
            file[at] ^= 1;
            assert_eq!(read(&file), None, "byte {at}");
        }
        assert_eq!(read(b"grpc-status: 5\r\n"), None);
    }

    #[test]
    fn a_bomb_is_not_read() {
        let most = LENGTH_MAX as usize;
        assert_eq!(read(&compressed(&vec![b'a'; most])).map(|text| text.len()), Some(most));
        assert_eq!(read(&compressed(&vec![b'a'; most + 1])), None);
        let bomb = compressed(&vec![0; 1 << 23]);
        assert!(bomb.len() <= 2 * most);
        assert_eq!(read(&bomb), None);
    }
}
