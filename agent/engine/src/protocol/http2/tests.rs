//! Every rule as a conversation; each is played from both sides, whole, cut at every byte, byte by byte, and
//! with each call lost.

mod damage;
mod framed;
mod generated;
mod given_up;
mod joined;
mod quiet;
pub(crate) mod writer;

use self::writer::{
    Encoder, PREFACE, acknowledged, data, frame, go_away, message, padded_data, reset, settings,
    window_update,
};
use crate::{
    connection::Connection,
    counter::Counter,
    event::{Direction, How},
    limit,
    protocol::{
        Ending, Side,
        http2::grpc::trailers,
        testing::{
            MILLISECOND, Owned, Random, Recorder, Step, call_at, closed, cut, events, play, request,
            response, role, shred,
        },
    },
};

const SIDES: [Side; 2] = [Side::Client, Side::Server];

fn run(side: Side, events: &[Owned]) -> Recorder {
    play(Connection::new(role(side), true), events)
}

fn opening() -> Vec<Step> {
    let first = [PREFACE, &settings(&[(3, 100)]), &window_update(0)].concat();
    vec![request(first), response([settings(&[]), acknowledged()].concat()), request(acknowledged())]
}

/// Plays the steps, after the opening of a connection, in every way and expects these exchanges.
fn assert_exchanges(steps: &[Step], expected: &[&str]) {
    let steps = [opening(), steps.to_vec()].concat();
    for side in SIDES {
        let events = events(side, &steps);
        let whole = run(side, &events);
        assert_eq!(whole.summaries(), expected, "{side:?}, whole");
        assert_eq!(run(side, &shred(&events)).summaries(), expected, "{side:?}, byte by byte");
        for (index, event) in events.iter().enumerate() {
            let Owned::Data { bytes, .. } = event else { continue };
            for at in 1..bytes.len() {
                let recut = run(side, &cut(&events, index, at));
                assert_eq!(recut.summaries(), expected, "{side:?}, event {index} cut at {at}");
            }
        }
        assert_losses(side, &events, &whole);
    }
}

fn assert_losses(side: Side, events: &[Owned], whole: &Recorder) {
    for lost in 0..events.len() {
        let mut rest = events.to_vec();
        rest.remove(lost);
        assert_right(whole, &run(side, &rest), &format!("{side:?}, without event {lost}: {events:?}"));
    }
}

/// Asserts that each exchange in `part` is one of `whole`, with nothing that is wrong.
fn assert_right(whole: &Recorder, part: &Recorder, context: &str) {
    for told in part.told.values() {
        let known = whole.told.values().find(|other| other.position == told.position);
        let known = known.unwrap_or_else(|| panic!("invented {told:?} {context}"));
        for (part, whole) in told.request.split(' ').zip(known.request.split(' ')) {
            assert!(part == whole || part == "?" && told.incomplete, "{told:?} for {known:?} {context}");
        }
        assert!(
            told.fields.iter().all(|field| known.fields.contains(field)),
            "{told:?} for {known:?} {context}"
        );
        assert!(told.status.is_none() || told.status == known.status, "{told:?} for {known:?} {context}");
        assert!(told.trailers.iter().all(|field| known.trailers.contains(field)), "{told:?} {context}");
        let count = |(part, whole): (Option<u64>, Option<u64>)| part.is_none() || part == whole;
        if let (Some(part), Some(whole)) = (told.messages, known.messages)
            && told.ending.is_none()
        {
            assert!(count((part.0, whole.0)) && count((part.1, whole.1)), "{told:?} for {known:?} {context}");
        }
        let failed = matches!(
            told.ending,
            Some(Ending::Closed { .. } | Ending::Failed(_) | Ending::Reset { .. } | Ending::GoneAway { .. })
        );
        assert!(!failed || told.ending == known.ending, "{told:?} for {known:?} {context}");
    }
}

#[test]
fn streams_of_one_connection_are_told_apart() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let steps = [
        request([client.get(1, "/a"), client.post(3, "/b")].concat()),
        response([server.status(3, "404", false), server.status(1, "200", true)].concat()),
        request([data(3, "hello", false), client.get(5, "/a"), data(3, " you", true)].concat()),
        response([server.status(5, "204", true), data(3, "no", true)].concat()),
        closed(),
    ];
    assert_exchanges(&steps, &["GET /a +0 -> 200 +0", "POST /b +9 -> 404 +2", "GET /a +0 -> 204 +0"]);
}

#[test]
fn padding_priority_and_continuation_are_no_content() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let fields = [&Encoder::request("POST", "/p")[..], &[("x-long", "a value of some length")]].concat();
    let steps = [
        request(client.pieces(1, &fields, false, 4)),
        request([padded_data(1, b"12345", 9, false), padded_data(1, b"", 3, true)].concat()),
        response(server.pieces(1, &[(":status", "201"), ("a", "b")], false, 2)),
        response(padded_data(1, b"1234567", 0, true)),
        request([client.pieces(3, &fields, true, 1), frame(2, 0, 5, [0; 5])].concat()),
        response(server.status(3, "200", true)),
    ];
    assert_exchanges(&steps, &["POST /p +5 -> 201 +7", "POST /p +0 -> 200 +0"]);
}

#[test]
fn frames_that_matter_not_are_passed_over() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let steps = [
        request([frame(6, 0, 0, [0; 8]), client.get(1, "/a"), frame(0xfe, 0xff, 1, [1; 20])].concat()),
        response([frame(6, 1, 0, [0; 8]), frame(0xa, 0, 0, [0; 9]), server.status(1, "200", false)].concat()),
        response([window_update(1), data(1, "", false), data(1, "x", false), data(1, "", true)].concat()),
    ];
    assert_exchanges(&steps, &["GET /a +0 -> 200 +1"]);
}

#[test]
fn interim_responses_and_trailers_are_told_from_the_final_response() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let steps = [
        request(client.post(1, "/a")),
        response(server.status(1, "100", false)),
        request(data(1, "body", false)),
        request(client.headers(1, &[("checksum", "1")], true)),
        response([server.status(1, "103", false), server.status(1, "200", false)].concat()),
        response([data(1, "answer", false), server.headers(1, &[("checksum", "2")], true)].concat()),
    ];
    assert_exchanges(&steps, &["POST /a +4 (100) (103) -> 200 +6"]);
    let whole = run(Side::Client, &events(Side::Client, &[opening(), steps.to_vec()].concat()));
    assert_eq!(whole.told[&1].trailers, [("checksum".to_owned(), "2".to_owned())]);
}

#[test]
fn an_exchange_lasts_until_both_sides_have_ended() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let steps = [
        opening(),
        vec![
            request(client.post(1, "/a")),
            response(server.status(1, "200", true)),
            request(data(1, "still", false)),
            request(data(1, " talking", true)),
        ],
    ]
    .concat();
    for side in SIDES {
        let out = run(side, &events(side, &steps));
        assert_eq!(out.summaries(), ["POST /a +13 -> 200 +0"]);
        assert_eq!(out.told[&1].started, Some(call_at(4 * MILLISECOND)));
        assert_eq!(out.told[&1].response_last, Some(call_at(7 * MILLISECOND)));
    }
}

#[test]
fn a_reset_ends_its_stream_by_its_code_and_who_sent_it() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let mut steps = Vec::new();
    for stream in [1, 3, 5, 7, 9, 11] {
        steps.push(request(client.post(stream, "/a")));
    }
    steps.extend([
        request(reset(1, 8)),
        response(reset(3, 7)),
        response([server.status(5, "200", true), reset(5, 0)].concat()),
        response(server.status(7, "200", true)),
        request(reset(7, 8)),
        response([server.status(9, "200", true), reset(9, 2)].concat()),
        request(reset(11, 0)),
        // Of streams that never were.
        response([reset(99, 1), reset(2, 1)].concat()),
    ]);
    assert_exchanges(
        &steps,
        &[
            "POST /a Reset { code: 8, by: Client }",
            "POST /a Reset { code: 7, by: Server }",
            "POST /a -> 200 +0",
            "POST /a -> 200 +0",
            "POST /a -> 200 Reset { code: 2, by: Server }",
            "POST /a Reset { code: 0, by: Client }",
        ],
    );
}

#[test]
fn going_away_ends_what_will_not_be_served_and_nothing_else() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let steps = [
        request([client.get(1, "/a"), client.get(3, "/b"), client.get(5, "/c")].concat()),
        response(go_away(3, 0)),
        request(client.get(7, "/d")),
        response([server.status(3, "200", true), server.status(1, "200", true)].concat()),
        closed(),
    ];
    let refused = "GoneAway { code: 7, served: false }";
    assert_exchanges(
        &steps,
        &[
            "GET /a +0 -> 200 +0",
            "GET /b +0 -> 200 +0",
            &format!("GET /c +0 {refused}"),
            &format!("GET /d {refused}"),
        ],
    );
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let steps = [
        request(client.get(1, "/a")),
        response(go_away(0x7fff_ffff, 0)),
        request(go_away(0, 0)),
        response(server.status(1, "200", true)),
        request(client.get(3, "/b")),
        response(go_away(1, 11)),
    ];
    assert_exchanges(&steps, &["GET /a +0 -> 200 +0", "GET /b +0 GoneAway { code: 11, served: false }"]);
}

#[test]
fn a_connection_that_ends_for_an_error_ends_its_streams_for_it() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let steps = [
        request([client.get(1, "/a"), client.get(3, "/b")].concat()),
        response([go_away(3, 0), go_away(3, 8), server.status(3, "200", true)].concat()),
        closed(),
    ];
    assert_exchanges(&steps, &["GET /a +0 GoneAway { code: 8, served: true }", "GET /b +0 -> 200 +0"]);
}

#[test]
fn a_connection_that_ends_ends_its_streams() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let steps = [
        request([client.get(1, "/a"), client.post(3, "/b")].concat()),
        response(server.status(3, "200", true)),
        Step::End(Some(true), How::Eof),
        Step::End(None, How::Failed(104)),
    ];
    assert_exchanges(&steps, &["GET /a +0 Failed(104)", "POST /b -> 200 +0"]);
    let mut client = Encoder::default();
    assert_exchanges(&[request(client.get(1, "/a")), closed()], &["GET /a +0 Closed { by_peer: false }"]);
    let mut client = Encoder::default();
    let swept = [request(client.get(1, "/a")), Step::End(None, How::Swept)];
    assert_exchanges(&swept, &["GET /a +0 Unseen(Swept)"]);
}

#[test]
fn what_a_server_pushes_is_no_exchange_but_is_decoded() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let mut promise = 2_u32.to_be_bytes().to_vec();
    promise.extend(server.block(&[(":path", "/style.css"), ("x-new", "1")]));
    let steps = [
        request(client.get(1, "/a")),
        response(frame(5, 4, 1, promise)),
        response(server.headers(2, &[(":status", "200"), ("x-new", "1")], false)),
        response(
            [data(2, "pushed", true), server.headers(1, &[(":status", "200"), ("x-new", "1")], true)]
                .concat(),
        ),
    ];
    assert_exchanges(&steps, &["GET /a +0 -> 200 +0"]);
}

#[test]
fn an_extended_connect_lasts_as_long_as_its_tunnel() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let fields = [&Encoder::request("CONNECT", "/chat")[..], &[(":protocol", "websocket")]].concat();
    let steps = [
        request(client.headers(1, &fields, false)),
        response(server.status(1, "200", false)),
        request(data(1, "ping", false)),
        response(data(1, "pong!", true)),
        request(data(1, "", true)),
    ];
    assert_exchanges(&steps, &["CONNECT /chat +4 -> 200 +5"]);
}

#[test]
fn messages_are_counted_in_each_direction_of_a_call() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let three = [message(0), message(100), message(7)].concat();
    let grpc = [(":status", "200"), ("content-type", "application/grpc")];
    let steps = [
        request(client.call(1, "/shop.Cart/Add")),
        request([data(1, &three[..50], false), data(1, &three[50..], true)].concat()),
        response([server.headers(1, &grpc, false), data(1, message(3), false)].concat()),
        response(server.headers(1, &[("grpc-status", "0")], true)),
        request([client.post(3, "/plain"), data(3, "text", true)].concat()),
        response(server.status(3, "200", true)),
    ];
    assert_exchanges(&steps, &["POST /shop.Cart/Add +122 -> 200 +8", "POST /plain +4 -> 200 +0"]);
    let whole = run(Side::Server, &events(Side::Server, &[opening(), steps.to_vec()].concat()));
    assert_eq!(whole.told[&1].messages, Some((Some(3), Some(1))));
    assert_eq!(whole.told[&3].messages, None);
}

#[test]
fn trailers_in_the_content_are_read_compressed_or_not() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let plain = b"\x80\0\0\0\x0egrpc-status: 5".to_vec();
    for trailers in [plain, trailers::tests::message(b"grpc-status: 5\r\n")] {
        let web = ("content-type", "application/grpc-web+proto");
        let asked = [&Encoder::request("POST", "/a.B/C")[..], &[web]].concat();
        let answer = [message(3), trailers].concat();
        let steps = [
            request([client.headers(1, &asked, false), data(1, message(7), true)].concat()),
            response([server.headers(1, &[(":status", "200"), web], false), data(1, answer, true)].concat()),
        ];
        for side in SIDES {
            let events = events(side, &[opening(), steps.to_vec()].concat());
            for events in [events.clone(), shred(&events)] {
                let out = run(side, &events);
                assert_eq!(out.told[&1].messages, Some((Some(1), Some(1))));
                assert_eq!(out.told[&1].trailers, [("grpc-status".to_owned(), "5".to_owned())]);
            }
        }
        (client, server) = (Encoder::default(), Encoder::default());
    }
}

#[test]
fn an_upgraded_request_is_answered_on_stream_1() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let upgrade = "GET /up HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                   HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    let switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    let first = [switching.as_bytes(), &settings(&[]), &server.status(1, "200", false)].concat();
    let steps = [
        request("GET /before HTTP/1.1\r\nHost: x\r\n\r\n"),
        response("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        request(upgrade),
        response(first),
        request([PREFACE, &settings(&[]), &client.get(3, "/next")].concat()),
        response([data(1, "hello", true), server.status(3, "204", true)].concat()),
    ];
    let expected = ["GET /before +0 -> 200 +0", "GET /up +0 (101) -> 200 +5", "GET /next +0 -> 204 +0"];
    for side in SIDES {
        let events = events(side, &steps);
        let whole = run(side, &events);
        assert_eq!(whole.summaries(), expected);
        assert_eq!(run(side, &shred(&events)).summaries(), expected);
        for (index, event) in events.iter().enumerate() {
            let Owned::Data { bytes, .. } = event else { continue };
            for at in 1..bytes.len() {
                assert_eq!(run(side, &cut(&events, index, at)).summaries(), expected, "{index} at {at}");
            }
        }
        assert_losses(side, &events, &whole);
    }
}

#[test]
fn a_server_may_speak_first() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let steps = [
        response(settings(&[(3, 100)])),
        request([PREFACE, &settings(&[]), &client.get(1, "/a")].concat()),
        response([acknowledged(), server.status(1, "200", true)].concat()),
    ];
    for side in SIDES {
        let events = events(side, &steps);
        assert_eq!(run(side, &events).summaries(), ["GET /a +0 -> 200 +0"]);
        assert_eq!(run(side, &shred(&events)).summaries(), ["GET /a +0 -> 200 +0"]);
    }
}

#[test]
fn a_response_recorded_before_its_request_waits_for_it() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let mut steps = opening();
    let mut expected = Vec::new();
    for stream in (1..30).step_by(2) {
        let path = format!("/{stream}");
        steps.push(request(client.get(stream, &path)));
        steps.push(response(server.status(stream, "200", true)));
        expected.push(format!("GET {path} +0 -> 200 +0"));
    }
    for side in SIDES {
        let mut events = events(side, &steps);
        events.swap(5, 6);
        assert_eq!(run(side, &events).summaries(), expected);
        // One that never comes holds nobody up for long.
        events.remove(6);
        let out = run(side, &events);
        assert_eq!(out.told[&1].summary(), expected[0]);
        // Its authority stands for an entry that may be another one.
        assert_eq!(out.told[&29].summary(), "GET /29 incomplete +0 -> 200 +0");
        assert!(out.told.len() > expected.len() - 6);
    }
}

#[test]
fn a_long_payload_is_skipped_if_no_prefix_of_a_message_can_be_in_it() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let upload = data(1, [0; 16_000], true);
    let call = data(3, message(15_995), true);
    let steps = [
        opening(),
        vec![
            request([client.post(1, "/a"), upload[..100].to_vec()].concat()),
            request(&upload[100..]),
            request([client.call(3, "/a.B/C"), call[..100].to_vec()].concat()),
            request(&call[100..]),
            response([server.status(1, "200", true), server.status(3, "200", true)].concat()),
        ],
    ]
    .concat();
    let out = run(Side::Server, &events(Side::Server, &steps));
    let end = |path: usize| {
        steps[..path]
            .iter()
            .filter_map(|step| match step {
                Step::Request(bytes) => Some(bytes.len() as u64),
                Step::Response(_) | Step::Cut(_) | Step::End(..) => None,
            })
            .sum::<u64>()
    };
    assert_eq!(out.skips, [(Direction::Received, end(5)), (Direction::Received, end(7))]);
    assert_eq!(out.told[&3].messages, Some((Some(1), Some(0))));
}

#[test]
fn streams_and_header_blocks_are_bounded() {
    let mut client = Encoder::default();
    let count = limit::STREAMS_MAX as u32 + 10;
    let many = (0..count).map(|number| request(client.post(number * 2 + 1, "/a")));
    let out = run(Side::Server, &events(Side::Server, &[opening(), many.collect()].concat()));
    assert_eq!(out.counters.value(Counter::ExchangesEvicted), 10);

    // A header block that never ends, and goes on.
    let mut client = Encoder::default();
    let mut flood = vec![request(frame(1, 0, 1, client.block(&Encoder::request("GET", "/flood"))))];
    for _ in 0..30 {
        flood.push(request(frame(9, 0, 1, [0xbe; 16_000])));
    }
    flood.push(request(frame(9, 4, 1, [])));
    flood.push(request(client.get(3, "/b")));
    let out = run(Side::Server, &events(Side::Server, &[opening(), flood].concat()));
    assert_eq!(out.counters.value(Counter::HeadTooLong), 1);
    assert_eq!(out.told[&1].request, "GET /flood");
    assert!(out.told[&1].incomplete && out.told[&3].incomplete);
}

#[test]
fn a_bomb_ends_the_decoding_and_a_long_list_does_not() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let mut steps = opening();
    steps.push(request(client.get(1, "/a")));
    steps.push(response(server.status(1, "200", true)));
    let large =
        client.headers(3, &[&Encoder::request("GET", "/b")[..], &[("x", &"y".repeat(4000))]].concat(), true);
    let bomb = [large, frame(1, 5, 5, [0xbe; 1000]), client.get(7, "/d")].concat();
    let bombed = [&steps[..], &[request(bomb)]].concat();
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let numbers: Vec<_> = (0..10_000).map(|number| number.to_string()).collect();
    let long: Vec<_> = numbers.iter().map(|number| ("x-number", &number[..])).collect();
    let fields = [&Encoder::request("GET", "/long")[..], &long].concat();
    let steps = [
        request(client.pieces(1, &fields, true, 10)),
        response(server.status(1, "200", true)),
        request(client.get(3, "/b")),
        response(server.status(3, "200", true)),
    ];
    for side in SIDES {
        let out = run(side, &events(side, &bombed));
        assert_eq!(out.summaries(), ["GET /a +0 -> 200 +0", "GET /b +0 Malformed"]);
        assert_eq!(out.counters.value(Counter::HeaderBlocksRefused), 1);
        assert!(out.ignored);
        let out = run(side, &events(side, &[opening(), steps.to_vec()].concat()));
        assert_eq!(out.summaries(), ["GET /long incomplete +0 -> 200 +0", "GET /b +0 -> 200 +0"]);
        assert_eq!(out.counters.value(Counter::HeadTooLong), 1);
        assert!(!out.ignored);
    }
}
