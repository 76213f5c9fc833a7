//! Header blocks, which may come in several frames.

use super::frame::{END_STREAM, HEADER, Head, Kind, PADDED, PRIORITY};
use crate::event::Call;

/// A header block: HEADERS or PUSH_PROMISE with all CONTINUATION frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragments<'a> {
    /// A pushed request: only its effect on the decoder matters.
    pub(super) promise: bool,
    pub(super) stream: u32,
    pub(super) end_stream: bool,
    pub(super) text: &'a [u8],
    /// The text lacks its end, or all of it.
    pub(super) cut: bool,
    /// It is longer than the bound.
    pub(super) too_long: bool,
    /// Of the first byte of the first frame.
    pub(super) position: u64,
    pub(super) first: Call,
    /// How much padding its only frame has, if it may have some.
    pub(super) padding: Option<u8>,
    /// Where the text begins;
    pub(super) at: u64,
    /// and where it goes on: from which of its bytes, and the position.
    pub(super) more: &'a [(usize, u64)],
}

/// A header block that goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) promise: bool,
    pub(super) stream: u32,
    pub(super) end_stream: bool,
    pub(super) cut: bool,
    pub(super) too_long: bool,
    pub(super) position: u64,
    pub(super) first: Call,
    /// Where its text begins.
    pub(super) at: u64,
}

impl Open {
    pub(super) fn new(head: &Head, position: u64, first: Call) -> Self {
        let promise = head.kind == Kind::PushPromise;
        Self {
            promise,
            stream: head.stream,
            end_stream: head.has(END_STREAM) && !promise,
            cut: false,
            too_long: false,
            position,
            first,
            at: position.saturating_add(HEADER as u64).saturating_add(text_start(head) as u64),
        }
    }

    pub(super) fn fragments<'a>(self, text: &'a [u8], more: &'a [(usize, u64)]) -> Fragments<'a> {
        let Self { promise, stream, end_stream, cut, too_long, position, first, at } = self;
        let padding = None;
        Fragments { promise, stream, end_stream, text, cut, too_long, position, first, padding, at, more }
    }
}

/// What stands before the text of a header block (RFC 9113, 6.2 and 6.6), without the length of the padding.
pub(super) fn prefix_length(head: &Head) -> usize {
    if head.kind == Kind::PushPromise {
        4
    } else if head.has(PRIORITY) {
        5
    } else {
        0
    }
}

/// Where in a payload the text begins.
fn text_start(head: &Head) -> usize {
    prefix_length(head).saturating_add(usize::from(head.has(PADDED)))
}

/// The text of the header block in a payload, without padding; `None`: more padding than payload.
pub(super) fn text<'a>(head: &Head, payload: &'a [u8]) -> Option<&'a [u8]> {
    if head.kind == Kind::Continuation {
        return Some(payload);
    }
    let (padding, rest) = if head.has(PADDED) {
        let (length, rest) = payload.split_first()?;
        (usize::from(*length), rest)
    } else {
        (0, payload)
    };
    rest.get(prefix_length(head)..rest.len().checked_sub(padding)?)
}
