//! HTTP/2 between programs that have nothing to do with each other's implementation, or with ours.

use std::{collections::BTreeMap, net::TcpStream, process::Command};

use acceptance::{
    TempDir, free_port,
    process::{Process, output},
    span::{Kind, Span},
    spandrel::{Agent, Options, assert_accounted},
    token,
    tree::parent,
    wait::{LONG, wait_until},
};

const REQUESTS: usize = 10_000;

/// A server of files without TLS, and its port.
fn nghttpd(directory: &TempDir) -> (Process, u16) {
    let port = free_port();
    let mut command = Command::new("nghttpd");
    command.args(["--no-tls", "--htdocs"]).arg(directory.path()).arg(port.to_string());
    let process = Process::start("nghttpd", command.env("OTEL_SERVICE_NAME", "nghttpd"));
    wait_until("nghttpd listens", LONG, || TcpStream::connect(("127.0.0.1", port)).is_ok());
    (process, port)
}

#[test]
fn every_stream_of_every_connection_is_a_span_on_both_sides() {
    let _machine = live!();
    let directory = TempDir::new();
    let tokens: Vec<String> = (0..5).map(|_| token()).collect();
    for name in &tokens {
        directory.write(name, "ok\n");
    }
    let (server, port) = nghttpd(&directory);
    let agent =
        Agent::start(&Options { select: vec!["{exe: h2load}".to_owned()], ..Options::only([&server]) });
    let mut runs = BTreeMap::new();
    for connections in ["1", "8"] {
        for streams in ["1", "2", "5", "10", "50", "100"] {
            let run = token();
            let requests = (REQUESTS / 10).to_string();
            let mut command = Command::new("h2load");
            command.args(["-n", &requests, "-c", connections, "-m", streams]);
            let url = |name: &String| format!("http://127.0.0.1:{port}/{name}?{run}");
            command.args(tokens.iter().map(url)).arg(format!("http://127.0.0.1:{port}/none?{run}"));
            let said = output("h2load", &mut command);
            assert!(said.contains(&format!("{requests} done")), "{said}");
            runs.insert(run, (connections, streams));
        }
    }
    let all = runs.len() * REQUESTS / 10 * 2;
    let finished =
        agent.finish_where(all, |span| runs.keys().any(|run| span.target().contains(run.as_str())));
    assert_accounted(&finished.counters);
    for (run, (connections, streams)) in &runs {
        let of = |kind| {
            finished
                .spans
                .iter()
                .filter(move |span| span.kind == kind && span.target().contains(run.as_str()))
        };
        let context = format!("{streams} streams over {connections} connections");
        assert_eq!(of(Kind::Client).count(), REQUESTS / 10, "{context}");
        assert_eq!(of(Kind::Server).count(), REQUESTS / 10, "{context}");
        for span in of(Kind::Server) {
            right(span);
            let client =
                parent(&finished.spans, span).unwrap_or_else(|| panic!("no parent, {context}: {span:#?}"));
            assert_eq!((client.kind, client.path(), client.code()), (Kind::Client, span.path(), span.code()));
        }
        of(Kind::Client).for_each(right);
    }
}

/// HTTP, with the status of what it asked for.
fn right(span: &Span) {
    let expected = if span.path() == "/none" { 404 } else { 200 };
    assert_eq!((span.method(), span.code()), ("GET", Some(expected)), "{span:#?}");
    assert_eq!(span.text("network.protocol.version"), Some("2"));
    assert!(
        span.text("rpc.system.name").is_none() && span.text("spandrel.incomplete").is_none(),
        "{span:#?}"
    );
}

#[test]
fn curl_and_nghttp_are_traced_with_their_uploads() {
    let _machine = live!();
    let directory = TempDir::new();
    let name = token();
    directory.write(&name, "ok\n");
    let body = directory.write("body", &"x".repeat(1 << 20));
    let (server, port) = nghttpd(&directory);
    let agent = Agent::start(&Options {
        select: vec!["{exe: curl}".to_owned(), "{exe: nghttp}".to_owned()],
        ..Options::only([&server])
    });
    let url = format!("http://127.0.0.1:{port}/{name}");
    output("curl", Command::new("curl").args(["-sS", "--http2-prior-knowledge", &url]));
    output("nghttp", Command::new("nghttp").arg("-d").arg(&body).arg(&url));
    let spans = agent.finish(&name, 4).spans;
    for method in ["GET", "POST"] {
        let found: Vec<_> = spans.iter().filter(|span| span.method() == method).collect();
        assert_eq!(found.len(), 2, "{method}: {spans:#?}");
        assert!(found.iter().all(|span| span.code() == Some(200)), "{found:#?}");
    }
}
