//! gRPC calls, and what is none.

use super::*;
use crate::{
    protocol::{Trailers, Version},
    span::{Status, Value},
};

const GRPC: (&str, &str) = ("content-type", "application/grpc");
const CANCEL: u32 = 8;

fn fields<'a>(fields: &[(&'a str, &'a str)]) -> Vec<Field<'a>> {
    fields.iter().map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() }).collect()
}

/// A request on a connection of its own.
fn ask(world: &mut World, side: Side, path: &str, more: &[(&str, &str)], incomplete: bool) -> (At, Task) {
    let socket = world.elsewhere();
    let task = match side {
        Side::Client => task(10, 10),
        Side::Server => task(20, 20),
    };
    let at = world.start(socket, side, task);
    let call = Call { enter: world.now, exit: world.now, tid: 1, task };
    let fields = fields(more);
    let head = RequestHead {
        version: Version::Http2,
        method: Some(b"POST"),
        target: Some(path.as_bytes()),
        target_truncated: false,
        authority: Some(b"shop:50051"),
        scheme: Some(b"http"),
        fields: &fields,
        fields_incomplete: incomplete,
        call,
    };
    world.watch(at.socket, |out| {
        out.request_head(at.number, &head);
        out.request_ended(at.number, 0, &call);
    });
    (at, task)
}

/// A response with these fields in its head, and these trailers.
fn reply(
    world: &mut World,
    (at, task): (At, Task),
    status: u16,
    head: &[(&str, &str)],
    trailers: &[(&str, &str)],
) {
    let call = world.call(task);
    let (head, trailers) = (fields(head), fields(trailers));
    world.watch(at.socket, |out| {
        out.response_started(at.number, &call);
        out.response_head(
            at.number,
            &ResponseHead {
                version: Version::Http2,
                status: Some(status),
                fields: &head,
                fields_incomplete: false,
                call,
            },
        );
        if !trailers.is_empty() {
            out.trailers(at.number, &Trailers { fields: &trailers, fields_incomplete: false });
        }
        out.messages(at.number, Some(2), Some(3));
        out.response_ended(at.number, 0, &call);
    });
}

fn one(world: &mut World) -> Span {
    let mut spans = world.all();
    assert_eq!(spans.len(), 1);
    spans.remove(0)
}

fn text<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    span.attributes.iter().find(|attribute| attribute.key == key).map(|attribute| match &attribute.value {
        Value::String(text) => &**text,
        other @ (Value::Integer(_) | Value::Bool(_) | Value::Strings(_)) => {
            panic!("{key} is no text: {other:?}")
        }
    })
}

fn number(span: &Span, key: &str) -> Option<i64> {
    span.attributes.iter().find(|attribute| attribute.key == key).map(|attribute| match attribute.value {
        Value::Integer(number) => number,
        ref other @ (Value::String(_) | Value::Bool(_) | Value::Strings(_)) => {
            panic!("{key} is no number: {other:?}")
        }
    })
}

/// The status code and the error of a span.
fn outcome(span: &Span) -> (Option<&str>, Option<&str>, bool) {
    let error = text(span, "error.type");
    let status = matches!(span.status, Status::Error { .. });
    assert_eq!(status, error.is_some());
    (text(span, "rpc.status_code"), error, status)
}

#[test]
fn each_code_is_an_error_by_the_rule_of_its_side() {
    let codes = [
        ("OK", false, false),
        ("CANCELLED", true, false),
        ("UNKNOWN", true, true),
        ("INVALID_ARGUMENT", true, false),
        ("DEADLINE_EXCEEDED", true, true),
        ("NOT_FOUND", true, false),
        ("ALREADY_EXISTS", true, false),
        ("PERMISSION_DENIED", true, false),
        ("RESOURCE_EXHAUSTED", true, false),
        ("FAILED_PRECONDITION", true, false),
        ("ABORTED", true, false),
        ("OUT_OF_RANGE", true, false),
        ("UNIMPLEMENTED", true, true),
        ("INTERNAL", true, true),
        ("UNAVAILABLE", true, true),
        ("DATA_LOSS", true, true),
        ("UNAUTHENTICATED", true, false),
    ];
    for (code, (name, client, server)) in codes.into_iter().enumerate() {
        for (side, error) in [(Side::Client, client), (Side::Server, server)] {
            for trailers_only in [true, false] {
                let mut world = World::new();
                let at = ask(&mut world, side, "/shop.Cart/Add", &[GRPC], false);
                let code = code.to_string();
                let end = [("grpc-status", &*code), ("grpc-message", "why%3F")];
                if trailers_only {
                    reply(&mut world, at, 200, &[&[GRPC], &end[..]].concat(), &[]);
                } else {
                    reply(&mut world, at, 200, &[GRPC], &end);
                }
                let span = one(&mut world);
                let expected = error.then_some(name);
                assert_eq!(outcome(&span), (Some(name), expected, error), "{side:?}");
                if error {
                    assert_eq!(span.status, Status::Error { description: Some("why?".into()) });
                }
                assert_eq!(text(&span, "rpc.system.name"), Some("grpc"));
                if side == Side::Client || name != "UNIMPLEMENTED" {
                    assert_eq!(span.name, "shop.Cart/Add");
                    assert_eq!(text(&span, "rpc.method"), Some("shop.Cart/Add"));
                }
                assert_eq!(text(&span, "server.address"), Some("shop"));
                assert_eq!(number(&span, "server.port"), Some(50051));
                assert!(!span.attributes.iter().any(|attribute| attribute.key.starts_with("http.")));
                let (sent, received) = if side == Side::Client { (2, 3) } else { (3, 2) };
                assert_eq!(number(&span, "spandrel.rpc.messages.sent"), Some(sent));
                assert_eq!(number(&span, "spandrel.rpc.messages.received"), Some(received));
            }
        }
    }
}

#[test]
fn a_response_without_a_code_has_that_of_its_http_status() {
    for (status, code) in [
        (200, "UNKNOWN"),
        (400, "INTERNAL"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "UNIMPLEMENTED"),
        (429, "UNAVAILABLE"),
        (502, "UNAVAILABLE"),
        (503, "UNAVAILABLE"),
        (504, "UNAVAILABLE"),
        (500, "UNKNOWN"),
    ] {
        let mut world = World::new();
        let at = ask(&mut world, Side::Client, "/a.B/C", &[GRPC], false);
        reply(&mut world, at, status, &[("content-type", "text/html")], &[]);
        assert_eq!(outcome(&one(&mut world)), (Some(code), Some(code), true), "{status}");
    }
}

#[test]
fn a_stream_that_was_reset_has_the_code_that_means_and_says_how() {
    for (code, by, side, expected) in [
        (CANCEL, Side::Client, Side::Client, (Some("CANCELLED"), Some("CANCELLED"))),
        (CANCEL, Side::Client, Side::Server, (Some("CANCELLED"), None)),
        (7, Side::Server, Side::Client, (Some("UNAVAILABLE"), Some("REFUSED_STREAM"))),
        (7, Side::Server, Side::Server, (Some("UNAVAILABLE"), Some("REFUSED_STREAM"))),
        (0, Side::Server, Side::Client, (None, Some("NO_ERROR"))),
        (3, Side::Server, Side::Client, (None, Some("FLOW_CONTROL_ERROR"))),
        (CANCEL, Side::Server, Side::Client, (Some("CANCELLED"), Some("CANCEL"))),
        (11, Side::Server, Side::Client, (Some("RESOURCE_EXHAUSTED"), Some("ENHANCE_YOUR_CALM"))),
        (2, Side::Server, Side::Client, (Some("INTERNAL"), Some("INTERNAL_ERROR"))),
        (2, Side::Client, Side::Server, (None, Some("INTERNAL_ERROR"))),
        (99, Side::Server, Side::Client, (None, Some("_OTHER"))),
    ] {
        let mut world = World::new();
        let (at, _) = ask(&mut world, side, "/a.B/C", &[GRPC], false);
        world.end(at, Ending::Reset { code, by });
        let span = one(&mut world);
        let (code_name, error, _) = outcome(&span);
        assert_eq!((code_name, error), expected, "{code} by {by:?} at {side:?}");
        let cancelled = code == CANCEL && by == Side::Client;
        assert_eq!(text(&span, "spandrel.end"), cancelled.then_some("cancelled"));
    }
}

#[test]
fn a_call_that_is_reset_when_its_time_is_over_exceeded_its_deadline() {
    const LATE: Option<&str> = Some("DEADLINE_EXCEEDED");
    for (waited, by, side, expected, end) in [
        (500, Side::Client, Side::Client, (Some("CANCELLED"), Some("CANCELLED")), Some("cancelled")),
        // A server may have read the request late.
        (500, Side::Client, Side::Server, (None, None), Some("cancelled")),
        (996, Side::Client, Side::Client, (None, Some("CANCEL")), Some("cancelled")),
        (996, Side::Client, Side::Server, (None, None), Some("cancelled")),
        (996, Side::Server, Side::Client, (None, Some("CANCEL")), None),
        (999, Side::Client, Side::Client, (LATE, LATE), None),
        (999, Side::Client, Side::Server, (LATE, LATE), None),
        (1002, Side::Client, Side::Client, (LATE, LATE), None),
        (1002, Side::Client, Side::Server, (LATE, LATE), None),
        (1002, Side::Server, Side::Client, (LATE, LATE), None),
        (1002, Side::Server, Side::Server, (LATE, LATE), None),
    ] {
        let mut world = World::new();
        let (at, _) = ask(&mut world, side, "/a.B/C", &[GRPC, ("grpc-timeout", "1S")], false);
        world.wait(waited * 1_000_000);
        world.end(at, Ending::Reset { code: CANCEL, by });
        let span = one(&mut world);
        let (name, error, _) = outcome(&span);
        assert_eq!((name, error), expected, "{side:?}, after {waited} ms by {by:?}");
        assert_eq!(text(&span, "spandrel.end"), end, "{side:?}, after {waited} ms by {by:?}");
    }
}

#[test]
fn a_server_that_goes_away_says_why() {
    for (code, served, expected) in [
        (7, false, (Some("UNAVAILABLE"), Some("REFUSED_STREAM"))),
        (11, false, (Some("UNAVAILABLE"), Some("ENHANCE_YOUR_CALM"))),
        // Some clients take the code for that of the stream, others make UNAVAILABLE of it.
        (CANCEL, true, (None, Some("CANCEL"))),
    ] {
        let mut world = World::new();
        let (at, _) = ask(&mut world, Side::Client, "/a.B/C", &[GRPC], false);
        world.end(at, Ending::GoneAway { code, served });
        let span = one(&mut world);
        let (name, error, _) = outcome(&span);
        assert_eq!((name, error), expected, "{code}, {served}");
    }
}

/// A client that does not understand a response gives it up, or does not, when it has seen the head.
#[test]
fn what_is_no_response_of_grpc_has_a_code_from_its_head_on() {
    for (content, status, code) in [
        (Some("text/html"), 502, (Some("UNAVAILABLE"), Some("UNAVAILABLE"))),
        (None, 404, (Some("UNIMPLEMENTED"), Some("UNIMPLEMENTED"))),
        (Some("text/html"), 200, (None, Some("PROTOCOL_ERROR"))),
        (Some("application/grpc"), 502, (None, Some("PROTOCOL_ERROR"))),
    ] {
        let mut world = World::new();
        let (at, task) = ask(&mut world, Side::Client, "/a.B/C", &[GRPC], false);
        let call = world.call(task);
        let content: Vec<_> = content.map(|content| ("content-type", content)).into_iter().collect();
        let fields = fields(&content);
        world.watch(at.socket, |out| {
            out.response_started(at.number, &call);
            out.response_head(
                at.number,
                &ResponseHead {
                    version: Version::Http2,
                    status: Some(status),
                    fields: &fields,
                    fields_incomplete: false,
                    call,
                },
            );
        });
        world.end(at, Ending::Reset { code: 1, by: Side::Client });
        let span = one(&mut world);
        let (name, error, _) = outcome(&span);
        assert_eq!((name, error), code, "{status}");
    }
}

#[test]
fn a_connection_that_is_gone_makes_a_call_unavailable_to_its_client() {
    let closed = |by_peer| (Ending::Closed { by_peer }, "connection_closed");
    for (side, (ending, error), code) in [
        (Side::Client, (Ending::Failed(104), "connection_reset"), Some("UNAVAILABLE")),
        (Side::Server, (Ending::Failed(104), "connection_reset"), None),
        (Side::Client, closed(true), Some("UNAVAILABLE")),
        (Side::Server, closed(true), None),
        // A client that goes away knows why, and nobody else.
        (Side::Client, closed(false), None),
        (Side::Server, closed(false), None),
    ] {
        let mut world = World::new();
        let (at, _) = ask(&mut world, side, "/a.B/C", &[GRPC], false);
        world.end(at, ending);
        assert_eq!(outcome(&one(&mut world)), (code, Some(error), true), "{ending:?} at {side:?}");
    }
    let mut world = World::new();
    let (at, _) = ask(&mut world, Side::Client, "/a.B/C", &[GRPC], false);
    world.end(at, Ending::Gap);
    assert_eq!(outcome(&one(&mut world)), (None, None, false));
}

#[test]
fn plain_http2_is_http_and_its_resets_are_named() {
    for (content, incomplete) in
        [(&[][..], false), (&[("content-type", "application/json")], false), (&[], true)]
    {
        let mut world = World::new();
        let at = ask(&mut world, Side::Server, "/a?b", content, incomplete);
        reply(&mut world, at, 200, &[("content-type", "text/plain")], &[("checksum", "1")]);
        let span = one(&mut world);
        assert_eq!(span.name, "POST");
        assert_eq!(text(&span, "network.protocol.version"), Some("2"));
        assert_eq!(text(&span, "url.path"), Some("/a"));
        assert!(!span.attributes.iter().any(|attribute| attribute.key.contains("rpc")));
        let unknown = span.attributes.iter().any(|attribute| attribute.key == "spandrel.fields_unknown");
        assert_eq!(unknown, incomplete);
    }
    for (ending, error, end) in [
        (Ending::Reset { code: CANCEL, by: Side::Client }, None, Some("cancelled")),
        (Ending::Reset { code: CANCEL, by: Side::Server }, Some("CANCEL"), None),
        (Ending::Reset { code: 1, by: Side::Client }, Some("PROTOCOL_ERROR"), None),
        (Ending::Reset { code: 7, by: Side::Server }, Some("REFUSED_STREAM"), None),
    ] {
        let mut world = World::new();
        let (at, _) = ask(&mut world, Side::Client, "/a", &[], false);
        world.end(at, ending);
        let span = one(&mut world);
        assert_eq!((text(&span, "error.type"), text(&span, "spandrel.end")), (error, end));
        assert_eq!(matches!(span.status, Status::Error { .. }), error.is_some());
    }
}

#[test]
fn a_client_whose_authority_is_unknown_says_the_path() {
    let mut world = World::new();
    let socket = world.elsewhere();
    let task = task(10, 10);
    let at = world.start(socket, Side::Client, task);
    let call = Call { enter: world.now, exit: world.now, tid: 1, task };
    let head = RequestHead {
        version: Version::Http2,
        method: Some(b"GET"),
        target: Some(b"/a?b=c"),
        target_truncated: false,
        authority: None,
        scheme: Some(b"http"),
        fields: &[],
        fields_incomplete: true,
        call,
    };
    world.watch(at.socket, |out| out.request_head(at.number, &head));
    world.end(at, Ending::Gap);
    let span = one(&mut world);
    assert_eq!((text(&span, "url.path"), text(&span, "url.query")), (Some("/a"), Some("b=c")));
    assert_eq!((text(&span, "url.full"), text(&span, "server.address")), (None, None));
}

#[test]
fn a_response_can_say_of_a_request_that_it_was_a_call() {
    for (head, trailers) in [
        (&[GRPC][..], &[("grpc-status", "0")][..]),
        (&[], &[("grpc-status", "0")]),
        (&[("grpc-status", "0")], &[]),
    ] {
        let mut world = World::new();
        let at = ask(&mut world, Side::Client, "/a.B/C", &[], true);
        reply(&mut world, at, 200, head, trailers);
        let span = one(&mut world);
        assert_eq!(span.name, "a.B/C");
        assert_eq!(outcome(&span), (Some("OK"), None, false));
    }
}

#[test]
fn grpc_web_has_no_code_but_that_in_its_content() {
    for (trailers, code) in [(&[][..], None), (&[("grpc-status", "5")], Some("NOT_FOUND"))] {
        let mut world = World::new();
        let web = ("content-type", "application/grpc-web+proto");
        let at = ask(&mut world, Side::Client, "/a.B/C", &[web], false);
        reply(&mut world, at, 200, &[web], trailers);
        assert_eq!(outcome(&one(&mut world)), (code, code, code.is_some()));
    }
}

#[test]
fn methods_that_no_service_has_make_no_names() {
    let mut world = World::new();
    for number in 0..1000 {
        let at = ask(&mut world, Side::Server, &format!("/scan.S{number}/M"), &[GRPC], false);
        reply(&mut world, at, 200, &[GRPC, ("grpc-status", "12")], &[]);
    }
    let spans = world.all();
    assert_eq!(spans.len(), 1000);
    assert!(spans.iter().all(|span| span.name == "grpc" && text(span, "rpc.method") == Some("_OTHER")));
    let original = text(&spans[7], "rpc.method_original").unwrap();
    assert!(original.starts_with("scan.S"));
    for (code, name) in [("0", "a.B/C"), ("12", "a.B/C")] {
        let at = ask(&mut world, Side::Server, "/a.B/C", &[GRPC], false);
        reply(&mut world, at, 200, &[GRPC], &[("grpc-status", code)]);
        assert_eq!(one(&mut world).name, name);
    }
}
