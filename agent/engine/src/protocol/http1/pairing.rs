//! What waits, and for how long: a response for a request that is recorded after it, requests for the answer
//! to an upgrade.

use super::{Exchange, Http1, half::State, head::Method};
use crate::{
    counter::Counter,
    event::Time,
    protocol::{Ending, Observer, held::Piece},
};

impl Http1 {
    /// Lets go on what waited, unless it would judge a request whose rest, or the one that follows it, may be
    /// about to come: what waited behind a gap comes all at once.
    pub(super) fn settle_behind(&mut self, is_request: bool, out: &mut dyn Observer) {
        let undecided = self.requests.candidate
            || self.requests.state == State::Lost
            || self.open.front().is_some_and(|exchange| exchange.tentative);
        if !is_request || !undecided {
            self.settle(out);
        }
    }

    /// Lets go on what waited, in either direction, until nothing can.
    pub(super) fn settle(&mut self, out: &mut dyn Observer) {
        while self.settle_requests(out) | self.settle_responses(Time::MAX, out) {}
    }

    pub(super) fn settle_requests(&mut self, out: &mut dyn Observer) -> bool {
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

    /// Lets go on the responses that were moved before this time.
    pub(super) fn settle_responses(&mut self, before: Time, out: &mut dyn Observer) -> bool {
        let mut moved = false;
        while self.responses.held.front_call().is_none_or(|call| call.exit < before)
            && let Some(piece) = self.responses.held.pop()
        {
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

    /// The response at the front of those that wait waits no longer.
    pub(super) fn give_up_held(&mut self, now: Time, out: &mut dyn Observer) {
        if self.open.front().is_some_and(|exchange| !exchange.head_reported) {
            let call = self.requests.call(now);
            self.cut_request(&call, out);
        } else {
            self.give_up_unpaired(out);
        }
        self.settle(out);
    }

    /// That response has no request.
    pub(super) fn give_up_unpaired(&mut self, out: &mut dyn Observer) {
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
    pub(super) fn expect_unpaired(&mut self, out: &mut dyn Observer) {
        out.count(Counter::ResponsesUnpaired, 1);
        self.open.push_front(Exchange {
            number: None,
            method: Method::Unknown,
            start: 0,
            head_reported: true,
            tentative: false,
            lost: true,
            call: None,
        });
    }

    /// Gives up what waits beyond its bound.
    pub(super) fn bound_held(&mut self, out: &mut dyn Observer) {
        if self.requests.held.is_full() {
            // So much behind CONNECT or Upgrade without an answer is no HTTP.
            out.count(Counter::ReorderFull, 1);
            let time = self.requests.call(0).exit;
            self.end_open(Ending::Upgraded, time, out);
            self.stop(out);
        }
        while self.responses.held.is_full() {
            out.count(Counter::ReorderFull, 1);
            self.give_up_held(0, out);
        }
    }
}
