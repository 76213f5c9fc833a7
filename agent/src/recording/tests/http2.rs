//! Connections of HTTP/2, wherever the recording begins and whatever is lost of it.

use super::*;

const SECRET: &str = "hunter2-and-more";
const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Literals that are not compressed, one with a line's end in front of the secret.
fn fields(first: u8) -> Vec<u8> {
    let mut block = vec![first];
    for (name, value) in [
        ("authorization", format!("Bearer {SECRET}")),
        ("x-lines", format!("a: b\r\n\nx: {SECRET}")),
        ("cookie", SECRET.to_owned()),
    ] {
        block.extend([0x40, name.len() as u8]);
        block.extend(name.as_bytes());
        block.push(value.len() as u8);
        block.extend(value.as_bytes());
    }
    block
}

/// Calls of a client, and of its server: content is sent in a call of its own, and reads like a message of HTTP/1.
fn calls() -> [Vec<Vec<u8>>; 2] {
    let [get, ok] = [
        format!("GET /a HTTP/1.1\r\nHost: a\r\nAuthorization: {SECRET}\r\n\r\ntext"),
        format!("HTTP/1.1 200 OK\r\nSet-Cookie: {SECRET}\r\n\r\ntext"),
    ];
    let of = |first: u8, content: &str| {
        let mut calls = Vec::new();
        for stream in 0..20 {
            let content = content.as_bytes();
            calls.push(frame(1, 4, 2 * stream + 1, &fields(first)));
            calls.push(frame(0, 1, 2 * stream + 1, content)[..9].to_vec());
            calls.push(content.to_vec());
        }
        calls
    };
    let [mut client, mut server] = [of(0x82, &get), of(0x88, &ok)];
    client.insert(0, [PREFACE.as_bytes(), &frame(4, 0, 0, &[])].concat());
    server.insert(0, frame(4, 0, 0, &[]));
    [client, server]
}

/// The records of the calls, cut in pieces of so many bytes.
fn records(size: usize) -> Vec<Vec<u8>> {
    let [client, server] = calls();
    let mut positions = [0_u64; 2];
    let mut records = Vec::new();
    for (received, sent) in client.iter().zip(&server) {
        for (direction, call) in [(0, received), (1, sent)] {
            for (index, piece) in call.chunks(size).enumerate() {
                records.push(data(
                    direction,
                    positions[usize::from(direction)],
                    piece,
                    (index * size) as u32,
                ));
                positions[usize::from(direction)] += piece.len() as u64;
            }
        }
    }
    records
}

/// Where four bytes of the secret are in a row.
fn leaks(records: &[Vec<u8>]) -> Option<String> {
    let record = records.iter().find(|record| {
        SECRET.as_bytes().windows(4).any(|part| record.windows(4).any(|window| window == part))
    })?;
    Some(String::from_utf8_lossy(record).into_owned())
}

#[test]
fn nothing_of_http2_is_left_wherever_the_recording_begins() {
    for size in [3, 7, 50, 1000] {
        let records = records(size);
        let older = OpenRecord { flags: 0, ..OpenRecord::read_from_bytes(&open()).unwrap() };
        let unknown = OpenRecord { role: abi::conn::role::UNKNOWN, ..older };
        for first in
            [vec![], vec![older.as_bytes().to_vec()], vec![unknown.as_bytes().to_vec()], vec![open()]]
        {
            for start in (0..records.len()).step_by(records.len() / 25) {
                let given = [first.clone(), records[start..].to_vec()].concat();
                let written = written(&given, Some(SecretKeys::default()));
                let leak = leaks(&written);
                assert!(leak.is_none(), "pieces of {size} from {start}: {leak:?}");
            }
        }
    }
}

#[test]
fn lost_records_of_http2_uncover_nothing() {
    for size in [7, 50] {
        let records = records(size);
        for (from, length) in (0..records.len()).step_by(3).flat_map(|from| [(from, 1), (from, 2), (from, 7)])
        {
            let mut given = vec![open()];
            given.extend(records[..from].iter().chain(records.iter().skip(from + length)).cloned());
            let leak = leaks(&written(&given, Some(SecretKeys::default())));
            assert!(leak.is_none(), "pieces of {size} without {length} from {from}: {leak:?}");
        }
    }
}

#[test]
fn header_blocks_are_overwritten_before_the_engine_knows_them_for_such() {
    // In batches of one record, of which nobody says anything.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.records");
    for size in [3, 7, 50, 1000] {
        let records: Vec<_> = records(size)
            .into_iter()
            .filter(|record| !record.windows(6).any(|window| window == b"HTTP/1"))
            .collect();
        for start in (0..records.len()).step_by(records.len() / 25) {
            let header = Header::new("6.1".into(), 7, 42, -5);
            let mut writer = Writer::create(&path, &header, Some(SecretKeys::default())).unwrap();
            for record in &records[start..] {
                writer.record(record).unwrap();
                writer.finish().unwrap();
            }
            let written = Reader::open(&path).unwrap().map(|frame| match frame.unwrap() {
                Frame::Record(record) => record,
                other @ (Frame::Tick(_) | Frame::Resource(_) | Frame::NotTasks(_)) => panic!("{other:?}"),
            });
            let leak = leaks(&written.collect::<Vec<_>>());
            assert!(leak.is_none(), "pieces of {size} from {start}: {leak:?}");
        }
    }
}

#[test]
fn recordings_of_real_connections_joined_in_the_middle_give_the_same_spans() {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/captures/http2");
    let mut found = 0;
    for name in ["nghttp", "h2load_nginx", "h2load_nghttpd", "busy/go_node"] {
        let reader = Reader::open(&captures.join(name).with_extension("records")).unwrap();
        let records: Vec<_> = reader
            .filter_map(|frame| match frame.unwrap() {
                Frame::Record(record) => Some(record),
                Frame::Tick(_) | Frame::Resource(_) | Frame::NotTasks(_) => None,
            })
            .collect();
        for start in (0..records.len()).step_by(records.len().div_ceil(20)) {
            // Without what says of a connection that it is new.
            let opens = |record: &Vec<u8>| record[..2] == kind::OPEN.to_ne_bytes();
            let given: Vec<_> = records[start..].iter().filter(|record| !opens(record)).cloned().collect();
            let written = written(&given, Some(SecretKeys::default()));
            let spans = spans(&given);
            assert_eq!(self::spans(&written), spans, "{name} from {start}");
            found += spans.len();
        }
    }
    assert!(found > 1000, "{found}");
}

/// What records give.
pub(super) fn spans(records: &[Vec<u8>]) -> Vec<String> {
    let mut engine = Engine::new(engine::Config::default());
    for record in records {
        engine.handle_record(record, 1);
    }
    engine.finish(engine::protocol::Unseen::AgentStopped, 2);
    std::iter::from_fn(|| engine.poll_span()).map(|span| format!("{span:?}")).collect()
}

#[test]
fn http1_joined_in_the_middle_is_left_from_its_first_message_on() {
    let message = "GET /b HTTP/1.1\r\nHost: host\r\nAuthorization: abc\r\n\r\n";
    let rest = "of a secret: body\r\nx: y\r\n";
    let records =
        [data(0, 1000, rest.as_bytes(), 0), data(0, 1000 + rest.len() as u64, message.as_bytes(), 0)];
    let found = text(&written(&records, Some(SecretKeys::default())), 0);
    let expected = ["\0".repeat(rest.len()), message.replace("abc", "xxx")].concat();
    assert_eq!(String::from_utf8(found).unwrap(), expected);
}
