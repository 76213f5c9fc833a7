use core::net::SocketAddr;

use super::*;
use crate::{
    counter::Counter,
    event::{ConnectionId, Endpoint},
    protocol::{
        Ending,
        http2::tests::writer::{Encoder, PREFACE},
        testing::{
            MILLISECOND, Owned, Recorder, Step, closed, cut, events, feed, play, request, response, role,
            shred,
        },
    },
};

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const SIDES: [Side; 2] = [Side::Client, Side::Server];

/// Plays events whole, cut at every byte, and byte by byte.
fn assert_every_cut(new: impl Fn() -> Connection, events: &[Owned], expected: &[&str]) {
    assert_eq!(play(new(), events).summaries(), expected, "whole");
    assert_eq!(play(new(), &shred(events)).summaries(), expected, "byte by byte");
    for (index, event) in events.iter().enumerate() {
        let Owned::Data { bytes, .. } = event else { continue };
        for at in 1..bytes.len() {
            let recut = play(new(), &cut(events, index, at));
            assert_eq!(recut.summaries(), expected, "event {index} cut at {at}");
        }
    }
}

fn opened(role: Role, from_opening: bool) -> Open {
    let address = || Endpoint::Ip(SocketAddr::from(([127, 0, 0, 1], 80)));
    Open {
        time: 0,
        conn: ConnectionId::default(),
        tgid: 1,
        netns: 1,
        role,
        from_opening,
        sequence: None,
        local: address(),
        remote: address(),
        peer_sock: None,
    }
}

#[test]
fn a_proxy_preamble_is_passed_over_and_its_addresses_are_known() {
    let mut version2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10".to_vec();
    version2.extend([192, 0, 2, 1, 198, 51, 100, 2, 0x14, 3, 0, 80, 4, 0, 1, 9]);
    for preamble in [b"PROXY TCP4 192.0.2.1 198.51.100.2 5123 80\r\n".to_vec(), version2] {
        let together = [preamble.clone(), GET.into()].concat();
        for steps in [
            vec![request(&together), response(OK), request(GET), response(OK)],
            vec![request(&preamble), request(GET), response(OK), request(GET), response(OK)],
        ] {
            for side in SIDES {
                let events = events(side, &steps);
                let new = || Connection::new(role(side), true);
                assert_every_cut(new, &events, &["GET /a +0 -> 200 +5", "GET /a +0 -> 200 +5"]);
                let mut connection = new();
                let mut out = Recorder::default();
                feed(&mut connection, &events[0], 0, &mut out);
                feed(&mut connection, &events[1], 0, &mut out);
                let source = SocketAddr::from(([192, 0, 2, 1], 5123));
                assert_eq!(connection.proxied().map(|proxied| proxied.source), Some(source));
            }
        }
    }
}

#[test]
fn the_side_of_an_unknown_role_is_told_by_the_direction_of_the_request() {
    for side in SIDES {
        let events = events(side, &[request(GET), response(OK)]);
        for from_opening in [true, false] {
            let new = || Connection::new(Role::Unknown, from_opening);
            assert_every_cut(new, &events, &["GET /a +0 -> 200 +5"]);
            assert_eq!(play(new(), &events).side, Some(side));
        }
    }
}

#[test]
fn an_older_connection_gives_every_request_that_is_sent_after_attach() {
    let steps = [request(GET), response(OK), request(GET), response(OK), closed()];
    for side in SIDES {
        for role in [role(side), Role::Unknown] {
            let new = || Connection::new(role, false);
            assert_every_cut(new, &events(side, &steps), &["GET /a +0 -> 200 +5", "GET /a +0 -> 200 +5"]);
        }
    }
}

#[test]
fn what_was_in_flight_at_attach_is_no_exchange() {
    let phantom = "GET /phantom HTTP/1.1\r\nHost: x\r\n\r\n";
    let cases = [
        // A response to an earlier request.
        vec![response(OK), request(GET), response(OK)],
        vec![
            response("of a body\r\n"),
            response("HTTP/1.1 500 In a body\r\n\r\n"),
            request(GET),
            response(OK),
        ],
        // The rest of a request's body, some of which reads like a request.
        vec![request("of a body"), request(phantom), response(OK), request(GET), response(OK)],
        // No Host; no version; the end of a line.
        vec![request("GET /x HTTP/1.1\r\n\r\n"), response(OK), request(GET), response(OK)],
        vec![request("GET /x is in a text\r\n\r\n"), response(OK), request(GET), response(OK)],
        vec![request("end"), response(OK), request(GET), response(OK)],
        // A body that goes on after 100 (Continue).
        vec![
            response("HTTP/1.1 100 Continue\r\n\r\n"),
            request(phantom),
            response(OK),
            request(GET),
            response(OK),
        ],
    ];
    for steps in cases {
        for side in SIDES {
            let mut kinds = vec![role(side)];
            if !matches!(&steps[0], Step::Request(bytes) if bytes == b"GET /x HTTP/1.1\r\n\r\n") {
                kinds.push(Role::Unknown);
            }
            for role in kinds {
                let out = play(Connection::new(role, false), &events(side, &steps));
                assert_eq!(out.summaries(), ["GET /a +0 -> 200 +5"], "{role:?} {steps:?}");
            }
        }
    }
}

#[test]
fn calls_recorded_out_of_order_give_the_same_exchanges() {
    let get = |n: u32| request(format!("GET /{n} HTTP/1.1\r\nHost: x\r\n\r\n"));
    let answer =
        |n: usize| response(format!("HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n{}", "x".repeat(n)));
    let steps = [get(0), answer(1), get(1), answer(2), get(2), answer(3), closed()];
    let expected = ["GET /0 +0 -> 200 +1", "GET /1 +0 -> 200 +2", "GET /2 +0 -> 200 +3"];
    for side in SIDES {
        let events = events(side, &steps);
        for first in 0..events.len() {
            for second in first..events.len() {
                let mut shuffled = events.clone();
                shuffled.swap(first, second);
                let out = play(Connection::new(role(side), true), &shuffled);
                assert_eq!(out.summaries(), expected, "{side:?}, {first} and {second} exchanged");
            }
        }
        let reversed: Vec<_> = events.iter().rev().cloned().collect();
        assert_eq!(play(Connection::new(role(side), true), &reversed).summaries(), expected);
    }
}

#[test]
fn an_end_waits_for_the_bytes_before_it() {
    for side in SIDES {
        let events = events(side, &[request(GET), response(OK), closed()]);
        let mut connection = Connection::new(role(side), true);
        let mut out = Recorder::default();
        feed(&mut connection, &events[0], MILLISECOND, &mut out);
        feed(&mut connection, &events[2], 2 * MILLISECOND, &mut out);
        assert!(!connection.is_closed());
        feed(&mut connection, &events[1], 3 * MILLISECOND, &mut out);
        assert!(connection.is_closed());
        assert_eq!(out.summaries(), ["GET /a +0 -> 200 +5"]);
    }
}

#[test]
fn bytes_missing_at_the_end_are_a_counted_gap() {
    let events = events(Side::Server, &[request(GET), response(OK), closed()]);
    let out = play(Connection::new(Role::Accepted, true), &[events[0].clone(), events[2].clone()]);
    assert_eq!(out.summaries(), ["GET /a +0 Gap"]);
    assert_eq!(out.counters.value(Counter::GapBytes), OK.len() as u64);
}

#[test]
fn a_response_whose_request_never_shows_is_counted_and_paired_with_none() {
    let events = events(Side::Server, &[response(OK), request(GET), response(OK)]);
    let mut connection = Connection::new(Role::Accepted, true);
    let mut out = Recorder::default();
    feed(&mut connection, &events[0], MILLISECOND, &mut out);
    let deadline = connection.deadline().expect("a response that waits");
    connection.timeout(deadline, &mut out);
    assert_eq!(out.counters.value(Counter::ResponsesUnpaired), 1);
    feed(&mut connection, &events[1], deadline, &mut out);
    feed(&mut connection, &events[2], deadline, &mut out);
    assert_eq!(out.summaries(), ["GET /a +0 -> 200 +5"]);
    assert_eq!(connection.deadline(), None);
}

#[test]
fn a_request_recorded_after_its_response_was_given_up_is_paired_with_no_other() {
    let events = events(Side::Client, &[request(GET), response(OK), request(GET), response(OK)]);
    let mut connection = Connection::new(Role::Connected, true);
    let mut out = Recorder::default();
    feed(&mut connection, &events[1], MILLISECOND, &mut out);
    connection.timeout(connection.deadline().expect("a response that waits"), &mut out);
    for event in [&events[0], &events[2], &events[3]] {
        feed(&mut connection, event, 500 * MILLISECOND, &mut out);
    }
    assert_eq!(out.summaries(), ["GET /a Gap", "GET /a +0 -> 200 +5"]);
}

#[test]
fn knowledge_that_comes_late_is_used() {
    let events = events(Side::Server, &[request(GET), response(OK)]);
    let mut connection = Connection::new(Role::Unknown, false);
    let mut out = Recorder::default();
    connection.open(&opened(Role::Accepted, true), &mut out);
    for event in &events {
        feed(&mut connection, event, MILLISECOND, &mut out);
    }
    assert_eq!(out.summaries(), ["GET /a +0 -> 200 +5"]);
    let mut connection = Connection::new(Role::Unknown, false);
    let mut out = Recorder::default();
    let halves = cut(&events, 0, 5);
    feed(&mut connection, &halves[0], MILLISECOND, &mut out);
    connection.open(&opened(Role::Accepted, false), &mut out);
    feed(&mut connection, &halves[1], MILLISECOND, &mut out);
    feed(&mut connection, &halves[2], MILLISECOND, &mut out);
    assert_eq!(out.summaries(), ["GET /a +0 -> 200 +5"]);
    assert_eq!(connection.side(), Some(Side::Server));
}

#[test]
fn a_long_request_line_of_an_older_connection_is_read_over_many_calls() {
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(6000));
    for side in SIDES {
        let events = shred(&events(side, &[request(long.as_str()), response(OK)]));
        let out = play(Connection::new(Role::Unknown, false), &events);
        assert_eq!(out.told.len(), 1);
        assert!(out.summaries()[0].ends_with(" +0 -> 200 +5"));
    }
}

#[test]
fn a_call_that_failed_does_not_end_the_connection_whatever_directions_it_names() {
    let get = [PREFACE, &Encoder::default().get(1, "/a")].concat();
    for sent in [GET.as_bytes(), &get] {
        let events = events(Side::Client, &[request(sent), Step::End(None, How::CallFailed(14))]);
        let told = play(Connection::new(Role::Connected, true), &events);
        assert_eq!(told.summaries(), ["GET /a +0 Unseen(AgentStopped)"]);
    }
}

#[test]
fn half_a_response_head_before_an_end_is_no_answer_to_a_later_request() {
    let cut = "HTTP/1.1 200 OK\r\nServ";
    let late = "er: x\r\nContent-Length: 0\r\n\r\n";
    let steps = [
        request(GET),
        response(cut),
        Step::End(Some(false), How::Eof),
        request(GET),
        response(late),
        closed(),
    ];
    for steps in [&steps[..], &steps[1..]] {
        let told = play(Connection::new(Role::Connected, true), &events(Side::Client, steps));
        assert!(told.told.values().all(|told| told.status.is_none()), "{:?}", told.summaries());
        let closed = |ending| matches!(ending, Some(Ending::Closed { .. }));
        assert!(told.told.values().all(|told| closed(told.ending)), "{:?}", told.summaries());
    }
}
