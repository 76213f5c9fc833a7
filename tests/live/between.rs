//! HTTP/2 and gRPC through proxies, which are event loops: each request makes four spans. The parent of the second
//! client span is the proxy's server span, or not known, and never another one.

use std::{collections::BTreeMap, fmt::Write, process::Command};

use acceptance::{
    TempDir,
    process::{Process, output},
    span::{Kind, Span},
    spandrel::{Agent, Options, assert_accounted},
    token,
    workload::{
        between::{Between, haproxy, nginx},
        grpc::{self, Peer},
        http2::nghttpd,
    },
};

use super::grpc::{Call, assert_right, calls, number};

/// What is known of the parent of the proxy's client span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// That it was found this way.
    By(&'static str),
    /// Of some; by the reader rule, where it was certain.
    Sometimes,
}

/// The spans of one request, in the order of its way.
type Chain<'a> = [&'a Span; 4];

/// What each request shows at each hop, by its number.
fn chains<'a>(spans: &'a [Span], number: impl Fn(&'a Span) -> String) -> BTreeMap<String, Chain<'a>> {
    let mut found: BTreeMap<String, BTreeMap<usize, &Span>> = BTreeMap::new();
    for span in spans {
        let place = match (span.service(), span.kind) {
            ("unknown_service:nginx" | "between", Kind::Server) => 1,
            ("unknown_service:nginx" | "between", Kind::Client) => 2,
            (_, Kind::Client) => 0,
            (_, Kind::Server | Kind::Other) => 3,
        };
        let former = found.entry(number(span)).or_default().insert(place, span);
        assert!(former.is_none(), "twice: {span:#?}\n{former:#?}");
    }
    found
        .into_iter()
        .map(|(number, chain)| {
            let chain: Vec<&Span> = chain.into_values().collect();
            let whole = chain.try_into();
            (number, whole.unwrap_or_else(|chain| panic!("spans are missing: {chain:#?}")))
        })
        .collect()
}

/// Every parent is right, or absent where it cannot be known. Says how many of those there are.
fn assert_parents(chains: &BTreeMap<String, Chain<'_>>, known: Known) -> usize {
    let mut absent = 0;
    for (number, [client, front, back, server]) in chains {
        let ids = |span: &Span| (span.trace.clone(), Some(span.span.clone()));
        let parent = |span: &Span| (span.trace.clone(), span.parent.clone());
        let context = || format!("{number}: {:#?}", [client, front, back, server]);
        assert_eq!(parent(front), ids(client), "{}", context());
        assert_eq!(parent(server), ids(back), "{}", context());
        match known {
            Known::Sometimes if back.parent.is_none() => {
                absent += 1;
                assert_eq!(back.link_method(), None, "{}", context());
                continue;
            }
            Known::Sometimes => assert_eq!(back.link_method(), Some("reader"), "{}", context()),
            Known::By(method) => assert_eq!(back.link_method(), Some(method), "{}", context()),
        }
        assert_eq!(parent(back), ids(front), "{}", context());
    }
    absent
}

/// A way of calls: from a client through a proxy to a server.
struct Way {
    client: Process,
    between: Between,
    server: Process,
    service: String,
}

impl Way {
    fn new(peer: Peer, between: fn(u16) -> Between, what: &str) -> Self {
        let service = format!("{}.Load", token());
        let (server, backend) = peer.serve(&service);
        let between = between(backend);
        Self { client: peer.client(between.port, &service, what), between, server, service }
    }
}

/// Traces what gRPC clients do through each of the proxies.
fn called(peer: Peer, what: &str, calls: &BTreeMap<String, Call>, known: Known) -> Vec<Span> {
    let mut ways = [nginx, haproxy].map(|between| Way::new(peer, between, what));
    let settings = vec!["headers: {request: [number]}".to_owned()];
    let traced = ways.iter().flat_map(|way| [&way.client, &way.between.process, &way.server]);
    let agent = Agent::start(&Options { settings, ..Options::only(traced) });
    for way in &mut ways {
        grpc::call(&mut way.client, &way.server);
    }
    let finished = agent.finish_where(2 * 4 * calls.len(), |_| true);
    assert_accounted(&finished.counters);
    for way in &ways {
        let of: Vec<Span> =
            finished.spans.iter().filter(|span| span.name.starts_with(&way.service)).cloned().collect();
        let found = chains(&of, |span| number(span).to_owned());
        assert!(found.keys().eq(calls.keys()), "{:?}", found.keys());
        for (number, chain) in &found {
            for span in chain {
                assert_right(span, &way.service, &calls[number]);
            }
        }
        assert_parents(&found, known);
    }
    finished.spans
}

fn unary(count: usize) -> BTreeMap<String, Call> {
    let call = |number| {
        let call = Call { method: "Unary", code: Some("OK"), errors: [false; 2], messages: [1, 1] };
        (format!("u{number}"), call)
    };
    (0..count).map(call).collect()
}

#[test]
fn every_call_of_grpc_go_through_nginx_or_haproxy_has_its_four_spans() {
    let _machine = live!();
    called(Peer::Go, "load", &calls(), Known::Sometimes);
}

#[test]
fn every_call_of_grpc_cpp_through_nginx_or_haproxy_has_its_four_spans() {
    let _machine = live!();
    called(Peer::Cpp, "load", &calls(), Known::Sometimes);
}

#[test]
fn one_call_at_a_time_through_a_proxy_is_one_trace() {
    let _machine = live!();
    called(Peer::Go, "single", &unary(50), Known::By("reader"));
}

#[test]
fn a_header_that_proxies_forward_keeps_calls_in_one_trace() {
    let _machine = live!();
    let spans = called(Peer::Go, "traced", &unary(1000), Known::By("header"));
    for span in spans.iter().filter(|span| span.kind == Kind::Client && span.service() == "client") {
        let number: u64 = number(span)[1..].parse().unwrap();
        let made = (format!("{:032x}", 0xabc0_0000 + number), format!("{:016x}", 0xdef0_0000 + number));
        assert_eq!((span.trace.clone(), span.parent.clone()), (made.0, Some(made.1)), "{span:#?}");
    }
}

const REQUESTS: usize = 1_000;

/// h2load and nghttpd with HAProxy between them.
fn plain_requests(streams: &str, known: Known) {
    let directory = TempDir::new();
    let name = token();
    directory.write(&name, "ok\n");
    let (server, backend): (Process, u16) = nghttpd(&directory);
    let proxy = haproxy(backend);
    let mut urls = String::new();
    for number in 0..REQUESTS {
        let file = if number % 10 == 0 { "none" } else { name.as_str() };
        writeln!(urls, "http://127.0.0.1:{}/{file}?{name}={number}", proxy.port).unwrap();
    }
    let options =
        Options { select: vec!["{exe: h2load}".to_owned()], ..Options::only([&server, &proxy.process]) };
    let agent = Agent::start(&options);
    let mut h2load = Command::new("h2load");
    h2load
        .args(["-n", &REQUESTS.to_string(), "-c", "1", "-m", streams, "-i"])
        .arg(directory.write("urls", &urls));
    output("h2load", h2load.env("OTEL_SERVICE_NAME", "h2load"));
    let finished = agent.finish(&name, 4 * REQUESTS);
    assert_accounted(&finished.counters);
    let found =
        chains(&finished.spans, |span| span.target().rsplit('=').next().unwrap_or_default().to_owned());
    assert_eq!(found.len(), REQUESTS);
    for (number, chain) in &found {
        let code = if number.ends_with('0') { 404 } else { 200 };
        for span in chain {
            assert_eq!((span.method(), span.code()), ("GET", Some(code)), "{span:#?}");
            assert_eq!(span.text("network.protocol.version"), Some("2"), "{span:#?}");
            assert!(span.text("rpc.system.name").is_none() && span.text("spandrel.incomplete").is_none());
        }
    }
    assert_parents(&found, known);
}

#[test]
fn plain_requests_through_haproxy_have_their_four_spans() {
    let _machine = live!();
    plain_requests("50", Known::Sometimes);
    plain_requests("1", Known::By("reader"));
}
