//! What an exchange of two spans costs: `cost [http1|http2|grpc] [ROUNDS]`. Run it under
//! `valgrind --tool=callgrind` with 1000 and 11000 rounds and compare, or time it.
//!
//! It feeds a conversation of two processes over one connection as records. That of HTTP/2 is h2load's with nginx,
//! which inserts five fields of each response into its header table; that of gRPC is h2load's with grpc-go.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement, no part of the engine"
)]

use abi::{
    ConnectionId, DataRecord, OpenRecord, RecordHeader,
    conn::{direction, flag, role},
    record::kind,
};
use engine::{Config, Engine};
use zerocopy::{FromZeros, IntoBytes};

/// What is said once, and what is said each time: requests and responses in turn.
struct Conversation {
    opening: [Vec<u8>; 2],
    exchange: [Vec<u8>; 2],
}

const REQUEST: &[u8] = b"GET /index.html?a=b HTTP/1.1\r\nHost: shop.example:8080\r\nUser-Agent: load/1.0\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/html\r\nContent-Length: 12\r\nConnection: keep-alive\r\n\r\nhello world\n";

/// The preface, SETTINGS and WINDOW_UPDATE of h2load.
const H2LOAD: &str = "505249202a20485454502f322e300d0a0d0a534d0d0a0d0a00000c0400000000000002000000000004\
    3fffffff0000040800000000003fff0000";
const NGINX: &str = "000012040000000000000300000100000400010000000500ffffff0000040800000000007fff0000\
    000000040100000000";
const NGINX_RESPONSE: &str = "00006a010400000001887689aa6355e580ae212e1f6196dc34fd2820a9a4fdd41004e28005c0\
    86e34da98b46ff5f87497ca58ae819aa5c033130306c96dc34fd2820a9a4fdd41004e28005c086e34d298b46ff00832a47378afe\
    5c8c002848059c6bf9008919085ad2b583aa62a3848fd24a8f000064000100000001";
const GRPC_MESSAGE: &str = "0000250001000000010000000020";

fn http1() -> Conversation {
    Conversation { opening: Default::default(), exchange: [REQUEST.to_vec(), RESPONSE.to_vec()] }
}

fn http2() -> Conversation {
    let first =
        "00002601050000000104846253505f86418b089d5c0b8170dc0bc07def827a8f9c541c722954d3a5358980aed89707";
    let response = hex(&[NGINX_RESPONSE], &[b'x'; 100]);
    Conversation {
        opening: [hex(&[H2LOAD, first], b""), [hex(&[NGINX], b""), response.clone()].concat()],
        exchange: [hex(&["00000a01050000000104846253505f86bf82be"], b""), response],
    }
}

fn grpc() -> Conversation {
    let request = "00004b010400000001048c61139eb5ef0ec4b1c2a1d9eb86418b089d5c0b8170dc0bc07def827a8f9c541c722954d3a535\
        8980aed897075f8b1d75d0620d263d4c4d656440027465864d833505b11f0f0d023337";
    let response = "000006040000000000000500004000000000040100000000000004080000000000000000250000080600000000000\
        2041010090e070700000e010400000001885f8b1d75d0620d263d4c4d6564";
    let trailers = "00001801050000000140889acac8b21234da8f013040899acac8b5254207317f00";
    let again = "000019010400000001048c61139eb5ef0ec4b1c2a1d9eb86c183c0bfbe0f0d023337";
    let answer = "0000040800000000000000002500000806000000000002041010090e0707000002010400000001 88c0"
        .replace(' ', "");
    let message = |before: &[&str]| hex(&[before, &[GRPC_MESSAGE]].concat(), &[b'0'; 32]);
    Conversation {
        opening: [message(&[H2LOAD, request]), [message(&[response]), hex(&[trailers], b"")].concat()],
        exchange: [
            message(&["00000806010000000002041010090e0707", again]),
            [message(&[&answer]), hex(&["000002010500000001bfbe"], b"")].concat(),
        ],
    }
}

fn hex(text: &[&str], body: &[u8]) -> Vec<u8> {
    let text = text.concat();
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).chain(body.iter().copied()).collect()
}

/// Where the ids of streams stand in frames.
fn ids(mut frames: &[u8]) -> Vec<usize> {
    let (mut ids, mut at) = (Vec::new(), 0);
    while let [a, b, c, _, _, id @ ..] = frames {
        if id.first_chunk() == Some(&1_u32.to_be_bytes()) {
            ids.push(at + 5);
        }
        let length = 9 + u32::from_be_bytes([0, *a, *b, *c]) as usize;
        at += length;
        frames = frames.get(length..).unwrap_or_default();
    }
    ids
}

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

/// A record, and where in it ids of streams stand.
struct Call {
    record: Vec<u8>,
    /// 0: of requests, 1: of responses.
    part: usize,
    length: usize,
    ids: Vec<usize>,
}

/// What is said, as the client and as the server hear it.
fn calls([request, response]: &[Vec<u8>; 2], frames: bool) -> Vec<Call> {
    let call = |tgid, direction, part, bytes: &Vec<u8>| Call {
        record: data(tgid, direction, bytes),
        part,
        length: bytes.len(),
        ids: if frames { ids(bytes) } else { Vec::new() },
    };
    vec![
        call(10, direction::SENT, 0, request),
        call(20, direction::RECEIVED, 0, request),
        call(20, direction::SENT, 1, response),
        call(10, direction::RECEIVED, 1, response),
    ]
}

fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    let (frames, Conversation { opening, exchange }) = match arguments.peek().map(String::as_str) {
        Some("http2") => (true, http2()),
        Some("grpc") => (true, grpc()),
        _ => (false, http1()),
    };
    let rounds = arguments.find_map(|rounds| rounds.parse::<u64>().ok()).unwrap_or(1000);
    let mut engine = Engine::new(Config::default());
    engine.handle_record(&open(10, role::CONNECTED, (4000, 80)), 1);
    engine.handle_record(&open(20, role::ACCEPTED, (80, 4000)), 1);
    let (mut first, mut others) = (calls(&opening, false), calls(&exchange, frames));
    let (mut now, mut spans) = (1_000, 0_u64);
    let mut positions = [0; 2];
    for round in 0..rounds {
        for call in if frames && round == 0 { &mut first } else { &mut others } {
            now += 1_000;
            for at in &call.ids {
                let id = call.record.len() - call.length + at;
                call.record[id..id + 4].copy_from_slice(&(2 * round as u32 + 1).to_be_bytes());
            }
            let (fields, _) = zerocopy::Ref::<_, DataRecord>::from_prefix(&mut call.record[..]).unwrap();
            let fields = zerocopy::Ref::into_mut(fields);
            fields.position = positions[call.part];
            fields.header.time = now;
            fields.enter = now - 500;
            // The reader follows the writer.
            if fields.direction == direction::RECEIVED {
                positions[call.part] += call.length as u64;
            }
            engine.handle_record(&call.record, now);
        }
        while engine.poll_span().is_some() {
            spans += 1;
        }
    }
    println!("{spans} spans of {rounds} exchanges");
}
