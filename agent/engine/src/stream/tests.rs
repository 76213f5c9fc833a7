use super::*;
use crate::{counter::Counters, protocol::testing::call_at};

/// Writes down what is delivered, and checks that positions follow each other.
#[derive(Default)]
struct Log {
    text: String,
    next: Option<u64>,
    absorbs: bool,
    counters: Counters,
}

impl Sink for Log {
    fn bytes(&mut self, input: &Bytes<'_>) {
        assert_eq!(*self.next.get_or_insert(input.position), input.position);
        self.next = Some(input.position + input.bytes.len() as u64);
        self.text += if input.call_start { "|" } else { "," };
        self.text += std::str::from_utf8(input.bytes).unwrap();
    }

    fn gap(&mut self, gap: &Gap) {
        assert_eq!(*self.next.get_or_insert(gap.position), gap.position);
        self.next = Some(gap.position + gap.length);
        self.text += &format!("<{}>", gap.length);
    }

    fn absorbs(&self, _: Direction, _: u64, _: u64) -> bool {
        self.absorbs
    }

    fn count(&mut self, counter: Counter, amount: u64) {
        self.counters.add(counter, amount);
    }
}

fn data(position: u64, bytes: &str) -> Data<'_> {
    Data {
        conn: Default::default(),
        call: call_at(1),
        direction: Direction::Sent,
        position,
        bytes: bytes.as_bytes(),
        gap: 0,
        call_offset: 0,
        framing: Framing::Unknown,
        ambiguous: false,
    }
}

/// Data at these positions and times, then a long time.
fn deliver(from_opening: bool, input: &[(Data<'_>, Time)]) -> Log {
    let mut stream = Stream::new(Direction::Sent, from_opening);
    let mut log = Log::default();
    for (data, now) in input {
        stream.timeout(*now, &mut log);
        stream.data(data, *now, &mut log);
    }
    while let Some(deadline) = stream.deadline() {
        stream.timeout(deadline, &mut log);
    }
    assert!(stream.is_settled());
    log
}

#[test]
fn bytes_go_out_by_position_whatever_the_order_of_arrival() {
    let pieces = [data(0, "ab"), data(2, "c"), data(3, "def"), data(6, "g")];
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
        let input: Vec<_> = order.iter().map(|index| (pieces[*index], 0)).collect();
        assert_eq!(deliver(true, &input).text, "|ab|c|def|g");
    }
}

#[test]
fn an_old_connection_starts_where_it_is_first_seen() {
    assert_eq!(deliver(false, &[(data(700, "ab"), 0), (data(702, "c"), 0)]).text, "|ab|c");
}

#[test]
fn a_hole_is_a_gap_of_exact_size_after_the_wait_and_not_before() {
    let mut stream = Stream::new(Direction::Sent, true);
    let mut log = Log::default();
    stream.data(&data(0, "a"), 0, &mut log);
    stream.data(&data(8, "b"), 5, &mut log);
    assert_eq!(stream.deadline(), Some(5 + limit::REORDER_WAIT));
    stream.timeout(4 + limit::REORDER_WAIT, &mut log);
    assert_eq!(log.text, "|a");
    stream.timeout(5 + limit::REORDER_WAIT, &mut log);
    assert_eq!(log.text, "|a<7>|b");
    stream.data(&data(3, "late"), 6 + limit::REORDER_WAIT, &mut log);
    assert_eq!(log.text, "|a<7>|b");
    assert_eq!(log.counters.value(Counter::LateBytes), 4);
}

#[test]
fn a_hole_that_is_absorbed_needs_no_wait() {
    let mut stream = Stream::new(Direction::Sent, true);
    let mut log = Log { absorbs: true, ..Log::default() };
    stream.data(&data(8, "b"), 0, &mut log);
    assert_eq!(log.text, "<8>|b");
    assert_eq!(stream.deadline(), None);
}

#[test]
fn bytes_behind_the_capture_limit_are_a_gap_at_once() {
    let cut = Data { gap: 10, ..data(0, "abc") };
    assert_eq!(deliver(true, &[(cut, 0), (data(13, "d"), 0)]).text, "|abc<10>|d");
}

#[test]
fn overlapping_bytes_are_cut_and_counted() {
    let log = deliver(true, &[(data(0, "abcd"), 0), (data(2, "cdef"), 0), (data(0, "ab"), 0)]);
    assert_eq!(log.text, "|abcd,ef");
    assert_eq!(log.counters.value(Counter::LateBytes), 4);
    let log = deliver(true, &[(data(1, "bcd"), 0), (data(3, "def"), 0), (data(0, "a"), 0)]);
    assert_eq!(log.text, "|a|bcd,ef");
}

#[test]
fn certain_bytes_win_over_an_ambiguous_range() {
    let ambiguous = |position, length| Data { ambiguous: true, gap: length, ..data(position, "") };
    // The certain call lies within the range of the ambiguous one, and is recorded before or after.
    let certain = data(4, "wxyz");
    assert_eq!(
        deliver(true, &[(certain, 0), (ambiguous(0, 10), 0), (data(10, "k"), 0)]).text,
        "<4>|wxyz<2>|k"
    );
    let log = deliver(true, &[(ambiguous(0, 10), 0), (certain, 0), (data(10, "k"), 0)]);
    assert_eq!(log.text, "<10>|k");
    // Superseded ranges are no loss.
    let log = deliver(true, &[(data(0, "abcdef"), 0), (ambiguous(2, 4), 0), (ambiguous(4, 4), 0)]);
    assert_eq!((log.text.as_str(), log.counters.value(Counter::LateBytes)), ("|abcdef<2>", 0));
    // Two ambiguous ranges with certain bytes in between, behind a hole.
    let input = [ambiguous(3, 6), data(5, "x"), ambiguous(4, 8), data(7, "y"), data(0, "abc")];
    assert_eq!(deliver(true, &input.map(|data| (data, 0))).text, "|abc<2>|x<1>|y<1><3>");
}

#[test]
fn a_full_queue_gives_up_the_holes() {
    let mut stream = Stream::new(Direction::Sent, true);
    let mut log = Log::default();
    let block = "x".repeat(16 * 1024);
    for index in 0..70_u64 {
        stream.data(&data(10 + index * 16 * 1024, &block), 0, &mut log);
    }
    assert_eq!(log.counters.value(Counter::ReorderFull), 1);
    assert!(log.text.starts_with("<10>|"));
}

#[test]
fn what_is_missing_at_the_end_is_a_gap() {
    let mut stream = Stream::new(Direction::Sent, true);
    let mut log = Log::default();
    stream.data(&data(0, "ab"), 0, &mut log);
    stream.data(&data(3, "d"), 0, &mut log);
    stream.end(9, 1, &mut log);
    assert_eq!(log.text, "|ab<1>|d<5>");
    stream.end(0, 1, &mut log);
    assert_eq!(log.text, "|ab<1>|d<5>");
}
