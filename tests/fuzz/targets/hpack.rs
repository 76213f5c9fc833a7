//! Header blocks of one direction, decoded by one who saw them all, by one who joined late, and by one who was
//! told that blocks were lost. Whoever saw less may know less, but nothing else.
#![no_main]

use engine::protocol::http2::hpack::{Decoder, Error, Field, LIST_MAX};
use fuzz::{memory, script::Script};
use libfuzzer_sys::fuzz_target;

const OVERHEAD: usize = 32;

/// A field that owns its bytes.
type Owned = (Option<Vec<u8>>, Option<Vec<u8>>);

fuzz_target!(|input: &[u8]| memory::bounded(input, 4 << 20, 1024, || play(input)));

fn play(input: &[u8]) {
    let mut script = Script::new(input);
    let mut whole = Decoder::new();
    let mut late: Option<Decoder> = None;
    let mut lossy = Decoder::new();
    let mut scratch = Vec::new();
    while !script.is_empty() {
        let kind = script.byte();
        match kind & 3 {
            0 => {
                let block = script.text();
                let (decoded, fields) = decode(&mut whole, block, &mut scratch, false);
                if decoded.is_err() {
                    // A peer would close the connection; nothing that follows has a meaning to compare.
                    whole.doubt();
                    return after_error(&mut script, whole, &mut scratch);
                }
                for other in late.iter_mut().chain([&mut lossy]) {
                    let (decoded, found) = decode(other, block, &mut scratch, false);
                    assert_eq!(decoded, Ok(()), "who saw less refuses a block that is right");
                    compare(&fields, &found);
                }
                // A cut block has the first of the same fields.
                let cut = &block[..block.len() * usize::from(kind >> 2) / 64];
                let (decoded, found) = decode(&mut Decoder::joined_late(), cut, &mut scratch, true);
                assert_eq!(decoded, Ok(()), "the beginning of a block that is right is refused");
                assert!(found.len() <= fields.len());
                compare(&fields[..found.len()], &found);
            }
            1 => {
                let limit = u32::from(script.short()) << (kind >> 4);
                whole.set_limit(limit);
                if let Some(late) = &mut late {
                    late.set_limit(limit);
                }
                lossy.set_limit(limit);
            }
            2 => late = Some(Decoder::joined_late()),
            _ => lossy.doubt(),
        }
    }
}

fn after_error(script: &mut Script<'_>, mut decoder: Decoder, scratch: &mut Vec<u8>) {
    while !script.is_empty() {
        let cut = script.byte() & 1 == 1;
        // Whatever comes of it, it comes to an end.
        drop(decode(&mut decoder, script.text(), scratch, cut));
    }
}

fn decode(
    decoder: &mut Decoder,
    block: &[u8],
    scratch: &mut Vec<u8>,
    cut: bool,
) -> (Result<(), Error>, Vec<Owned>) {
    let (mut fields, mut size) = (Vec::new(), 0);
    let sink = |field: Field<'_>| {
        let length = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
        size += length(field.name) + length(field.value) + OVERHEAD;
        assert!(field.value.is_some() || field.name.is_none(), "a name without a value");
        fields.push((field.name.map(<[u8]>::to_vec), field.value.map(<[u8]>::to_vec)));
    };
    let decoded =
        if cut { decoder.decode_cut(block, scratch, sink) } else { decoder.decode(block, scratch, sink) };
    assert!(size <= LIST_MAX, "a list of {size} bytes");
    (decoded, fields)
}

fn compare(known: &[Owned], found: &[Owned]) {
    assert_eq!(known.len(), found.len());
    let agree = |one: &Option<Vec<u8>>, other: &Option<Vec<u8>>| match (one, other) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    };
    let same = |(one, other): (&Owned, &Owned)| agree(&one.0, &other.0) && agree(&one.1, &other.1);
    assert!(known.iter().zip(found).all(same), "{known:?} is not {found:?}");
}
