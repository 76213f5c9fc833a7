//! Spans as a test sees them, the same from OTLP protobuf and from OTLP/JSON lines.
//!
//! The JSON is read by field names here, not by the types that wrote it, so that a mistake there shows.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value},
};
use serde_json::Value;

pub type Attributes = BTreeMap<String, Value>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Server,
    Client,
    Other,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub name: String,
    pub kind: Kind,
    /// Ids in lower-case hexadecimal.
    pub trace: String,
    pub span: String,
    pub parent: Option<String>,
    pub attributes: Attributes,
    pub resource: Attributes,
    /// OTLP's code: 0 unset, 2 error.
    pub status: u64,
    /// Wall time in nanoseconds.
    pub start: u64,
    pub end: u64,
    /// Trace and span ids of span links.
    pub links: Vec<(String, String)>,
    /// Names and attributes of span events.
    pub events: Vec<(String, Attributes)>,
}

impl Span {
    pub fn service(&self) -> &str {
        self.resource.get("service.name").and_then(Value::as_str).unwrap_or_default()
    }

    pub fn text(&self, attribute: &str) -> Option<&str> {
        self.attributes.get(attribute).and_then(Value::as_str)
    }

    pub fn number(&self, attribute: &str) -> Option<i64> {
        self.attributes.get(attribute).and_then(Value::as_i64)
    }

    /// The method as it was on the wire.
    pub fn method(&self) -> &str {
        self.text("http.request.method_original")
            .or_else(|| self.text("http.request.method"))
            .unwrap_or_default()
    }

    pub fn code(&self) -> Option<i64> {
        self.number("http.response.status_code")
    }

    pub fn link_method(&self) -> Option<&str> {
        self.text("spandrel.link.method")
    }

    /// Path and query, from whichever attribute this kind of span has them in.
    pub fn target(&self) -> String {
        if let Some(path) = self.text("url.path") {
            return match self.text("url.query") {
                Some(query) if !query.is_empty() => format!("{path}?{query}"),
                Some(_) | None => path.to_owned(),
            };
        }
        let full = self.text("url.full").unwrap_or_default();
        let rest = full.split_once("://").map_or(full, |(_, rest)| rest);
        rest.find('/').map_or_else(|| "/".to_owned(), |start| rest[start..].to_owned())
    }

    pub fn path(&self) -> String {
        let target = self.target();
        target.split('?').next().unwrap_or_default().to_owned()
    }

    /// Service, kind, method and path: what a span is, without ids and times. A service that nobody named is
    /// called by its program.
    pub fn label(&self) -> String {
        let kind = match self.kind {
            Kind::Server => "server",
            Kind::Client => "client",
            Kind::Other => "other",
        };
        let service = self.service().trim_start_matches("unknown_service:");
        format!("{service} {kind} {} {}", self.method(), self.path())
    }
}

/// Spans of a protobuf request.
pub fn from_request(request: &ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for resource_spans in &request.resource_spans {
        let resource =
            resource_spans.resource.as_ref().map(|r| attributes(&r.attributes)).unwrap_or_default();
        for span in resource_spans.scope_spans.iter().flat_map(|scope| &scope.spans) {
            spans.push(Span {
                name: span.name.clone(),
                kind: kind(span.kind.into()),
                trace: hex(&span.trace_id),
                span: hex(&span.span_id),
                parent: Some(hex(&span.parent_span_id)).filter(|id| !id.is_empty()),
                attributes: attributes(&span.attributes),
                resource: resource.clone(),
                status: span.status.as_ref().map_or(0, |status| status.code.unsigned_abs().into()),
                start: span.start_time_unix_nano,
                end: span.end_time_unix_nano,
                links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
                events: span
                    .events
                    .iter()
                    .map(|event| (event.name.clone(), attributes(&event.attributes)))
                    .collect(),
            });
        }
    }
    spans
}

/// Spans of OTLP/JSON, a request per line. A last line without its end is still being written, and is left out.
pub fn from_json_lines(text: &str) -> Vec<Span> {
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n') && line.len() > 1)
        .flat_map(from_json)
        .collect()
}

fn from_json(line: &str) -> Vec<Span> {
    let request: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON: {e}: {line}"));
    let mut spans = Vec::new();
    for resource_spans in list(&request, "resourceSpans") {
        let resource = json_attributes(&resource_spans["resource"]);
        for span in list(resource_spans, "scopeSpans").iter().flat_map(|scope| list(scope, "spans")) {
            spans.push(Span {
                name: string(span, "name"),
                kind: kind(span["kind"].as_i64().unwrap_or_default()),
                trace: string(span, "traceId").to_lowercase(),
                span: string(span, "spanId").to_lowercase(),
                parent: Some(string(span, "parentSpanId").to_lowercase()).filter(|id| !id.is_empty()),
                attributes: json_attributes(span),
                resource: resource.clone(),
                status: span["status"]["code"].as_u64().unwrap_or_default(),
                start: nanoseconds(&span["startTimeUnixNano"]),
                end: nanoseconds(&span["endTimeUnixNano"]),
                links: list(span, "links")
                    .iter()
                    .map(|link| (string(link, "traceId"), string(link, "spanId")))
                    .collect(),
                events: list(span, "events")
                    .iter()
                    .map(|event| (string(event, "name"), json_attributes(event)))
                    .collect(),
            });
        }
    }
    spans
}

fn kind(number: i64) -> Kind {
    match number {
        2 => Kind::Server,
        3 => Kind::Client,
        _ => Kind::Other,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attributes(list: &[KeyValue]) -> Attributes {
    list.iter().map(|pair| (pair.key.clone(), value(pair.value.as_ref()))).collect()
}

fn value(any: Option<&AnyValue>) -> Value {
    match any.and_then(|any| any.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.as_str().into(),
        Some(any_value::Value::BoolValue(truth)) => (*truth).into(),
        Some(any_value::Value::IntValue(number)) => (*number).into(),
        Some(any_value::Value::DoubleValue(number)) => (*number).into(),
        Some(any_value::Value::ArrayValue(array)) => {
            array.values.iter().map(|item| value(Some(item))).collect()
        }
        other => format!("{other:?}").into(),
    }
}

fn json_attributes(holder: &Value) -> Attributes {
    list(holder, "attributes").iter().map(|pair| (string(pair, "key"), json_value(&pair["value"]))).collect()
}

fn json_value(any: &Value) -> Value {
    let Some((kind, value)) = any.as_object().and_then(|object| object.iter().next()) else {
        return Value::Null;
    };
    match kind.as_str() {
        // 64-bit integers are decimal strings in protobuf's JSON mapping.
        "intValue" => value.as_i64().or_else(|| value.as_str()?.parse().ok()).into(),
        "arrayValue" => list(value, "values").iter().map(json_value).collect(),
        _ => value.clone(),
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn string(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn nanoseconds(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
