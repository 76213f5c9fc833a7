use super::*;
use crate::protocol::http2::tests::writer::{self, Encoder};

const SERVER: &str = "
    http.request.method=GET
    url.path=/a
    url.scheme=http
    server.address=shop
    server.port:80
    network.protocol.version=1.1
    PEER";
const CLIENT: &str = "
    http.request.method=GET
    url.full=http://shop/a
    server.address=shop
    server.port:80
    network.protocol.version=1.1
    PEER";

#[track_caller]
fn both(end: impl Fn(Case) -> Case, status: &str, more: &str) {
    end(serve(get("/a", ""))).gives(&format!("GET | Server | {status}\n{SERVER}\n{more}"));
    end(call(get("/a", ""))).gives(&format!("GET | Client | {status}\n{CLIENT}\n{more}"));
}

#[test]
fn a_reset_is_an_error_and_an_event() {
    for errno in [32, 103, 104] {
        both(|case| case.failed(errno), "Error", "error.type=connection_reset\nevent spandrel.reset");
    }
}

#[test]
fn a_stream_that_is_reset_has_an_event_with_its_error_code() {
    let asked = [writer::PREFACE, &writer::settings(&[]), &Encoder::default().get(1, "/a")].concat();
    let settings = writer::settings(&[]);
    for (code, name, outcome) in [
        (2, "INTERNAL_ERROR", "Error\nerror.type=INTERNAL_ERROR"),
        (7, "REFUSED_STREAM", "Error\nerror.type=REFUSED_STREAM"),
        (0x99, "_OTHER", "Error\nerror.type=_OTHER"),
    ] {
        for (case, kind) in [(serve(&asked), "Server"), (call(&asked), "Client")] {
            let more =
                if kind == "Server" { "url.path=/a\nurl.scheme=http" } else { "url.full=http://shop/a" };
            case.answer([&settings[..], &writer::reset(1, code)].concat()).gives(&format!(
                "GET | {kind} | {outcome}
                 http.request.method=GET
                 {more}
                 server.address=shop
                 server.port:80
                 network.protocol.version=2
                 event spandrel.reset spandrel.reset.code={name}
                 PEER"
            ));
        }
    }
    // A client that gives up did not fail; the wire shows what it did.
    call([&asked[..], &writer::reset(1, 8)].concat()).answer(&settings).gives(
        "GET | Client | Unset
         http.request.method=GET
         url.full=http://shop/a
         server.address=shop
         server.port:80
         network.protocol.version=2
         spandrel.end=cancelled
         event spandrel.reset spandrel.reset.code=CANCEL
         PEER",
    );
}

#[test]
fn every_other_failure_is_an_error_with_its_type() {
    for (errno, kind) in [
        (110, "timeout"),
        (111, "connection_refused"),
        (101, "unreachable"),
        (113, "unreachable"),
        (5, "connection_failed"),
    ] {
        both(|case| case.failed(errno), "Error", &format!("error.type={kind}"));
    }
}

#[test]
fn a_close_before_the_response_is_an_error() {
    both(Case::closed, "Error", "error.type=connection_closed");
}

#[test]
fn a_failure_within_the_response_keeps_the_status_code() {
    let partly = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nno more";
    both(
        |case| case.answer(partly).failed(104),
        "Error",
        "http.response.status_code:200\nerror.type=connection_reset\nevent spandrel.reset",
    );
    both(
        |case| case.answer(partly).closed(),
        "Error",
        "http.response.status_code:200\nerror.type=connection_closed",
    );
}

#[test]
fn a_gap_is_no_failure() {
    both(
        |case| case.step(Step::ResponseGap(50)).closed(),
        "Unset",
        "spandrel.incomplete=gap\nevent spandrel.gap",
    );
    // The status is known, and an error all the same.
    both(
        |case| case.answer("HTTP/1.1 500 X\r\nServer: a").step(Step::ResponseGap(50)).closed(),
        "Error",
        "http.response.status_code:500\nerror.type=500\nspandrel.incomplete=gap\nevent spandrel.gap",
    );
}

#[test]
fn a_gap_within_a_body_of_known_length_is_nothing() {
    both(
        |case| {
            case.answer("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n").step(Step::ResponseGap(50)).closed()
        },
        "Unset",
        "http.response.status_code:200",
    );
}

#[test]
fn a_malformed_response_is_no_failure() {
    both(|case| case.answer("this is no response\r\n\r\n"), "Unset", "spandrel.incomplete=malformed");
}

#[test]
fn what_is_open_at_the_end_of_tracing_is_incomplete() {
    both(|case| case, "Unset", "spandrel.incomplete=agent_stopped");
    both(|case| case.step(Step::End(end::SWEPT, 0)), "Unset", "spandrel.incomplete=swept");
}

#[test]
fn a_request_that_is_cut_is_what_is_known_of_it() {
    serve("GET /a HTTP/1.1\r\nHost: sh").failed(104).gives(
        "GET | Server | Error
         http.request.method=GET
         url.path=/a
         url.scheme=http
         network.protocol.version=1.1
         error.type=connection_reset
         event spandrel.reset
         PEER",
    );
}

#[test]
fn a_request_whose_fields_were_lost_leaves_out_what_they_may_have_said() {
    for case in [serve, call] {
        let case = case("GET /a HTTP/1.1\r\nAccept: */*\r\nHo").step(Step::RequestGap(50)).ok();
        let (kind, url) = match case.side {
            Side::Server => ("Server", "url.path=/a\nurl.scheme=http"),
            Side::Client => ("Client", ""),
        };
        case.gives(&format!(
            "GET | {kind} | Unset
             http.request.method=GET
             {url}
             network.protocol.version=1.1
             http.response.status_code:200
             PEER"
        ));
    }
}
