//! Connections that are older than the agent.

use super::*;

/// The same events without the first ones, on a connection of which nothing else is known.
fn joined(side: Side, known: bool, events: &[Owned]) -> Recorder {
    let role = if known { role(side) } else { crate::event::Role::Unknown };
    play(Connection::new(role, false), events)
}

fn busy(requests: u32) -> Vec<Step> {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let mut steps = opening();
    for number in 0..requests {
        let stream = number * 2 + 1;
        let path = format!("/{}", number % 7);
        let mut fields = Encoder::request("GET", &path).to_vec();
        let unique = number.to_string();
        fields.push(("x-number", &unique));
        steps.push(request(client.headers(stream, &fields, true)));
        steps.push(response(
            [
                server.headers(stream, &[(":status", "200"), ("x-answer", &unique)], false),
                data(stream, "ok", true),
            ]
            .concat(),
        ));
    }
    steps
}

#[test]
fn a_connection_joined_late_is_known_for_http2_and_names_are_right_or_unknown() {
    let steps = busy(60);
    for side in SIDES {
        let events = events(side, &steps);
        let whole = run(side, &events);
        for known in [true, false] {
            for start in [4, 5, 6, 20, 41] {
                let part = joined(side, known, &events[start..]);
                assert_right(&whole, &part, &format!("{side:?} from {start}"));
                assert!(part.told.len() + start / 2 + 8 > 60, "{side:?} from {start}: {}", part.told.len());
                let last = part.told.values().next_back().unwrap();
                let number = (whole.told.len() - 1).to_string();
                // What it sends as a literal is known, and what it indexed before is not.
                assert!(last.fields.contains(&("x-number".into(), number)), "{last:?}");
                assert_eq!(last.status, Some(200));
            }
        }
    }
}

#[test]
fn frames_are_found_again_within_100_frames_however_they_are_read() {
    let steps = busy(400);
    for side in SIDES {
        let events = events(side, &steps);
        let whole = run(side, &events);
        // Bytes of each direction in pieces that have nothing to do with frames.
        for piece in [17, 100, 1000] {
            let mut pieces = Vec::new();
            for of in [Direction::Received, Direction::Sent] {
                let mut all = Vec::new();
                for event in &events {
                    if let Owned::Data { direction, bytes, .. } = event
                        && *direction == of
                    {
                        all.extend(bytes);
                    }
                }
                for (index, bytes) in all.chunks(piece).enumerate() {
                    let time = (index as u64 + 1) * MILLISECOND;
                    pieces.push(Owned::Data {
                        direction: of,
                        position: (index * piece) as u64,
                        bytes: bytes.to_vec(),
                        gap: 0,
                        call: call_at(time),
                    });
                }
            }
            pieces.sort_by_key(|event| match event {
                Owned::Data { direction, call, .. } => (call.exit, *direction != side.requests()),
                Owned::End(_) => (0, false),
            });
            let part = joined(side, true, &pieces[5..]);
            assert_right(&whole, &part, &format!("{side:?} in pieces of {piece}"));
            assert!(part.told.len() > 400 - 100 - 5 * piece / 20, "{side:?} {piece}: {}", part.told.len());
        }
    }
}

#[test]
fn content_that_looks_like_frames_makes_no_exchange() {
    let (mut client, mut server, mut other) = (Encoder::default(), Encoder::default(), Encoder::default());
    let mut content = Vec::new();
    for stream in 100..110 {
        content.extend(other.get(stream * 2 + 1, "/phantom"));
    }
    let mut steps = opening();
    for number in 0..30 {
        let stream = number * 2 + 1;
        steps.push(request(client.post(stream, "/upload")));
        // The frame header in a call of its own: the content begins a call, and ends one.
        let frame = data(stream, &content, true);
        steps.push(request(&frame[..9]));
        steps.push(request(&frame[9..]));
        steps.push(response(server.status(stream, "200", true)));
    }
    for side in SIDES {
        let events = events(side, &steps);
        let whole = run(side, &events);
        assert_eq!(whole.told.len(), 30);
        assert_losses(side, &events, &whole);
        for start in 3..20 {
            assert_right(&whole, &joined(side, true, &events[start..]), &format!("{side:?} from {start}"));
        }
    }
}

#[test]
fn a_recording_of_frames_in_one_frame_of_content_makes_no_exchange() {
    let (mut client, mut server, mut other) = (Encoder::default(), Encoder::default(), Encoder::default());
    let mut content = Vec::new();
    for stream in 0..300 {
        content.extend(other.get(stream * 2 + 1001, "/phantom"));
    }
    assert!(content.len() < 16_384);
    let mut steps = opening();
    for number in 0..12 {
        let stream = number * 2 + 1;
        steps.push(request(client.post(stream, "/upload")));
        steps.push(request(data(stream, &content, true)));
        steps.push(response(server.status(stream, "200", true)));
    }
    for side in SIDES {
        let events = events(side, &steps);
        let whole = run(side, &events);
        assert_eq!(whole.told.len(), 12);
        for known in [true, false] {
            for start in 3..16 {
                let part = joined(side, known, &events[start..]);
                assert_right(&whole, &part, &format!("{side:?} from {start}"));
                assert!(part.told.len() > 4, "{side:?} from {start}: {}", part.told.len());
            }
        }
    }
}

#[test]
fn other_bytes_are_not_taken_for_frames() {
    let mut random = Random(7);
    let mut steps = Vec::new();
    for length in [9, 100, 5000, 40_000, 40_000] {
        for zeros in [1, 2, 10] {
            let byte =
                |random: &mut Random| if random.below(zeros) == 0 { random.below(256) as u8 } else { 0 };
            let bytes: Vec<u8> = (0..length).map(|_| byte(&mut random)).collect();
            steps.push(request(&bytes));
            steps.push(response(&bytes));
        }
    }
    for side in SIDES {
        for known in [true, false] {
            assert!(joined(side, known, &events(side, &steps)).told.is_empty());
        }
    }
}

#[test]
fn http1_joined_late_is_not_suspected_for_long() {
    let get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\0\0";
    let steps = vec![[request(get), response(ok)]; 20].concat();
    for side in SIDES {
        for known in [true, false] {
            let out = joined(side, known, &events(side, &steps));
            assert_eq!(out.told.len(), 20);
        }
    }
}

#[test]
fn an_opening_of_which_the_first_call_is_lost_is_found_again() {
    let steps = busy(40);
    for side in SIDES {
        let events = events(side, &steps);
        let whole = run(side, &events);
        for lost in 0..6 {
            let mut rest = events.clone();
            rest.remove(lost);
            let part = run(side, &rest);
            assert_right(&whole, &part, &format!("{side:?} without {lost}"));
            assert!(part.told.len() > 25, "{side:?} without {lost}: {}", part.told.len());
        }
    }
}

#[test]
fn frames_that_are_longer_than_usual_are_found_again() {
    const GRPC: (&str, &str) = ("content-type", "application/grpc");
    // SETTINGS allowed them, before.
    for length in [16_000, 20_000, 100_000] {
        let (mut client, mut server) = (Encoder::default(), Encoder::default());
        let mut steps = opening();
        for stream in (1..200).step_by(2) {
            let asked = [client.call(stream, "/a.B/C"), data(stream, message(length), true)].concat();
            let head = server.headers(stream, &[(":status", "200"), GRPC], false);
            let end = server.headers(stream, &[("grpc-status", "0")], true);
            steps.extend([
                request(asked),
                response([head, data(stream, message(length), false), end].concat()),
            ]);
        }
        for side in SIDES {
            let out = joined(side, true, &events(side, &steps)[20..]);
            assert!(out.told.len() > 80, "{side:?}, messages of {length}: {} of 90", out.told.len());
        }
    }
}
