//! The Huffman code of strings (RFC 7541, 5.2 and appendix B).
//!
//! The code is canonical: sorted by length, then by symbol, each code is the one before it plus one. So the
//! lengths are all that is written down, and the tables follow from them at compile time.

use core::slice::IterMut;

use super::Error;

/// Bits of each symbol's code, from symbol 0 to EOS (appendix B).
#[rustfmt::skip]
pub(super) const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,  6, 10, 10, 12, 13,  6,  8, 11,
    10, 10,  8, 11,  8,  6,  6,  6,  5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8,
    15,  6, 12, 10, 13,  6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
     7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8, 13, 19, 13, 14,  6, 15,  5,  6,  5,
     6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,  6,  7,  6,  5,  5,  6,  7,  7,
     7,  7,  7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23,
    23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21,
    23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25,
    26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26,
    28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];
/// Bytes, and EOS.
pub(super) const SYMBOLS: usize = 257;
const LONGEST: usize = 30;
/// Bits that are looked up at once: no code of printable text but a few rare characters is longer. Quotes have 10.
const PEEK: u32 = 10;

/// What the first bits of a code say: symbol and length, length 0 when the code is longer.
static SHORT: [(u8, u8); 1 << PEEK] = short();
/// The longer codes by their length.
static LONG: [Row; LONGEST + 1] = rows();
/// Every symbol in the order of the codes.
static ORDER: [u16; SYMBOLS] = order();

/// The code of each byte, in its lowest bits, and its length.
static CODES: [(u32, u8); 256] = codes();

/// The codes of one length.
#[derive(Clone, Copy)]
struct Row {
    /// The first code that is longer, at the left end of 32 bits; codes of this length are below it.
    end: u64,
    /// The first code of this length, at the left end of 32 bits.
    first: u32,
    /// Where its symbol stands in [`ORDER`].
    index: u16,
}

/// Decodes a whole string to the end of `out`.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let start = out.len();
    // No code is shorter than 5 bits.
    out.resize(start.saturating_add(coded.len().saturating_mul(8) / 5), 0);
    let mut slots = out.get_mut(start..).unwrap_or_default().iter_mut();
    let decoded = symbols(coded, &mut slots);
    let unused = slots.len();
    out.truncate(out.len().saturating_sub(unused));
    decoded
}

/// Writes one byte after the other; there is room for all.
fn symbols(coded: &[u8], slots: &mut IterMut<'_, u8>) -> Result<(), Error> {
    let mut bytes = coded;
    // The next bits of the code at the left end, and how many they are. Behind them are zeros.
    let mut bits = 0_u64;
    let mut count = 0_u32;
    while let Some((chunk, rest)) = bytes.split_first_chunk::<4>() {
        bits |= u64::from(u32::from_be_bytes(*chunk)) << 32_u32.wrapping_sub(count);
        count = count.wrapping_add(32);
        bytes = rest;
        // Whatever the next code is, all of it is there.
        while count >= LONGEST as u32 {
            let length = symbol(bits, slots)?;
            bits <<= length;
            count = count.wrapping_sub(length);
        }
    }
    for &byte in bytes {
        bits |= u64::from(byte) << 56_u32.wrapping_sub(count);
        count = count.wrapping_add(8);
    }
    while count >= 8 || !is_padding(bits, count) {
        let length = symbol(bits, slots)?;
        // The rest of a code that is no padding is an error (5.2).
        count = count.checked_sub(length).ok_or(Error::BadHuffman)?;
        bits <<= length;
    }
    Ok(())
}

/// The code of a text, filled up with ones (5.2).
pub(super) fn encode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    // The last bits of these have not been put out.
    let (mut bits, mut count) = (0_u64, 0_u32);
    for &(code, length) in text.iter().filter_map(|symbol| CODES.get(usize::from(*symbol))) {
        bits = bits << length | u64::from(code);
        count = count.saturating_add(u32::from(length));
        while let Some(left) = count.checked_sub(8) {
            out.push((bits >> left) as u8);
            count = left;
        }
    }
    if let Some(missing) = 8_u32.checked_sub(count).filter(|missing| *missing < 8) {
        out.push((bits << missing) as u8 | !(0xff << missing));
    }
    out
}

/// The length of a byte's code.
pub(super) fn length(symbol: u8) -> u32 {
    CODES.get(usize::from(symbol)).map_or(0, |(_, length)| u32::from(*length))
}

/// Writes the symbol at the left end; returns the length of its code.
#[inline]
fn symbol(bits: u64, slots: &mut IterMut<'_, u8>) -> Result<u32, Error> {
    let index = (bits >> (64_u32.wrapping_sub(PEEK))) as usize;
    let (symbol, length) = match SHORT.get(index) {
        Some(&(symbol, length)) if length != 0 => (symbol, u32::from(length)),
        _ => next_long((bits >> 32) as u32)?,
    };
    *slots.next().ok_or(Error::BadHuffman)? = symbol;
    Ok(length)
}

/// Are these bits, fewer than 8, all ones? They are what a string is filled up with (5.2).
#[inline]
fn is_padding(bits: u64, count: u32) -> bool {
    let ones = !(u64::MAX >> count);
    bits & ones == ones
}

/// The symbol at the left end, and the length of its code. EOS in a string is an error (5.2).
#[cold]
fn next_long(bits: u32) -> Result<(u8, u32), Error> {
    let rows = LONG.iter().zip(0_u32..).skip(PEEK as usize).skip(1);
    for (row, length) in rows {
        if u64::from(bits) < row.end {
            let offset = bits.wrapping_sub(row.first) >> 32_u32.wrapping_sub(length);
            let index = usize::from(row.index).wrapping_add(offset as usize);
            let symbol = ORDER.get(index).and_then(|symbol| u8::try_from(*symbol).ok());
            return Ok((symbol.ok_or(Error::BadHuffman)?, length));
        }
    }
    Err(Error::BadHuffman)
}

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "evaluated at compile time only"
)]
const fn order() -> [u16; SYMBOLS] {
    let mut order = [0; SYMBOLS];
    let mut filled = 0;
    let mut length = 1;
    while length <= LONGEST {
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                order[filled] = symbol as u16;
                filled += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    assert!(filled == SYMBOLS);
    order
}

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "evaluated at compile time only"
)]
const fn rows() -> [Row; LONGEST + 1] {
    let order = order();
    let mut rows = [Row { end: 0, first: 0, index: 0 }; LONGEST + 1];
    let mut code = 0_u64;
    let mut index = 0;
    let mut length = 1;
    while length <= LONGEST {
        let first = code;
        let start = index;
        while index < SYMBOLS && LENGTHS[order[index] as usize] as usize == length {
            code += 1 << (32 - length);
            index += 1;
        }
        rows[length] = Row { end: code, first: first as u32, index: start as u16 };
        length += 1;
    }
    // The code is complete: every sequence of bits says something.
    assert!(code == 1 << 32);
    rows
}

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "evaluated at compile time only"
)]
const fn codes() -> [(u32, u8); 256] {
    let order = order();
    let mut codes = [(0, 0); 256];
    let mut code = 0_u64;
    let mut index = 0;
    while index < SYMBOLS {
        let symbol = order[index] as usize;
        let length = LENGTHS[symbol];
        if symbol < 256 {
            codes[symbol] = ((code >> (32 - length)) as u32, length);
        }
        code += 1 << (32 - length);
        index += 1;
    }
    codes
}

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "evaluated at compile time only"
)]
const fn short() -> [(u8, u8); 1 << PEEK] {
    let order = order();
    let mut short = [(0, 0); 1 << PEEK];
    let mut at = 0;
    let mut index = 0;
    while LENGTHS[order[index] as usize] as u32 <= PEEK {
        let length = LENGTHS[order[index] as usize];
        let end = at + (1 << (PEEK - length as u32));
        while at < end {
            short[at] = (order[index] as u8, length);
            at += 1;
        }
        index += 1;
    }
    short
}
