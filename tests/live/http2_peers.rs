//! HTTP/2 between the libraries of different languages: whatever a stream does, it is one span on each side.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    process::Command,
};

use acceptance::{
    TempDir,
    process::{Process, output},
    span::{Kind, Span},
    spandrel::{Agent, Options, assert_accounted, brief},
    token,
    wait::{LONG, poll},
    workload::http2::{
        apache, nghttpd_with,
        peer::{Peer, call},
    },
};

/// What a request looks like from both sides.
#[derive(Clone)]
struct Exchange {
    method: &'static str,
    status: Option<i64>,
    /// `error.type` of the client and of the server.
    errors: [Option<&'static str>; 2],
    /// The client wanted no answer any more.
    cancelled: bool,
    /// The error code of RST_STREAM.
    reset: Option<&'static str>,
    /// Bytes to the server and from it, where all of them were sent.
    bodies: [Option<i64>; 2],
    /// Interim responses.
    hints: usize,
}

const OK: Exchange = Exchange {
    method: "GET",
    status: Some(200),
    errors: [None; 2],
    cancelled: false,
    reset: None,
    bodies: [Some(0), Some(3)],
    hints: 0,
};

/// Every request of a client to a server by the end of its path.
fn exchanges(client: Peer, server: Peer) -> BTreeMap<String, Exchange> {
    let mut all = BTreeMap::new();
    let mut add = |path: &str, exchange| assert!(all.insert(path.to_owned(), exchange).is_none());
    let post = Exchange { method: "POST", ..OK };
    (0..200).for_each(|n| add(&format!("get/{n}"), OK));
    (0..20).for_each(|n| {
        add(&format!("post/{n}"), Exchange { bodies: [Some(10_000), Some(5)], ..post.clone() })
    });
    add("upload", Exchange { bodies: [Some(300_000), Some(6)], ..post.clone() });
    add("download", Exchange { bodies: [Some(0), Some(300_000)], ..OK });
    add("trailers", Exchange { bodies: [Some(1), Some(3)], ..post.clone() });
    add("head", Exchange { method: "HEAD", bodies: [Some(0); 2], ..OK });
    add("status/404", Exchange { status: Some(404), errors: [Some("404"), None], ..OK });
    add("status/503", Exchange { status: Some(503), errors: [Some("503"); 2], ..OK });
    if server != Peer::Hyper {
        add("hints", Exchange { hints: 1, ..OK });
    }
    add("behind", OK);
    let cancelled = Exchange { cancelled: true, reset: Some("CANCEL"), bodies: [None; 2], ..OK };
    add("cancel", cancelled.clone());
    add("hang", Exchange { status: None, ..cancelled });
    let (status, error) = match server {
        Peer::Go => (Some(200), "INTERNAL_ERROR"),
        Peer::Hyper | Peer::Node => (None, "ENHANCE_YOUR_CALM"),
    };
    let reset = Some(error);
    add("reset", Exchange { status, errors: [reset; 2], reset, bodies: [None; 2], ..OK });
    // Not all of the request is sent.
    add("early", Exchange { bodies: [None, Some(3)], ..post });
    (0..5).for_each(|n| add(&format!("hold/{n}"), OK));
    add("leave", OK);
    (0..5).for_each(|n| add(&format!("after/{n}"), OK));
    if client != Peer::Go && server != Peer::Go {
        add("tunnel", Exchange { method: "CONNECT", bodies: [Some(7); 2], ..OK });
    }
    if client == Peer::Node && server == Peer::Node {
        add("kept", OK);
        let refused = [Some("REFUSED_STREAM"); 2];
        add("refused", Exchange { status: None, errors: refused, bodies: [None; 2], ..OK });
    }
    all
}

fn assert_right(span: &Span, exchange: &Exchange) {
    let error = exchange.errors[usize::from(span.kind == Kind::Server)];
    assert_eq!((span.method(), span.name.as_str()), (exchange.method, exchange.method), "{span:#?}");
    assert_eq!(span.code(), exchange.status, "{span:#?}");
    assert_eq!(span.text("error.type"), error, "{span:#?}");
    assert_eq!(span.status, if error.is_some() { 2 } else { 0 }, "{span:#?}");
    assert_eq!(span.text("spandrel.end"), exchange.cancelled.then_some("cancelled"), "{span:#?}");
    assert_is_http2(span);
    for (way, length) in ["request", "response"].into_iter().zip(exchange.bodies) {
        if length.is_some() {
            assert_eq!(span.number(&format!("http.{way}.body.size")), length, "{span:#?}");
        }
    }
    let hints = span.events.iter().filter(|(name, attributes)| {
        name == "spandrel.informational" && attributes["http.response.status_code"] == 103
    });
    let resets = span.events.iter().filter(|(name, attributes)| {
        name == "spandrel.reset"
            && exchange.reset.is_some_and(|code| attributes["spandrel.reset.code"] == code)
    });
    let expected = (exchange.hints, usize::from(exchange.reset.is_some()));
    assert_eq!((hints.count(), resets.count()), expected, "{span:#?}");
    assert_eq!(span.events.len(), expected.0 + expected.1, "{span:#?}");
}

fn assert_is_http2(span: &Span) {
    assert_eq!(span.text("network.protocol.version"), Some("2"), "{span:#?}");
    let wrong = ["rpc.system.name", "spandrel.incomplete", "spandrel.fields_unknown"];
    assert!(wrong.into_iter().all(|name| !span.attributes.contains_key(name)), "{span:#?}");
}

/// Both spans of each request, by its path, the server's a child of the client's.
fn pairs(spans: &[Span]) -> HashMap<String, (&Span, &Span)> {
    let servers: HashMap<_, _> = spans
        .iter()
        .filter(|span| span.kind == Kind::Server)
        .map(|span| ((span.trace.as_str(), span.parent.as_deref()), span))
        .collect();
    let mut pairs = HashMap::new();
    for client in spans.iter().filter(|span| span.kind == Kind::Client) {
        let server = servers.get(&(client.trace.as_str(), Some(client.span.as_str())));
        let server = *server.unwrap_or_else(|| panic!("no span of the server: {client:#?}"));
        assert_eq!((client.target(), client.parent.as_ref()), (server.target(), None), "{client:#?}");
        assert_eq!(client.number("server.port"), server.number("server.port"), "{client:#?}");
        assert!(pairs.insert(client.path(), (client, server)).is_none(), "twice: {client:#?}");
    }
    pairs
}

fn options<'a>(processes: impl IntoIterator<Item = &'a Process>) -> Options {
    let settings = vec!["opt_in: [http.request.body.size, http.response.body.size]".to_owned()];
    Options { settings, ..Options::only(processes) }
}

/// The spans of a test, one of the client and one of the server for each of these paths.
fn finish(agent: Agent, token: &str, paths: &[String]) -> Vec<Span> {
    poll(LONG, || (agent.count_of(token) >= 2 * paths.len()).then_some(()));
    let mut finished = agent.stop();
    finished.spans.retain(|span| span.target().contains(token));
    for kind in [Kind::Client, Kind::Server] {
        let mut missing: BTreeSet<_> = paths.iter().cloned().collect();
        let mut extra = finished.spans.clone();
        extra.retain(|span| span.kind == kind && !missing.remove(&span.path()));
        assert!(
            missing.is_empty() && extra.is_empty(),
            "{kind:?}, missing: {missing:?}, extra:\n{}counters: {:#}",
            brief(&extra),
            finished.counters
        );
    }
    assert_accounted(&finished.counters);
    finished.spans
}

fn assert_every_request_is_seen(client: Peer) {
    let token = token();
    let servers = Peer::ALL.map(|peer| (peer, peer.serve()));
    let ports = servers.each_ref().map(|(peer, (_, port))| (*peer, *port));
    let mut process = client.client(&token, &ports);
    let agent = Agent::start(&options(servers.iter().map(|(_, (server, _))| server).chain([&process])));
    call(&mut process);
    let expected: BTreeMap<String, (Peer, Exchange)> = Peer::ALL
        .into_iter()
        .flat_map(|server| {
            exchanges(client, server).into_iter().map(move |(path, exchange)| (server, path, exchange))
        })
        .map(|(server, path, exchange)| (format!("/{token}/{}/{path}", server.name()), (server, exchange)))
        .collect();
    let spans = finish(agent, &token, &expected.keys().cloned().collect::<Vec<_>>());
    let pairs = pairs(&spans);
    for (path, (server, exchange)) in &expected {
        let (one, other) = pairs[path];
        assert_right(one, exchange);
        assert_right(other, exchange);
        assert_eq!((one.service(), other.service()), ("client", server.name()), "{path}");
    }
}

#[test]
fn every_request_of_go_is_seen_from_both_sides() {
    let _machine = live!();
    assert_every_request_is_seen(Peer::Go);
}

#[test]
fn every_request_of_hyper_is_seen_from_both_sides() {
    let _machine = live!();
    assert_every_request_is_seen(Peer::Hyper);
}

#[test]
fn every_request_of_node_is_seen_from_both_sides() {
    let _machine = live!();
    assert_every_request_is_seen(Peer::Node);
}

/// curl over HTTP/2 from the first byte; its exit status, and what it wrote.
fn curl(arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "20"]).args(arguments).env("OTEL_SERVICE_NAME", "client");
    let mut process = Process::start("curl", &mut command);
    let status = process.wait(LONG);
    (status.code().unwrap_or(-1), process.stdout())
}

#[test]
fn every_request_of_curl_is_seen_from_both_sides() {
    let _machine = live!();
    let token = token();
    let directory = TempDir::new();
    let body = directory.write("body", &"x".repeat(10_000));
    let body = format!("@{}", body.display());
    let servers = Peer::ALL.map(|peer| (peer, peer.serve()));
    let mut options = options(servers.iter().map(|(_, (server, _))| server));
    options.select.push("{exe: curl}".to_owned());
    let agent = Agent::start(&options);
    let mut paths = Vec::new();
    for (server, (_, port)) in &servers {
        let prefix = format!("/{token}/{}", server.name());
        let url = |path: &str| format!("http://127.0.0.1:{port}{prefix}/{path}");
        let get = |more: &[&str]| curl(&[&["--http2-prior-knowledge"], more].concat());
        // On connections of their own: curl 7.88 cannot use one that began with HTTP/2 a second time.
        assert_eq!(get(&["-Z", "--parallel-immediate", &url("get/[0-19]")]), (0, "ok\n".repeat(20)));
        assert_eq!(get(&["--data-binary", &body, &url("post/0")]), (0, "10000".to_owned()));
        assert_eq!(get(&["-I", &url("head")]).0, 0);
        assert_eq!(get(&[&url("status/404")]), (0, "ok\n".to_owned()));
        assert_eq!(get(&[&url("status/503")]), (0, "ok\n".to_owned()));
        if *server != Peer::Hyper {
            assert_eq!(get(&[&url("hints")]), (0, "ok\n".to_owned()));
            paths.push(format!("{prefix}/hints"));
        }
        // An error of HTTP/2 is 92.
        assert_eq!(get(&[&url("reset")]).0, 92);
        paths.extend((0..20).map(|n| format!("{prefix}/get/{n}")));
        let others = ["post/0", "head", "status/404", "status/503", "reset"];
        paths.extend(others.map(|path| format!("{prefix}/{path}")));
    }
    let spans = finish(agent, &token, &paths);
    for (path, (client, server)) in pairs(&spans) {
        let rest = path.strip_prefix(&format!("/{token}/")).unwrap();
        let (name, case) = rest.split_once('/').unwrap();
        let peer = Peer::ALL.into_iter().find(|peer| peer.name() == name).unwrap();
        let exchange = &exchanges(Peer::Go, peer)[case];
        assert_right(client, exchange);
        assert_right(server, exchange);
    }
}

#[test]
fn a_connection_that_is_upgraded_is_http2() {
    let _machine = live!();
    let token = token();
    let directory = TempDir::new();
    let path = |name: &str| format!("/{token}-{name}");
    for name in ["get", "head", "post", "first", "second"] {
        directory.write(path(name).trim_start_matches('/'), "ok\n");
    }
    let (server, port) = apache(&directory);
    // httpd listens before it starts its workers.
    let select = ["apache2", "curl", "nghttp"].map(|name| format!("{{exe: {name}}}")).to_vec();
    let agent = Agent::start(&Options { select, ..options([&server]) });
    let url = |name: &str| format!("http://127.0.0.1:{port}{}", path(name));
    assert_eq!(curl(&["--http2", "-w", "%{http_version}", &url("get")]), (0, "ok\n2".to_owned()));
    assert_eq!(
        curl(&["--http2", "-I", "-o", "/dev/null", "-w", "%{http_version}", &url("head")]),
        (0, "2".to_owned())
    );
    // With content, Apache does not.
    assert_eq!(
        curl(&["--http2", "-d", "x", "-w", "%{http_version}", &url("post")]),
        (0, "ok\n1.1".to_owned())
    );
    output("nghttp", Command::new("nghttp").args(["-nu", &url("first"), &url("second"), &url("none")]));
    // Whether the path was what the upgrade was asked with.
    let none = Exchange { status: Some(404), errors: [Some("404"), None], bodies: [Some(0), None], ..OK };
    let exchanges = [
        ("get", true, OK),
        ("head", true, Exchange { method: "HEAD", bodies: [Some(0); 2], ..OK }),
        ("first", true, OK),
        ("second", false, OK),
        ("none", false, none),
    ];
    let paths: Vec<_> = exchanges.iter().map(|(name, ..)| path(name)).chain([path("post")]).collect();
    let spans = finish(agent, &token, &paths);
    let pairs = pairs(&spans);
    for (name, upgraded, exchange) in exchanges {
        let (client, server) = pairs[&path(name)];
        for span in [client, server] {
            let mut span = span.clone();
            if upgraded {
                let (event, attributes) = span.events.remove(0);
                assert_eq!(event, "spandrel.informational", "{span:#?}");
                assert_eq!(attributes["http.response.status_code"], 101, "{span:#?}");
            }
            assert_right(&span, &exchange);
        }
    }
    let (client, server) = pairs[&path("post")];
    for span in [client, server] {
        assert_eq!(span.text("network.protocol.version"), Some("1.1"), "{span:#?}");
        assert_eq!((span.method(), span.code()), ("POST", Some(200)), "{span:#?}");
    }
}

#[test]
fn what_a_server_pushes_is_no_request() {
    let _machine = live!();
    let token = token();
    let directory = TempDir::new();
    let (page, style) = (format!("{token}-page"), format!("{token}-style"));
    directory.write(&page, "ok\n");
    directory.write(&style, "pushed\n");
    let (server, port) = nghttpd_with(&directory, &[&format!("--push=/{page}=/{style}")]);
    let agent = Agent::start(&Options { select: vec!["{exe: nghttp}".to_owned()], ..options([&server]) });
    let mut nghttp = Command::new("nghttp");
    let said = output("nghttp", nghttp.arg("-v").arg(format!("http://127.0.0.1:{port}/{page}")));
    assert!(said.contains("PUSH_PROMISE") && said.contains("pushed"), "{said}");
    let spans = finish(agent, &token, &[format!("/{page}")]);
    for (client, server) in pairs(&spans).into_values() {
        assert_right(client, &OK);
        assert_right(server, &OK);
    }
}
