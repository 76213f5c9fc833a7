//! HTTP/2 (RFC 9113): both directions cut into frames, their header blocks decoded, streams told apart.
//!
//! In: ordered bytes and gaps. Out: exchanges, on the [`Observer`]: their number is the id of the stream. A
//! connection is seen from its preface, from `Upgrade: h2c` (RFC 7540, 3.2), or from the middle ([`resync`]).
//!
//! What keeps an exchange from being invented, and a name from being wrong:
//! * frames are read by their lengths, whatever their content looks like;
//! * where their framing is lost, a chain of frames must be found again, and nothing is made of that chain;
//! * after a loss every older entry of the header table is unknown ([`hpack`]), and a stream of which frames
//!   may have been lost is not said to have ended well.
//!
//! An error of a peer that ends the connection (RFC 9113, 5.4.1) ends it here too; after a loss, which can make
//! it look like one, it is another loss.

mod block;
mod direction;
pub(super) mod excerpt;
mod fragments;
mod frame;
pub(crate) mod grpc;
mod half;
pub mod hpack;
pub(crate) mod resync;
mod streams;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "numbers of the tests themselves")]
pub(crate) mod tests;

pub(crate) use self::frame::{CANCEL, error_name};
use self::{
    block::Block,
    direction::{Half, Verdict, apply},
    half::Item,
    resync::Search,
    streams::Streams,
};
use super::{
    Bytes, Ending, Gap, Number, Observer, Protocol, Side, Unseen,
    held::{Held, Piece},
};
use crate::{
    Of,
    counter::Counter,
    event::{Call, Direction, Framing, How, Quiet, Time},
    limit,
};

/// Less than this of a payload is not worth an order to the kernel side.
const SKIP_MIN: u32 = 4096;

/// The state of one connection.
#[derive(Debug)]
pub struct Http2 {
    requests: Half,
    responses: Half,
    streams: Streams,
    block: Block,
    /// Responses whose request is not recorded yet.
    held: Held,
    /// A write of requests failed; responses may still come.
    failure: Option<u32>,
    done: bool,
    /// The first bytes of the client are those behind `Upgrade: h2c`.
    upgrade: bool,
}

impl Http2 {
    /// The state of a connection from its first byte on.
    pub fn from_opening(side: Side) -> Self {
        Self::new(Half::from_opening(true), Half::from_opening(false), Streams::new(side, true))
    }

    /// The state of a connection that is older than the agent, or whose first bytes were lost. A search has
    /// found frames in the direction `found`; the other one has its own.
    pub(crate) fn from_middle(side: Side, found: Direction, other: Search) -> Self {
        let (mut first, mut second) = (Half::lost(None), Half::lost(Some(other)));
        first.frames.resume();
        let is_request = found == side.requests();
        second.search_for(!is_request);
        let mut streams = Streams::new(side, false);
        let (requests, responses) = if is_request { (first, second) } else { (second, first) };
        if !is_request {
            streams.responses_found(0);
        }
        Self::new(requests, responses, streams)
    }

    /// The state of a connection that was upgraded: the response to the exchange of this number is stream 1's.
    pub(crate) fn upgraded(side: Side, number: Number) -> Self {
        let mut responses = Half::from_opening(false);
        // `HTTP2-Settings` may allow another table (RFC 7540, 3.2.1).
        responses.decoder.forget_limit();
        let streams = Streams::upgraded(side, number);
        Self { upgrade: true, ..Self::new(Half::from_opening(true), responses, streams) }
    }

    fn new(requests: Half, responses: Half, streams: Streams) -> Self {
        let (block, held) = (Block::default(), Held::default());
        Self { requests, responses, streams, block, held, failure: None, done: false, upgrade: false }
    }

    fn half(&mut self, is_request: bool) -> (&mut Half, &mut Half) {
        if is_request {
            (&mut self.requests, &mut self.responses)
        } else {
            (&mut self.responses, &mut self.requests)
        }
    }

    /// Takes bytes of one direction. Some: so many at their end have to wait.
    fn take(&mut self, input: &Bytes<'_>, is_request: bool, out: &mut dyn Observer) -> Option<usize> {
        let call = &input.call;
        let (half, _) = self.half(is_request);
        half.last = Some(*call);
        let mut rest = input.bytes;
        half.followed = input.framing != Framing::Unknown;
        if half.frames.is_lost() {
            let found = match input.framing {
                Framing::From(position) if position >= input.position => {
                    out.count(Counter::Http2Joined, 1);
                    position
                }
                // Content is left out: what looks like a chain of frames need not be one. A frame that began in bytes
                // of the record that were delivered before tells nothing of these.
                Framing::From(_) | Framing::Inside | Framing::Quiet(_) => return None,
                Framing::Unknown => {
                    half.ask(input.direction, call.exit, out);
                    let search = half.search.get_or_insert_with(|| Box::new(Search::new(Some(is_request))));
                    let found = search.bytes(input, out.secrecy().is_some())?;
                    found.tell(input.direction, out);
                    found.position
                }
            };
            half.search = None;
            half.frames.resume();
            if !is_request {
                self.streams.responses_found(call.exit);
            }
            let skip = found.saturating_sub(input.position);
            rest = usize::try_from(skip).ok().and_then(|skip| rest.get(skip..)).unwrap_or_default();
        }
        while !rest.is_empty() && !self.done {
            let position = input.position.saturating_add(input.bytes.len().saturating_sub(rest.len()) as u64);
            if !is_request && self.must_wait(rest) {
                return Some(rest.len());
            }
            let used = self.frame(rest, position, call, (input.direction, is_request), out);
            rest = rest.get(used.max(1)..).unwrap_or_default();
        }
        self.tell(input, is_request, out);
        None
    }

    /// A response begins whose request may be recorded yet.
    fn must_wait(&self, bytes: &[u8]) -> bool {
        if self.requests.frames.is_lost() {
            return false;
        }
        let head = self.responses.frames.next_head(bytes);
        head.is_some_and(|head| self.streams.expects(head.stream) && !self.streams.is_given_up(head.stream))
    }

    /// Reads one frame, or a part of it.
    fn frame(
        &mut self,
        bytes: &[u8],
        position: u64,
        call: &Call,
        (direction, is_request): (Direction, bool),
        out: &mut dyn Observer,
    ) -> usize {
        let Self { requests, responses, streams, block, .. } = self;
        let (half, other) = if is_request { (requests, responses) } else { (responses, requests) };
        if !half.announced && !half.followed && half.frames.next_head(bytes).is_some() {
            half.announced = true;
            out.frames(direction, position);
        }
        let next = out.secrecy().map(|_| half.frames.next(position));
        let (used, item) = half.frames.read(bytes, position, call);
        if let Some(next) = next {
            let read = bytes.get(..used).unwrap_or(bytes);
            excerpt::frame(next, &item, read, (direction, position), out);
        }
        let verdict = apply(
            item,
            (&mut half.decoder, &mut half.sizes, &mut half.sizes_lost, &mut half.early),
            other,
            streams,
            block,
            is_request,
            call,
            out,
        );
        match verdict {
            Verdict::Fine => used,
            Verdict::Invalid => {
                self.invalid(is_request, call, out);
                bytes.len()
            }
        }
    }

    /// The bytes do not follow the protocol.
    fn invalid(&mut self, is_request: bool, call: &Call, out: &mut dyn Observer) {
        let (half, _) = self.half(is_request);
        if half.certain {
            let unseen = self.streams.are_unseen();
            out.count(if unseen { Counter::ConnectionsIgnored } else { Counter::Malformed }, 1);
            self.streams.end(Ending::Malformed, call.exit, out);
            self.done = true;
            self.held.clear();
            out.ignore();
        } else {
            out.count(Counter::Malformed, 1);
            self.lose(is_request, call.exit, call.exit, out);
        }
    }

    /// Where the next frame of a direction begins is lost, and what was before it.
    fn lose(&mut self, is_request: bool, earliest: Time, time: Time, out: &mut dyn Observer) {
        let direction = self.streams.side.direction(is_request);
        let (half, other) = self.half(is_request);
        half.frames.lose();
        half.decoder.doubt();
        half.certain = false;
        half.announced = false;
        half.untold = None;
        // SETTINGS may be lost, and acknowledgements of the other side's.
        for half in [&mut *half, &mut *other] {
            half.sizes.clear();
            half.sizes_lost = true;
        }
        // What is known of the streams is to be known anew.
        if core::mem::take(&mut half.quiet) != 0 {
            out.quiet(direction, 0);
        }
        other.decoder.forget_limit();
        half.search_for(is_request);
        if is_request {
            self.streams.requests_lost(out);
        } else {
            self.streams.responses_lost(earliest, time);
        }
    }

    fn take_gap(&mut self, gap: &Gap, is_request: bool, out: &mut dyn Observer) {
        let Self { requests, responses, streams, block, .. } = self;
        let (half, other) = if is_request { (requests, responses) } else { (responses, requests) };
        let call = half.gap_call(gap);
        half.last = Some(call);
        if let Some(quiet) = gap.quiet.filter(|_| half.frames.is_between()) {
            out.count(Counter::BodyGapBytes, gap.length);
            let Quiet { stream, content } = quiet;
            return streams.data(is_request, (stream, gap.position, &[], content, None), &call, out);
        }
        let mut left = gap.length;
        while left > 0 {
            if half.frames.is_lost() {
                let position = gap.position.saturating_add(gap.length.saturating_sub(left));
                if let Some(search) = &mut half.search {
                    search.gap(&Gap { position, length: left, ..*gap });
                }
                out.count(Counter::Gaps, 1);
                out.count(Counter::GapBytes, left);
                return;
            }
            let (used, item) = half.frames.gap(left);
            if matches!(item, Item::Lost) {
                let earliest = gap.call.map_or(0, |call| call.enter);
                self.lose(is_request, earliest, call.exit, out);
                return self.take_gap(
                    &Gap {
                        position: gap.position.saturating_add(gap.length.saturating_sub(left)),
                        length: left,
                        ..*gap
                    },
                    is_request,
                    out,
                );
            }
            left = left.saturating_sub(used);
            out.count(Counter::BodyGapBytes, used);
            let state = (&mut half.decoder, &mut half.sizes, &mut half.sizes_lost, &mut half.early);
            if let Verdict::Invalid = apply(item, state, other, streams, block, is_request, &call, out) {
                return self.invalid(is_request, &call, out);
            }
        }
    }

    /// Hands on responses that need not wait any more.
    fn settle(&mut self, out: &mut dyn Observer) {
        while !self.done
            && let Some(piece) = self.held.pop()
        {
            match &piece {
                Piece::Bytes(owned) => {
                    if let Some(rest) = self.take(&owned.borrowed(), false, out) {
                        self.held.unpop(piece, rest);
                        return;
                    }
                }
                Piece::Gap(gap) => self.take_gap(gap, false, out),
            }
        }
    }

    /// The request of the response that waits first was not seen.
    fn give_up_held(&mut self, out: &mut dyn Observer) {
        let id = match self.held.pop() {
            Some(piece) => {
                let (id, rest) = match &piece {
                    Piece::Bytes(owned) => {
                        let head = self.responses.frames.next_head(owned.borrowed().bytes);
                        (head.map(|head| head.stream), owned.len())
                    }
                    Piece::Gap(_) => (None, 0),
                };
                self.held.unpop(piece, rest);
                id
            }
            None => None,
        };
        if let Some(id) = id {
            self.streams.give_up(id);
        }
        self.settle(out);
    }

    /// Tells the kernel side where the next frame begins, if it does not know, and once how far a long payload reaches, if
    /// none of it is looked at; if it follows frames, of which stream it need not say anything.
    fn tell(&mut self, input: &Bytes<'_>, is_request: bool, out: &mut dyn Observer) {
        let Self { requests, responses, streams, .. } = self;
        let half = if is_request { requests } else { responses };
        if half.followed {
            let stream = streams.loud(is_request);
            if stream != 0 && stream != half.quiet && !streams.is_running(half.quiet, is_request) {
                half.quiet = stream;
                out.quiet(input.direction, stream);
            }
            return;
        }
        let end = input.position.saturating_add(input.bytes.len() as u64);
        half.untold = half.frames.before_next().map(|left| end.saturating_add(u64::from(left)));
        half.tell_frames(input.direction, input.call.exit, out);
        let Some((stream, left)) = half.frames.data() else { return };
        let end = end.saturating_add(u64::from(left));
        if left > SKIP_MIN && end > half.told && self.streams.absorbs(stream, is_request, u64::from(left)) {
            let (half, _) = self.half(is_request);
            half.told = end;
            out.skip(input.direction, end);
        }
    }

    fn responses_ended(&mut self, ending: Ending, time: Time, out: &mut dyn Observer) {
        while !self.done && !self.held.is_empty() {
            self.give_up_held(out);
        }
        let ending = match (ending, self.failure) {
            (Ending::Closed { .. }, Some(errno)) => Ending::Failed(errno),
            (other, _) => other,
        };
        self.streams.end(ending, time, out);
    }
}

impl Protocol for Http2 {
    fn bytes(&mut self, input: &Bytes<'_>, out: &mut dyn Observer) {
        if self.done {
            return;
        }
        let is_request = input.direction == self.streams.side.requests();
        if is_request {
            if core::mem::take(&mut self.upgrade) {
                out.excerpt(input.direction, input.position, &[], Of::Upgrade);
            }
            self.take(input, true, out);
            if !self.held.is_empty() && !self.requests.frames.is_lost() {
                self.settle(out);
            }
        } else if self.held.is_empty() {
            if let Some(rest) = self.take(input, false, out) {
                self.held.push(input, rest);
            }
        } else {
            self.held.push(input, input.bytes.len());
        }
        while !self.done && self.held.is_full() {
            out.count(Counter::ReorderFull, 1);
            self.give_up_held(out);
        }
    }

    fn gap(&mut self, gap: &Gap, out: &mut dyn Observer) {
        if self.done || gap.length == 0 {
            return;
        }
        let is_request = gap.direction == self.streams.side.requests();
        if is_request || self.held.is_empty() {
            self.take_gap(gap, is_request, out);
        } else {
            self.held.push_gap(gap);
        }
        // What waits does so still: the requests behind the gap come next.
    }

    fn end(&mut self, direction: Option<Direction>, how: How, time: Time, out: &mut dyn Observer) {
        if self.done {
            return;
        }
        let is_requests = direction == Some(self.streams.side.requests());
        match how {
            How::Swept => self.finish(Unseen::Swept, time, out),
            // A client that has sent all it has to send still reads responses.
            How::Eof | How::Shutdown | How::Closed if is_requests => {}
            How::Eof | How::Shutdown | How::Closed => {
                self.responses_ended(Ending::Closed { by_peer: how == How::Eof }, time, out);
            }
            How::CallFailed(errno) if !super::http1::is_fatal(errno) => {}
            How::CallFailed(errno) if is_requests && errno == super::http1::EPIPE => {
                self.failure = Some(errno)
            }
            How::CallFailed(errno) | How::Failed(errno) => {
                self.responses_ended(Ending::Failed(errno), time, out);
            }
        }
        // The connection outlives a call.
        if direction.is_none() && !matches!(how, How::CallFailed(_)) {
            self.done = true;
        }
    }

    fn timeout(&mut self, now: Time, out: &mut dyn Observer) {
        self.streams.timeout(now, out);
        self.requests.tell_frames(self.streams.side.direction(true), now, out);
        self.responses.tell_frames(self.streams.side.direction(false), now, out);
        while !self.done
            && let Some(call) = self.held.front_call()
            && call.exit.saturating_add(limit::PAIRING_WAIT) <= now
        {
            self.give_up_held(out);
        }
    }

    fn deadline(&self) -> Option<Time> {
        let held = self.held.front_call().map(|call| call.exit.saturating_add(limit::PAIRING_WAIT));
        let [requests, responses] = [&self.requests, &self.responses].map(Half::tells_at);
        [held, self.streams.deadline, requests, responses].into_iter().flatten().min()
    }

    fn finish(&mut self, why: Unseen, time: Time, out: &mut dyn Observer) {
        self.streams.end(Ending::Unseen(why), time, out);
        self.done = true;
    }

    fn absorbs(&self, direction: Direction, _position: u64, length: u64) -> bool {
        let is_request = direction == self.streams.side.requests();
        let half = if is_request { &self.requests } else { &self.responses };
        // The last byte of a frame is worth a wait: its call may end the stream. Before it, what a kernel side that follows
        // frames has not recorded is content that it leaves out, whatever that would have told.
        let inside = |(stream, left): (u32, u32)| {
            length < u64::from(left) && (half.followed || self.streams.absorbs(stream, is_request, length))
        };
        self.done || (is_request || self.held.is_empty()) && half.frames.data().is_some_and(inside)
    }

    fn side(&self) -> Side {
        self.streams.side
    }

    fn has_spoken(&self) -> bool {
        true
    }

    fn is_done(&self) -> bool {
        self.done
    }
}
