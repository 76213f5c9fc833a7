//! When an exchange is given out, and what goes with it.

use super::{Correlator, Wake, fate::peer_deadline, methods::Answer};
use crate::{
    counter::Counter,
    event::Time,
    exchange::{Claim, Exchange, Fate, Key, Owner, Phase},
    limit,
    protocol::{Ending, Side},
    span::{SpanLink, attributes},
};

impl Correlator {
    /// Looks at every exchange for which something changed.
    pub(super) fn settle(&mut self, now: Time) {
        while let Some(key) = self.changed.pop() {
            let Some(exchange) = self.exchanges.get(key).filter(|it| it.phase != Phase::Gone) else {
                continue;
            };
            let waiting = exchange.phase == Phase::Waiting;
            if self.decide(key, now, false, 0).is_some() && waiting && self.may_clamp(key, now) {
                self.release(key, now);
            }
        }
    }

    /// An exchange ended: gives it out, or has it looked at again later.
    pub(super) fn ended(&mut self, key: Key<Exchange>, now: Time) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        self.accounting.open = self.accounting.open.saturating_sub(1);
        self.accounting.waiting = self.accounting.waiting.saturating_add(1);
        if let Some(socket) = self.sockets.get_mut(exchange.socket) {
            socket.forget(key);
        }
        self.no_longer_serves(key);
        self.answered(key, now);
        let Some(exchange) = self.exchanges.get(key) else { return };
        // Last in, first out: what looks at this one may need to before it is gone.
        self.changed.push(key);
        self.changed.extend(exchange.dependents.iter().copied());
        self.changed.extend(self.client_of(key));
        self.settle(now);
        if let Some(exchange) = self.exchanges.get(key).filter(|it| it.phase == Phase::Waiting) {
            let first = match (exchange.side, exchange.pair) {
                (Side::Server, None) => peer_deadline(exchange),
                _ => exchange.ended.saturating_add(limit::PEER_WAIT),
            };
            let expires = exchange.ended.saturating_add(limit::OWNER_WAIT);
            self.deadlines.push(if first > now { first } else { expires }, Wake::Exchange(key));
        }
    }

    /// The client at the other end of a server exchange: it may be ignored, or of another trace, because of it.
    pub(super) fn client_of(&self, key: Key<Exchange>) -> Option<Key<Exchange>> {
        let exchange = self.exchanges.get(key).filter(|exchange| exchange.side == Side::Server)?;
        let undecided = |client: &Key<_>| self.exchanges.get(*client).is_some_and(|it| it.fate.is_none());
        exchange.pair.filter(undecided)
    }

    /// A server exchange ended: what that says of its reader.
    fn answered(&mut self, key: Key<Exchange>, now: Time) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let Some(task) = exchange.reader else { return };
        let answered = matches!(exchange.ending, None | Some(Ending::Upgraded));
        let end = exchange.end.unwrap_or(now);
        // Answered before the next one was read, and only known to be now.
        let in_turn = exchange.overlap.filter(|(_, read)| answered && end <= *read);
        let overlapped = exchange.overlap.is_some() && in_turn.is_none();
        self.ownership.ended(task, answered, overlapped, end);
        if let Some((next, _)) = in_turn {
            for key in [key, next] {
                if let Some(exchange) = self.exchanges.get_mut(key) {
                    exchange.taints = exchange.taints.saturating_sub(1);
                }
            }
        }
    }

    /// A deadline of an exchange is reached.
    pub(super) fn waited(&mut self, key: Key<Exchange>, now: Time) {
        self.changed.push(key);
        self.settle(now);
        let Some(exchange) = self.exchanges.get(key).filter(|it| it.phase == Phase::Waiting) else { return };
        let expires = exchange.ended.saturating_add(limit::OWNER_WAIT);
        if now < expires {
            self.deadlines.push(expires, Wake::Exchange(key));
        } else {
            self.counters.add(Counter::WaitsExpired, 1);
            self.force(key, now);
        }
    }

    /// Gives out one that waits with what is known now.
    pub(super) fn force(&mut self, key: Key<Exchange>, now: Time) {
        if self.decide(key, now, true, 0).is_some() {
            self.release(key, now);
        }
        self.settle(now);
    }

    /// Gives out everything that waits.
    pub(crate) fn finish(&mut self, now: Time) {
        let waiting: Vec<_> = self.exchanges.keys().collect();
        for key in waiting {
            if self.exchanges.get(key).is_some_and(|exchange| exchange.phase == Phase::Waiting) {
                self.force(key, now);
            }
        }
    }

    /// Makes room for an exchange: gives out the one whose wait would end first. `false`: all are open.
    pub(super) fn make_room(&mut self, now: Time) -> bool {
        while let Some(wake) = self.deadlines.pop() {
            match wake {
                Wake::Socket(key) => self.forget_socket(key),
                Wake::Exchange(key) => {
                    if self.exchanges.get(key).is_some_and(|it| it.phase == Phase::Waiting) {
                        self.counters.add(Counter::WaitsExpired, 1);
                        self.force(key, now);
                        return true;
                    }
                }
            }
        }
        false
    }

    /// The end of the client that a server span is clamped into is known, or will not be in time.
    fn may_clamp(&self, key: Key<Exchange>, now: Time) -> bool {
        let Some(exchange) = self.exchanges.get(key).filter(|it| it.side == Side::Server) else {
            return true;
        };
        let client = exchange.pair.and_then(|pair| self.exchanges.get(pair));
        client.is_none_or(|client| client.end.is_some())
            || now >= exchange.ended.saturating_add(limit::PEER_WAIT)
    }

    /// Start and end of a span. The ends of a connection are clocked in different calls: the server's first
    /// read returns, and its last write does, some time after the bytes moved. A server span is moved into its
    /// client's by at most the time that those calls took.
    fn times(&self, exchange: &Exchange) -> (Time, Time) {
        let start = exchange.start();
        let end = exchange.end.unwrap_or(start);
        let pair = exchange.pair.filter(|_| exchange.side == Side::Server);
        let Some(client) = pair.and_then(|pair| self.exchanges.get(pair)) else { return (start, end) };
        let within = exchange.first.exit.saturating_sub(exchange.first.enter);
        let start = client.start().min(start.saturating_add(within)).max(start);
        let end = match client.end {
            Some(client_end) => client_end.max(end.saturating_sub(exchange.last_duration)).min(end),
            None => end,
        };
        (start, end.max(start))
    }

    /// Gives an exchange out, or leaves it out; its fate is known.
    fn release(&mut self, key: Key<Exchange>, now: Time) {
        self.recognise(key);
        let Some(exchange) = self.exchanges.get(key) else { return };
        let excluded = self.sockets.get(exchange.socket).is_some_and(|socket| socket.excluded);
        let (start, end) = self.times(exchange);
        let link = self.link_to(key).filter(|_| !excluded);
        self.accounting.waiting = self.accounting.waiting.saturating_sub(1);
        let out = &mut self.accounting;
        let (place, counter) = match &exchange.fate {
            _ if excluded => (&mut out.excluded, Some(Counter::Excluded)),
            Some(Fate::Excluded) | None => (&mut out.excluded, Some(Counter::Excluded)),
            Some(Fate::Ignored) => (&mut out.ignored, Some(Counter::Ignored)),
            Some(Fate::Traced(trace)) if !trace.is_sampled() => {
                (&mut out.sampled_out, Some(Counter::SampledOut))
            }
            Some(Fate::Traced(trace)) if trace.skipped => {
                (&mut out.instrumented, Some(Counter::Instrumented))
            }
            Some(Fate::Traced(_)) if self.spans.len() >= limit::SPANS_MAX => {
                (&mut out.dropped, Some(Counter::SpansDropped))
            }
            Some(Fate::Traced(trace)) => {
                let socket = self.sockets.get_mut(exchange.socket);
                self.spans.push_back(attributes::span(exchange, socket, trace.clone(), start, end));
                (&mut out.waiting, None)
            }
        };
        *place = place.saturating_add(1);
        if let Some(counter) = counter {
            self.counters.add(counter, 1);
        }
        self.detach(key, link, now);
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.phase = Phase::Gone;
        exchange.head = None;
        exchange.details = None;
        // Those that look at it still find their answer here.
        self.changed.extend(exchange.dependents.drain(..));
        if exchange.references == 0 {
            self.exchanges.remove(key);
        }
    }

    /// Looks up whether a service has the method that it was called with, and learns from how it answered.
    fn recognise(&mut self, key: Key<Exchange>) {
        let Some(exchange) = self.exchanges.get_mut(key).filter(|it| it.side == Side::Server) else { return };
        let (tgid, status) = (exchange.tgid, exchange.status);
        let rpc = exchange.rpc.as_deref_mut().filter(|rpc| rpc.is_sure());
        if let (Some(rpc), Some(method)) = (rpc, exchange.head.as_ref().and_then(|head| head.target())) {
            let answer = if rpc.is_unimplemented(status) {
                Answer::Unimplemented
            } else if rpc.is_served() {
                Answer::Served
            } else {
                Answer::None
            };
            rpc.unrecognised = !self.methods.recognise(tgid, method, answer);
        }
    }

    /// Takes back an exchange that was none.
    pub(super) fn retract(&mut self, key: Key<Exchange>, now: Time) {
        let Some(exchange) = self.exchanges.get(key).filter(|it| it.phase == Phase::Open) else { return };
        if let Some(socket) = self.sockets.get_mut(exchange.socket) {
            socket.forget(key);
        }
        if let Some(task) = exchange.reader {
            self.ownership.ended(task, false, false, now);
        }
        self.no_longer_serves(key);
        self.accounting.open = self.accounting.open.saturating_sub(1);
        self.accounting.retracted = self.accounting.retracted.saturating_add(1);
        self.counters.add(Counter::ExchangesRetracted, 1);
        self.detach(key, None, now);
        if let Some(exchange) = self.exchanges.remove(key) {
            self.changed.extend(exchange.dependents);
        }
        self.settle(now);
    }

    /// Removes an exchange from every table that finds it, and lets go of those that it looked at.
    fn detach(&mut self, key: Key<Exchange>, link: Option<SpanLink>, now: Time) {
        let Some(exchange) = self.exchanges.get(key) else { return };
        self.kept_text = self.kept_text.saturating_sub(exchange.kept_text());
        self.peers.released(exchange.socket, exchange.position, key);
        if let Some(task) = exchange.reader {
            let link = link.map(|link| (link, exchange.end.unwrap_or(now)));
            self.ownership.given_out(task, key, link);
        }
        let context = exchange.header.as_ref().and_then(|header| header.context);
        let owner = match exchange.owner {
            Some(Owner::Exchange(owner)) => Some(owner),
            Some(Owner::Gone(_)) | None => None,
        };
        let claimed = match exchange.claim {
            Some(Claim::Forwarded(server) | Claim::Late(server)) => Some(server),
            Some(Claim::Ambiguous | Claim::Made) | None => None,
        };
        let client = exchange.pair.filter(|_| exchange.side == Side::Server);
        let (socket, side, tgid) = (exchange.socket, exchange.side, exchange.tgid);
        if let Some(context) = context.filter(|_| side == Side::Server)
            && let Some(carriers) = self.carriers.get_mut(&(tgid, context))
        {
            carriers.retain(|carrier| *carrier != key);
            if carriers.is_empty() {
                self.carriers.remove(&(tgid, context));
            }
        }
        for target in owner.into_iter().chain(claimed).chain(client) {
            self.let_go(target);
        }
        if let Some(found) = self.sockets.get_mut(socket) {
            found.held = found.held.saturating_sub(1);
            // Its linger may be over already.
            if found.held == 0
                && found.closed.is_some_and(|closed| closed.saturating_add(limit::LINGER) <= now)
            {
                self.deadlines.push(now, Wake::Socket(socket));
            }
        }
    }

    fn let_go(&mut self, key: Key<Exchange>) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.references = exchange.references.saturating_sub(1);
        if exchange.references == 0 && exchange.phase == Phase::Gone {
            self.exchanges.remove(key);
        }
    }

    /// The fate of an exchange that is excluded by what it asks for is known at once.
    pub(super) fn exclude(&mut self, key: Key<Exchange>) {
        if let Some(exchange) = self.exchanges.get_mut(key) {
            exchange.excluded = true;
            exchange.fate = Some(Fate::Excluded);
            self.changed.extend(exchange.dependents.iter().copied());
        }
    }
}
