//! Content of HTTP/2 stays out of user space, and hides nothing.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    thread::sleep,
    time::Duration,
};

use acceptance::{
    TempDir,
    process::output,
    span::Kind,
    spandrel::{Agent, Finished, Options, assert_accounted, counter},
    token,
    wait::{LONG, poll},
    workload::{
        grpc::{self, Peer},
        http2::{nghttpd, nghttpd_with},
    },
};

use super::grpc::code;

const UPLOAD: usize = 100_000_000;

#[test]
fn of_a_long_upload_less_than_one_percent_is_copied() {
    let _machine = live!();
    let directory = TempDir::new();
    let name = token();
    directory.write(&name, "ok\n");
    let body = directory.write("body", &"x".repeat(UPLOAD / 4));
    let (server, port) = nghttpd(&directory);
    let agent =
        Agent::start(&Options { select: vec!["{exe: h2load}".to_owned()], ..Options::only([&server]) });
    let mut command = Command::new("h2load");
    command.args(["-n", "4", "-c", "1", "-m", "2", "-d"]).arg(&body);
    let said = output("h2load", command.arg(format!("http://127.0.0.1:{port}/{name}")));
    assert!(said.contains("4 succeeded"), "{said}");
    let finished = agent.finish(&name, 8);
    assert_accounted(&finished.counters);
    for span in &finished.spans {
        assert_eq!((span.method(), span.code()), ("POST", Some(200)), "{span:#?}");
        assert!(span.text("spandrel.incomplete").is_none(), "{span:#?}");
    }
    // Both ends are traced: the content passes twice.
    let copied = kernel(&finished, "copied_bytes");
    assert!(copied < 2 * UPLOAD as u64 / 100, "{copied} bytes copied");
    assert_eq!(kernel(&finished, "uncopied_bytes"), 0);
}

/// Frames of 4 KiB are copied whole, and of messages that share a frame only the first is certain to be copied.
#[test]
fn messages_in_short_frames_or_many_to_a_frame_are_counted_right_or_not_at_all() {
    let _machine = live!();
    for (peer, messages, length) in [(Peer::Go, 2_560, 4_091), (Peer::Rust, 10_000, 1_024)] {
        let service = format!("{}.Bulk", token());
        let (server, port) = Peer::Go.serve(&service);
        let mut client = peer.client(port, &service, "bulk");
        let agent = Agent::start(&Options::only([&server, &client]));
        grpc::call(&mut client, &server);
        let finished = agent.finish_where(2, |_| true);
        assert_accounted(&finished.counters);
        let mut counted = Vec::new();
        for span in &finished.spans {
            assert_eq!(
                (span.name.as_str(), code(span)),
                (&*format!("{service}/Upload"), Some("OK")),
                "{span:#?}"
            );
            assert!(span.text("spandrel.incomplete").is_none(), "{span:#?}");
            let [sent, received] =
                ["sent", "received"].map(|way| span.number(&format!("spandrel.rpc.messages.{way}")));
            let (many, one) = if span.kind == Kind::Client { (sent, received) } else { (received, sent) };
            assert!(many.is_none_or(|count| count == messages) && one == Some(1), "{span:#?}");
            counted.push((span.kind, many));
        }
        let [copied, skipped, uncopied] =
            ["copied_bytes", "skipped_bytes", "uncopied_bytes"].map(|name| kernel(&finished, name));
        eprintln!(
            "{peer:?}: {} bytes of messages, seen twice: {copied} copied, {skipped} skipped; counted {counted:?}",
            messages * length
        );
        assert_eq!(uncopied, 0);
    }
}

fn kernel(finished: &Finished, counter: &str) -> u64 {
    finished.counters["kernel"][counter].as_u64().expect("a counter of the kernel side")
}

/// Frames as RFC 9113 has them, for a client that needs no library.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header block of literals (RFC 7541, 6.2.2), and two entries of the static table.
fn headers(stream: u32, post: bool, path: &str) -> Vec<u8> {
    let mut block = vec![if post { 0x83 } else { 0x82 }, 0x86, 0x04, path.len() as u8];
    block.extend(path.as_bytes());
    block.extend([0x01, 4]);
    block.extend(b"test");
    frame(1, if post { 0x4 } else { 0x5 }, stream, &block)
}

/// Pairs of an upload and a request behind it, in writes of these sizes in turn: content of every size before a header
/// that is cut anywhere.
#[test]
fn content_hides_no_frame_that_follows_it_in_the_same_call() {
    let _machine = live!();
    let directory = TempDir::new();
    let token = token();
    directory.write(&token, "ok\n");
    let (server, port) = nghttpd_with(&directory, &["-w", "24", "-W", "24"]);
    // The client is this process: it writes hundreds of kilobytes in one call, which no server reads at once.
    let pids = vec![server.pid(), std::process::id()];
    let agent = Agent::start(&Options { pids, ..Options::default() });
    let mut pairs = 0;
    for sizes in [&[usize::MAX][..], &[16_393], &[16_384], &[1_000, 70_001, 13], &[4_099]] {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket.write_all(&[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &[])].concat()).unwrap();
        // The windows that its settings announce hold once they are acknowledged.
        read_until(&mut socket, |frames| frames.iter().any(|frame| frame.0 == 4 && frame.1 == 1));
        socket.write_all(&frame(4, 1, 0, &[])).unwrap();
        let mut all = Vec::new();
        let mut streams = 0;
        for length in [0, 1, 31, 32, 33, 250, 300, 1_024, 1_300, 5_000, 16_000, 16_384, 60_000, 200_000] {
            let content = vec![0; length];
            all.extend(headers(4 * streams + 1, true, &format!("/{token}?upload")));
            for part in content.chunks(16_384) {
                all.extend(frame(0, 0, 4 * streams + 1, part));
            }
            all.extend(frame(0, 1, 4 * streams + 1, &[]));
            all.extend(headers(4 * streams + 3, false, &format!("/{token}?{length}")));
            streams += 1;
        }
        let mut rest = &all[..];
        for size in sizes.iter().cycle() {
            let (now, later) = rest.split_at((*size).min(rest.len()));
            socket.write_all(now).unwrap();
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        let wanted = 2 * streams as usize;
        read_until(&mut socket, |frames| frames.iter().filter(|frame| frame.0 == 1).count() == wanted);
        pairs += streams as usize;
    }
    let finished = agent.finish(&token, 4 * pairs);
    assert_accounted(&finished.counters);
    for kind in [Kind::Client, Kind::Server] {
        let such = |method: &str| {
            finished.spans.iter().filter(|span| span.kind == kind && span.method() == method).count()
        };
        assert_eq!((such("POST"), such("GET")), (pairs, pairs), "{kind:?}");
    }
    for span in &finished.spans {
        assert_eq!(span.code(), Some(200), "{span:#?}");
        assert!(span.text("spandrel.incomplete").is_none(), "{span:#?}");
    }
    assert_eq!(kernel(&finished, "uncopied_bytes"), 0);
}

/// Frames of an upload make no records any more once user space knows that they tell nothing; what passed is counted all
/// the same, and what follows is seen.
#[test]
fn a_long_upload_passes_without_records_and_is_counted_to_the_byte() {
    const FRAME: usize = 16_384;
    /// Frames of one write.
    const AT_ONCE: usize = 16;
    let _machine = live!();
    let directory = TempDir::new();
    let token = token();
    directory.write(&token, "ok\n");
    let (server, port) = nghttpd_with(&directory, &["-w", "30", "-W", "30"]);
    let pids = vec![server.pid(), std::process::id()];
    let settings = vec!["opt_in: [http.request.body.size]".to_owned()];
    let agent = Agent::start(&Options { pids, settings, ..Options::default() });
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let preface = &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..];
    socket.write_all(&[preface, &frame(4, 0, 0, &[])].concat()).unwrap();
    read_until(&mut socket, |frames| frames.iter().any(|frame| frame.0 == 4 && frame.1 == 1));
    socket.write_all(&frame(4, 1, 0, &[])).unwrap();
    socket.write_all(&headers(1, true, &format!("/{token}?upload"))).unwrap();
    let content = frame(0, 0, 1, &[b'x'; FRAME]).repeat(AT_ONCE);
    let mut sent = 0;
    let mut before = (0, 0);
    // Until the content of many writes made no more than a record now and then.
    let quiet = poll(LONG, || {
        socket.write_all(&content).unwrap();
        sent += AT_ONCE * FRAME;
        let counters = agent.counters();
        let of = |name: &str| counter(&counters, &format!("/kernel/{name}"));
        let now = (of("skipped_bytes"), of("data_records"));
        let (skipped, records) = (now.0 - before.0, now.1 - before.1);
        if skipped == 0 {
            return None;
        }
        before = now;
        // Seen from both ends.
        (skipped > 40 * FRAME as u64 && records * 10 < skipped / FRAME as u64).then_some(())
    });
    assert!(quiet.is_some(), "records are still made: {:#}", agent.counters());
    socket
        .write_all(&[frame(0, 1, 1, &[]), headers(3, false, &format!("/{token}?behind"))].concat())
        .unwrap();
    let ended = |frames: &[(u8, u8)]| frames.iter().filter(|frame| frame.0 == 0 && frame.1 & 1 != 0).count();
    read_until(&mut socket, |frames| ended(frames) == 2);
    let finished = agent.finish(&token, 4);
    assert_accounted(&finished.counters);
    assert_eq!(finished.counter("/engine/gaps"), 0, "{:#}", finished.counters);
    for span in &finished.spans {
        assert_eq!(span.code(), Some(200), "{span:#?}");
        assert!(span.text("spandrel.incomplete").is_none(), "{span:#?}");
        let size = if span.method() == "POST" { sent as i64 } else { 0 };
        assert_eq!(span.number("http.request.body.size"), Some(size), "{span:#?}");
    }
}

/// Reads frames until those seen, as type and flags, are enough.
fn read_until(socket: &mut TcpStream, enough: impl Fn(&[(u8, u8)]) -> bool) {
    let mut frames = Vec::new();
    while !enough(&frames) {
        let mut head = [0; 9];
        socket.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        socket.read_exact(&mut vec![0; length as usize]).unwrap();
        frames.push((head[3], head[4]));
    }
}

/// Of calls that move more than is copied of them, what lies behind is not seen: more is, until frames are found.
#[test]
fn a_server_of_long_content_is_joined_in_the_middle() {
    const FIRST: u32 = 20;
    const THEN: u32 = 10;
    /// Longer than a burst of calls: a client that takes a breath now and then.
    const PAUSE: Duration = Duration::from_millis(30);
    let _machine = live!();
    let directory = TempDir::new();
    let (file, late) = (token(), token());
    directory.write(&file, &"x".repeat(2_000_000));
    let (server, port) = nghttpd(&directory);
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let window = frame(4, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]);
    let whole = frame(8, 0, 0, &(0x7fff_ffff_u32 - 65_535).to_be_bytes());
    socket.write_all(&[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &window, &whole].concat()).unwrap();
    let mut stream = 1;
    let mut get = |query: &str| {
        socket.write_all(&headers(stream, false, &format!("/{file}?{query}"))).unwrap();
        read_until(&mut socket, |frames| frames.iter().any(|frame| frame.0 == 0 && frame.1 & 1 != 0));
        stream += 2;
        sleep(PAUSE);
    };
    get("early");
    let agent = Agent::start(&Options::only([&server]));
    for _ in 0..FIRST {
        get("first");
    }
    for _ in 0..THEN {
        get(&late);
    }
    let finished = agent.finish(&late, THEN as usize);
    assert_accounted(&finished.counters);
    for span in &finished.spans {
        assert_eq!((span.kind, span.code()), (Kind::Server, Some(200)), "{span:#?}");
        assert!(span.text("spandrel.incomplete").is_none(), "{span:#?}");
    }
}
