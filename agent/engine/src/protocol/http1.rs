//! HTTP/1.0 and HTTP/1.1 (RFC 9110, RFC 9112): both directions, framed by the rules and paired in order.
//!
//! In: ordered bytes and gaps. Out: exchanges, on the [`Observer`]. Bytes are read where they lie; only a
//! head that is split over calls is copied, up to `limit::HEAD_MAX`.
//!
//! What keeps an exchange from being invented:
//! * a body is passed by its framing, whatever it looks like;
//! * a direction whose framing is lost discards bytes; a request is accepted again only at the first byte
//!   of a call, with a whole and valid head, after the response to what was lost ([`Permit`]);
//! * the first request that is accepted so is taken back when another one follows it unanswered;
//! * a response never answers a request that was sent after it.

mod body;
mod head;
mod request;
mod response;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "numbers of the tests themselves")]
mod tests;

use std::collections::VecDeque;

use self::{body::Body, head::Method};
use super::{
    Bytes, Ending, Gap, Number, Observer, Protocol, Side, Unseen,
    held::{Held, Piece},
};
use crate::{
    counter::Counter,
    event::{Call, Direction, How, Time},
    limit,
};

/// Less than this of a body is not worth an order to the kernel side.
const SKIP_MIN: u64 = 4096;
/// A head buffer larger than this is not kept for the next head.
const HEAD_KEPT: usize = 4096;

/// The state of one connection.
#[derive(Debug)]
pub struct Http1 {
    side: Side,
    requests: Half,
    responses: Half,
    /// Requests that wait for their response, in order.
    open: VecDeque<Exchange>,
    next: Number,
    /// The exchange whose request is being read, if the observer still wants its end.
    current: Option<Number>,
    permit: Permit,
    /// When the newest bytes that a lost request direction discarded were moved.
    discarded: Time,
    /// Responses given up as unpaired whose request may be recorded yet, and when the last one began.
    unpaired: u32,
    unpaired_until: Time,
    /// When the newest response that is complete ended.
    answered: Time,
    /// Requests stand behind a request that may turn the connection into something else.
    paused: bool,
    /// Requests were sent before the response to earlier ones: after a gap nobody can say whose response is whose.
    pipelines: bool,
    /// Responses can be told apart.
    pairs: bool,
    /// A write of requests failed; responses may still come.
    failure: Option<u32>,
    /// An exchange was seen.
    spoken: bool,
    done: bool,
}

/// One direction.
#[derive(Debug)]
struct Half {
    state: State,
    /// The part of a head that earlier calls moved.
    head: Vec<u8>,
    /// Bytes of `head` in which its end was searched.
    searched: usize,
    /// The start line of `head` was read.
    line: bool,
    /// Position and call of the first byte of the message.
    position: u64,
    first: Option<Call>,
    /// The call that moved the newest bytes.
    last: Option<Call>,
    /// Accepted where framing was lost: must be flawless.
    candidate: bool,
    /// Bytes of content so far.
    content: u64,
    /// The position up to which the kernel side was told to skip.
    told: u64,
    /// Framing was lost to a gap, not merely unknown from before.
    gapped: bool,
    /// The response to the request that is read decides what follows it.
    switches: bool,
    held: Held,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between messages or in a head.
    Head,
    Body(Body),
    /// The framing is lost.
    Lost,
}

/// A request whose response has not ended.
#[derive(Debug)]
struct Exchange {
    /// `None`: nobody is told of it; it stands for a request that was not seen or was given up.
    number: Option<Number>,
    method: Method,
    /// When its first byte was moved at the earliest.
    start: Time,
    head_reported: bool,
    /// The first after a loss of framing; taken back if another request follows it unanswered.
    tentative: bool,
}

/// When a request direction that lost its framing accepts a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Permit {
    /// The connection is older than the agent and nothing speaks against it.
    Now,
    /// Bytes that are no request were discarded: when the other side has spoken.
    Turn,
    /// After a gap: when the response to what was lost is complete.
    Response,
    /// That response is complete.
    Tentative,
}

impl Http1 {
    /// The state of a connection from its first byte on.
    pub fn from_opening(side: Side) -> Self {
        Self::new(side, State::Head)
    }

    /// The state of a connection that is older than the agent.
    pub fn from_middle(side: Side) -> Self {
        Self::new(side, State::Lost)
    }

    fn new(side: Side, state: State) -> Self {
        Self {
            side,
            requests: Half::new(state),
            responses: Half::new(state),
            open: VecDeque::new(),
            next: 0,
            current: None,
            permit: Permit::Now,
            discarded: 0,
            unpaired: 0,
            unpaired_until: 0,
            answered: 0,
            paused: false,
            pipelines: false,
            pairs: true,
            failure: None,
            spoken: false,
            done: false,
        }
    }

    /// Lets go on what waited, unless it would take a tentative request for real while the one that follows
    /// it may be about to come: requests behind a gap come all at once.
    fn settle_behind(&mut self, is_request: bool, out: &mut dyn Observer) {
        if !is_request || !self.open.front().is_some_and(|exchange| exchange.tentative) {
            self.settle(out);
        }
    }

    /// Lets go on what waited, in either direction, until nothing can.
    fn settle(&mut self, out: &mut dyn Observer) {
        while self.settle_requests(out) | self.settle_responses(out) {}
    }

    fn settle_requests(&mut self, out: &mut dyn Observer) -> bool {
        let mut moved = false;
        while !self.paused
            && let Some(piece) = self.requests.held.pop()
        {
            moved = true;
            match &piece {
                Piece::Gap(gap) => self.request_gap(gap, out),
                Piece::Bytes(owned) => {
                    if let Some(rest) = self.request_bytes(&owned.borrowed(), out) {
                        self.requests.held.unpop(piece, rest);
                    }
                }
            }
        }
        moved
    }

    fn settle_responses(&mut self, out: &mut dyn Observer) -> bool {
        let mut moved = false;
        while let Some(piece) = self.responses.held.pop() {
            match &piece {
                Piece::Gap(gap) => self.response_gap(gap, out),
                Piece::Bytes(owned) => {
                    if let Some(rest) = self.response_bytes(&owned.borrowed(), out) {
                        let stuck = rest == owned.len();
                        self.responses.held.unpop(piece, rest);
                        return moved || !stuck;
                    }
                }
            }
            moved = true;
        }
        moved
    }

    /// Bytes that do not follow the protocol. `true` if the connection was never HTTP and is given up.
    fn malformed(&mut self, out: &mut dyn Observer) -> bool {
        if self.spoken {
            out.count(Counter::Malformed, 1);
        } else {
            out.count(Counter::ConnectionsIgnored, 1);
            self.stop(out);
        }
        !self.spoken
    }

    /// Ends every open exchange.
    fn end_open(&mut self, ending: Ending, time: Time, out: &mut dyn Observer) {
        for exchange in self.open.drain(..) {
            match exchange.number {
                Some(number) if exchange.tentative => out.retracted(number),
                Some(number) => out.ended(number, ending, time),
                None => {}
            }
            if self.current == exchange.number {
                self.current = None;
            }
        }
    }

    /// Ends the first exchanges, and forgets them.
    fn end_first(&mut self, count: usize, ending: Ending, time: Time, out: &mut dyn Observer) {
        let behind = self.open.split_off(count.min(self.open.len()));
        self.end_open(ending, time, out);
        self.open = behind;
    }

    fn stop(&mut self, out: &mut dyn Observer) {
        self.done = true;
        self.current = None;
        self.requests.forget();
        self.responses.forget();
        out.ignore();
    }

    /// The response at the front of those that wait has no request.
    fn give_up_unpaired(&mut self, out: &mut dyn Observer) {
        let Some(call) = self.responses.held.front_call() else { return };
        if self.responses.state == State::Lost && self.requests.state != State::Lost {
            // Where responses begin is not known either: it may be content.
            self.responses.held.pop();
            return;
        }
        self.unpaired = self.unpaired.saturating_add(1);
        self.unpaired_until = self.unpaired_until.max(call.exit);
        self.expect_unpaired(out);
    }

    /// The next response answers a request that was not seen.
    fn expect_unpaired(&mut self, out: &mut dyn Observer) {
        out.count(Counter::ResponsesUnpaired, 1);
        self.open.push_front(Exchange {
            number: None,
            method: Method::Unknown,
            start: 0,
            head_reported: true,
            tentative: false,
        });
    }

    fn responses_ended(&mut self, ending: Ending, time: Time, out: &mut dyn Observer) {
        if !self.responses.held.is_empty() {
            self.give_up_unpaired(out);
            self.settle(out);
        }
        // RFC 9112, 6.3, rule 8: the end of the connection completes such a body, and no other.
        if self.responses.state == State::Body(Body::Close) && ending == Ending::Closed {
            let call = self.responses.call(time);
            self.response_complete(&call, out);
        }
        let ending = match (ending, self.failure) {
            (Ending::Closed, Some(errno)) => Ending::Failed(errno),
            (other, _) => other,
        };
        self.end_open(ending, time, out);
    }
}

impl Protocol for Http1 {
    fn bytes(&mut self, input: &Bytes<'_>, out: &mut dyn Observer) {
        if self.done {
            return;
        }
        let is_request = input.direction == self.side.requests();
        let half = if is_request { &mut self.requests } else { &mut self.responses };
        if half.held.is_empty() {
            let rest =
                if is_request { self.request_bytes(input, out) } else { self.response_bytes(input, out) };
            if let Some(rest) = rest {
                let half = if is_request { &mut self.requests } else { &mut self.responses };
                half.held.push(input, rest);
            }
        } else {
            half.held.push(input, input.bytes.len());
        }
        if !self.requests.held.is_empty() || !self.responses.held.is_empty() {
            self.settle_behind(is_request, out);
            self.bound_held(out);
        }
    }

    fn gap(&mut self, gap: &Gap, out: &mut dyn Observer) {
        if self.done || gap.length == 0 {
            return;
        }
        let is_request = gap.direction == self.side.requests();
        let half = if is_request { &mut self.requests } else { &mut self.responses };
        if !half.held.is_empty() || (is_request && self.paused) {
            half.held.push_gap(gap);
        } else if is_request {
            self.request_gap(gap, out);
        } else {
            self.response_gap(gap, out);
        }
        self.settle_behind(is_request, out);
    }

    fn end(&mut self, direction: Option<Direction>, how: How, time: Time, out: &mut dyn Observer) {
        if self.done {
            return;
        }
        let is_requests = direction == Some(self.side.requests());
        match how {
            How::Swept => self.finish(Unseen::Swept, time, out),
            // A client that has sent all it has to send still reads the response.
            How::Eof | How::Shutdown | How::Closed if is_requests => {}
            How::Eof | How::Shutdown | How::Closed => self.responses_ended(Ending::Closed, time, out),
            How::CallFailed(errno) if !is_fatal(errno) => {}
            // The peer has stopped reading; what it wrote before may still be read (an early response).
            How::CallFailed(errno) if is_requests && errno == EPIPE => self.failure = Some(errno),
            How::CallFailed(errno) | How::Failed(errno) => {
                self.responses_ended(Ending::Failed(errno), time, out);
            }
        }
        if direction.is_none() {
            self.done = true;
        }
    }

    fn timeout(&mut self, now: Time, out: &mut dyn Observer) {
        self.settle(out);
        while !self.done
            && let Some(deadline) = self.deadline()
            && deadline <= now
        {
            if self.open.front().is_some_and(|exchange| !exchange.head_reported) {
                let call = self.requests.call(now);
                self.cut_request(&call, out);
            } else {
                self.give_up_unpaired(out);
            }
            self.settle(out);
        }
    }

    fn deadline(&self) -> Option<Time> {
        Some(self.responses.held.front_call()?.exit.saturating_add(limit::PAIRING_WAIT))
    }

    fn finish(&mut self, why: Unseen, time: Time, out: &mut dyn Observer) {
        self.end_open(Ending::Unseen(why), time, out);
        self.done = true;
    }

    fn absorbs(&self, direction: Direction, _position: u64, length: u64) -> bool {
        let half = if direction == self.side.requests() { &self.requests } else { &self.responses };
        // The last byte of a body is worth a wait: its call ends the message.
        self.done || half.held.is_empty() && matches!(half.state, State::Body(body) if length < body.known())
    }

    fn side(&self) -> Side {
        self.side
    }

    fn is_done(&self) -> bool {
        self.done
    }
}

impl Http1 {
    /// Gives up what waits beyond its bound.
    fn bound_held(&mut self, out: &mut dyn Observer) {
        if self.requests.held.is_full() {
            // So much behind CONNECT or Upgrade without an answer is no HTTP.
            out.count(Counter::ReorderFull, 1);
            let time = self.requests.call(0).exit;
            self.end_open(Ending::Upgraded, time, out);
            self.stop(out);
        }
        while self.responses.held.is_full() {
            out.count(Counter::ReorderFull, 1);
            let call = self.requests.call(0);
            if self.open.front().is_some_and(|exchange| !exchange.head_reported) {
                self.cut_request(&call, out);
            } else {
                self.give_up_unpaired(out);
            }
            self.settle(out);
        }
    }
}

impl Half {
    fn new(state: State) -> Self {
        Self {
            state,
            head: Vec::new(),
            searched: 0,
            line: false,
            position: 0,
            first: None,
            last: None,
            candidate: false,
            content: 0,
            told: 0,
            gapped: false,
            switches: false,
            held: Held::default(),
        }
    }

    /// The newest call, or one at this time when there was none.
    fn call(&self, time: Time) -> Call {
        self.last.unwrap_or(Call {
            enter: time,
            exit: time,
            tid: 0,
            task: crate::event::Task { tgid: 0, id: 0 },
        })
    }

    /// The call of a gap; one that was not seen is known by its time only.
    fn gap_call(&self, gap: &Gap) -> Call {
        gap.call.unwrap_or(Call { enter: gap.time, exit: gap.time, ..self.call(gap.time) })
    }

    /// Ready for the next head.
    fn reset(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        if buffer.capacity() <= HEAD_KEPT {
            self.head = buffer;
        }
        self.searched = 0;
        self.line = false;
        self.first = None;
        self.candidate = false;
    }

    fn lose(&mut self, to_gap: bool) {
        self.reset(Vec::new());
        self.head.clear();
        self.state = State::Lost;
        self.gapped |= to_gap;
    }

    fn forget(&mut self) {
        self.head = Vec::new();
        self.held = Held::default();
        self.state = State::Lost;
    }

    /// Adds bytes to a split head. Some when it is complete: its length, and how many of `bytes` belong to it.
    fn gather(&mut self, bytes: &[u8]) -> Gathered {
        let before = self.head.len();
        let room = limit::HEAD_MAX.saturating_sub(before);
        self.head.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        match head::find_end(&self.head, self.searched) {
            Ok(end) => {
                self.head.truncate(end);
                Gathered::Complete(end.saturating_sub(before))
            }
            Err(_) if self.head.len() >= limit::HEAD_MAX => Gathered::TooLong,
            Err(searched) => {
                self.searched = searched;
                Gathered::NeedMore
            }
        }
    }

    /// Tells the kernel side once how far the body reaches, if that is worth it.
    fn tell_skip(&mut self, direction: Direction, position: u64, out: &mut dyn Observer) {
        let State::Body(body) = self.state else { return };
        let known = body.known();
        let end = position.saturating_add(known);
        if known > SKIP_MIN && end > self.told {
            self.told = end;
            out.skip(direction, end);
        }
    }
}

enum Gathered {
    NeedMore,
    /// So many of the bytes given belong to the head.
    Complete(usize),
    TooLong,
}

const EPIPE: u32 = 32;

/// Does a call that failed with this errno mean that the connection is lost? (Linux numbers)
fn is_fatal(errno: u32) -> bool {
    const ENETDOWN: u32 = 100;
    const ENETUNREACH: u32 = 101;
    const ENETRESET: u32 = 102;
    const ECONNABORTED: u32 = 103;
    const ECONNRESET: u32 = 104;
    const ENOTCONN: u32 = 107;
    const ESHUTDOWN: u32 = 108;
    const ETIMEDOUT: u32 = 110;
    const ECONNREFUSED: u32 = 111;
    const EHOSTDOWN: u32 = 112;
    const EHOSTUNREACH: u32 = 113;
    matches!(
        errno,
        EPIPE
            | ENETDOWN
            | ENETUNREACH
            | ENETRESET
            | ECONNABORTED
            | ECONNRESET
            | ENOTCONN
            | ESHUTDOWN
            | ETIMEDOUT
            | ECONNREFUSED
            | EHOSTDOWN
            | EHOSTUNREACH
    )
}
