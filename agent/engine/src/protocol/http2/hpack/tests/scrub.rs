//! Blocks whose secrets were overwritten.

use core::ops::Range;
use std::{collections::HashMap, sync::Arc};

use super::{
    super::{Scrubbed, huffman, scrub::stand_in},
    model::{integer, string},
    simulation::{Encoder, field},
    *,
};
use crate::Secrecy;

/// Cookies are secrets; of a path what is behind an `=`.
struct Secrets;

impl Secrecy for Secrets {
    fn of_field(&self, name: &[u8], value: &[u8]) -> Vec<Range<usize>> {
        match name {
            b"cookie" => core::iter::once(0..value.len()).collect(),
            b":path" => {
                let start = value.iter().position(|byte| *byte == b'=').map(|at| at + 1);
                start.map(|start| start..value.len()).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }
}

/// What is left of a block, and what it decodes to.
fn scrubbed(decoder: &mut Decoder, block: &[u8]) -> (Vec<u8>, Result<Vec<Owned>, Error>) {
    let mut scrubbed = Scrubbed::new(Arc::new(Secrets), block);
    let mut fields = Vec::new();
    let sink = |field: Field<'_>| fields.push(owned(field));
    let decoded = decoder.decode_and_scrub(block, &mut Vec::new(), Some(&mut scrubbed), sink);
    (scrubbed.text().to_vec(), decoded.map(|()| fields))
}

fn bits(text: &[u8]) -> u32 {
    text.iter().map(|symbol| huffman::length(*symbol)).sum()
}

#[test]
fn of_a_coded_secret_only_two_numbers_are_left() {
    let mut random = Random::new();
    let mut known = HashMap::new();
    let alphabets: [&[u8]; 5] = [
        b"abcxyz0129",
        b"XZ!|>~^`\\",
        b"\n\r\x16\x01\xf9\xff",
        b"\n\r\x16",
        b"sk-AKIAxyz0189_&*;%=\x80\xff\n",
    ];
    for round in 0..200_000 {
        let alphabet = alphabets[random.below(alphabets.len())];
        let length = if round % 100 == 0 { random.below(2000) } else { random.below(12) };
        let mut text: Vec<u8> =
            (0..length)
                .map(|_| {
                    if random.one_in(20) {
                        random.next() as u8
                    } else {
                        alphabet[random.below(alphabet.len())]
                    }
                })
                .collect();
        let numbers = (text.len(), bits(&text));
        assert!(stand_in(&mut text), "{numbers:?}");
        assert_eq!((text.len(), bits(&text)), numbers);
        assert_eq!(huffman::encode(&text), model::encode(&text));
        assert_eq!(known.entry(numbers).or_insert_with(|| text.clone()), &text);
    }
    let mut text = *b"secret";
    assert!(stand_in(&mut text));
    assert_eq!(&text, b"aaaaab");
}

#[test]
fn a_decoder_of_what_is_left_has_the_same_entries() {
    let mut random = Random::new();
    let (mut compared, mut overwritten) = (0, 0);
    while compared < 40_000 {
        let largest = [200, 1000, 4096, 16 * 1024][random.below(4)];
        let mut encoder = Encoder::new(largest);
        let (mut all, mut left) = (Decoder::new(), Decoder::new());
        if random.one_in(3) {
            (all, left) = (Decoder::joined_late(), Decoder::joined_late());
        }
        for now in 0..100 {
            let fields: Vec<_> = (0..1 + random.below(8))
                .map(|_| match field(&mut random) {
                    (name, value) if name == b":path" => (name, [b"/a?sig=", &value[..]].concat()),
                    other => other,
                })
                .collect();
            let block = encoder.block(&mut random, &fields, now);
            let (text, expected) = scrubbed(&mut all, &block);
            assert_eq!(text.len(), block.len());
            let (expected, found) = (expected.unwrap(), decode(&mut left, &text).unwrap());
            assert_eq!(found.len(), expected.len());
            for ((name, value), (expected_name, expected_value)) in found.iter().zip(&expected) {
                assert_eq!(name, expected_name);
                let length = |value: &Option<Vec<u8>>| value.as_ref().map(Vec::len);
                assert_eq!(length(value), length(expected_value));
                overwritten += usize::from(value != expected_value);
                if let (Some(b"cookie"), Some(value)) = (name.as_deref(), value) {
                    let stands_in =
                        value.iter().all(|byte| b"abxX!|>~^`\x16".contains(byte) || *byte >= 0x80);
                    assert!(stands_in, "{value:?}");
                }
            }
            compared += found.len();
        }
    }
    assert!(overwritten > 1000, "{overwritten}");
}

#[test]
fn what_cannot_be_decoded_stays_so_and_leaves_nothing_behind() {
    let mut block = hex("82 84");
    for coded in [false, true] {
        integer(&mut block, 6, 0x40, 0);
        string(&mut block, b"cookie", coded);
        string(&mut block, b"secret", coded);
    }
    for cut in 0..block.len() {
        for behind in [
            "",
            "ff ff ff ff ff ff ff",
            "40 80 ff ff ff ff ff 73 65 63 72 65 74",
            "40 00 82 ff ff 73 65 63",
            "80 73",
        ] {
            let block = [&block[..cut], &hex(behind)].concat();
            let (left, decoded) = scrubbed(&mut Decoder::new(), &block);
            let again = decode(&mut Decoder::new(), &left);
            assert_eq!(decoded.as_ref().map(Vec::len), again.as_ref().map(Vec::len), "{block:x?} {left:x?}");
            for secret in [&b"secret"[..], &model::encode(b"secret")] {
                let part = &secret[..secret.len().min(3)];
                assert!(!left.windows(part.len()).any(|window| window == part), "{left:x?}");
            }
        }
    }
}

#[test]
fn what_is_never_to_be_indexed_is_secret_and_so_is_what_has_no_known_name() {
    for (block, left) in [
        // Its name is in the block, in the static table, or a pseudo-header field's.
        ("10 01 61 03 61 62 63", "10 01 61 03 78 78 78"),
        ("1f 2b 03 61 62 63", "1f 2b 03 78 78 78"),
        ("14 02 2f 61", "14 02 2f 61"),
        ("00 01 61 03 61 62 63", "00 01 61 03 61 62 63"),
        // It is that of an entry that was inserted unseen.
        ("7e 03 61 62 63", "7e 03 78 78 78"),
    ] {
        let (text, decoded) = scrubbed(&mut Decoder::joined_late(), &hex(block));
        assert_eq!((text, decoded.is_ok()), (hex(left), true), "{block}");
    }
}
