//! Programs that make spans about themselves, known by the OTLP traces that they send.
//!
//! * What passes on traces of others (a proxy, a collector that answers when it has been answered) makes none: it sends
//!   them while it serves a request that brought some.
//! * Their exchanges make no spans ([`crate::policy::Instrumented::Skip`]) and still carry links: what they
//!   caused hangs under what they hang under.
//! * The program has a trace of its own for a request that came without a header, and its calls carry it. That
//!   is then the trace of the request: of everything that led to it, if nothing else has decided that one
//!   before. The reader rule says which calls are the request's; where it does not hold, or where two such
//!   programs below one root have made a trace each, the traces stay apart.
//!
//! Limits: [`limit::INSTRUMENTED_MAX`] programs; one more is taken for one that is not instrumented.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Correlator, header::Header};
use crate::{
    event::Time,
    exchange::{Claim, Exchange, Key, Made, Owner},
    limit,
    protocol::Side,
};

#[derive(Default)]
pub(crate) struct Programs {
    known: FxHashSet<u32>,
    /// Those that nobody has been told about.
    new: VecDeque<u32>,
    /// How many requests that brought traces a process serves; no more than there are open exchanges.
    served: FxHashMap<u32, u32>,
}

impl Programs {
    /// The next one that became known.
    pub(crate) fn poll(&mut self) -> Option<u32> {
        self.new.pop_front()
    }

    fn add(&mut self, tgid: u32) {
        if self.known.len() < limit::INSTRUMENTED_MAX && self.known.insert(tgid) {
            self.new.push_back(tgid);
        }
    }

    /// A request that brought traces was read.
    fn serves(&mut self, tgid: u32) {
        let served = self.served.entry(tgid).or_default();
        *served = served.saturating_add(1);
    }

    /// It is over.
    fn served(&mut self, tgid: u32) {
        if let Some(served) = self.served.get_mut(&tgid) {
            *served = served.saturating_sub(1);
            if *served == 0 {
                self.served.remove(&tgid);
            }
        }
    }
}

impl Correlator {
    /// A process sent traces with this call.
    pub(super) fn sends_traces(&mut self, call: Key<Exchange>) {
        let Some(exchange) = self.exchanges.get(call) else { return };
        let owner = match exchange.owner {
            Some(Owner::Exchange(owner)) => self.exchanges.get(owner),
            Some(Owner::Gone(_)) | None => None,
        };
        if !owner.is_some_and(|owner| owner.brings_traces)
            && !self.programs.served.contains_key(&exchange.tgid)
        {
            self.programs.add(exchange.tgid);
        }
    }

    /// A process was sent traces with this request.
    pub(super) fn gets_traces(&mut self, request: Key<Exchange>) {
        if let Some(exchange) = self.exchanges.get_mut(request) {
            exchange.brings_traces = true;
            self.programs.serves(exchange.tgid);
        }
    }

    /// An exchange ended, or was none.
    pub(super) fn no_longer_serves(&mut self, key: Key<Exchange>) {
        if let Some(exchange) = self.exchanges.get(key).filter(|exchange| exchange.brings_traces) {
            self.programs.served(exchange.tgid);
        }
    }

    /// The process ended or started another image. What it did before, it did as the program that it was.
    pub(super) fn forget_program(&mut self, tgid: u32) {
        if !self.programs.known.remove(&tgid) {
            return;
        }
        self.programs.new.retain(|new| *new != tgid);
        let keys: Vec<_> = self.exchanges.keys().collect();
        for key in keys {
            if let Some(exchange) = self.exchanges.get_mut(key).filter(|exchange| exchange.tgid == tgid) {
                exchange.instrumented = true;
            }
        }
    }

    pub(super) fn is_instrumented(&self, exchange: &Exchange) -> bool {
        exchange.instrumented || self.programs.known.contains(&exchange.tgid)
    }

    /// A call carries a header that its program made: so does whatever else the program does for that request.
    pub(super) fn made(&mut self, call: Key<Exchange>) {
        let Some(exchange) = self.exchanges.get(call).filter(|call| call.claim == Some(Claim::Made)) else {
            return;
        };
        let Some(Owner::Exchange(owner)) = exchange.owner else { return };
        let Some(header) = exchange.header.clone() else { return };
        let start = exchange.first.enter;
        if let Some(owner) = self.exchanges.get_mut(owner).filter(|owner| owner.end.is_none()) {
            owner.made.add(*header, start);
        }
    }

    /// What a call without a header caused is known, as far as it may decide the call's trace.
    pub(super) fn callee_ended(&self, call: &Exchange, now: Time) -> bool {
        if self.programs.known.is_empty() {
            return true;
        }
        match call.pair.and_then(|server| self.exchanges.get(server)) {
            Some(server) => server.end.is_some(),
            None => call.end.is_some() && now >= call.ended.saturating_add(limit::PEER_WAIT),
        }
    }

    /// The trace that an instrumented program made for want of one when it served this, or what this caused.
    pub(super) fn made_below(&self, root: Key<Exchange>) -> Option<Header> {
        let mut found = Made::default();
        if !self.programs.known.is_empty() {
            self.gather(root, &mut found, 0);
        }
        match found {
            Made::One(header, _) => Some(*header),
            Made::Nothing | Made::Several => None,
        }
    }

    fn gather(&self, key: Key<Exchange>, found: &mut Made, depth: u32) {
        let Some(exchange) = self.exchanges.get(key).filter(|_| depth < limit::ANCESTORS_MAX) else { return };
        let context = exchange.header.as_ref().and_then(|header| header.context);
        if context.is_some() || !exchange.header_known {
            return;
        }
        let depth = depth.saturating_add(1);
        match (exchange.side, exchange.pair, exchange.end, exchange.reader) {
            (Side::Client, Some(server), _, _) => self.gather(server, found, depth),
            (Side::Server, _, Some(end), Some(reader)) if self.owns_calls_of(exchange, reader) => {
                match &exchange.made {
                    // One that started after the answer may belong to something else.
                    Made::One(header, last) if self.is_instrumented(exchange) && *last < end => {
                        found.add(Header::clone(header), *last);
                    }
                    Made::Several if self.is_instrumented(exchange) => *found = Made::Several,
                    Made::Nothing | Made::One(..) | Made::Several => {
                        for &call in &exchange.dependents {
                            let owned = self.exchanges.get(call).is_some_and(|call| {
                                call.owner == Some(Owner::Exchange(key)) && call.first.enter < end
                            });
                            if owned {
                                self.gather(call, found, depth);
                            }
                        }
                    }
                }
            }
            _ => {}
        }
    }
}
