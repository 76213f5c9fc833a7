//! Link: which exchange caused which.
//!
//! In: exchanges as they start, learn their head and end ([`observer`]). Out: spans, each given out once its
//! trace and parent are certain, or once waiting for that has reached its bound.
//!
//! * A header decides the trace id.
//! * A **server** exchange is the child of the client exchange at the other end of its connection, if that is
//!   on this host; else of the span that its header names; else it is a root.
//! * A **client** exchange with a header: exactly one open server exchange of the process has the same ids:
//!   the header was forwarded, and that one is the parent. Several have: the reader rule picks, or nobody.
//!   None has: an SDK made the header, and the parent is the span it names.
//! * A client exchange without a header is the child of its owner ([`ownership`]); if it starts after its
//!   owner's response has ended, it is linked to it and has no parent.
//!
//! Limits: [`limit::EXCHANGES_MAX`] exchanges; [`limit::PEER_WAIT`] and [`limit::OWNER_WAIT`]. Nothing is
//! searched: each exchange knows which others look at it, and a queue of deadlines knows the rest.

mod connection;
mod fate;
pub(crate) mod header;
mod ignored;
mod instrumented;
mod methods;
pub(crate) mod observer;
mod ownership;
mod release;
mod telemetry;

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "numbers of the tests themselves")]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use smallvec::SmallVec;

use self::{
    connection::Peers, header::Context, instrumented::Programs, methods::Methods, ownership::Ownership,
};
use crate::{
    Accounting, Config, Content, Excerpt, Order, Secrecy,
    counter::{Counter, Counters},
    deadline::Deadlines,
    event::{ConnectionId, Open, Task, Time},
    exchange::{Exchange, Fate, Key, Owner, Phase, Socket, Table},
    id::Ids,
    limit,
    policy::Policies,
    span::{Span, SpanLink},
};

/// What to look at again.
#[derive(Clone, Copy)]
enum Wake {
    Exchange(Key<Exchange>),
    Socket(Key<Socket>),
}

/// The exchange and link stages of an engine.
pub(crate) struct Correlator {
    pub(crate) config: Config,
    pub(crate) counters: Counters,
    pub(crate) accounting: Accounting,
    pub(crate) sockets: Table<Socket>,
    exchanges: Table<Exchange>,
    peers: Peers,
    ownership: Ownership,
    methods: Methods,
    /// Server exchanges that have not been given out, by process and header. Whoever sends requests chooses
    /// these ids, so their hash has to be one that cannot be foreseen.
    carriers: HashMap<(u32, Context), SmallVec<[Key<Exchange>; 1]>>,
    ids: Ids,
    pub(crate) policies: Policies,
    pub(crate) programs: Programs,
    deadlines: Deadlines<Wake>,
    /// Exchanges for which something changed.
    changed: Vec<Key<Exchange>>,
    kept_text: usize,
    spans: VecDeque<Span>,
    orders: VecDeque<Order>,
    /// `None` while nobody wants to know.
    pub(crate) contents: Option<Vec<Content>>,
    /// The same.
    pub(crate) secrecy: Option<Arc<dyn Secrecy>>,
    pub(crate) excerpts: VecDeque<Excerpt>,
}

impl Correlator {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            ids: Ids::new(config.seed),
            policies: Policies::default(),
            programs: Programs::default(),
            config,
            counters: Counters::default(),
            accounting: Accounting::default(),
            sockets: Table::default(),
            exchanges: Table::default(),
            peers: Peers::default(),
            ownership: Ownership::default(),
            methods: Methods::default(),
            carriers: HashMap::new(),
            deadlines: Deadlines::default(),
            changed: Vec::new(),
            kept_text: 0,
            spans: VecDeque::new(),
            orders: VecDeque::new(),
            contents: None,
            secrecy: None,
            excerpts: VecDeque::new(),
        }
    }

    /// A connection of which nothing is known yet.
    pub(crate) fn socket(&mut self, id: ConnectionId, now: Time) -> Key<Socket> {
        self.sockets.insert(Socket::unknown(id, now))
    }

    /// An open record: finds the other end.
    pub(crate) fn opened(&mut self, key: Key<Socket>, open: &Open, now: Time) {
        let own = open.tgid == self.config.own_tgid;
        let Some(socket) = self.sockets.get_mut(key) else { return };
        socket.update(open, own);
        if let Some(peer) = self.peers.introduce(&mut self.sockets, key) {
            self.exclude_peer_of_own(key, peer);
            self.exclude_peer_of_own(peer, key);
            self.pair_open(key, peer);
            self.pair_open(peer, key);
            self.settle(now);
        }
    }

    /// A connection is over: its addresses may be used again.
    pub(crate) fn closed(&mut self, key: Key<Socket>, time: Time, now: Time) {
        if let Some(socket) = self.sockets.get_mut(key) {
            socket.closed.get_or_insert(time.max(socket.opened));
            self.deadlines.push(now.saturating_add(limit::LINGER), Wake::Socket(key));
        }
    }

    fn exclude_peer_of_own(&mut self, own: Key<Socket>, peer: Key<Socket>) {
        if self.sockets.get(own).is_some_and(|socket| socket.own)
            && let Some(socket) = self.sockets.get_mut(peer)
        {
            socket.excluded = true;
            let conn = socket.id;
            self.order(Order::Ignore { conn });
        }
    }

    /// Joins the exchanges that were open when their connection's ends found each other.
    fn pair_open(&mut self, socket: Key<Socket>, peer: Key<Socket>) {
        let Some(open) = self.sockets.get(socket).map(|socket| socket.open.clone()) else { return };
        for (_, key) in open {
            let position = self.exchanges.get(key).filter(|exchange| exchange.pair.is_none());
            if let Some(position) = position.map(|exchange| exchange.position)
                && let Some(other) = self.peers.at(peer, position)
            {
                self.pair(key, other);
            }
        }
    }

    /// Two exchanges are the ends of one: the server looks at the client.
    fn pair(&mut self, one: Key<Exchange>, other: Key<Exchange>) {
        use crate::protocol::Side::{Client, Server};
        let look = |key| {
            let exchange = self.exchanges.get(key).filter(|exchange| exchange.pair.is_none())?;
            Some((exchange.side, exchange.start()))
        };
        let (client, server) = match (look(one), look(other)) {
            // Nothing is read before it is sent.
            (Some((Client, sent)), Some((Server, read))) if sent <= read => (one, other),
            (Some((Server, read)), Some((Client, sent))) if sent <= read => (other, one),
            _ => return,
        };
        if let Some(exchange) = self.exchanges.get_mut(client) {
            exchange.pair = Some(server);
        }
        if let Some(exchange) = self.exchanges.get_mut(server) {
            exchange.pair = Some(client);
        }
        self.depend(server, client);
        self.changed.push(server);
    }

    /// `on` stays until `key` has been given out, and tells it when it changes.
    fn depend(&mut self, key: Key<Exchange>, on: Key<Exchange>) {
        // An owner may live long and call often: those that are gone make room.
        if let Some(mut dependents) = self.exchanges.get_mut(on).map(|on| core::mem::take(&mut on.dependents))
        {
            if dependents.len() >= 16 && dependents.len().is_power_of_two() {
                dependents.retain(|key| self.exchanges.get(*key).is_some_and(|it| it.phase != Phase::Gone));
            }
            dependents.push(key);
            if let Some(on) = self.exchanges.get_mut(on) {
                on.dependents = dependents;
                on.references = on.references.saturating_add(1);
            }
        }
    }

    /// Finds the owner of a client exchange that starts.
    fn assign_owner(&mut self, key: Key<Exchange>, task: Task, start: Time) {
        let Some((owner, voids)) = self.ownership.owner(task, start) else { return };
        let owner = match owner {
            Owner::Exchange(owner) if self.exchanges.get(owner).is_none_or(|owner| owner.start() > start) => {
                return;
            }
            owner @ (Owner::Exchange(_) | Owner::Gone(_)) => owner,
        };
        if let Owner::Exchange(owner) = owner {
            self.depend(key, owner);
        }
        if let Some(exchange) = self.exchanges.get_mut(key) {
            exchange.owner = Some(owner);
            exchange.voids = voids;
        }
    }

    /// Bytes were sent on a server's connection for no request that is known.
    pub(crate) fn unseen_request(&mut self, task: Task) {
        self.ownership.void(task);
    }

    pub(crate) fn thread_is_not_task(&mut self, tgid: u32) {
        self.ownership.not_tasks(tgid);
    }

    /// A process ended or started another image.
    pub(crate) fn process_changed(&mut self, tgid: u32) {
        self.ownership.forget(tgid);
        self.forget_program(tgid);
        self.methods.forget(tgid);
    }

    /// Looks again at what is due.
    pub(crate) fn timeout(&mut self, now: Time) {
        while let Some(wake) = self.deadlines.pop_due(now) {
            match wake {
                Wake::Exchange(key) => self.waited(key, now),
                Wake::Socket(key) => self.forget_socket(key),
            }
        }
    }

    pub(crate) fn next_deadline(&mut self) -> Option<Time> {
        while let Some((time, wake)) = self.deadlines.next() {
            let pending = match *wake {
                Wake::Exchange(key) => self.exchanges.get(key).is_some_and(|it| it.phase == Phase::Waiting),
                Wake::Socket(key) => self.sockets.get(key).is_some(),
            };
            if pending {
                return Some(time);
            }
            self.deadlines.pop();
        }
        None
    }

    /// A closed connection is forgotten when nothing needs it and its other end had time to show.
    fn forget_socket(&mut self, key: Key<Socket>) {
        if self.sockets.get(key).is_some_and(|socket| socket.closed.is_some() && socket.held == 0) {
            self.peers.forget(&mut self.sockets, key);
            self.sockets.remove(key);
        }
    }

    pub(crate) fn order(&mut self, order: Order) {
        if self.orders.len() < limit::ORDERS_MAX {
            self.orders.push_back(order);
        } else {
            self.counters.add(Counter::OrdersDropped, 1);
        }
    }

    pub(crate) fn poll_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    pub(crate) fn poll_span(&mut self) -> Option<Span> {
        let span = self.spans.pop_front()?;
        self.accounting.waiting = self.accounting.waiting.saturating_sub(1);
        self.accounting.spans = self.accounting.spans.saturating_add(1);
        self.counters.add(Counter::Spans, 1);
        Some(span)
    }

    /// The link that a call gets that follows from this exchange.
    fn link_to(&self, key: Key<Exchange>) -> Option<SpanLink> {
        let exchange = self.exchanges.get(key).filter(|exchange| exchange.has_span())?;
        exchange.trace().map(|trace| SpanLink {
            trace_id: trace.trace_id,
            span_id: exchange.span_id,
            trace_state: trace.state.clone(),
            trace_flags: trace.flags,
        })
    }

    /// Sets the fate of an exchange for good, and has those that look at it look again.
    fn set_fate(&mut self, key: Key<Exchange>, fate: Fate) {
        if let Some(exchange) = self.exchanges.get_mut(key).filter(|exchange| exchange.fate.is_none()) {
            exchange.fate = Some(fate);
            self.changed.extend(exchange.dependents.iter().copied());
            // Another one may have asked for it.
            if exchange.phase == Phase::Waiting {
                self.changed.push(key);
            }
        }
    }
}
