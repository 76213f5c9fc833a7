//! What a recording may have of HTTP/2 and of gRPC: what is read of frames, without secrets.
//!
//! Where bytes turned out to be none that follow the protocol, what stands there in their place does not either.

use super::{
    fragments::Fragments,
    frame::HEADER,
    grpc::{Messages, Part},
    half::{Item, Next},
};
use crate::{Of, Secrecy, event::Direction, protocol::Observer};

/// Trailers that a secret was in have this in its place.
const FILLER: u8 = b'x';

/// Tells of bytes that were read: `next` is what they were expected to be, `item` what they were.
pub(super) fn frame(
    next: Next,
    item: &Item<'_>,
    read: &[u8],
    (direction, position): (Direction, u64),
    out: &mut dyn Observer,
) {
    let mut tell = |position: u64, bytes: &[u8]| out.excerpt(direction, position, bytes, Of::Http2);
    match (next, item) {
        (Next::Preface, Item::Invalid) | (Next::Payload | Next::Unknown, _) => {}
        (Next::Preface, _) => tell(position, read),
        (Next::Padding, _) => tell(position, read.get(..1).unwrap_or_default()),
        // DATA of no stream (RFC 9113, 6.1).
        (Next::Frame { start, .. }, Item::Invalid) => tell(start, &[0; HEADER]),
        (Next::Frame { start, mut header, read: before }, _) => {
            let missing = header.get_mut(before..).unwrap_or_default();
            // Bytes are known for a header when all of it is there.
            if !missing.is_empty()
                && let Some(rest) = read.get(..missing.len())
            {
                missing.copy_from_slice(rest);
                tell(start, &header);
            }
            let payload = start.saturating_add(HEADER as u64);
            match item {
                Item::Settings(Some(settings)) => tell(payload, settings),
                Item::Opened(Some(padding)) => tell(payload, &[*padding]),
                Item::Reset { code: Some(code), .. } => tell(payload, &code.to_be_bytes()),
                Item::GoAway { last, code } => {
                    tell(payload, &last.to_be_bytes());
                    tell(payload.saturating_add(4), &code.to_be_bytes());
                }
                Item::Nothing
                | Item::Preface
                | Item::Data { .. }
                | Item::Opened(None)
                | Item::Headers(_)
                | Item::Reset { code: None, .. }
                | Item::Settings(None)
                | Item::Acknowledged
                | Item::Invalid
                | Item::Lost => {}
            }
        }
    }
}

/// Tells what is left of a header block.
pub(super) fn block(head: &Fragments<'_>, scrubbed: &[u8], direction: Direction, out: &mut dyn Observer) {
    if let Some(padding) = head.padding {
        out.excerpt(direction, head.position.saturating_add(HEADER as u64), &[padding], Of::Http2);
    }
    let (mut from, mut at) = (0, head.at);
    for &(start, position) in head.more {
        out.excerpt(direction, at, scrubbed.get(from..start).unwrap_or_default(), Of::Http2);
        (from, at) = (start, position);
    }
    out.excerpt(direction, at, scrubbed.get(from..).unwrap_or_default(), Of::Http2);
}

/// Takes bytes of a body, which lie at this position, and tells what is read of them.
pub(in super::super) fn messages(
    messages: &mut Messages,
    bytes: &[u8],
    (direction, position): (Direction, u64),
    of: Of,
    secrecy: &dyn Secrecy,
    out: &mut dyn Observer,
) {
    let mut places = core::mem::take(&mut messages.places);
    let mut ends = false;
    messages.take_and_tell(bytes, |part, at, length| {
        let place = position.saturating_add(at as u64);
        match part {
            Part::Content => {}
            Part::Prefix => {
                let end = at.saturating_add(length);
                out.excerpt(direction, place, bytes.get(at..end).unwrap_or_default(), of);
            }
            Part::Trailers => {
                places.push((place, length));
                ends = true;
            }
        }
    });
    // Only as a whole: what a secret is shows by what is before it.
    if let Some(text) = messages.trailers().filter(|_| ends) {
        let text = trailers(text, secrecy);
        let mut rest = &text[..];
        for (position, length) in places.drain(..) {
            let (part, behind) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            out.excerpt(direction, position, part, of);
            rest = behind;
        }
    }
    messages.places = places;
}

/// gRPC-Web trailers without secrets.
fn trailers(text: &[u8], secrecy: &dyn Secrecy) -> Vec<u8> {
    let mut text = text.to_vec();
    for line in text.split_mut(|byte| *byte == b'\n') {
        let colon = memchr::memchr(b':', line);
        let (name, value) = line.split_at_mut(colon.map_or(0, |colon| colon.saturating_add(1)));
        let start = value.len().saturating_sub(value.trim_ascii_start().len());
        let end = value.trim_ascii_end().len().max(start);
        let value = value.get_mut(start..end).unwrap_or_default();
        let Some(name) = name.split_last().map(|(_, name)| name.trim_ascii()) else {
            value.fill(FILLER);
            continue;
        };
        for secret in secrecy.of_field(name, value) {
            value.get_mut(secret).unwrap_or_default().fill(FILLER);
        }
    }
    text
}
