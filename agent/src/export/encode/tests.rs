use std::time::Instant;

use engine::span::{LinkMethod, Parent, SpanId};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value},
    trace::v1::{Span as ProtoSpan, Status as ProtoStatus, span},
};
use prost::Message;

use super::*;
use crate::{
    clock::Clock,
    export::{
        Batch, QUEUE,
        queue::{Batching, Queue},
        tests::{exported, full_span, resource, span as small_span, text, typical},
    },
};

fn encoded(spans: Vec<Exported>, limit: usize) -> (Vec<Request>, u64) {
    let offset = Offset::default();
    let queue = Queue::new("test".to_owned(), QUEUE);
    queue.push(&Arc::new(Batch { offset, spans }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let batching = Batching { spans: 1, wait: std::time::Duration::ZERO };
    Encoder::new(limit).requests(runtime.block_on(queue.next(batching)).unwrap())
}

fn decoded(request: &Request) -> ExportTraceServiceRequest {
    let message = ExportTraceServiceRequest::decode(&*request.body).unwrap();
    assert!(request.body == message.encode_to_vec(), "the bytes are those that the generated types write");
    message
}

fn any(value: any_value::Value) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value) })
}

fn key_value(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: any(value), ..KeyValue::default() }
}

#[test]
fn every_field_of_a_span_arrives() {
    use any_value::Value::{ArrayValue as Array, BoolValue, IntValue, StringValue};
    let source = full_span(0xab);
    let (requests, 0) = encoded(vec![exported(source.clone(), &resource("shop"))], 1 << 20) else {
        panic!("it fits");
    };
    let mut request = decoded(&requests[0]);
    assert_eq!((requests.len(), requests[0].spans), (1, 1));
    let mut spans = request.resource_spans.remove(0);
    assert_eq!(
        spans.resource.unwrap().attributes,
        [key_value("service.name", StringValue("shop".to_owned()))]
    );
    assert_eq!(spans.schema_url, names::SCHEMA_URL);
    let mut spans = spans.scope_spans.remove(0);
    let scope = InstrumentationScope {
        name: "spandrel".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    assert_eq!(spans.scope, Some(scope));
    let strings = [String::from("a"), String::new()].map(|text| AnyValue { value: Some(StringValue(text)) });
    let expected = ProtoSpan {
        trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes().to_vec(),
        span_id: 0xab_u64.to_be_bytes().to_vec(),
        trace_state: "vendor=value,other=1".to_owned(),
        parent_span_id: 7_u64.to_be_bytes().to_vec(),
        flags: 0x303,
        name: "POST".to_owned(),
        kind: SpanKind::Client as i32,
        start_time_unix_nano: 1_000_000_000,
        end_time_unix_nano: 1_041_200_000,
        attributes: vec![
            key_value("url.full", StringValue(format!("http://127.0.0.1:8002/{}", "long/".repeat(40)))),
            key_value("empty", StringValue(String::new())),
            key_value("http.response.status_code", IntValue(503)),
            key_value("negative", IntValue(-1)),
            key_value("zero", IntValue(0)),
            key_value("no", BoolValue(false)),
            key_value("yes", BoolValue(true)),
            key_value("http.request.header.accept", Array(ArrayValue { values: strings.to_vec() })),
            key_value("none", Array(ArrayValue { values: Vec::new() })),
        ],
        events: vec![span::Event {
            time_unix_nano: 1_020_000_000,
            name: "reset".to_owned(),
            attributes: vec![key_value("by", StringValue("peer".to_owned()))],
            dropped_attributes_count: 0,
        }],
        links: vec![span::Link {
            trace_id: 3_u128.to_be_bytes().to_vec(),
            span_id: 4_u64.to_be_bytes().to_vec(),
            trace_state: "b=2".to_owned(),
            flags: 0x103,
            ..span::Link::default()
        }],
        status: Some(ProtoStatus { message: "connection reset".to_owned(), code: 2 }),
        ..ProtoSpan::default()
    };
    assert_eq!(spans.spans.remove(0), expected);
}

#[test]
fn the_parent_of_a_root_and_one_of_the_same_process_are_not_remote() {
    let parent = |process| {
        let parent = Parent { span_id: SpanId(1), method: LinkMethod::Connection, process };
        Span { parent: Some(parent), ..small_span(2) }
    };
    let own = small_span(1).tgid;
    let resource = resource("shop");
    let spans = [small_span(1), parent(Some(own)), parent(Some(own + 1)), parent(None)]
        .map(|span| exported(span, &resource));
    let (requests, _) = encoded(spans.into(), 1 << 20);
    let spans = &decoded(&requests[0]).resource_spans[0].scope_spans[0].spans;
    assert_eq!((spans[0].parent_span_id.len(), spans[0].flags, spans[0].status.is_some()), (0, 0x101, false));
    for (child, flags) in spans[1..].iter().zip([0x101, 0x301, 0x301]) {
        assert_eq!((child.parent_span_id.as_slice(), child.flags), (&1_u64.to_be_bytes()[..], flags));
    }
}

#[test]
fn many_resources_go_in_one_request_each_with_its_spans() {
    let resources: Vec<_> = (0..100).map(|number| resource(&format!("service-{number}"))).collect();
    let spans = (0..1000).map(|id| exported(small_span(id + 1), &resources[id as usize % 100]));
    let (requests, too_large) = encoded(spans.collect(), 1 << 20);
    assert_eq!((requests.len(), requests[0].spans, too_large), (1, 1000, 0));
    let request = decoded(&requests[0]);
    assert_eq!(request.resource_spans.len(), 100);
    for (number, group) in request.resource_spans.iter().enumerate() {
        let expected = key_value("service.name", any_value::Value::StringValue(format!("service-{number}")));
        assert_eq!(group.resource.as_ref().unwrap().attributes, [expected]);
        let ids: Vec<u64> = group.scope_spans[0].spans.iter().map(id).collect();
        assert_eq!(ids, (0..10).map(|round| round * 100 + number as u64 + 1).collect::<Vec<_>>());
    }
}

fn id(span: &ProtoSpan) -> u64 {
    u64::from_be_bytes(span.span_id.as_slice().try_into().unwrap())
}

#[test]
fn requests_are_split_below_the_limit_and_every_span_is_in_one() {
    for limit in [700, 1000, 5000, 20_000] {
        let resources = [resource("a"), resource("b"), resource("c")];
        let sized =
            |id: u64| Span { attributes: vec![text("x", &"y".repeat(id as usize % 190))], ..small_span(id) };
        let spans = (1..=500).map(|id| exported(sized(id), &resources[id as usize / 7 % 3]));
        let (requests, too_large) = encoded(spans.collect(), limit);
        assert_eq!(too_large, 0);
        let mut ids = Vec::new();
        for request in &requests {
            assert!(request.body.len() <= limit, "{} of {limit}", request.body.len());
            let message = decoded(request);
            let spans = message.resource_spans.iter().flat_map(|group| &group.scope_spans[0].spans);
            let before = ids.len();
            ids.extend(spans.map(id));
            assert_eq!(request.spans as usize, ids.len() - before);
        }
        ids.sort_unstable();
        assert_eq!(ids, (1..=500).collect::<Vec<_>>());
    }
}

#[test]
fn a_span_that_fits_no_request_is_counted_and_holds_up_no_other() {
    let resource = resource("shop");
    let huge = Span { attributes: vec![text("x", &"y".repeat(10_000))], ..small_span(2) };
    let spans = [small_span(1), huge, small_span(3)].map(|span| exported(span, &resource));
    let (requests, too_large) = encoded(spans.into(), 5000);
    assert_eq!((requests.iter().map(|request| request.spans).sum::<u64>(), too_large), (2, 1));
    requests.iter().for_each(|request| drop(decoded(request)));
}

#[test]
#[ignore = "a measurement: run it with an optimising profile"]
fn the_cost_of_encoding_a_span() {
    let resources: Vec<_> = (0..5).map(|number| resource(&format!("service-{number}"))).collect();
    let offset = Clock::default().offset();
    let spans: Vec<_> = (0..2048).map(|id| exported(typical(id + 1), &resources[id as usize % 5])).collect();
    let mut encoder = Encoder::new(4 << 20);
    let mut bytes = 0;
    // Of many rounds the fastest: the others were disturbed.
    let round = || {
        let begun = Instant::now();
        for exported in &spans {
            encoder.push(exported, offset).unwrap();
        }
        bytes = std::hint::black_box(encoder.take().unwrap()).body.len();
        begun.elapsed()
    };
    let fastest = std::iter::repeat_with(round).take(500).min().unwrap();
    eprintln!("{:?} and {} bytes a span", fastest / spans.len() as u32, bytes / spans.len());
}
