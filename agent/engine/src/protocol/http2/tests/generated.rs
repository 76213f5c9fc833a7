//! Conversations made at random, and bytes that are none.

use super::*;

fn seed(default: u64) -> Random {
    let seed = option_env!("SPANDREL_SEED").and_then(|seed| seed.parse().ok()).unwrap_or(default);
    eprintln!("seed {seed}; set SPANDREL_SEED to choose another when the test is built");
    Random(seed)
}

/// Many streams at once, in frames of any size and order.
fn conversation(random: &mut Random) -> (Vec<Step>, Vec<String>) {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let mut steps = opening();
    let mut expected = Vec::new();
    let count = 1 + random.below(8) as u32;
    // What each side has yet to send of each stream.
    let mut open: Vec<(u32, u64, u64, u64, u64)> = Vec::new();
    let mut next = 0;
    while next < count || !open.is_empty() {
        if next < count && random.below(3) == 0 {
            let stream = next * 2 + 1;
            let path = format!("/{}/{}", next % 3, random.below(3));
            let fields =
                [&Encoder::request("POST", &path)[..], &[("x-a", random.one_of(&["1", "2"]))]].concat();
            let pieces = 1 + random.below(3) as usize;
            let (body, answer) = (random.below(60), random.below(60));
            steps.push(request(client.pieces(stream, &fields, false, pieces)));
            // Distinct, so that a response at the wrong request is noticed.
            let status = 300 + next;
            open.push((stream, body, answer, 0, 0));
            expected.push(format!("POST {path} +{body} -> {status} +{answer}"));
            next += 1;
        }
        if open.is_empty() {
            continue;
        }
        let index = random.below(open.len() as u64) as usize;
        let (stream, body, answer, asked, answered) = &mut open[index];
        let status = (300 + (*stream - 1) / 2).to_string();
        if *asked < 2 && (random.below(2) == 0 || *answered == 3) {
            let length = if *asked == 0 { *body / 2 } else { *body - *body / 2 };
            steps.push(request(data(*stream, vec![0; length as usize], *asked == 1)));
            *asked += 1;
        } else if *answered < 3 {
            steps.push(response(match *answered {
                0 => server.headers(*stream, &[(":status", &status), ("x-b", "c")], false),
                1 => padded_data(*stream, &vec![1; *answer as usize], random.below(9) as u8, false),
                _ if random.below(2) == 0 => data(*stream, "", true),
                _ => server.headers(*stream, &[("x-trailer", "t")], true),
            }));
            *answered += 1;
        }
        if open[index].3 == 2 && open[index].4 == 3 {
            open.remove(index);
        }
    }
    if random.below(2) == 0 {
        steps.push(closed());
    }
    (join(random, steps), expected)
}

/// Puts some neighbours of one direction into one call.
fn join(random: &mut Random, steps: Vec<Step>) -> Vec<Step> {
    let mut joined: Vec<Step> = Vec::new();
    for step in steps {
        match (joined.last_mut(), step) {
            (Some(Step::Request(before)), Step::Request(bytes)) if random.below(2) == 0 => {
                before.extend(bytes)
            }
            (Some(Step::Response(before)), Step::Response(bytes)) if random.below(2) == 0 => {
                before.extend(bytes)
            }
            (_, step) => joined.push(step),
        }
    }
    joined
}

#[test]
fn generated_conversations_give_their_exchanges_however_they_are_recorded() {
    let mut random = seed(0x5EED);
    for _ in 0..300 {
        let (steps, expected) = conversation(&mut random);
        for side in SIDES {
            let mut events = events(side, &steps);
            for _ in 0..random.below(4) {
                let index = random.below(events.len() as u64) as usize;
                if let Owned::Data { bytes, .. } = &events[index]
                    && bytes.len() > 1
                {
                    let at = 1 + random.below(bytes.len() as u64 - 1) as usize;
                    events = cut(&events, index, at);
                }
            }
            let whole = run(side, &events);
            assert_eq!(whole.summaries(), expected, "{side:?} {steps:?}");
            // Neighbours recorded in the other order.
            let mut shuffled = events.clone();
            for _ in 0..3 {
                let index = 3 + random.below(events.len() as u64 - 3) as usize;
                shuffled.swap(index, (index + 1).min(events.len() - 1));
            }
            assert_eq!(run(side, &shuffled).summaries(), expected, "{side:?} shuffled {shuffled:?}");
            assert_losses(side, &events, &whole);
            for _ in 0..random.below(4) {
                if shuffled.len() > 1 {
                    shuffled.remove(random.below(shuffled.len() as u64) as usize);
                }
            }
            assert_right(&whole, &run(side, &shuffled), &format!("{side:?} {shuffled:?}"));
        }
    }
}

#[test]
fn hostile_bytes_never_panic_and_end() {
    let mut random = seed(0xBAD);
    for _ in 0..600 {
        let (steps, _) = conversation(&mut random);
        for side in SIDES {
            let mut events = events(side, &steps);
            for event in &mut events {
                if let Owned::Data { bytes, position, gap, .. } = event {
                    for _ in 0..random.below(3) {
                        let index = random.below(bytes.len() as u64) as usize;
                        bytes[index] = random.below(256) as u8;
                    }
                    if random.below(8) == 0 {
                        *position = random.below(1 << 31) << random.below(33);
                        *gap = random.below(1 << 31);
                    }
                }
            }
            run(side, &events);
            for role in [crate::event::Role::Unknown, role(side)] {
                play(Connection::new(role, false), &events);
            }
        }
    }
}
