//! HTTP/2 between programs that have nothing to do with each other's implementation, or with ours.

use std::{
    collections::{BTreeMap, HashMap},
    process::Command,
};

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
            let targets: Vec<_> = names
                .iter()
                .map(String::as_str)
                .chain(["none"])
                .map(|name| format!("/{name}?{run}"))
                .collect();
            let requests = REQUESTS.to_string();
            let mut command = Command::new("h2load");
            command.args(["-n", &requests, "-c", connections, "-m", streams]);
            command.args(targets.iter().map(|target| format!("http://127.0.0.1:{port}{target}")));
            let said = output("h2load", &mut command);
            let sent = sent(&targets, connections.parse().unwrap());
            let found: usize =
                sent.iter().filter(|((_, status), _)| *status == 200).map(|(_, count)| count).sum();
            let codes = format!("status codes: {found} 2xx, 0 3xx, {} 4xx, 0 5xx", REQUESTS - found);
            assert!(said.contains(&format!("{requests} done")) && said.contains(&codes), "{said}");
            let finished = agent.finish(&run, 2 * REQUESTS);
            assert_accounted(&finished.counters);
            let context = format!("{streams} streams over {connections} connections");
            assert_both_sides(&finished.spans, &sent, &context);
        }
    }
}

/// How often each target is asked for, and the status it has: every connection of h2load has the same share of the
/// requests, and takes the targets in turn.
fn sent(targets: &[String], connections: usize) -> BTreeMap<(String, i64), usize> {
    let mut sent = BTreeMap::new();
    for target in (0..connections).flat_map(|_| targets.iter().cycle().take(REQUESTS / connections)) {
        let status = if target.starts_with("/none?") { 404 } else { 200 };
        *sent.entry((target.clone(), status)).or_default() += 1;
    }
    sent
}

fn assert_both_sides(spans: &[Span], sent: &BTreeMap<(String, i64), usize>, context: &str) {
    let (clients, servers): (Vec<_>, Vec<_>) = spans.iter().partition(|span| span.kind == Kind::Client);
    assert_eq!((clients.len(), servers.len()), (REQUESTS, REQUESTS), "{context}");
    spans.iter().for_each(is_plain);
    for side in [&clients, &servers] {
        let mut seen = BTreeMap::new();
        for span in side {
            *seen.entry((span.target(), span.code().unwrap_or_default())).or_default() += 1;
        }
        assert_eq!(&seen, sent, "{context}");
    }
    let by_id: HashMap<_, _> = clients.iter().map(|span| ((&span.trace, &span.span), *span)).collect();
    for server in servers {
        let parent = server.parent.as_ref().and_then(|parent| by_id.get(&(&server.trace, parent)));
        let client = parent.unwrap_or_else(|| panic!("no parent, {context}: {server:#?}"));
        assert_eq!((client.target(), client.code()), (server.target(), server.code()), "{context}");
    }
}

/// Nothing but HTTP.
fn is_plain(span: &Span) {
    assert_eq!(span.method(), "GET", "{span:#?}");
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
