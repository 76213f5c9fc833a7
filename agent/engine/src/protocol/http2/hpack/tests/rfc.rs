//! RFC 7541, appendix C, and the numbers of section 5.1.

use super::{
    super::{Pseudo, reader::Reader},
    *,
};

/// The entries of the dynamic table, newest first.
fn table(decoder: &Decoder) -> Vec<String> {
    let text = |part: Option<&[u8]>| String::from_utf8(part.unwrap().to_vec()).unwrap();
    let entries = (62..).map_while(|index| decoder.entry(index).ok());
    entries.map(|entry| format!("{}: {}", text(entry.name), text(entry.value))).collect()
}

/// Each block with its fields, and the table after it.
fn examples(size: u32, blocks: &[(&str, &[&str], &[&str])]) {
    let mut decoder = Decoder::new();
    decoder.table.resize(size);
    for (block, fields, entries) in blocks {
        assert_eq!(lines(&mut decoder, &hex(block)), *fields);
        assert_eq!(table(&decoder), *entries);
    }
}

fn integer(prefix: u8, bytes: &[u8]) -> Result<u32, Error> {
    Reader::new(bytes).integer(prefix)
}

#[test]
fn c1_integers() {
    assert_eq!(integer(5, &[0b1110_1010]), Ok(10));
    assert_eq!(integer(5, &[0b0001_1111, 0b1001_1010, 0b0000_1010]), Ok(1337));
    assert_eq!(integer(7, &[42]), Ok(42));
}

#[test]
fn integers_end_at_32_bits() {
    assert_eq!(integer(7, &[0x7e]), Ok(126));
    assert_eq!(integer(7, &[0x7f, 0]), Ok(127));
    assert_eq!(integer(7, &[0x7f, 0x80, 0x80, 0]), Ok(127));
    assert_eq!(integer(7, &[0x7f, 0x80, 1]), Ok(255));
    assert_eq!(integer(5, &[0x1f, 0xe0, 0xff, 0xff, 0xff, 0x0f]), Ok(u32::MAX));
    assert_eq!(integer(5, &[0x1f, 0xe1, 0xff, 0xff, 0xff, 0x0f]), Err(Error::IntegerTooLarge));
    assert_eq!(integer(5, &[0x1f, 0x80, 0x80, 0x80, 0x80, 0x10]), Err(Error::IntegerTooLarge));
    assert_eq!(integer(5, &[0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0]), Err(Error::IntegerTooLarge));
    assert_eq!(integer(5, &[0x1f, 0x80]), Err(Error::Truncated));
    assert_eq!(integer(5, &[]), Err(Error::Truncated));
}

#[test]
fn c2_literals() {
    let field = &["custom-key: custom-header"][..];
    examples(4096, &[("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", field, field)]);
    examples(4096, &[("040c 2f73 616d 706c 652f 7061 7468", &[":path: /sample/path"], &[])]);
    examples(4096, &[("1008 7061 7373 776f 7264 0673 6563 7265 74", &["password: secret"], &[])]);
    examples(4096, &[("82", &[":method: GET"], &[])]);
}

const AUTHORITY: &str = ":authority: www.example.com";

/// The fields and tables of C.3 and C.4, which differ in the coding only.
fn requests(blocks: [&str; 3]) {
    let [first, second, third] = blocks;
    let custom = "custom-key: custom-value";
    let cache = "cache-control: no-cache";
    examples(
        4096,
        &[
            (first, &[":method: GET", ":scheme: http", ":path: /", AUTHORITY], &[AUTHORITY]),
            (second, &[":method: GET", ":scheme: http", ":path: /", AUTHORITY, cache], &[cache, AUTHORITY]),
            (
                third,
                &[":method: GET", ":scheme: https", ":path: /index.html", AUTHORITY, custom],
                &[custom, cache, AUTHORITY],
            ),
        ],
    );
}

#[test]
fn c3_requests() {
    requests([
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ]);
}

#[test]
fn c4_requests_in_huffman_code() {
    requests([
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ]);
}

/// The fields and tables of C.5 and C.6: a table of 256 bytes, which evicts.
fn responses(blocks: [&str; 3]) {
    let [first, second, third] = blocks;
    let date = "date: Mon, 21 Oct 2013 20:13:21 GMT";
    let later = "date: Mon, 21 Oct 2013 20:13:22 GMT";
    let location = "location: https://www.example.com";
    let private = "cache-control: private";
    let cookie = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
    let gzip = "content-encoding: gzip";
    examples(
        256,
        &[
            (first, &[":status: 302", private, date, location], &[location, date, private, ":status: 302"]),
            (second, &[":status: 307", private, date, location], &[":status: 307", location, date, private]),
            (third, &[":status: 200", private, later, location, gzip, cookie], &[cookie, gzip, later]),
        ],
    );
}

#[test]
fn c5_responses() {
    responses([
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 \
         3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 \
         7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 \
         6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    ]);
}

#[test]
fn c6_responses_in_huffman_code() {
    responses([
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad \
         1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 \
         e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ]);
}

#[test]
fn pseudo_header_fields_are_told_by_their_names() {
    let pseudo = |name: &'static [u8]| Field { name: Some(name), value: None }.pseudo();
    assert_eq!(pseudo(b":path"), Some(Pseudo::Path));
    assert_eq!(pseudo(b":protocol"), Some(Pseudo::Protocol));
    assert_eq!(pseudo(b":paths"), Some(Pseudo::Undefined));
    assert_eq!(pseudo(b"path"), None);
    assert_eq!(Field { name: None, value: Some(b"/") }.pseudo(), None);
}
