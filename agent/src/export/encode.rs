//! Encode: spans to the bytes of OTLP requests (protobuf, `ExportTraceServiceRequest`).
//!
//! In: spans with their Resources, one by one. Out: requests below a size limit, each with all of its spans grouped by
//! Resource. The fields are written straight from the span to the bytes: building the generated message types first
//! would cost an allocation for each name and value. The generated types decode what is written here in the tests.

use std::sync::Arc;

use engine::span::{Attribute, Kind, Span, SpanEvent, SpanLink, Status, Value, names};
use opentelemetry_proto::tonic::trace::v1::{SpanFlags, span::SpanKind, status::StatusCode};
use rustc_hash::FxHashMap;

use self::wire::Writer;
use super::{Exported, Resource, delivery::Request, queue::Chunk};
use crate::clock::Offset;

mod wire;

/// The name of the instrumentation scope of all spans.
pub(super) const SCOPE: &str = "spandrel";

/// Bytes of framing that a request needs beside its spans and Resources, for each Resource, at most.
const FRAMING: usize = 256;

/// Buffers that are kept for the next request, and the largest that is: 2 MiB together, at most.
const SPARE_MAX: usize = 8;
const SPARE_BYTES: usize = 256 * 1024;

/// A span that did not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    /// Into this request: take it and try again.
    Request,
    /// Into any request.
    Span,
}

/// Collects the spans of one request.
#[derive(Debug)]
pub(super) struct Encoder {
    /// Largest request in bytes.
    limit: usize,
    groups: Vec<Group>,
    /// Where the group of a Resource is, by the address of the Resource, which its group keeps alive.
    index: FxHashMap<usize, usize>,
    size: usize,
    spans: u64,
    /// Buffers of groups that were taken: fresh memory costs more than what is written to it.
    spare: Vec<Writer>,
}

/// The spans of one Resource.
#[derive(Debug)]
struct Group {
    resource: Arc<Resource>,
    header: Writer,
    spans: Writer,
}

impl Encoder {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, groups: Vec::new(), index: FxHashMap::default(), size: 0, spans: 0, spare: Vec::new() }
    }

    /// Encodes chunks into as few requests below the limit as hold them, and says how many spans fit in none.
    pub(super) fn requests(&mut self, chunks: Vec<Chunk>) -> (Vec<Request>, u64) {
        let mut requests = Vec::new();
        let mut too_large = 0;
        // Chunks are freed one by one: encoded, a span is less than half the size.
        for chunk in chunks {
            for exported in chunk.spans() {
                let mut pushed = self.push(exported, chunk.offset());
                if pushed == Err(Full::Request) {
                    requests.extend(self.take());
                    pushed = self.push(exported, chunk.offset());
                }
                too_large += u64::from(pushed.is_err());
            }
        }
        requests.extend(self.take());
        (requests, too_large)
    }

    /// Adds a span to the request.
    fn push(&mut self, exported: &Exported, offset: Offset) -> Result<(), Full> {
        let group_index = self.group(&exported.resource);
        let Some(group) = self.groups.get_mut(group_index) else { return Err(Full::Span) };
        let before = group.spans.len();
        group.spans.message(scope_spans::SPANS, 2, |out| write_span(out, &exported.span, offset));
        let size = self.size + group.spans.len() - before;
        if size > self.limit {
            group.spans.truncate(before);
            // The group may be new and empty: it is left out when the request is taken.
            return Err(if self.spans == 0 { Full::Span } else { Full::Request });
        }
        self.size = size;
        self.spans += 1;
        Ok(())
    }

    /// The request so far; the next span begins a new one.
    fn take(&mut self) -> Option<Request> {
        let mut request = Writer::with_capacity(self.size);
        for mut group in self.groups.drain(..) {
            if !group.spans.is_empty() {
                group.write(&mut request);
            }
            if self.spare.len() < SPARE_MAX && group.spans.capacity() <= SPARE_BYTES {
                group.spans.truncate(0);
                self.spare.push(group.spans);
            }
        }
        self.index.clear();
        self.size = 0;
        let spans = std::mem::take(&mut self.spans);
        (spans > 0).then(|| Request { body: request.into_bytes(), spans })
    }

    fn group(&mut self, resource: &Arc<Resource>) -> usize {
        let next = self.groups.len();
        let index = *self.index.entry(Arc::as_ptr(resource).addr()).or_insert(next);
        if index == next {
            let mut header = Writer::default();
            header.message(resource_spans::RESOURCE, 2, |out| {
                for attribute in &resource.attributes {
                    write_attribute(out, resource::ATTRIBUTES, attribute);
                }
            });
            self.size += header.len() + FRAMING;
            let spans = self.spare.pop().unwrap_or_default();
            self.groups.push(Group { resource: Arc::clone(resource), header, spans });
        }
        debug_assert!(self.groups.get(index).is_some_and(|group| Arc::ptr_eq(&group.resource, resource)));
        index
    }
}

impl Group {
    /// Writes the group as `ResourceSpans`.
    fn write(&self, request: &mut Writer) {
        request.message(request::RESOURCE_SPANS, 3, |out| {
            out.append(&self.header);
            out.message(resource_spans::SCOPE_SPANS, 3, |out| {
                out.message(scope_spans::SCOPE, 1, |out| {
                    out.string(scope::NAME, SCOPE);
                    out.string(scope::VERSION, env!("CARGO_PKG_VERSION"));
                });
                out.append(&self.spans);
                out.string(scope_spans::SCHEMA_URL, names::SCHEMA_URL);
            });
            out.string(resource_spans::SCHEMA_URL, names::SCHEMA_URL);
        });
    }
}

fn write_span(out: &mut Writer, span: &Span, offset: Offset) {
    out.bytes(span::TRACE_ID, &span.trace_id.0.to_be_bytes());
    out.bytes(span::SPAN_ID, &span.span_id.0.to_be_bytes());
    if let Some(state) = &span.trace_state {
        out.string(span::TRACE_STATE, state);
    }
    // That the parent is remote is always known, so the first of the two bits is always set.
    let mut flags = u32::from(span.trace_flags) | SpanFlags::ContextHasIsRemoteMask as u32;
    if let Some(parent) = &span.parent {
        out.bytes(span::PARENT_SPAN_ID, &parent.span_id.0.to_be_bytes());
    }
    if span.has_remote_parent() {
        flags |= SpanFlags::ContextIsRemoteMask as u32;
    }
    out.string(span::NAME, &span.name);
    let kind = match span.kind {
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
    };
    out.varint(span::KIND, kind as u64);
    out.fixed64(span::START, offset.wall(span.start));
    out.fixed64(span::END, offset.wall(span.end));
    for attribute in &span.attributes {
        write_attribute(out, span::ATTRIBUTES, attribute);
    }
    for event in &span.events {
        out.message(span::EVENTS, 1, |out| write_event(out, event, offset));
    }
    for link in &span.links {
        out.message(span::LINKS, 1, |out| write_link(out, link));
    }
    if let Status::Error { description } = &span.status {
        out.message(span::STATUS, 1, |out| {
            if let Some(description) = description {
                out.string(status::MESSAGE, description);
            }
            out.varint(status::CODE, StatusCode::Error as u64);
        });
    }
    out.fixed32(span::FLAGS, flags);
}

fn write_event(out: &mut Writer, event: &SpanEvent, offset: Offset) {
    out.fixed64(event::TIME, offset.wall(event.time));
    out.string(event::NAME, event.name);
    for attribute in &event.attributes {
        write_attribute(out, event::ATTRIBUTES, attribute);
    }
}

fn write_link(out: &mut Writer, link: &SpanLink) {
    out.bytes(link::TRACE_ID, &link.trace_id.0.to_be_bytes());
    out.bytes(link::SPAN_ID, &link.span_id.0.to_be_bytes());
    if let Some(state) = &link.trace_state {
        out.string(link::TRACE_STATE, state);
    }
    // It is of the same process.
    out.fixed32(link::FLAGS, u32::from(link.trace_flags) | SpanFlags::ContextHasIsRemoteMask as u32);
}

fn write_attribute(out: &mut Writer, field: u32, attribute: &Attribute) {
    out.message(field, 1, |out| {
        out.string(key_value::KEY, &attribute.key);
        out.message(key_value::VALUE, 1, |out| match &attribute.value {
            Value::String(text) => out.string(any_value::STRING, text),
            Value::Bool(value) => out.varint(any_value::BOOL, u64::from(*value)),
            // Negative numbers are ten bytes long: protobuf's int64 is not zigzag.
            Value::Integer(value) => out.varint(any_value::INT, value.cast_unsigned()),
            Value::Strings(texts) => out.message(any_value::ARRAY, 1, |out| {
                for text in texts {
                    out.message(array_value::VALUES, 1, |out| out.string(any_value::STRING, text));
                }
            }),
        });
    });
}

/// Field numbers of opentelemetry-proto 1.x, which never change; a module for each message.
macro_rules! fields {
    ($($message:ident { $($field:ident = $number:literal,)* })*) => {
        $(mod $message { $(pub(super) const $field: u32 = $number;)* })*
    };
}

fields! {
    request { RESOURCE_SPANS = 1, }
    resource_spans { RESOURCE = 1, SCOPE_SPANS = 2, SCHEMA_URL = 3, }
    resource { ATTRIBUTES = 1, }
    scope_spans { SCOPE = 1, SPANS = 2, SCHEMA_URL = 3, }
    scope { NAME = 1, VERSION = 2, }
    span {
        TRACE_ID = 1, SPAN_ID = 2, TRACE_STATE = 3, PARENT_SPAN_ID = 4, NAME = 5, KIND = 6, START = 7, END = 8,
        ATTRIBUTES = 9, EVENTS = 11, LINKS = 13, STATUS = 15, FLAGS = 16,
    }
    event { TIME = 1, NAME = 2, ATTRIBUTES = 3, }
    link { TRACE_ID = 1, SPAN_ID = 2, TRACE_STATE = 3, FLAGS = 6, }
    status { MESSAGE = 2, CODE = 3, }
    key_value { KEY = 1, VALUE = 2, }
    any_value { STRING = 1, BOOL = 2, INT = 3, ARRAY = 5, }
    array_value { VALUES = 1, }
}

#[cfg(test)]
mod tests;
