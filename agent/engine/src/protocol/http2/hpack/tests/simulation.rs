//! An encoder that does whatever is allowed, and decoders that miss parts of it.

use super::{
    model::{Entry, Model, integer, string},
    *,
};

/// An encoder that takes its decisions by chance.
pub(super) struct Encoder {
    model: Model,
    /// What the receiver allows, and the largest that it ever does.
    limit: usize,
    largest: usize,
}

impl Encoder {
    pub(super) fn new(largest: usize) -> Self {
        Self { model: Model::new(), limit: 4096.min(largest), largest }
    }

    pub(super) fn block(
        &mut self,
        random: &mut Random,
        fields: &[(Vec<u8>, Vec<u8>)],
        now: usize,
    ) -> Vec<u8> {
        let mut block = Vec::new();
        if self.model.capacity > self.limit || random.one_in(50) {
            let size = if random.one_in(3) { 0 } else { random.below(self.limit + 1) };
            integer(&mut block, 5, 0x20, size);
            if random.one_in(2) {
                integer(&mut block, 5, 0x20, random.below(self.limit + 1));
            }
            self.model.decode(&block, now);
        }
        for field in fields {
            let mut part = Vec::new();
            self.field(random, field, &mut part);
            self.model.decode(&part, now);
            block.extend(part);
        }
        block
    }

    fn field(&self, random: &mut Random, (name, value): &(Vec<u8>, Vec<u8>), out: &mut Vec<u8>) {
        let whole = self.model.find(|entry| entry.name == *name && entry.value == *value);
        if let Some(index) = whole.filter(|_| !random.one_in(10)) {
            return integer(out, 7, 0x80, index);
        }
        let (prefix, above) = [(6, 0x40), (6, 0x40), (4, 0x00), (4, 0x10)][random.below(4)];
        let named = self.model.find(|entry| entry.name == *name).filter(|_| !random.one_in(4));
        integer(out, prefix, above, named.unwrap_or(0));
        if named.is_none() {
            string(out, name, random.one_in(2));
        }
        string(out, value, random.one_in(2));
    }
}

/// Fields that repeat often enough to be found in a table, now and then a large one.
pub(super) fn field(random: &mut Random) -> (Vec<u8>, Vec<u8>) {
    let name = match random.below(12) {
        0 => b":path".to_vec(),
        1 => b"cookie".to_vec(),
        number => vec![b'n'; number * 3],
    };
    let value = match random.below(40) {
        0 => vec![b'l'; random.below(5000)],
        1..10 => random.next().to_be_bytes().to_vec(),
        number => format!("{number}{}", random.below(6)).into_bytes(),
    };
    (name, value)
}

/// A decoder, and the first block from which on it has seen all.
struct Observer {
    decoder: Decoder,
    since: usize,
}

impl Observer {
    /// The block arrives, or it does not, or a part of it. Gives how many fields came out.
    fn observe(
        &mut self,
        random: &mut Random,
        block: &[u8],
        entries: &[Entry],
        now: usize,
        large: bool,
    ) -> usize {
        let mut fields = Vec::new();
        let mut scratch = Vec::new();
        let sink = |field: Field<'_>| fields.push(owned(field));
        let since = self.since;
        match random.below(60) {
            0 => {
                self.decoder.doubt();
                self.since = now + 1;
            }
            1 => {
                let cut = random.below(block.len() + 1);
                self.decoder.decode_cut(&block[..cut], &mut scratch, sink).unwrap();
                self.since = now + 1;
            }
            _ => {
                self.decoder.decode(block, &mut scratch, sink).unwrap();
                assert_eq!(fields.len(), entries.len());
            }
        }
        for (field, entry) in fields.iter().zip(entries) {
            if large {
                // A table larger than what is kept: less is known, and all of that is right.
                assert!(field.0.as_ref().is_none_or(|name| *name == entry.name));
                assert!(field.1.as_ref().is_none_or(|value| *value == entry.value));
            } else {
                assert_eq!(*field, entry.seen_since(since), "block {now}, seen since {since}");
            }
        }
        fields.len()
    }
}

/// Gives how many fields were compared.
fn connection(random: &mut Random, largest: usize, blocks: usize) -> usize {
    let mut encoder = Encoder { model: Model::new(), limit: 4096, largest };
    let mut model = Model::new();
    let mut whole = Decoder::new();
    let late = || Observer { decoder: Decoder::joined_late(), since: 0 };
    let mut observers = [late(), late(), late()];
    let mut compared = 0;
    for now in 0..blocks {
        if random.one_in(40) {
            encoder.limit = random.below(encoder.largest + 1);
            whole.set_limit(encoder.limit as u32);
            observers.iter_mut().for_each(|late| late.decoder.set_limit(encoder.limit as u32));
        }
        let fields: Vec<_> = (0..1 + random.below(8)).map(|_| field(random)).collect();
        let block = encoder.block(random, &fields, now);
        let entries = model.decode(&block, now);
        assert!(
            entries.iter().map(|entry| (&entry.name, &entry.value)).eq(fields.iter().map(|(n, v)| (n, v)))
        );
        let large = largest > 16 * 1024;
        if largest <= 64 * 1024 {
            let expected: Vec<_> = entries.iter().map(|entry| entry.seen_since(0)).collect();
            assert_eq!(decode(&mut whole, &block), Ok(expected));
        }
        for late in &mut observers {
            compared += late.observe(random, &block, &entries, now, large);
        }
    }
    compared
}

#[test]
fn what_was_missed_never_makes_a_wrong_field() {
    let mut random = Random::new();
    let wanted = if cfg!(debug_assertions) { 100_000 } else { 3_000_000 };
    let mut compared = 0;
    while compared < wanted {
        let largest = [200, 1000, 4096, 16 * 1024, 64 * 1024, 500_000][random.below(6)];
        compared += connection(&mut random, largest, 300);
    }
    eprintln!("{compared} fields compared");
}
