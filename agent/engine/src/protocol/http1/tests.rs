//! Every rule as a conversation; each is played from both sides, whole, cut at every byte, byte by byte, and
//! with each call lost.

mod calls;
mod generated;

use crate::{
    connection::Connection,
    counter::Counter,
    event::{Call, ConnectionId, Data, Direction, How, Time},
    protocol::{
        Ending, Number, Observer, RequestHead, ResponseHead, Side, Trailers,
        testing::{
            Owned, Random, Recorder, Step, assert_none_invented, call_at, closed, cut, events, play, request,
            response, role, shred,
        },
    },
};

const SIDES: [Side; 2] = [Side::Client, Side::Server];

fn run(side: Side, events: &[Owned]) -> Recorder {
    play(Connection::new(role(side), true), events)
}

/// Plays the steps in every way and expects these exchanges.
fn assert_exchanges(steps: &[Step], expected: &[&str]) {
    for side in SIDES {
        let events = events(side, steps);
        let whole = run(side, &events);
        assert_eq!(whole.summaries(), expected, "{side:?}, whole");
        let shredded = run(side, &shred(&events));
        assert_eq!(shredded.summaries(), expected, "{side:?}, byte by byte");
        for (index, event) in events.iter().enumerate() {
            let Owned::Data { bytes, .. } = event else { continue };
            for at in 1..bytes.len() {
                let once = cut(&events, index, at);
                let recut = run(side, &once);
                assert_eq!(recut.summaries(), expected, "{side:?}, event {index} cut at {at}");
                if bytes.len() < 45 {
                    for again in 1..bytes.len() - at {
                        let recut = run(side, &cut(&once, index + 1, again));
                        assert_eq!(recut.summaries(), expected, "{side:?}, {index} cut at {at} and {again}");
                    }
                }
            }
        }
        assert_losses(side, &events, &whole);
    }
}

fn assert_losses(side: Side, events: &[Owned], whole: &Recorder) {
    for lost in 0..events.len() {
        let mut rest = events.to_vec();
        rest.remove(lost);
        assert_none_invented(
            whole,
            &run(side, &rest),
            &format!("{side:?}, without event {lost}: {events:?}"),
        );
    }
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn a_keep_alive_connection_gives_each_exchange() {
    let steps = [request(GET), response(OK), request(GET.replace("/a", "/b")), response(OK), closed()];
    assert_exchanges(&steps, &["GET /a +0 -> 200 +5", "GET /b +0 -> 200 +5"]);
}

#[test]
fn any_method_token_and_any_target_form_is_a_request() {
    for line in
        ["PROPFIND /dav", "REPORT /r", "TRACE /", "X-~!# http://h/p?q", "OPTIONS *", "GET /a b", "PRI /x"]
    {
        let steps = [request(format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n")), response(OK)];
        assert_exchanges(&steps, &[&format!("{line} +0 -> 200 +5")]);
    }
}

#[test]
fn five_requests_in_one_write_are_five_exchanges() {
    let requests: String = (0..5).map(|n| GET.replace("/a", &format!("/{n}"))).collect();
    let steps = [request(requests), response(OK.repeat(5))];
    let expected: Vec<_> = (0..5).map(|n| format!("GET /{n} +0 -> 200 +5")).collect();
    assert_exchanges(&steps, &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn a_split_request_line_is_one_request_that_starts_with_its_first_call() {
    for side in SIDES {
        let steps = [request("G"), request("ET /a HTTP/1.1\r\nHost: x\r\n\r\n"), response(OK)];
        let out = run(side, &events(side, &steps));
        assert_eq!(out.summaries(), ["GET /a +0 -> 200 +5"]);
        assert_eq!(out.told[&0].started.unwrap().enter, 1_000_000);
        assert_eq!(out.told[&0].request_last.unwrap().enter, 2_000_000);
    }
}

#[test]
fn a_body_is_never_a_message() {
    let phantom = "GET /phantom HTTP/1.1\r\nHost: x\r\n\r\n";
    let post = format!("POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", phantom.len());
    let steps = [request(post), request(phantom), response(OK), request(GET), response(OK), closed()];
    assert_exchanges(&steps, &["POST /p +34 -> 200 +5", "GET /a +0 -> 200 +5"]);
    let head = "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n22\r\n";
    let steps = [request(head), request(phantom), request("\r\n0\r\n\r\n"), response(OK)];
    assert_exchanges(&steps, &["POST /p +34 -> 200 +5"]);
    let inner = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n";
    let outer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", inner.len());
    let steps = [request(GET), response(outer), response(inner), request(GET), response(OK)];
    assert_exchanges(&steps, &["GET /a +0 -> 200 +40", "GET /a +0 -> 200 +5"]);
}

#[test]
fn a_phantom_behind_an_early_response_is_not_invented_by_a_loss() {
    let phantom = "GET /phantom HTTP/1.1\r\nHost: x\r\n\r\n";
    let post = format!("POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", phantom.len());
    let steps = [request(post), response(OK), request(phantom), request(GET), response(OK)];
    assert_exchanges(&steps, &["POST /p +34 -> 200 +5", "GET /a +0 -> 200 +5"]);
}

#[test]
fn framing_follows_rfc_9112_section_6() {
    let post =
        |fields: &str, body: &str| request(format!("POST /p HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n{body}"));
    let cases = [
        ("Content-Length: 3", "abc", "+3"),
        ("Content-Length: 3, 3", "abc", "+3"),
        ("Content-Length: 3\r\nContent-Length: 3", "abc", "+3"),
        ("Content-Length: 0", "", "+0"),
        ("Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n", "+3"),
        ("Transfer-Encoding: gzip, chunked", "3\r\nabc\r\n0\r\n\r\n", "+3"),
        ("Transfer-Encoding: Chunked\r\nContent-Length: 99", "3\r\nabc\r\n0\r\n\r\n", "+3"),
        (
            "Transfer-Encoding: chunked",
            "3;name=\"v\"\r\nabc\r\n00A\n0123456789\n0\r\nTrailer: t\r\n\r\n",
            "+13",
        ),
    ];
    for (fields, body, expected) in cases {
        let steps = [post(fields, body), response(OK), request(GET), response(OK)];
        assert_exchanges(&steps, &[&format!("POST /p {expected} -> 200 +5"), "GET /a +0 -> 200 +5"]);
    }
    for (fields, body) in [
        ("Content-Length: 3\r\nContent-Length: 4", "abcd"),
        ("Content-Length: -3", ""),
        ("Content-Length: 99999999999999999999", ""),
        ("Transfer-Encoding: chunked, gzip", "abc"),
    ] {
        assert_exchanges(&[post(fields, body)], &["POST /p Malformed"]);
    }
    for body in ["zz\r\n", "3\r\nabcd", "fffffffffffffffff\r\n"] {
        assert_exchanges(&[post("Transfer-Encoding: chunked", body)], &["POST /p Malformed"]);
    }
}

#[test]
fn responses_without_a_body_end_with_their_head() {
    let head = GET.replace("GET", "HEAD");
    let steps = [
        request(head),
        response("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
        request(GET),
        response(OK),
    ];
    assert_exchanges(&steps, &["HEAD /a +0 -> 200 +0", "GET /a +0 -> 200 +5"]);
    for status in ["204 No Content", "304 Not Modified"] {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 500\r\n\r\n");
        let steps = [request(GET), response(answer), request(GET), response(OK)];
        let expected = format!("GET /a +0 -> {} +0", &status[..3]);
        assert_exchanges(&steps, &[&expected, "GET /a +0 -> 200 +5"]);
    }
}

#[test]
fn interim_responses_do_not_end_the_exchange() {
    let steps = [
        request("POST /p HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"),
        response("HTTP/1.1 100 Continue\r\n\r\n"),
        request("abc"),
        response("HTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\n"),
        response(OK),
    ];
    assert_exchanges(&steps, &["POST /p +3 (100) (103) -> 200 +5"]);
}

#[test]
fn upgrades_end_the_exchange_and_leave_the_connection_alone() {
    let upgrade = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let steps = [
        request(upgrade),
        response("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"),
        request(GET),
        response(OK),
    ];
    assert_exchanges(&steps, &["GET /ws +0 -> 101 Upgraded"]);
    let steps = [
        request("CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n"),
        response("HTTP/1.1 200 Connection established\r\n\r\n"),
        request(GET),
        response(OK),
    ];
    assert_exchanges(&steps, &["CONNECT h:80 +0 -> 200 Upgraded"]);
    // Recorded before the answer that makes them a tunnel's.
    let steps = [
        request("CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n"),
        request(GET),
        response("HTTP/1.1 200 Connection established\r\n\r\n"),
    ];
    assert_exchanges(&steps, &["CONNECT h:80 +0 -> 200 Upgraded"]);
}

#[test]
fn a_refused_upgrade_leaves_the_connection_as_it_is() {
    let steps = [
        request("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"),
        response(OK),
        request("CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n"),
        response("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"),
        request(GET),
        response(OK),
    ];
    let expected = ["GET /ws +0 -> 200 +5", "CONNECT h:80 +0 -> 407 +0", "GET /a +0 -> 200 +5"];
    assert_exchanges(&steps, &expected);
}

#[test]
fn a_body_without_length_ends_with_the_connection() {
    for end in [Step::End(Some(false), How::Eof), Step::End(None, How::Closed)] {
        let steps = [
            request("GET /a HTTP/1.0\r\n\r\n"),
            response("HTTP/1.0 200 OK\r\n\r\nabc"),
            response("def"),
            end,
        ];
        assert_exchanges(&steps, &["GET /a +0 -> 200 +6"]);
    }
    let steps = [request(GET), response("HTTP/1.1 200 OK\r\n\r\nabc"), Step::End(None, How::Failed(104))];
    assert_exchanges(&steps, &["GET /a +0 -> 200 Failed(104)"]);
}

#[test]
fn http_1_0_keeps_alive_when_framed() {
    let get = "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let ok = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok";
    let steps = [request(get), response(ok), request(get), response(ok), closed()];
    assert_exchanges(&steps, &["GET /a +0 -> 200 +2", "GET /a +0 -> 200 +2"]);
}

#[test]
fn an_early_response_ends_the_exchange_while_its_request_runs() {
    let steps = [
        request("POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\n"),
        response("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"),
        request("GET /no HTTP/1.1\r\n"),
        request("abcdefghijklmnopqrstuv"),
        request(GET),
        response(OK),
    ];
    assert_exchanges(&steps, &["POST /p +40 -> 413 +0", "GET /a +0 -> 200 +5"]);
}

#[test]
fn blank_lines_bare_line_feeds_and_folds_are_understood() {
    let steps = [
        request("\r\n\r\nGET /a HTTP/1.1\nHost: x\nX-Fold: a\r\n  b\n\tc\n\n"),
        response("HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
        request("\r\nGET /b HTTP/1.1\r\nHost:x\r\nno field line\r\n\r\n"),
        response("\r\nHTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"),
    ];
    assert_exchanges(&steps, &["GET /a +0 -> 200 +2", "GET /b +0 -> 200 +2"]);
    let out = run(Side::Server, &events(Side::Server, &steps));
    let fields: Vec<_> = out.told[&0].fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(fields, ["Host=x", "X-Fold=a    b \\tc"]);
    assert_eq!(out.told[&1].fields.len(), 1);
}

#[test]
fn half_a_close_ends_nothing() {
    for how in [How::Eof, How::Shutdown] {
        let steps = [request(GET), Step::End(Some(true), how), response(OK), closed()];
        assert_exchanges(&steps, &["GET /a +0 -> 200 +5"]);
    }
}

#[test]
fn endings_without_a_response_say_how() {
    let cases = [
        (Step::End(None, How::Closed), "Closed { by_peer: false }"),
        (Step::End(Some(false), How::Eof), "Closed { by_peer: true }"),
        (Step::End(None, How::Failed(110)), "Failed(110)"),
        (Step::End(Some(false), How::CallFailed(104)), "Failed(104)"),
        (Step::End(None, How::Swept), "Unseen(Swept)"),
        (Step::End(Some(false), How::CallFailed(14)), "Unseen(AgentStopped)"),
    ];
    for (end, expected) in cases {
        assert_exchanges(&[request(GET), end.clone()], &[&format!("GET /a +0 {expected}")]);
        let steps = [request(GET), response("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), end];
        assert_exchanges(&steps, &[&format!("GET /a +0 -> 200 {expected}")]);
    }
}

#[test]
fn a_broken_pipe_still_lets_the_early_response_be_read() {
    let post = request("POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
    let broken = Step::End(Some(true), How::CallFailed(32));
    let steps = [post.clone(), broken.clone(), response(OK), closed()];
    assert_exchanges(&steps, &["POST /p -> 200 +5"]);
    assert_exchanges(&[post, broken, closed()], &["POST /p Failed(32)"]);
}

#[test]
fn a_target_beyond_the_capture_is_reported_truncated() {
    let steps = [
        request("GET /long"),
        Step::Cut(70_000),
        response(OK),
        request(GET),
        response(OK),
        request(GET),
        response(OK),
    ];
    let expected = ["GET /long... incomplete -> 200 +5", "GET /a +0 -> 200 +5", "GET /a +0 -> 200 +5"];
    assert_exchanges(&steps, &expected);
    let steps = [request("GET /a HTTP/1.1\r\nHost: x\r\nCoo"), Step::Cut(70_000), response(OK)];
    assert_exchanges(&steps, &["GET /a incomplete -> 200 +5"]);
}

#[test]
fn gaps_in_bodies_cost_nothing() {
    let steps = [
        request("POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc"),
        Step::Cut(99_997),
        response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n"),
        response("abc"),
        Step::Cut(65_533),
        response("\r\n0\r\n\r\n"),
        request(GET),
        response("HTTP/1.1 200 OK\r\n\r\nabc"),
        Step::Cut(1000),
        closed(),
    ];
    assert_exchanges(&steps, &["POST /p +100000 -> 200 +65536", "GET /a +0 -> 200 +1003"]);
    let out = run(Side::Server, &events(Side::Server, &steps));
    assert_eq!(out.counters.value(Counter::Gaps), 0);
    assert_eq!(out.counters.value(Counter::BodyGapBytes), 99_997 + 65_533 + 1000);
    assert_eq!(out.skips.len(), 2, "one order for each long body: {:?}", out.skips);
}

#[test]
fn after_a_lost_call_later_exchanges_are_recovered() {
    let steps: Vec<_> =
        (0..8).flat_map(|n| [request(GET.replace("/a", &format!("/{n}"))), response(OK)]).collect();
    for side in SIDES {
        let events = events(side, &steps);
        for lost in 0..events.len() {
            let mut rest = events.clone();
            rest.remove(lost);
            let out = run(side, &rest);
            let complete = out.summaries().iter().filter(|told| told.ends_with("-> 200 +5")).count();
            assert!(complete >= 6, "{side:?} without {lost}: {:?}", out.summaries());
            let last = lost >= events.len() - 2;
            assert_eq!(last, out.counters.value(Counter::Gaps) == 0, "{side:?} without {lost}");
        }
    }
}

#[test]
fn what_is_not_http_is_ignored() {
    for bytes in ["\x16\x03\x01\x02\x00\x01", "get key\r\n", "SSH-2.0-x\r\n", "*1\r\n$4\r\nPING\r\n"] {
        let steps = [request(bytes)];
        let out = run(Side::Server, &events(Side::Server, &steps));
        assert!(out.ignored && out.told.is_empty(), "{bytes}");
        assert_eq!(out.counters.value(Counter::ConnectionsIgnored), 1);
        assert_exchanges(&steps, &[]);
    }
    let steps = [response("220 mail ESMTP\r\n"), request("EHLO x\r\n")];
    assert_exchanges(&steps, &[]);
}

#[test]
fn bytes_that_are_no_message_end_their_exchange_only() {
    let steps = [request(GET), response("no response\r\n\r\n"), request(GET), response(OK)];
    assert_exchanges(&steps, &["GET /a +0 Malformed", "GET /a +0 -> 200 +5"]);
    let steps = [request(GET), response(OK), request("\0\0\0\0")];
    assert_exchanges(&steps, &["GET /a +0 -> 200 +5"]);
}

#[test]
fn a_long_head_in_many_calls_is_read_whole() {
    let cookie = "c".repeat(20_000);
    let text = format!("GET /a HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\ntraceparent: 00-1\r\n\r\n");
    let steps: Vec<_> = text.as_bytes().chunks(7).map(request).chain([response(OK)]).collect();
    let out = run(Side::Server, &events(Side::Server, &steps));
    assert_eq!(out.summaries(), ["GET /a +0 -> 200 +5"]);
    assert_eq!(out.told[&0].fields.len(), 3);
}

#[test]
fn a_head_beyond_the_bound_is_cut_and_counted() {
    let cookie = "c".repeat(300 * 1024);
    let text = format!("GET /a HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n");
    let steps: Vec<_> = text.as_bytes().chunks(16_000).map(request).chain([response(OK)]).collect();
    let out = run(Side::Server, &events(Side::Server, &steps));
    assert_eq!(out.summaries(), ["GET /a incomplete -> 200 +5"]);
    assert_eq!(out.counters.value(Counter::HeadTooLong), 1);
}

#[test]
fn too_many_open_requests_are_given_up_and_counted() {
    let steps: Vec<_> = (0..1500).map(|_| request(GET)).chain([response(OK)]).collect();
    let out = run(Side::Client, &events(Side::Client, &steps));
    assert_eq!(out.told.len(), 1500);
    assert!(out.told.values().all(|told| told.ending.is_some()));
    assert_eq!(out.counters.value(Counter::ExchangesEvicted), 1024);
}
