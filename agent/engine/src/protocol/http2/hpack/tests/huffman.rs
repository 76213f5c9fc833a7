//! The Huffman code (RFC 7541, 5.2 and appendix B).

use super::{
    super::{Error, huffman},
    Random,
    model::{codes, encode},
};

fn decode(coded: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    huffman::decode(coded, &mut out).map(|()| out)
}

#[test]
fn every_symbol_comes_back_at_every_bit_offset() {
    for symbol in 0..=255 {
        for lead in 0..9 {
            let mut text = vec![b'0'; lead];
            text.extend([symbol; 3]);
            assert_eq!(decode(&encode(&text)), Ok(text));
        }
    }
}

#[test]
fn random_strings_come_back() {
    let mut random = Random::new();
    for _ in 0..2000 {
        let length = random.below(300);
        let text = random.bytes(length);
        assert_eq!(decode(&encode(&text)), Ok(text));
    }
}

#[test]
fn codes_are_those_of_the_appendix() {
    let codes = codes();
    assert_eq!(codes[usize::from(b'0')], (0x0, 5));
    assert_eq!(codes[usize::from(b':')], (0x5c, 7));
    assert_eq!(codes[usize::from(b'X')], (0xfc, 8));
    assert_eq!(codes[usize::from(b'\\')], (0x7fff0, 19));
    assert_eq!(codes[0], (0x1ff8, 13));
    assert_eq!(codes[10], (0x3fff_fffc, 30));
    assert_eq!(codes[22], (0x3fff_fffe, 30));
    assert_eq!(codes[249], (0xfff_fffe, 28));
    assert_eq!(codes[256], (0x3fff_ffff, 30));
}

#[test]
fn padding_is_shorter_than_a_byte_and_all_ones() {
    // '0' is 00000, 'a' is 00011.
    assert_eq!(decode(&[0b0000_0111]), Ok(b"0".to_vec()));
    assert_eq!(decode(&[0b0000_0110]), Err(Error::BadHuffman));
    assert_eq!(decode(&[0b0000_0111, 0xff]), Err(Error::BadHuffman));
    assert_eq!(decode(&[]), Ok(Vec::new()));
    assert_eq!(decode(&[0xff]), Err(Error::BadHuffman));
    // 'X' is 11111100, so it needs no padding.
    assert_eq!(decode(&[0b1111_1100]), Ok(b"X".to_vec()));
    assert_eq!(decode(&[0b1111_1100, 0xff]), Err(Error::BadHuffman));
}

#[test]
fn end_of_string_is_no_symbol_of_a_string() {
    assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff]), Err(Error::BadHuffman));
    assert_eq!(decode(&[0xff, 0xff, 0xff, 0xfc]), Err(Error::BadHuffman));
    assert_eq!(decode(&[0xff; 40]), Err(Error::BadHuffman));
    let mut text = encode(b"aaaaaaaa");
    text.extend([0xff; 4]);
    assert_eq!(decode(&text), Err(Error::BadHuffman));
}

#[test]
fn a_code_that_is_cut_is_refused() {
    // 28 bits of symbol 1, less one byte.
    let mut text = encode(&[1]);
    text.pop();
    assert_eq!(decode(&text), Err(Error::BadHuffman));
}
