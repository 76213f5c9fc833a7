//! The rules, driven as a protocol drives them.

mod accounting;
mod calls;
mod connections;
mod headers;
mod ignoring;
mod instrumented;
mod readers;
mod sampling;
mod spans;

use core::net::{Ipv4Addr, SocketAddr};
use std::{collections::HashMap, sync::Arc};

use super::{Correlator, observer::Watch};
use crate::{
    Config,
    counter::Counter,
    event::{Call, ConnectionId, Endpoint, Open, Role, Task, Time},
    exchange::{Key, Phase, Socket},
    limit,
    policy::{Policy, Sampler},
    protocol::{Ending, Field, Observer, RequestHead, ResponseHead, Side, Version},
    span::{Kind, LinkMethod, Span},
};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
const SPAN: u64 = 0x00f0_67aa_0ba9_02b7;
const OWN: u32 = 1;
/// Between two calls.
const TICK: Time = 1_000;

/// A thread of a process.
fn task(tgid: u32, id: u64) -> Task {
    Task { tgid, id }
}

/// One exchange at one end.
#[derive(Clone, Copy, Debug)]
struct At {
    socket: Key<Socket>,
    number: u64,
}

/// Both ends of a connection.
#[derive(Clone, Copy)]
struct Both {
    client: Key<Socket>,
    server: Key<Socket>,
}

struct World {
    correlator: Correlator,
    now: Time,
    sockets: u64,
    requests: HashMap<Key<Socket>, u64>,
}

impl World {
    fn new() -> Self {
        Self::with(Config { seed: 7, own_tgid: OWN, ..Config::default() })
    }

    fn with(config: Config) -> Self {
        Self { correlator: Correlator::new(config), now: 1_000_000_000, sockets: 0, requests: HashMap::new() }
    }

    /// With a policy for every process.
    fn governed(policy: Policy) -> Self {
        let mut world = Self::new();
        world.correlator.policies.set_default(Arc::new(policy));
        world
    }

    fn open_record(&mut self, local: u16, remote: u16) -> Open {
        self.sockets += 1;
        let at = |port| Endpoint::Ip(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
        Open {
            time: self.now,
            conn: ConnectionId { sock: 0xffff_0000 + self.sockets, inode: self.sockets },
            tgid: 100,
            netns: 4,
            role: Role::Unknown,
            from_opening: true,
            sequence: None,
            local: at(local),
            remote: at(remote),
            peer_sock: None,
        }
    }

    fn open(&mut self, open: &Open) -> Key<Socket> {
        let key = self.correlator.socket(open.conn, self.now);
        self.correlator.opened(key, open, self.now);
        key
    }

    /// A connection with both ends on this host.
    fn connect(&mut self) -> Both {
        let port = 40_000 + u16::try_from(self.sockets).unwrap();
        let (client, server) = (self.open_record(port, 80), self.open_record(80, port));
        Both { client: self.open(&client), server: self.open(&server) }
    }

    /// One end of a connection from or to elsewhere.
    fn elsewhere(&mut self) -> Key<Socket> {
        let open = self.open_record(80, 9);
        let remote = SocketAddr::new(Ipv4Addr::new(192, 0, 2, 1).into(), 1024 + self.sockets as u16);
        self.open(&Open { remote: Endpoint::Ip(remote), ..open })
    }

    fn call(&mut self, task: Task) -> Call {
        let enter = self.now + TICK;
        self.now = enter + TICK;
        Call { enter, exit: self.now, tid: task.id as u32, task }
    }

    fn watch<R>(&mut self, socket: Key<Socket>, tell: impl FnOnce(&mut dyn Observer) -> R) -> R {
        let result = tell(&mut Watch { correlator: &mut self.correlator, socket, now: self.now });
        self.balanced();
        result
    }

    #[track_caller]
    fn balanced(&self) {
        let (left, right) = self.correlator.accounting.sides();
        assert_eq!(left, right, "{:?}", self.correlator.accounting);
        // What it says is in the tables is there.
        let (mut open, mut waiting) = (0, self.correlator.spans.len() as u64);
        for key in self.correlator.exchanges.keys() {
            match self.correlator.exchanges.get(key).unwrap().phase {
                Phase::Open => open += 1,
                Phase::Waiting => waiting += 1,
                Phase::Gone => {}
            }
        }
        let accounting = self.correlator.accounting;
        assert_eq!((accounting.open, accounting.waiting), (open, waiting));
    }

    fn start(&mut self, socket: Key<Socket>, side: Side, task: Task) -> At {
        let count = self.requests.entry(socket).or_default();
        *count += 1;
        let at = At { socket, number: *count };
        let (number, call) = (at.number, self.call(task));
        self.watch(socket, |out| out.request_started(number, side, number * 100, &call));
        at
    }

    fn head(&mut self, at: At, task: Task, method: &str, target: &str, fields: &[(&str, &str)]) {
        let call = Call { enter: self.now, exit: self.now, tid: task.id as u32, task };
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() })
            .collect();
        let head = RequestHead {
            version: Version::Http11,
            method: Some(method.as_bytes()),
            target: Some(target.as_bytes()),
            target_truncated: false,
            authority: None,
            scheme: None,
            fields: &fields,
            fields_incomplete: false,
            call,
        };
        self.watch(at.socket, |out| {
            out.request_head(at.number, &head);
            out.request_ended(at.number, 0, &call);
        });
    }

    /// A request with these fields, by one call.
    fn request(&mut self, socket: Key<Socket>, side: Side, task: Task, fields: &[(&str, &str)]) -> At {
        let at = self.start(socket, side, task);
        self.head(at, task, "GET", "/", fields);
        at
    }

    fn send(&mut self, socket: Key<Socket>, task: Task) -> At {
        self.request(socket, Side::Client, task, &[])
    }

    fn read(&mut self, socket: Key<Socket>, task: Task) -> At {
        self.request(socket, Side::Server, task, &[])
    }

    fn response(&mut self, at: At, task: Task, status: u16) {
        let call = self.call(task);
        let head = ResponseHead {
            version: Version::Http11,
            status: Some(status),
            fields: &[],
            fields_incomplete: false,
            call,
        };
        self.watch(at.socket, |out| {
            out.response_started(at.number, &call);
            out.response_head(at.number, &head);
            out.response_ended(at.number, 0, &call);
        });
    }

    fn answer(&mut self, at: At, task: Task) {
        self.response(at, task, 200);
    }

    fn end(&mut self, at: At, ending: Ending) {
        let now = self.now;
        self.watch(at.socket, |out| out.ended(at.number, ending, now));
    }

    fn wait(&mut self, time: Time) {
        self.now += time;
        self.correlator.timeout(self.now);
        self.balanced();
    }

    /// The spans that have been given out.
    fn spans(&mut self) -> Vec<Span> {
        let spans: Vec<_> = std::iter::from_fn(|| self.correlator.poll_span()).collect();
        self.balanced();
        assert!(spans.iter().all(|span| span.span_id.0 != 0 && span.trace_id.0 != 0));
        spans
    }

    /// All spans, however long they wait.
    fn all(&mut self) -> Vec<Span> {
        self.wait(limit::PEER_WAIT);
        self.wait(limit::OWNER_WAIT);
        self.spans()
    }

    fn counted(&self, counter: Counter) -> u64 {
        self.correlator.counters.value(counter)
    }
}

#[track_caller]
fn the(spans: &[Span], kind: Kind, tgid: u32) -> &Span {
    let found: Vec<_> = spans.iter().filter(|span| span.kind == kind && span.tgid == tgid).collect();
    assert_eq!(found.len(), 1, "{kind:?} of {tgid} among {spans:#?}");
    found[0]
}

#[track_caller]
fn is_child(span: &Span, parent: &Span, method: LinkMethod) {
    assert_eq!(
        span.parent.map(|it| (it.span_id, it.method, it.process)),
        Some((parent.span_id, method, Some(parent.tgid)))
    );
    assert_eq!(span.has_remote_parent(), span.tgid != parent.tgid);
    assert_eq!(span.trace_id, parent.trace_id);
    assert!(span.start >= parent.start);
}

#[track_caller]
fn is_root(span: &Span) {
    assert_eq!(span.parent, None);
}
