//! Integers and strings of a header block (RFC 7541, 5).

use core::ops::Range;

use super::{Error, huffman};

/// What is left of a block.
#[derive(Debug)]
pub(super) struct Reader<'b> {
    rest: &'b [u8],
    /// Octets of the string that was read last.
    octets: usize,
}

/// A string literal: as it stands in the block, or decoded into the scratch buffer.
#[derive(Debug)]
pub(super) enum Text<'b> {
    Plain(&'b [u8]),
    Decoded(Range<usize>),
}

impl<'b> Text<'b> {
    pub(super) fn bytes<'a>(&self, scratch: &'a [u8]) -> &'a [u8]
    where
        'b: 'a,
    {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Decoded(range) => scratch.get(range.clone()).unwrap_or_default(),
        }
    }
}

impl<'b> Reader<'b> {
    pub(super) fn new(block: &'b [u8]) -> Self {
        Self { rest: block, octets: 0 }
    }

    /// How much is left. A string that cannot be read is, but for its length.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// Octets of the string that was read last.
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    /// The next byte, which says what follows.
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// An integer with a prefix of so many bits (RFC 7541, 5.1), at most 7.
    #[inline]
    pub(super) fn integer(&mut self, prefix: u8) -> Result<u32, Error> {
        let (&first, rest) = self.rest.split_first().ok_or(Error::Truncated)?;
        self.rest = rest;
        let mask = !(0xff_u8 << prefix);
        let value = first & mask;
        if value < mask { Ok(u32::from(value)) } else { self.continued(u64::from(mask)) }
    }

    /// The bytes after a prefix of ones. The encoding has no shortest form that is demanded, so zeros may
    /// fill it up; five bytes hold every number of 32 bits, and no more are read.
    fn continued(&mut self, mut value: u64) -> Result<u32, Error> {
        for shift in [0, 7, 14, 21, 28] {
            let (&byte, rest) = self.rest.split_first().ok_or(Error::Truncated)?;
            self.rest = rest;
            value = value.saturating_add(u64::from(byte & 0x7f) << shift);
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| Error::IntegerTooLarge);
            }
        }
        Err(Error::IntegerTooLarge)
    }

    /// A string literal (RFC 7541, 5.2); a Huffman code is decoded to the end of `scratch`.
    #[inline]
    pub(super) fn string(&mut self, scratch: &mut Vec<u8>) -> Result<Text<'b>, Error> {
        let coded = self.peek().ok_or(Error::Truncated)? & 0x80 != 0;
        let length = self.integer(7)? as usize;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Error::Truncated)?;
        self.octets = length;
        if !coded {
            self.rest = rest;
            return Ok(Text::Plain(bytes));
        }
        let start = scratch.len();
        huffman::decode(bytes, scratch)?;
        self.rest = rest;
        Ok(Text::Decoded(start..scratch.len()))
    }
}
