//! gRPC between the two roles of each of its implementations.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use acceptance::{
    span::{Kind, Span},
    spandrel::{Agent, Finished, Options, assert_accounted},
    token,
    workload::grpc::{Pair, Peer},
};

/// What a client makes: a letter for its numbers, the method, calls, and messages of each call to and from the server.
const LOAD: [(&str, &str, usize, i64, i64); 4] = [
    ("u", "Unary", 1000, 1, 1),
    ("r", "Upload", 100, 5, 1),
    ("d", "Download", 100, 1, 7),
    ("c", "Chat", 100, 4, 4),
];

/// In the order of their numbers, each with whether a server takes it for an error.
pub(super) const CODES: [(&str, bool); 17] = [
    ("OK", false),
    ("CANCELLED", false),
    ("UNKNOWN", true),
    ("INVALID_ARGUMENT", false),
    ("DEADLINE_EXCEEDED", true),
    ("NOT_FOUND", false),
    ("ALREADY_EXISTS", false),
    ("PERMISSION_DENIED", false),
    ("RESOURCE_EXHAUSTED", false),
    ("FAILED_PRECONDITION", false),
    ("ABORTED", false),
    ("OUT_OF_RANGE", false),
    ("UNIMPLEMENTED", true),
    ("INTERNAL", true),
    ("UNAVAILABLE", true),
    ("DATA_LOSS", true),
    ("UNAUTHENTICATED", false),
];

/// The streaming call that lasts.
const SLOW_NANOSECONDS: u64 = 2_000_000_000;
const TOLERANCE_NANOSECONDS: u64 = 20_000_000;

/// What a call looks like from both sides.
pub(super) struct Call {
    pub(super) method: &'static str,
    /// `None`: unknown.
    pub(super) code: Option<&'static str>,
    /// Errors of the client and of the server.
    pub(super) errors: [bool; 2],
    /// To the server, and from it.
    pub(super) messages: [i64; 2],
}

/// Every call by the number that it has in its metadata.
pub(super) fn calls() -> BTreeMap<String, Call> {
    let mut calls = BTreeMap::new();
    let mut add = |number, call| assert!(calls.insert(number, call).is_none());
    for (letter, method, count, to, from) in LOAD {
        for number in 0..count {
            let call = Call { method, code: Some("OK"), errors: [false; 2], messages: [to, from] };
            add(format!("{letter}{number}"), call);
        }
    }
    for (number, (code, error)) in CODES.into_iter().enumerate() {
        let ok = code == "OK";
        let call =
            Call { method: "Status", code: Some(code), errors: [!ok, error], messages: [1, ok.into()] };
        add(format!("s{number}"), call);
    }
    add("l0".to_owned(), Call { method: "Slow", code: Some("OK"), errors: [false; 2], messages: [1, 2] });
    calls
}

pub(super) fn number(span: &Span) -> &str {
    let value = span.attributes.get("rpc.request.header.number");
    value.and_then(|values| values[0].as_str()).unwrap_or_else(|| panic!("no number: {span:#?}"))
}

/// The name of its status code, if that is known.
pub(super) fn code(span: &Span) -> Option<&str> {
    span.text("rpc.status_code")
}

pub(super) fn assert_right(span: &Span, service: &str, call: &Call) {
    let [to, from] = call.messages;
    let (error, sent, received) = match span.kind {
        Kind::Client => (call.errors[0], to, from),
        Kind::Server | Kind::Other => (call.errors[1], from, to),
    };
    let method = format!("{service}/{}", call.method);
    assert_eq!((&span.name, span.text("rpc.method")), (&method, Some(method.as_str())), "{span:#?}");
    assert_eq!(span.text("rpc.system.name"), Some("grpc"), "{span:#?}");
    assert_eq!(code(span), call.code, "{span:#?}");
    assert_eq!(span.text("error.type"), call.code.filter(|_| error), "{span:#?}");
    assert_eq!(span.status, if error { 2 } else { 0 }, "{span:#?}");
    let messages = ["sent", "received"].map(|way| span.number(&format!("spandrel.rpc.messages.{way}")));
    assert_eq!(messages, [Some(sent), Some(received)], "{span:#?}");
    assert!(span.text("spandrel.incomplete").is_none() && span.text("url.path").is_none(), "{span:#?}");
}

/// Traces the two programs while the client does `what`; every span is one of their calls.
fn traced(peer: Peer, service: &str, what: &str, expected: usize) -> (Finished, String) {
    let mut pair = Pair::start(peer, service, what);
    let settings = vec!["headers: {request: [number]}".to_owned()];
    let options = Options { recorded: true, settings, ..Options::only([&pair.server, &pair.client]) };
    let agent = Agent::start(&options);
    let said = pair.call();
    let finished = agent.finish_where(expected, |_| true);
    assert_accounted(&finished.counters);
    (finished, said)
}

fn assert_every_call_is_seen(peer: Peer) {
    let service = format!("{}.Load", token());
    let calls = calls();
    let (finished, said) = traced(peer, &service, "load", 2 * calls.len());
    let mut clients = HashMap::new();
    for span in finished.spans.iter().filter(|span| span.kind == Kind::Client) {
        assert!(clients.insert(number(span), span).is_none(), "twice: {span:#?}");
        assert_eq!(span.parent, None, "{span:#?}");
    }
    let mut servers = HashMap::new();
    for span in finished.spans.iter().filter(|span| span.kind == Kind::Server) {
        assert!(servers.insert(number(span), span).is_none(), "twice: {span:#?}");
    }
    for (number, call) in &calls {
        let the = |side: &HashMap<&str, &Span>| -> Span {
            let found = side.get(number.as_str());
            (*found.unwrap_or_else(|| panic!("no span of {number}"))).clone()
        };
        let (client, server) = (the(&clients), the(&servers));
        assert_right(&client, &service, call);
        assert_right(&server, &service, call);
        assert_eq!((&server.trace, server.parent.as_ref()), (&client.trace, Some(&client.span)));
    }
    let measured =
        said.lines().find_map(|line| line.strip_prefix("slow ")?.parse::<u64>().ok()).unwrap() * 1000;
    assert!(measured >= SLOW_NANOSECONDS, "{said}");
    for span in [clients["l0"], servers["l0"]] {
        let lasted = span.end - span.start;
        // Not shorter than the server's pause, nor longer than what the client waited: that is more on a busy machine.
        assert!(
            lasted + TOLERANCE_NANOSECONDS >= SLOW_NANOSECONDS && lasted <= measured + TOLERANCE_NANOSECONDS,
            "{lasted} ns, but the client measured {measured}: {span:#?}"
        );
    }
}

#[test]
fn every_call_of_grpc_cpp_is_seen_from_both_sides() {
    let _machine = live!();
    assert_every_call_is_seen(Peer::Cpp);
}

#[test]
fn every_call_of_grpc_go_is_seen_from_both_sides() {
    let _machine = live!();
    assert_every_call_is_seen(Peer::Go);
}

#[test]
fn every_call_of_grpc_java_is_seen_from_both_sides() {
    let _machine = live!();
    assert_every_call_is_seen(Peer::Java);
}

#[test]
fn every_call_of_grpcio_is_seen_from_both_sides() {
    let _machine = live!();
    assert_every_call_is_seen(Peer::Python);
}

#[test]
fn every_call_of_grpc_js_is_seen_from_both_sides() {
    let _machine = live!();
    assert_every_call_is_seen(Peer::Node);
}

#[test]
fn every_call_of_tonic_is_seen_from_both_sides() {
    let _machine = live!();
    assert_every_call_is_seen(Peer::Rust);
}

const RANDOM: usize = 10_000;

#[test]
fn methods_that_a_server_does_not_have_give_one_name() {
    let _machine = live!();
    let service = format!("{}.Scan", token());
    let (finished, _) = traced(Peer::Go, &service, "scan", 2 * RANDOM);
    let of = |kind| finished.spans.iter().filter(move |span| span.kind == kind);
    let (mut names, mut asked) = (BTreeSet::new(), BTreeSet::new());
    for span in of(Kind::Server) {
        names.insert((span.name.as_str(), span.text("rpc.method")));
        asked.insert(span.text("rpc.method_original"));
    }
    assert_eq!(names, BTreeSet::from([("grpc", Some("_OTHER"))]));
    let called: BTreeSet<_> = of(Kind::Client).map(|span| span.text("rpc.method")).collect();
    assert!(called == asked && called.len() == RANDOM, "{} called, {} seen", called.len(), asked.len());
    assert!(finished.spans.iter().all(|span| code(span) == Some("UNIMPLEMENTED")));
    assert!(asked.iter().flatten().all(|method| method.starts_with(&service)));
}
