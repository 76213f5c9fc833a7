use super::*;
use crate::policy::Instrumented;

/// What an SDK writes into its call: trace, span and flags of its own.
const MADE: &str = "00-0000000000000000000000000000ab1e-00000000000000c1-01";
const MADE_AGAIN: &str = "00-0000000000000000000000000000ab1f-00000000000000c2-01";
const MADE_TRACE: u128 = 0xab1e;
const MADE_SPAN: u64 = 0xc1;

const A: u32 = 10;
const SDK: u32 = 20;
const C: u32 = 30;

/// The process sends traces to a collector elsewhere.
fn exports(world: &mut World, tgid: u32, target: &str) {
    let socket = world.elsewhere();
    let task = task(tgid, u64::from(tgid) + 1);
    let post = world.start(socket, Side::Client, task);
    world.head(post, task, "POST", target, &[]);
    world.answer(post, task);
}

/// A plain program serves a request without a header and calls an instrumented one, which makes these calls to a
/// third one; the fields are those of each.
fn between(world: &mut World, calls: &[&[(&str, &str)]]) {
    let (from, hop) = (world.elsewhere(), world.connect());
    let (a, b, c) = (task(A, 10), task(SDK, 20), task(C, 30));
    let first = world.read(from, a);
    let to_sdk = world.send(hop.client, a);
    let in_sdk = world.read(hop.server, b);
    for fields in calls {
        let hop = world.connect();
        let call = world.request(hop.client, Side::Client, b, fields);
        let served = world.request(hop.server, Side::Server, c, fields);
        world.answer(served, c);
        world.answer(call, b);
    }
    world.answer(in_sdk, b);
    world.answer(to_sdk, a);
    world.answer(first, a);
}

#[test]
fn a_process_that_sends_traces_is_found_once_for_each_image() {
    let mut world = World::new();
    for target in ["/v1/metrics", "/v1/traces/", "/api/v2/spans"] {
        exports(&mut world, SDK, target);
    }
    assert_eq!(world.correlator.programs.poll(), None);
    exports(&mut world, SDK, "/v1/traces");
    exports(&mut world, SDK, "/v1/traces");
    exports(&mut world, C, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    assert_eq!(world.correlator.programs.poll(), Some(SDK));
    assert_eq!(world.correlator.programs.poll(), Some(C));
    assert_eq!(world.correlator.programs.poll(), None);
    world.correlator.process_changed(SDK);
    exports(&mut world, SDK, "/v1/traces");
    assert_eq!(world.correlator.programs.poll(), Some(SDK));
}

#[test]
fn a_program_behind_a_forward_proxy_is_found() {
    let mut world = World::new();
    exports(&mut world, SDK, "http://collector:4318/v1/traces?key=value");
    assert_eq!(world.correlator.programs.poll(), Some(SDK));
    let service = "opentelemetry.proto.collector.trace.v1.TraceService/Export";
    exports(&mut world, C, &format!("http://collector:4317/{service}"));
    assert_eq!(world.correlator.programs.poll(), Some(C));
    assert_eq!(world.all(), []);
    assert_eq!(world.correlator.accounting.excluded, 2);
}

/// A proxy serves a request for this, and calls for that on a task of its own or the same one before it answers.
fn passes_on(world: &mut World, (got, sent): (&str, &str), calling: u64) {
    let (from, to) = (world.elsewhere(), world.elsewhere());
    let (reads, calls) = (task(C, 30), task(C, calling));
    let served = world.start(from, Side::Server, reads);
    world.head(served, reads, "POST", got, &[]);
    let call = world.start(to, Side::Client, calls);
    world.head(call, calls, "POST", sent, &[]);
    world.answer(call, calls);
    world.answer(served, reads);
}

#[test]
fn what_passes_on_traces_of_others_is_not_instrumented() {
    let export = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    for calling in [30, 31] {
        for way in [
            ("/v1/traces", "/v1/traces"),
            ("/v1/traces", "http://collector:4318/v1/traces"),
            ("http://collector:4318/v1/traces", "/v1/traces"),
            ("/otlp/v1/traces", "/v1/traces"),
            ("/v1/traces", export),
            (export, export),
        ] {
            let mut world = World::new();
            passes_on(&mut world, way, calling);
            assert_eq!(world.correlator.programs.poll(), None, "{way:?}");
            // With a prefix it is not known to be telemetry.
            let spans = u64::from(way.0.starts_with("/otlp"));
            assert_eq!(world.all().len() as u64, spans, "{way:?}");
            assert_eq!(world.correlator.accounting.excluded, 2 - spans, "{way:?}");
            // What the proxy does else has its spans.
            let (from, to, it) = (world.elsewhere(), world.elsewhere(), task(C, 30));
            let served = world.read(from, it);
            let call = world.send(to, it);
            world.answer(call, it);
            world.answer(served, it);
            assert_eq!(world.all().len(), 2, "{way:?}");
        }
    }
}

#[test]
fn what_is_sent_while_nothing_came_is_the_programs_own() {
    let mut world = World::new();
    passes_on(&mut world, ("/v1/metrics", "/v1/traces"), 31);
    assert_eq!(world.correlator.programs.poll(), Some(C));

    let mut world = World::new();
    passes_on(&mut world, ("/v1/traces", "/v1/traces"), 31);
    assert_eq!(world.correlator.programs.poll(), None);
    exports(&mut world, SDK, "/v1/traces");
    exports(&mut world, C, "/v1/traces");
    assert_eq!(world.correlator.programs.poll(), Some(SDK), "another process passes them on");
    assert_eq!(world.correlator.programs.poll(), Some(C), "those that came have been answered");
}

#[test]
fn traces_that_came_are_forgotten_when_their_request_ends_in_any_way() {
    for end in [Ending::Closed { by_peer: true }, Ending::Gap] {
        let mut world = World::new();
        let (from, it) = (world.elsewhere(), task(C, 30));
        let served = world.start(from, Side::Server, it);
        world.head(served, it, "POST", "/v1/traces", &[]);
        world.end(served, end);
        exports(&mut world, C, "/v1/traces");
        assert_eq!(world.correlator.programs.poll(), Some(C));
    }
    let mut world = World::new();
    let (from, it) = (world.elsewhere(), task(C, 30));
    let served = world.start(from, Side::Server, it);
    world.head(served, it, "POST", "/v1/traces", &[]);
    world.watch(from, |out| out.retracted(served.number));
    exports(&mut world, C, "/v1/traces");
    assert_eq!(world.correlator.programs.poll(), Some(C));
}

#[test]
fn a_collector_that_answers_first_passes_traces_on_in_the_same_task() {
    let mut world = World::new();
    let (from, to, it) = (world.elsewhere(), world.elsewhere(), task(C, 30));
    let served = world.start(from, Side::Server, it);
    world.head(served, it, "POST", "/v1/traces", &[]);
    // The call started before the answer, and its head was written after it.
    let call = world.start(to, Side::Client, it);
    world.answer(served, it);
    world.head(call, it, "POST", "/v1/traces", &[]);
    world.answer(call, it);
    assert_eq!(world.correlator.programs.poll(), None);
}

#[test]
fn between_two_plain_programs_its_own_spans_complete_one_trace() {
    let mut world = World::new();
    exports(&mut world, SDK, "/v1/traces");
    between(&mut world, &[&[("traceparent", MADE)]]);
    let spans = world.all();
    assert_eq!(spans.len(), 3, "{spans:#?}");
    assert!(spans.iter().all(|span| span.trace_id.0 == MADE_TRACE && span.trace_flags & 1 == 1));
    let (root, call) = (the(&spans, Kind::Server, A), the(&spans, Kind::Client, A));
    is_root(root);
    is_child(call, root, LinkMethod::Reader);
    let parent = the(&spans, Kind::Server, C).parent.unwrap();
    assert_eq!((parent.span_id.0, parent.method, parent.process), (MADE_SPAN, LinkMethod::Header, None));
    let accounting = world.correlator.accounting;
    assert_eq!((accounting.instrumented, accounting.excluded), (2, 1));
    assert_eq!(world.counted(Counter::Instrumented), 2);
}

#[test]
fn the_sdks_decision_is_the_traces() {
    let mut world = World::new();
    exports(&mut world, SDK, "/v1/traces");
    between(&mut world, &[&[("traceparent", "00-0000000000000000000000000000ab1e-00000000000000c1-00")]]);
    assert_eq!(world.all(), []);
    assert_eq!(world.correlator.accounting.sampled_out, 5);
}

#[test]
fn its_calls_without_a_header_hang_under_the_nearest_span_above() {
    let mut world = World::new();
    exports(&mut world, SDK, "/v1/traces");
    between(&mut world, &[&[("traceparent", MADE)], &[]]);
    let spans = world.all();
    let call = the(&spans, Kind::Client, A);
    let served: Vec<_> = spans.iter().filter(|span| span.tgid == C).collect();
    assert_eq!(served.len(), 2);
    assert!(spans.iter().all(|span| span.trace_id.0 == MADE_TRACE));
    assert!(served.iter().any(|span| span.parent.is_some_and(|it| it.span_id.0 == MADE_SPAN)));
    assert!(served.iter().any(|span| span.parent.is_some_and(|it| it.span_id == call.span_id)));
}

#[test]
fn two_traces_made_for_one_request_stay_apart_from_it() {
    let mut world = World::new();
    exports(&mut world, SDK, "/v1/traces");
    between(&mut world, &[&[("traceparent", MADE)], &[("traceparent", MADE_AGAIN)]]);
    let spans = world.all();
    let traces = |tgid| {
        let mut traces: Vec<_> = spans.iter().filter(|it| it.tgid == tgid).map(|it| it.trace_id.0).collect();
        traces.sort_unstable();
        traces
    };
    assert_eq!(traces(C), [MADE_TRACE, MADE_TRACE + 1]);
    assert_eq!(traces(A).len(), 2);
    assert_eq!(traces(A)[0], traces(A)[1]);
    assert!(!traces(C).contains(&traces(A)[0]));
}

#[test]
fn a_trace_that_a_header_decided_is_not_changed() {
    let mut world = World::new();
    exports(&mut world, SDK, "/v1/traces");
    let hop = world.connect();
    let (a, b) = (task(A, 10), task(SDK, 20));
    let header = [("traceparent", TRACEPARENT)];
    let sent = world.request(hop.client, Side::Client, a, &header);
    let read = world.request(hop.server, Side::Server, b, &header);
    let next = world.elsewhere();
    let call = world.request(next, Side::Client, b, &[("traceparent", MADE)]);
    for (at, task) in [(call, b), (read, b), (sent, a)] {
        world.answer(at, task);
    }
    let spans = world.all();
    assert_eq!(the(&spans, Kind::Client, A).trace_id.0, TRACE);
    assert_eq!(spans.len(), 1);
}

#[test]
fn a_program_whose_threads_are_not_tasks_has_a_trace_of_its_own() {
    let mut world = World::new();
    exports(&mut world, SDK, "/v1/traces");
    world.correlator.thread_is_not_task(SDK);
    between(&mut world, &[&[("traceparent", MADE)]]);
    let spans = world.all();
    assert_eq!(spans.len(), 3);
    assert_ne!(the(&spans, Kind::Client, A).trace_id.0, MADE_TRACE);
    assert_eq!(the(&spans, Kind::Server, C).trace_id.0, MADE_TRACE);
}

#[test]
fn with_both_its_exchanges_make_spans_in_the_same_trace() {
    let mut world = World::governed(Policy { instrumented: Instrumented::Both, ..Policy::default() });
    exports(&mut world, SDK, "/v1/traces");
    between(&mut world, &[&[("traceparent", MADE)]]);
    let spans = world.all();
    assert_eq!(spans.len(), 5);
    assert!(spans.iter().all(|span| span.trace_id.0 == MADE_TRACE));
    is_child(the(&spans, Kind::Server, SDK), the(&spans, Kind::Client, A), LinkMethod::Connection);
    is_child(the(&spans, Kind::Server, C), the(&spans, Kind::Client, SDK), LinkMethod::Connection);
}

#[test]
fn what_a_program_did_before_it_ended_is_still_its_own() {
    let mut world = World::new();
    let (from, one) = (world.elsewhere(), task(SDK, 20));
    let read = world.read(from, one);
    world.answer(read, one);
    exports(&mut world, SDK, "/v1/traces");
    world.correlator.process_changed(SDK);
    assert_eq!(world.all(), []);
    assert_eq!(world.correlator.accounting.instrumented, 1);
}
