//! A header block without its secrets, for recordings: every length in it stays what it was, so that the dynamic table of
//! whoever decodes it has entries of the same sizes (RFC 7541, 4.1).
//!
//! In a string that is coded, a secret becomes as many symbols whose codes have as many bits together. Which ones these
//! are depends on the two numbers alone, and they are all that is left of the secret.

use core::{iter, ops::Range};
use std::sync::Arc;

use super::huffman;
use crate::Secrecy;

/// What secrets are overwritten with.
const FILLER: u8 = b'x';
/// What is behind an error. Anything would do for a decoder that stops there; if it does not, this is another one.
const BROKEN: u8 = 0xff;
/// The longest code of a byte. There is none of one bit less (RFC 7541, appendix B).
const LONGEST: u32 = 30;

/// A symbol for each length of a code. Short codes have letters and signs that end nothing, in a URL neither.
const STAND_INS: [(u32, u8); 21] = [
    (5, b'a'),
    (6, b'b'),
    (7, FILLER),
    (8, b'X'),
    (10, b'!'),
    (11, b'|'),
    (12, b'>'),
    (13, b'~'),
    (14, b'^'),
    (15, b'`'),
    (19, 0xd0),
    (20, 0xe2),
    (21, 0xe6),
    (22, 0xe9),
    (23, 0xef),
    (24, 0xed),
    (25, 0xeb),
    (26, 0xff),
    (27, 0xfe),
    (28, 0xf9),
    (LONGEST, 0x16),
];

/// The value of a literal field.
pub(super) struct Literal {
    /// Where it stands in the block.
    pub(super) octets: Range<usize>,
    pub(super) coded: bool,
    /// Its sender says that it must not be kept in tables: such are secrets (RFC 7541, 7.1.3).
    pub(super) sensitive: bool,
}

/// See the module.
pub(in super::super) struct Scrubbed {
    secrecy: Arc<dyn Secrecy>,
    /// The block; nothing if it cannot be written.
    text: Vec<u8>,
}

impl Scrubbed {
    /// A copy, to be decoded.
    pub(in super::super) fn new(secrecy: Arc<dyn Secrecy>, block: &[u8]) -> Self {
        Self { secrecy, text: block.to_vec() }
    }

    /// What is left of it.
    pub(in super::super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// A field whose value, decoded, is this one.
    pub(super) fn value(&mut self, name: Option<&[u8]>, value: &[u8], literal: Literal) {
        let all = || iter::once(0..value.len()).collect();
        let secrets = match name {
            // Of which it is not known what it is.
            None => all(),
            Some(name) if literal.sensitive && !name.starts_with(b":") => all(),
            Some(name) => self.secrecy.of_field(name, value),
        };
        if secrets.is_empty() {
            return;
        }
        let Some(octets) = self.text.get_mut(literal.octets) else { return };
        let mut text = value.to_vec();
        let mut written = true;
        for secret in secrets {
            let Some(secret) = text.get_mut(secret) else { continue };
            if literal.coded {
                written &= stand_in(secret);
            } else {
                secret.fill(FILLER);
            }
        }
        if literal.coded {
            text = huffman::encode(&text);
        }
        if written && text.len() == octets.len() {
            octets.copy_from_slice(&text);
        } else {
            self.text = Vec::new();
        }
    }

    /// From here on it cannot be decoded.
    pub(super) fn fail(&mut self, from: usize) {
        self.text.get_mut(from..).unwrap_or_default().fill(BROKEN);
    }
}

/// Replaces symbols by others, as many, whose codes have as many bits together. `false`: there are none such.
pub(super) fn stand_in(text: &mut [u8]) -> bool {
    let mut bits = text.iter().map(|symbol| u64::from(huffman::length(*symbol))).sum::<u64>();
    let mut left = text.len() as u64;
    for symbol in text {
        let Some(average) = bits.checked_div(left) else { return false };
        left = left.saturating_sub(1);
        let even = STAND_INS.partition_point(|(length, _)| u64::from(*length) <= average);
        let (shorter, longer) = STAND_INS.split_at(even);
        // As even as can be.
        let found = shorter.iter().rev().chain(longer).find_map(|(length, stand_in)| {
            let rest = bits.checked_sub(u64::from(*length))?;
            exists(left, rest).then_some((rest, *stand_in))
        });
        let Some((rest, stand_in)) = found else { return false };
        (bits, *symbol) = (rest, stand_in);
    }
    true
}

/// Are there so many symbols whose codes have so many bits together?
fn exists(symbols: u64, bits: u64) -> bool {
    let of_one = |bits: u64| STAND_INS.iter().any(|(length, _)| u64::from(*length) == bits);
    match symbols {
        0 => bits == 0,
        1 => of_one(bits),
        2 => STAND_INS.iter().any(|(length, _)| bits.checked_sub(u64::from(*length)).is_some_and(of_one)),
        // Three and more can have any number, but for one below the most.
        _ => {
            let most = symbols.saturating_mul(u64::from(LONGEST));
            (symbols.saturating_mul(5)..=most).contains(&bits) && bits.saturating_add(1) != most
        }
    }
}
