//! Messages that are hard to cut: each gives exactly its spans. The sender is the test, which is not traced.

use std::{io::Write, time::Duration};

use acceptance::{
    http::{Address, Connection, Stream},
    span::{Kind, Span},
    spandrel::{Agent, Options},
    token,
    wait::{LONG, wait_until},
    workload::{Family, Language, Server, application, nginx},
};

/// A server that is traced, alone.
struct Case {
    token: String,
    server: Server,
    agent: Agent,
}

impl Case {
    fn start(server: Server) -> Self {
        let agent = Agent::start(&Options { recorded: true, ..Options::only([&server.process]) });
        Self { token: token(), server, agent }
    }

    fn python() -> Self {
        Self::start(application(Language::Python, Family::Tcp, "server"))
    }

    fn connect(&self) -> Connection {
        Connection::open(&self.server.address).unwrap()
    }

    /// Exactly these spans of the server, and not one of any other target.
    fn finish(self, expected: usize) -> Vec<Span> {
        let finished = self.agent.finish(&self.token, expected);
        assert!(finished.spans.iter().all(|span| span.kind == Kind::Server), "{:#?}", finished.spans);
        let extra: Vec<_> = finished.all.iter().filter(|span| !span.target().contains(&self.token)).collect();
        assert!(extra.is_empty(), "spans of requests that nobody made: {extra:#?}");
        finished.spans
    }
}

fn ok(connection: &mut Connection) {
    assert_eq!(connection.receive(false).unwrap().unwrap().status(), Some(200));
}

/// Waits until the server has read all that was sent to it: its end has nothing left in the receive queue.
fn wait_until_read(connection: &Connection) {
    let Stream::Tcp(stream) = &connection.stream else { panic!("not a TCP connection") };
    let local = stream.local_addr().unwrap().port();
    let remote = stream.peer_addr().unwrap().port();
    wait_until("the server has read what was sent", LONG, || {
        ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
            let table = std::fs::read_to_string(table).unwrap_or_default();
            table.lines().any(|line| {
                let fields: Vec<_> = line.split_whitespace().collect();
                fields.len() > 4
                    && fields[1].ends_with(&format!(":{remote:04X}"))
                    && fields[2].ends_with(&format!(":{local:04X}"))
                    && fields[4].ends_with(":00000000")
            })
        })
    });
}

#[test]
fn five_requests_in_one_write_are_five_spans() {
    let _machine = live!();
    let case = Case::start(nginx(Family::Tcp));
    let mut connection = case.connect();
    let requests: String =
        (0..5).map(|n| format!("GET /{}/{n} HTTP/1.1\r\nHost: test\r\n\r\n", case.token)).collect();
    connection.send(requests).unwrap();
    for _ in 0..5 {
        ok(&mut connection);
    }
    let mut paths: Vec<_> = case.finish(5).iter().map(|span| span.path()).collect();
    paths.sort();
    assert!(paths.iter().enumerate().all(|(n, path)| path.ends_with(&format!("/{n}"))), "{paths:?}");
}

#[test]
fn a_request_line_in_two_pieces_is_one_span() {
    let _machine = live!();
    let case = Case::python();
    let mut connection = case.connect();
    connection.send("G").unwrap();
    wait_until_read(&connection);
    connection.send(format!("ET /{} HTTP/1.1\r\nHost: test\r\n\r\n", case.token)).unwrap();
    ok(&mut connection);
    let spans = case.finish(1);
    assert_eq!(spans[0].method(), "GET");
}

#[test]
fn a_request_byte_by_byte_is_one_span() {
    let _machine = live!();
    let case = Case::python();
    let mut connection = case.connect();
    for byte in format!("GET /{}/bytes HTTP/1.1\r\nHost: test\r\n\r\n", case.token).bytes() {
        connection.send([byte]).unwrap();
        wait_until_read(&connection);
    }
    ok(&mut connection);
    assert!(case.finish(1)[0].path().ends_with("/bytes"));
}

#[test]
fn any_method_is_a_span() {
    let _machine = live!();
    let case = Case::python();
    for method in ["PROPFIND", "REPORT", "CONNECT", "TRACE"] {
        let mut connection = case.connect();
        let target =
            if method == "CONNECT" { format!("{}:443", case.token) } else { format!("/{}", case.token) };
        let target = target.as_str();
        connection.send(format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n\r\n", case.token)).unwrap();
        ok(&mut connection);
    }
    // CONNECT has an authority and no path: its span is found by the method.
    let finished = case.agent.finish_where(4, |_| true);
    let mut methods: Vec<_> = finished.spans.iter().map(Span::method).collect();
    methods.sort_unstable();
    assert_eq!(methods, ["CONNECT", "PROPFIND", "REPORT", "TRACE"], "{:#?}", finished.spans);
}

#[test]
fn a_target_of_six_kilobytes_is_whole() {
    let _machine = live!();
    let case = Case::start(nginx(Family::Tcp));
    let target = format!("/{}/{}", case.token, "x".repeat(6 << 10));
    let mut connection = case.connect();
    connection.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")).unwrap();
    ok(&mut connection);
    assert_eq!(case.finish(1)[0].target(), target);
}

#[test]
fn a_body_that_looks_like_a_request_is_none() {
    let _machine = live!();
    let case = Case::python();
    let body = format!("GET /phantom-{} HTTP/1.1\r\nHost: test\r\n\r\n", case.token);
    let mut connection = case.connect();
    connection
        .send(format!(
            "POST /{}/post HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
            case.token,
            body.len()
        ))
        .unwrap();
    wait_until_read(&connection);
    connection.send(body).unwrap();
    ok(&mut connection);
    let spans = case.finish(1);
    assert!(spans[0].method() == "POST" && spans[0].path().ends_with("/post"), "{spans:#?}");
}

#[test]
fn a_chunked_body_that_looks_like_requests_is_none() {
    let _machine = live!();
    let case = Case::start(nginx(Family::Tcp));
    let phantom = format!("GET /phantom-{} HTTP/1.1\r\nHost: test\r\n\r\n", case.token);
    let mut connection = case.connect();
    let head =
        format!("POST /{}/chunked HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n", case.token);
    for piece in
        [head, format!("{:x};note=1\r\n", phantom.len()), phantom, "\r\n0\r\nTrailer: x\r\n\r\n".to_owned()]
    {
        connection.send(piece).unwrap();
        connection.stream.flush().unwrap();
    }
    ok(&mut connection);
    assert_eq!(case.finish(1)[0].method(), "POST");
}

#[test]
fn a_traceparent_behind_sixteen_kilobytes_of_headers_is_found() {
    let _machine = live!();
    let case = Case::start(nginx(Family::Tcp));
    let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let filler: String = (0..16).map(|n| format!("X-Filler-{n}: {}\r\n", "y".repeat(1024))).collect();
    let mut connection = case.connect();
    connection
        .send(format!(
            "GET /{} HTTP/1.1\r\nHost: test\r\n{filler}traceparent: 00-{trace}-{parent}-01\r\n\r\n",
            case.token
        ))
        .unwrap();
    ok(&mut connection);
    let spans = case.finish(1);
    assert_eq!((spans[0].trace.as_str(), spans[0].parent.as_deref()), (trace, Some(parent)));
    assert_eq!(spans[0].link_method(), Some("header"));
}

#[test]
fn a_request_that_takes_a_while_has_its_duration() {
    let _machine = live!();
    let case = Case::python();
    acceptance::http::get(&case.server.address, &format!("/{}?sleep=300", case.token)).unwrap();
    let spans = case.finish(1);
    let duration = Duration::from_nanos(spans[0].end - spans[0].start);
    assert!(duration >= Duration::from_millis(300) && duration < Duration::from_millis(600), "{duration:?}");
}

#[test]
fn a_server_that_cannot_be_reached_makes_no_span() {
    let _machine = live!();
    let case = Case::python();
    let nobody = Address::loopback(acceptance::free_port());
    assert!(Connection::open(&nobody).is_err());
    acceptance::http::get(&case.server.address, &format!("/{}/after", case.token)).unwrap();
    assert!(case.finish(1)[0].path().ends_with("/after"));
}
