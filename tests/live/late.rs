//! The agent is started in the middle of a connection that is never idle.

use std::collections::BTreeMap;

use acceptance::{
    TempDir,
    late::{Log, NUMBER, Score, Seen},
    recording,
    replay::replay_by,
    span::Span,
    spandrel::{Agent, Options, assert_accounted},
    variation::thinned,
    workload::busy::{Busy, Library},
};
use engine::{
    counter::Counter,
    policy::{HeaderNames, Headers, Policy},
};

/// Requests that are sent once the agent is there, before the header table has turned over for certain: it has room for
/// 128 entries. What is not known of them may leave open whether they are HTTP or gRPC; then their number is not told.
const TURNOVER: usize = 256;
/// Requests behind these.
const MORE: usize = 10_000;
/// Frames that may pass in a direction until they are told from other bytes.
const FRAMES_MAX: u64 = 100;
/// Requests that are under way at once: so many may be sent in another order than that of their numbers.
const AT_ONCE: u64 = 16;
/// One record of so many is thrown away, by chance, with each of these seeds.
const LOSS: u64 = 1000;
const SEEDS: [u64; 3] = [1, 2, 3];

fn policy() -> Policy {
    let request = HeaderNames::new([NUMBER]).unwrap();
    Policy { headers: Headers { request, ..Headers::default() }, ..Policy::default() }
}

fn assert_joined_late(client: Library, server: Library) {
    let mut busy = Busy::start(client, server);
    let agent = Agent::start(&Options {
        settings: vec![format!("headers: {{request: [{NUMBER}]}}")],
        raw: true,
        ..Options::only([&busy.client, &busy.server])
    });
    let (log, last) = busy.finish(TURNOVER + MORE);
    let first = last - MORE as u64 + 1;
    let late = |span: &Span| Seen::of(span).number.is_some_and(|number| number >= first);
    let finished = agent.finish_where(2 * MORE, late);
    assert_accounted(&finished.counters);

    let seen: Vec<_> = finished.all.iter().map(Seen::of).collect();
    let context = format!("{client:?} to {server:?}");
    let all = Score::of(&seen, &log, &context);
    let settled = seen.iter().filter(|span| span.number.is_some_and(|number| number >= first));
    let settled = Score::of(settled, &log, &context);
    let found = [settled.spans, settled.named, settled.methods, settled.answered];
    assert_eq!(found, [2 * MORE; 4], "{context}");
    let sought = last - (TURNOVER + MORE) as u64 + 1;
    let literals = assert_literals(&seen, &log, sought + FRAMES_MAX + AT_ONCE, &context);
    let directory = TempDir::new();
    let path = directory.path().join("late.records");
    std::fs::write(&path, &finished.recording).unwrap();
    let records = recording::read(&path);
    let counters = replay_by(policy(), &records).counters;
    let joined = counters.value(Counter::Http2Joined);
    let passed = counters.value(Counter::Http2FramesPassed);
    assert!(
        joined >= 4 && passed <= joined * FRAMES_MAX,
        "{context}: {passed} frames for {joined} directions"
    );
    eprintln!("{context}: {all:?}, {literals} literal paths, {passed} frames passed in {joined} directions");
    for seed in SEEDS {
        let outcome = replay_by(policy(), &thinned(&records, LOSS, seed));
        let seen: Vec<_> = outcome.spans.iter().map(Seen::of_engine).collect();
        let score = Score::of(&seen, &log, &format!("{context}, seed {seed}"));
        eprintln!("{context}, seed {seed}: {} records, {score:?}", records.len());
    }
}

/// A path that was never sent before is a literal: each that the server was asked for has its span on both sides, from
/// this request on. Says how many there are.
fn assert_literals(seen: &[Seen], log: &Log, first: u64, context: &str) -> usize {
    let once = |path: &&str| path.starts_with("/once/");
    let asked = log.0.range(first..).filter_map(|(_, request)| request.path.as_deref()).filter(once);
    let asked: Vec<_> = asked.collect();
    assert!(asked.len() >= MORE / 2, "{context}: {} literal paths", asked.len());
    for client in [true, false] {
        let mut spans: BTreeMap<&str, usize> = BTreeMap::new();
        let side = seen.iter().filter(|span| span.client == client);
        for path in side.filter_map(|span| span.request.path.as_deref()).filter(once) {
            *spans.entry(path).or_default() += 1;
        }
        let twice: Vec<_> = spans.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "{context}, client {client}: more than once: {twice:?}");
        let missing: Vec<_> = asked.iter().filter(|path| !spans.contains_key(**path)).collect();
        assert!(missing.is_empty(), "{context}, client {client}: no span of {missing:?}");
    }
    asked.len()
}

#[test]
fn a_client_of_go_is_joined_in_the_middle() {
    let _machine = live!();
    assert_joined_late(Library::Go, Library::Node);
}

#[test]
fn a_client_of_node_is_joined_in_the_middle() {
    let _machine = live!();
    assert_joined_late(Library::Node, Library::Go);
}
