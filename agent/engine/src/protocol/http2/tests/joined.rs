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

/// Uploads of so many bytes of content, each in one DATA frame that is moved in pieces of a size, one answer each.
fn uploads(count: u32, content: &[u8], piece: usize) -> Vec<Step> {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let mut steps = opening();
    for number in 0..count {
        let stream = number * 2 + 1;
        steps.push(request(client.post(stream, &format!("/upload/{}", number % 7))));
        steps.extend(data(stream, content, true).chunks(piece).map(request));
        steps.push(response(server.status(stream, if number % 3 == 0 { "204" } else { "200" }, true)));
    }
    steps
}

/// A recording of requests, or of their responses, of at least so many bytes.
fn recorded(length: usize, first: u32, requests: bool) -> Vec<u8> {
    let (mut other, mut content) = (Encoder::default(), Vec::new());
    let mut stream = first;
    while content.len() < length {
        let path = format!("/phantom/{}", stream % 11);
        if requests {
            content.extend(other.get(stream, &path));
        } else {
            content.extend(other.headers(stream, &[(":status", "500"), ("x-phantom", &path)], true));
        }
        stream += 2;
    }
    content
}

#[test]
fn uploads_in_frames_of_any_size_are_told() {
    for (length, count) in [(16_384, 30), (16_385, 30), (65_536, 20), (1 << 20, 10)] {
        let zeros = vec![0; length];
        let bytes: Vec<_> = (0..length).map(|at| (at * 7 + at / 251) as u8).collect();
        for (content, side) in [(zeros, Side::Server), (bytes, Side::Client)] {
            let events = events(side, &uploads(count, &content, 1 << 24));
            let whole = run(side, &events);
            for (start, known) in [(4, true), (5, false), (6, true)] {
                let part = joined(side, known, &events[start..]);
                let context = format!("{length} bytes, {side:?} from {start}");
                assert_right(&whole, &part, &context);
                assert!(part.told.len() as u32 + 8 > count, "{context}: {}", part.told.len());
            }
        }
    }
}

#[test]
fn no_recording_of_frames_in_content_makes_an_exchange_whatever_its_size_and_pieces() {
    for (length, count) in [(3_000, 20), (15_000, 16), (60_000, 6)] {
        for first in [1, 9, 1001] {
            let content = recorded(length, first, true);
            for piece in [1 << 24, 4096, 1000] {
                let steps = uploads(count, &content, piece);
                for side in SIDES {
                    let events = events(side, &steps);
                    let whole = run(side, &events);
                    let starts = (3..events.len() * 3 / 4).step_by(1 + events.len() / 12);
                    for (start, known) in starts.flat_map(|start| [(start, true), (start, false)]) {
                        let part = joined(side, known, &events[start..]);
                        let context = format!(
                            "{length} bytes of streams from {first} in {piece}, {side:?} from {start}"
                        );
                        assert_right(&whole, &part, &context);
                    }
                }
            }
        }
    }
}

#[test]
fn no_recording_of_responses_in_content_makes_one_wrong() {
    for (length, count) in [(3_000, 20), (15_000, 16), (60_000, 6)] {
        for first in [1, 9, 1001] {
            let content = recorded(length, first, false);
            for piece in [1 << 24, 4096, 1000] {
                let (mut client, mut server) = (Encoder::default(), Encoder::default());
                let mut steps = opening();
                for number in 0..count {
                    let stream = number * 2 + 1;
                    steps.push(request(client.get(stream, &format!("/download/{}", number % 7))));
                    steps.push(response(server.status(stream, "200", false)));
                    steps.extend(data(stream, &content, true).chunks(piece).map(response));
                }
                for side in SIDES {
                    let events = events(side, &steps);
                    let whole = run(side, &events);
                    let starts = (3..events.len() * 3 / 4).step_by(1 + events.len() / 12);
                    for (start, known) in starts.flat_map(|start| [(start, true), (start, false)]) {
                        let part = joined(side, known, &events[start..]);
                        let context = format!(
                            "{length} bytes of streams from {first} in {piece}, {side:?} from {start}"
                        );
                        assert_right(&whole, &part, &context);
                    }
                }
            }
        }
    }
}
