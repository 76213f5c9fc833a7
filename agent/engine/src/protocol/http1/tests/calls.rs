//! gRPC-Web: messages are counted and trailers found, wherever the content is cut and however it is framed.

use super::*;
use crate::protocol::http2::grpc::trailers;

const WEB: &str = "application/grpc-web+proto";
const TEXT: &str = "application/grpc-web-text";
const TRAILERS: &[u8] = b"\x80\0\0\0\x12grpc-status: 5\r\na:b";
/// The same with a message of three bytes before it.
const IN_BASE64: &str = "AAAAAAN4eHg=gAAAABJncnBjLXN0YXR1czogNQ0KYTpi";

fn message(length: usize) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend((length as u32).to_be_bytes());
    bytes.resize(bytes.len() + length, b'x');
    bytes
}

fn head(line: &str, content: &str, framing: &str) -> Vec<u8> {
    format!("{line}\r\nHost: x\r\nContent-Type: {content}\r\n{framing}\r\n\r\n").into_bytes()
}

fn sized(line: &str, content: &str, body: &[u8]) -> Vec<u8> {
    [head(line, content, &format!("Content-Length: {}", body.len())), body.to_vec()].concat()
}

fn chunked(line: &str, content: &str, chunks: &[&[u8]]) -> Vec<u8> {
    let mut bytes = head(line, content, "Transfer-Encoding: chunked");
    for chunk in chunks {
        bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

fn asked(content: &str, body: &[u8]) -> Vec<u8> {
    sized("POST /a.B/C HTTP/1.1", content, body)
}

const FOUND: &str = "HTTP/1.1 200 OK";

/// However the conversation is cut, its call has these messages and this status.
#[track_caller]
fn assert_call(steps: &[Step], messages: (Option<u64>, Option<u64>), status: Option<&str>) {
    for side in SIDES {
        let events = events(side, steps);
        let check = |events: &[Owned], context: &str| {
            let out = run(side, events);
            let told = &out.told[&0];
            assert_eq!(told.messages, Some(messages), "{side:?}, {context}");
            let found = told.trailers.iter().find(|(name, _)| name == "grpc-status");
            assert_eq!(found.map(|(_, value)| &**value), status, "{side:?}, {context}");
        };
        check(&events, "whole");
        check(&shred(&events), "byte by byte");
        for (index, event) in events.iter().enumerate() {
            let Owned::Data { bytes, .. } = event else { continue };
            for at in 1..bytes.len() {
                check(&cut(&events, index, at), &format!("event {index} cut at {at}"));
            }
        }
        let whole = run(side, &events);
        assert_losses(side, &events, &whole);
        for lost in 0..events.len() {
            let mut rest = events.clone();
            rest.remove(lost);
            for told in run(side, &rest).told.values().filter(|told| told.ending.is_none()) {
                let (request, response) = told.messages.unwrap_or_default();
                assert!(request.is_none() || request == messages.0, "without event {lost}: {told:?}");
                assert!(response.is_none() || response == messages.1, "without event {lost}: {told:?}");
            }
        }
    }
}

#[test]
fn messages_and_trailers_are_found_in_each_framing() {
    let body = [message(3), message(0), TRAILERS.to_vec()].concat();
    for answer in [
        sized(FOUND, WEB, &body),
        chunked(FOUND, WEB, &[&body]),
        chunked(FOUND, WEB, &[&body[..2], &body[2..10], &body[10..20], &body[20..]]),
    ] {
        let steps = [request(asked(WEB, &message(7))), response(answer), closed()];
        assert_call(&steps, (Some(1), Some(2)), Some("5"));
    }
    let until_closed = [head(FOUND, WEB, "Connection: close"), body].concat();
    let steps = [request(asked(WEB, &message(7))), response(until_closed), closed()];
    assert_call(&steps, (Some(1), Some(2)), Some("5"));
}

#[test]
fn base64_is_read_in_either_direction() {
    let steps = [
        request(asked(TEXT, b"AAAAAAN4eHg=")),
        response(chunked(FOUND, TEXT, &[IN_BASE64.as_bytes()])),
        closed(),
    ];
    assert_call(&steps, (Some(1), Some(1)), Some("5"));
    let binary = [message(3), TRAILERS.to_vec()].concat();
    let steps = [request(asked(TEXT, b"AAAAAAN4eHg=")), response(sized(FOUND, WEB, &binary))];
    assert_call(&steps, (Some(1), Some(1)), Some("5"));
}

#[test]
fn compressed_trailers_are_read_in_each_framing() {
    let trailers = trailers::tests::message(b"grpc-status: 5\r\n");
    let body = [message(3), trailers].concat();
    for answer in [sized(FOUND, WEB, &body), chunked(FOUND, WEB, &[&body[..20], &body[20..]])] {
        let steps = [request(asked(WEB, &message(7))), response(answer), closed()];
        assert_call(&steps, (Some(1), Some(1)), Some("5"));
    }
}

#[test]
fn what_a_call_is_answered_with_may_be_none_of_grpcs() {
    let page = sized("HTTP/1.1 502 Bad Gateway", "text/html", b"<p>no</p>");
    assert_call(&[request(asked(WEB, &message(1))), response(page)], (Some(1), None), None);
    let empty = sized("HTTP/1.1 200 OK\r\ngrpc-status: 5", WEB, b"");
    assert_call(&[request(asked(WEB, &message(1))), response(empty)], (Some(1), Some(0)), None);
}

#[test]
fn other_content_is_not_looked_at() {
    let steps = [request(asked("application/json", &message(1))), response(sized(FOUND, WEB, TRAILERS))];
    for side in SIDES {
        let out = run(side, &events(side, &steps));
        assert_eq!((out.told[&0].messages, out.told[&0].trailers.len()), (None, 0));
    }
}

#[test]
fn a_gap_inside_of_a_message_changes_nothing_and_any_other_leaves_the_status_unknown() {
    let body = [message(100), TRAILERS.to_vec()].concat();
    for (from, to, expected) in [
        (10, 60, (Some(1), Some("5"))),
        (5, 105, (Some(1), Some("5"))),
        (4, 60, (None, None)),
        (60, 106, (None, None)),
        (110, 115, (None, None)),
    ] {
        let head = head(FOUND, WEB, &format!("Content-Length: {}", body.len()));
        let steps = [
            request(asked(WEB, &message(1))),
            response([&head, &body[..from]].concat()),
            response(&body[from..to]),
            response(&body[to..]),
        ];
        for side in SIDES {
            let mut events = events(side, &steps);
            events.remove(2);
            let out = run(side, &events);
            let told = &out.told[&0];
            let status = told.trailers.iter().find(|(name, _)| name == "grpc-status");
            let found = (told.messages.unwrap().1, status.map(|(_, value)| &**value));
            assert_eq!(found, expected, "{side:?}, {from}..{to}");
            assert_eq!(told.ending, None);
        }
    }
}

#[test]
fn each_call_of_a_connection_has_its_own_messages() {
    let steps = [
        request(asked(WEB, &message(1))),
        response(sized(FOUND, WEB, &[message(1), TRAILERS.to_vec()].concat())),
        request(GET),
        response(OK),
        request(asked(WEB, &[message(1), message(2)].concat())),
        response(sized(FOUND, WEB, TRAILERS)),
    ];
    for side in SIDES {
        let out = run(side, &events(side, &steps));
        let messages: Vec<_> = out.told.values().map(|told| told.messages).collect();
        assert_eq!(messages, [Some((Some(1), Some(1))), None, Some((Some(2), Some(0)))]);
    }
}
