//! Trace contexts in the header block of a request.
//!
//! In: the fields of a head. Out: the [`Header`] of the first format in this order whose fields follow their
//! specification; a format that does not is counted and the next one is tried:
//!
//! 1. W3C `traceparent` and `tracestate` (Trace Context level 2): what every OpenTelemetry SDK writes;
//! 2. B3 single (`b3`), 3. B3 multi (`x-b3-*`): the single form wins, as B3's specification says;
//! 4. Jaeger `uber-trace-id`;
//! 5. Datadog `x-datadog-*`;
//! 6. OpenTracing `ot-tracer-*`;
//! 7. OpenCensus `grpc-trace-bin`, which gRPC's own tracing writes;
//! 8. AWS `X-Amzn-Trace-Id`, last since load balancers add it to requests that carry another one.
//!
//! A field that occurs twice and may not makes its format malformed: which of the two is meant is unknown.
//! Limits: nothing is allocated unless a `tracestate` is kept; that is bounded by [`STATE_MAX`].

mod b3;
mod datadog;
mod hex;
mod jaeger;
mod opencensus;
mod opentracing;
mod w3c;
mod xray;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use smallvec::SmallVec;

use crate::{
    protocol::Field,
    span::{SpanId, TraceId},
};

/// Longest `tracestate` that is continued; W3C asks for 512 at least (level 2, 3.3.1.5).
pub(crate) const STATE_MAX: usize = 8192;

/// The ids of a trace context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Context {
    pub(crate) trace_id: TraceId,
    /// `None`: the header names the trace only (an X-Ray root, a Datadog browser).
    pub(crate) span_id: Option<SpanId>,
}

/// What a header block says about the trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) context: Option<Context>,
    /// The sampling decision, if one was taken upstream.
    pub(crate) sampled: Option<bool>,
    /// W3C level 2: the trace id is random.
    pub(crate) random: bool,
    pub(crate) state: Option<Arc<str>>,
}

impl Header {
    pub(crate) fn trace_id(&self) -> Option<TraceId> {
        self.context.map(|context| context.trace_id)
    }
}

/// A field did not follow its specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The fields that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    TraceParent,
    TraceState,
    B3,
    B3TraceId,
    B3SpanId,
    B3Sampled,
    B3Flags,
    Jaeger,
    DatadogTraceId,
    DatadogParentId,
    DatadogPriority,
    DatadogTags,
    GrpcTraceBin,
    OtTraceId,
    OtSpanId,
    OtSampled,
    XRay,
}

/// The name of a trace header. Most fields are turned down by length and first byte.
fn name(field: &[u8]) -> Option<Name> {
    let candidates: &[(&[u8], Name)] = match (field.len(), field.first()?.to_ascii_lowercase()) {
        (2, b'b') => &[(b"b3", Name::B3)],
        (10, b't') => &[(b"tracestate", Name::TraceState)],
        (10, b'x') => &[(b"x-b3-flags", Name::B3Flags)],
        (11, b't') => &[(b"traceparent", Name::TraceParent)],
        (11, b'x') => &[(b"x-b3-spanid", Name::B3SpanId)],
        (12, b'x') => &[(b"x-b3-traceid", Name::B3TraceId), (b"x-b3-sampled", Name::B3Sampled)],
        (13, b'u') => &[(b"uber-trace-id", Name::Jaeger)],
        (14, b'g') => &[(b"grpc-trace-bin", Name::GrpcTraceBin)],
        (14, b'x') => &[(b"x-datadog-tags", Name::DatadogTags)],
        (15, b'x') => &[(b"x-amzn-trace-id", Name::XRay)],
        (16, b'o') => &[(b"ot-tracer-spanid", Name::OtSpanId)],
        (17, b'o') => &[(b"ot-tracer-traceid", Name::OtTraceId), (b"ot-tracer-sampled", Name::OtSampled)],
        (18, b'x') => &[(b"x-datadog-trace-id", Name::DatadogTraceId)],
        (19, b'x') => &[(b"x-datadog-parent-id", Name::DatadogParentId)],
        (27, b'x') => &[(b"x-datadog-sampling-priority", Name::DatadogPriority)],
        _ => return None,
    };
    candidates.iter().find(|(text, _)| text.eq_ignore_ascii_case(field)).map(|(_, name)| *name)
}

/// The trace headers of a block, in order.
#[derive(Default)]
struct Found<'a>(SmallVec<[(Name, &'a [u8]); 8]>);

impl<'a> Found<'a> {
    fn all(&self, name: Name) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.0.iter().filter(move |(found, _)| *found == name).map(|(_, value)| *value)
    }

    /// The only field of this name.
    fn one(&self, name: Name) -> Result<Option<&'a [u8]>, Malformed> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Malformed),
            (value, None) => Ok(value),
        }
    }
}

type Format = fn(&Found<'_>) -> Result<Option<Header>, Malformed>;

/// In order of precedence.
const FORMATS: [Format; 8] = [
    w3c::read,
    b3::single,
    b3::multi,
    jaeger::read,
    datadog::read,
    opentracing::read,
    opencensus::read,
    xray::read,
];

/// Reads the trace headers of a block. Also returns how many formats were malformed.
pub(crate) fn read(fields: &[Field<'_>]) -> (Option<Header>, u64) {
    let mut found = Found::default();
    for field in fields {
        if let Some(name) = name(field.name) {
            found.0.push((name, field.value));
        }
    }
    if found.0.is_empty() {
        return (None, 0);
    }
    let mut malformed = 0_u64;
    // A decision without ids (`b3: 0`) counts only if no format has ids.
    let mut decision = None;
    for format in FORMATS {
        match format(&found) {
            Ok(Some(header)) if header.context.is_some() => return (Some(header), malformed),
            Ok(Some(header)) => decision = decision.or(Some(header)),
            Ok(None) => {}
            Err(Malformed) => malformed = malformed.saturating_add(1),
        }
    }
    (decision, malformed)
}
