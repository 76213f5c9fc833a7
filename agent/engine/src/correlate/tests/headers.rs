use super::*;
use crate::{TelemetryIngest, span::SpanId};

const HEADER: &[(&str, &str)] = &[("traceparent", TRACEPARENT), ("tracestate", "a=b")];
const OTHER: &[(&str, &str)] = &[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00000000000000aa-01")];

#[track_caller]
fn is_remote_child(span: &Span) {
    let parent = span.parent.unwrap();
    assert_eq!((span.trace_id.0, parent.span_id.0, parent.method), (TRACE, SPAN, LinkMethod::Header));
    assert_eq!(parent.process, None);
}

#[test]
fn a_server_continues_the_trace_of_its_header() {
    let mut world = World::new();
    let socket = world.elsewhere();
    let read = world.request(socket, Side::Server, task(20, 20), HEADER);
    world.answer(read, task(20, 20));
    let spans = world.all();
    is_remote_child(&spans[0]);
    assert_eq!((spans[0].trace_state.as_deref(), spans[0].trace_flags), (Some("a=b"), 1));
}

#[test]
fn a_minted_trace_is_random_and_sampled_unless_a_header_denies_it() {
    let mut world = World::new();
    let socket = world.elsewhere();
    for fields in [&[][..], &[("b3", "0")][..]] {
        let read = world.request(socket, Side::Server, task(20, 20), fields);
        world.answer(read, task(20, 20));
    }
    let spans = world.all();
    assert_eq!(spans.len(), 1);
    is_root(&spans[0]);
    assert_eq!(spans[0].trace_flags, 3);
}

#[test]
fn the_client_on_this_host_is_the_parent_and_the_header_decides_the_trace() {
    let mut world = World::new();
    let both = world.connect();
    let sent = world.request(both.client, Side::Client, task(10, 10), HEADER);
    let read = world.request(both.server, Side::Server, task(20, 20), HEADER);
    world.answer(read, task(20, 20));
    world.answer(sent, task(10, 10));
    let spans = world.spans();
    let client = the(&spans, Kind::Client, 10);
    is_remote_child(client);
    is_child(the(&spans, Kind::Server, 20), client, LinkMethod::Connection);
}

#[test]
fn a_server_whose_client_lost_its_header_follows_the_header() {
    let mut world = World::new();
    let both = world.connect();
    let sent = world.send(both.client, task(10, 10));
    let read = world.request(both.server, Side::Server, task(20, 20), HEADER);
    world.answer(read, task(20, 20));
    world.answer(sent, task(10, 10));
    is_remote_child(the(&world.spans(), Kind::Server, 20));
}

#[test]
fn a_forwarded_header_makes_the_proxy_the_parent_whatever_its_tasks_do() {
    let mut world = World::new();
    let (proxy, up, down) = (task(30, 30), world.elsewhere(), world.elsewhere());
    // The proxy serves ten at once on one thread.
    let contexts: Vec<_> =
        (1..=10).map(|id| format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{id:016x}-01")).collect();
    let reads: Vec<_> = contexts
        .iter()
        .map(|context| world.request(up, Side::Server, proxy, &[("traceparent", context)]))
        .collect();
    for context in contexts.iter().rev() {
        let sent = world.request(down, Side::Client, proxy, &[("traceparent", context)]);
        world.answer(sent, proxy);
    }
    for read in reads {
        world.answer(read, proxy);
    }
    let spans = world.all();
    assert_eq!(spans.len(), 20);
    for server in spans.iter().filter(|span| span.kind == Kind::Server) {
        let made = server.parent.unwrap().span_id.0;
        let child =
            spans.iter().filter(|span| span.parent.is_some_and(|parent| parent.span_id == server.span_id));
        // Made in reverse order.
        let child: Vec<_> = child.collect();
        assert_eq!(child.len(), 1, "{made}");
        is_child(child[0], server, LinkMethod::Header);
    }
}

#[test]
fn a_header_that_the_process_made_names_the_parent() {
    let mut world = World::new();
    let (up, down) = (world.elsewhere(), world.elsewhere());
    let read = world.request(up, Side::Server, task(30, 30), HEADER);
    let sent = world.request(down, Side::Client, task(30, 30), OTHER);
    world.answer(sent, task(30, 30));
    world.answer(read, task(30, 30));
    let spans = world.all();
    let client = the(&spans, Kind::Client, 30);
    assert_eq!(client.parent.map(|parent| (parent.span_id, parent.process)), Some((SpanId(0xaa), None)));
    assert_eq!(client.trace_id.0, TRACE);
}

#[test]
fn of_two_requests_with_one_header_the_reader_rule_picks_or_nobody() {
    for (reader, linked) in [(task(30, 1), true), (task(30, 3), false)] {
        let mut world = World::new();
        let (one, two, down) = (world.elsewhere(), world.elsewhere(), world.elsewhere());
        let first = world.request(one, Side::Server, task(30, 1), HEADER);
        let second = world.request(two, Side::Server, task(30, 2), HEADER);
        let sent = world.request(down, Side::Client, reader, HEADER);
        world.answer(sent, reader);
        assert_eq!(world.spans().len(), usize::from(!linked), "the reader has to answer first");
        world.answer(first, task(30, 1));
        world.answer(second, task(30, 2));
        let spans = world.all();
        if linked {
            let client = the(&spans, Kind::Client, 30);
            let server = spans.iter().find(|span| span.kind == Kind::Server).unwrap();
            is_child(client, server, LinkMethod::Reader);
        }
    }
}

#[test]
fn a_header_forwarded_after_the_answer_is_a_link() {
    let mut world = World::new();
    let (up, down) = (world.elsewhere(), world.elsewhere());
    let read = world.request(up, Side::Server, task(30, 30), HEADER);
    world.answer(read, task(30, 30));
    let sent = world.request(down, Side::Client, task(30, 30), HEADER);
    world.answer(sent, task(30, 30));
    let spans = world.all();
    let client = the(&spans, Kind::Client, 30);
    is_root(client);
    assert_eq!(client.links[0].span_id, the(&spans, Kind::Server, 30).span_id);
    assert_eq!(client.trace_id.0, TRACE);
}

#[test]
fn a_malformed_header_is_counted_and_starts_a_trace() {
    let mut world = World::new();
    let socket = world.elsewhere();
    let read = world.request(socket, Side::Server, task(20, 20), &[("traceparent", "00-0-0-0")]);
    world.answer(read, task(20, 20));
    is_root(&world.all()[0]);
    assert_eq!(world.counted(Counter::TraceHeadersMalformed), 1);
}

#[test]
fn telemetry_makes_no_spans_nor_do_the_calls_that_serving_it_causes() {
    for (method, target, ingest) in [
        ("POST", "/v1/traces", true),
        ("POST", "/v1/metrics?a=b", true),
        ("POST", "/v1/logs", true),
        ("POST", "/api/v2/spans", true),
        ("POST", "/opentelemetry.proto.collector.trace.v1.TraceService/Export", true),
        ("GET", "/v1/traces", false),
        ("POST", "/v1/traces/more", false),
    ] {
        for trace in [false, true] {
            let telemetry_ingest = if trace { TelemetryIngest::Trace } else { TelemetryIngest::Exclude };
            let mut world = World::with(Config { telemetry_ingest, ..Config::default() });
            let (both, down) = (world.connect(), world.elsewhere());
            let sent = world.start(both.client, Side::Client, task(10, 10));
            world.head(sent, task(10, 10), method, target, &[]);
            let read = world.start(both.server, Side::Server, task(20, 20));
            world.head(read, task(20, 20), method, target, &[]);
            let call = world.send(down, task(20, 20));
            world.answer(call, task(20, 20));
            world.answer(read, task(20, 20));
            world.answer(sent, task(10, 10));
            let excluded = if ingest && !trace { 3 } else { 0 };
            assert_eq!(world.all().len(), 3 - excluded, "{method} {target}");
            assert_eq!(world.counted(Counter::Excluded), excluded as u64);
        }
    }
}
