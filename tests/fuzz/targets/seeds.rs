//! `seeds FOLDER`: writes what each target starts from into a folder of its own, from the captures and from the
//! header blocks that other encoders made.

use std::{fs, path::Path};

use engine::event::{
    Direction::{Received, Sent},
    Event, How, Role,
};
use fuzz::{
    script::write_text,
    step::{Place, Said, Step},
};

// Compiled as the targets are: it has what the coverage they count calls.
use libfuzzer_sys as _;

const HPACK: &str = "agent/engine/src/protocol/http2/hpack/tests/corpus";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Frame types and flags (RFC 9113, 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// What lets steps of one connection come to many bytes.
const LONG: u8 = 7 << 5;
/// Longest recording that is taken: more only makes each run slower.
const CAPTURE_MAX: usize = 20_000;

const TRACE_HEADERS: &[&str] = &[
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\ntracestate: ot=rv:8,congo=t61",
    "b3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90",
    "X-B3-TraceId: 80f198ee56343ba864fe8b2a57d3eff7\r\nX-B3-SpanId: e457b5a2e4d86bd1\r\nX-B3-Sampled: 1\r\nX-B3-Flags: 1",
    "uber-trace-id: 4bf92f3577b34da6a3ce929d0e0e4736:f067aa0ba902b7:0:1",
    "x-datadog-trace-id: 1234\r\nx-datadog-parent-id: 5678\r\nx-datadog-sampling-priority: 1\r\nx-datadog-tags: _dd.p.tid=640cfd8d00000000",
    "ot-tracer-traceid: 80f198ee56343ba8\r\not-tracer-spanid: e457b5a2e4d86bd1\r\not-tracer-sampled: true",
    "grpc-trace-bin: AABL+S81d7NNpqPOkp0ODkc2AQDwZ6oLqQK3AgE=",
    "X-Amzn-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
    "Forwarded: for=\"[2001:db8::17]:4711\";proto=https;host=shop, for=192.0.2.60;by=203.0.113.43",
    "X-Forwarded-For: 192.0.2.60, 10.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop:8443",
    "Host: shop:8080\r\nUser-Agent: curl/8\r\nAuthorization: Basic dTpw\r\nAccept: */*\r\nX-Tenant: a",
];

fn main() {
    let out = std::env::args_os().nth(1).expect("seeds FOLDER");
    let out = Path::new(&out);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for folder in files(&root.join("tests/captures"), "") {
        for capture in files(&folder, "records") {
            let name = capture.file_stem().expect("a file").to_string_lossy();
            let bytes = fs::read(&capture).expect("a capture");
            // The first line says what made it.
            let start = bytes.iter().position(|byte| *byte == b'\n').expect("a header line") + 1;
            from_capture(&name, &bytes[start..], out);
        }
    }
    for blocks in files(&root.join(HPACK), "hex") {
        let name = blocks.file_stem().expect("a file").to_string_lossy();
        from_blocks(&name, &fs::read_to_string(&blocks).expect("header blocks"), out);
    }
    for (index, fields) in TRACE_HEADERS.iter().enumerate() {
        seed(out, "headers", &index.to_string(), &[b"\0", fields.as_bytes()].concat());
    }
}

fn from_capture(name: &str, records: &[u8], out: &Path) {
    if records.len() <= CAPTURE_MAX {
        seed(out, "records", name, records);
    }
    let (mut all, mut conns) = (vec![0], Vec::new());
    let mut single: Vec<Vec<u8>> = Vec::new();
    let mut rest = records;
    while let Some((&[kind, a, b, c, d], body)) = rest.split_first_chunk::<5>() {
        let (frame, after) = body.split_at(u32::from_le_bytes([a, b, c, d]) as usize);
        rest = after;
        let Some(event) = (kind == 1).then(|| Event::decode(frame).ok()).flatten() else { continue };
        let conn = match &event {
            Event::Open(open) => open.conn,
            Event::Data(data) => data.conn,
            Event::End(end) => end.conn,
            _ => continue,
        };
        let known = conns.iter().position(|(id, _)| *id == conn);
        let index = known.unwrap_or_else(|| {
            let accepted = matches!(&event, Event::Open(open) if open.role == Role::Accepted);
            // The next end of this kind.
            let like = conns.iter().filter(|(_, slot)| slot % 2 == u8::from(accepted)).count() as u8;
            conns.push((conn, (like * 2 + u8::from(accepted)) & 7));
            single.push(vec![u8::from(!accepted)]);
            conns.len() - 1
        });
        let connection = conns[index].1;
        for step in steps(&event, connection) {
            step.write(&mut all);
            if !matches!(step, Step::Open { .. }) {
                step.write(&mut single[index]);
            }
        }
    }
    seed(out, "engine", name, &all);
    for (index, steps) in single.iter().enumerate() {
        seed(out, "http1", &format!("{name}-{index}"), steps);
    }
}

fn steps<'a>(event: &Event<'a>, connection: u8) -> Vec<Step<'a>> {
    match event {
        Event::Open(open) => vec![Step::Open {
            place: Place::new(connection, Received),
            accepted: open.role == Role::Accepted,
            role_known: open.role != Role::Unknown,
            from_opening: open.from_opening,
            sequence: open.sequence.is_some(),
            again: false,
        }],
        Event::Data(data) => {
            let place = Place::new(connection, data.direction);
            let (bytes, times, said) = (data.bytes, 1, Said::Truth);
            let bytes = (!bytes.is_empty()).then_some(Step::Data { place, bytes, times, said });
            let gap = (data.gap > 0).then_some(Step::Gap { place, length: data.gap as u32 });
            bytes.into_iter().chain(gap).collect()
        }
        Event::End(end) => {
            let (how, error) = match end.how {
                How::Eof => (0, 0),
                How::Shutdown => (1, 0),
                How::Closed => (2, 0),
                How::Failed(error) => (3, error),
                How::Swept => (4, 0),
                How::CallFailed(error) => (5, error),
            };
            let place = Place::new(connection, end.direction.unwrap_or(Received));
            vec![Step::End { place, whole: end.direction.is_none(), how, error: error as u8, offset: 0 }]
        }
        _ => Vec::new(),
    }
}

/// The blocks of each story, as an input for the decoder and as conversations of HTTP/2.
fn from_blocks(name: &str, text: &str, out: &Path) {
    let stories: Vec<(&str, Vec<Vec<u8>>)> = text.split("S ").skip(1).map(story).collect();
    for (story, blocks) in &stories {
        let (mut hpack, name) = (Vec::new(), format!("{name}-{story}"));
        for (index, block) in blocks.iter().take(24).enumerate() {
            if index == 3 {
                hpack.push(2);
            }
            hpack.push(0x80);
            write_text(block, &mut hpack);
        }
        seed(out, "hpack", &name, &hpack);
    }
    let find = |wanted: &str| stories.iter().find(|(story, _)| story.contains(wanted));
    if let (Some((_, requests)), Some((_, responses))) = (find("requests"), find("responses")) {
        for side in [0, 1] {
            // With the opening, and without it.
            for (start, said) in [(0, Said::Nothing), (LONG, Said::Short), (LONG | 4, Said::Short)] {
                let steps = conversation(side, start, said, requests, responses);
                seed(out, "http2_frames", &format!("{name}-{side}-{start}-{said:?}"), &steps);
            }
        }
        // Both ends of the first connection.
        let mut engine = vec![0];
        for connection in [0, 1] {
            let place = Place::new(connection, Received);
            let (role_known, from_opening, sequence) = (true, true, true);
            let accepted = connection == 1;
            Step::Open { place, accepted, role_known, from_opening, sequence, again: false }
                .write(&mut engine);
        }
        for said in [Said::Nothing, Said::Short] {
            let mut engine = engine.clone();
            engine[0] = if said == Said::Short { 128 } else { 0 };
            frames(Place { both: true, ..Place::new(0, Sent) }, said, requests, responses, &mut engine);
            seed(out, "engine", &format!("http2-{name}-{said:?}"), &engine);
        }
    }
}

fn story(text: &str) -> (&str, Vec<Vec<u8>>) {
    let mut lines = text.lines();
    let name = lines.next().unwrap_or_default();
    (name, lines.map(hex).collect())
}

fn conversation(client: u8, start: u8, said: Said, requests: &[Vec<u8>], responses: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![client | start];
    let direction = if client == 1 { Sent } else { Received };
    frames(Place::new(0, direction), said, requests, responses, &mut bytes);
    bytes
}

fn frames(request: Place, said: Said, requests: &[Vec<u8>], responses: &[Vec<u8>], out: &mut Vec<u8>) {
    let response = Place { direction: request.direction.opposite(), ..request };
    let frame = |place, kind, flags, stream, payload| {
        // Content is long where it may be left out.
        let long = kind == DATA && said == Said::Short;
        Step::Frame { place, kind, flags, stream, payload, times: if long { 2048 } else { 1 }, said }
    };
    let end = END_HEADERS | END_STREAM;
    Step::Data { place: request, bytes: PREFACE, times: 1, said }.write(out);
    frame(request, SETTINGS, 0, 0, &[0, 1, 0, 0, 16, 0]).write(out);
    frame(response, SETTINGS, 0, 0, &[]).write(out);
    frame(response, SETTINGS, 1, 0, &[]).write(out);
    for (index, (ask, answer)) in requests.iter().zip(responses).take(8).enumerate() {
        let stream = 2 * index as u8 + 1;
        if index % 2 == 0 {
            frame(request, HEADERS, end, stream, ask).write(out);
        } else {
            frame(request, HEADERS, END_HEADERS, stream, ask).write(out);
            frame(request, DATA, END_STREAM, stream, b"\0\0\0\0\x02hi").write(out);
        }
        frame(response, HEADERS, END_HEADERS, stream, answer).write(out);
        frame(response, DATA, END_STREAM, stream, b"content").write(out);
    }
    if said == Said::Short {
        // A path of 64 KiB into a table that is made larger for it, and a block that is longer than what is kept.
        frame(response, SETTINGS, 0, 0, &[0, 1, 0, 2, 0, 0]).write(out);
        frame(request, SETTINGS, 1, 0, &[]).write(out);
        frame(request, HEADERS, 0, 101, b"\x3f\xe1\xff\x07\x83\x86\x44\x7f\x81\xff\x03").write(out);
        for (kind, stream, times) in [(CONTINUATION, 101, 2048), (HEADERS, 103, 16384)] {
            let (place, flags, payload) = (request, END_HEADERS, &[b'/'; 32][..]);
            Step::Frame { place, kind, flags, stream, payload, times, said: Said::Truth }.write(out);
        }
    }
    let whole = Step::End { place: request, whole: true, how: 2, error: 0, offset: 0 };
    whole.write(out);
}

fn hex(line: &str) -> Vec<u8> {
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16);
    line.as_bytes().chunks(2).map(|pair| digits(pair).expect("hexadecimal digits")).collect()
}

/// What a folder has with this extension.
fn files(folder: &Path, extension: &str) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("read {}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().unwrap_or_default() == extension);
    paths.sort();
    paths
}

fn seed(out: &Path, target: &str, name: &str, bytes: &[u8]) {
    let folder = out.join(target);
    fs::create_dir_all(&folder).expect("a folder for seeds");
    fs::write(folder.join(name.replace(' ', "-")), bytes).expect("a seed");
}
