mod excerpts;
mod http2;

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use abi::{DataRecord, OpenRecord, limit, record::kind};
use engine::{Engine, Order, event::ConnectionId, policy::SecretKeys};
use zerocopy::{FromBytes as _, FromZeros as _, IntoBytes as _};

use super::*;

fn sample() -> (Header, Vec<Frame>, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.records");
    let header = Header::new("6.1".into(), 7, 42, -5);
    let resource = Resource {
        tgid: 3,
        since: 9,
        attributes: vec![("service.name".into(), serde_json::Value::from("shop"))],
    };
    let mut writer = Writer::create(&path, &header, None).unwrap();
    writer.tick(11).unwrap();
    writer.record(b"abc").unwrap();
    writer.resource(&resource).unwrap();
    writer.not_tasks(3).unwrap();
    writer.finish().unwrap();
    let frames =
        vec![Frame::Tick(11), Frame::Record(b"abc".to_vec()), Frame::Resource(resource), Frame::NotTasks(3)];
    (header, frames, std::fs::read(path).unwrap())
}

/// An engine that says what a writer wants to know.
fn report(engine: &mut Engine, writer: &Writer) {
    engine.report_content();
    if let Some(secrecy) = writer.secrecy() {
        engine.report_excerpts(secrecy);
    }
}

/// What the engine says of the records that it was given.
fn tell(engine: &mut Engine, writer: &mut Writer) {
    while let Some(content) = engine.poll_content() {
        writer.content(content);
    }
    while let Some(excerpt) = engine.poll_excerpt() {
        writer.excerpt(excerpt);
    }
    while let Some(order) = engine.poll_order() {
        if let Order::Frames { conn, .. } = order {
            writer.http2(conn);
        }
    }
}

/// The records that a writer makes of some, with what the engine says of them.
fn written(records: &[Vec<u8>], secret: Option<SecretKeys>) -> Vec<Vec<u8>> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.records");
    let mut writer = Writer::create(&path, &Header::new("6.1".into(), 7, 42, -5), secret).unwrap();
    let mut engine = Engine::new(engine::Config::default());
    report(&mut engine, &writer);
    for record in records {
        writer.record(record).unwrap();
        engine.handle_record(record, 1);
        tell(&mut engine, &mut writer);
    }
    engine.finish(engine::protocol::Unseen::AgentStopped, 2);
    tell(&mut engine, &mut writer);
    writer.finish().unwrap();
    let reader = Reader::open(&path).unwrap();
    let records = reader.map(|frame| match frame.unwrap() {
        Frame::Record(record) => record,
        Frame::Tick(_) | Frame::Resource(_) | Frame::NotTasks(_) => panic!("only records were written"),
    });
    records.collect()
}

fn exec() -> Vec<u8> {
    let mut record = vec![0x55; 64 + limit::FILENAME_MAX + limit::ARGUMENTS_MAX + limit::ENVIRONMENT_MAX];
    record[..2].copy_from_slice(&kind::EXEC.to_ne_bytes());
    record[56..58].copy_from_slice(&3_u16.to_ne_bytes());
    record[58..60].copy_from_slice(&5_u16.to_ne_bytes());
    record[60..62].copy_from_slice(&7_u16.to_ne_bytes());
    record
}

#[test]
fn an_exec_record_is_written_without_what_stands_behind_its_texts() {
    let record = exec();
    for (secret, left) in [(None, 3 + 5 + 7), (Some(SecretKeys::default()), 3)] {
        let written = written(std::slice::from_ref(&record), secret).remove(0);
        assert_eq!(written.len(), record.len());
        assert_eq!(written[64..].iter().filter(|byte| **byte == 0x55).count(), left);
        assert!(engine::event::Event::decode(&written).is_ok());
    }
}

const CONN: ConnectionId = ConnectionId { sock: 1, inode: 2 };

/// A connection of a server.
fn open() -> Vec<u8> {
    let mut record = OpenRecord::new_zeroed();
    record.header.kind = kind::OPEN;
    record.conn = CONN;
    record.family = 2;
    record.flags = abi::conn::flag::FROM_OPENING;
    record.role = abi::conn::role::ACCEPTED;
    record.as_bytes().to_vec()
}

fn data(direction: u8, position: u64, bytes: &[u8], call_offset: u32) -> Vec<u8> {
    let mut record = DataRecord::new_zeroed();
    record.header.kind = kind::DATA;
    record.header.time = position + 1;
    record.enter = position + 1;
    record.tgid = 5;
    record.conn = CONN;
    record.position = position;
    record.direction = direction;
    record.call_offset = call_offset;
    (record.covered, record.copied) = (bytes.len() as u32, bytes.len() as u32);
    [record.as_bytes(), bytes].concat()
}

/// A stream as it is recorded, in records of so many bytes.
fn stream(direction: u8, text: &[u8], size: usize) -> Vec<Vec<u8>> {
    let pieces = text.chunks(size).enumerate();
    pieces.map(|(index, bytes)| data(direction, (index * size) as u64, bytes, 0)).collect()
}

/// What a stream became.
fn text(records: &[Vec<u8>], direction: u8) -> Vec<u8> {
    let of = |record: &Vec<u8>| match engine::event::Event::decode(record) {
        Ok(engine::event::Event::Data(data)) if data.direction == direction_of(direction) => {
            Some(data.bytes.to_vec())
        }
        _ => None,
    };
    records.iter().filter_map(of).flatten().collect()
}

fn direction_of(direction: u8) -> engine::event::Direction {
    if direction == 0 { engine::event::Direction::Received } else { engine::event::Direction::Sent }
}

const REQUESTS: &str = "POST http://user:pass@host/a?b=c&sig=signature HTTP/1.1\r\nHost: host\r\n\
    Authorization: Basic abc\r\n folded\r\nContent-Length: 9\r\n\r\n&password\
    PUT /a HTTP/1.1\r\nHost: host\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nabcde\r\n0\r\nX-Token: t\r\n\r\n\
    GET /b?AWSAccessKeyId=key HTTP/1.1\r\nHost: host\r\ncookie: a=b\r\n\r\n";
const SCRUBBED: &str = "POST http://xxxxxxxxx@host/a?b=c&sig=xxxxxxxxx HTTP/1.1\r\nHost: host\r\n\
    Authorization: xxxxxxxxx\r\n xxxxxx\r\nContent-Length: 9\r\n\r\n\0\0\0\0\0\0\0\0\0\
    PUT /a HTTP/1.1\r\nHost: host\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\n\0\0\0\0\0\r\n0\r\nX-Token: x\r\n\r\n\
    GET /b?AWSAccessKeyId=xxx HTTP/1.1\r\nHost: host\r\ncookie: xxx\r\n\r\n";

#[test]
fn secrets_are_overwritten_however_the_stream_is_cut() {
    for size in [1, 2, 3, 7, 16, 100, 10_000] {
        let mut records = vec![open()];
        records.extend(stream(0, REQUESTS.as_bytes(), size));
        let written = written(&records, Some(SecretKeys::default()));
        assert_eq!(String::from_utf8(text(&written, 0)).unwrap(), SCRUBBED, "pieces of {size}");
    }
}

#[test]
fn a_raw_recording_is_what_was_in_the_ring() {
    let mut records = vec![open()];
    records.extend(stream(0, REQUESTS.as_bytes(), 20));
    assert_eq!(written(&records, None), records);
}

#[test]
fn secrets_are_overwritten_in_whatever_batches_records_are_written() {
    // What is written is gone: a line that goes on in the next batch is treated by what is known of it.
    for cut in 1..REQUESTS.len() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.records");
        let header = Header::new("6.1".into(), 7, 42, -5);
        let mut writer = Writer::create(&path, &header, Some(SecretKeys::default())).unwrap();
        let mut engine = Engine::new(engine::Config::default());
        report(&mut engine, &writer);
        let (one, other) = REQUESTS.as_bytes().split_at(cut);
        for record in [open(), data(0, 0, one, 0), data(0, cut as u64, other, 0)] {
            writer.record(&record).unwrap();
            engine.handle_record(&record, 1);
            tell(&mut engine, &mut writer);
            writer.finish().unwrap();
        }
        let records: Vec<_> = Reader::open(&path)
            .unwrap()
            .filter_map(|frame| match frame.unwrap() {
                Frame::Record(record) => Some(record),
                Frame::Tick(_) | Frame::Resource(_) | Frame::NotTasks(_) => None,
            })
            .collect();
        let found = String::from_utf8(text(&records, 0)).unwrap();
        // An authority of which it is not known yet whether it has credentials goes as a whole.
        let expected = match cut {
            13..=26 => format!("POST http://{}{}", "x".repeat(cut - 12), &SCRUBBED[cut..]),
            _ => SCRUBBED.to_owned(),
        };
        assert_eq!(found, expected, "cut at {cut}");
    }
}

#[test]
fn what_follows_missing_bytes_is_overwritten_unless_it_starts_a_message() {
    let head = b"GET /a HTTP/1.1\r\nAuthorization: Ba";
    let from = head.len() as u64 + 10;
    for (rest, expected) in [
        ("sic abc\r\nX: y\r\n\r\n", "xxxxxxx\r\nX: y\r\n\r\n"),
        ("sic abc\r\n folded\r\n\r\n", "xxxxxxx\r\n xxxxxx\r\n\r\n"),
        ("GET /b HTTP/1.1\r\n\r\n", "GET /b HTTP/1.1\r\n\r\n"),
    ] {
        let records = [open(), data(0, 0, head, 0), data(0, from, rest.as_bytes(), 0)];
        let written = written(&records, Some(SecretKeys::default()));
        let found = String::from_utf8(text(&written, 0)).unwrap();
        assert_eq!(found, format!("GET /a HTTP/1.1\r\nAuthorization: xx{expected}"));
    }
}

#[test]
fn http2_is_overwritten_behind_its_preface() {
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for size in [1, 10, 1000] {
        let mut records = vec![open()];
        records.extend(stream(0, format!("{preface}secret").as_bytes(), size));
        records.push(data(1, 0, b"settings", 0));
        let written = written(&records, Some(SecretKeys::default()));
        assert_eq!(text(&written, 0), [preface.as_bytes(), &[0xff; 6]].concat());
        assert_eq!(text(&written, 1), [0xff; 8]);
    }
}

#[test]
fn a_record_that_cannot_be_decoded_stays_one() {
    let mut broken = data(0, 0, b"secret", 0);
    broken[80] = 9;
    assert!(engine::event::Event::decode(&broken).is_err());
    let written = written(&[broken], Some(SecretKeys::default())).remove(0);
    assert!(engine::event::Event::decode(&written).is_err());
    assert!(!written.windows(6).any(|window| window == b"secret"));
}

#[test]
fn a_file_that_was_readable_by_others_no_longer_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.records");
    std::fs::write(&path, "before").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut writer = Writer::create(&path, &Header::new("6.1".into(), 7, 42, -5), None).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    writer.finish().unwrap();
    assert_eq!(Reader::open(&path).unwrap().count(), 0);
}

/// Everything that a replay gives, and what it counts.
fn replayed(path: &Path) -> (Vec<String>, String) {
    let mut spans = Vec::new();
    let reader = Reader::open(path).unwrap();
    let (engine, failure) =
        crate::replay::replay(reader, engine::Config::default(), std::sync::Arc::default(), |exported| {
            spans.extend(exported.into_iter().map(|exported| format!("{:?}", exported.span)));
        })
        .unwrap();
    assert!(failure.is_none(), "{failure:?}");
    (spans, format!("{:?}", engine.counters()))
}

#[test]
fn what_is_written_without_secrets_gives_the_same_spans() {
    let mut files = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/captures")];
    while let Some(index) = files.iter().position(|path| path.is_dir()) {
        let folder = std::fs::read_dir(files.swap_remove(index)).unwrap();
        files.extend(folder.map(|file| file.unwrap().path()));
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "records"));
    assert!(files.len() > 10);
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("x.records");
    for path in files {
        let reader = Reader::open(&path).unwrap();
        let header = reader.header().clone();
        let mut engine =
            Engine::new(engine::Config { own_tgid: header.own_tgid, ..engine::Config::default() });
        let mut writer = Writer::create(&copy, &header, Some(SecretKeys::default())).unwrap();
        report(&mut engine, &writer);
        let mut now = 0;
        for frame in reader {
            match frame.unwrap() {
                Frame::Tick(time) => {
                    now = time;
                    writer.tick(time).unwrap();
                    engine.handle_timeout(time);
                }
                Frame::Record(record) => {
                    writer.record(&record).unwrap();
                    engine.handle_record(&record, now);
                }
                Frame::NotTasks(tgid) => {
                    writer.not_tasks(tgid).unwrap();
                    engine.thread_is_not_task(tgid);
                }
                Frame::Resource(resource) => writer.resource(&resource).unwrap(),
            }
            tell(&mut engine, &mut writer);
        }
        writer.finish().unwrap();
        let (mut written, mut whole) = (replayed(&copy), replayed(&path));
        // Trailers of gRPC-Web that are compressed or in base64 are overwritten: the code of such a call is not known
        // again, nor, of base64, how many messages it has. What else a span is stays.
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"web")) {
            for span in written.0.iter_mut().chain(&mut whole.0) {
                span.truncate(span.find(", attributes:").unwrap());
            }
        }
        assert_eq!(written, whole, "{}", path.display());
    }
}

#[test]
fn what_is_written_is_read() {
    let (header, frames, bytes) = sample();
    let reader = Reader::new(&bytes[..]).unwrap();
    assert_eq!(reader.header(), &header);
    assert_eq!(reader.header().seed(), 7);
    assert_eq!(reader.map(Result::unwrap).collect::<Vec<_>>(), frames);
}

#[test]
fn a_cut_or_broken_file_is_an_error_and_never_a_panic() {
    let (_, frames, bytes) = sample();
    let body = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    assert!(Reader::new(&bytes[..body - 2]).is_err());
    for length in body..bytes.len() {
        let read: Vec<_> = Reader::new(&bytes[..length]).unwrap().collect();
        assert!(read.len() <= frames.len());
        let whole = read.iter().filter(|frame| frame.is_ok()).count();
        assert!(read.iter().take(whole).flatten().eq(frames.iter().take(whole)));
    }
    for index in body..bytes.len() {
        let mut broken = bytes.clone();
        broken[index] ^= 0x55;
        assert!(Reader::new(&broken[..]).unwrap().count() <= frames.len() + 1);
    }
}
