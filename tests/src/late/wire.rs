//! What lies on the wire of a connection that was recorded from its first byte, read plainly: frames, and of every field
//! which insertions into the header table it takes to know it (RFC 7541, 6). The header tables themselves are not
//! followed: an index counts from the newest entry, so that it says which insertion it means.

use std::collections::BTreeMap;

use abi::{DataRecord, record::kind};
use engine::protocol::http2::hpack::Decoder;
use zerocopy::FromBytes;

use crate::variation::{kind_of, payload};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADER: usize = 9;
const HEADERS: u8 = 1;
const END_HEADERS: u8 = 4;
/// Padding and priority, which the recorded programs do not send.
const PADDED_OR_PRIORITY: u8 = 0x28;
/// Entries of the static table (RFC 7541, A).
const STATIC: u64 = 61;

/// A direction of a connection: its socket, and whether it is what was sent.
pub type Way = (u64, bool);

/// A field of a header block.
#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub value: String,
    /// The oldest insertion that it takes to know the field; `None`: it takes none.
    pub since: Option<u64>,
}

/// A frame.
#[derive(Clone, Debug)]
pub struct Frame {
    pub position: u64,
    pub stream: u32,
    /// Of a header block; else there are none.
    pub fields: Vec<Field>,
    /// Insertions before it.
    pub inserted: u64,
}

/// The first position of each direction that is in these records.
pub fn starts(records: &[Vec<u8>]) -> BTreeMap<Way, u64> {
    let mut starts = BTreeMap::new();
    for (way, position, _) in pieces(records) {
        starts.entry(way).and_modify(|start: &mut u64| *start = position.min(*start)).or_insert(position);
    }
    starts
}

/// All frames, by direction.
pub fn frames(records: &[Vec<u8>]) -> BTreeMap<Way, Vec<Frame>> {
    let mut bytes: BTreeMap<Way, BTreeMap<u64, &[u8]>> = BTreeMap::new();
    for (way, position, payload) in pieces(records) {
        bytes.entry(way).or_default().insert(position, payload);
    }
    let frames = |(way, pieces): (Way, BTreeMap<u64, &[u8]>)| {
        let mut all = Vec::new();
        for (position, piece) in pieces {
            assert_eq!(position, all.len() as u64, "all of the connection is recorded");
            all.extend_from_slice(piece);
        }
        (way, cut(&all))
    };
    bytes.into_iter().map(frames).collect()
}

fn pieces(records: &[Vec<u8>]) -> impl Iterator<Item = (Way, u64, &[u8])> {
    records.iter().filter(|record| kind_of(record) == Some(kind::DATA)).filter_map(|record| {
        let (data, _) = DataRecord::ref_from_prefix(record).ok()?;
        let sent = data.direction == abi::conn::direction::SENT;
        Some(((data.conn.sock, sent), data.position, payload(record)?))
    })
}

fn cut(bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut at = if bytes.starts_with(PREFACE) { PREFACE.len() } else { 0 };
    let mut table = Vec::new();
    let mut decoder = Decoder::new();
    decoder.forget_limit();
    while let Some(&[a, b, c, kind, flags, d, e, f, g]) =
        bytes.get(at..).and_then(<[u8]>::first_chunk::<HEADER>)
    {
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let position = at as u64;
        let payload = bytes.get(at + HEADER..at + HEADER + length).expect("a whole frame");
        at += HEADER + length;
        let inserted = table.len() as u64;
        let mut fields = Vec::new();
        if kind == HEADERS {
            assert!(flags & END_HEADERS != 0, "a whole block");
            let block = if flags & PADDED_OR_PRIORITY == 0 { payload } else { unwrapped(flags, payload) };
            let text = |part: Option<&[u8]>| String::from_utf8_lossy(part.unwrap_or_default()).into_owned();
            decoder
                .decode(block, &mut Vec::new(), |field| {
                    fields.push(Field { name: text(field.name), value: text(field.value), since: None });
                })
                .expect("a block that can be decoded");
            let origins = origins(block, &mut table);
            assert_eq!(origins.len(), fields.len());
            for (field, since) in fields.iter_mut().zip(origins) {
                field.since = since;
            }
        }
        let stream = u32::from_be_bytes([d, e, f, g]) & 0x7fff_ffff;
        frames.push(Frame { position, stream, fields, inserted });
    }
    frames
}

/// A block without its padding and priority (RFC 9113, 6.2).
fn unwrapped(flags: u8, payload: &[u8]) -> &[u8] {
    let (padding, rest) = match payload {
        [padding, rest @ ..] if flags & 8 != 0 => (usize::from(*padding), rest),
        all => (0, all),
    };
    let skip = if flags & 0x20 == 0 { 0 } else { 5 };
    &rest[skip..rest.len() - padding]
}

/// For each field of a block the oldest insertion that it takes. `names` has for each insertion so far the one that has
/// its name.
fn origins(mut block: &[u8], names: &mut Vec<Option<u64>>) -> Vec<Option<u64>> {
    let mut origins = Vec::new();
    while let Some(&first) = block.first() {
        let newest = names.len() as u64;
        let dynamic = |index: u64| (index > STATIC).then(|| newest - (index - STATIC));
        let name_of = |index: u64| dynamic(index).and_then(|entry| names[entry as usize]);
        if first & 0x80 != 0 {
            let index = integer(&mut block, 7);
            origins.push(dynamic(index).map(|entry| entry.min(name_of(index).unwrap_or(entry))));
        } else if first & 0xe0 == 0x20 {
            integer(&mut block, 5);
        } else {
            let indexed = first & 0x40 != 0;
            let index = integer(&mut block, if indexed { 6 } else { 4 });
            if index == 0 {
                string(&mut block);
            }
            string(&mut block);
            origins.push(name_of(index));
            if indexed {
                let own = if index == 0 { Some(newest) } else { name_of(index) };
                names.push(own);
            }
        }
    }
    origins
}

fn integer(block: &mut &[u8], prefix: u8) -> u64 {
    let mask = (1_u8 << prefix) - 1;
    let first = block[0] & mask;
    *block = &block[1..];
    let mut value = u64::from(first);
    if first < mask {
        return value;
    }
    for shift in (0..).step_by(7) {
        let byte = block[0];
        *block = &block[1..];
        value += u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

fn string(block: &mut &[u8]) {
    let length = integer(block, 7) as usize;
    *block = &block[length..];
}
