//! Losses inside of frames, and frames that are none.

use super::*;

/// Cuts so many bytes out of a call, at this place.
fn without(steps: &[Step], index: usize, place: usize, length: usize) -> Vec<Step> {
    let mut steps = steps.to_vec();
    let cut = |bytes: &[u8]| (bytes[..place].to_vec(), bytes[place + length..].to_vec());
    let pieces = match &steps[index] {
        Step::Request(bytes) => {
            let (before, after) = cut(bytes);
            [Step::Request(before), Step::Cut(length as u64), Step::Request(after)]
        }
        Step::Response(bytes) => {
            let (before, after) = cut(bytes);
            [Step::Response(before), Step::Cut(length as u64), Step::Response(after)]
        }
        other @ (Step::Cut(_) | Step::End(..)) => panic!("no bytes: {other:?}"),
    };
    let is_empty =
        |step: &Step| matches!(step, Step::Request(bytes) | Step::Response(bytes) if bytes.is_empty());
    steps.splice(index..=index, pieces.into_iter().filter(|step| !is_empty(step)));
    steps
}

fn conversation() -> Vec<Step> {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let grpc = [(":status", "200"), ("content-type", "application/grpc"), ("server", "s")];
    let mut steps = opening();
    for stream in [1, 3, 5, 7, 9] {
        steps.push(request([client.call(stream, "/a.B/C"), data(stream, message(20), true)].concat()));
        steps
            .push(response([server.headers(stream, &grpc, false), data(stream, message(9), false)].concat()));
        steps.push(response(server.headers(stream, &[("grpc-status", "0")], true)));
    }
    steps.push(closed());
    steps
}

#[test]
fn a_gap_anywhere_makes_nothing_wrong() {
    let steps = conversation();
    for side in SIDES {
        let whole = run(side, &events(side, &steps));
        assert_eq!(whole.summaries(), ["POST /a.B/C +25 -> 200 +14"; 5]);
        for (index, step) in steps.iter().enumerate() {
            let (Step::Request(bytes) | Step::Response(bytes)) = step else { continue };
            for place in 1..bytes.len() {
                for length in [1, 5, bytes.len() - place] {
                    let length = length.min(bytes.len() - place);
                    let damaged = without(&steps, index, place, length);
                    let part = run(side, &events(side, &damaged));
                    let context = format!("{side:?}, step {index} without {length} at {place}");
                    assert_right(&whole, &part, &context);
                    assert_eq!(part.counters.value(Counter::HeaderBlocksRefused), 0, "{context}");
                }
            }
        }
    }
}

#[test]
fn a_gap_inside_of_content_costs_nothing() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let steps = [
        opening(),
        vec![
            request([client.post(1, "/a"), data(1, [7; 1000], true)].concat()),
            response([server.status(1, "200", false), data(1, message(1000), true)].concat()),
            request(client.call(3, "/b.C/D")),
            request(data(3, message(1000), true)),
            response(server.status(3, "200", true)),
        ],
    ]
    .concat();
    let damaged = without(&without(&steps, 3, 100, 700), 8, 100, 909);
    for side in SIDES {
        let whole = run(side, &events(side, &steps));
        let part = run(side, &events(side, &damaged));
        assert_eq!(part.summaries(), whole.summaries());
        assert_eq!(part.told[&3].messages, Some((Some(1), Some(0))));
        assert_eq!(part.counters.value(Counter::GapBytes), 0);
    }
}

#[test]
fn a_head_that_is_cut_is_a_request_with_unknown_fields() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let first = client.get(1, "/a");
    let steps = [
        opening(),
        vec![
            request(&first),
            response(server.status(1, "200", true)),
            request(client.get(3, "/a")),
            response(server.status(3, "200", true)),
            request(client.get(5, "/new")),
            response(server.status(5, "200", true)),
        ],
    ]
    .concat();
    // All but method and scheme.
    let damaged = without(&steps, 3, 11, first.len() - 11);
    for side in SIDES {
        let out = run(side, &events(side, &damaged));
        assert_eq!(
            out.summaries(),
            [
                "GET ? incomplete +0 -> 200 +0",
                "GET ? incomplete +0 -> 200 +0",
                "GET /new incomplete +0 -> 200 +0"
            ]
        );
    }
}

#[test]
fn a_response_of_which_nothing_follows_ended_in_the_gap() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let mut steps = opening();
    steps.push(request([client.get(1, "/long"), client.get(3, "/lost")].concat()));
    steps.push(response(server.status(1, "200", false)));
    let lost = steps.len();
    steps.push(response(server.status(3, "200", true)));
    for number in 0..12 {
        steps.push(response(data(1, &b"tick, tock"[..4 + number % 7], false)));
    }
    steps.push(response(data(1, "end", true)));
    for side in SIDES {
        let mut events = events(side, &steps);
        events.remove(lost);
        let out = run(side, &events);
        assert_eq!(out.told[&3].summary(), "GET /lost +0 Gap", "{side:?}");
        assert_eq!(out.told[&1].status, Some(200));
        assert!(out.told[&1].response_body.is_some());
    }
}

#[test]
fn frames_that_break_the_rules_end_the_decoding() {
    let mut client = Encoder::default();
    let get = client.get(1, "/a");
    for wrong in [
        frame(0, 0, 0, "data on no stream"),
        frame(1, 4, 0, []),
        frame(2, 0, 0, [0; 5]),
        frame(3, 0, 1, [0; 5]),
        frame(3, 0, 0, [0; 4]),
        frame(4, 0, 0, [0; 5]),
        frame(4, 1, 0, [0; 6]),
        frame(4, 0, 1, []),
        frame(5, 4, 3, [0, 0, 0, 2]),
        frame(6, 0, 0, [0; 7]),
        frame(7, 0, 0, [0; 7]),
        frame(7, 0, 1, [0; 8]),
        frame(8, 0, 0, [0; 3]),
        frame(9, 4, 1, []),
        frame(0, 8, 1, [9, 0, 0]),
        frame(1, 4 | 8, 3, [9, 0, 0]),
        frame(1, 4, 3, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        [frame(1, 0, 3, []), frame(0, 0, 3, [])].concat(),
        [frame(1, 0, 3, []), frame(9, 4, 5, [])].concat(),
    ] {
        let steps = [opening(), vec![request(&get), request(&wrong), request(client.clone().get(9, "/b"))]];
        for side in SIDES {
            let events = events(side, &steps.concat());
            for events in [events.clone(), shred(&events)] {
                let out = run(side, &events);
                assert_eq!(out.summaries(), ["GET /a +0 Malformed"], "{wrong:?}");
                assert_eq!(out.counters.value(Counter::Malformed), 1, "{wrong:?}");
                assert!(out.ignored);
            }
        }
    }
}

#[test]
fn a_priority_of_a_wrong_length_is_an_error_of_its_stream_only() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    for wrong in [0, 4, 6, 300] {
        let steps = [
            request([client.get(1, "/a"), frame(2, 0, 1, vec![0; wrong])].concat()),
            response([server.status(1, "200", true), frame(2, 0, 1, vec![0; wrong])].concat()),
            request(client.get(3, "/b")),
            response(server.status(3, "200", true)),
        ];
        for side in SIDES {
            let events = events(side, &[opening(), steps.to_vec()].concat());
            for events in [events.clone(), shred(&events)] {
                let out = run(side, &events);
                assert_eq!(out.summaries(), ["GET /a +0 -> 200 +0", "GET /b +0 -> 200 +0"], "{wrong}");
                assert!(!out.ignored);
            }
        }
        (client, server) = (Encoder::default(), Encoder::default());
    }
}

#[test]
fn settings_of_both_sides_allow_the_other_a_larger_table() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    // A size update to 8192: a client may, once it has acknowledged that the server allows it.
    let grown =
        frame(1, 5, 1, [&[0x3f, 0xe1, 0x3f][..], &client.block(&Encoder::request("GET", "/a"))].concat());
    let allowed = [
        request([PREFACE, &settings(&[])].concat()),
        response([settings(&[(1, 8192)]), acknowledged()].concat()),
        request([acknowledged(), grown.clone()].concat()),
        response(server.status(1, "200", true)),
    ];
    let early = [
        request([PREFACE, &settings(&[])].concat()),
        response([settings(&[(1, 8192)]), acknowledged()].concat()),
        request([grown, acknowledged()].concat()),
    ];
    for side in SIDES {
        assert_eq!(run(side, &events(side, &allowed)).summaries(), ["GET /a +0 -> 200 +0"]);
        let refused = run(side, &events(side, &early));
        assert!(refused.told.is_empty());
        assert_eq!(refused.counters.value(Counter::HeaderBlocksRefused), 1);
    }
}

#[test]
fn an_acknowledgement_recorded_before_its_settings_leaves_the_next_ones_in_step() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    // Size updates to 8192 and to 100.
    let [grown, shrunk] = [&[0x3f, 0xe1, 0x3f][..], &[0x3f, 0x45]].map(|update| {
        let block = Encoder::default().block(&Encoder::request("GET", "/a"));
        [update, &block].concat()
    });
    let opening = || {
        vec![
            request([PREFACE, &settings(&[]), &acknowledged()].concat()),
            response([settings(&[(1, 100)]), settings(&[(1, 8192)])].concat()),
        ]
    };
    let right = [
        opening(),
        vec![
            request([acknowledged(), frame(1, 5, 1, &grown)].concat()),
            response([acknowledged(), server.status(1, "200", true)].concat()),
            // Both are known again.
            response(settings(&[(1, 100)])),
            request([acknowledged(), frame(1, 5, 3, &shrunk)].concat()),
            response(server.status(3, "200", true)),
        ],
    ]
    .concat();
    let wrong = [
        opening(),
        vec![request(acknowledged()), response(settings(&[(1, 100)]))],
        vec![request([acknowledged(), client.get(1, "/a"), frame(1, 5, 3, &grown)].concat())],
    ]
    .concat();
    for side in SIDES {
        let out = run(side, &events(side, &right));
        assert_eq!(out.summaries(), ["GET /a +0 -> 200 +0"; 2]);
        let out = run(side, &events(side, &wrong));
        assert_eq!(out.counters.value(Counter::HeaderBlocksRefused), 1);
    }
}

#[test]
fn acknowledgements_that_were_lost_leave_the_limit_unknown() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let steps = [
        request([PREFACE, &settings(&[]), &client.get(1, "/a")].concat()),
        response([settings(&[(1, 100)]), acknowledged(), server.status(1, "200", true)].concat()),
        // Lost.
        request([acknowledged(), window_update(0)].concat()),
        response([settings(&[(1, 8192)]), window_update(0)].concat()),
        request([window_update(0), window_update(0)].concat()),
        request(window_update(0)),
        request(window_update(0)),
        request(window_update(0)),
        request(acknowledged()),
        request(frame(
            1,
            5,
            3,
            [&[0x3f, 0xe1, 0x3f], &client.block(&Encoder::request("GET", "/b"))[..]].concat(),
        )),
        response(server.status(3, "200", true)),
    ];
    for side in SIDES {
        let mut events = events(side, &steps);
        events.remove(2);
        let out = run(side, &events);
        assert_eq!(out.counters.value(Counter::HeaderBlocksRefused), 0);
        assert_eq!(out.told.len(), 2, "{:?}", out.summaries());
    }
}

#[test]
fn a_flood_of_settings_is_bounded() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let mut steps = opening();
    for _ in 0..100 {
        steps.push(request(settings(&[(1, 100), (2, 0), (1, 8192)])));
    }
    steps.push(request(client.get(1, "/a")));
    steps.push(response([acknowledged().repeat(100), server.status(1, "200", true)].concat()));
    assert_eq!(run(Side::Server, &events(Side::Server, &steps)).summaries(), ["GET /a +0 -> 200 +0"]);
}
