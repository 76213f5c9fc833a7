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
mod calls;
mod half;
mod head;
mod pairing;
mod request;
mod response;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "numbers of the tests themselves")]
mod tests;

use std::collections::VecDeque;

use self::{
    body::Body,
    half::{Half, State},
    head::Method,
};
use super::{Bytes, Ending, Gap, Number, Observer, Protocol, Side, Unseen, http2::Http2};
use crate::{
    counter::Counter,
    event::{Direction, How, Time},
    limit,
};

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
    /// By this time responses were lost; whose, nobody knows.
    lost_until: Time,
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
    /// The connection was upgraded to HTTP/2, which gets everything from there on (RFC 7540, 3.2).
    upgraded: Option<Box<Http2>>,
    done: bool,
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
    /// Bytes of it were lost: its response shows that what was lost has passed.
    lost: bool,
    call: Option<calls::Call>,
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
            lost_until: 0,
            paused: false,
            pipelines: false,
            pairs: true,
            failure: None,
            spoken: false,
            upgraded: None,
            done: false,
        }
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
        self.keep_messages(self.current);
        for exchange in self.open.drain(..) {
            match exchange.number {
                Some(number) if exchange.tentative => out.retracted(number),
                Some(number) => {
                    // It is the first that is being answered.
                    exchange.tell_messages(number, self.responses.messages.take(), out);
                    out.ended(number, ending, time);
                }
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

    /// A request that has started and will not go on has at least a method and a target.
    fn cut_started(&mut self, time: Time, out: &mut dyn Observer) {
        if self.requests.line {
            let call = self.requests.call(time);
            self.cut_request(&call, out);
        }
    }

    fn responses_ended(&mut self, ending: Ending, time: Time, out: &mut dyn Observer) {
        self.settle(out);
        while !self.done && !self.responses.held.is_empty() {
            self.give_up_held(time, out);
        }
        self.cut_started(time, out);
        // RFC 9112, 6.3, rule 8: the end of the connection completes such a body, and no other.
        if self.responses.state == State::Body(Body::Close) && matches!(ending, Ending::Closed { .. }) {
            let call = self.responses.call(time);
            self.response_complete(&call, out);
        }
        let ending = match (ending, self.failure) {
            (Ending::Closed { .. }, Some(errno)) => Ending::Failed(errno),
            (other, _) => other,
        };
        self.end_open(ending, time, out);
        // A head that broke off belongs to none of the requests that may still be sent.
        self.responses.lose(false);
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
        if self.upgraded.is_some() {
            self.settle(out);
        }
        if let Some(upgraded) = &mut self.upgraded {
            upgraded.end(direction, how, time, out);
            return;
        }
        let is_requests = direction == Some(self.side.requests());
        match how {
            How::Swept => self.finish(Unseen::Swept, time, out),
            // A client that has sent all it has to send still reads the response.
            How::Eof | How::Shutdown | How::Closed if is_requests => {}
            How::Eof | How::Shutdown | How::Closed => {
                self.responses_ended(Ending::Closed { by_peer: how == How::Eof }, time, out);
            }
            How::CallFailed(errno) if !is_fatal(errno) => {}
            // The peer has stopped reading; what it wrote before may still be read (an early response).
            How::CallFailed(errno) if is_requests && errno == EPIPE => self.failure = Some(errno),
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
        self.settle(out);
        if let Some(upgraded) = &mut self.upgraded {
            return upgraded.timeout(now, out);
        }
        while !self.done
            && let Some(deadline) = self.deadline()
            && deadline <= now
        {
            self.give_up_held(now, out);
        }
    }

    fn deadline(&self) -> Option<Time> {
        if let Some(upgraded) = &self.upgraded {
            return upgraded.deadline();
        }
        Some(self.responses.held.front_call()?.exit.saturating_add(limit::PAIRING_WAIT))
    }

    fn finish(&mut self, why: Unseen, time: Time, out: &mut dyn Observer) {
        self.cut_started(time, out);
        self.end_open(Ending::Unseen(why), time, out);
        if let Some(upgraded) = &mut self.upgraded {
            upgraded.finish(why, time, out);
        }
        self.done = true;
    }

    fn absorbs(&self, direction: Direction, position: u64, length: u64) -> bool {
        if let Some(upgraded) = &self.upgraded {
            return upgraded.absorbs(direction, position, length);
        }
        let half = if direction == self.side.requests() { &self.requests } else { &self.responses };
        self.done || half.held.is_empty() && half.absorbs(length)
    }

    fn side(&self) -> Side {
        self.side
    }

    fn has_spoken(&self) -> bool {
        self.spoken
    }

    fn is_done(&self) -> bool {
        self.done || self.upgraded.as_ref().is_some_and(|upgraded| upgraded.is_done())
    }
}

pub(super) const EPIPE: u32 = 32;

/// Does a call that failed with this errno mean that the connection is lost? (Linux numbers)
pub(super) fn is_fatal(errno: u32) -> bool {
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
