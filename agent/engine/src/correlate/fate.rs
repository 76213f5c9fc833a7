//! The rules: which trace an exchange belongs to, and whose child it is in it.

use super::{Correlator, header::{Context, Header}};
use crate::{
    event::Time,
    exchange::{Claim, Exchange, Fate, Key, Owner, Trace},
    limit,
    protocol::Side,
    span::{LinkMethod, Parent, SpanId, SpanLink},
};

/// W3C trace flags (level 2, 3.2.2.5).
const SAMPLED: u8 = 1;
const RANDOM: u8 = 2;

impl Correlator {
    /// The fate of an exchange, if nothing that may still change it is to come. `force`: with what is known
    /// now. `depth`: parents start before their children, so that a chain of them ends; yet it has a bound.
    pub(super) fn fate(&mut self, key: Key<Exchange>, now: Time, force: bool, depth: u32) -> Option<Fate> {
        let exchange = self.exchanges.get(key)?;
        if exchange.fate.is_some() {
            return exchange.fate.clone();
        }
        // A header may come as long as the head is not complete.
        if exchange.head.is_none() && exchange.end.is_none() && !force {
            return None;
        }
        let socket_excluded = self.sockets.get(exchange.socket).is_some_and(|socket| socket.excluded);
        let fate = if exchange.excluded || socket_excluded {
            Fate::Excluded
        } else if depth >= limit::ANCESTORS_MAX {
            self.root(None, None)
        } else {
            match exchange.side {
                Side::Client => self.client_fate(key, now, force, depth)?,
                Side::Server => self.server_fate(key, now, force, depth)?,
            }
        };
        self.set_fate(key, fate);
        self.exchanges.get(key)?.fate.clone()
    }

    fn server_fate(&mut self, key: Key<Exchange>, now: Time, force: bool, depth: u32) -> Option<Fate> {
        let exchange = self.exchanges.get(key)?;
        if let Some((client, span_id)) =
            exchange.pair.and_then(|pair| Some((pair, self.exchanges.get(pair)?.span_id)))
        {
            let fate = self.fate(client, now, force, depth.saturating_add(1))?;
            let header = self.exchanges.get(key).and_then(|exchange| exchange.header.as_deref());
            return Some(match (fate, header.and_then(|header| Some((header, header.context?)))) {
                (Fate::Excluded, _) => Fate::Excluded,
                // The client's header was not captured: the one that arrived decides.
                (Fate::Traced(trace), Some((header, context))) if context.trace_id != trace.trace_id => {
                    Fate::Traced(continued(header, context, header_parent(context)))
                }
                (Fate::Traced(trace), _) => Fate::Traced(child(trace, span_id, LinkMethod::Connection)),
            });
        }
        // Until a while after its request was read, the other end may show.
        let over = exchange.end.is_some() && now >= peer_deadline(exchange);
        if !over && !force {
            return None;
        }
        let header = exchange.header.clone();
        Some(self.continued_or_root(header.as_deref()))
    }

    fn client_fate(&mut self, key: Key<Exchange>, now: Time, force: bool, depth: u32) -> Option<Fate> {
        let exchange = self.exchanges.get(key)?;
        let header = exchange.header.clone();
        let Some(context) = header.as_ref().and_then(|header| header.context) else {
            return self.owned_fate(key, header.as_deref(), now, force, depth);
        };
        let header = header?;
        match exchange.claim {
            Some(Claim::Forwarded(server)) => {
                // Given out meanwhile at the latest; then it was late.
                let Some(server) = self.exchanges.get(server) else {
                    return Some(Fate::Traced(continued(&header, context, None)));
                };
                if server.excluded {
                    return Some(Fate::Excluded);
                }
                let parent = Parent { span_id: server.span_id, method: LinkMethod::Header, remote: false };
                Some(Fate::Traced(continued(&header, context, Some(parent))))
            }
            Some(Claim::Late(server)) => {
                let span_id = self.exchanges.get(server).map(|server| server.span_id);
                let mut trace = continued(&header, context, None);
                trace.follows = span_id.map(|span_id| SpanLink { trace_id: context.trace_id, span_id });
                Some(Fate::Traced(trace))
            }
            Some(Claim::Ambiguous) => self.ambiguous_fate(key, &header, context, force),
            Some(Claim::Made) | None => {
                Some(Fate::Traced(continued(&header, context, header_parent(context))))
            }
        }
    }

    /// Several requests that the process serves carry this header: only the reader rule can tell them apart.
    fn ambiguous_fate(&mut self, key: Key<Exchange>, header: &Header, context: Context, force: bool) -> Option<Fate> {
        let exchange = self.exchanges.get(key)?;
        let mut parent = None;
        if let Some(Owner::Exchange(owner_key)) = exchange.owner
            && let Some(owner) = self.exchanges.get(owner_key)
        {
            if owner.end.is_none() && !force {
                return None;
            }
            let same = owner.header.as_ref().is_some_and(|header| header.context == Some(context));
            let during = owner.end.is_none_or(|end| exchange.first.enter < end);
            if same && during && self.holds(exchange, owner) {
                parent = Some(Parent { span_id: owner.span_id, method: LinkMethod::Reader, remote: false });
            }
        }
        Some(Fate::Traced(continued(header, context, parent)))
    }

    /// A call without ids in its header belongs to its owner's trace.
    fn owned_fate(
        &mut self,
        key: Key<Exchange>,
        header: Option<&Header>,
        now: Time,
        force: bool,
        depth: u32,
    ) -> Option<Fate> {
        let exchange = self.exchanges.get(key)?;
        let link = match exchange.owner {
            None => return Some(self.root(header, None)),
            Some(Owner::Gone(link)) => Some(link),
            Some(Owner::Exchange(owner_key)) => {
                let Some(owner) = self.exchanges.get(owner_key) else {
                    return Some(self.root(header, None));
                };
                if owner.end.is_none() && !force {
                    return None;
                }
                if !self.holds(exchange, owner) {
                    return Some(self.root(header, None));
                }
                if owner.excluded {
                    return Some(Fate::Excluded);
                }
                let (span_id, late) =
                    (owner.span_id, owner.end.is_some_and(|end| exchange.first.enter >= end));
                match self.fate(owner_key, now, force, depth.saturating_add(1))? {
                    Fate::Excluded => return Some(Fate::Excluded),
                    Fate::Traced(trace) if !late => {
                        return Some(Fate::Traced(child(trace, span_id, LinkMethod::Reader)));
                    }
                    Fate::Traced(_) => self.link_to(owner_key),
                }
            }
        };
        // An answer to a request that was not seen would show shortly after the call.
        let exchange = self.exchanges.get(key)?;
        let over = exchange.end.is_some() && now >= exchange.ended.saturating_add(limit::PEER_WAIT);
        if !over && !force {
            return None;
        }
        let undisturbed = self.ownership.undisturbed(exchange.first.task, exchange.voids);
        Some(self.root(header, link.filter(|_| undisturbed)))
    }

    /// The reader rule holds between these two.
    fn holds(&self, call: &Exchange, owner: &Exchange) -> bool {
        !owner.tainted && owner.ended_for_certain() && self.ownership.holds(call.first.task)
    }

    fn continued_or_root(&mut self, header: Option<&Header>) -> Fate {
        match header.and_then(|header| Some((header, header.context?))) {
            Some((header, context)) => Fate::Traced(continued(header, context, header_parent(context))),
            None => self.root(header, None),
        }
    }

    /// A trace of its own. A header without ids may still say whether to sample it.
    fn root(&mut self, header: Option<&Header>, follows: Option<SpanLink>) -> Fate {
        let sampled = header.and_then(|header| header.sampled).unwrap_or(true);
        Fate::Traced(Trace {
            trace_id: self.ids.trace(),
            parent: None,
            flags: RANDOM | if sampled { SAMPLED } else { 0 },
            state: None,
            follows,
        })
    }
}

/// Until when a server exchange waits for the client at the other end.
pub(super) fn peer_deadline(exchange: &Exchange) -> Time {
    exchange.request_ended.unwrap_or(exchange.ended).saturating_add(limit::PEER_WAIT)
}

fn header_parent(context: Context) -> Option<Parent> {
    context.span_id.map(|span_id| Parent { span_id, method: LinkMethod::Header, remote: true })
}

fn continued(header: &Header, context: Context, parent: Option<Parent>) -> Trace {
    let sampled = if header.sampled.unwrap_or(true) { SAMPLED } else { 0 };
    let random = if header.random { RANDOM } else { 0 };
    Trace {
        trace_id: context.trace_id,
        parent,
        flags: sampled | random,
        state: header.state.clone(),
        follows: None,
    }
}

fn child(parent: Trace, span_id: SpanId, method: LinkMethod) -> Trace {
    Trace { parent: Some(Parent { span_id, method, remote: false }), follows: None, ..parent }
}
