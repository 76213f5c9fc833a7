//! Requests whose content type is unknown: HTTP, gRPC, or nobody knows which.

use super::*;
use crate::protocol::http2::tests::writer::{self, Encoder};

const GRPC: (&str, &str) = ("content-type", "application/grpc");
const JSON: (&str, &str) = ("content-type", "application/json");

/// Fields before these, so many that these are not looked at.
fn unseen<'a>(fields: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[("x", "y"); limit::FIELDS_MAX + 1], fields].concat()
}

fn request(method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let head = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "shop:50051")];
    let head = Encoder::default().headers(1, &[&head, fields].concat(), false);
    [writer::PREFACE, &writer::settings(&[]), &head, &writer::data(1, "", true)].concat()
}

fn response(status: &str, fields: &[(&str, &str)], trailers: &[(&str, &str)]) -> Vec<u8> {
    let mut encoder = Encoder::default();
    let head = encoder.headers(1, &[&[(":status", status)], fields].concat(), false);
    let end = match trailers {
        [] => writer::data(1, "", true),
        trailers => encoder.headers(1, trailers, true),
    };
    [writer::settings(&[]), head, end].concat()
}

/// Whose attributes a span has.
#[derive(Debug, PartialEq)]
enum Whose {
    Http,
    Rpc,
    Nobody,
}

#[track_caller]
fn whose(case: Case) -> Whose {
    let (span, _) = case.play();
    let has = |prefix| span.attributes.iter().any(|attribute| attribute.key.starts_with(prefix));
    match (has("http."), has("rpc.")) {
        (true, false) => Whose::Http,
        (false, true) => Whose::Rpc,
        (false, false) => Whose::Nobody,
        (true, true) => panic!("{span:#?}"),
    }
}

#[test]
fn what_is_known_decides_and_nothing_else_does() {
    let unknown = unseen(&[]);
    let hidden = unseen(&[GRPC]);
    let post = |fields: &[(&str, &str)]| request("POST", "/shop.Cart/Add", fields);
    let none: &[(&str, &str)] = &[];
    for (asked, answer, expected) in [
        // The request says it.
        (post(&[GRPC]), response("200", none, none), Whose::Rpc),
        (post(&[JSON]), response("200", &[GRPC], none), Whose::Http),
        (post(none), response("200", none, none), Whose::Http),
        (request("GET", "/a", &unknown), response("200", none, none), Whose::Http),
        (request("PATCH", "/a", &unknown), response("200", none, none), Whose::Http),
        // The response says it.
        (post(&unknown), response("200", &[GRPC], none), Whose::Rpc),
        (post(&unknown), response("200", none, &[("grpc-status", "0")]), Whose::Rpc),
        (post(&unknown), response("503", &[JSON], &[("grpc-status", "14")]), Whose::Rpc),
        (post(&unknown), response("200", &[JSON], none), Whose::Http),
        (post(&unknown), response("201", &[JSON], none), Whose::Http),
        // Nothing does.
        (post(&hidden), response("200", &unknown, none), Whose::Nobody),
        (post(&unknown), response("200", none, &[("checksum", "1")]), Whose::Nobody),
        (post(&unknown), response("503", &[JSON], none), Whose::Nobody),
        (post(&unknown), response("404", &[JSON], none), Whose::Nobody),
        // Nor is any of these a proof.
        (post(&[&[("te", "trailers")], &unknown[..]].concat()), response("200", none, none), Whose::Nobody),
        (
            post(&[&[("grpc-timeout", "1S")], &unknown[..]].concat()),
            response("200", none, none),
            Whose::Nobody,
        ),
    ] {
        for case in [serve, call] {
            assert_eq!(whose(case(&asked).answer(&answer)), expected);
        }
    }
    // It was not answered at all.
    let settings = writer::settings(&[]);
    for case in [serve, call] {
        assert_eq!(whose(case(post(&unknown)).answer(&settings).closed()), Whose::Nobody);
        assert_eq!(whose(case(post(&[GRPC])).answer(&settings).closed()), Whose::Rpc);
    }
}

#[test]
fn content_that_is_no_message_decides() {
    let head = |end| {
        let fields = [(":method", "POST"), (":scheme", "http"), (":path", "/a.B/C"), (":authority", "shop")];
        Encoder::default().headers(1, &[&fields, &unseen(&[])[..]].concat(), end)
    };
    let opening = || [writer::PREFACE, &writer::settings(&[])[..]].concat();
    // Without a content type that is known, and no success.
    let answer = |content: &[u8]| {
        let head = Encoder::default().headers(1, &[&[(":status", "503")], &unseen(&[])[..]].concat(), false);
        [writer::settings(&[]), head, writer::data(1, content, true)].concat()
    };
    for (asked, answered, expected) in [
        (&b"{\"a\":1}"[..], &b""[..], Whose::Http),
        // A proxy answers calls so too.
        (b"", b"<html>", Whose::Nobody),
        (b"\0\0\0\0\0", b"", Whose::Nobody),
        (b"\x01\0\0\0\0", b"\x80\0\0\0\0", Whose::Nobody),
        // May be base64 of the same.
        (b"AAAAAAA=", b"gAAAAAA=", Whose::Nobody),
        (b"", b"", Whose::Nobody),
    ] {
        let request = [opening(), head(false), writer::data(1, asked, true)].concat();
        assert_eq!(whose(serve(request).answer(answer(answered))), expected, "{asked:?} {answered:?}");
    }
    // The request of a call ends with DATA, if only an empty one.
    let request = [opening(), head(true)].concat();
    assert_eq!(whose(serve(request).answer(answer(b""))), Whose::Http);
}

#[test]
fn a_span_that_is_nobodys_says_what_is_true_of_both() {
    let asked = request("POST", "/shop.Cart/Add?sig=1", &unseen(&[]));
    let attributes = "url.path=/shop.Cart/Add
         url.query=sig=REDACTED
         server.address=shop
         server.port:50051
         network.protocol.name=http
         network.protocol.version=2
         spandrel.fields_unknown:true
         PEER";
    let lists = |policy: &mut Policy| {
        policy.headers = Headers { request: names(&["x"]), response: names(&["x"]) };
        policy.routes = Routes::new(["/shop.Cart/Add"]).unwrap();
        policy.opt_in = OptIn::new(["http.response.body.size"]).unwrap();
    };
    for (status, client, server) in [
        ("200", "Unset", "Unset"),
        ("404", "Error\nerror.type=404", "Unset"),
        ("503", "Error\nerror.type=503", "Error\nerror.type=503"),
    ] {
        let answer = response(status, &[("x", "1")], &[]);
        call(&asked).policy(lists).answer(&answer).gives(&format!("HTTP | Client | {client}\n{attributes}"));
        serve(&asked).policy(lists).answer(&answer).gives(&format!("HTTP | Server | {server}\n{attributes}"));
    }
    let cancelled = [writer::PREFACE, &writer::settings(&[])].concat().len();
    let (start, head) = asked.split_at(cancelled);
    call([start, head, &writer::reset(1, 8)].concat()).answer(writer::settings(&[])).gives(&format!(
        "HTTP | Client | Unset
             spandrel.end=cancelled
             event spandrel.reset spandrel.reset.code=CANCEL
             {attributes}"
    ));
}
