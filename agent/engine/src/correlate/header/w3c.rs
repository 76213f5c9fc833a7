//! W3C Trace Context, level 2 (https://www.w3.org/TR/trace-context-2/).

use std::sync::Arc;

use super::{Context, Found, Header, Malformed, Name, STATE_MAX, hex};
use crate::span::{SpanId, TraceId};

const LENGTH: usize = 55;
const SAMPLED: u128 = 1;
const RANDOM: u128 = 2;
/// Members of a list (3.3.1.1).
const MEMBERS_MAX: usize = 32;

pub(super) fn read(found: &Found<'_>) -> Result<Option<Header>, Malformed> {
    let Some(parent) = found.one(Name::TraceParent)? else {
        // Without a traceparent a tracestate means nothing (3.3).
        return Ok(None);
    };
    let mut header = parse_parent(parent)?;
    header.state = state(found);
    Ok(Some(header))
}

/// `version "-" trace-id "-" parent-id "-" trace-flags` (3.2). A later version may append to it (4.3).
fn parse_parent(text: &[u8]) -> Result<Header, Malformed> {
    let (known, rest) = text.split_at_checked(LENGTH).ok_or(Malformed)?;
    let mut parts = known.split(|&byte| byte == b'-');
    let mut part = |length: usize| match parts.next() {
        Some(part) if part.len() == length => hex::lower(part),
        _ => Err(Malformed),
    };
    let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    let fits = match version {
        0 => rest.is_empty(),
        0xff => false,
        _ => rest.first().is_none_or(|&byte| byte == b'-'),
    };
    let span = u64::try_from(span).map_err(|_| Malformed)?;
    if !fits || trace == 0 || span == 0 {
        return Err(Malformed);
    }
    Ok(Header {
        context: Some(Context { trace_id: TraceId(trace), span_id: Some(SpanId(span)) }),
        sampled: Some(flags & SAMPLED != 0),
        random: flags & RANDOM != 0,
        state: None,
    })
}

/// The list, combined if it came in several fields (3.3.1); nothing if a member is malformed (4.3).
fn state(found: &Found<'_>) -> Option<Arc<str>> {
    let mut combined = String::new();
    for value in found.all(Name::TraceState) {
        let value = std::str::from_utf8(value).ok()?;
        if value.is_empty() {
            continue;
        }
        if combined.len().saturating_add(value.len()) >= STATE_MAX {
            return None;
        }
        if !combined.is_empty() {
            combined.push(',');
        }
        combined.push_str(value);
    }
    let mut members = 0_usize;
    for member in combined.split(',').map(|member| member.trim_matches([' ', '\t'])) {
        // Empty members are allowed (3.3.1.1).
        if !member.is_empty() {
            members = members.saturating_add(1);
            let (key, value) = member.split_once('=')?;
            if !is_key(key) || !is_value(value) {
                return None;
            }
        }
    }
    ((1..=MEMBERS_MAX).contains(&members)).then(|| combined.into())
}

fn is_key(key: &str) -> bool {
    let first = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    key.len() <= 256
        && key.bytes().next().is_some_and(first)
        && key.bytes().all(|byte| first(byte) || b"_-*/@".contains(&byte))
}

fn is_value(value: &str) -> bool {
    value.len() <= 256
        && !value.is_empty()
        && value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b',' && byte != b'=')
}
