use std::{
    net::TcpListener,
    thread::sleep,
    time::{Duration, Instant},
};

use engine::span::{
    Attribute, Kind, LinkMethod, Parent, SpanEvent, SpanId, SpanLink, Status, TraceId, Value,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

use super::*;

pub(super) fn attribute(key: &'static str, value: Value) -> Attribute {
    Attribute { key: key.into(), value }
}

pub(super) fn text(key: &'static str, value: &str) -> Attribute {
    attribute(key, Value::String(value.to_owned().into()))
}

pub(super) fn resource(service: &str) -> Arc<Resource> {
    Arc::new(Resource { attributes: vec![text("service.name", service)] })
}

/// A span as small as spans get.
pub(super) fn span(id: u64) -> Span {
    Span {
        trace_id: TraceId(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736),
        span_id: SpanId(id),
        parent: None,
        trace_state: None,
        trace_flags: 1,
        kind: Kind::Server,
        name: "GET".into(),
        start: 1_000_000_000,
        end: 1_041_200_000,
        tgid: 42,
        attributes: Vec::new(),
        events: Vec::new(),
        links: Vec::new(),
        status: Status::Unset,
    }
}

/// A span with all of its fields in use.
pub(super) fn full_span(id: u64) -> Span {
    Span {
        parent: Some(Parent { span_id: SpanId(7), method: LinkMethod::Header, process: None }),
        trace_state: Some("vendor=value,other=1".into()),
        trace_flags: 3,
        kind: Kind::Client,
        name: "POST".into(),
        attributes: vec![
            text("url.full", &format!("http://127.0.0.1:8002/{}", "long/".repeat(40))),
            text("empty", ""),
            attribute("http.response.status_code", Value::Integer(503)),
            attribute("negative", Value::Integer(-1)),
            attribute("zero", Value::Integer(0)),
            attribute("no", Value::Bool(false)),
            attribute("yes", Value::Bool(true)),
            attribute("http.request.header.accept", Value::Strings(vec!["a".to_owned(), String::new()])),
            attribute("none", Value::Strings(Vec::new())),
        ],
        events: vec![SpanEvent { time: 1_020_000_000, name: "reset", attributes: vec![text("by", "peer")] }],
        links: vec![SpanLink {
            trace_id: TraceId(3),
            span_id: SpanId(4),
            trace_state: Some("b=2".into()),
            trace_flags: 3,
        }],
        status: Status::Error { description: Some("connection reset".to_owned()) },
        ..span(id)
    }
}

/// Spans as HTTP exchanges give them.
pub(super) fn typical(id: u64) -> Span {
    Span {
        attributes: vec![
            text("http.request.method", "GET"),
            text("url.path", "/api/v1/orders/12345"),
            text("url.scheme", "http"),
            text("server.address", "shop.example.com"),
            attribute("server.port", Value::Integer(8080)),
            text("network.peer.address", "10.12.13.14"),
            attribute("network.peer.port", Value::Integer(54321)),
            text("network.protocol.version", "1.1"),
            text("user_agent.original", "curl/7.88.1"),
            attribute("http.response.status_code", Value::Integer(200)),
            text("spandrel.link.method", "connection"),
        ],
        ..span(id)
    }
}

/// A span for the destinations that all spans go to.
pub(super) fn exported(span: Span, resource: &Arc<Resource>) -> Exported {
    Exported { span, resource: Arc::clone(resource), to: ExportSet::default() }
}

/// Many small spans of one process.
pub(super) fn spans(count: u64) -> Vec<Exported> {
    let resource = resource("shop");
    (1..=count).map(|id| exported(span(id), &resource)).collect()
}

pub(super) fn start(destination: &str) -> Exports {
    Exports::start(&Routes::new(&[destination.parse().unwrap()]), Arc::default()).unwrap()
}

pub(super) fn counts(exports: &Exports) -> Counts {
    let counts = exports.counts().next().unwrap().1;
    assert_eq!(counts.handed_in, counts.queued + counts.accepted + counts.dropped_total(), "{counts:?}");
    counts
}

/// Waits for counts that satisfy the condition; each look at them checks that they add up.
pub(super) fn wait_for(exports: &Exports, condition: impl Fn(&Counts) -> bool) -> Counts {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let counts = counts(exports);
        if condition(&counts) {
            return counts;
        }
        assert!(Instant::now() < deadline, "still {counts:?}");
        sleep(Duration::from_millis(2));
    }
}

fn in_seconds(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

/// A listener that never answers.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let destination = format!("otlp-http=http://{}", listener.local_addr().unwrap());
    (listener, destination)
}

#[test]
fn what_does_not_fit_the_queue_is_counted_and_memory_does_not_grow() {
    let (_listener, destination) = silent();
    let exports = start(&destination);
    for _ in 0..6 {
        exports.hand_over(spans(5_000));
        let counts = counts(&exports);
        assert!(counts.queued <= QUEUE.spans as u64, "{counts:?}");
    }
    let counts = counts(&exports);
    assert_eq!((counts.handed_in, counts.queued), (30_000, QUEUE.spans as u64));
    assert_eq!(counts.dropped(Reason::QueueFull), 30_000 - QUEUE.spans as u64);
}

/// A span of which one text is so long.
fn long(id: u64, length: usize) -> Exported {
    let attributes = vec![text("url.path", &"x".repeat(length))];
    exported(Span { attributes, ..span(id) }, &resource("shop"))
}

#[test]
fn long_texts_fill_the_queue_before_many_spans_do() {
    const LONGEST: usize = 64 * 1024;
    let (_listener, destination) = silent();
    let exports = start(&destination);
    for round in 0..10 {
        exports.hand_over((1..=100).map(|id| long(round * 100 + id, LONGEST)).collect());
    }
    let counts = counts(&exports);
    let fit = QUEUE.bytes / LONGEST;
    assert!(counts.queued <= fit as u64 && counts.queued > fit as u64 * 9 / 10, "{counts:?}");
    assert_eq!(counts.dropped(Reason::QueueFull), 1_000 - counts.queued);
    // What is usual fits by number.
    let usual: usize = (1..=QUEUE.spans as u64).map(|id| weight(&typical(id))).sum();
    assert!(usual < QUEUE.bytes, "{usual}");
}

#[tokio::test]
async fn what_was_settled_makes_room_for_as_much() {
    let queue = Queue::new("test".to_owned(), Bound { spans: 1000, bytes: 100_000 });
    let push = |lengths: &[usize]| {
        let spans = lengths.iter().zip(1..).map(|(length, id)| long(id, *length)).collect();
        queue.push(&Arc::new(Batch { offset: Offset::default(), spans }));
        queue.counts().queued
    };
    for _ in 0..3 {
        assert_eq!(push(&[50_000, 30_000, 40_000, 1_000]), 2, "nothing behind the first that does not fit");
        let now = queue::Batching { spans: 1, wait: Duration::ZERO };
        assert_eq!(queue.next(now).await.unwrap().len(), 1);
        assert_eq!(push(&[10_000, 30_000]), 3, "what is in flight still counts");
        queue.accept(1);
        assert_eq!(push(&[30_000, 30_000]), 3);
        queue.drop_taken(Reason::Refused, 1);
        assert_eq!(queue.next(now).await.unwrap().len(), 2);
        queue.accept(2);
        assert_eq!(queue.counts().queued, 0);
    }
}

#[test]
fn a_flush_ends_at_its_deadline_and_counts_what_is_left() {
    let (_listener, destination) = silent();
    let exports = start(&destination);
    exports.hand_over(spans(10));
    let begun = Instant::now();
    exports.flush(begun + Duration::from_millis(100));
    assert!(begun.elapsed() < FLUSH_MAX);
    let before = counts(&exports);
    assert_eq!((before.queued, before.dropped(Reason::Shutdown)), (0, 10));
    exports.hand_over(spans(3));
    assert_eq!(counts(&exports).dropped(Reason::Shutdown), 13);
}

#[test]
fn a_destination_that_is_stuck_takes_nothing_from_another() {
    let (_listener, stuck) = silent();
    let path = std::env::temp_dir().join(format!("spandrel-stuck-{}.jsonl", std::process::id()));
    let destinations = [stuck.parse().unwrap(), Destination::Json(path.clone())];
    let exports = Exports::start(&Routes::new(&destinations), Arc::default()).unwrap();
    exports.hand_over(spans(10));
    let deadline = in_seconds(60);
    while exports.counts().nth(1).unwrap().1.accepted < 10 {
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(2));
    }
    assert_eq!(exports.counts().next().unwrap().1.queued, 10);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn json_lines_are_requests_by_the_rules_of_otlp_json() {
    let path = std::env::temp_dir().join(format!("spandrel-lines-{}.jsonl", std::process::id()));
    let exports = start(&format!("json={}", path.display()));
    exports.hand_over(vec![exported(full_span(0xab), &resource("shop"))]);
    wait_for(&exports, |counts| counts.accepted == 1);
    exports.hand_over(spans(2));
    exports.flush(in_seconds(5));
    assert_eq!(counts(&exports).accepted, 3);

    let written = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    let lines: Vec<serde_json::Value> =
        written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "one line a batch");
    let first = &lines[0]["resourceSpans"][0];
    assert_eq!(first["resource"]["attributes"][0]["value"]["stringValue"], "shop");
    let span = &first["scopeSpans"][0]["spans"][0];
    assert_eq!(span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(span["spanId"], "00000000000000ab");
    assert_eq!(span["parentSpanId"], "0000000000000007");
    assert_eq!(span["kind"], 3);
    assert_eq!(span["status"]["code"], 2);
    assert!(span["startTimeUnixNano"].as_str().unwrap().parse::<u64>().unwrap() > 1_600_000_000_000_000_000);
    assert_eq!(span["attributes"][2]["value"]["intValue"], "503");
    let again: ExportTraceServiceRequest = serde_json::from_str(written.lines().last().unwrap()).unwrap();
    assert_eq!(again.resource_spans[0].scope_spans[0].spans.len(), 2);
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let error =
        Exports::start(&Routes::new(&["json=/no/such/dir/x".parse().unwrap()]), Arc::default()).unwrap_err();
    assert!(error.to_string().starts_with("cannot open /no/such/dir/x"), "{error}");
}

#[test]
fn each_span_goes_to_the_destinations_of_its_set_and_to_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| Destination::Json(directory.path().join(name));
    let mut routes = Routes::new(&[file("all"), file("both")]);
    let shop = routes.add(Some(&[file("shop"), file("both")]), &Headers::default()).unwrap();
    let nowhere = routes.add(Some(&[]), &Headers::default()).unwrap();
    let sent_nowhere = 1;
    let exports = Exports::start(&routes, Arc::default()).unwrap();
    let sets = [ExportSet::default(), shop, ExportSet::default(), nowhere, shop, shop];
    let spans = spans(6).into_iter().zip(sets).map(|(exported, to)| Exported { to, ..exported });
    exports.hand_over(spans.collect());
    exports.flush(in_seconds(60));
    let accepted: Vec<_> = exports.counts().map(|(_, counts)| (counts.handed_in, counts.accepted)).collect();
    assert_eq!(accepted, [(2, 2), (5, 5), (3, 3)]);
    assert_eq!(exports.nowhere(), sent_nowhere);
    let written = |name: &str| {
        let lines = std::fs::read_to_string(directory.path().join(name)).unwrap();
        let mut ids: Vec<_> = lines
            .lines()
            .map(|line| serde_json::from_str::<ExportTraceServiceRequest>(line).unwrap())
            .flat_map(|request| request.resource_spans)
            .flat_map(|group| group.scope_spans)
            .flat_map(|scope| scope.spans)
            .map(|span| span.span_id[7])
            .collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!((written("all"), written("shop")), (vec![1, 3], vec![2, 5, 6]));
    assert_eq!(written("both"), [1, 2, 3, 5, 6]);
}

#[test]
fn tenants_are_numbered_and_share_the_memory_of_four_queues() {
    let (_listener, destination) = silent();
    let mut routes = Routes::new(&[destination.parse().unwrap()]);
    for tenant in 1..8 {
        let mut headers = Headers::default();
        headers.insert("x-tenant", tenant.to_string()).unwrap();
        routes.add(None, &headers).unwrap();
    }
    let exports = Exports::start(&routes, Arc::default()).unwrap();
    let names: Vec<_> = exports.counts().map(|(name, _)| name.to_owned()).collect();
    assert_eq!((&names[0], &names[7]), (&destination, &format!("{destination} #8")));
    exports.hand_over(spans(QUEUE.spans as u64));
    let counts = counts(&exports);
    assert_eq!((counts.queued, counts.dropped(Reason::QueueFull)), (12_288, 12_288));
}

#[test]
fn the_name_of_a_destination_has_no_query() {
    let (_listener, destination) = silent();
    let keys = ["a", "b"].map(|key| format!("{destination}/v1/traces?key={key}").parse().unwrap());
    let exports = Exports::start(&Routes::new(&keys), Arc::default()).unwrap();
    let names: Vec<_> = exports.counts().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(names, [format!("{destination}/v1/traces"), format!("{destination}/v1/traces #2")]);
}

#[test]
#[ignore = "a measurement: run it with an optimising profile, alone"]
fn the_memory_of_a_minute_without_a_collector() {
    let resident = || {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096 / 1024
    };
    for protocol in ["otlp-http", "otlp-grpc", "zipkin"] {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let exports = start(&format!("{protocol}=http://{address}"));
        let shop = resource("shop");
        let before = resident();
        let mut most = before;
        // 1,000 exchanges a second, sped up.
        for second in 0..60 {
            for batch in 0..20 {
                let spans = (1..=100).map(|id| exported(typical(second * 2000 + batch * 100 + id), &shop));
                exports.hand_over(spans.collect());
            }
            most = most.max(resident());
            sleep(Duration::from_millis(20));
        }
        let counts = counts(&exports);
        eprintln!("{protocol}: {before} KiB, at most {most} KiB, {counts:?}");
    }
}
