//! HTTP/2 between programs that have nothing to do with each other's implementation, or with ours.

use std::{collections::HashMap, process::Command};

use acceptance::{
    TempDir,
    process::{Process, output},
    span::{Kind, Span},
    spandrel::{Agent, Options, assert_accounted},
    token,
    workload::http2::{nghttpd, nginx},
};

const REQUESTS: usize = 10_000;

#[test]
fn every_stream_to_nghttpd_is_a_span_on_both_sides() {
    let _machine = live!();
    every_stream(nghttpd);
}

#[test]
fn every_stream_to_nginx_is_a_span_on_both_sides() {
    let _machine = live!();
    every_stream(nginx);
}

fn every_stream(serve: fn(&TempDir) -> (Process, u16)) {
    let directory = TempDir::new();
    let names: Vec<String> = (0..5).map(|_| token()).collect();
    for name in &names {
        directory.write(name, "ok\n");
    }
    let (server, port) = serve(&directory);
    for connections in ["1", "8"] {
        for streams in ["1", "2", "5", "10", "50", "100"] {
            let select = vec!["{exe: h2load}".to_owned()];
            let options = Options { recorded: streams == "10", select, ..Options::only([&server]) };
            let agent = Agent::start(&options);
            let run = token();
            let requests = REQUESTS.to_string();
            let mut command = Command::new("h2load");
            command.args(["-n", &requests, "-c", connections, "-m", streams]);
            let url = |name: &String| format!("http://127.0.0.1:{port}/{name}?{run}");
            command.args(names.iter().map(url)).arg(format!("http://127.0.0.1:{port}/none?{run}"));
            let said = output("h2load", &mut command);
            assert!(said.contains(&format!("{requests} done")), "{said}");
            let finished = agent.finish(&run, 2 * REQUESTS);
            assert_accounted(&finished.counters);
            let context = format!("{streams} streams over {connections} connections");
            assert_both_sides(&finished.spans, &context);
        }
    }
}

fn assert_both_sides(spans: &[Span], context: &str) {
    let (clients, servers): (Vec<_>, Vec<_>) = spans.iter().partition(|span| span.kind == Kind::Client);
    assert_eq!((clients.len(), servers.len()), (REQUESTS, REQUESTS), "{context}");
    spans.iter().for_each(right);
    let by_id: HashMap<_, _> = clients.iter().map(|span| ((&span.trace, &span.span), *span)).collect();
    for server in servers {
        let parent = server.parent.as_ref().and_then(|parent| by_id.get(&(&server.trace, parent)));
        let client = parent.unwrap_or_else(|| panic!("no parent, {context}: {server:#?}"));
        assert_eq!((client.path(), client.code()), (server.path(), server.code()), "{context}");
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
    let (other, other_port) = nginx(&directory);
    let agent = Agent::start(&Options {
        select: vec!["{exe: curl}".to_owned(), "{exe: nghttp}".to_owned()],
        ..Options::only([&server, &other])
    });
    let url = |port| format!("http://127.0.0.1:{port}/{name}");
    output("curl", Command::new("curl").args(["-sS", "--http2-prior-knowledge", &url(other_port)]));
    output("nghttp", Command::new("nghttp").arg("-d").arg(&body).arg(url(port)));
    let spans = agent.finish(&name, 4).spans;
    for method in ["GET", "POST"] {
        let found: Vec<_> = spans.iter().filter(|span| span.method() == method).collect();
        assert_eq!(found.len(), 2, "{method}: {spans:#?}");
        assert!(found.iter().all(|span| span.code() == Some(200)), "{found:#?}");
    }
}
