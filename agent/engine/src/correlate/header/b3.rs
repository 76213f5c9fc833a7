//! B3 (https://github.com/openzipkin/b3-propagation).

use super::{Context, Found, Header, Malformed, Name, hex};
use crate::span::{SpanId, TraceId};

/// `b3: {trace}-{span}[-{sampling}[-{parent}]]`, or a decision alone: `0`, `1`, `d`.
pub(super) fn single(found: &Found<'_>) -> Result<Option<Header>, Malformed> {
    let Some(text) = found.one(Name::B3)? else { return Ok(None) };
    let mut parts = text.split(|&byte| byte == b'-');
    let first = parts.next().ok_or(Malformed)?;
    let Some(span) = parts.next() else {
        return Ok(Some(Header { sampled: Some(decision(first)?), ..Header::default() }));
    };
    let sampled = parts.next().map(decision).transpose()?;
    if let Some(parent) = parts.next() {
        hex::lower_span(parent)?;
    }
    if parts.next().is_some() {
        return Err(Malformed);
    }
    Ok(Some(Header { context: Some(ids(first, span)?), sampled, ..Header::default() }))
}

/// `X-B3-TraceId`, `X-B3-SpanId`, `X-B3-Sampled`, `X-B3-Flags`.
pub(super) fn multi(found: &Found<'_>) -> Result<Option<Header>, Malformed> {
    let trace = found.one(Name::B3TraceId)?;
    let span = found.one(Name::B3SpanId)?;
    let debug = match found.one(Name::B3Flags)? {
        Some(b"1") => true,
        Some(b"0") | None => false,
        Some(_) => return Err(Malformed),
    };
    let sampled = match found.one(Name::B3Sampled)? {
        // Debug implies accept, and is not sent with a decision.
        _ if debug => Some(true),
        // Before the specification, tracers wrote words.
        Some(b"1" | b"true") => Some(true),
        Some(b"0" | b"false") => Some(false),
        Some(_) => return Err(Malformed),
        None => None,
    };
    let context = match (trace, span) {
        (Some(trace), Some(span)) => Some(ids(trace, span)?),
        (None, None) => None,
        _ => return Err(Malformed),
    };
    if context.is_none() && sampled.is_none() {
        return Ok(None);
    }
    Ok(Some(Header { context, sampled, ..Header::default() }))
}

fn ids(trace: &[u8], span: &[u8]) -> Result<Context, Malformed> {
    if trace.len() != 16 && trace.len() != 32 {
        return Err(Malformed);
    }
    let (trace, span) = (hex::lower(trace)?, hex::lower_span(span)?);
    if trace == 0 || span == 0 {
        return Err(Malformed);
    }
    Ok(Context { trace_id: TraceId(trace), span_id: Some(SpanId(span)) })
}

fn decision(text: &[u8]) -> Result<bool, Malformed> {
    match text {
        b"1" | b"d" => Ok(true),
        b"0" => Ok(false),
        _ => Err(Malformed),
    }
}
