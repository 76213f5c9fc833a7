//! gRPC-Web: its status and its messages are in content, most of which is passed over. And messages that are compressed.

use std::collections::{BTreeMap, BTreeSet};

use acceptance::{
    span::{Kind, Span},
    spandrel::{Agent, Options, assert_accounted},
    token,
    workload::grpc::web,
};

use super::grpc::{CODES, Call, assert_right, number};

/// Every call of the client by its number, over this version of HTTP.
fn calls(version: &str) -> BTreeMap<String, Call> {
    let ok = |method, messages| Call { method, code: Some("OK"), errors: [false; 2], messages };
    let mut calls = BTreeMap::new();
    calls.extend((0..200).map(|number| (format!("u{number}"), ok("Status", [1, 1]))));
    calls.extend((0..20).map(|number| (format!("d{number}"), ok("Download", [1, 7]))));
    // Their trailers are compressed.
    calls.extend((0..20).map(|number| (format!("z{number}"), ok("Status", [1, 1]))));
    if version == "2" {
        for (letter, method, answers) in [("g", "Status", 1), ("h", "Download", 7)] {
            calls.extend((0..20).map(|number| (format!("{letter}{number}"), ok(method, [1, answers]))));
        }
    }
    for (number, (code, error)) in CODES.into_iter().enumerate() {
        let well = code == "OK";
        let call =
            Call { method: "Status", code: Some(code), errors: [!well, error], messages: [1, well.into()] };
        calls.insert(format!("s{number}"), call);
    }
    calls
}

#[test]
fn every_call_of_grpc_web_is_seen_from_both_sides() {
    let _machine = live!();
    assert_every_call_is_seen("1.1");
}

#[test]
fn every_call_of_grpc_web_over_http2_is_seen_from_both_sides() {
    let _machine = live!();
    assert_every_call_is_seen("2");
}

fn assert_every_call_is_seen(version: &str) {
    let service = format!("{}.Web", token());
    let mut pair = web::start(&service, version);
    let calls = calls(version);
    let settings = vec!["headers: {request: [number]}".to_owned()];
    let agent = Agent::start(&Options { settings, ..Options::only([&pair.server, &pair.client]) });
    pair.call();
    let finished = agent.finish_where(2 * calls.len(), |_| true);
    assert_accounted(&finished.counters);
    let clients: BTreeMap<_, &Span> = finished
        .spans
        .iter()
        .filter(|span| span.kind == Kind::Client)
        .map(|span| (span.span.as_str(), span))
        .collect();
    let mut seen = BTreeSet::new();
    for server in finished.spans.iter().filter(|span| span.kind == Kind::Server) {
        let client = server.parent.as_deref().and_then(|parent| clients.get(parent));
        let client = client.unwrap_or_else(|| panic!("no parent: {server:#?}"));
        assert_eq!((number(server), &server.trace), (number(client), &client.trace));
        assert!(seen.insert(number(server)), "twice: {server:#?}");
        for span in [server, client] {
            assert_right(span, &service, &calls[number(server)]);
            assert_eq!(span.text("network.protocol.version"), Some(version), "{span:#?}");
        }
    }
    assert!(seen.into_iter().eq(calls.keys()));
}
