//! HPACK: the examples of RFC 7541, other encoders, hostile blocks, and connections joined late.

mod corpus;
mod hostile;
mod huffman;
mod model;
mod rfc;
mod scrub;
mod simulation;
mod unknown;

use super::{Decoder, Error, Field};

/// A field as it came out: parts that are unknown are `None`.
type Owned = (Option<Vec<u8>>, Option<Vec<u8>>);

fn owned(field: Field<'_>) -> Owned {
    (field.name.map(<[u8]>::to_vec), field.value.map(<[u8]>::to_vec))
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<Owned>, Error> {
    let mut fields = Vec::new();
    decoder.decode(block, &mut Vec::new(), |field| fields.push(owned(field)))?;
    Ok(fields)
}

/// Decodes to lines `name: value`, with `?` for what is unknown.
fn lines(decoder: &mut Decoder, block: &[u8]) -> Vec<String> {
    let text = |part: Option<Vec<u8>>| part.map_or("?".to_owned(), |part| String::from_utf8(part).unwrap());
    let fields = decode(decoder, block).unwrap();
    fields.into_iter().map(|(name, value)| format!("{}: {}", text(name), text(value))).collect()
}

/// Bytes of hexadecimal digits; white space is ignored.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let value = |pair: &[u8]| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(value).collect()
}

/// A generator that gives the same numbers each time; `SPANDREL_SEED` in the environment gives others.
struct Random(u64);

impl Random {
    #[expect(clippy::disallowed_methods, reason = "other numbers for the tests")]
    fn new() -> Self {
        let seed = std::env::var("SPANDREL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7541);
        eprintln!("SPANDREL_SEED={seed}");
        Self(seed)
    }

    /// splitmix64
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}
