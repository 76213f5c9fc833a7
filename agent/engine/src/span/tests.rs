//! The table: bytes of the wire go through a whole engine, and each span is asserted in full: its name, kind, status,
//! attributes and events. An attribute that a case does not list fails it.

mod calls;
mod client;
mod failures;
mod fields;
mod formats;
mod methods;
mod proxies;
mod redaction;
mod server;
mod statuses;
mod undecided;

use core::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use abi::{
    ConnectionId, DataRecord, EndRecord, OpenRecord, RecordHeader,
    conn::{direction, flag, role},
    record::{end, kind},
};
use zerocopy::{FromZeros, IntoBytes};

use super::{Attribute, Span, Status, Value};
use crate::{
    Config, Engine,
    counter::Counter,
    event::Time,
    limit,
    policy::{HeaderNames, Headers, Methods, OptIn, Policy, Routes, SecretKeys},
    protocol::{Side, Unseen},
};

const TGID: u32 = 30;
const TICK: Time = 1_000;
const START: Time = 1_000_000_000;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// One end of a connection.
#[derive(Clone, Copy)]
enum End {
    Ip(&'static str),
    Unix(&'static [u8]),
}

/// What happens on the connection, each in a call of its own.
enum Step {
    Request(Vec<u8>),
    Response(Vec<u8>),
    /// Bytes that were not captured.
    RequestGap(u32),
    ResponseGap(u32),
    /// How, and with which errno.
    End(u8, u32),
}

/// One exchange at one end of a connection.
struct Case {
    side: Side,
    policy: Policy,
    local: End,
    remote: End,
    steps: Vec<Step>,
}

fn serve(request: impl AsRef<[u8]>) -> Case {
    Case {
        side: Side::Server,
        policy: Policy::default(),
        local: End::Ip("192.0.2.1:8080"),
        remote: End::Ip("192.0.2.7:50000"),
        steps: vec![Step::Request(request.as_ref().to_vec())],
    }
}

fn call(request: impl AsRef<[u8]>) -> Case {
    let (local, remote) = (End::Ip("192.0.2.1:40000"), End::Ip("192.0.2.9:80"));
    Case { side: Side::Client, local, remote, ..serve(request) }
}

/// A GET with these fields, which starts with `Host`.
fn get(target: &str, fields: &str) -> String {
    let fields: String = fields.lines().map(|line| format!("{}\r\n", line.trim())).collect();
    format!("GET {target} HTTP/1.1\r\nHost: shop\r\n{fields}\r\n")
}

impl Case {
    fn policy(mut self, set: impl FnOnce(&mut Policy)) -> Self {
        set(&mut self.policy);
        self
    }

    fn between(self, local: End, remote: End) -> Self {
        Self { local, remote, ..self }
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    fn answer(self, response: impl AsRef<[u8]>) -> Self {
        self.step(Step::Response(response.as_ref().to_vec()))
    }

    fn ok(self) -> Self {
        self.answer(OK)
    }

    fn closed(self) -> Self {
        self.step(Step::End(end::CLOSED, 0))
    }

    fn failed(self, errno: u32) -> Self {
        self.step(Step::End(end::FAILED, errno))
    }

    /// Plays the case. There is one exchange, so there is one span.
    fn play(self) -> (Span, Engine) {
        let mut engine = Engine::new(Config::default());
        engine.set_policy(TGID, Some(Arc::new(self.policy)));
        let mut kernel = Kernel { now: START, positions: [0, 0] };
        let open = kernel.open(self.side, self.local, self.remote);
        engine.handle_record(&open, kernel.now);
        for step in &self.steps {
            let record = kernel.record(self.side, step);
            engine.handle_record(&record, kernel.now);
        }
        let mut now = kernel.now;
        for wait in [limit::PEER_WAIT, limit::PEER_WAIT, limit::OWNER_WAIT] {
            now += wait;
            engine.handle_timeout(now);
        }
        engine.finish(Unseen::AgentStopped, now);
        let span = engine.poll_span().expect("a span");
        assert_eq!(engine.poll_span(), None, "one exchange makes one span");
        assert_eq!(engine.counters().value(Counter::RecordsRefused), 0);
        (span, engine)
    }

    /// Asserts all that the span says: a line `NAME | KIND | STATUS`, a line for each attribute, in any order, and for
    /// each event, in order. `PEER` stands for the attributes of the default peer.
    #[track_caller]
    fn gives(self, expected: &str) {
        let side = self.side;
        let (span, _) = self.play();
        let peer: &[&str] = match side {
            Side::Server => {
                &["client.address=192.0.2.7", "network.peer.address=192.0.2.7", "network.peer.port:50000"]
            }
            Side::Client => &["network.peer.address=192.0.2.9", "network.peer.port:80"],
        };
        let mut lines = expected.lines().map(str::trim).filter(|line| !line.is_empty());
        let head = lines.next().expect("a name, a kind and a status");
        let (events, lines): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with("event "));
        let mut attributes: Vec<_> = lines
            .into_iter()
            .flat_map(|line| if line == "PEER" { peer.to_vec() } else { vec![line] })
            .collect();
        attributes.sort_unstable();

        let status = match &span.status {
            Status::Unset => "Unset",
            Status::Error { description: None } => "Error",
            Status::Error { description: Some(why) } => &format!("Error: {why}"),
        };
        assert_eq!(format!("{} | {:?} | {status}", span.name, span.kind), head);
        let mut shown: Vec<_> = span.attributes.iter().map(show).collect();
        shown.sort_unstable();
        assert_eq!(shown, attributes);
        let shown = span.events.iter().map(|event| {
            assert!((span.start..=span.end).contains(&event.time), "{event:?} in {span:?}");
            let attributes: Vec<_> = event.attributes.iter().map(show).collect();
            format!("event {} {}", event.name, attributes.join(" ")).trim_end().to_owned()
        });
        assert_eq!(shown.collect::<Vec<_>>(), events);
    }
}

fn show(Attribute { key, value }: &Attribute) -> String {
    match value {
        Value::String(text) => format!("{key}={text}"),
        Value::Integer(number) => format!("{key}:{number}"),
        Value::Bool(flag) => format!("{key}:{flag}"),
        Value::Strings(texts) => format!("{key}=[{}]", texts.join("|")),
    }
}

/// Makes records as the kernel side does; time goes on by itself.
struct Kernel {
    now: Time,
    positions: [u64; 2],
}

impl Kernel {
    const CONNECTION: ConnectionId = ConnectionId { sock: 0xffff_8880_0000_0040, inode: 7 };

    fn header(&mut self, kind: u16) -> RecordHeader {
        self.now += TICK;
        RecordHeader { kind, flags: 0, length: 0, time: self.now }
    }

    fn open(&mut self, side: Side, local: End, remote: End) -> Vec<u8> {
        let mut record = OpenRecord {
            header: self.header(kind::OPEN),
            conn: Self::CONNECTION,
            tgid: TGID,
            tid: TGID,
            netns: 4,
            flags: flag::FROM_OPENING,
            role: if side == Side::Client { role::CONNECTED } else { role::ACCEPTED },
            ..OpenRecord::new_zeroed()
        };
        (record.family, record.local_address, record.local_port) = address(local);
        (_, record.remote_address, record.remote_port) = address(remote);
        if let End::Unix(path) = remote {
            record.path[..path.len()].copy_from_slice(path);
            record.path_length = path.len() as u8;
        }
        record.as_bytes().to_vec()
    }

    fn record(&mut self, side: Side, step: &Step) -> Vec<u8> {
        let (requests, responses) = match side {
            Side::Client => (direction::SENT, direction::RECEIVED),
            Side::Server => (direction::RECEIVED, direction::SENT),
        };
        match step {
            Step::Request(bytes) => self.data(requests, bytes, 0),
            Step::Response(bytes) => self.data(responses, bytes, 0),
            Step::RequestGap(length) => self.data(requests, b"", *length),
            Step::ResponseGap(length) => self.data(responses, b"", *length),
            Step::End(how, error) => EndRecord {
                header: self.header(kind::END),
                conn: Self::CONNECTION,
                tgid: TGID,
                tid: TGID,
                positions: self.positions,
                error: *error,
                directions: 3,
                how: *how,
                ..EndRecord::new_zeroed()
            }
            .as_bytes()
            .to_vec(),
        }
    }

    fn data(&mut self, direction: u8, bytes: &[u8], gap: u32) -> Vec<u8> {
        let enter = self.now + TICK;
        self.now = enter;
        let position = &mut self.positions[usize::from(direction)];
        let (at, length) = (*position, bytes.len() as u32 + gap);
        *position += u64::from(length);
        let record = DataRecord {
            header: self.header(kind::DATA),
            conn: Self::CONNECTION,
            enter,
            task: u64::from(TGID),
            position: at,
            tgid: TGID,
            tid: TGID,
            call_length: length,
            covered: length,
            copied: bytes.len() as u32,
            direction,
            ..DataRecord::new_zeroed()
        };
        let mut record = record.as_bytes().to_vec();
        record.extend_from_slice(bytes);
        record
    }
}

/// Family, address and port.
fn address(end: End) -> (u16, [u8; 16], u16) {
    let mut bytes = [0; 16];
    let End::Ip(text) = end else { return (1, bytes, 0) };
    let address: SocketAddr = text.parse().unwrap();
    match address.ip() {
        IpAddr::V4(ip) => {
            bytes[..4].copy_from_slice(&ip.octets());
            (2, bytes, address.port())
        }
        IpAddr::V6(ip) => (10, ip.octets(), address.port()),
    }
}

fn names(names: &[&str]) -> HeaderNames {
    HeaderNames::new(names).unwrap()
}
