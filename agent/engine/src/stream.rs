//! Stream: one direction of one connection, as ordered bytes with gaps that are known to be gaps.
//!
//! In: data in the order in which it was recorded. Out, on a [`Sink`]: bytes and gaps in the order of their
//! positions, each position once. Bytes at the expected position pass borrowed; later ones are copied and
//! wait for the earlier ones, `limit::REORDER_WAIT` long and up to `limit::REORDER_BYTES_MAX`. Then the
//! hole is a gap of exact size. What the same call moved before is not waited for: its records come in order.

mod queue;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "numbers of the tests themselves")]
mod tests;

use self::queue::{Piece, Queue};
use crate::{
    counter::Counter,
    event::{Call, Data, Direction, Framing, Quiet, Time},
    limit,
    protocol::{Bytes, Gap},
};

/// Takes what a stream delivers.
pub trait Sink {
    fn bytes(&mut self, input: &Bytes<'_>);
    fn gap(&mut self, gap: &Gap);
    /// There is no point in waiting for late bytes of this range.
    fn absorbs(&self, direction: Direction, position: u64, length: u64) -> bool;
    fn count(&mut self, counter: Counter, amount: u64);
}

/// The order of one direction.
#[derive(Debug)]
pub struct Stream {
    direction: Direction,
    /// The position that is delivered next; unknown before the first data of an old connection.
    next: Option<u64>,
    /// What waits for it; none of it begins at or below `next`.
    queue: Queue,
}

impl Stream {
    pub fn new(direction: Direction, from_opening: bool) -> Self {
        Self { direction, next: from_opening.then_some(0), queue: Queue::default() }
    }

    /// The position that is delivered next, if it is known.
    pub fn position(&self) -> Option<u64> {
        self.next
    }

    /// The opening became known: the first byte has position 0.
    pub fn opened(&mut self) {
        self.next.get_or_insert(0);
    }

    /// Nothing waits.
    pub fn is_settled(&self) -> bool {
        self.queue.is_empty()
    }

    /// Takes the data of one event.
    pub fn data(&mut self, data: &Data<'_>, now: Time, sink: &mut dyn Sink) {
        let bytes = if data.ambiguous { &[] } else { data.bytes };
        let middle = data.position.saturating_add(bytes.len() as u64);
        let end = data.position.saturating_add(data.bytes.len() as u64).saturating_add(data.gap);
        let next = *self.next.get_or_insert(data.position);
        if data.position < next && !data.ambiguous {
            sink.count(Counter::LateBytes, end.min(next).saturating_sub(data.position));
        }
        if end <= next {
            return;
        }
        if data.position.saturating_sub(data.call_offset) <= next && self.queue.is_empty() {
            self.deliver_gap(data.position, Some(data.call), data.call.exit, sink);
            self.deliver(data.position, bytes, data.call_offset, &data.call, data.framing, sink);
            self.deliver_rest((middle, end), &data.call, data.framing, sink);
            return;
        }
        if !bytes.is_empty() {
            self.queue.insert(Piece::bytes(data, now));
        }
        if middle < end {
            self.queue.insert(Piece::gap(middle, end, data, now));
        }
        self.drain(sink);
        if self.queue.cost() > limit::REORDER_BYTES_MAX {
            sink.count(Counter::ReorderFull, 1);
            self.flush(sink);
        }
    }

    /// When [`Stream::timeout`] wants to be called.
    pub fn deadline(&self) -> Option<Time> {
        self.queue.oldest().map(|arrived| arrived.saturating_add(limit::REORDER_WAIT))
    }

    /// Gives up the holes that bytes have waited for too long.
    pub fn timeout(&mut self, now: Time, sink: &mut dyn Sink) {
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            self.skip_hole(sink);
        }
    }

    /// Gives up all holes.
    pub fn flush(&mut self, sink: &mut dyn Sink) {
        while !self.queue.is_empty() {
            self.skip_hole(sink);
        }
    }

    /// The direction ended at `position`: what is missing before it is a gap.
    pub fn end(&mut self, position: u64, time: Time, sink: &mut dyn Sink) {
        self.flush(sink);
        self.deliver_gap(position, None, time, sink);
    }

    /// The hole in front of the first piece becomes a gap.
    fn skip_hole(&mut self, sink: &mut dyn Sink) {
        if let Some((position, time)) = self.queue.front().map(Piece::call_start) {
            self.deliver_gap(position, None, time, sink);
        }
        self.drain(sink);
    }

    /// Delivers what follows without a hole, or behind one that does not matter.
    fn drain(&mut self, sink: &mut dyn Sink) {
        while let (Some(next), Some((start, time))) = (self.next, self.queue.front().map(Piece::call_start)) {
            if start > next {
                if !sink.absorbs(self.direction, next, start.saturating_sub(next)) {
                    return;
                }
                self.deliver_gap(start, None, time, sink);
            }
            let Some(piece) = self.queue.pop() else { return };
            self.deliver_gap(piece.position, Some(piece.call), piece.call.exit, sink);
            match &piece.content {
                Some(bytes) => {
                    let late = next.min(piece.end).saturating_sub(piece.position);
                    if late > 0 {
                        sink.count(Counter::LateBytes, late);
                    }
                    let Piece { position, call_offset, framing, .. } = piece;
                    self.deliver(position, bytes, call_offset, &piece.call, framing, sink);
                }
                None => {
                    // Certain bytes win over a range in which bytes lie somewhere.
                    let certain = self.queue.first_bytes().unwrap_or(u64::MAX);
                    let framing = if piece.end > certain { Framing::Unknown } else { piece.framing };
                    let range = (piece.position, piece.end.min(certain));
                    self.deliver_rest(range, &piece.call, framing, sink);
                    if piece.end > certain {
                        self.queue.insert(piece.from(certain));
                    }
                }
            }
        }
    }

    /// Delivers those of the bytes that were not delivered before.
    fn deliver(
        &mut self,
        position: u64,
        bytes: &[u8],
        call_offset: u64,
        call: &Call,
        framing: Framing,
        sink: &mut dyn Sink,
    ) {
        let next = self.next.unwrap_or(position);
        let cut = next.saturating_sub(position);
        let fresh = usize::try_from(cut).ok().and_then(|cut| bytes.get(cut..)).unwrap_or_default();
        if fresh.is_empty() {
            return;
        }
        self.next = Some(next.saturating_add(fresh.len() as u64));
        sink.bytes(&Bytes {
            direction: self.direction,
            position: next,
            bytes: fresh,
            call_start: call_offset == 0 && cut == 0,
            call: *call,
            framing,
        });
    }

    fn deliver_gap(&mut self, end: u64, call: Option<Call>, time: Time, sink: &mut dyn Sink) {
        self.deliver_unseen(end, call, time, None, sink);
    }

    /// What an event has no bytes of. What the kernel side knows of it holds for all of it or not at all.
    fn deliver_rest(&mut self, (start, end): (u64, u64), call: &Call, framing: Framing, sink: &mut dyn Sink) {
        let quiet = match framing {
            Framing::Quiet(quiet) if self.next == Some(start) => Some(quiet),
            Framing::Quiet(_) | Framing::Unknown | Framing::Inside | Framing::From(_) => None,
        };
        self.deliver_unseen(end, Some(*call), call.exit, quiet, sink);
    }

    fn deliver_unseen(
        &mut self,
        end: u64,
        call: Option<Call>,
        time: Time,
        quiet: Option<Quiet>,
        sink: &mut dyn Sink,
    ) {
        let Some(position) = self.next.filter(|next| *next < end) else { return };
        self.next = Some(end);
        let length = end.saturating_sub(position);
        sink.gap(&Gap { direction: self.direction, position, length, call, time, quiet });
    }
}
