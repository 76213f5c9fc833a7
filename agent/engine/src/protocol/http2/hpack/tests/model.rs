//! An encoder to be told what to do, and the table it shares with a decoder that saw everything.

use std::collections::VecDeque;

use super::{
    super::{OVERHEAD, huffman, reader::Reader, statics},
    Owned,
};

/// A part of a field that any decoder knows.
pub(super) const ALWAYS: usize = usize::MAX;

/// An entry of the dynamic table, or a field of a block.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
    /// A decoder that saw every block from this one on knows the name;
    pub(super) named: usize,
    /// and one that saw every block from this one on the value.
    pub(super) born: usize,
}

impl Entry {
    /// What a decoder gives that saw every block from `since` on.
    pub(super) fn seen_since(&self, since: usize) -> Owned {
        let known = |part: &Vec<u8>, from| (from >= since).then(|| part.clone());
        (known(&self.name, self.named), known(&self.value, self.born))
    }

    fn size(&self) -> usize {
        self.name.len() + self.value.len() + OVERHEAD as usize
    }
}

/// The dynamic table of an encoder.
#[derive(Debug)]
pub(super) struct Model {
    entries: VecDeque<Entry>,
    pub(super) capacity: usize,
}

impl Model {
    pub(super) fn new() -> Self {
        Self { entries: VecDeque::new(), capacity: 4096 }
    }

    pub(super) fn resize(&mut self, capacity: usize) {
        self.capacity = capacity;
        while self.entries.iter().map(Entry::size).sum::<usize>() > capacity {
            self.entries.pop_back();
        }
    }

    fn insert(&mut self, entry: Entry) {
        if entry.size() > self.capacity {
            self.entries.clear();
        } else {
            self.entries.push_front(entry);
            self.resize(self.capacity);
        }
    }

    fn get(&self, index: usize) -> Entry {
        match statics::entry(index as u32) {
            Some((name, value)) => {
                Entry { name: name.to_vec(), value: value.to_vec(), named: ALWAYS, born: ALWAYS }
            }
            None => self.entries[index - 62].clone(),
        }
    }

    /// An index that stands for such an entry.
    pub(super) fn find(&self, matches: impl Fn(&Entry) -> bool) -> Option<usize> {
        let indices = 1..62 + self.entries.len();
        indices.rev().find(|&index| matches(&self.get(index)))
    }

    /// The fields of a block, the plain way: this table lacks nothing.
    pub(super) fn decode(&mut self, block: &[u8], now: usize) -> Vec<Entry> {
        let mut reader = Reader::new(block);
        let mut fields = Vec::new();
        while let Some(first) = reader.peek() {
            if first >= 0x80 {
                fields.push(self.get(reader.integer(7).unwrap() as usize));
                continue;
            }
            if first & 0xe0 == 0x20 {
                self.resize(reader.integer(5).unwrap() as usize);
                continue;
            }
            let indexed = first & 0x40 != 0;
            let index = reader.integer(if indexed { 6 } else { 4 }).unwrap() as usize;
            let mut text = || {
                let mut scratch = Vec::new();
                reader.string(&mut scratch).unwrap().bytes(&scratch).to_vec()
            };
            let (name, named) = match index {
                0 => (text(), ALWAYS),
                _ => {
                    let entry = self.get(index);
                    (entry.name, entry.named)
                }
            };
            let field = Entry { name, value: text(), named, born: ALWAYS };
            if indexed {
                self.insert(Entry { named: named.min(now), born: now, ..field.clone() });
            }
            fields.push(field);
        }
        fields
    }
}

/// RFC 7541, 5.1, with the bits above the prefix.
pub(super) fn integer(out: &mut Vec<u8>, prefix: u8, above: u8, value: usize) {
    let mask = (1_usize << prefix) - 1;
    if value < mask {
        out.push(above | value as u8);
        return;
    }
    out.push(above | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// RFC 7541, 5.2.
pub(super) fn string(out: &mut Vec<u8>, text: &[u8], coded: bool) {
    if coded {
        let code = encode(text);
        integer(out, 7, 0x80, code.len());
        out.extend(code);
    } else {
        integer(out, 7, 0, text.len());
        out.extend(text);
    }
}

/// The code of each symbol, worked out bit by bit.
pub(super) fn codes() -> Vec<(u32, u8)> {
    let mut symbols: Vec<usize> = (0..huffman::SYMBOLS).collect();
    symbols.sort_by_key(|&symbol| (huffman::LENGTHS[symbol], symbol));
    let mut codes = vec![(0, 0); huffman::SYMBOLS];
    let (mut code, mut length) = (0_u32, huffman::LENGTHS[symbols[0]]);
    for symbol in symbols {
        code <<= huffman::LENGTHS[symbol] - length;
        length = huffman::LENGTHS[symbol];
        codes[symbol] = (code, length);
        code += 1;
    }
    codes
}

/// A string in Huffman code.
pub(super) fn encode(text: &[u8]) -> Vec<u8> {
    std::thread_local!(static CODES: Vec<(u32, u8)> = codes());
    CODES.with(|codes| {
        let (mut out, mut bits, mut count) = (Vec::new(), 0_u64, 0);
        for &byte in text {
            let (code, length) = codes[usize::from(byte)];
            bits = bits << length | u64::from(code);
            count += length;
            while count >= 8 {
                count -= 8;
                out.push((bits >> count) as u8);
            }
        }
        if count > 0 {
            out.push((bits << (8 - count)) as u8 | 0xff >> count);
        }
        out
    })
}
