//! HPACK (RFC 7541): the fields of the header blocks of one direction of one connection.
//!
//! In: whole header blocks in their order, and word of what was not seen. Out: the fields, each part of them
//! known or unknown, never guessed.
//!
//! What makes a decoder that saw only a part of the blocks possible: a dynamic index counts from the newest
//! entry (RFC 7541, 2.3.3), so what was inserted since is known exactly, and entries leave from the old end
//! only. To keep an entry for too long is therefore harmless: its index is not used any more. Only an
//! insertion that was not seen makes what is older unusable, and [`Decoder::doubt`] forgets it.
//!
//! Limits: of a list of fields [`LIST_MAX`] bytes are handed out, a table keeps at most [`TABLE_MAX`] bytes. A block that
//! stands for [`EXPANSION_MAX`] times its own length, and for more than that list, is a bomb.

mod huffman;
mod reader;
mod scrub;
mod statics;
mod table;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "numbers of the tests themselves")]
mod tests;

use reader::{Reader, Text};
use scrub::Literal;
pub(super) use scrub::Scrubbed;
use table::{Name, Table};

/// Largest list of fields of a block, as RFC 9113, 6.5.2 counts: 32 for each field besides its bytes. So it
/// bounds the number of fields too (8192). A longer one is decoded to its end for the table's sake: some servers
/// accept 16 MiB (grpc-go).
pub const LIST_MAX: usize = crate::limit::HEAD_MAX;
/// What a byte of a block can stand for in a longer list, on average. A field that is sent once comes nowhere near: indices
/// refer to what the table has room for, and literals give 16 at most. Only the same entries over and over give more.
pub const EXPANSION_MAX: usize = 64;
/// Bytes of a table that are kept, counted as RFC 7541, 4.1 does: browsers and proxies ask for 64 KiB. Of a
/// table that is larger by agreement the newest entries are kept, older ones become unknown.
pub const TABLE_MAX: u32 = 64 * 1024;
/// What is kept while the size of the table is unknown and nothing shows that it is larger: four times the usual size
/// (RFC 9113, 6.5.2).
const TABLE_ASSUMED: u32 = 16 * 1024;
/// The size of a table until something else is agreed upon (RFC 9113, 6.5.2).
const TABLE_INITIAL: u32 = 4096;
/// What an entry costs besides its bytes (RFC 7541, 4.1).
const OVERHEAD: u32 = 32;

/// A field of a header block. The slices live in the block, the table or the scratch buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// `None`: an entry that was inserted unseen gave it.
    pub name: Option<&'a [u8]>,
    /// `None` only where the name is unknown, too.
    pub value: Option<&'a [u8]>,
}

/// Names of pseudo-header fields (RFC 9113, 8.3; RFC 8441).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pseudo {
    Authority,
    Method,
    Path,
    Protocol,
    Scheme,
    Status,
    /// None that is defined: the message is malformed.
    Undefined,
}

impl Field<'_> {
    /// Which pseudo-header field this is; `None` when it is none or unknown.
    pub fn pseudo(&self) -> Option<Pseudo> {
        let name = self.name?.strip_prefix(b":")?;
        Some(match name {
            b"authority" => Pseudo::Authority,
            b"method" => Pseudo::Method,
            b"path" => Pseudo::Path,
            b"protocol" => Pseudo::Protocol,
            b"scheme" => Pseudo::Scheme,
            b"status" => Pseudo::Status,
            _ => Pseudo::Undefined,
        })
    }
}

/// Why a block could not be decoded. A decoder on the receiving end would close the connection for it, so what
/// follows on it is not worth decoding, but for [`Error::ListTooLong`], which is a bound of this one: only fields
/// are missing, and what follows is decoded as ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("header block ends within a field")]
    Truncated,
    #[error("integer of a header block exceeds 32 bits")]
    IntegerTooLarge,
    #[error("header block refers to entry {0}, which its tables do not have")]
    BadIndex(u32),
    #[error("string of a header block is not a valid Huffman code")]
    BadHuffman,
    #[error("dynamic table size of {size} exceeds the agreed {limit}")]
    SizeTooLarge { size: u32, limit: u32 },
    #[error("dynamic table size is changed after the first field of a block")]
    SizeMisplaced,
    #[error("fields of a header block exceed {LIST_MAX} bytes")]
    ListTooLong,
    #[error("fields of a header block exceed {LIST_MAX} bytes and {EXPANSION_MAX} times its length")]
    Bomb,
}

/// Decodes the header blocks of one direction of a connection.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// The largest size that the encoder may choose; `None`: it is unknown.
    limit: Option<u32>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// For a connection that is seen from its first byte on.
    pub fn new() -> Self {
        Self { table: Table::new(), limit: Some(TABLE_INITIAL) }
    }

    /// For a connection on which blocks have been sent before.
    pub fn joined_late() -> Self {
        let mut decoder = Self::new();
        decoder.doubt();
        decoder
    }

    /// The sender of these blocks has acknowledged this SETTINGS_HEADER_TABLE_SIZE of its peer. The
    /// acknowledgement travels in the same direction as the blocks: call this where it stands between them.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = Some(limit);
    }

    /// SETTINGS of the peer or their acknowledgement may have been missed: any table size is believed.
    pub fn forget_limit(&mut self) {
        self.limit = None;
    }

    /// Blocks, or SETTINGS, may have been missed: every entry so far, the table's size and its limit are
    /// unknown from here. Entries of later blocks are known.
    pub fn doubt(&mut self) {
        self.table.doubt();
        self.limit = None;
    }

    /// Decodes a whole block, whose length the caller bounds. Every block of the direction has to come here in its
    /// order, whatever becomes of its stream (RFC 9113, 4.3). `scratch` holds one field, up to 8/5 of the block;
    /// it is the caller's only to save allocating it for each block.
    ///
    /// After an error everything is in doubt, as by [`Decoder::doubt`], but for [`Error::ListTooLong`]; the fields before
    /// it are right.
    pub fn decode(
        &mut self,
        block: &[u8],
        scratch: &mut Vec<u8>,
        sink: impl FnMut(Field<'_>),
    ) -> Result<(), Error> {
        self.decode_and_scrub(block, scratch, None, sink)
    }

    /// The same; `scrubbed`, a copy of the block, loses its secrets.
    pub(super) fn decode_and_scrub(
        &mut self,
        block: &[u8],
        scratch: &mut Vec<u8>,
        scrubbed: Option<&mut Scrubbed>,
        sink: impl FnMut(Field<'_>),
    ) -> Result<(), Error> {
        let decoded = self.fields(block, scratch, scrubbed, sink);
        if decoded.is_err_and(|error| error != Error::ListTooLong) {
            self.doubt();
        }
        decoded
    }

    /// Decodes the beginning of a block whose end was not captured, as far as its fields are complete.
    /// Everything is in doubt afterwards: the lost part may have inserted any number of entries.
    pub fn decode_cut(
        &mut self,
        block: &[u8],
        scratch: &mut Vec<u8>,
        sink: impl FnMut(Field<'_>),
    ) -> Result<(), Error> {
        self.decode_cut_and_scrub(block, scratch, None, sink)
    }

    /// See [`Decoder::decode_and_scrub`].
    pub(super) fn decode_cut_and_scrub(
        &mut self,
        block: &[u8],
        scratch: &mut Vec<u8>,
        scrubbed: Option<&mut Scrubbed>,
        sink: impl FnMut(Field<'_>),
    ) -> Result<(), Error> {
        let decoded = self.fields(block, scratch, scrubbed, sink);
        self.doubt();
        match decoded {
            Err(Error::Truncated) => Ok(()),
            other => other,
        }
    }

    fn fields(
        &mut self,
        block: &[u8],
        scratch: &mut Vec<u8>,
        mut scrubbed: Option<&mut Scrubbed>,
        sink: impl FnMut(Field<'_>),
    ) -> Result<(), Error> {
        let mut reader = Reader::new(block);
        let read = self.read(&mut reader, block.len(), scratch, &mut scrubbed, sink);
        if let (Err(_), Some(scrubbed)) = (read, scrubbed) {
            scrubbed.fail(block.len().saturating_sub(reader.left()));
        }
        read
    }

    /// One turn for each field representation (RFC 7541, 6).
    fn read(
        &mut self,
        reader: &mut Reader<'_>,
        length: usize,
        scratch: &mut Vec<u8>,
        scrubbed: &mut Option<&mut Scrubbed>,
        mut sink: impl FnMut(Field<'_>),
    ) -> Result<(), Error> {
        let most = length.saturating_mul(EXPANSION_MAX).max(LIST_MAX);
        let (mut room, beyond) = (most, most.saturating_sub(LIST_MAX));
        while let Some(first) = reader.peek() {
            if first & 0b1110_0000 == 0b0010_0000 {
                if room != most {
                    return Err(Error::SizeMisplaced);
                }
                self.resize(reader.integer(5)?)?;
                continue;
            }
            let mut emit = |field: Field<'_>| {
                let length = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
                let size = length(field.name).saturating_add(length(field.value));
                room = room.checked_sub(size.saturating_add(OVERHEAD as usize)).ok_or(Error::Bomb)?;
                if room >= beyond {
                    sink(field);
                }
                Ok(())
            };
            if first & 0b1000_0000 != 0 {
                let index = reader.integer(7)?;
                self.table.referred(dynamic(index));
                emit(self.entry(index)?)?;
                continue;
            }
            let indexed = first & 0b0100_0000 != 0;
            let index = reader.integer(if indexed { 6 } else { 4 })?;
            scratch.clear();
            let literal = if index == 0 { Some(reader.string(scratch)?) } else { None };
            let value = reader.string(scratch)?;
            let coded = matches!(value, Text::Decoded(_));
            let value = value.bytes(scratch);
            let name = match &literal {
                Some(text) => Ok(Some(text.bytes(scratch))),
                None => self.entry(index).map(|entry| entry.name),
            };
            if let Some(scrubbed) = scrubbed {
                let end = length.saturating_sub(reader.left());
                let octets = end.saturating_sub(reader.octets())..end;
                // Never to be indexed (RFC 7541, 6.2.3).
                let sensitive = first & 0b1111_0000 == 0b0001_0000;
                scrubbed.value(name.unwrap_or_default(), value, Literal { octets, coded, sensitive });
            }
            let name = name?;
            emit(Field { name, value: Some(value) })?;
            if indexed {
                match (&literal, statics::entry(index)) {
                    (Some(text), _) => self.table.insert(Name::Bytes(text.bytes(scratch)), value),
                    (None, Some(field)) => self.table.insert(Name::Bytes(field.0), value),
                    (None, None) => self.table.insert(Name::Entry(dynamic(index)), value),
                }
            }
        }
        if room >= beyond { Ok(()) } else { Err(Error::ListTooLong) }
    }

    /// The entry that an index refers to (RFC 7541, 2.3.3).
    fn entry(&self, index: u32) -> Result<Field<'_>, Error> {
        if let Some((name, value)) = statics::entry(index) {
            return Ok(Field { name: Some(name), value: Some(value) });
        }
        if index == 0 {
            return Err(Error::BadIndex(0));
        }
        self.table.entry(dynamic(index)).ok_or(Error::BadIndex(index))
    }

    /// A dynamic table size update (RFC 7541, 6.3).
    fn resize(&mut self, size: u32) -> Result<(), Error> {
        match self.limit {
            Some(limit) if size > limit => Err(Error::SizeTooLarge { size, limit }),
            _ => {
                self.table.resize(size);
                Ok(())
            }
        }
    }
}

/// Index of the dynamic table, 0 is the newest entry.
fn dynamic(index: u32) -> u32 {
    index.saturating_sub(statics::LENGTH).saturating_sub(1)
}
