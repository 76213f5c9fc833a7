use std::{net::TcpListener, time::Duration};

use collector::{Collector, Reply};
use http::StatusCode;
use tonic::{Code, codec::CompressionEncoding};

use super::{
    Delivery, Encoder, Log, State,
    outcome::Outcome,
    settings::{Protocol, Settings},
    transport::Transport,
};
use crate::export::{
    Batch, ExportSet, Exported, Exports, Headers, QUEUE, Reason, Routes,
    destination::OtlpTarget,
    queue::Queue,
    tests::{counts, exported, full_span, resource, span, spans, start, text, wait_for},
};

use crate::clock::Offset;

mod collector;
mod encryption;
mod outcomes;
mod retries;

const BOTH: [Protocol; 2] = [Protocol::HttpProtobuf, Protocol::Grpc];

#[test]
fn spans_of_many_services_arrive_in_one_request() {
    for protocol in BOTH {
        let collector = Collector::start(protocol);
        let exports = start(&collector.destination());
        let service = |number| resource(&format!("service-{number}"));
        exports.hand_over((0..30).map(|number| exported(full_span(number + 1), &service(number))).collect());
        wait_for(&exports, |counts| counts.accepted == 30);
        let requests = collector.requests();
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].resource_spans.len(), 30);
        let span = &requests[0].resource_spans[29].scope_spans[0].spans[0];
        assert_eq!((span.span_id.as_slice(), span.attributes.len()), (&30_u64.to_be_bytes()[..], 9));
    }
}

#[test]
fn a_flush_sends_what_waits_for_its_batch() {
    for protocol in BOTH {
        let collector = Collector::start(protocol);
        let exports = start(&collector.destination());
        exports.hand_over(spans(5));
        exports.flush(std::time::Instant::now() + Duration::from_secs(5));
        assert_eq!((counts(&exports).accepted, collector.spans()), (5, 5));
    }
}

#[test]
fn large_batches_are_split_below_four_mebibytes() {
    for protocol in BOTH {
        let collector = Collector::start(protocol);
        let exports = start(&collector.destination());
        let resource = resource("shop");
        let long = "x".repeat(60_000);
        let large = |id| {
            let span = engine::span::Span { attributes: vec![text("url.path", &long)], ..span(id) };
            exported(span, &resource)
        };
        exports.hand_over((1..=150).map(large).collect());
        // tonic's server refuses messages above 4 MiB, as collectors do.
        wait_for(&exports, |counts| counts.accepted == 150);
        assert_eq!((collector.requests().len(), collector.spans()), (3, 150));
    }
}

#[test]
fn a_busy_collector_gets_the_same_request_again() {
    let replies = [
        (Protocol::HttpProtobuf, Reply::Http(StatusCode::SERVICE_UNAVAILABLE)),
        (Protocol::Grpc, Reply::Grpc(Code::Unavailable)),
    ];
    for (protocol, reply) in replies {
        let collector = Collector::start(protocol);
        collector.will_reply([reply.clone(), reply]);
        let exports = start(&collector.destination());
        exports.hand_over(spans(10));
        wait_for(&exports, |counts| counts.accepted == 10);
        let requests = collector.requests();
        assert_eq!(requests.len(), 3);
        assert!(requests.iter().all(|request| *request == requests[0]));
    }
}

#[test]
fn refused_spans_are_counted_and_never_sent_again() {
    let replies = [
        (Protocol::HttpProtobuf, Reply::Http(StatusCode::BAD_REQUEST)),
        (Protocol::Grpc, Reply::Grpc(Code::InvalidArgument)),
    ];
    for (protocol, reply) in replies {
        let collector = Collector::start(protocol);
        collector.will_reply([reply]);
        let exports = start(&collector.destination());
        exports.hand_over(spans(10));
        let counts = wait_for(&exports, |counts| counts.queued == 0);
        assert_eq!((counts.accepted, counts.dropped(Reason::Refused)), (0, 10));
        exports.hand_over(spans(1));
        wait_for(&exports, |counts| counts.accepted == 1);
        assert_eq!(collector.requests().len(), 2);
    }
}

#[test]
fn spans_that_the_collector_rejected_are_dropped_and_the_rest_accepted() {
    for protocol in BOTH {
        for (claimed, rejected) in [(3, 3), (1_000, 10), (-5, 0)] {
            let collector = Collector::start(protocol);
            collector.will_reply([Reply::Partial(claimed)]);
            let exports = start(&collector.destination());
            exports.hand_over(spans(10));
            exports.flush(std::time::Instant::now() + Duration::from_secs(5));
            let counts = counts(&exports);
            assert_eq!((counts.accepted, counts.dropped(Reason::Rejected)), (10 - rejected, rejected));
            assert_eq!(collector.requests().len(), 1);
        }
    }
}

#[test]
fn a_partial_success_is_understood_in_every_coding_that_is_offered() {
    for coding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let collector = Collector::start(Protocol::Grpc);
        collector.answers_in(coding);
        collector.will_reply([Reply::Partial(3)]);
        let exports = start(&collector.destination());
        exports.hand_over(spans(10));
        exports.flush(std::time::Instant::now() + Duration::from_secs(5));
        let counts = counts(&exports);
        assert_eq!((counts.accepted, counts.dropped(Reason::Rejected)), (7, 3), "{coding:?}");
        assert_eq!(collector.accepted_codings().as_deref(), Some("gzip,zstd"));
    }
}

#[test]
fn a_long_answer_is_cut_and_its_status_decides() {
    const LONG: usize = 200_000;
    let status = |status| StatusCode::from_u16(status).unwrap();
    for (protocol, reply, accepted, dropped) in [
        (Protocol::HttpProtobuf, Reply::HttpLong(status(400), LONG), 0, (Reason::Refused, 10)),
        (Protocol::HttpProtobuf, Reply::HttpLong(status(200), LONG), 10, (Reason::Refused, 0)),
        (Protocol::Zipkin, Reply::HttpLong(status(413), LONG), 0, (Reason::Refused, 10)),
        (Protocol::Zipkin, Reply::HttpLong(status(202), LONG), 10, (Reason::Refused, 0)),
        (Protocol::HttpProtobuf, Reply::PartialLong(3, 1000), 7, (Reason::Rejected, 3)),
        // What is cut cannot be decoded.
        (Protocol::Grpc, Reply::PartialLong(3, LONG), 10, (Reason::Refused, 0)),
    ] {
        let collector = Collector::start(protocol);
        collector.will_reply([reply.clone()]);
        let exports = start(&collector.destination());
        exports.hand_over(spans(10));
        let counts = wait_for(&exports, |counts| counts.queued == 0);
        assert_eq!((counts.accepted, counts.dropped(dropped.0)), (accepted, dropped.1), "{reply:?}");
        let requests = match protocol {
            Protocol::Zipkin => collector.zipkin().len(),
            Protocol::HttpProtobuf | Protocol::Grpc => collector.requests().len(),
        };
        assert_eq!(requests, 1, "{reply:?}");
    }
}

/// Delivers to a collector as its answers need it, with a short time-out.
fn patient(collector: &Collector) -> Result<Transport, super::SettingsError> {
    let variables = |name: &str| (name == "OTEL_EXPORTER_OTLP_TIMEOUT").then(|| "300".to_owned());
    Transport::new(Settings::otlp(&collector.target(), &Headers::default(), variables)?)
}

#[test]
fn a_request_whose_answer_never_comes_is_sent_again() {
    for protocol in BOTH {
        let collector = Collector::start(protocol);
        collector.will_reply([Reply::Never]);
        let queue = Queue::new("test".to_owned(), QUEUE);
        queue.push(&std::sync::Arc::new(Batch { offset: Offset::default(), spans: spans(10) }));
        queue.begin_shutdown();
        let log = Log { endpoint: String::new(), state: State::Fresh };
        let encoder = Encoder::new(protocol);
        collector::block_on(Delivery { transport: patient(&collector).unwrap(), encoder, log }.run(&queue));
        let counts = queue.counts();
        assert_eq!((counts.accepted, counts.dropped_total()), (10, 0));
        let requests = collector.requests();
        // A machine that is busy may take longer than that once more.
        assert!(requests.len() >= 2 && requests.iter().all(|request| *request == requests[0]));
    }
}

#[test]
fn the_status_decides_though_the_rest_of_the_answer_never_comes() {
    let collector = Collector::start(Protocol::HttpProtobuf);
    for (status, taken) in [(200, true), (400, false)] {
        collector.will_reply([Reply::HttpHeadOnly(StatusCode::from_u16(status).unwrap())]);
        let mut transport = patient(&collector).unwrap();
        let prepared = transport.prepare(collector::request_of("x"));
        let outcome = collector::block_on(transport.send(prepared));
        let decided = match outcome {
            Outcome::Accepted { .. } => Some(true),
            Outcome::Refused { .. } => Some(false),
            Outcome::Retry { .. } => None,
        };
        assert_eq!(decided, Some(taken), "{outcome:?}");
    }
}

#[test]
fn a_collector_that_comes_back_gets_all_that_fitted_the_queue() {
    for protocol in BOTH {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let exports = start(&collector::destination(protocol, address));
        exports.hand_over(spans(30_000));
        let before = counts(&exports);
        assert_eq!((before.queued, before.dropped(Reason::QueueFull)), (24_576, 5_424));
        // The first try ends here.
        drop(listener.accept().unwrap());
        drop(listener);
        let collector = Collector::start_at(protocol, address, None);
        let after = wait_for(&exports, |counts| counts.queued == 0);
        assert_eq!((after.accepted, after.dropped_total(), collector.spans()), (24_576, 5_424, 24_576));
    }
}

#[test]
fn requests_carry_headers_and_are_compressed_on_demand() {
    for protocol in BOTH {
        for coding in ["gzip", "zstd"] {
            let collector = Collector::start(protocol);
            let variables = |name: &str| match name {
                "OTEL_EXPORTER_OTLP_HEADERS" => Some("x-tenant=a%20b".to_owned()),
                "OTEL_EXPORTER_OTLP_COMPRESSION" => Some(coding.to_owned()),
                _ => None,
            };
            let settings = Settings::otlp(&collector.target(), &Headers::default(), variables).unwrap();
            let mut transport = Transport::new(settings).unwrap();
            let message = collector::request_of(&"long ".repeat(1000));
            let prepared = transport.prepare(message);
            assert!(prepared.len() < 500, "{}", prepared.len());
            let outcome = collector::block_on(transport.send(prepared));
            assert_eq!(outcome, Outcome::Accepted { rejected: 0, message: String::new() });
            assert_eq!((collector.requests().len(), collector.spans()), (1, 1));
            assert_eq!(collector.tenant().as_deref(), Some("a b"));
        }
    }
}

#[test]
fn each_tenant_gets_its_spans_under_its_own_headers() {
    for protocol in [Protocol::HttpProtobuf, Protocol::Grpc, Protocol::Zipkin] {
        let collector = Collector::start(protocol);
        let mut routes = Routes::new(&[collector.destination().parse().unwrap()]);
        let mut headers = Headers::default();
        headers.insert("x-tenant", "shop").unwrap();
        let shop = routes.add(None, &headers).unwrap();
        let exports = Exports::start(&routes, std::sync::Arc::default()).unwrap();
        for (to, tenant) in [(ExportSet::default(), None), (shop, Some("shop"))] {
            let before = collector.requests().len();
            exports.hand_over(spans(3).into_iter().map(|exported| Exported { to, ..exported }).collect());
            exports_settle(&exports);
            assert_eq!((collector.requests().len(), collector.tenant().as_deref()), (before + 1, tenant));
        }
        let accepted: Vec<_> = exports.counts().map(|(_, counts)| counts.accepted).collect();
        assert_eq!(accepted, [3, 3]);
    }
}

/// Waits until no destination has anything left to deliver.
fn exports_settle(exports: &Exports) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while exports.counts().any(|(_, counts)| counts.queued > 0) {
        assert!(std::time::Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn zipkin_gets_json_of_many_services_in_one_request() {
    let collector = Collector::start(Protocol::Zipkin);
    let exports = start(&collector.destination());
    exports
        .hand_over((1..=30).map(|id| exported(full_span(id), &resource(&format!("service-{id}")))).collect());
    wait_for(&exports, |counts| counts.accepted == 30);
    let requests = collector.zipkin();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0][29]["localEndpoint"]["serviceName"], "service-30");
}

#[test]
fn a_collector_of_the_other_protocol_gives_an_error_that_names_it() {
    for (spoken, served, advice) in [
        (Protocol::HttpProtobuf, Protocol::Grpc, "otlp-grpc=http://127.0.0.1:"),
        (Protocol::Grpc, Protocol::HttpProtobuf, "otlp-http=http://127.0.0.1:"),
    ] {
        let collector = Collector::start(served);
        let target = collector::target(spoken, collector.url());
        let mut transport =
            Transport::new(Settings::otlp(&target, &Headers::default(), |_| None).unwrap()).unwrap();
        let prepared = transport.prepare(collector::request_of("x"));
        let (Outcome::Retry { error, .. } | Outcome::Refused { error }) =
            collector::block_on(transport.send(prepared))
        else {
            panic!("a {served:?} collector took {spoken:?}");
        };
        assert!(error.contains(advice), "{error}");
    }
}

#[test]
fn a_collector_that_is_not_there_gives_an_error_without_advice_on_protocols() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    drop(listener);
    for target in [OtlpTarget::Http(Some(url.clone())), OtlpTarget::Grpc(Some(url))] {
        let mut transport =
            Transport::new(Settings::otlp(&target, &Headers::default(), |_| None).unwrap()).unwrap();
        let prepared = transport.prepare(Vec::new());
        let Outcome::Retry { after: None, error } = collector::block_on(transport.send(prepared)) else {
            panic!("nothing answers there");
        };
        assert!(error.contains("refused") && !error.contains("otlp-"), "{error}");
    }
}
