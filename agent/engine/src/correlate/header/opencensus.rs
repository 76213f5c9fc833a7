//! OpenCensus's binary context, which gRPC carries in `grpc-trace-bin`
//! (https://github.com/census-instrumentation/opencensus-specs/blob/master/encodings/BinaryEncoding.md).

use super::{Context, Found, Header, Malformed, Name};
use crate::span::{SpanId, TraceId};

const SAMPLED: u8 = 1;

/// A version, 0, and three fields behind their ids: a trace id of 16 bytes, a span id of 8, options of 1.
const LENGTH: usize = 29;
const TRACE_ID: u8 = 0;
const SPAN_ID: u8 = 1;
const OPTIONS: u8 = 2;

pub(super) fn read(found: &Found<'_>) -> Result<Option<Header>, Malformed> {
    let Some(text) = found.one(Name::GrpcTraceBin)? else { return Ok(None) };
    let bytes = decode(text)?;
    let (head, rest) = bytes.split_first_chunk::<2>().ok_or(Malformed)?;
    let (trace, rest) = rest.split_first_chunk::<16>().ok_or(Malformed)?;
    let (span_id, rest) = rest.split_first().ok_or(Malformed)?;
    let (span, rest) = rest.split_first_chunk::<8>().ok_or(Malformed)?;
    let &[options_id, options] = rest else { return Err(Malformed) };
    let (trace, span) = (u128::from_be_bytes(*trace), u64::from_be_bytes(*span));
    if *head != [0, TRACE_ID] || (*span_id, options_id) != (SPAN_ID, OPTIONS) || trace == 0 || span == 0 {
        return Err(Malformed);
    }
    Ok(Some(Header {
        context: Some(Context { trace_id: TraceId(trace), span_id: Some(SpanId(span)) }),
        sampled: Some(options & SAMPLED != 0),
        ..Header::default()
    }))
}

/// The first bytes of a text in base64, padded or not (RFC 4648, 4). More than these may follow, but no second value:
/// gRPC allows to join several by commas (gRPC over HTTP/2, Custom-Metadata).
fn decode(text: &[u8]) -> Result<[u8; LENGTH], Malformed> {
    /// Digits that these bytes take.
    const DIGITS: usize = (LENGTH * 8).div_ceil(6);
    let mut bytes = [0; LENGTH];
    let (digits, rest) = text.split_at_checked(DIGITS).ok_or(Malformed)?;
    if rest.contains(&b',') {
        return Err(Malformed);
    }
    let (mut held, mut bits) = (0_u32, 0_u32);
    let mut places = bytes.iter_mut();
    for digit in digits {
        // Digits before the last two are shifted out.
        held = (held << 6) | value(*digit)?;
        bits = bits.saturating_add(6);
        if bits >= 8 {
            bits = bits.saturating_sub(8);
            if let Some(place) = places.next() {
                *place = u8::try_from((held >> bits) & 0xff).map_err(|_| Malformed)?;
            }
        }
    }
    Ok(bytes)
}

fn value(digit: u8) -> Result<u32, Malformed> {
    let value = match digit {
        b'A'..=b'Z' => digit.wrapping_sub(b'A'),
        b'a'..=b'z' => digit.wrapping_sub(b'a').wrapping_add(26),
        b'0'..=b'9' => digit.wrapping_sub(b'0').wrapping_add(52),
        b'+' => 62,
        b'/' => 63,
        _ => return Err(Malformed),
    };
    Ok(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{correlate::header, protocol::Field};

    fn header(value: &str) -> (Option<Header>, u64) {
        header::read(&[Field { name: b"grpc-trace-bin", value: value.as_bytes() }])
    }

    #[test]
    fn a_binary_context_is_read_padded_or_not() {
        // 00 00 40..4f 01 61..68 02 01, the example of the specification.
        let text = "AABAQUJDREVGR0hJSktMTU5PAWFiY2RlZmdoAgE";
        let trace = 0x4041_4243_4445_4647_4849_4a4b_4c4d_4e4f;
        for value in [text.to_owned(), format!("{text}=")] {
            let (header, malformed) = header(&value);
            let header = header.unwrap();
            let context = Context { trace_id: TraceId(trace), span_id: Some(SpanId(0x6162_6364_6566_6768)) };
            assert_eq!((header.context, header.sampled, malformed), (Some(context), Some(true), 0));
        }
    }

    #[test]
    fn what_is_none_is_counted() {
        for wrong in [
            "",
            "AAB",
            "AABAQUJDREVGR0hJSktMTU5PAWFiY2RlZmdoAg",
            "-ABAQUJDREVGR0hJSktMTU5PAWFiY2RlZmdoAgE",
            "AQBAQUJDREVGR0hJSktMTU5PAWFiY2RlZmdoAgE",
            "AAAAAAAAAAAAAAAAAAAAAAAAAWFiY2RlZmdoAgE",
            "AABAQUJDREVGR0hJSktMTU5PAWFiY2RlZmdoAgE,AABAQUJDREVGR0hJSktMTU5PAWFiY2RlZmdoAgE",
        ] {
            assert_eq!(header(wrong), (None, 1), "{wrong}");
        }
    }
}
