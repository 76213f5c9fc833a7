//! Zipkin: spans to Zipkin's JSON of version 2, by OpenTelemetry's document
//! (<https://opentelemetry.io/docs/specs/otel/trace/sdk_exporters/zipkin/>).
//!
//! In: spans with their Resources. Out: requests below a size limit, each a JSON array of spans. Client and server of
//! an exchange have ids of their own, so no span is `shared`. The document has no place for links and tracestate: they
//! are left out. It has none for the attributes of a Resource either; they become tags, as the Collector does it,
//! because a backend without them could not tell two instances of a service apart.

use std::{borrow::Cow, io::Write, sync::Arc};

use engine::span::{Attribute, Kind, Span, SpanEvent, Status, Value, names};
use rustc_hash::FxHashMap;

use super::{Exported, Resource, delivery::Request, encode::SCOPE, queue::Chunk};
use crate::clock::Offset;

mod remote;

/// Tags that are the document's own: an attribute of the same name would contradict the status.
const STATUS_TAGS: [&str; 2] = [names::OTEL_STATUS_CODE, "error"];

/// Collects the spans of one request.
#[derive(Debug)]
pub(super) struct Encoder {
    /// Largest request in bytes.
    limit: usize,
    /// `[`, and the spans so far.
    body: Vec<u8>,
    spans: u64,
    /// What spans of the same Resource share, by its address.
    resources: FxHashMap<usize, Described>,
}

/// A Resource as its spans have it.
#[derive(Debug)]
struct Described {
    /// Keeps the address taken.
    resource: Arc<Resource>,
    /// The service name, quoted.
    service: Vec<u8>,
}

impl Encoder {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, body: Vec::new(), spans: 0, resources: FxHashMap::default() }
    }

    /// Encodes chunks into as few requests below the limit as hold them, and says how many spans fit in none.
    pub(super) fn requests(&mut self, chunks: Vec<Chunk>) -> (Vec<Request>, u64) {
        let mut requests = Vec::new();
        let mut too_large = 0;
        for chunk in chunks {
            for exported in chunk.spans() {
                if self.push(exported, chunk.offset()) {
                    continue;
                }
                requests.extend(self.take());
                too_large += u64::from(!self.push(exported, chunk.offset()));
            }
        }
        requests.extend(self.take());
        self.resources.clear();
        (requests, too_large)
    }

    /// Adds a span, unless the request would become too large.
    fn push(&mut self, exported: &Exported, offset: Offset) -> bool {
        let described = self
            .resources
            .entry(Arc::as_ptr(&exported.resource).addr())
            .or_insert_with(|| describe(&exported.resource));
        let before = self.body.len();
        self.body.push(if self.spans == 0 { b'[' } else { b',' });
        write_span(&mut self.body, &exported.span, described, offset);
        if self.body.len() >= self.limit {
            self.body.truncate(before);
            return false;
        }
        self.spans += 1;
        true
    }

    fn take(&mut self) -> Option<Request> {
        let mut body = std::mem::take(&mut self.body);
        let spans = std::mem::take(&mut self.spans);
        body.push(b']');
        (spans > 0).then_some(Request { body, spans })
    }
}

fn describe(resource: &Arc<Resource>) -> Described {
    let name = resource.attributes.iter().find(|attribute| attribute.key == names::SERVICE_NAME);
    let mut service = Vec::new();
    string(&mut service, &name.map_or(Cow::Borrowed("unknown_service"), |name| tag_value(&name.value)));
    Described { resource: Arc::clone(resource), service }
}

fn write_span(out: &mut Vec<u8>, span: &Span, described: &Described, offset: Offset) {
    print(out, format_args!(r#"{{"traceId":"{:032x}","id":"{:016x}""#, span.trace_id.0, span.span_id.0));
    if let Some(parent) = &span.parent {
        print(out, format_args!(r#","parentId":"{:016x}""#, parent.span_id.0));
    }
    let kind = match span.kind {
        Kind::Server => "SERVER",
        Kind::Client => "CLIENT",
    };
    print(out, format_args!(r#","kind":"{kind}","name":"#));
    string(out, &span.name);
    // Whole microseconds. Zero would mean that they are not known.
    let timestamp = microseconds(offset.wall(span.start));
    let duration = (span.end.saturating_sub(span.start) / 1000).max(1);
    print(
        out,
        format_args!(r#","timestamp":{timestamp},"duration":{duration},"localEndpoint":{{"serviceName":"#),
    );
    out.extend_from_slice(&described.service);
    out.push(b'}');
    if span.kind == Kind::Client {
        remote::write(out, &span.attributes);
    }
    if !span.events.is_empty() {
        out.extend_from_slice(br#","annotations":["#);
        for (index, event) in span.events.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            let timestamp = microseconds(offset.wall(event.time));
            print(out, format_args!(r#"{separator}{{"timestamp":{timestamp},"value":"#));
            string(out, &annotation(event));
            out.push(b'}');
        }
        out.push(b']');
    }
    write_tags(out, span, &described.resource);
    out.push(b'}');
}

fn write_tags(out: &mut Vec<u8>, span: &Span, resource: &Resource) {
    // The names of the scope come as the document on formats other than OTLP wants them, old ones included
    // (<https://opentelemetry.io/docs/specs/otel/common/mapping-to-non-otlp/>).
    let version = env!("CARGO_PKG_VERSION");
    out.extend_from_slice(br#","tags":{"#);
    for (index, (name, value)) in [
        (names::OTEL_SCOPE_NAME, SCOPE),
        (names::OTEL_SCOPE_VERSION, version),
        (names::OTEL_LIBRARY_NAME, SCOPE),
        (names::OTEL_LIBRARY_VERSION, version),
    ]
    .into_iter()
    .enumerate()
    {
        let separator = if index == 0 { "" } else { "," };
        print(out, format_args!(r#"{separator}"{name}":"{value}""#));
    }
    if let Status::Error { description } = &span.status {
        print(out, format_args!(r#","{}":"ERROR","error":"#, names::OTEL_STATUS_CODE));
        string(out, description.as_deref().unwrap_or_default());
    }
    let is_free = |attribute: &&Attribute| !STATUS_TAGS.contains(&&*attribute.key);
    for attribute in span.attributes.iter().filter(is_free) {
        write_tag(out, attribute);
    }
    // A name that both have stands for the span's.
    let of_the_resource = resource.attributes.iter().filter(|attribute| {
        attribute.key != names::SERVICE_NAME && span.attributes.iter().all(|own| own.key != attribute.key)
    });
    for attribute in of_the_resource.filter(is_free) {
        write_tag(out, attribute);
    }
    out.push(b'}');
}

fn write_tag(out: &mut Vec<u8>, attribute: &Attribute) {
    out.push(b',');
    string(out, &attribute.key);
    out.push(b':');
    string(out, &tag_value(&attribute.value));
}

/// Tags are strings; lists are JSON in one.
fn tag_value(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Integer(_) | Value::Bool(_) | Value::Strings(_) => {
            let mut text = Vec::new();
            json(&mut text, value);
            String::from_utf8_lossy(&text).into_owned().into()
        }
    }
}

/// `"name": {"key": "value"}`, or the name alone: annotations have no attributes.
fn annotation(event: &SpanEvent) -> Cow<'_, str> {
    if event.attributes.is_empty() {
        return Cow::Borrowed(event.name);
    }
    let mut text = Vec::new();
    string(&mut text, event.name);
    text.extend_from_slice(b": {");
    for (index, attribute) in event.attributes.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        string(&mut text, &attribute.key);
        text.push(b':');
        json(&mut text, &attribute.value);
    }
    text.push(b'}');
    String::from_utf8_lossy(&text).into_owned().into()
}

fn json(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(text) => string(out, text),
        Value::Integer(number) => print(out, format_args!("{number}")),
        Value::Bool(value) => print(out, format_args!("{value}")),
        Value::Strings(texts) => {
            out.push(b'[');
            for (index, text) in texts.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                string(out, text);
            }
            out.push(b']');
        }
    }
}

fn microseconds(wall: u64) -> u64 {
    (wall / 1000).max(1)
}

fn string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("writing to memory does not fail");
}

fn print(out: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("writing to memory does not fail");
}

#[cfg(test)]
mod tests;
