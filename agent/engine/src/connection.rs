//! Connection: two streams and the protocol they speak.
//!
//! In: the open, data and end events of one connection, in the order in which they were recorded. Out: what
//! the protocol makes of them, on the [`Observer`].
//!
//! An end waits like data does for the bytes that lie before it.

mod speech;
mod suspicion;
#[cfg(test)]
mod tests;
mod undecided;

use self::speech::{Delivery, Speech};
use crate::{
    event::{Data, Direction, End, How, Open, Role, Time},
    limit,
    protocol::{Observer, Side, Unseen, proxy::Proxied},
    stream::Stream,
};

/// Ends that wait at once; more than these are an end per direction and of the connection.
const ENDS_MAX: usize = 8;

/// What is known of one connection.
#[derive(Debug)]
pub struct Connection {
    role: Role,
    from_opening: bool,
    received: Stream,
    sent: Stream,
    speech: Speech,
    /// Ends that wait for earlier bytes, and when they arrived.
    ends: Vec<(End, Time)>,
    closed: bool,
}

impl Connection {
    /// A connection whose opening was seen (position 0 is its first byte), or one that is older.
    pub fn new(role: Role, from_opening: bool) -> Self {
        Self {
            role,
            from_opening,
            received: Stream::new(Direction::Received, from_opening),
            sent: Stream::new(Direction::Sent, from_opening),
            speech: Speech::new(role, from_opening),
            ends: Vec::new(),
            closed: false,
        }
    }

    /// More became known of the connection.
    pub fn open(&mut self, open: &Open, out: &mut dyn Observer) {
        let is_fresh = self.received.position().is_none() && self.sent.position().is_none();
        if open.from_opening && !self.from_opening && is_fresh {
            *self = Self::new(open.role, true);
        } else if self.role == Role::Unknown && open.role != Role::Unknown {
            self.role = open.role;
            self.speech.role_known(open.role, out);
        }
    }

    /// Bytes moved.
    pub fn data(&mut self, data: &Data<'_>, now: Time, out: &mut dyn Observer) {
        if self.speech.is_ignored() {
            out.content(data.direction, data.position, data.bytes.len() as u64);
            return;
        }
        let stream = match data.direction {
            Direction::Received => &mut self.received,
            Direction::Sent => &mut self.sent,
        };
        stream.data(data, now, &mut Delivery { speech: &mut self.speech, out });
        if !self.ends.is_empty() {
            self.settle_ends(now, out);
        }
    }

    /// A direction or the connection ended, or a call on it failed.
    pub fn end(&mut self, end: &End, now: Time, out: &mut dyn Observer) {
        if self.ends.len() >= ENDS_MAX && end.direction.is_some() {
            return;
        }
        self.ends.push((*end, now));
        self.settle_ends(now, out);
    }

    /// When [`Connection::timeout`] wants to be called.
    pub fn deadline(&self) -> Option<Time> {
        let ends = self.ends.first().map(|(_, since)| since.saturating_add(limit::REORDER_WAIT));
        // A request that waits for its turn has a response that may wait longer.
        let protocol = if self.requests_settled() { self.speech.deadline() } else { None };
        [self.received.deadline(), self.sent.deadline(), ends, protocol].into_iter().flatten().min()
    }

    /// Time passed: gives up what waited for too long.
    pub fn timeout(&mut self, now: Time, out: &mut dyn Observer) {
        let mut delivery = Delivery { speech: &mut self.speech, out };
        self.received.timeout(now, &mut delivery);
        self.sent.timeout(now, &mut delivery);
        self.settle_ends(now, out);
        if self.requests_settled() {
            self.speech.timeout(now, out);
        }
    }

    /// Ends all open exchanges for a reason that lies outside of the connection.
    pub fn finish(&mut self, why: Unseen, time: Time, out: &mut dyn Observer) {
        let mut delivery = Delivery { speech: &mut self.speech, out };
        self.received.flush(&mut delivery);
        self.sent.flush(&mut delivery);
        self.speech.finish(why, time, out);
        self.ends.clear();
        self.closed = true;
    }

    /// The connection ended; nothing will follow.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Nothing of interest can follow.
    pub fn is_ignored(&self) -> bool {
        self.speech.is_ignored()
    }

    /// Which end of the exchanges the traced process is, once it is known.
    pub fn side(&self) -> Option<Side> {
        self.speech.side()
    }

    /// The connection that a PROXY protocol preamble announced.
    pub fn proxied(&self) -> Option<&Proxied> {
        self.speech.proxied()
    }

    fn requests_settled(&self) -> bool {
        match self.side().map(Side::requests) {
            Some(Direction::Received) => self.received.is_settled(),
            Some(Direction::Sent) => self.sent.is_settled(),
            None => true,
        }
    }

    /// Delivers the ends before which nothing is missing, or no longer waited for.
    fn settle_ends(&mut self, now: Time, out: &mut dyn Observer) {
        while let Some(&(end, since)) = self.ends.first() {
            let expired = since.saturating_add(limit::REORDER_WAIT) <= now;
            if !expired && !self.is_reached(&end) {
                return;
            }
            self.ends.remove(0);
            let (received, sent) = end.positions;
            let mut delivery = Delivery { speech: &mut self.speech, out };
            if end.direction != Some(Direction::Sent) {
                self.received.end(received, end.time, &mut delivery);
            }
            if end.direction != Some(Direction::Received) {
                self.sent.end(sent, end.time, &mut delivery);
            }
            self.speech.end(end.direction, end.how, end.time, out);
            self.closed |= end.direction.is_none() && !matches!(end.how, How::CallFailed(_));
        }
    }

    /// Everything before the end was delivered, as far as is known, or needs no wait.
    fn is_reached(&self, end: &End) -> bool {
        let (received, sent) = end.positions;
        let reached = |stream: &Stream, position: u64, direction| {
            let next = stream.position().unwrap_or(position);
            let missing = position.saturating_sub(next);
            stream.is_settled() && (missing == 0 || self.speech.absorbs(direction, next, missing))
        };
        self.speech.is_ignored()
            || (end.direction == Some(Direction::Sent)
                || reached(&self.received, received, Direction::Received))
                && (end.direction == Some(Direction::Received) || reached(&self.sent, sent, Direction::Sent))
    }
}
