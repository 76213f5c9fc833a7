//! What an exchange pair costs: run it under `valgrind --tool=callgrind` with 1000 and 11000 rounds and
//! compare, or time it. It feeds a keep-alive conversation of two processes as records.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a measurement, no part of the engine"
)]

use abi::{
    ConnectionId, DataRecord, OpenRecord, RecordHeader,
    conn::{direction, flag, role},
    record::kind,
};
use engine::{Config, Engine};
use zerocopy::{FromZeros, IntoBytes};

const REQUEST: &[u8] = b"GET /index.html?a=b HTTP/1.1\r\nHost: shop.example:8080\r\nUser-Agent: load/1.0\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/html\r\nContent-Length: 12\r\nConnection: keep-alive\r\n\r\nhello world\n";

fn open(tgid: u32, role: u8, ports: (u16, u16)) -> Vec<u8> {
    let mut address = [0; 16];
    address[0] = 127;
    let record = OpenRecord {
        header: RecordHeader { kind: kind::OPEN, time: 1, ..RecordHeader::new_zeroed() },
        conn: ConnectionId { sock: u64::from(tgid), inode: u64::from(tgid) },
        tgid,
        family: 2,
        flags: flag::FROM_OPENING,
        local_address: address,
        remote_address: address,
        local_port: ports.0,
        remote_port: ports.1,
        role,
        ..OpenRecord::new_zeroed()
    };
    record.as_bytes().to_vec()
}

fn data(tgid: u32, direction: u8, bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len() as u32;
    let record = DataRecord {
        header: RecordHeader { kind: kind::DATA, ..RecordHeader::new_zeroed() },
        conn: ConnectionId { sock: u64::from(tgid), inode: u64::from(tgid) },
        tgid,
        tid: tgid,
        task: u64::from(tgid),
        call_length: length,
        covered: length,
        copied: length,
        direction,
        ..DataRecord::new_zeroed()
    };
    let mut record = record.as_bytes().to_vec();
    record.extend_from_slice(bytes);
    record
}

fn main() {
    let rounds = std::env::args().nth(1).and_then(|rounds| rounds.parse::<u64>().ok()).unwrap_or(1000);
    let mut engine = Engine::new(Config::default());
    engine.handle_record(&open(10, role::CONNECTED, (4000, 80)), 1);
    engine.handle_record(&open(20, role::ACCEPTED, (80, 4000)), 1);
    let mut calls = [
        (data(10, direction::SENT, REQUEST), REQUEST.len()),
        (data(20, direction::RECEIVED, REQUEST), REQUEST.len()),
        (data(20, direction::SENT, RESPONSE), RESPONSE.len()),
        (data(10, direction::RECEIVED, RESPONSE), RESPONSE.len()),
    ];
    let (mut now, mut spans) = (1_000, 0_u64);
    for round in 0..rounds {
        for (record, length) in &mut calls {
            now += 1_000;
            let position = round * *length as u64;
            let Ok((fields, _)) = zerocopy::Ref::<_, DataRecord>::from_prefix(&mut record[..]) else {
                return;
            };
            let fields = zerocopy::Ref::into_mut(fields);
            fields.position = position;
            fields.header.time = now;
            fields.enter = now - 500;
            engine.handle_record(record, now);
        }
        while engine.poll_span().is_some() {
            spans += 1;
        }
    }
    println!("{spans} spans of {rounds} exchanges");
}
