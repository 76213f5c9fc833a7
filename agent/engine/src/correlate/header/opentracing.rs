//! OpenTracing's `ot-tracer-*` headers, as OpenTelemetry's OT propagators read them.

use super::{Context, Found, Header, Malformed, Name, hex};
use crate::span::{SpanId, TraceId};

pub(super) fn read(found: &Found<'_>) -> Result<Option<Header>, Malformed> {
    let (trace, span) = match (found.one(Name::OtTraceId)?, found.one(Name::OtSpanId)?) {
        (Some(trace), Some(span)) => (hex::any(trace)?, hex::any_span(span)?),
        (None, None) => return Ok(None),
        _ => return Err(Malformed),
    };
    let sampled = match found.one(Name::OtSampled)? {
        Some(b"true" | b"1") => Some(true),
        Some(b"false" | b"0") => Some(false),
        Some(_) => return Err(Malformed),
        None => None,
    };
    if trace == 0 || span == 0 {
        return Err(Malformed);
    }
    let context = Context { trace_id: TraceId(trace), span_id: Some(SpanId(span)) };
    Ok(Some(Header { context: Some(context), sampled, ..Header::default() }))
}
