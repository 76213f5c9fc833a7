//! Datadog's headers: decimal 64-bit ids; the high half of a 128-bit trace id is the tag `_dd.p.tid`.

use super::{Context, Found, Header, Malformed, Name, hex};
use crate::span::{SpanId, TraceId};

pub(super) fn read(found: &Found<'_>) -> Result<Option<Header>, Malformed> {
    let Some(trace) = found.one(Name::DatadogTraceId)? else { return Ok(None) };
    let low = decimal(trace)?;
    if low == 0 {
        return Err(Malformed);
    }
    // Browsers and synthetic tests send a parent of 0: they start a trace and have no span.
    let span = found.one(Name::DatadogParentId)?.map(decimal).transpose()?.unwrap_or_default();
    let sampled = match found.one(Name::DatadogPriority)? {
        Some(b"1" | b"2") => Some(true),
        Some(b"0" | b"-1") => Some(false),
        Some(_) => return Err(Malformed),
        None => None,
    };
    // A malformed tag is dropped, not the trace: so do Datadog's tracers.
    let high = found.one(Name::DatadogTags)?.and_then(high_half).unwrap_or_default();
    let trace_id = TraceId((u128::from(high) << 64) | u128::from(low));
    let context = Context { trace_id, span_id: (span != 0).then_some(SpanId(span)) };
    Ok(Some(Header { context: Some(context), sampled, ..Header::default() }))
}

fn decimal(text: &[u8]) -> Result<u64, Malformed> {
    if text.is_empty() || text.len() > 20 {
        return Err(Malformed);
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = char::from(*byte).to_digit(10).ok_or(Malformed)?;
        number.checked_mul(10).and_then(|number| number.checked_add(u64::from(digit))).ok_or(Malformed)
    })
}

fn high_half(tags: &[u8]) -> Option<u64> {
    tags.split(|&byte| byte == b',')
        .find_map(|tag| tag.trim_ascii().strip_prefix(b"_dd.p.tid="))
        .and_then(|text| hex::lower_span(text).ok())
}
