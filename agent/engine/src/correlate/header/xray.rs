//! AWS X-Ray's tracing header
//! (https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader).

use super::{Context, Found, Header, Malformed, Name, hex};
use crate::span::{SpanId, TraceId};

/// `Root=1-{8 hex}-{24 hex};Parent={16 hex};Sampled={0|1|?}`, in any order, with keys of others among them.
pub(super) fn read(found: &Found<'_>) -> Result<Option<Header>, Malformed> {
    let Some(text) = found.one(Name::XRay)? else { return Ok(None) };
    let (mut root, mut parent, mut sampled) = (None, None, None);
    for part in text.split(|&byte| byte == b';').map(<[u8]>::trim_ascii).filter(|part| !part.is_empty()) {
        let equals = part.iter().position(|&byte| byte == b'=').ok_or(Malformed)?;
        let (key, value) = part.split_at_checked(equals).ok_or(Malformed)?;
        let value = value.strip_prefix(b"=").ok_or(Malformed)?;
        let slot = match key {
            b"Root" => &mut root,
            b"Parent" => &mut parent,
            b"Sampled" => &mut sampled,
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return Err(Malformed);
        }
    }
    // A load balancer writes `Self` for its own hop, and `Root` always.
    let trace_id = trace(root.ok_or(Malformed)?)?;
    let span_id = match parent.map(hex::lower_span).transpose()? {
        Some(0) => return Err(Malformed),
        id => id.map(SpanId),
    };
    let sampled = match sampled {
        Some(b"1") => Some(true),
        Some(b"0") => Some(false),
        // Asks the receiver to decide.
        Some(b"?") | None => None,
        Some(_) => return Err(Malformed),
    };
    Ok(Some(Header { context: Some(Context { trace_id, span_id }), sampled, ..Header::default() }))
}

fn trace(root: &[u8]) -> Result<TraceId, Malformed> {
    let mut parts = root.split(|&byte| byte == b'-');
    let (version, time, unique) = (parts.next(), parts.next(), parts.next());
    match (version, time, unique, parts.next()) {
        (Some(b"1"), Some(time), Some(unique), None) if time.len() == 8 && unique.len() == 24 => {
            let id = (hex::lower(time)? << 96) | hex::lower(unique)?;
            if id == 0 { Err(Malformed) } else { Ok(TraceId(id)) }
        }
        _ => Err(Malformed),
    }
}
