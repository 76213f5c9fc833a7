//! What is left of HTTP/2 and of gRPC: no secret, and the same spans.

use super::{http2::spans, *};

/// Of letters that have codes of five bits.
const SECRET: &str = "secretaccess";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const INDEXED: u8 = 0x40;
const NEVER: u8 = 0x10;

/// How header blocks are framed.
#[derive(Clone, Copy, Debug, Default)]
struct Framed {
    padding: Option<u8>,
    priority: bool,
    /// Bytes of a block in each frame.
    split: Option<usize>,
}

const FRAMED: [Framed; 5] = [
    Framed { padding: None, priority: false, split: None },
    Framed { padding: Some(7), priority: false, split: None },
    Framed { padding: None, priority: true, split: Some(40) },
    Framed { padding: None, priority: false, split: Some(5) },
    Framed { padding: Some(0), priority: true, split: Some(1) },
];

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

impl Framed {
    fn headers(self, stream: u8, end: bool, block: &[u8]) -> Vec<u8> {
        let (first, rest) = block.split_at(self.split.unwrap_or(block.len()).min(block.len()));
        let mut flags = u8::from(end) | if rest.is_empty() { 4 } else { 0 };
        let mut payload = Vec::new();
        if let Some(padding) = self.padding {
            flags |= 8;
            payload.push(padding);
        }
        if self.priority {
            flags |= 0x20;
            payload.extend([0, 0, 0, 0, 9]);
        }
        payload.extend(first);
        // What nobody should put there.
        payload.extend(SECRET.bytes().cycle().take(self.padding.unwrap_or_default().into()));
        let mut frames = frame(1, flags, stream, &payload);
        let mut parts = rest.chunks(self.split.unwrap_or(1)).peekable();
        while let Some(part) = parts.next() {
            frames.extend(frame(9, if parts.peek().is_none() { 4 } else { 0 }, stream, part));
        }
        frames
    }
}

/// RFC 7541, 5.2 and appendix B, as far as it is used here.
fn coded(text: &str) -> Vec<u8> {
    let code =
        |letter: char| match (letter, "012aceiost".find(letter), " %-./3456789=A_bdfghlmnpru".find(letter)) {
            (_, Some(at), _) => format!("{at:05b}"),
            (_, _, Some(at)) => format!("{:06b}", 0x14 + at),
            ('?', ..) => "1111111100".to_owned(),
            ('&', ..) => "11111000".to_owned(),
            ('k', ..) => "1110101".to_owned(),
            _ => panic!("{letter}"),
        };
    let mut bits: String = text.chars().map(code).collect();
    while !bits.len().is_multiple_of(8) {
        bits.push('1');
    }
    (0..bits.len() / 8).map(|at| u8::from_str_radix(&bits[8 * at..8 * at + 8], 2).unwrap()).collect()
}

/// A literal field; `name`: an index of the static table or a text.
fn literal(kind: u8, name: Result<u8, &str>, value: &str, is_coded: bool) -> Vec<u8> {
    let mut out = match name {
        Ok(index) => vec![kind | index],
        Err(name) => [&[kind, name.len() as u8], name.as_bytes()].concat(),
    };
    let value = if is_coded { coded(value) } else { value.into() };
    out.push(value.len() as u8 | if is_coded { 0x80 } else { 0 });
    out.extend(value);
    out
}

/// A request with a secret of each kind; the next one refers to its entries.
fn requests(is_coded: bool) -> [Vec<u8>; 2] {
    let path = format!("/a?sig={SECRET}&b=c");
    let first = [
        vec![0x83, 0x86],
        literal(INDEXED, Ok(4), &path, is_coded),
        literal(INDEXED, Ok(1), "host", is_coded),
        literal(INDEXED, Ok(23), SECRET, is_coded),
        literal(INDEXED, Ok(32), SECRET, is_coded),
        literal(INDEXED, Err("user-agent"), "agent", is_coded),
        literal(0, Err("x-api-key"), SECRET, is_coded),
        literal(NEVER, Err("x-own"), SECRET, is_coded),
        literal(0, Err("referer"), &format!("/a?sig={SECRET}"), is_coded),
    ];
    // Five entries, of which the newest is 62, and one that takes its name from `cookie`.
    let second = [
        vec![0x83, 0x86, 0xc2, 0xc1, 0xc0, 0xbf, 0xbe, 0x0f, 0x30],
        literal(0, Ok(0), SECRET, is_coded)[1..].to_vec(),
        vec![0xbe],
    ];
    [first.concat(), second.concat()]
}

fn responses(is_coded: bool) -> [Vec<u8>; 2] {
    let head = [vec![0x88], literal(INDEXED, Ok(55), SECRET, is_coded)].concat();
    [head, literal(INDEXED, Err("x-token"), SECRET, is_coded)]
}

/// What a client and a server move, call by call.
fn calls(framed: Framed, is_coded: bool) -> Vec<(u8, Vec<u8>)> {
    let [first, second] = requests(is_coded);
    let [head, trailers] = responses(is_coded);
    let body = frame(0, 1, 1, SECRET.as_bytes());
    vec![
        (0, [PREFACE, &frame(4, 0, 0, &[0, 3, 0, 0, 0, 100])].concat()),
        (1, frame(4, 0, 0, &[])),
        (0, framed.headers(1, false, &first)),
        (0, body),
        (
            1,
            [
                framed.headers(1, false, &head),
                frame(0, 8, 1, &[&[12], SECRET.as_bytes(), SECRET.as_bytes()].concat()),
            ]
            .concat(),
        ),
        (1, [framed.headers(1, true, &trailers), frame(6, 0, 0, &SECRET.as_bytes()[..8])].concat()),
        (0, framed.headers(3, true, &second)),
        (1, frame(3, 0, 3, &[0, 0, 0, 2])),
        (0, framed.headers(5, true, &second)),
        (1, frame(7, 0, 0, &[&[0, 0, 0, 3, 0, 0, 0, 11], SECRET.as_bytes()].concat())),
    ]
}

/// The records of calls, each in pieces of so many bytes.
fn records(calls: &[(u8, Vec<u8>)], size: usize) -> Vec<Vec<u8>> {
    let mut positions = [0_u64; 2];
    let mut records = vec![open()];
    for (direction, call) in calls {
        for (index, piece) in call.chunks(size).enumerate() {
            let position = &mut positions[usize::from(*direction)];
            records.push(data(*direction, *position, piece, (index * size) as u32));
            *position += piece.len() as u64;
        }
    }
    records
}

/// No secret is left of records, and the spans are the same. Gives how many.
fn check(given: &[Vec<u8>], what: &str) -> usize {
    let written = written(given, Some(SecretKeys::default()));
    let texts = [text(&written, 0), text(&written, 1)];
    for secret in [SECRET.as_bytes(), &coded(SECRET)] {
        for part in secret.windows(4) {
            let found = texts.iter().find(|text| text.windows(4).any(|window| window == part));
            assert!(found.is_none(), "{what}: {}", String::from_utf8_lossy(found.unwrap()));
        }
    }
    let expected = spans(given);
    assert_eq!(spans(&written), expected, "{what}");
    expected.len()
}

#[test]
fn header_blocks_are_left_without_their_secrets_however_they_are_framed_and_cut() {
    for (framed, is_coded) in FRAMED.into_iter().flat_map(|framed| [(framed, false), (framed, true)]) {
        let calls = calls(framed, is_coded);
        let whole = records(&calls, usize::MAX);
        let left = written(&whole, Some(SecretKeys::default()));
        for size in (1..30).chain([100, usize::MAX]) {
            let records = records(&calls, size);
            assert_eq!(check(&records, &format!("{framed:?}, {is_coded}, pieces of {size}")), 3);
            let written = written(&records, Some(SecretKeys::default()));
            for direction in [0, 1] {
                assert_eq!(text(&written, direction), text(&left, direction), "pieces of {size}");
            }
        }
    }
}

#[test]
fn lost_records_uncover_nothing_and_cost_the_same() {
    for framed in FRAMED {
        let calls = calls(framed, true);
        for size in [7, 50, usize::MAX] {
            let records = records(&calls, size);
            for lost in (0..records.len()).step_by(if size == 7 { 5 } else { 1 }) {
                let mut left = records.clone();
                left.remove(lost);
                check(&left, &format!("{framed:?}, pieces of {size} without {lost}"));
                check(&records[lost..], &format!("{framed:?}, pieces of {size} from {lost}"));
            }
        }
    }
}

#[test]
fn what_is_left_of_a_block_is_itself_but_for_the_secrets() {
    let [block, _] = requests(false);
    let written = written(&records(&calls(FRAMED[0], false), 10), Some(SecretKeys::default()));
    let start = PREFACE.len() + 9 + 6 + 9;
    let left = text(&written, 0)[start..start + block.len()].to_vec();
    let expected = String::from_utf8_lossy(&block).replace(SECRET, "xxxxxxxxxxxx");
    assert_eq!(String::from_utf8_lossy(&left), expected);
}

/// A message of gRPC, and trailers of gRPC-Web.
fn message(flags: u8, text: &[u8]) -> Vec<u8> {
    [&[flags][..], &(text.len() as u32).to_be_bytes(), text].concat()
}

fn web_trailers() -> Vec<u8> {
    message(
        0x80,
        format!("grpc-status: 5\r\nx-token:{SECRET}\r\ngrpc-message: no\r\n{SECRET}\r\n").as_bytes(),
    )
}

#[test]
fn of_a_call_the_lengths_of_its_messages_are_left() {
    for content in ["application/grpc", "application/grpc-web", "application/json", ""] {
        let content_type =
            if content.is_empty() { Vec::new() } else { literal(INDEXED, Ok(31), content, false) };
        let head = [
            vec![0x83, 0x86],
            literal(0, Ok(4), "/shop.Cart/Add", false),
            literal(INDEXED, Ok(1), "host", false),
            content_type.clone(),
            // Of unknown name, where it is joined in the middle.
            vec![0xbe],
        ];
        let bodies = [message(0, SECRET.as_bytes()), message(1, &[]), message(0, SECRET.as_bytes())].concat();
        let answer =
            [&bodies[..], &if content.ends_with("web") { web_trailers() } else { Vec::new() }].concat();
        let calls = [
            (0, [PREFACE, &frame(4, 0, 0, &[])].concat()),
            (1, frame(4, 0, 0, &[])),
            (0, frame(1, 4, 1, &head.concat())),
            (0, frame(0, 1, 1, &bodies)),
            (1, frame(1, 4, 1, &[vec![0x88], content_type].concat())),
            (1, answer.chunks(20).flat_map(|part| frame(0, 0, 1, part)).collect()),
            (1, frame(1, 5, 1, &literal(0, Err("grpc-status"), "5", false))),
        ];
        for size in [1, 2, 3, 7, 19, usize::MAX] {
            let records = records(&calls, size);
            assert_eq!(check(&records, &format!("{content}, pieces of {size}")), 1);
            for lost in (0..records.len()).step_by(records.len().div_ceil(40)) {
                let mut left = records.clone();
                left.remove(lost);
                check(&left, &format!("{content}, pieces of {size} without {lost}"));
            }
        }
    }
}

#[test]
fn of_a_body_of_grpc_web_the_lengths_and_the_trailers_are_left() {
    for content in ["application/grpc-web+proto", "application/grpc", "text/plain"] {
        let body = [message(0, SECRET.as_bytes()), message(0, &[])].concat();
        let answer = [&body[..], &web_trailers()].concat();
        let head = |line: &str, length: usize| {
            format!(
                "{line}\r\nHost: h\r\nContent-Type: {content}\r\nAuthorization: {SECRET}\r\nContent-Length: {length}\r\n\r\n"
            )
        };
        let mut calls = Vec::new();
        for _ in 0..2 {
            calls.push((0, [head("POST /shop.Cart/Add HTTP/1.1", body.len()).as_bytes(), &body].concat()));
            calls.push((1, [head("HTTP/1.1 200 OK", answer.len()).as_bytes(), &answer].concat()));
        }
        for size in (1..20).chain([usize::MAX]) {
            assert_eq!(check(&records(&calls, size), &format!("{content}, pieces of {size}")), 2);
        }
    }
}

#[test]
fn a_connection_that_is_upgraded_is_left_as_both_protocols() {
    let request = format!(
        "GET /up?sig={SECRET} HTTP/1.1\r\nHost: h\r\nAuthorization: {SECRET}\r\nConnection: Upgrade, HTTP2-Settings\r\n\
         Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
    );
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nSet-Cookie: {SECRET}\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    );
    let [first, second] = requests(true);
    let [head, trailers] = responses(true);
    let framed = Framed::default();
    let calls = [
        (0, request.clone().into_bytes()),
        (1, [answer.as_bytes(), &frame(4, 0, 0, &[])].concat()),
        (0, [PREFACE, &frame(4, 0, 0, &[])].concat()),
        (1, [framed.headers(1, false, &head), framed.headers(1, true, &trailers)].concat()),
        (0, [framed.headers(3, true, &first), framed.headers(5, true, &second)].concat()),
        (1, [framed.headers(3, true, &[0x88, 0xbe]), framed.headers(5, true, &[0x88, 0xbf])].concat()),
    ];
    for size in (1..20).chain([usize::MAX]) {
        let records = records(&calls, size);
        assert_eq!(check(&records, &format!("pieces of {size}")), 3);
        let written = written(&records, Some(SecretKeys::default()));
        let left = text(&written, 0);
        assert!(left.starts_with(request.replace(SECRET, "xxxxxxxxxxxx").as_bytes()));
    }
}
