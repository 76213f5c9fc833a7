use zerocopy::FromZeros;

use super::*;

fn data(text: &[u8]) -> Vec<u8> {
    let mut whole = DataRecord::new_zeroed();
    whole.header.kind = kind::DATA;
    whole.position = 100;
    whole.covered = u32::try_from(text.len()).unwrap() + 7;
    whole.copied = u32::try_from(text.len()).unwrap();
    whole.call_length = whole.covered;
    join(whole, text)
}

#[test]
fn pieces_join_to_what_was_cut() {
    let record = data(b"GET / HTTP/1.1");
    let pieces = in_pieces_of(&[record], 1);
    assert_eq!(pieces.len(), 14);
    let joined: Vec<u8> = pieces.iter().flat_map(|piece| payload(piece).unwrap().to_vec()).collect();
    assert_eq!(joined, b"GET / HTTP/1.1");
    let last = DataRecord::read_from_prefix(&pieces[13]).unwrap().0;
    // The gap behind the copied bytes stays behind the last piece.
    assert_eq!((last.position, last.call_offset, last.covered, last.copied), (113, 13, 8, 1));
}

#[test]
fn every_boundary_and_every_record_has_its_variation() {
    let records = [data(b"abc"), data(b"de")];
    assert_eq!(every_cut(&records).count(), 3);
    assert_eq!(every_loss(&records).count(), 2);
    assert!(every_loss(&records).all(|(_, varied)| varied.len() == 1));
    assert_eq!(with_twin(&records).len(), 4);
}
