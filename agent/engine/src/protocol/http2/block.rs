//! A decoded header block: its pseudo-header fields and its fields, in one reusable allocation.

use core::ops::Range;

use smallvec::SmallVec;

use super::{
    fragments::Fragments,
    hpack::{self, Decoder, Pseudo, Scrubbed},
};
use crate::{limit, protocol::Field};

/// Buffers larger than this are not kept for the next block.
const KEPT: usize = 16 * 1024;

/// The fields of a block.
pub(super) type Fields<'a> = SmallVec<[Field<'a>; 24]>;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Block {
    text: Vec<u8>,
    scratch: Vec<u8>,
    fields: Vec<(Range<usize>, Range<usize>)>,
    method: Option<Range<usize>>,
    path: Option<Range<usize>>,
    authority: Option<Range<usize>>,
    scheme: Option<Range<usize>>,
    status: Option<u16>,
    /// A pseudo-header field is there: it is no trailer (RFC 9113, 8.1).
    pub(super) has_pseudo: bool,
    /// Some fields are unknown, or not kept.
    pub(super) incomplete: bool,
    /// Its list of fields is longer than the bound.
    pub(super) too_long: bool,
}

impl Block {
    /// Decodes what there is; `scrubbed`, a copy of its text, loses its secrets. An error is one of the sender, and of no bound.
    pub(super) fn decode(
        &mut self,
        decoder: &mut Decoder,
        block: &Fragments<'_>,
        scrubbed: Option<&mut Scrubbed>,
    ) -> Result<(), hpack::Error> {
        self.clear();
        self.incomplete = block.cut;
        let mut scratch = core::mem::take(&mut self.scratch);
        let decoded = if block.cut {
            decoder.decode_cut_and_scrub(block.text, &mut scratch, scrubbed, |field| self.add(&field))
        } else {
            decoder.decode_and_scrub(block.text, &mut scratch, scrubbed, |field| self.add(&field))
        };
        if scratch.capacity() <= KEPT {
            self.scratch = scratch;
        }
        match decoded {
            Err(hpack::Error::ListTooLong) => {
                self.incomplete = true;
                self.too_long = true;
                Ok(())
            }
            other => other,
        }
    }

    pub(super) fn method(&self) -> Option<&[u8]> {
        self.text.get(self.method.clone()?)
    }

    pub(super) fn path(&self) -> Option<&[u8]> {
        self.text.get(self.path.clone()?)
    }

    pub(super) fn authority(&self) -> Option<&[u8]> {
        self.text.get(self.authority.clone()?)
    }

    pub(super) fn scheme(&self) -> Option<&[u8]> {
        self.text.get(self.scheme.clone()?)
    }

    pub(super) fn status(&self) -> Option<u16> {
        self.status
    }

    /// Adds the fields whose name and value are known. They are many to move, so they are put where they stay.
    pub(super) fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        let part = |range: &Range<usize>| self.text.get(range.clone()).unwrap_or_default();
        let known = self.fields.iter().map(|(name, value)| Field { name: part(name), value: part(value) });
        fields.extend(known);
    }

    fn clear(&mut self) {
        if self.text.capacity() > KEPT {
            self.text = Vec::new();
        }
        self.text.clear();
        self.fields.clear();
        for part in [&mut self.method, &mut self.path, &mut self.authority, &mut self.scheme] {
            *part = None;
        }
        self.status = None;
        self.has_pseudo = false;
        self.incomplete = false;
        self.too_long = false;
    }

    fn add(&mut self, field: &hpack::Field<'_>) {
        let pseudo = field.pseudo();
        self.has_pseudo |= pseudo.is_some();
        let (Some(name), Some(value)) = (field.name, field.value) else {
            self.incomplete = true;
            return;
        };
        let slot = match pseudo {
            None if self.fields.len() >= limit::FIELDS_MAX => {
                self.incomplete = true;
                return;
            }
            None => {
                let name = self.keep(name);
                let value = self.keep(value);
                self.fields.push((name, value));
                return;
            }
            Some(Pseudo::Status) => {
                let digits = value.iter().all(u8::is_ascii_digit) && value.len() == 3;
                let text = core::str::from_utf8(value).ok().filter(|_| digits);
                self.status = self.status.or(text.and_then(|text| text.parse().ok()));
                return;
            }
            Some(Pseudo::Protocol | Pseudo::Undefined) => return,
            Some(Pseudo::Method) => &mut self.method,
            Some(Pseudo::Path) => &mut self.path,
            Some(Pseudo::Authority) => &mut self.authority,
            Some(Pseudo::Scheme) => &mut self.scheme,
        };
        if slot.is_none() {
            let start = self.text.len();
            *slot = Some(start..start.saturating_add(value.len()));
            self.text.extend_from_slice(value);
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.text.len();
        self.text.extend_from_slice(bytes);
        start..self.text.len()
    }
}
