//! What no encoder sends, and what costs more than it should.

use super::{
    super::{LIST_MAX, TABLE_MAX},
    model::{integer, string},
    *,
};

/// Memory that the table of a connection may take: names, values and slots, with room to grow.
const MEMORY_MAX: usize = 6 * TABLE_MAX as usize;

/// A literal that is inserted.
fn inserted(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut block = vec![0x40];
    string(&mut block, name, false);
    string(&mut block, value, false);
    block
}

#[test]
fn indices_beyond_the_tables_are_refused() {
    assert_eq!(decode(&mut Decoder::new(), &[0x80]), Err(Error::BadIndex(0)));
    assert_eq!(decode(&mut Decoder::new(), &[0xbe]), Err(Error::BadIndex(62)));
    assert_eq!(decode(&mut Decoder::new(), &[0x7e, 1, b'a']), Err(Error::BadIndex(62)));
    let mut block = inserted(b"a", b"b");
    block.push(0xbf);
    assert_eq!(decode(&mut Decoder::new(), &block), Err(Error::BadIndex(63)));
}

#[test]
fn a_block_cut_anywhere_within_a_field_is_truncated() {
    let block = inserted(b"name", b"value");
    for end in 1..block.len() {
        assert_eq!(decode(&mut Decoder::new(), &block[..end]), Err(Error::Truncated));
    }
    assert_eq!(decode(&mut Decoder::new(), &[]), Ok(Vec::new()));
}

#[test]
fn a_table_size_stays_within_what_was_agreed() {
    let mut block = Vec::new();
    integer(&mut block, 5, 0x20, 4097);
    assert_eq!(decode(&mut Decoder::new(), &block), Err(Error::SizeTooLarge { size: 4097, limit: 4096 }));
    let mut decoder = Decoder::new();
    decoder.set_limit(4097);
    assert_eq!(decode(&mut decoder, &block), Ok(Vec::new()));
    let mut decoder = Decoder::new();
    decoder.forget_limit();
    assert_eq!(decode(&mut decoder, &block), Ok(Vec::new()));
}

#[test]
fn a_table_size_changes_before_the_first_field_only() {
    assert_eq!(
        decode(&mut Decoder::new(), &[0x20, 0x3f, 0xe1, 0x1f, 0x82]).map(|fields| fields.len()),
        Ok(1)
    );
    assert_eq!(decode(&mut Decoder::new(), &[0x82, 0x20]), Err(Error::SizeMisplaced));
}

#[test]
fn a_bomb_ends_at_the_bound() {
    let mut decoder = Decoder::new();
    decode(&mut decoder, &inserted(b"a", &[b'x'; 4000])).unwrap();
    let mut listed = 0;
    let bomb = vec![0xbe; 100_000];
    let mut sink = |field: Field<'_>| listed += field.value.unwrap().len();
    assert_eq!(decoder.decode(&bomb, &mut Vec::new(), &mut sink), Err(Error::Bomb));
    assert!(listed <= LIST_MAX);
    let mut fields = 0;
    let ended = Decoder::new().decode(&[0x82; 100_000], &mut Vec::new(), |_| fields += 1);
    assert_eq!(ended, Err(Error::ListTooLong));
    assert!(fields <= LIST_MAX / 32);
}

#[test]
fn a_long_list_of_many_fields_is_no_bomb_and_its_entries_are_known() {
    let mut decoder = Decoder::new();
    let mut block = Vec::new();
    for number in 0..20_000_u32 {
        block.extend(inserted(b"n", &number.to_be_bytes()));
    }
    let mut fields = 0;
    assert_eq!(decoder.decode(&block, &mut Vec::new(), |_| fields += 1), Err(Error::ListTooLong));
    assert_eq!(fields, LIST_MAX / 37);
    let last = 19_999_u32.to_be_bytes().to_vec();
    assert_eq!(decode(&mut decoder, &[0xbe]), Ok(vec![(Some(b"n".to_vec()), Some(last))]));
}

#[test]
fn a_table_that_may_be_huge_keeps_its_newest_entries_only() {
    let mut decoder = Decoder::new();
    decoder.set_limit(u32::MAX);
    let mut block = Vec::new();
    integer(&mut block, 5, 0x20, u32::MAX as usize);
    decode(&mut decoder, &block).unwrap();
    for number in 0..100_000_u32 {
        decode(&mut decoder, &inserted(b"n", &number.to_be_bytes())).unwrap();
        assert!(decoder.table.memory() < MEMORY_MAX);
    }
    let mut reference = |age: usize| {
        let mut block = Vec::new();
        integer(&mut block, 7, 0x80, 62 + age);
        decode(&mut decoder, &block)
    };
    let kept = TABLE_MAX as usize / (32 + 5);
    let number = |age: u32| (99_999 - age).to_be_bytes().to_vec();
    assert_eq!(reference(0), Ok(vec![(Some(b"n".to_vec()), Some(number(0)))]));
    assert_eq!(reference(kept - 1), Ok(vec![(Some(b"n".to_vec()), Some(number(kept as u32 - 1)))]));
    assert_eq!(reference(kept), Ok(vec![(None, None)]));
    assert_eq!(reference(99_999), Ok(vec![(None, None)]));
}

#[test]
fn an_entry_larger_than_the_table_empties_it() {
    let mut decoder = Decoder::new();
    decode(&mut decoder, &inserted(b"a", b"b")).unwrap();
    decode(&mut decoder, &inserted(b"a", &[b'x'; 4096 - 32])).unwrap();
    assert_eq!(decode(&mut decoder, &[0xbe]), Err(Error::BadIndex(62)));
}

#[test]
fn an_entry_can_take_its_name_from_one_that_it_evicts() {
    let mut decoder = Decoder::new();
    decode(&mut decoder, &inserted(b"long-name", &[b'x'; 3000])).unwrap();
    let mut block = vec![0x7e];
    string(&mut block, &[b'y'; 3000], true);
    block.push(0xbe);
    let fields = decode(&mut decoder, &block).unwrap();
    assert_eq!(fields[0], fields[1]);
    assert_eq!(fields[1], (Some(b"long-name".to_vec()), Some(vec![b'y'; 3000])));
    assert_eq!(decode(&mut decoder, &[0xbf]), Err(Error::BadIndex(63)));
}

#[test]
fn after_an_error_nothing_is_known() {
    let mut decoder = Decoder::new();
    decode(&mut decoder, &inserted(b"a", b"b")).unwrap();
    assert_eq!(decode(&mut decoder, &[0x40]), Err(Error::Truncated));
    assert_eq!(decode(&mut decoder, &[0xbe]), Ok(vec![(None, None)]));
}

#[test]
fn random_blocks_neither_panic_nor_fill_memory() {
    let mut random = Random::new();
    let mut scratch = Vec::new();
    let rounds = if cfg!(debug_assertions) { 20_000 } else { 2_000_000 };
    let mut decoder = Decoder::new();
    for _ in 0..rounds {
        match random.below(20) {
            0 => decoder = Decoder::new(),
            1 => decoder = Decoder::joined_late(),
            2 => decoder.set_limit(random.next() as u32),
            3 => decoder.doubt(),
            _ => {}
        }
        let length = random.below(100);
        let mut block = random.bytes(length);
        // Long strings do not come by chance.
        if random.one_in(4) {
            let length = random.below(3000);
            block.splice(0..0, inserted(b"n", &vec![b'v'; length]));
        }
        let sink = |field: Field<'_>| assert!(field.name.is_none() || field.value.is_some());
        if random.one_in(8) {
            decoder.decode_cut(&block, &mut scratch, sink).ok();
        } else {
            decoder.decode(&block, &mut scratch, sink).ok();
        }
        assert!(decoder.table.memory() < MEMORY_MAX);
    }
    assert!(scratch.capacity() < 16_000);
}
