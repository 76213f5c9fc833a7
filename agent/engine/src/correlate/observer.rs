//! Builds the exchanges of one connection from what its protocol tells, and links them as they grow.

use std::sync::Arc;

use super::{Correlator, header, telemetry::Asked};
use crate::{
    Content, Excerpt, Of, Order, Secrecy, TelemetryIngest,
    counter::Counter,
    event::{Call, ConnectionId, Direction, Time},
    exchange::{Claim, Exchange, Head, Key, Rpc, Socket, kept::Kept},
    limit,
    policy::opt_in::Item,
    protocol::{Ending, Field, Number, Observer, RequestHead, ResponseHead, Side, Trailers, Version},
};

/// Watches one connection.
pub(crate) struct Watch<'a> {
    pub(crate) correlator: &'a mut Correlator,
    pub(crate) socket: Key<Socket>,
    pub(crate) now: Time,
}

impl Watch<'_> {
    fn key(&self, number: Number) -> Option<Key<Exchange>> {
        self.correlator.sockets.get(self.socket)?.exchange(number)
    }

    fn exchange(&mut self, number: Number) -> Option<(Key<Exchange>, &mut Exchange)> {
        let key = self.key(number)?;
        Some((key, self.correlator.exchanges.get_mut(key)?))
    }

    /// Gives the kernel side an order about the connection.
    fn order(&mut self, order: impl FnOnce(ConnectionId) -> Order) {
        if let Some(conn) = self.correlator.sockets.get(self.socket).map(|socket| socket.id) {
            self.correlator.order(order(conn));
        }
    }
}

impl Observer for Watch<'_> {
    fn request_started(&mut self, number: Number, side: Side, position: u64, call: &Call) {
        self.correlator.started(self.socket, number, side, position, call, self.now);
    }

    fn request_head(&mut self, number: Number, head: &RequestHead<'_>) {
        if let Some(key) = self.key(number) {
            self.correlator.head(key, head, self.now);
        }
    }

    fn request_ended(&mut self, number: Number, body: u64, _call: &Call) {
        let now = self.now;
        if let Some((_, exchange)) = self.exchange(number) {
            exchange.request_ended = Some(now);
            if exchange.policy.opt_in.has(Item::RequestBodySize) {
                exchange.details().request_body = Some(body);
            }
        }
    }

    fn informational(&mut self, number: Number, status: u16, call: &Call) {
        let Some((_, exchange)) = self.exchange(number) else { return };
        let time = exchange.response_time(call);
        let events = &mut exchange.details().informational;
        if events.len() < limit::EVENTS_MAX {
            events.push((time, status));
        } else {
            self.correlator.counters.add(Counter::SpanEventsDropped, 1);
        }
    }

    fn response_started(&mut self, number: Number, call: &Call) {
        let now = self.now;
        let Some((_, exchange)) = self.exchange(number) else { return };
        exchange.responding = true;
        if exchange.policy.opt_in.has(Item::FirstByte) {
            exchange.details().first_byte = Some(exchange.response_time(call));
        }
        let dependents = exchange.dependents.clone();
        // Whoever reads and whoever answers are two: threads hand work on, and own nothing.
        if let Some(reader) = exchange.reader
            && reader != call.task
        {
            exchange.taints = exchange.taints.saturating_add(1);
            self.correlator.ownership.not_tasks(reader.tgid);
        }
        if !dependents.is_empty() {
            self.correlator.changed.extend(dependents);
            self.correlator.settle(now);
        }
    }

    fn response_head(&mut self, number: Number, head: &ResponseHead<'_>) {
        let Some((key, exchange)) = self.exchange(number) else { return };
        exchange.status = head.status;
        exchange.answered_by(head);
        // `Upgrade: h2c`: it is the version that the two agreed on.
        if let Some(request) = exchange.head.as_mut().filter(|_| head.version == Version::Http2) {
            request.version = Version::Http2;
        }
        if !exchange.policy.headers.response.is_empty() {
            // A response of trailers alone (gRPC over HTTP/2, Trailers-Only).
            let trailers = exchange.rpc.as_ref().is_some_and(|rpc| rpc.returned().is_some());
            self.correlator.keep_response_fields(key, head.fields, trailers);
        }
    }

    fn trailers(&mut self, number: Number, trailers: &Trailers<'_>) {
        let Some((key, exchange)) = self.exchange(number) else { return };
        exchange.trailers(trailers);
        if exchange.rpc.is_some() && !exchange.policy.headers.response.is_empty() {
            self.correlator.keep_response_fields(key, trailers.fields, true);
        }
    }

    fn messages(&mut self, number: Number, request: Option<u64>, response: Option<u64>) {
        if let Some((_, exchange)) = self.exchange(number)
            && let Some(rpc) = &mut exchange.rpc
        {
            rpc.messages = [request, response];
        }
    }

    fn no_call(&mut self, number: Number) {
        if let Some((_, exchange)) = self.exchange(number)
            && exchange.rpc.as_ref().is_some_and(|rpc| !rpc.is_sure())
        {
            exchange.rpc = None;
        }
    }

    fn response_ended(&mut self, number: Number, body: u64, call: &Call) {
        let now = self.now;
        if let Some((key, exchange)) = self.exchange(number) {
            if exchange.policy.opt_in.has(Item::ResponseBodySize) {
                exchange.details().response_body = Some(body);
            }
            exchange.set_end(call.exit, call.exit.saturating_sub(call.enter), None, now);
            self.correlator.ended(key, now);
        }
    }

    fn ended(&mut self, number: Number, ending: Ending, time: Time) {
        let now = self.now;
        if let Some((key, exchange)) = self.exchange(number) {
            exchange.set_end(time, 0, Some(ending), now);
            self.correlator.ended(key, now);
        }
    }

    fn retracted(&mut self, number: Number) {
        if let Some(key) = self.key(number) {
            self.correlator.retract(key, self.now);
        }
    }

    fn content(&mut self, direction: Direction, position: u64, length: u64) {
        let Some(contents) = &mut self.correlator.contents else { return };
        if length > 0
            && contents.len() < limit::ORDERS_MAX
            && let Some(socket) = self.correlator.sockets.get(self.socket)
        {
            contents.push(Content { conn: socket.id, direction, position, length });
        }
    }

    fn secrecy(&self) -> Option<Arc<dyn Secrecy>> {
        self.correlator.secrecy.clone()
    }

    fn excerpt(&mut self, direction: Direction, position: u64, bytes: &[u8], of: Of) {
        if self.correlator.secrecy.is_some()
            && (!bytes.is_empty() || of == Of::Upgrade)
            && self.correlator.excerpts.len() < limit::ORDERS_MAX
            && let Some(conn) = self.correlator.sockets.get(self.socket).map(|socket| socket.id)
        {
            let bytes = bytes.into();
            self.correlator.excerpts.push_back(Excerpt { conn, direction, position, bytes, of });
        }
    }

    fn skip(&mut self, direction: Direction, position: u64) {
        self.order(|conn| Order::Skip { conn, direction, position });
    }

    fn frames(&mut self, direction: Direction, position: u64) {
        self.order(|conn| Order::Frames { conn, direction, position });
    }

    fn search(&mut self, direction: Direction) {
        self.order(|conn| Order::Search { conn, direction });
    }

    fn quiet(&mut self, direction: Direction, stream: u32) {
        self.order(|conn| Order::Quiet { conn, direction, stream });
    }

    fn ignore(&mut self) {
        self.order(|conn| Order::Ignore { conn });
    }

    fn count(&mut self, counter: Counter, amount: u64) {
        self.correlator.counters.add(counter, amount);
    }
}

impl Correlator {
    fn started(
        &mut self,
        socket_key: Key<Socket>,
        number: Number,
        side: Side,
        position: u64,
        call: &Call,
        now: Time,
    ) {
        self.counters.add(Counter::ExchangesSeen, 1);
        self.accounting.seen = self.accounting.seen.saturating_add(1);
        let live = self.accounting.open.saturating_add(self.accounting.waiting);
        let full = live >= limit::EXCHANGES_MAX as u64 && !self.make_room(now);
        if full || self.sockets.get(socket_key).is_none() {
            self.counters.add(Counter::ExchangesEvicted, 1);
            self.accounting.dropped = self.accounting.dropped.saturating_add(1);
            return;
        }
        self.accounting.open = self.accounting.open.saturating_add(1);
        let span_id = self.ids.span();
        let policy = Arc::clone(self.policies.of(call.task.tgid));
        let key = self.exchanges.insert(Exchange::new(socket_key, side, position, call, span_id, policy));
        if let Some(socket) = self.sockets.get_mut(socket_key) {
            socket.open.push((number, key));
            socket.held = socket.held.saturating_add(1);
        }
        match side {
            Side::Client => self.assign_owner(key, call.task, call.enter),
            Side::Server => self.ownership.begins(call.task),
        }
        if let Some(other) = self.peers.started(&self.sockets, socket_key, position, key) {
            self.pair(key, other);
            self.settle(now);
        }
    }

    fn head(&mut self, key: Key<Exchange>, head: &RequestHead<'_>, now: Time) {
        let (header, malformed) = header::read(head.fields);
        self.counters.add(Counter::TraceHeadersMalformed, malformed);
        // A request has one head.
        let Some(exchange) = self.exchanges.get_mut(key).filter(|exchange| exchange.head.is_none()) else {
            return;
        };
        let room = limit::KEPT_TEXT_MAX.saturating_sub(self.kept_text);
        let (kept, refused) = Head::new(head, exchange.side, &exchange.policy, room);
        self.counters.add(Counter::ForwardedMalformed, refused.forwarded);
        self.counters.add(Counter::HeadersLeftOut, refused.headers);
        let asked = Asked::new(kept.method, head.target);
        let telemetry = asked.is_some_and(Asked::is_telemetry);
        let excluded = telemetry && self.config.telemetry_ingest == TelemetryIngest::Exclude;
        self.kept_text = self.kept_text.saturating_add(kept.size());
        exchange.head = Some(kept);
        exchange.telemetry = telemetry;
        exchange.rpc = Rpc::of_request(head);
        let context = header.as_ref().and_then(|header| header.context);
        exchange.header_known = header.is_some() || !head.fields_incomplete;
        exchange.header = header.map(Box::new);
        let (tgid, side, start) = (exchange.tgid, exchange.side, exchange.first.enter);
        match side {
            Side::Server => {
                let read = self.ownership.read(head.call.task, key, head.call.exit);
                exchange.reader = Some(head.call.task);
                exchange.taints = exchange.taints.saturating_add(read.taints);
                if let Some(former) = read.overlaps.and_then(|former| self.exchanges.get_mut(former)) {
                    former.taints = former.taints.saturating_add(1);
                    former.overlap = Some((key, head.call.exit));
                }
                if let Some(context) = context {
                    self.carriers.entry((tgid, context)).or_default().push(key);
                }
                if asked.is_some_and(Asked::may_pass_traces_on) {
                    self.gets_traces(key);
                }
            }
            Side::Client => {
                let claim = context.map(|context| self.claim(tgid, &context, start));
                if let Some(exchange) = self.exchanges.get_mut(key) {
                    exchange.claim = claim;
                }
                if let Some(Claim::Forwarded(server) | Claim::Late(server)) = claim {
                    self.depend(key, server);
                }
                self.made(key);
                if asked.is_some_and(Asked::exports_traces) {
                    self.sends_traces(key);
                }
            }
        }
        if excluded {
            self.exclude(key);
        }
        self.changed.push(key);
        self.changed.extend(self.client_of(key));
        self.settle(now);
    }

    /// Keeps the fields of a response that its operator asked for.
    fn keep_response_fields(&mut self, key: Key<Exchange>, fields: &[Field<'_>], trailers: bool) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let room = limit::KEPT_TEXT_MAX.saturating_sub(self.kept_text);
        let (kept, left_out) = Kept::new(&exchange.policy.headers.response, fields, room);
        self.counters.add(Counter::HeadersLeftOut, left_out);
        if kept.is_empty() {
            return;
        }
        let details = exchange.details();
        let place = if trailers { &mut details.trailers } else { &mut details.headers };
        // A second head of one response would not be accounted for.
        if place.is_empty() {
            self.kept_text = self.kept_text.saturating_add(kept.size());
            *place = kept;
        }
    }

    /// Where the header of a call that starts now comes from.
    fn claim(&self, tgid: u32, context: &header::Context, start: Time) -> Claim {
        let (mut open, mut late) = (None, None);
        let carriers = self.carriers.get(&(tgid, *context));
        for &key in carriers.into_iter().flatten() {
            let Some(server) = self.exchanges.get(key) else { continue };
            let slot = if server.end.is_some_and(|end| end <= start) { &mut late } else { &mut open };
            if slot.replace(key).is_some() {
                // Of two that are over either may have been the one; two open ones are for the reader rule.
                return Claim::Ambiguous;
            }
        }
        match (open, late) {
            (Some(open), _) => Claim::Forwarded(open),
            (None, Some(late)) => Claim::Late(late),
            (None, None) => Claim::Made,
        }
    }
}
