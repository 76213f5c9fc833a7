use opentelemetry_proto::tonic::{
    common::v1::ArrayValue,
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span as Proto, Status, span::Event},
};

use super::*;

fn pair(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

#[test]
fn protobuf_and_json_read_the_same() {
    let text = |text: &str| any_value::Value::StringValue(text.to_owned());
    let list = ArrayValue { values: vec![AnyValue { value: Some(text("x")) }] };
    let span = Proto {
        trace_id: vec![0xab; 16],
        span_id: vec![1; 8],
        parent_span_id: vec![2; 8],
        name: "GET".to_owned(),
        kind: 3,
        start_time_unix_nano: 1_700_000_000_000_000_001,
        end_time_unix_nano: 1_700_000_000_000_000_009,
        attributes: vec![
            pair("url.full", text("http://h:1/a/b?c=d")),
            pair("http.response.status_code", any_value::Value::IntValue(404)),
            pair("list", any_value::Value::ArrayValue(list)),
            pair("http.request.method", text("_OTHER")),
            pair("http.request.method_original", text("REPORT")),
        ],
        events: vec![Event {
            name: "spandrel.informational".to_owned(),
            attributes: vec![pair("http.response.status_code", any_value::Value::IntValue(103))],
            ..Event::default()
        }],
        status: Some(Status { message: String::new(), code: 2 }),
        ..Proto::default()
    };
    let resource = Resource { attributes: vec![pair("service.name", text("s"))], ..Resource::default() };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let resource_spans = ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() };
    let request = ExportTraceServiceRequest { resource_spans: vec![resource_spans] };
    let line = serde_json::to_string(&request).unwrap() + "\n";
    let spans = from_request(&request);
    assert_eq!(spans, from_json_lines(&line));
    assert_eq!((spans[0].label().as_str(), spans[0].code()), ("s client REPORT /a/b", Some(404)));
    assert_eq!((spans[0].target().as_str(), spans[0].status), ("/a/b?c=d", 2));
    assert_eq!(spans[0].events[0].1["http.response.status_code"], 103);
    assert_eq!(from_json_lines(&line[..line.len() - 2]), [], "a line that is not complete is not read");
}
