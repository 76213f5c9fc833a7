//! What the kernel side says of frames, and what it is told.

use super::{
    super::direction::{ASK_AGAIN, TELL_AGAIN},
    *,
};
use crate::{
    event::{ConnectionId, Data, Framing, Time},
    protocol::Unseen,
};

/// Feeds records of the request direction: offset in the call, what was left out before the record, its bytes, what
/// was left out behind them, and what the kernel side says of frames.
pub(super) struct Kernel {
    pub(super) connection: Connection,
    pub(super) out: Recorder,
    pub(super) position: u64,
    pub(super) now: Time,
}

impl Kernel {
    pub(super) fn new() -> Self {
        Self {
            connection: Connection::new(role(Side::Server), true),
            out: Recorder::default(),
            position: 0,
            now: 0,
        }
    }

    pub(super) fn record(&mut self, direction: Direction, data: (u64, &[u8], u64), framing: Framing) {
        let (left_out, bytes, gap) = data;
        self.now += 1_000;
        self.position += left_out;
        let data = Data {
            conn: ConnectionId::default(),
            call: call_at(self.now),
            direction,
            position: self.position,
            bytes,
            gap,
            call_offset: left_out,
            ambiguous: false,
            framing,
        };
        self.connection.data(&data, self.now, &mut self.out);
        self.position += bytes.len() as u64 + gap;
    }

    pub(super) fn requests(&mut self, left_out: u64, bytes: &[u8], gap: u64, framing: Framing) {
        self.record(Direction::Received, (left_out, bytes, gap), framing);
    }

    pub(super) fn from(&self, offset: u64) -> Framing {
        Framing::From(self.position + offset)
    }
}

#[test]
fn content_that_is_left_out_before_a_record_of_the_same_call_is_not_waited_for() {
    let mut client = Encoder::default();
    let mut kernel = Kernel::new();
    let mut first = [PREFACE, &settings(&[])[..]].concat();
    first.extend(client.post(1, "/upload"));
    first.extend(&data(1, [0; 16_000], true)[..9 + 32]);
    let framing = kernel.from(24);
    kernel.requests(0, &first, 1_000, framing);
    // The rest of the content, and what follows it, come with one call.
    let second = client.get(3, "/behind");
    let framing = kernel.from(16_000 - 32 - 1_000);
    kernel.requests(16_000 - 32 - 1_000, &second, 0, framing);
    assert_eq!(kernel.connection.deadline(), None, "nothing waits");
    kernel.connection.finish(Unseen::AgentStopped, kernel.now, &mut kernel.out);
    let told = |id: u64| kernel.out.told[&id].summary();
    assert!(told(1).starts_with("POST /upload +16000"), "{}", told(1));
    assert!(told(3).starts_with("GET /behind +0"), "{}", told(3));
    assert_eq!((&kernel.out.skips[..], &kernel.out.frames[..]), (&[][..], &[][..]), "the kernel side knows");
}

#[test]
fn content_of_a_call_that_made_no_record_is_not_waited_for() {
    let mut client = Encoder::default();
    let mut kernel = Kernel::new();
    // Two messages in one frame: the prefix of the second is left out.
    let content = [message(400), message(15_590)].concat();
    let mut first = [PREFACE, &settings(&[]), &client.call(1, "/a.B/C")].concat();
    first.extend(&data(1, &content[..], true)[..9 + 32]);
    let framing = kernel.from(24);
    kernel.requests(0, &first, 0, framing);
    kernel.position += 5_000;
    let rest = content.len() as u64 - 32 - 5_000;
    let framing = kernel.from(rest);
    kernel.requests(rest, &client.get(3, "/behind"), 0, framing);
    assert_eq!(kernel.connection.deadline(), None, "nothing waits");
    kernel.connection.finish(Unseen::AgentStopped, kernel.now, &mut kernel.out);
    assert_eq!(kernel.out.told.keys().copied().collect::<Vec<_>>(), [1, 3]);
    assert_eq!(kernel.out.told[&1].messages.map(|(requests, _)| requests), Some(None), "it is not known");
}

#[test]
fn after_a_lost_record_frames_are_where_the_kernel_side_says() {
    let mut client = Encoder::default();
    let mut kernel = Kernel::new();
    let first = [PREFACE, &settings(&[]), &client.get(1, "/a")].concat();
    let framing = kernel.from(24);
    kernel.requests(0, &first, 0, framing);
    kernel.position += client.get(3, "/lost").len() as u64;
    // A record in which none begins, then one with the end of a payload in front of a header.
    kernel.requests(0, &[0; 50], 0, Framing::Inside);
    let next = [vec![0; 20], Encoder::default().get(5, "/c")].concat();
    let framing = kernel.from(20);
    kernel.requests(0, &next, 0, framing);
    kernel.now += limit::REORDER_WAIT;
    kernel.connection.timeout(kernel.now, &mut kernel.out);
    kernel.connection.finish(Unseen::AgentStopped, kernel.now, &mut kernel.out);
    let seen: Vec<_> = kernel.out.told.keys().copied().collect();
    assert_eq!(seen, [1, 5]);
    assert!(kernel.out.told[&5].summary().starts_with("GET /c"), "{}", kernel.out.told[&5].summary());
}

#[test]
fn a_frame_that_began_in_bytes_that_came_too_late_is_not_where_reading_begins() {
    let mut client = Encoder::default();
    let mut kernel = Kernel::new();
    let first = [PREFACE, &settings(&[]), &client.get(1, "/a")].concat();
    let framing = kernel.from(24);
    kernel.requests(0, &first, 0, framing);
    kernel.position += client.get(3, "/lost").len() as u64;
    // A range in which another call's bytes lie too: those that come later begin inside of it.
    kernel.requests(0, &[0; 50], 30, Framing::Inside);
    kernel.now += limit::REORDER_WAIT;
    kernel.connection.timeout(kernel.now, &mut kernel.out);
    kernel.position -= 30;
    let content = [vec![0; 21], Encoder::default().get(7, "/content")].concat();
    let late = [vec![0; 9], content].concat();
    let framing = kernel.from(0);
    kernel.requests(0, &late, 0, framing);
    let framing = kernel.from(0);
    kernel.requests(0, &Encoder::default().get(9, "/c"), 0, framing);
    kernel.connection.finish(Unseen::AgentStopped, kernel.now, &mut kernel.out);
    assert_eq!(kernel.out.told.keys().copied().collect::<Vec<_>>(), [1, 9]);
}

#[test]
fn the_kernel_side_is_told_where_the_next_frame_begins_until_it_follows() {
    let mut client = Encoder::default();
    let mut kernel = Kernel::new();
    let first = [PREFACE, &settings(&[])[..]].concat();
    kernel.requests(0, &first, 0, Framing::Unknown);
    let behind = |length: usize| (Direction::Received, length as u64);
    assert_eq!(kernel.out.frames, [behind(PREFACE.len()), behind(first.len())]);
    // Soon after, it is not told again; later it is, with the end of the payload that is under way.
    let post = [client.post(1, "/a"), data(1, [0; 500], true)[..100].to_vec()].concat();
    kernel.requests(0, &post, 0, Framing::Unknown);
    assert_eq!(kernel.out.frames.len(), 2);
    kernel.now += TELL_AGAIN;
    kernel.requests(0, &[0; 9], 0, Framing::Unknown);
    assert_eq!(kernel.out.frames[2..], [(Direction::Received, kernel.position + 400)]);
    kernel.now += TELL_AGAIN;
    kernel.requests(0, &[0; 9], 0, Framing::Inside);
    assert_eq!(kernel.out.frames.len(), 3);
}

#[test]
fn in_a_pause_the_kernel_side_is_told_once_where_the_next_frame_begins() {
    let mut client = Encoder::default();
    let mut kernel = Kernel::new();
    kernel.requests(0, &[PREFACE, &settings(&[])[..]].concat(), 0, Framing::Unknown);
    let told = kernel.out.frames.len();
    for stream in [1, 3, 5] {
        kernel.requests(0, &client.get(stream, "/a"), 0, Framing::Unknown);
    }
    assert_eq!(kernel.out.frames.len(), told);
    let due = kernel.connection.deadline();
    assert!(due.is_some_and(|due| due > kernel.now && due <= kernel.now + TELL_AGAIN), "{due:?}");
    kernel.now += TELL_AGAIN;
    for _ in 0..2 {
        kernel.connection.timeout(kernel.now, &mut kernel.out);
        assert_eq!(kernel.out.frames[told..], [(Direction::Received, kernel.position)]);
        kernel.now += TELL_AGAIN;
    }
    assert_eq!(kernel.connection.deadline(), None);
}

#[test]
fn more_of_each_call_is_asked_for_while_frames_are_searched_and_no_more_than_each_second() {
    let mut client = Encoder::default();
    let mut kernel = Kernel::new();
    let first = [PREFACE, &settings(&[])[..]].concat();
    kernel.requests(0, &first, 0, Framing::Unknown);
    assert_eq!(kernel.out.searches, []);
    for (pause, asked) in [(0, 1), (10 * MILLISECOND, 1), (ASK_AGAIN, 2)] {
        kernel.now += pause;
        // Of this call the header of a frame was not copied.
        kernel.requests(0, &client.get(1, "/a")[..5], 50, Framing::Unknown);
        for _ in 0..2 {
            kernel.requests(0, &[0xff; 20], 0, Framing::Unknown);
        }
        assert_eq!(kernel.out.searches, vec![Direction::Received; asked], "{pause}");
    }
}
