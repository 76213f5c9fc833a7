//! Connections of HTTP/2 that are joined in the middle, and of which records are lost, against what the server wrote and
//! what lies on the wire.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use acceptance::{
    late::{
        Log, NUMBER, Request, Score, Seen,
        wire::{self, Frame, Way},
    },
    recording::read,
    replay::{Outcome, replay_by},
    variation::{Records, thinned},
};
use engine::{
    Order,
    counter::Counter,
    event::Direction,
    policy::{HeaderNames, Headers, Policy},
};

/// Frames that may pass until they are told from other bytes.
const FRAMES_MAX: usize = 100;
/// Places at which a recording is joined.
const STARTS: usize = 200;
/// Seeds for each share of lost records.
const SEEDS: u64 = 20;

struct Case {
    name: String,
    records: Records,
    log: Log,
}

/// Every recording of a connection that is never idle, from its first byte to its last.
fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/http2/busy");
    let files = fs::read_dir(folder).expect("the captures").flatten().map(|file| file.path());
    let case = |path: PathBuf| Case {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        records: read(&path),
        log: Log::parse(&fs::read_to_string(path.with_extension("log")).expect("the log")),
    };
    let mut paths: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "records")).collect();
    paths.sort();
    assert!(paths.len() > 1);
    paths.into_iter().map(case).collect()
}

fn replayed(records: &[Vec<u8>]) -> (Outcome, Vec<Seen>) {
    let request = HeaderNames::new([NUMBER]).expect("a header name");
    let policy = Policy { headers: Headers { request, ..Headers::default() }, ..Policy::default() };
    let outcome = replay_by(policy, records);
    let (seen, rest) = outcome.accounting.sides();
    assert_eq!(seen, rest);
    let seen = outcome.spans.iter().map(Seen::of_engine).collect();
    (outcome, seen)
}

/// A request on the wire of one end, and what it takes to know it.
#[derive(Debug)]
struct Sent<'a> {
    request: &'a Frame,
    /// The final response.
    response: &'a Frame,
}

/// What one end of the connection saw: its two directions, and its requests by their numbers.
struct End<'a> {
    client: bool,
    requests: Way,
    responses: Way,
    sent: BTreeMap<u64, Sent<'a>>,
}

fn field<'a>(frame: &'a Frame, name: &str) -> Option<&'a wire::Field> {
    frame.fields.iter().find(|field| field.name == name)
}

/// Whether it can be known if insertions before this one were not seen. `Some(true)`: it is a literal, and takes none.
fn knowable(frame: &Frame, name: &str, inserted: u64) -> Option<bool> {
    let since = field(frame, name)?.since;
    since.is_none_or(|since| since >= inserted).then_some(since.is_none())
}

fn ends(frames: &BTreeMap<Way, Vec<Frame>>) -> Vec<End<'_>> {
    let mut ends = Vec::new();
    for (&(conn, direction), list) in frames {
        if !list.iter().any(|frame| field(frame, ":path").is_some()) {
            continue;
        }
        let responses = (conn, !direction);
        let mut sent = BTreeMap::new();
        for request in list.iter().filter(|frame| field(frame, ":path").is_some()) {
            let number = field(request, NUMBER).expect("a number").value.parse().expect("a number");
            let response = frames[&responses]
                .iter()
                .find(|frame| frame.stream == request.stream && field(frame, ":status").is_some());
            sent.insert(number, Sent { request, response: response.expect("a response") });
        }
        ends.push(End { client: direction, requests: (conn, direction), responses, sent });
    }
    assert_eq!(ends.len(), 2);
    ends
}

/// Where frames were found, by direction.
fn found(outcome: &Outcome) -> BTreeMap<Way, u64> {
    let position = |order: &Order| match *order {
        Order::Frames { conn, direction, position } => {
            Some(((conn.sock, direction == Direction::Sent), position))
        }
        Order::Skip { .. } | Order::Search { .. } | Order::Quiet { .. } | Order::Ignore { .. } => None,
    };
    outcome.orders.iter().rev().filter_map(position).collect()
}

#[test]
fn a_connection_joined_anywhere_is_told_as_far_as_it_can_be_known() {
    for Case { name, records, log } in cases() {
        let frames = wire::frames(&records);
        let ends = ends(&frames);
        // Fields that can be known, those that are, and the literal ones of them.
        let (mut all, mut known, mut literal) = (0, 0, 0);
        let (mut requests, mut most) = (0, 0);
        for start in (1..STARTS).map(|place| records.len() * place / (STARTS + STARTS / 4)) {
            let context = format!("{name} from {start}");
            let rest = &records[start..];
            let (outcome, seen) = replayed(rest);
            Score::of(&seen, &log, &context);
            requests += seen.len();
            let (starts, found) = (wire::starts(rest), found(&outcome));
            // Positions from which on frames are read, and the insertions that were not seen.
            let mut joined = BTreeMap::new();
            for (way, list) in &frames {
                let position = found.get(way).unwrap_or_else(|| panic!("{context}: no frames in {way:?}"));
                let at = list.iter().position(|frame| frame.position == *position);
                let at =
                    at.unwrap_or_else(|| panic!("{context}: {position} is inside of a frame of {way:?}"));
                let passed = list[..at].iter().filter(|frame| frame.position >= starts[way]).count();
                assert!(passed <= FRAMES_MAX, "{context}: {passed} frames of {way:?} were passed over");
                most = most.max(passed);
                joined.insert(*way, (*position, list[at].inserted));
            }
            for end in &ends {
                let told: BTreeMap<_, _> = seen
                    .iter()
                    .filter(|span| span.client == end.client)
                    .filter_map(|span| Some((span.number?, span)))
                    .collect();
                // A span that may be HTTP's or gRPC's has no attributes of either: no method, status or number.
                let mut undecided: BTreeMap<Option<String>, usize> = BTreeMap::new();
                for span in seen.iter().filter(|span| span.client == end.client && span.number.is_none()) {
                    *undecided.entry(span.request.path.clone()).or_default() += 1;
                }
                let mut take = |path: Option<&str>| {
                    let left = undecided.get_mut(&path.map(str::to_owned)).filter(|left| **left > 0);
                    left.map(|left| *left -= 1).is_some()
                };
                let ((from, requests), (responses_from, responses)) =
                    (joined[&end.requests], joined[&end.responses]);
                for (number, Sent { request, response }) in
                    end.sent.iter().filter(|(_, sent)| sent.request.position >= from)
                {
                    let answered = response.position >= responses_from;
                    let [method, path, status] = [
                        knowable(request, ":method", requests),
                        knowable(request, ":path", requests),
                        answered.then(|| knowable(response, ":status", responses)).flatten(),
                    ];
                    let fields = if let Some(Seen { request: said, .. }) = told.get(number) {
                        let Request { method: m, path: p, status: s } = said;
                        vec![(m.is_some(), method), (p.is_some(), path), (s.is_some(), status)]
                    } else {
                        let whole =
                            request.fields.iter().all(|field| field.since.is_none_or(|at| at >= requests));
                        assert!(!whole, "{context}: all of {number} can be known, and it is not told");
                        let named = path.is_some() && take(field(request, ":path").map(|it| &*it.value));
                        assert!(named || take(None), "{context}: no span of {number}");
                        vec![(named, path)]
                    };
                    for (is_known, can) in fields {
                        assert!(can.is_some() || !is_known, "{context}: {number} tells what it cannot know");
                        assert!(can != Some(true) || is_known, "{context}: a literal of {number} is unknown");
                        all += usize::from(can.is_some());
                        known += usize::from(is_known);
                        literal += usize::from(can == Some(true));
                    }
                }
            }
        }
        eprintln!(
            "{name}: {requests} spans, {known} of {all} fields, {literal} literal, at most {most} frames passed"
        );
        assert!(requests >= 10_000 && literal >= 1_000);
        assert!(known * 1000 >= all * 999, "{name}: {known} of {all} are known");
    }
}

#[test]
fn lost_records_make_no_name_wrong() {
    for Case { name, records, log } in cases() {
        for (loss, least) in [(1000, 0.95), (100, 0.5), (20, 0.1)] {
            let (mut all, mut named, mut lost) = (0, 0, 0);
            for seed in 0..SEEDS {
                let (outcome, seen) = replayed(&thinned(&records, loss, seed));
                let score = Score::of(&seen, &log, &format!("{name}, one in {loss}, seed {seed}"));
                all += score.spans;
                named += score.named;
                lost += outcome.counters.value(Counter::Gaps);
            }
            eprintln!("{name}, one in {loss} lost: {all} spans, {named} named, {lost} gaps");
            let sent = 2 * log.0.len() * SEEDS as usize;
            assert!(named as f64 >= least * sent as f64, "{name}, one in {loss}: {named} of {sent}");
        }
    }
}
