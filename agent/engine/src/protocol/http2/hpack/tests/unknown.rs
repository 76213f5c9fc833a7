//! What is known of a connection whose blocks were not all seen.

use super::*;

/// `x-name: value`, inserted under a literal name.
const X: &str = "40 01 78 01 31";

#[test]
fn an_entry_inserted_unseen_is_unknown_and_one_inserted_since_is_not() {
    let mut decoder = Decoder::joined_late();
    assert_eq!(lines(&mut decoder, &hex("82 be")), [":method: GET", "?: ?"]);
    assert_eq!(lines(&mut decoder, &hex(X)), ["x: 1"]);
    assert_eq!(lines(&mut decoder, &hex("be bf c0")), ["x: 1", "?: ?", "?: ?"]);
}

#[test]
fn a_literal_keeps_its_value_when_its_name_is_unknown() {
    let mut decoder = Decoder::joined_late();
    assert_eq!(lines(&mut decoder, &hex("7e 01 61")), ["?: a"]);
    // Inserted: the value is known again, the name is not.
    assert_eq!(lines(&mut decoder, &hex("be")), ["?: a"]);
    assert_eq!(lines(&mut decoder, &hex("7e 01 62")), ["?: b"]);
    assert_eq!(lines(&mut decoder, &hex("be bf c0")), ["?: b", "?: a", "?: ?"]);
}

#[test]
fn a_table_that_was_emptied_is_known() {
    let mut decoder = Decoder::joined_late();
    assert_eq!(lines(&mut decoder, &hex("be")), ["?: ?"]);
    assert_eq!(lines(&mut decoder, &hex("20 3f e1 1f 82")), [":method: GET"]);
    assert_eq!(decode(&mut decoder, &hex("be")), Err(Error::BadIndex(62)));
}

#[test]
fn older_entries_are_gone_once_the_table_has_turned_over() {
    let mut decoder = Decoder::joined_late();
    // A table of 100: two entries of 34 leave room for one more, three do not.
    assert_eq!(lines(&mut decoder, &hex(&format!("3f 45 {X} {X}"))), ["x: 1", "x: 1"]);
    assert_eq!(lines(&mut decoder, &hex("c0")), ["?: ?"]);
    assert_eq!(decode(&mut decoder, &hex("c1")), Err(Error::BadIndex(65)));
    let mut decoder = Decoder::joined_late();
    lines(&mut decoder, &hex(&format!("3f 45 {X} {X} {X}")));
    assert_eq!(lines(&mut decoder, &hex("be bf")), ["x: 1", "x: 1"]);
    assert_eq!(decode(&mut decoder, &hex("c0")), Err(Error::BadIndex(64)));
}

#[test]
fn an_entry_of_unknown_size_evicts_only_what_must_have_left() {
    let mut decoder = Decoder::joined_late();
    // A table of 100 with an entry of 34, then two of at least 33 each: the first may have left, and if it is
    // referred to it has not.
    lines(&mut decoder, &hex(&format!("3f 45 {X} 7f 00 01 61 7f 01 01 62")));
    assert_eq!(lines(&mut decoder, &hex("be bf c0")), ["?: b", "?: a", "x: 1"]);
    // A third one leaves no room for it.
    lines(&mut decoder, &hex("7f 01 01 63"));
    assert_eq!(decode(&mut decoder, &hex("c1")), Err(Error::BadIndex(65)));
}

#[test]
fn a_doubt_forgets_what_was_before_it() {
    let mut decoder = Decoder::new();
    lines(&mut decoder, &hex(X));
    decoder.doubt();
    assert_eq!(lines(&mut decoder, &hex("be")), ["?: ?"]);
    assert_eq!(lines(&mut decoder, &hex("40 01 79 01 32")), ["y: 2"]);
    assert_eq!(lines(&mut decoder, &hex("be bf")), ["y: 2", "?: ?"]);
}

#[test]
fn a_doubt_makes_any_table_size_believable() {
    let mut decoder = Decoder::new();
    decoder.doubt();
    assert_eq!(lines(&mut decoder, &hex("3f e1 ff 03 82")), [":method: GET"]);
    decoder.set_limit(4096);
    assert_eq!(
        decode(&mut decoder, &hex("3f e1 ff 03")),
        Err(Error::SizeTooLarge { size: 65536, limit: 4096 })
    );
}

#[test]
fn a_block_that_is_cut_gives_its_beginning_and_then_doubt() {
    let mut fields = Vec::new();
    let mut decoder = Decoder::new();
    lines(&mut decoder, &hex(X));
    let cut = hex("82 be 40 01 79 05 32");
    decoder.decode_cut(&cut, &mut Vec::new(), |field| fields.push(owned(field))).unwrap();
    let text = |text: &str| Some(text.as_bytes().to_vec());
    assert_eq!(fields, [(text(":method"), text("GET")), (text("x"), text("1"))]);
    assert_eq!(lines(&mut decoder, &hex("be")), ["?: ?"]);
    let bad = Decoder::new().decode_cut(&hex("80"), &mut Vec::new(), |_| {});
    assert_eq!(bad, Err(Error::BadIndex(0)));
}

#[test]
fn an_entry_too_large_to_keep_may_be_there() {
    let mut block = hex("40 01 78");
    model::string(&mut block, &[b'v'; 20_000], false);
    let mut decoder = Decoder::joined_late();
    decode(&mut decoder, &block).unwrap();
    assert_eq!(lines(&mut decoder, &hex("be bf")), ["?: ?", "?: ?"]);
    assert_eq!(lines(&mut decoder, &hex(X)), ["x: 1"]);
    assert_eq!(lines(&mut decoder, &hex("be bf")), ["x: 1", "?: ?"]);
}

#[test]
fn a_table_that_turns_out_to_be_larger_than_assumed_is_kept_whole() {
    let mut decoder = Decoder::joined_late();
    // 300 entries of 132 bytes: more than is kept of a table of which nothing is known.
    let insert = |decoder: &mut Decoder| {
        for number in 0..300 {
            let mut block = hex("40");
            model::string(&mut block, b"x", false);
            model::string(&mut block, format!("{number:099}").as_bytes(), false);
            decode(decoder, &block).unwrap();
        }
    };
    insert(&mut decoder);
    // The 201st newest entry is index 262.
    assert_eq!(lines(&mut decoder, &hex("ff 87 01")), ["?: ?"]);
    insert(&mut decoder);
    assert_eq!(lines(&mut decoder, &hex("ff 87 01")), [format!("x: {:099}", 99)]);
}
