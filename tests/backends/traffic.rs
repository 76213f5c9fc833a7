//! The traces that every backend is sent: recorded once, so that all of them get the same spans with the same ids.

use std::{collections::BTreeMap, fs, process::Command, sync::OnceLock};

use acceptance::{
    TempDir,
    demo::{Services, TREE},
    http::get,
    process::output,
    span::{Kind, Span},
    spandrel::{Agent, Options, binary},
    tree::assert_tree,
    workload::{Family, Language, application},
};

const TRACES: usize = 100;
pub(crate) const SPANS_PER_TRACE: usize = 9;
/// One server, and both ends of two calls that fail.
const SPANS_OF_FAILURES: usize = 5;

static RECORDING: OnceLock<Vec<u8>> = OnceLock::new();

/// Replays the traces into a destination; the same spans as lines of OTLP/JSON.
pub(crate) fn replayed_into(destination: &str) -> String {
    let directory = TempDir::new();
    let recording = directory.path().join("traces.records");
    fs::write(&recording, RECORDING.get_or_init(record)).unwrap();
    let lines = directory.path().join("spans.jsonl");
    let mut replay = Command::new(binary());
    replay.arg("replay").arg(&recording).args(["--export", destination]);
    // It fails if the destination does not take every span.
    output("spandrel replay", replay.arg("--export").arg(format!("json={}", lines.display())));
    fs::read_to_string(lines).unwrap()
}

/// A hundred traces of the demo, and one with what the demo does not have: errors of the client and of the server.
fn record() -> Vec<u8> {
    let services = Services::start();
    let back = application(Language::Python, Family::Tcp, "back");
    let front = application(Language::Python, Family::Tcp, "front");
    let mut options = Options { recorded: true, ..services.selection() };
    options.pids.extend([&front, &back].map(|server| server.process.pid()));
    let agent = Agent::start(&options);
    for _ in 0..TRACES {
        services.order();
    }
    let failing = |status: &str| back.call(&format!("/fails%3Fstatus={status}"));
    get(&front.address, &format!("/failures?call={}&call={}", failing("404"), failing("503"))).unwrap();
    let finished = agent.finish_where(TRACES * SPANS_PER_TRACE + SPANS_OF_FAILURES, |_| true);
    check(&finished.all);
    finished.recording
}

/// What is compared later is worth it: whole traces, spans of both kinds, with errors and without.
fn check(spans: &[Span]) {
    let mut traces = BTreeMap::<&str, Vec<Span>>::new();
    for span in spans {
        traces.entry(&span.trace).or_default().push(span.clone());
    }
    let (orders, failures): (Vec<_>, Vec<_>) =
        traces.into_values().partition(|trace| trace.len() == SPANS_PER_TRACE);
    assert_eq!((orders.len(), failures.len()), (TRACES, 1));
    for order in &orders {
        assert_tree(order, TREE);
    }
    let errors = |kind| failures[0].iter().filter(|span| span.kind == kind && span.status == 2).count();
    assert_eq!((errors(Kind::Client), errors(Kind::Server)), (2, 1));
}
