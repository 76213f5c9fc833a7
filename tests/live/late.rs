//! The agent is started in the middle of a connection that is never idle.

use acceptance::{
    TempDir,
    late::{NUMBER, Score, Seen},
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
    // A path that was never sent before is a literal.
    let once = |span: &&Seen| log.0.get(&span.number.unwrap_or_default()).is_some_and(sent_once);
    let literals = Score::of(seen.iter().filter(once), &log, &context);
    assert_eq!(literals.named, literals.spans, "{context}");
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
    eprintln!("{context}: {all:?}, literals {literals:?}, {passed} frames passed in {joined} directions");
    for seed in SEEDS {
        let outcome = replay_by(policy(), &thinned(&records, LOSS, seed));
        let seen: Vec<_> = outcome.spans.iter().map(Seen::of_engine).collect();
        let score = Score::of(&seen, &log, &format!("{context}, seed {seed}"));
        eprintln!("{context}, seed {seed}: {} records, {score:?}", records.len());
    }
}

fn sent_once(sent: &acceptance::late::Request) -> bool {
    sent.path.as_ref().is_some_and(|path| path.starts_with("/once/"))
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
