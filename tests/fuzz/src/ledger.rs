//! Ledger: an engine whose accounting, spans and tables are looked at after each event.

use std::{collections::HashSet, ops::Range, sync::Arc};

use engine::{
    Config, Engine, Of, Secrecy,
    counter::Counter,
    event::{Event, Time},
    policy::{HeaderNames, Headers, OptIn, Policy, Routes, Sampler},
    protocol::Unseen,
    span::SpanId,
};

use crate::AGAIN_MAX;

/// Every value is a secret.
struct Everything;

impl Secrecy for Everything {
    fn of_field(&self, _name: &[u8], value: &[u8]) -> Vec<Range<usize>> {
        std::iter::once(0..value.len()).collect()
    }
}

/// See the module.
pub struct Ledger {
    engine: Engine,
    now: Time,
    ids: HashSet<SpanId>,
    taken: u64,
    content: bool,
}

impl Ledger {
    /// An engine with one of 128 ways to be set up.
    pub fn new(setup: u8) -> Self {
        let telemetry_ingest =
            if setup & 1 == 0 { engine::TelemetryIngest::Exclude } else { engine::TelemetryIngest::Trace };
        let own_tgid = if setup & 2 == 0 { 0 } else { 104 };
        let mut engine = Engine::new(Config { seed: 1, own_tgid, telemetry_ingest });
        engine.set_default_policy(Arc::new(policy(setup)));
        let content = setup & 4 != 0;
        if content {
            engine.report_content();
            engine.report_excerpts(Arc::new(Everything));
        }
        Self { engine, now: 0, ids: HashSet::new(), taken: 0, content }
    }

    pub fn event(&mut self, event: &Event<'_>, now: Time) {
        self.pass(now);
        self.engine.handle_event(event, self.now);
        self.take();
    }

    /// A record as the ring has it.
    pub fn record(&mut self, record: &[u8], now: Time) {
        self.pass(now);
        self.engine.handle_record(record, self.now);
        self.take();
    }

    pub fn thread_is_not_task(&mut self, tgid: u32) {
        self.engine.thread_is_not_task(tgid);
    }

    /// Time passes, and what is due is done.
    pub fn pass(&mut self, now: Time) {
        self.now = self.now.max(now);
        let mut again = 0;
        while self.engine.poll_timeout().is_some_and(|due| due <= self.now) {
            assert!(
                again < AGAIN_MAX,
                "due at {:?}, still, after {again} time-outs",
                self.engine.poll_timeout()
            );
            again += 1;
            self.engine.handle_timeout(self.now);
        }
        self.take();
    }

    /// Ends everything: nothing is left.
    pub fn finish(mut self) {
        self.engine.finish(Unseen::AgentStopped, self.now);
        self.take();
        let accounting = self.engine.accounting();
        assert_eq!((accounting.open, accounting.waiting), (0, 0), "{accounting:?}");
        assert_eq!(accounting.spans, self.taken, "{accounting:?}");
        assert_eq!(self.engine.connections(), 0);
    }

    fn take(&mut self) {
        self.balance();
        while let Some(span) = self.engine.poll_span() {
            assert!(span.start <= span.end, "{span:?}");
            assert!(span.trace_id.0 != 0 && span.span_id.0 != 0, "{span:?}");
            assert!(self.ids.insert(span.span_id), "an id is given once: {span:?}");
            assert!(span.parent.as_ref().is_none_or(|parent| parent.span_id != span.span_id), "{span:?}");
            self.taken += 1;
        }
        while self.engine.poll_order().is_some() {}
        while self.content && self.engine.poll_content().is_some() {}
        while let Some(excerpt) = self.engine.poll_excerpt() {
            assert!(self.content && excerpt.bytes.is_empty() == (excerpt.of == Of::Upgrade), "{excerpt:?}");
        }
        while self.engine.poll_instrumented().is_some() {}
        self.balance();
        let dropped = [Counter::SpansDropped, Counter::OrdersDropped];
        assert!(dropped.iter().all(|counter| self.engine.counters().value(*counter) == 0), "queues overflow");
        assert!(self.engine.connections() <= engine::limit::CONNECTIONS_MAX);
    }

    fn balance(&self) {
        let accounting = self.engine.accounting();
        let (seen, accounted) = accounting.sides();
        assert!(seen == accounted, "{seen} exchanges seen, {accounted} accounted for: {accounting:?}");
        let counted = self.engine.counters().value(Counter::ExchangesSeen);
        assert!(counted == seen, "{counted} exchanges counted, {seen} seen");
    }
}

/// The parts of a policy that look at what is on the wire.
fn policy(setup: u8) -> Policy {
    let mut policy = Policy::default();
    if setup & 8 != 0 {
        policy.routes = Routes::new(["/users/{id}", "/{a}/b/{c}"]).expect("routes");
        let names = || HeaderNames::new(["x-tenant", "accept"]).expect("names of headers");
        policy.headers = Headers { request: names(), response: names() };
    }
    if setup & 16 != 0 {
        let names = ["http.request.body.size", "http.response.body.size", "network.local.address"];
        policy.opt_in = OptIn::new(names).expect("names of attributes");
    }
    if setup & 32 != 0 {
        policy.sampler = Sampler::parse("parentbased_traceidratio", Some("0.5")).expect("a sampler");
    }
    policy.forwarded = setup & 64 == 0;
    policy
}
