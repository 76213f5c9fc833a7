//! Jaeger's `uber-trace-id` (https://www.jaegertracing.io/docs/1.76/client-libraries/#propagation-format).

use super::{Context, Found, Header, Malformed, Name, hex};
use crate::span::{SpanId, TraceId};

/// `{trace-id}:{span-id}:{parent-span-id}:{flags}`; ids may be shorter than full, the parent is unused, and
/// clients may have percent-encoded the colons.
pub(super) fn read(found: &Found<'_>) -> Result<Option<Header>, Malformed> {
    let Some(text) = found.one(Name::Jaeger)? else { return Ok(None) };
    let mut rest = text;
    let trace = hex::any(part(&mut rest)?)?;
    let span = hex::any_span(part(&mut rest)?)?;
    hex::any_span(part(&mut rest)?)?;
    let flags = hex::any(rest)?;
    if rest.len() > 2 || trace == 0 || span == 0 {
        return Err(Malformed);
    }
    let context = Context { trace_id: TraceId(trace), span_id: Some(SpanId(span)) };
    // Bit 0 is sampled; debug (bit 1) counts only with it.
    Ok(Some(Header { context: Some(context), sampled: Some(flags & 1 != 0), ..Header::default() }))
}

/// Cuts off the text before the next colon.
fn part<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let end = rest.iter().position(|&byte| byte == b':' || byte == b'%').ok_or(Malformed)?;
    let (part, separator) = rest.split_at_checked(end).ok_or(Malformed)?;
    *rest = match separator {
        [b':', after @ ..] | [b'%', b'3', b'A' | b'a', after @ ..] => after,
        _ => return Err(Malformed),
    };
    Ok(part)
}
