//! gRPC-Web over HTTP/1.1: its status and its messages are in content, most of which is passed over.

use std::collections::{BTreeMap, BTreeSet};

use acceptance::{
    span::{Kind, Span},
    spandrel::{Agent, Options, assert_accounted},
    token,
    workload::grpc::web,
};

use super::grpc::{CODES, Call, assert_right, number};

/// Every call of the client by its number.
fn calls() -> BTreeMap<String, Call> {
    let ok = |method, messages| Call { method, code: Some("OK"), errors: [false; 2], messages };
    let mut calls = BTreeMap::new();
    calls.extend((0..200).map(|number| (format!("u{number}"), ok("Status", [1, 1]))));
    calls.extend((0..20).map(|number| (format!("z{number}"), ok("Status", [1, 1]))));
    calls.extend((0..20).map(|number| (format!("d{number}"), ok("Download", [1, 7]))));
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
    let service = format!("{}.Web", token());
    let mut pair = web::start(&service);
    let calls = calls();
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
            // Compressed trailers are not read.
            let call = &calls[number(server)];
            assert_right(
                span,
                &service,
                &Call { code: call.code.filter(|_| !number(server).starts_with('z')), ..*call },
            );
            assert_eq!(span.text("network.protocol.version"), Some("1.1"), "{span:#?}");
        }
    }
    assert!(seen.into_iter().eq(calls.keys()));
}
