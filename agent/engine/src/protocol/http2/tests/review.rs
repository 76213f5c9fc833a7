//! Review.

use super::{framed::Kernel, *};
use crate::{event::{ConnectionId, Data, Framing}, protocol::Unseen};

/// Responses of another connection: `:status 500` by its index of the static table (RFC 7541, A), and content.
fn answers(ids: impl Iterator<Item = u32>) -> Vec<u8> {
    ids.flat_map(|id| [frame(1, 4, id, [0x8e]), data(id, "no", true)].concat()).collect()
}

/// With so much time between events that nothing waits for a lost one.
fn slow(mut events: Vec<Owned>) -> Vec<Owned> {
    for event in &mut events {
        if let Owned::Data { call, .. } = event {
            *call = call_at(call.enter * 200);
        }
    }
    events
}

fn wrong(whole: &Recorder, part: &Recorder) -> Vec<String> {
    part.told
        .values()
        .filter_map(|told| {
            let known = whole.told.values().find(|other| other.position == told.position);
            let Some(known) = known else { return Some(format!("invented {}", told.summary())) };
            let fields: Vec<_> = told.fields.iter().filter(|field| !known.fields.contains(field)).collect();
            let trailers: Vec<_> =
                told.trailers.iter().filter(|field| !known.trailers.contains(field)).collect();
            (told.status.is_some() && told.status != known.status || !fields.is_empty() || !trailers.is_empty())
                .then(|| format!("{} for {} {fields:?} {trailers:?}", told.summary(), known.summary()))
        })
        .collect()
}

/// Downloads of a recording of responses 1..=last of another connection; the record of one response head is lost.
fn downloads_with_a_loss(last: u32, count: u32) -> Vec<String> {
    let content = answers((0..=last / 2).map(|number| number * 2 + 1));
    assert!(content.len() < 16_384);
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let mut steps = opening();
    let mut heads = Vec::new();
    for number in 0..count {
        let stream = number * 2 + 1;
        steps.push(request(client.get(stream, &format!("/download/{}", number % 7))));
        heads.push((stream, steps.len()));
        let head = server.status(stream, if number % 3 == 0 { "204" } else { "200" }, false);
        steps.extend([head, data(stream, &content, true)].concat().chunks(200).map(response));
    }
    let mut found = Vec::new();
    for side in SIDES {
        let events = slow(events(side, &steps));
        let whole = run(side, &events);
        assert!(wrong(&whole, &whole).is_empty());
        for (stream, head) in &heads {
            let mut rest = events.clone();
            rest.remove(*head);
            let part = run(side, &rest);
            let bad = wrong(&whole, &part);
            if !bad.is_empty() {
                found.push(format!("{side:?} without the head of {stream}: {bad:?}"));
            }
        }
    }
    found
}

#[test]
fn a1_answers_in_content_that_come_before_their_requests() {
    let found = downloads_with_a_loss(401, 110);
    assert!(found.is_empty(), "{} {:#?}", found.len(), &found[..found.len().min(4)]);
}

#[test]
fn a2_an_answer_in_content_to_a_stream_that_is_open() {
    // Only streams up to 161 are in the recording.
    let found = downloads_with_a_loss(149, 74);
    assert!(found.is_empty(), "{} {:#?}", found.len(), &found[..found.len().min(4)]);
}

#[test]
fn a3_the_same_joined() {
    let content = answers((0..=200).map(|number| number * 2 + 1));
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let mut steps = opening();
    for number in 0..100 {
        let stream = number * 2 + 1;
        steps.push(request(client.get(stream, &format!("/download/{}", number % 7))));
        let head = server.status(stream, if number % 3 == 0 { "204" } else { "200" }, false);
        steps.extend([head, data(stream, &content, true)].concat().chunks(200).map(response));
    }
    let mut found = Vec::new();
    for side in SIDES {
        let events = slow(events(side, &steps));
        let whole = run(side, &events);
        for start in 3..events.len() * 9 / 10 {
            let part = play(Connection::new(role(side), false), &events[start..]);
            let bad = wrong(&whole, &part);
            if !bad.is_empty() {
                found.push(format!("{side:?} from {start}: {bad:?}"));
            }
        }
    }
    assert!(found.is_empty(), "{} {:#?}", found.len(), &found[..found.len().min(4)]);
}

#[test]
fn a4_a_long_call_is_open_and_content_has_its_number() {
    // Stream 1 is open for long, and was answered; a recording of trailers of stream 1.
    let mut other = Encoder::default();
    let mut content = Vec::new();
    for number in 0..80 {
        content.extend(data(1, "x", false));
        content.extend(other.headers(1, &[("grpc-status", "13"), ("x-phantom", &number.to_string())], true));
    }
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let mut steps = opening();
    steps.push(request(client.post(1, "/watch")));
    steps.push(response(server.status(1, "200", false)));
    let mut heads = Vec::new();
    for number in 1..30 {
        let stream = number * 2 + 1;
        steps.push(request(client.get(stream, &format!("/download/{}", number % 7))));
        heads.push((stream, steps.len()));
        let head = server.status(stream, if number % 3 == 0 { "204" } else { "200" }, false);
        steps.extend([head, data(stream, &content, true)].concat().chunks(500).map(response));
    }
    let mut found = Vec::new();
    for side in SIDES {
        let events = slow(events(side, &steps));
        let whole = run(side, &events);
        for (stream, head) in &heads {
            let mut rest = events.clone();
            rest.remove(*head);
            let part = run(side, &rest);
            let bad = wrong(&whole, &part);
            if !bad.is_empty() {
                found.push(format!("{side:?} without the head of {stream}: {bad:?}"));
            }
        }
    }
    assert!(found.is_empty(), "{} {:#?}", found.len(), &found[..found.len().min(4)]);
}

#[test]
fn b_trailers_in_content_come_into_the_header_table() {
    // Client streams of another connection that all end with trailers.
    let mut other = Encoder::default();
    let mut content = Vec::new();
    for number in 0..100 {
        let unique = number.to_string();
        content.extend(other.headers(number * 2 + 1, &[("x-phantom", &unique)], true));
    }
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let mut steps = opening();
    for number in 0..200 {
        let stream = number * 2 + 1;
        let path = format!("/upload/{}", number % 7);
        let mut fields = Encoder::request("POST", &path).to_vec();
        let user = format!("user-{}", number % 5);
        fields.push(("x-user", &user));
        steps.push(request(client.headers(stream, &fields, false)));
        steps.extend(data(stream, &content, true).chunks(500).map(request));
        steps.push(response(server.status(stream, "200", true)));
    }
    let mut found = Vec::new();
    for side in SIDES {
        let events = slow(events(side, &steps));
        let whole = run(side, &events);
        for start in 3..events.len() * 9 / 10 {
            let part = play(Connection::new(role(side), false), &events[start..]);
            let bad = wrong(&whole, &part);
            if !bad.is_empty() {
                found.push(format!("{side:?} from {start}: {} {:?}", bad.len(), &bad[..1]));
            }
        }
    }
    assert!(found.is_empty(), "{} {:#?}", found.len(), &found[..found.len().min(4)]);
}

/// Downloads of so many bytes in frames of 16 KiB, moved in pieces of 10,000 bytes or whole frames.
fn large(count: u32, length: usize, piece: usize, updates: bool) -> Vec<usize> {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let mut steps = opening();
    for number in 0..count {
        let stream = number * 2 + 1;
        steps.push(request(client.get(stream, &format!("/download/{}", number % 7))));
        let mut answer = server.status(stream, "200", false);
        for at in (0..length).step_by(16_384) {
            let part = (length - at).min(16_384);
            answer.extend(data(stream, vec![7; part], at + part == length));
        }
        for (index, piece) in answer.chunks(piece).enumerate() {
            steps.push(response(piece));
            if updates && index % 50 == 49 {
                steps.push(request([window_update(0), window_update(stream)].concat()));
            }
        }
    }
    SIDES.map(|side| {
        let events = slow(events(side, &steps));
        play(Connection::new(role(side), false), &events[5..]).told.len()
    }).to_vec()
}

#[test]
fn c_large_responses_on_an_old_connection() {
    let mut all = Vec::new();
    for length in [100_000, 300_000, 600_000, 2_000_000] {
        for piece in [10_000, 65_536, 16_393] {
            for updates in [false, true] {
                all.push((length, piece, updates, large(40, length, piece, updates)));
            }
        }
    }
    assert!(all.iter().all(|(.., told)| told.iter().all(|told| *told > 15)), "{all:#?}");
}

#[test]
fn c2_calls_beside_a_fast_stream() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let mut steps = opening();
    steps.push(request(client.get(1, "/stream")));
    steps.push(response(server.status(1, "200", false)));
    for number in 1..40 {
        let stream = number * 2 + 1;
        steps.push(request(client.get(stream, &format!("/a/{}", number % 7))));
        steps.push(response([server.status(stream, "200", false), data(stream, "ok", true)].concat()));
        let mut flow = Vec::new();
        for _ in 0..40 {
            flow.extend(data(1, [7; 16_384], false));
        }
        steps.extend(flow.chunks(10_000).map(response));
    }
    let told = SIDES.map(|side| {
        let events = slow(events(side, &steps));
        play(Connection::new(role(side), false), &events[5..]).told.len()
    });
    assert!(told.iter().all(|told| *told > 15), "{told:?}");
}

struct Both {
    kernel: Kernel,
    positions: [u64; 2],
}

impl Both {
    fn feed(&mut self, requests: bool, bytes: &[u8], framed: bool) {
        let at = usize::from(requests);
        let position = self.positions[at];
        self.kernel.now += MILLISECOND;
        let data = Data {
            conn: ConnectionId::default(),
            call: call_at(self.kernel.now),
            direction: if requests { Direction::Received } else { Direction::Sent },
            position,
            bytes,
            gap: 0,
            call_offset: 0,
            ambiguous: false,
            framing: if framed { Framing::From(position) } else { Framing::Unknown },
        };
        self.kernel.connection.timeout(self.kernel.now, &mut self.kernel.out);
        self.kernel.connection.data(&data, self.kernel.now, &mut self.kernel.out);
        self.positions[at] += bytes.len() as u64;
    }
}

#[test]
fn d_responses_that_the_kernel_side_follows_are_found_while_requests_are_on_trial() {
    let mut both = Both { kernel: Kernel::new(), positions: [0; 2] };
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    both.feed(true, &[PREFACE, &settings(&[])].concat(), false);
    both.feed(false, &[settings(&[]), acknowledged()].concat(), false);
    both.feed(true, &client.get(1, "/a"), false);
    both.feed(false, &server.status(1, "200", true), true);
    // A request is lost; the kernel side does not follow these, but responses.
    both.positions[1] += client.get(3, "/lost").len() as u64;
    for id in [5, 7, 9, 11] {
        both.feed(true, &client.get(id, "/b"), false);
    }
    both.kernel.now += limit::REORDER_WAIT * 2;
    both.kernel.connection.timeout(both.kernel.now, &mut both.kernel.out);
    for id in [13, 15] {
        both.feed(true, &client.get(id, "/c"), false);
    }
    let before = both.kernel.out.summaries();
    // A response is lost; where frames go on is known.
    both.positions[0] += server.status(5, "200", true).len() as u64;
    both.feed(false, &server.status(13, "200", true), true);
    both.kernel.now += limit::REORDER_WAIT * 2;
    both.kernel.connection.timeout(both.kernel.now, &mut both.kernel.out);
    let after = both.kernel.out.summaries();
    assert_eq!(both.kernel.out.counters.value(Counter::Http2Refuted), 0, "{before:?} {after:?}");
}

#[test]
fn e_what_waits_behind_a_gap_is_read_when_the_trial_of_requests_has_failed() {
    let mut both = Both { kernel: Kernel::new(), positions: [0; 2] };
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    both.feed(true, &[PREFACE, &settings(&[])].concat(), false);
    both.feed(false, &[settings(&[]), acknowledged()].concat(), false);
    both.feed(true, &client.get(1, "/a"), false);
    // A long answer.
    let long = data(1, [7; 1000], true);
    both.feed(false, &[&server.status(1, "200", false), &long[..100]].concat(), false);
    both.positions[1] += client.get(3, "/lost").len() as u64;
    for id in [5, 7, 9, 11] {
        both.feed(true, &client.get(id, "/b"), false);
    }
    both.kernel.now += limit::REORDER_WAIT * 2;
    both.kernel.connection.timeout(both.kernel.now, &mut both.kernel.out);
    both.feed(true, &client.get(13, "/c"), false);
    // A part of the content is lost, the rest of the answer is there.
    both.positions[0] += 400;
    both.feed(false, &long[500..], false);
    both.kernel.now += limit::REORDER_WAIT * 2;
    both.kernel.connection.timeout(both.kernel.now, &mut both.kernel.out);
    // No frame: the trial fails.
    both.feed(true, &frame(0, 0, 0, "no frame"), false);
    for _ in 0..100 {
        both.kernel.now += 1000 * MILLISECOND;
        both.kernel.connection.timeout(both.kernel.now, &mut both.kernel.out);
    }
    let deadline = both.kernel.connection.deadline();
    assert_eq!(both.kernel.out.summaries(), ["GET /a +0 -> 200 +1000"], "{deadline:?}");
    both.kernel.connection.finish(Unseen::AgentStopped, both.kernel.now, &mut both.kernel.out);
}

#[test]
fn f_long_polls_of_one_size_on_an_old_connection() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let mut all = Vec::new();
    let mut steps = Vec::new();
    for number in 0..60 {
        let stream = number * 2 + 1;
        steps.push((true, client.get(stream, "/poll")));
        steps.push((false, [server.status(stream, "200", false), data(stream, "[]", true)].concat()));
    }
    for side in SIDES {
        for wait in [1, 15] {
            let (mut now, mut positions) = (0, [0_u64; 2]);
            let mut events = Vec::new();
            for (requests, bytes) in &steps {
                now += if *requests { MILLISECOND } else { wait * 1000 * MILLISECOND };
                let direction = if *requests { side.requests() } else { side.requests().opposite() };
                let position = &mut positions[usize::from(*requests)];
                events.push(Owned::Data { direction, position: *position, bytes: bytes.clone(), gap: 0, call: call_at(now) });
                *position += bytes.len() as u64;
            }
            let out = play(Connection::new(role(side), false), &events[20..]);
            let known = out.told.values().filter(|told| told.status.is_some()).count();
            all.push((side, wait, out.told.len(), known));
        }
    }
    assert!(all.iter().all(|(.., known)| *known > 20), "{all:?}");
}

