//! The rules: which trace an exchange belongs to, and whose child it is in it.

use std::sync::Arc;

use super::{
    Correlator,
    header::{Context, Header},
};
use crate::{
    event::{Task, Time},
    exchange::{Claim, Exchange, Fate, Key, Owner, RANDOM, SAMPLED, Trace},
    limit,
    policy::{Instrumented, sampler::Decision},
    protocol::Side,
    span::{LinkMethod, Parent, SpanLink, TraceId},
};

impl Correlator {
    /// Sets the fate of an exchange, if nothing that may still change it is to come. `force`: with what is known
    /// now. `depth`: parents start before their children, so that a chain of them ends; yet it has a bound.
    pub(super) fn decide(&mut self, key: Key<Exchange>, now: Time, force: bool, depth: u32) -> Option<()> {
        let exchange = self.exchanges.get(key)?;
        if exchange.fate.is_some() {
            return Some(());
        }
        // A header may come as long as the head is not complete.
        if exchange.head.is_none() && exchange.end.is_none() && !force {
            return None;
        }
        let socket_excluded = self.sockets.get(exchange.socket).is_some_and(|socket| socket.excluded);
        let mut fate = if exchange.excluded || socket_excluded {
            Fate::Excluded
        } else if self.is_ignored(exchange, force)? {
            Fate::Ignored
        } else if depth >= limit::ANCESTORS_MAX {
            self.root(key, None, None)
        } else {
            match exchange.side {
                Side::Client => self.client_fate(key, now, force, depth)?,
                Side::Server => self.server_fate(key, now, force, depth)?,
            }
        };
        if let (Fate::Traced(trace), Some(exchange)) = (&mut fate, self.exchanges.get(key)) {
            // No program makes spans of the telemetry that it sends.
            trace.skipped = exchange.policy.instrumented == Instrumented::Skip
                && !exchange.telemetry
                && self.is_instrumented(exchange);
        }
        self.set_fate(key, fate);
        Some(())
    }

    /// The fate of one that another looks at.
    fn fate_of(&mut self, key: Key<Exchange>, now: Time, force: bool, depth: u32) -> Option<Fate> {
        self.decide(key, now, force, depth.saturating_add(1))?;
        self.exchanges.get(key)?.fate.clone()
    }

    fn server_fate(&mut self, key: Key<Exchange>, now: Time, force: bool, depth: u32) -> Option<Fate> {
        let exchange = self.exchanges.get(key)?;
        if let Some((client, above)) = exchange
            .pair
            .and_then(|pair| Some((pair, above(self.exchanges.get(pair)?, LinkMethod::Connection))))
        {
            // What is no exchange after all is nobody's parent.
            let certain = self.exchanges.get(client).is_none_or(Exchange::is_certain);
            if !certain && !force {
                return None;
            }
            let fate = self.fate_of(client, now, force, depth)?;
            let header = self.exchanges.get(key).and_then(|exchange| exchange.header.as_deref());
            return Some(match (fate, header.and_then(|header| Some((header, header.context?)))) {
                (fate @ (Fate::Excluded | Fate::Ignored), _) => fate,
                // The client's header was not captured: the one that arrived decides.
                (Fate::Traced(trace), Some((header, context))) if context.trace_id != trace.trace_id => {
                    Fate::Traced(self.continued(key, header, context, header_parent(context)))
                }
                (Fate::Traced(trace), _) => Fate::Traced(child(trace, above)),
            });
        }
        // Until a while after its request was read, the other end may show.
        let over = exchange.end.is_some() && now >= peer_deadline(exchange);
        if !over && !force {
            return None;
        }
        let header = exchange.header.clone();
        Some(match header.as_deref().and_then(|header| Some((header, header.context?))) {
            Some((header, context)) => {
                Fate::Traced(self.continued(key, header, context, header_parent(context)))
            }
            None => self.root(key, header.as_deref(), None),
        })
    }

    fn client_fate(&mut self, key: Key<Exchange>, now: Time, force: bool, depth: u32) -> Option<Fate> {
        if self.server_is_ignored(key, now, force)? {
            return Some(Fate::Ignored);
        }
        let exchange = self.exchanges.get(key)?;
        let header = exchange.header.clone();
        let Some(context) = header.as_ref().and_then(|header| header.context) else {
            return self.owned_fate(key, header.as_deref(), now, force, depth);
        };
        let header = header?;
        match exchange.claim {
            Some(Claim::Forwarded(server_key)) => {
                // What is no exchange after all is nobody's parent.
                let Some(server) = self.exchanges.get(server_key) else {
                    return Some(Fate::Traced(self.continued(key, &header, context, None)));
                };
                if !server.is_certain() && !force {
                    return None;
                }
                let above = above(server, LinkMethod::Header);
                Some(match self.fate_of(server_key, now, force, depth)? {
                    fate @ (Fate::Excluded | Fate::Ignored) => fate,
                    Fate::Traced(trace) => Fate::Traced(child(trace, above)),
                })
            }
            Some(Claim::Late(server_key)) => {
                if self.exchanges.get(server_key).is_none() {
                    return Some(Fate::Traced(self.continued(key, &header, context, None)));
                }
                Some(match self.fate_of(server_key, now, force, depth)? {
                    fate @ (Fate::Excluded | Fate::Ignored) => fate,
                    Fate::Traced(trace) => {
                        Fate::Traced(Trace { parent: None, follows: self.link_to(server_key), ..trace })
                    }
                })
            }
            Some(Claim::Ambiguous) => self.ambiguous_fate(key, &header, context, now, force, depth),
            Some(Claim::Made) | None => {
                if let Some(fate) = self.untraced_owner(key, now, force, depth)? {
                    return Some(fate);
                }
                let exchange = self.exchanges.get(key)?;
                // Its owner may have lost the very header that was forwarded.
                let doubt = match exchange.owner {
                    Some(Owner::Exchange(owner)) => {
                        self.exchanges.get(owner).is_some_and(|it| !it.header_known)
                    }
                    Some(Owner::Gone(_)) | None => false,
                };
                let parent = header_parent(context).filter(|_| !doubt);
                Some(Fate::Traced(self.continued(key, &header, context, parent)))
            }
        }
    }

    /// The fate of the owner of a call whose own header says nothing about it, if the owner is one that makes no span.
    /// `Some(None)`: it makes one, or is not known to own the call.
    #[expect(
        clippy::option_option,
        reason = "the outer one is whether it can be said yet, as everywhere here"
    )]
    fn untraced_owner(
        &mut self,
        key: Key<Exchange>,
        now: Time,
        force: bool,
        depth: u32,
    ) -> Option<Option<Fate>> {
        let Some(Owner::Exchange(owner_key)) = self.exchanges.get(key)?.owner else { return Some(None) };
        if self.exchanges.get(owner_key).is_none() {
            return Some(None);
        }
        // It is not forced: whatever it will be, the trace of this call is that of its header.
        match self.fate_of(owner_key, now, false, depth) {
            None if !force => return None,
            None | Some(Fate::Traced(_)) => return Some(None),
            Some(Fate::Excluded | Fate::Ignored) => {}
        }
        let (exchange, owner) = (self.exchanges.get(key)?, self.exchanges.get(owner_key)?);
        // Until the owner ends, its task may turn out to be none.
        if owner.end.is_none() && !force {
            return None;
        }
        Some(owner.fate.clone().filter(|_| self.holds(exchange, owner)))
    }

    /// Several requests that the process serves carry this header: only the reader rule can tell them apart.
    fn ambiguous_fate(
        &mut self,
        key: Key<Exchange>,
        header: &Header,
        context: Context,
        now: Time,
        force: bool,
        depth: u32,
    ) -> Option<Fate> {
        let exchange = self.exchanges.get(key)?;
        if let Some(Owner::Exchange(owner_key)) = exchange.owner
            && let Some(owner) = self.exchanges.get(owner_key)
        {
            if owner.end.is_none() && !force {
                return None;
            }
            let same = owner.header.as_ref().is_some_and(|header| header.context == Some(context));
            let during = owner.end.is_none_or(|end| exchange.first.enter < end);
            if same && during && self.holds(exchange, owner) {
                let above = above(owner, LinkMethod::Reader);
                return Some(match self.fate_of(owner_key, now, force, depth)? {
                    fate @ (Fate::Excluded | Fate::Ignored) => fate,
                    Fate::Traced(trace) => Fate::Traced(child(trace, above)),
                });
            }
        }
        Some(Fate::Traced(self.continued(key, header, context, None)))
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
        let callee_ended = force || self.callee_ended(exchange, now);
        let link = match &exchange.owner {
            // A header that was lost would have decided.
            _ if !exchange.header_known => return Some(self.root(key, None, None)),
            None => return callee_ended.then(|| self.root(key, header, None)),
            Some(Owner::Gone(link)) => Some(link.clone()),
            &Some(Owner::Exchange(owner_key)) => {
                let Some(owner) = self.exchanges.get(owner_key) else {
                    return callee_ended.then(|| self.root(key, header, None));
                };
                if owner.end.is_none() && !force {
                    return None;
                }
                if !self.holds(exchange, owner) {
                    return callee_ended.then(|| self.root(key, header, None));
                }
                let (above, late) = (
                    above(owner, LinkMethod::Reader),
                    owner.end.is_some_and(|end| exchange.first.enter >= end),
                );
                match self.fate_of(owner_key, now, force, depth)? {
                    fate @ (Fate::Excluded | Fate::Ignored) => return Some(fate),
                    Fate::Traced(trace) if !late => {
                        return Some(Fate::Traced(child(trace, above)));
                    }
                    Fate::Traced(_) => self.link_to(owner_key),
                }
            }
        };
        // An answer to a request that was not seen would show shortly after the call.
        let exchange = self.exchanges.get(key)?;
        let over = exchange.end.is_some() && now >= exchange.ended.saturating_add(limit::PEER_WAIT);
        let ready = force || (over && callee_ended);
        if !ready {
            return None;
        }
        let undisturbed = self.ownership.undisturbed(exchange.first.task, exchange.voids);
        Some(self.root(key, header, link.filter(|_| undisturbed)))
    }

    /// The reader rule holds between these two.
    fn holds(&self, call: &Exchange, owner: &Exchange) -> bool {
        self.owns_calls_of(owner, call.first.task)
    }

    /// The calls that this task made belong to this exchange, whose request it read.
    pub(super) fn owns_calls_of(&self, owner: &Exchange, task: Task) -> bool {
        owner.taints == 0 && owner.ended_for_certain() && self.ownership.holds(task)
    }

    /// A trace that has no header with ids. One without may still say whether to sample it.
    fn root(&mut self, key: Key<Exchange>, header: Option<&Header>, follows: Option<SpanLink>) -> Fate {
        let made = self.made_below(key);
        if let Some((header, context)) = made.as_ref().and_then(|header| Some((header, header.context?))) {
            return Fate::Traced(Trace { follows, ..self.continued(key, header, context, None) });
        }
        let trace_id = self.ids.trace();
        let decision = self.sample(key, trace_id, header.and_then(|header| header.sampled), None);
        Fate::Traced(trace(trace_id, None, decision, true, follows))
    }

    /// The trace that a header names.
    fn continued(
        &self,
        key: Key<Exchange>,
        header: &Header,
        context: Context,
        parent: Option<Parent>,
    ) -> Trace {
        let decision = self.sample(key, context.trace_id, header.sampled, header.state.as_ref());
        trace(context.trace_id, parent, decision, header.random, None)
    }

    /// Decides about a trace where it enters this host.
    fn sample(
        &self,
        key: Key<Exchange>,
        trace_id: TraceId,
        decided: Option<bool>,
        state: Option<&Arc<str>>,
    ) -> Decision {
        match self.exchanges.get(key) {
            Some(exchange) => exchange.policy.sampler.decide(trace_id, decided, state),
            None => Decision { sampled: decided.unwrap_or(true), state: state.cloned() },
        }
    }
}

/// Until when a server exchange waits for the client at the other end.
pub(super) fn peer_deadline(exchange: &Exchange) -> Time {
    exchange.request_ended.unwrap_or(exchange.ended).saturating_add(limit::PEER_WAIT)
}

/// An exchange as the parent of another one.
fn above(exchange: &Exchange, method: LinkMethod) -> Parent {
    Parent { span_id: exchange.span_id, method, process: Some(exchange.tgid) }
}

fn header_parent(context: Context) -> Option<Parent> {
    context.span_id.map(|span_id| Parent { span_id, method: LinkMethod::Header, process: None })
}

fn trace(
    trace_id: TraceId,
    parent: Option<Parent>,
    decision: Decision,
    random: bool,
    follows: Option<SpanLink>,
) -> Trace {
    let flags = if decision.sampled { SAMPLED } else { 0 } | if random { RANDOM } else { 0 };
    Trace { trace_id, parent, flags, state: decision.state, follows, skipped: false }
}

/// What is linked to a parent on this host has its decision. Where that one makes no span, its own parent, if it
/// has one, is the nearest span above.
fn child(parent: Trace, above: Parent) -> Trace {
    let above = if parent.skipped { parent.parent } else { Some(above) };
    Trace { parent: above, follows: None, skipped: false, ..parent }
}
