//! Conversations made at random, and bytes that are none.

use super::*;

/// A message: its head, and its body, which may look like another message.
fn message(random: &mut Random, start: &str, fields: &str, has_body: bool) -> (String, String, u64) {
    const CONTENT: [&str; 4] =
        ["", "x", "GET /phantom HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"];
    let content = random.one_of(&CONTENT).repeat(1 + random.below(2) as usize);
    if !has_body {
        return (format!("{start}\r\n{fields}\r\n"), String::new(), 0);
    }
    let length = content.len() as u64;
    if random.below(2) == 0 {
        return (format!("{start}\r\n{fields}Content-Length: {length}\r\n\r\n"), content, length);
    }
    let chunk = if length == 0 { String::new() } else { format!("{length:x};e=1\r\n{content}\r\n") };
    (
        format!("{start}\r\n{fields}Transfer-Encoding: chunked\r\n\r\n"),
        format!("{chunk}0\r\nT: t\r\n\r\n"),
        length,
    )
}

/// A conversation on one connection, and what it must give.
fn conversation(random: &mut Random) -> (Vec<Step>, Vec<String>) {
    let mut steps = Vec::new();
    let mut expected = Vec::new();
    for number in 0..1 + random.below(6) {
        let method = random.one_of(&["GET", "HEAD", "POST", "PROPFIND"]);
        let start = format!("{method} /{number} HTTP/1.1");
        let (head, body, sent) = message(random, &start, "Host: x\r\n", method == "POST");
        // Distinct, so that a response at the wrong request is noticed.
        let status = 300 + number;
        let start = format!("HTTP/1.1 {status} Status");
        let (answer, content, received) = message(random, &start, "", method != "HEAD");
        let answer = if method == "HEAD" { format!("{start}\r\nContent-Length: 7\r\n\r\n") } else { answer };
        for bytes in [head, body] {
            if !bytes.is_empty() {
                steps.push(request(bytes));
            }
        }
        let continues = method == "POST" && random.below(3) == 0;
        if continues {
            steps.push(response("HTTP/1.1 103 Early Hints\r\n\r\n"));
        }
        if random.below(2) == 0 {
            steps.push(response(answer + &content));
        } else {
            steps.push(response(answer));
            if !content.is_empty() {
                steps.push(response(content));
            }
        }
        let informational = if continues { " (103)" } else { "" };
        // RFC 9110, 15.4.5: 304 has no body; the generator gives it one only where it is a Content-Length.
        expected.push(format!("{method} /{number} +{sent}{informational} -> {status} +{received}"));
        if status == 303 {
            break;
        }
    }
    if random.below(2) == 0 {
        steps.push(closed());
    }
    (steps, expected)
}

#[test]
fn generated_conversations_give_their_exchanges_however_they_are_recorded() {
    let seed = option_env!("SPANDREL_SEED").and_then(|seed| seed.parse().ok()).unwrap_or(0x5EED_u64);
    eprintln!("seed {seed}; set SPANDREL_SEED to choose another when the test is built");
    let mut random = Random(seed);
    for _ in 0..600 {
        let (steps, expected) = conversation(&mut random);
        for side in SIDES {
            let mut events = events(side, &steps);
            for _ in 0..random.below(4) {
                let index = random.below(events.len() as u64) as usize;
                if let Owned::Data { bytes, .. } = &events[index]
                    && bytes.len() > 1
                {
                    let at = 1 + random.below(bytes.len() as u64 - 1) as usize;
                    events = cut(&events, index, at);
                }
            }
            let whole = run(side, &events);
            assert_eq!(whole.summaries(), expected, "{side:?} {steps:?}");
            // Neighbours recorded in the other order.
            let mut shuffled = events.clone();
            for _ in 0..3 {
                let index = random.below(events.len() as u64) as usize;
                shuffled.swap(index, (index + 1).min(events.len() - 1));
            }
            assert_eq!(run(side, &shuffled).summaries(), expected, "{side:?} shuffled {shuffled:?}");
            assert_losses(side, &events, &whole);
            // Several losses at once, in any order.
            for _ in 0..random.below(4) {
                shuffled.remove(random.below(shuffled.len() as u64) as usize % shuffled.len().max(1));
                if shuffled.is_empty() {
                    break;
                }
            }
            assert_none_invented(&whole, &run(side, &shuffled), &format!("{side:?} {shuffled:?}"));
        }
    }
}

#[test]
fn hostile_bytes_never_panic_and_end() {
    let seed = option_env!("SPANDREL_SEED").and_then(|seed| seed.parse().ok()).unwrap_or(0xBAD_u64);
    eprintln!("seed {seed}; set SPANDREL_SEED to choose another when the test is built");
    let mut random = Random(seed);
    for _ in 0..600 {
        let (steps, _) = conversation(&mut random);
        for side in SIDES {
            let mut events = events(side, &steps);
            for event in &mut events {
                if let Owned::Data { bytes, position, gap, .. } = event {
                    for _ in 0..random.below(3) {
                        let index = random.below(bytes.len() as u64) as usize;
                        bytes[index] = random.below(256) as u8;
                    }
                    if random.below(8) == 0 {
                        *position = random.below(1 << 31) << random.below(33);
                        *gap = random.below(1 << 31);
                    }
                }
            }
            run(side, &events);
            for role in [crate::event::Role::Unknown, role(side)] {
                play(Connection::new(role, false), &events);
            }
        }
    }
}

/// An observer that costs next to nothing, so that the cost of framing can be measured:
/// `valgrind --tool=callgrind <test binary> --ignored an_exchange_is_cheap`, in an optimised profile.
#[derive(Default)]
struct Nobody {
    ended: u64,
}

impl Observer for Nobody {
    fn request_started(&mut self, _: Number, _: Side, _: u64, _: &Call) {}
    fn request_head(&mut self, _: Number, _: &RequestHead<'_>) {}
    fn request_ended(&mut self, _: Number, _: u64, _: &Call) {}
    fn informational(&mut self, _: Number, _: u16, _: &Call) {}
    fn response_started(&mut self, _: Number, _: &Call) {}
    fn response_head(&mut self, _: Number, _: &ResponseHead<'_>) {}
    fn trailers(&mut self, _: Number, _: &Trailers<'_>) {}
    fn messages(&mut self, _: Number, _: Option<u64>, _: Option<u64>) {}
    fn frames(&mut self, _: Direction, _: u64) {}
    fn search(&mut self, _: Direction) {}
    fn quiet(&mut self, _: Direction, _: u32) {}
    fn response_ended(&mut self, _: Number, _: u64, _: &Call) {
        self.ended += 1;
    }
    fn ended(&mut self, _: Number, _: Ending, _: Time) {}
    fn retracted(&mut self, _: Number) {}
    fn skip(&mut self, _: Direction, _: u64) {}
    fn ignore(&mut self) {}
    fn count(&mut self, _: Counter, _: u64) {}
}

#[test]
#[ignore = "a measurement"]
fn an_exchange_is_cheap() {
    let get = "GET /index.html?q=1 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\
               Accept-Encoding: gzip, deflate\r\ntraceparent: 00-0123456789abcdef0123456789abcdef-0123456789abcdef-01\r\n\
               \r\n";
    let ok = "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Fri, 20 Nov 2026 17:00:00 GMT\r\nContent-Type: text/html\r\n\
              Content-Length: 12\r\nConnection: keep-alive\r\nETag: \"abcdef\"\r\n\r\nhello world\n";
    let mut connection = Connection::new(role(Side::Server), true);
    let mut out = Nobody::default();
    let (mut received, mut sent) = (0, 0);
    for number in 0..100_000_u64 {
        let data = |direction, position: &mut u64, bytes: &'static str, time| {
            let start = *position;
            *position += bytes.len() as u64;
            Data {
                conn: ConnectionId::default(),
                call: call_at(time),
                direction,
                position: start,
                bytes: bytes.as_bytes(),
                gap: 0,
                call_offset: 0,
                framing: crate::event::Framing::Unknown,
                ambiguous: false,
            }
        };
        let time = number * 10_000;
        connection.data(&data(Direction::Received, &mut received, get, time), time, &mut out);
        connection.data(&data(Direction::Sent, &mut sent, ok, time + 5000), time + 5000, &mut out);
    }
    assert_eq!(out.ended, 100_000);
}
