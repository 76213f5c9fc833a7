//! What a direction keeps in memory.

use super::*;
use crate::{event::Task, protocol::http2::tests::writer::frame};

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

fn feed(frames: &mut Frames, mut bytes: &[u8]) {
    let call = Call { enter: 1, exit: 2, tid: 1, task: Task { tgid: 1, id: 1 } };
    while !bytes.is_empty() {
        let (used, item) = frames.read(bytes, 0, &call);
        assert!(!matches!(item, Item::Invalid));
        bytes = &bytes[used..];
    }
}

fn kept(frames: &Frames) -> usize {
    frames.partial.capacity()
        + frames.text.bytes.capacity()
        + frames.text.more.capacity() * size_of::<(usize, u64)>()
}

#[test]
fn any_number_of_frames_of_one_header_block_takes_bounded_memory() {
    for payload in [0, 1, 100] {
        let mut frames = Frames::from_opening(false);
        feed(&mut frames, &frame(HEADERS, 0, 1, [0x82]));
        feed(&mut frames, &frame(CONTINUATION, 0, 1, vec![0x82; payload]).repeat(100_000));
        assert!(kept(&frames) <= 2 * limit::HEAD_MAX, "{} bytes, {payload} a frame", kept(&frames));
    }
}

#[test]
fn a_long_header_block_is_not_kept() {
    for payload in [16_000, 300] {
        let mut frames = Frames::from_opening(false);
        feed(&mut frames, &frame(HEADERS, 0, 1, [0x82]));
        feed(&mut frames, &frame(CONTINUATION, 0, 1, vec![0x82; payload]).repeat(240_000 / payload));
        assert!(kept(&frames) >= 240_000 / payload * payload);
        feed(&mut frames, &frame(CONTINUATION, END_HEADERS, 1, []));
        feed(&mut frames, &frame(HEADERS, END_HEADERS, 3, [0x82]));
        assert!(kept(&frames) <= 3 * KEPT, "{} bytes, {payload} a frame", kept(&frames));
    }
}
