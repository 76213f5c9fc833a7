//! The engine: its stages put together.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::{
    Accounting, Config, Content, Excerpt, Order, Secrecy,
    connection::Connection,
    correlate::{Correlator, observer::Watch},
    counter::{Counter, Counters},
    deadline::Deadlines,
    event::{ConnectionId, Data, Direction, End, Event, Open, Role, Time},
    exchange::{Key, Socket},
    limit,
    policy::{Instrumented, Policy},
    protocol::{Side, Unseen},
    span::Span,
};

/// Turns records into spans.
///
/// The caller owns the loop and the clock: after each call it takes what [`Engine::poll_span`] and
/// [`Engine::poll_order`] have, and calls [`Engine::handle_timeout`] when [`Engine::poll_timeout`] says.
pub struct Engine {
    connections: FxHashMap<ConnectionId, Attached>,
    deadlines: Deadlines<ConnectionId>,
    correlator: Correlator,
    /// Where the eviction rule stopped.
    hand: usize,
}

/// A connection that has not ended.
struct Attached {
    framing: Box<Connection>,
    socket: Key<Socket>,
    /// The deadline that is queued.
    queued: Option<Time>,
}

impl Engine {
    pub fn new(config: Config) -> Self {
        Self {
            connections: FxHashMap::default(),
            deadlines: Deadlines::default(),
            correlator: Correlator::new(config),
            hand: 0,
        }
    }

    /// Takes one record as it came from the kernel side. One that cannot be decoded is counted.
    pub fn handle_record(&mut self, record: &[u8], now: Time) {
        match Event::decode(record) {
            Ok(event) => self.handle_event(&event, now),
            Err(_) => self.correlator.counters.add(Counter::RecordsRefused, 1),
        }
    }

    pub fn handle_event(&mut self, event: &Event<'_>, now: Time) {
        match event {
            Event::Open(open) => self.open(open, now),
            Event::Data(data) => self.data(data, now),
            Event::End(end) => self.end(end, now),
            Event::Exec(exec) => self.correlator.process_changed(exec.process.tgid),
            Event::Exit(process) => {
                self.correlator.process_changed(process.tgid);
                self.correlator.policies.set(process.tgid, None);
            }
            Event::Fork(_) | Event::Seen(_) | Event::IoUring(_) => {}
        }
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some(id) = self.deadlines.pop_due(now) {
            let Some(attached) = self.connections.get_mut(&id) else { continue };
            attached.queued = None;
            if attached.framing.deadline().is_some_and(|deadline| deadline <= now) {
                let mut watch = Watch { correlator: &mut self.correlator, socket: attached.socket, now };
                attached.framing.timeout(now, &mut watch);
            }
            self.look(id, now, now);
        }
        self.correlator.timeout(now);
    }

    /// When [`Engine::handle_timeout`] wants to be called.
    pub fn poll_timeout(&mut self) -> Option<Time> {
        let framing = self.deadlines.next().map(|(time, _)| time);
        [framing, self.correlator.next_deadline()].into_iter().flatten().min()
    }

    /// The next span.
    pub fn poll_span(&mut self) -> Option<Span> {
        self.correlator.poll_span()
    }

    /// The next order to the kernel side.
    pub fn poll_order(&mut self) -> Option<Order> {
        self.correlator.poll_order()
    }

    /// From now on [`Engine::poll_content`] has what is content. It is to be taken after each call.
    pub fn report_content(&mut self) {
        self.correlator.contents.get_or_insert_default();
    }

    /// Some content of which this was not told yet, in no order.
    pub fn poll_content(&mut self) -> Option<Content> {
        self.correlator.contents.as_mut()?.pop()
    }

    /// From now on [`Engine::poll_excerpt`] has what may be written of HTTP/2 and of bodies. It is to be taken after each
    /// call.
    pub fn report_excerpts(&mut self, secrecy: Arc<dyn Secrecy>) {
        self.correlator.secrecy = Some(secrecy);
    }

    /// The next excerpt.
    pub fn poll_excerpt(&mut self) -> Option<Excerpt> {
        self.correlator.excerpts.pop_front()
    }

    /// Ends every exchange for this reason, and gives out everything that waits.
    pub fn finish(&mut self, why: Unseen, now: Time) {
        let connections: Vec<_> = self.connections.keys().copied().collect();
        for id in connections {
            self.detach(id, why, now);
        }
        self.correlator.finish(now);
    }

    /// The threads of this process are known to work on many requests at once (an event loop, goroutines):
    /// the reader rule is not for it, until it starts another image.
    pub fn thread_is_not_task(&mut self, tgid: u32) {
        self.correlator.thread_is_not_task(tgid);
    }

    /// The next process that was found to send OTLP traces, and what becomes of its spans: it is instrumented, until
    /// it starts another image.
    pub fn poll_instrumented(&mut self) -> Option<(u32, Instrumented)> {
        let tgid = self.correlator.programs.poll()?;
        Some((tgid, self.correlator.policies.of(tgid).instrumented))
    }

    /// What holds for exchanges of every process that has no policy of its own.
    pub fn set_default_policy(&mut self, policy: Arc<Policy>) {
        self.correlator.policies.set_default(policy);
    }

    /// What holds for exchanges of this process from now on, until it ends; `None`: the default.
    pub fn set_policy(&mut self, tgid: u32, policy: Option<Arc<Policy>>) {
        self.correlator.policies.set(tgid, policy);
    }

    pub fn counters(&self) -> &Counters {
        &self.correlator.counters
    }

    pub fn accounting(&self) -> Accounting {
        self.correlator.accounting
    }

    /// Connections that have not ended.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    fn open(&mut self, open: &Open, now: Time) {
        let socket = self.attach(open.conn, open.role, open.from_opening, now);
        self.correlator.opened(socket, open, now);
        if let Some(attached) = self.connections.get_mut(&open.conn) {
            let mut watch = Watch { correlator: &mut self.correlator, socket, now };
            attached.framing.open(open, &mut watch);
        }
        self.look(open.conn, now, now);
    }

    fn data(&mut self, data: &Data<'_>, now: Time) {
        // Our own connections are known to be excluded at their other end, and have no exchanges.
        if data.call.task.tgid == self.correlator.config.own_tgid {
            return;
        }
        if !self.connections.contains_key(&data.conn) {
            self.correlator.counters.add(Counter::ConnectionsUnannounced, 1);
            self.attach(data.conn, Role::Unknown, false, now);
        }
        let Some(attached) = self.connections.get_mut(&data.conn) else { return };
        if let Some(socket) = self.correlator.sockets.get_mut(attached.socket) {
            socket.used = true;
            // An answer to a request that was not seen: its task worked on that one.
            if data.direction == Direction::Sent
                && socket.open.is_empty()
                && attached.framing.side() == Some(Side::Server)
            {
                self.correlator.unseen_request(data.call.task);
            }
        }
        let mut watch = Watch { correlator: &mut self.correlator, socket: attached.socket, now };
        attached.framing.data(data, now, &mut watch);
        if let Some(proxied) = attached.framing.proxied()
            && let Some(socket) = self.correlator.sockets.get_mut(attached.socket)
        {
            socket.proxied = Some(proxied.source.ip());
        }
        self.look(data.conn, now, now);
    }

    fn end(&mut self, end: &End, now: Time) {
        let Some(attached) = self.connections.get_mut(&end.conn) else { return };
        let mut watch = Watch { correlator: &mut self.correlator, socket: attached.socket, now };
        attached.framing.end(end, now, &mut watch);
        self.look(end.conn, end.time, now);
    }

    /// Looks after a connection that something happened to: it may have closed, or want to be called later.
    fn look(&mut self, id: ConnectionId, time: Time, now: Time) {
        let Some(attached) = self.connections.get_mut(&id) else { return };
        if attached.framing.is_closed() {
            let socket = attached.socket;
            self.connections.remove(&id);
            self.correlator.closed(socket, time, now);
        } else if let Some(deadline) = attached.framing.deadline()
            && attached.queued.is_none_or(|queued| deadline < queued)
        {
            attached.queued = Some(deadline);
            self.deadlines.push(deadline, id);
        }
    }

    fn attach(&mut self, id: ConnectionId, role: Role, from_opening: bool, now: Time) -> Key<Socket> {
        if let Some(attached) = self.connections.get(&id) {
            return attached.socket;
        }
        if self.connections.len() >= limit::CONNECTIONS_MAX {
            self.evict(now);
        }
        let socket = self.correlator.socket(id, now);
        let framing = Box::new(Connection::new(role, from_opening));
        self.connections.insert(id, Attached { framing, socket, queued: None });
        socket
    }

    /// Gives up one that has not been used since this rule last passed it (second chance): O(1) on average,
    /// and an idle one goes before a busy one.
    fn evict(&mut self, now: Time) {
        // Twice around at most: the first time takes every chance away.
        for _ in 0..self.correlator.sockets.len().saturating_mul(2) {
            let Some((key, next)) = self.correlator.sockets.next_from(self.hand) else { return };
            self.hand = next;
            let Some(socket) = self.correlator.sockets.get_mut(key) else { return };
            let (id, used) = (socket.id, core::mem::take(&mut socket.used));
            let attached = self.connections.get(&id).is_some_and(|attached| attached.socket == key);
            if attached && !used {
                self.correlator.counters.add(Counter::ConnectionsEvicted, 1);
                self.detach(id, Unseen::Evicted, now);
                return;
            }
        }
    }

    fn detach(&mut self, id: ConnectionId, why: Unseen, now: Time) {
        if let Some(mut attached) = self.connections.remove(&id) {
            let mut watch = Watch { correlator: &mut self.correlator, socket: attached.socket, now };
            attached.framing.finish(why, now, &mut watch);
            self.correlator.closed(attached.socket, now, now);
        }
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "numbers of the tests themselves")]
mod tests;
