//! The whole engine, fed with records as the kernel side makes them.

use std::collections::HashMap;

use abi::{
    DataRecord, EndRecord, OpenRecord, ProcessRecord, RecordHeader,
    conn::{direction, flag, role},
    record::{end, kind},
};
use zerocopy::{FromZeros, IntoBytes};

use crate::{
    Config, Engine, Order,
    counter::Counter,
    event::{ConnectionId, Time},
    limit,
    protocol::{
        Unseen,
        http2::tests::writer::{self, Encoder},
    },
    span::{Kind, LinkMethod, Span, Value},
};

const OWN: u32 = 1;
const TICK: Time = 1_000;

/// A socket: its process's thread, and how far its streams are.
#[derive(Clone, Copy)]
struct Sock {
    id: u64,
    tgid: u32,
    positions: [u64; 2],
}

/// Makes records; time goes on by itself.
struct Recorder {
    now: Time,
    sockets: Vec<Sock>,
    records: Vec<(Time, Vec<u8>)>,
}

impl Recorder {
    fn new() -> Self {
        Self { now: 1_000_000_000, sockets: Vec::new(), records: Vec::new() }
    }

    fn header(&mut self, kind: u16) -> RecordHeader {
        self.now += TICK;
        RecordHeader { kind, flags: 0, length: 0, time: self.now }
    }

    fn push(&mut self, record: &[u8]) {
        self.records.push((self.now, record.to_vec()));
    }

    fn connection(id: u64) -> ConnectionId {
        ConnectionId { sock: 0xffff_8880_0000_0000 + id * 64, inode: id }
    }

    fn open(&mut self, tgid: u32, role: u8, ports: (u16, u16)) -> usize {
        let id = self.sockets.len() as u64 + 1;
        let mut address = [0; 16];
        address[..4].copy_from_slice(&[127, 0, 0, 1]);
        let record = OpenRecord {
            header: self.header(kind::OPEN),
            conn: Self::connection(id),
            tgid,
            tid: tgid,
            netns: 4,
            family: 2,
            flags: flag::FROM_OPENING,
            local_address: address,
            remote_address: address,
            local_port: ports.0,
            remote_port: ports.1,
            protocol: 6,
            role,
            ..OpenRecord::new_zeroed()
        };
        self.push(record.as_bytes());
        self.sockets.push(Sock { id, tgid, positions: [0, 0] });
        self.sockets.len() - 1
    }

    /// A connection from one process to another.
    fn connect(&mut self, from: u32, to: u32) -> (usize, usize) {
        let port = 40_000 + self.sockets.len() as u16;
        let client = self.open(from, role::CONNECTED, (port, 80));
        (client, self.open(to, role::ACCEPTED, (80, port)))
    }

    fn move_bytes(&mut self, socket: usize, direction: u8, bytes: &[u8]) {
        let enter = self.now + TICK;
        self.now = enter;
        let Sock { id, tgid, positions } = self.sockets[socket];
        let mut record = DataRecord {
            header: self.header(kind::DATA),
            conn: Self::connection(id),
            enter,
            task: u64::from(tgid),
            position: positions[usize::from(direction)],
            tgid,
            tid: tgid,
            call_length: bytes.len() as u32,
            covered: bytes.len() as u32,
            copied: bytes.len() as u32,
            direction,
            ..DataRecord::new_zeroed()
        }
        .as_bytes()
        .to_vec();
        record.extend_from_slice(bytes);
        self.push(&record);
        self.sockets[socket].positions[usize::from(direction)] += bytes.len() as u64;
    }

    /// These bytes from one socket to another, in pieces of this size.
    fn carry(&mut self, from: usize, to: usize, bytes: &[u8], piece: usize) {
        for bytes in bytes.chunks(piece) {
            self.move_bytes(from, direction::SENT, bytes);
            self.move_bytes(to, direction::RECEIVED, bytes);
        }
    }

    fn end(&mut self, socket: usize, how: u8) {
        let Sock { id, tgid, positions } = self.sockets[socket];
        let record = EndRecord {
            header: self.header(kind::END),
            conn: Self::connection(id),
            tgid,
            tid: tgid,
            positions,
            directions: 3,
            how,
            ..EndRecord::new_zeroed()
        };
        self.push(record.as_bytes());
    }

    /// Gives these records to an engine, and time enough afterwards.
    fn replay(records: &[(Time, Vec<u8>)]) -> (Engine, Vec<Span>) {
        let mut engine = Engine::new(Config { seed: 1, own_tgid: OWN, ..Config::default() });
        let mut spans = Vec::new();
        let mut now = 0;
        for (time, record) in records {
            now = *time;
            if engine.poll_timeout().is_some_and(|deadline| deadline <= now) {
                engine.handle_timeout(now);
            }
            engine.handle_record(record, now);
            spans.extend(std::iter::from_fn(|| engine.poll_span()));
            balanced(&engine);
        }
        for wait in [limit::PEER_WAIT, limit::PEER_WAIT, limit::OWNER_WAIT] {
            now += wait;
            engine.handle_timeout(now);
            spans.extend(std::iter::from_fn(|| engine.poll_span()));
        }
        engine.finish(Unseen::AgentStopped, now);
        spans.extend(std::iter::from_fn(|| engine.poll_span()));
        balanced(&engine);
        let accounting = engine.accounting();
        assert_eq!((accounting.open, accounting.waiting, accounting.spans), (0, 0, spans.len() as u64));
        (engine, spans)
    }
}

#[track_caller]
fn balanced(engine: &Engine) {
    let (left, right) = engine.accounting().sides();
    assert_eq!(left, right, "{:?}", engine.accounting());
}

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: shop\r\nAccept: */*\r\n\r\n").into_bytes()
}

/// 10 asks 20, which asks 30 and then 40; twice, over the same connections.
fn demo(piece: usize) -> Vec<(Time, Vec<u8>)> {
    let mut recorder = Recorder::new();
    let (a, b) = recorder.connect(10, 20);
    let (b30, c) = recorder.connect(20, 30);
    let (b40, d) = recorder.connect(20, 40);
    for round in 0..2 {
        recorder.carry(a, b, &request(&format!("/a{round}")), piece);
        for (name, near, far) in [("c", b30, c), ("d", b40, d)] {
            recorder.carry(near, far, &request(&format!("/{name}{round}")), piece);
            recorder.carry(far, near, RESPONSE, piece);
        }
        recorder.carry(b, a, RESPONSE, piece);
    }
    for socket in [a, b, b30, c, b40, d] {
        recorder.end(socket, end::CLOSED);
    }
    recorder.records
}

/// The same by HTTP/2: 10 asks 20 for pages, three at a time, and 20 calls 30.
fn demo_http2(piece: usize) -> Vec<(Time, Vec<u8>)> {
    let mut recorder = Recorder::new();
    let (a, b) = recorder.connect(10, 20);
    let (near, far) = recorder.connect(20, 30);
    let mut encoders: [Encoder; 4] = Default::default();
    for (client, server) in [(a, b), (near, far)] {
        recorder.carry(client, server, &[writer::PREFACE, &writer::settings(&[(3, 100)])].concat(), piece);
        recorder.carry(server, client, &[writer::settings(&[]), writer::acknowledged()].concat(), piece);
    }
    for round in 0..4_u32 {
        let streams = [1, 3, 5].map(|stream| stream + round * 6);
        let asked: Vec<u8> =
            streams.iter().flat_map(|stream| encoders[0].get(*stream, &format!("/a{stream}"))).collect();
        recorder.carry(a, b, &asked, piece);
        let stream = round * 2 + 1;
        let call =
            [encoders[1].call(stream, "/a.B/C"), writer::data(stream, writer::message(30), true)].concat();
        recorder.carry(near, far, &call, piece);
        let fields = [(":status", "200"), ("content-type", "application/grpc")];
        let head = encoders[2].headers(stream, &fields, false);
        let trailers = encoders[2].headers(stream, &[("grpc-status", "0")], true);
        recorder.carry(
            far,
            near,
            &[head, writer::data(stream, writer::message(9), false), trailers].concat(),
            piece,
        );
        let answers: Vec<u8> =
            streams.iter().rev().flat_map(|stream| encoders[3].status(*stream, "200", true)).collect();
        recorder.carry(b, a, &answers, piece);
    }
    for socket in [a, b, near, far] {
        recorder.end(socket, end::CLOSED);
    }
    recorder.records
}

/// Process and path of the parent of every span, by its own; the path tells the round.
fn tree(spans: &[Span]) -> Vec<String> {
    let by_id: HashMap<_, _> = spans.iter().map(|span| (span.span_id, span)).collect();
    let mut lines: Vec<_> = spans
        .iter()
        .map(|span| {
            let parent = span.parent.map(|parent| {
                let Some(found) = by_id.get(&parent.span_id) else {
                    panic!("{span:#?} has no parent among {spans:#?}")
                };
                assert_eq!(found.trace_id, span.trace_id);
                format!(" < {} by {}", shown(found), parent.method.as_str())
            });
            format!("{}{}", shown(span), parent.unwrap_or_default())
        })
        .collect();
    lines.sort();
    lines
}

fn shown(span: &Span) -> String {
    let path =
        span.attributes.iter().find(|attribute| attribute.key == "url.path" || attribute.key == "url.full");
    let path = match path.map(|attribute| &attribute.value) {
        Some(Value::String(path)) => path.trim_start_matches("http://shop").to_owned(),
        _ => "?".to_owned(),
    };
    format!("{path} {:?} {}", span.kind, span.tgid)
}

fn expected() -> Vec<String> {
    let mut lines = Vec::new();
    for round in 0..2 {
        lines.push(format!("/a{round} Client 10"));
        lines.push(format!("/a{round} Server 20 < /a{round} Client 10 by connection"));
        for (name, tgid) in [("c", 30), ("d", 40)] {
            lines.push(format!("/{name}{round} Client 20 < /a{round} Server 20 by reader"));
            lines.push(format!("/{name}{round} Server {tgid} < /{name}{round} Client 20 by connection"));
        }
    }
    lines.sort();
    lines
}

#[test]
fn records_of_a_conversation_become_its_tree() {
    let (engine, spans) = Recorder::replay(&demo(usize::MAX));
    assert_eq!(tree(&spans), expected());
    assert_eq!(engine.connections(), 0);
    assert_eq!(engine.counters().value(Counter::Spans), 12);
    assert_eq!(engine.counters().value(Counter::WaitsExpired), 0);
}

#[test]
fn exchanges_and_calls_of_http2_are_spans_linked_over_their_connection() {
    for piece in [usize::MAX, 1, 7, 50] {
        let (engine, spans) = Recorder::replay(&demo_http2(piece));
        let named =
            |name: &str, kind| spans.iter().filter(|span| span.name == name && span.kind == kind).count();
        let counts = [named("GET", Kind::Client), named("GET", Kind::Server)];
        assert_eq!((spans.len(), counts), (32, [12, 12]), "pieces of {piece}");
        assert_eq!([named("a.B/C", Kind::Client), named("a.B/C", Kind::Server)], [4, 4]);
        let linked = |span: &&Span| span.parent.is_some_and(|parent| parent.method == LinkMethod::Connection);
        assert_eq!(spans.iter().filter(linked).count(), 16);
        assert!(spans.iter().all(|span| !span.attributes.iter().any(|it| it.key == "error.type")));
        assert_eq!(engine.counters().value(Counter::Malformed), 0);
    }
}

#[test]
fn a_lost_record_of_http2_makes_no_span_and_no_wrong_name() {
    for piece in [usize::MAX, 25] {
        let records = demo_http2(piece);
        let text = |span: &Span, key: &str| {
            let found = span.attributes.iter().find(|attribute| attribute.key == key);
            found.map_or(Value::Bool(false), |attribute| attribute.value.clone())
        };
        let path = |span: &Span| match (text(span, "url.path"), text(span, "url.full")) {
            (_, Value::String(full)) => {
                Value::String(full.trim_start_matches("http://shop").to_owned().into())
            }
            (path, _) => path,
        };
        // The path of a call is its method.
        let name = |span: &Span| match (path(span), text(span, "rpc.method")) {
            (Value::Bool(_), Value::String(method)) => [Value::String(format!("/{method}").into())],
            (path, _) => [path],
        };
        let right = Recorder::replay(&records).1;
        for lost in 0..records.len() {
            let mut records = records.clone();
            records.remove(lost);
            let spans = Recorder::replay(&records).1;
            assert!(spans.len() <= right.len(), "record {lost} of pieces of {piece}");
            for span in spans {
                // What is not certain to be a call, or none, says neither.
                let has = |prefix| span.attributes.iter().any(|attribute| attribute.key.starts_with(prefix));
                let is_call = (span.kind, span.tgid) == (Kind::Client, 20) || span.tgid == 30;
                assert!(!has(if is_call { "http." } else { "rpc." }), "record {lost}: {span:#?}");
                let fits = |other: &&Span| {
                    let known = |(part, whole)| part == Value::Bool(false) || part == whole;
                    other.tgid == span.tgid && name(&span).into_iter().zip(name(other)).all(known)
                };
                assert!(
                    right.iter().any(|other| fits(&other)),
                    "record {lost} of pieces of {piece}: {span:#?}"
                );
            }
        }
    }
}

#[test]
fn how_the_bytes_were_cut_does_not_matter() {
    for piece in [1, 2, 3, 7, 50] {
        assert_eq!(tree(&Recorder::replay(&demo(piece)).1), expected(), "pieces of {piece}");
    }
}

#[test]
fn a_lost_record_makes_no_span_and_no_wrong_parent() {
    for piece in [usize::MAX, 25] {
        let records = demo(piece);
        let right = expected();
        for lost in 0..records.len() {
            let mut records = records.clone();
            records.remove(lost);
            eprintln!("without record {lost} of pieces of {piece}");
            let (_, spans) = Recorder::replay(&records);
            assert!(spans.len() <= right.len(), "record {lost}");
            for line in tree(&spans) {
                // A span that is not whole may know neither its path nor its parent.
                let whole = right.contains(&line)
                    || right.iter().any(|right| right.split(" < ").next() == Some(line.as_str()));
                assert!(whole || line.contains('?'), "record {lost}: {line}");
            }
        }
    }
}

#[test]
fn spans_are_given_out_soon_after_nothing_can_change_them() {
    let mut recorder = Recorder::new();
    let (client, server) = recorder.connect(10, 20);
    recorder.carry(client, server, &request("/"), usize::MAX);
    recorder.carry(server, client, RESPONSE, usize::MAX);
    let mut engine = Engine::new(Config::default());
    for (time, record) in &recorder.records {
        engine.handle_record(record, *time);
    }
    let spans: Vec<_> = std::iter::from_fn(|| engine.poll_span()).collect();
    assert_eq!(spans.len(), 2);
    let (client, server) = (&spans[1], &spans[0]);
    assert_eq!((client.kind, server.kind), (Kind::Client, Kind::Server));
    assert_eq!(server.parent.map(|parent| parent.method), Some(LinkMethod::Connection));
    assert!(client.start < server.start && server.end <= client.end);
}

#[test]
fn a_close_before_the_answer_is_a_failure_and_a_sweep_is_none() {
    for (how, error, incomplete) in
        [(end::CLOSED, Some("connection_closed"), None), (end::SWEPT, None, Some("swept"))]
    {
        let mut recorder = Recorder::new();
        let (client, server) = recorder.connect(10, 20);
        recorder.carry(client, server, &request("/"), usize::MAX);
        recorder.end(server, how);
        recorder.end(client, how);
        let (_, spans) = Recorder::replay(&recorder.records);
        assert_eq!(spans.len(), 2);
        for span in &spans {
            let text = |key: &str| {
                span.attributes.iter().find(|attribute| attribute.key == key).map(|found| &found.value)
            };
            assert_eq!(text("error.type"), error.map(|error| Value::String(error.into())).as_ref());
            assert_eq!(text("spandrel.incomplete"), incomplete.map(|why| Value::String(why.into())).as_ref());
        }
    }
}

#[test]
fn what_the_agent_exports_makes_no_spans() {
    let mut recorder = Recorder::new();
    let (own, collector) = recorder.connect(OWN, 20);
    recorder.carry(own, collector, &request("/any"), usize::MAX);
    recorder.carry(collector, own, RESPONSE, usize::MAX);
    let (mut engine, spans) = Recorder::replay(&recorder.records);
    assert_eq!(spans, []);
    assert_eq!(engine.accounting().excluded, 1);
    let orders: Vec<_> = std::iter::from_fn(|| engine.poll_order()).collect();
    assert!(orders.contains(&Order::Ignore { conn: Recorder::connection(2) }));
}

#[test]
fn data_of_a_connection_that_was_not_announced_is_traced_without_addresses() {
    let mut recorder = Recorder::new();
    let (client, server) = recorder.connect(10, 20);
    for _ in 0..2 {
        recorder.carry(client, server, &request("/"), usize::MAX);
        recorder.carry(server, client, RESPONSE, usize::MAX);
    }
    recorder.records.drain(..2);
    let (engine, spans) = Recorder::replay(&recorder.records);
    assert_eq!(spans.len(), 4);
    assert_eq!(engine.counters().value(Counter::ConnectionsUnannounced), 2);
    assert!(spans.iter().all(|span| span.parent.is_none()));
}

#[test]
fn bytes_that_are_no_record_are_refused_and_counted() {
    let mut engine = Engine::new(Config::default());
    let records = demo(usize::MAX);
    for (time, record) in &records {
        for length in 0..record.len().min(100) {
            engine.handle_record(&record[..length], *time);
        }
        let mut wrong = record.clone();
        wrong[0] = 99;
        engine.handle_record(&wrong, *time);
    }
    assert!(engine.counters().value(Counter::RecordsRefused) > records.len() as u64);
    balanced(&engine);
}

#[test]
fn an_exec_makes_a_process_known_for_an_event_loop_a_new_one() {
    for exec in [false, true] {
        let records = demo(usize::MAX);
        let mut engine = Engine::new(Config::default());
        engine.thread_is_not_task(20);
        if exec {
            let header = RecordHeader { kind: kind::EXEC, ..RecordHeader::new_zeroed() };
            let record = ProcessRecord { header, tgid: 20, ..ProcessRecord::new_zeroed() };
            let mut record = record.as_bytes().to_vec();
            // Empty areas for the file name, the arguments and the environment.
            record.resize(record.len() + 8192, 0);
            engine.handle_record(&record, 1);
        }
        for (time, record) in &records {
            engine.handle_record(record, *time);
        }
        engine.finish(Unseen::AgentStopped, records.last().unwrap().0);
        let spans: Vec<_> = std::iter::from_fn(|| engine.poll_span()).collect();
        let by_reader =
            spans.iter().filter(|span| span.parent.is_some_and(|parent| parent.method == LinkMethod::Reader));
        assert_eq!(by_reader.count(), if exec { 4 } else { 0 });
    }
}

#[test]
fn records_with_any_byte_changed_harm_nothing() {
    let mut random = 0x5eed_u64;
    let mut next = |bound: usize| {
        random ^= random >> 12;
        random ^= random << 25;
        random ^= random >> 27;
        (random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    };
    let right = [demo(40), demo_http2(40)];
    for round in 0..600 {
        let right = &right[round % 2];
        let mut records = right.clone();
        for _ in 0..1 + next(20) {
            let record = next(records.len());
            let bytes = &mut records[record].1;
            let place = next(bytes.len());
            bytes[place] = next(256) as u8;
            let (one, other) = (next(right.len()), next(right.len()));
            let kept = records[one].0;
            records.swap(one, other);
            records[one].0 = kept;
        }
        // Any order of any bytes: what the replay itself asserts holds.
        records.sort_by_key(|(time, _)| *time);
        Recorder::replay(&records);
    }
}

#[test]
fn a_full_table_of_connections_gives_up_an_idle_one() {
    let mut engine = Engine::new(Config::default());
    let mut recorder = Recorder::new();
    for _ in 0..=limit::CONNECTIONS_MAX {
        recorder.open(10, role::CONNECTED, (1, 2));
        let (time, record) = recorder.records.pop().unwrap();
        engine.handle_record(&record, time);
    }
    assert_eq!(engine.connections(), limit::CONNECTIONS_MAX);
    // The first has been idle for longest.
    recorder.end(0, end::CLOSED);
    recorder.end(limit::CONNECTIONS_MAX - 1, end::CLOSED);
    for (time, record) in &recorder.records {
        engine.handle_record(record, *time);
    }
    assert_eq!(engine.connections(), limit::CONNECTIONS_MAX - 1);
    assert_eq!(engine.counters().value(Counter::ConnectionsEvicted), 1);
}

#[test]
fn an_engine_may_move_to_another_thread() {
    fn may_move<T: Send>() {}
    may_move::<Engine>();
}
