//! Frames that make no records: what the kernel side is told, and what it says of them.

use super::{framed::Kernel, *};
use crate::{
    event::{Framing, Quiet},
    protocol::Unseen,
};

const FRAME: usize = 16_384;

/// A connection whose first bytes are these.
fn connection(first: &[&[u8]]) -> Kernel {
    let mut kernel = Kernel::new();
    let first = [&[PREFACE, &settings(&[])], first].concat().concat();
    kernel.frames(&first, 0, 24);
    kernel
}

impl Kernel {
    /// Bytes with frames from an offset on, and content behind them that is left out.
    fn frames(&mut self, bytes: &[u8], gap: u64, first: u64) {
        let framing = self.from(first);
        self.requests(0, bytes, gap, framing);
    }

    /// A whole DATA frame of a stream, its content left out behind 32 bytes.
    fn content(&mut self, stream: u32, end: bool) {
        let frame = data(stream, [0; FRAME], end);
        self.frames(&frame[..9 + 32], FRAME as u64 - 32, 0);
    }

    /// Frames that make no records: so many DATA frames of a stream, and one of another type.
    fn quiet(&mut self, stream: u32, count: u64) {
        let content = count * FRAME as u64;
        let quiet = Quiet { stream, content };
        self.requests(0, &[], content + count * 9 + 13, Framing::Quiet(quiet));
    }

    /// What is told of a stream that did not end before.
    fn told(mut self, stream: u64) -> String {
        assert_eq!(self.connection.deadline(), None, "nothing waits");
        self.connection.finish(Unseen::AgentStopped, self.now, &mut self.out);
        self.out.told[&stream].summary()
    }
}

/// An upload of which so much was seen that it is worth an order.
fn upload() -> (Encoder, Kernel) {
    let mut client = Encoder::default();
    let head = client.post(1, "/upload");
    let mut kernel = connection(&[&head]);
    for _ in 0..5 {
        kernel.content(1, false);
    }
    (client, kernel)
}

#[test]
fn of_a_long_upload_the_kernel_side_is_told_once_that_its_content_tells_nothing() {
    let (mut client, mut kernel) = upload();
    assert_eq!(kernel.out.quiet, [(Direction::Received, 1)]);
    kernel.quiet(1, 100);
    kernel.content(1, false);
    assert_eq!(kernel.out.quiet.len(), 1);
    // Another one beside it has to wait until the first has ended.
    let head = client.post(3, "/second");
    kernel.frames(&head, 0, 0);
    for _ in 0..5 {
        kernel.content(3, false);
    }
    assert_eq!(kernel.out.quiet.len(), 1);
    kernel.content(1, true);
    kernel.content(3, false);
    assert_eq!(kernel.out.quiet[1..], [(Direction::Received, 3)]);
}

#[test]
fn a_short_upload_and_a_call_are_worth_no_order() {
    let mut client = Encoder::default();
    let (short, call) = (client.post(1, "/short"), client.call(3, "/a.B/C"));
    let mut kernel = connection(&[&short, &call]);
    for _ in 0..3 {
        kernel.content(1, false);
    }
    for _ in 0..8 {
        kernel.content(3, false);
    }
    assert_eq!(kernel.out.quiet, []);
}

#[test]
fn content_that_makes_no_records_is_counted_and_hides_nothing() {
    let (mut client, mut kernel) = upload();
    kernel.quiet(1, 1_000);
    kernel.content(1, true);
    let behind = client.get(3, "/behind");
    kernel.frames(&behind, 0, 0);
    assert_eq!(kernel.out.counters.value(Counter::Gaps), 0);
    assert_eq!(kernel.out.told[&1].request_body, Some(1_006 * FRAME as u64));
    assert!(kernel.told(3).starts_with("GET /behind"));
}

#[test]
fn after_a_lost_record_nothing_is_made_of_what_made_none() {
    let (mut client, mut kernel) = upload();
    // The record of a frame is lost: what is said of those behind it does not fit any more.
    kernel.position += 9 + FRAME as u64;
    kernel.quiet(1, 10);
    kernel.now += limit::REORDER_WAIT;
    kernel.connection.timeout(kernel.now, &mut kernel.out);
    assert_eq!(kernel.out.quiet, [(Direction::Received, 1), (Direction::Received, 0)], "it is called off");
    let behind = client.get(3, "/behind");
    kernel.frames(&behind, 0, 0);
    assert!(kernel.out.told[&1].request_body.is_none());
    assert!(kernel.told(3).starts_with("GET /behind"));
}

#[test]
fn a_header_block_that_others_interrupt_is_none() {
    let (mut client, mut kernel) = upload();
    // Half a header block: nothing may stand between it and the rest (RFC 9113, 6.10).
    let mut head = client.get(3, "/interrupted");
    head[4] &= !0x4;
    kernel.frames(&head, 0, 0);
    kernel.quiet(0, 0);
    kernel.frames(&frame(9, 0x4, 3, []), 0, 0);
    assert!(!kernel.out.told.contains_key(&3));
}
