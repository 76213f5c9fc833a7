//! One direction: its bytes cut into frames.
//!
//! Frames are read where they lie; only one that is split over calls is copied, up to `limit::HEAD_MAX`. The
//! payload of DATA is handed on as it comes. A gap inside a frame whose header was seen costs that frame only.

use super::{
    fragments::{self, Fragments, Open},
    frame::{ACK, END_HEADERS, END_STREAM, HEADER, Head, Kind, PADDED},
};
use crate::{event::Call, limit};

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "numbers of the tests themselves")]
mod tests;

/// What a client sends first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Payload of the frames beside HEADERS and DATA that are looked at: more is debug data, or nonsense.
const CONTROL_MAX: u32 = 16 * 1024;
/// A buffer larger than this is not kept for the next frame.
const KEPT: usize = 16 * 1024;
/// Frames of a header block that have text of it, behind the first one: of 256 bytes each in the longest block.
const PARTS_MAX: usize = limit::HEAD_MAX / 256;

/// What was read.
#[derive(Debug)]
pub(super) enum Item<'a> {
    /// Nothing that matters here, or not all of it yet.
    Nothing,
    /// Frames begin behind these bytes.
    Preface,
    /// Content of a stream: bytes, or a number of bytes that were lost; `end` at the end of a frame: whether
    /// the stream's direction ends with it.
    Data {
        stream: u32,
        /// Where the content lies.
        at: u64,
        content: &'a [u8],
        lost: u64,
        end: Option<bool>,
    },
    /// A header block begins that goes on in other frames; how much padding the first one has, if it may have some.
    Opened(Option<u8>),
    Headers(Fragments<'a>),
    /// The code is not known if the frame was cut.
    Reset {
        stream: u32,
        code: Option<u32>,
    },
    GoAway {
        last: u32,
        code: u32,
    },
    /// `None`: the frame was cut.
    Settings(Option<&'a [u8]>),
    Acknowledged,
    /// What follows does not follow the protocol.
    Invalid,
    /// Where the next frame begins is lost.
    Lost,
}

#[derive(Debug)]
pub(super) struct Frames {
    state: State,
    /// A frame that is split over calls: its header, and its payload so far.
    partial: Vec<u8>,
    /// `partial` was handed out.
    used: bool,
    /// Position and call of the first byte of the frame.
    start: Option<(u64, Call)>,
    block: Option<Open>,
    text: Text,
}

/// The text of a header block that comes in several frames.
#[derive(Debug, Default)]
struct Text {
    bytes: Vec<u8>,
    /// See [`Fragments`].
    more: Vec<(usize, u64)>,
}

/// What the next bytes of a direction are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    Preface,
    /// A frame that begins at this position, and so many bytes of its header, which were read.
    Frame {
        start: u64,
        header: [u8; HEADER],
        read: usize,
    },
    /// The length of the padding of DATA.
    Padding,
    Payload,
    Unknown,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// So many bytes of the preface were seen.
    Preface(usize),
    /// At the start of a frame, or in one that is gathered.
    Frame,
    /// In a payload that is not gathered.
    Payload(Payload),
    Lost,
}

#[derive(Clone, Copy, Debug)]
struct Payload {
    head: Head,
    left: u32,
    padding: Padding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Padding {
    /// Its length is the next byte.
    Unread,
    Known(u32),
}

impl Frames {
    /// Of the direction whose first byte comes next.
    pub(super) fn from_opening(requests: bool) -> Self {
        Self::new(if requests { State::Preface(0) } else { State::Frame })
    }

    /// Of a direction of which it is not known where a frame begins.
    pub(super) fn lost() -> Self {
        Self::new(State::Lost)
    }

    fn new(state: State) -> Self {
        Self { state, partial: Vec::new(), used: false, start: None, block: None, text: Text::default() }
    }

    pub(super) fn is_lost(&self) -> bool {
        matches!(self.state, State::Lost)
    }

    pub(super) fn lose(&mut self) {
        *self = Self::lost();
    }

    /// A frame begins with the next byte.
    pub(super) fn resume(&mut self) {
        *self = Self::new(State::Frame);
    }

    /// The header of the frame that begins or continues with these bytes, before it is read.
    pub(super) fn next_head(&self, bytes: &[u8]) -> Option<Head> {
        if !matches!(self.state, State::Frame) || self.block.is_some() {
            return None;
        }
        if self.partial.is_empty() || self.used {
            return Head::read(bytes);
        }
        let missing = HEADER.checked_sub(self.partial.len()).filter(|missing| *missing > 0)?;
        let mut head = [0; HEADER];
        for (to, from) in head.iter_mut().zip(self.partial.iter().chain(bytes.get(..missing)?)) {
            *to = *from;
        }
        Head::read(&head)
    }

    /// The next byte is the first of a frame, of any type.
    pub(super) fn is_between(&self) -> bool {
        matches!(self.state, State::Frame) && (self.partial.is_empty() || self.used) && self.block.is_none()
    }

    /// What the bytes at this position are, which come next.
    pub(super) fn next(&self, position: u64) -> Next {
        match (self.state, self.start) {
            (State::Preface(_), _) => Next::Preface,
            (State::Frame, Some((start, _))) if !self.partial.is_empty() && !self.used => {
                let mut header = [0; HEADER];
                for (to, from) in header.iter_mut().zip(&self.partial) {
                    *to = *from;
                }
                Next::Frame { start, header, read: self.partial.len().min(HEADER) }
            }
            (State::Frame, _) => Next::Frame { start: position, header: [0; HEADER], read: 0 },
            (State::Payload(payload), _) if payload.padding == Padding::Unread => Next::Padding,
            (State::Payload(_), _) => Next::Payload,
            (State::Lost, _) => Next::Unknown,
        }
    }

    /// So many bytes lie before the next frame header, if that is known.
    pub(super) fn before_next(&self) -> Option<u32> {
        match self.state {
            State::Frame if self.partial.is_empty() || self.used => Some(0),
            State::Payload(payload) => Some(payload.left),
            State::Preface(_) | State::Frame | State::Lost => None,
        }
    }

    /// Inside of DATA: its stream, and how many bytes of the frame are to come.
    pub(super) fn data(&self) -> Option<(u32, u32)> {
        let State::Payload(payload) = self.state else { return None };
        let known = payload.head.kind == Kind::Data && payload.padding != Padding::Unread;
        known.then_some((payload.head.stream, payload.left))
    }

    /// Reads from the start of `bytes`, which lie at this position; returns how many were used, at least one.
    pub(super) fn read<'a>(&'a mut self, bytes: &'a [u8], position: u64, call: &Call) -> (usize, Item<'a>) {
        if self.used {
            self.partial.clear();
            self.partial.shrink_to(KEPT);
            self.used = false;
        }
        if self.block.is_none() {
            self.text.clear();
        }
        match self.state {
            State::Lost => (bytes.len(), Item::Nothing),
            State::Preface(seen) => self.preface(seen, bytes),
            State::Payload(payload) => self.payload(payload, bytes, position),
            State::Frame => {
                if self.partial.is_empty() {
                    self.start = Some((position, *call));
                    if let Some(head) = Head::read(bytes) {
                        let end = HEADER.saturating_add(head.length as usize);
                        if !self.is_in_turn(&head) {
                            return (HEADER, Item::Invalid);
                        }
                        if self.passes(&head) {
                            return (HEADER, self.begin(head));
                        }
                        if let Some(payload) = bytes.get(HEADER..end) {
                            let Self { start, block, text, .. } = self;
                            return (end, control(head, payload, *start, block, text));
                        }
                    }
                }
                self.gather(bytes)
            }
        }
    }

    /// So many bytes were lost; returns how many of them belong to what it says.
    pub(super) fn gap(&mut self, length: u64) -> (u64, Item<'_>) {
        if self.used {
            self.partial.clear();
            self.used = false;
        }
        if matches!(self.state, State::Frame)
            && let Some(head) = Head::read(&self.partial)
        {
            self.cut(head);
        }
        match self.state {
            State::Lost => (length, Item::Nothing),
            State::Payload(payload) if payload.padding != Padding::Unread => {
                let used = u64::from(payload.left).min(length);
                let content = used.min(u64::from(payload.content()));
                (used, self.advance(payload, used as u32, (0, &[]), content))
            }
            State::Payload(_) | State::Preface(_) | State::Frame => {
                self.lose();
                (length, Item::Lost)
            }
        }
    }

    fn preface(&mut self, seen: usize, bytes: &[u8]) -> (usize, Item<'static>) {
        let expected = PREFACE.get(seen..).unwrap_or_default();
        let length = expected.len().min(bytes.len());
        if bytes.get(..length) != expected.get(..length) {
            return (bytes.len(), Item::Invalid);
        }
        if length == expected.len() {
            self.state = State::Frame;
            return (length, Item::Preface);
        }
        self.state = State::Preface(seen.saturating_add(length));
        (length, Item::Nothing)
    }

    /// May this frame stand here? Nothing comes between the parts of a header block (RFC 9113, 6.10).
    fn is_in_turn(&self, head: &Head) -> bool {
        let continues = match &self.block {
            Some(open) => head.kind == Kind::Continuation && head.stream == open.stream,
            None => head.kind != Kind::Continuation,
        };
        continues && head.is_valid()
    }

    /// Is the payload handed on or passed over, rather than gathered?
    fn passes(&self, head: &Head) -> bool {
        match head.kind {
            Kind::Data
            | Kind::Priority
            | Kind::Ping
            | Kind::WindowUpdate
            | Kind::Registered
            | Kind::Unknown => true,
            Kind::Headers | Kind::PushPromise | Kind::Continuation => head.length as usize > limit::HEAD_MAX,
            Kind::Reset | Kind::Settings | Kind::GoAway => head.length > CONTROL_MAX,
        }
    }

    /// The payload of a frame that passes begins.
    fn begin(&mut self, head: Head) -> Item<'_> {
        if matches!(head.kind, Kind::Headers | Kind::PushPromise | Kind::Continuation) {
            self.cut(head);
            if let Some(open) = &mut self.block {
                open.too_long = true;
            }
            return Item::Nothing;
        }
        let padded = head.kind == Kind::Data && head.has(PADDED);
        let padding = if padded { Padding::Unread } else { Padding::Known(0) };
        let payload = Payload { head, left: head.length, padding };
        self.state = State::Payload(payload);
        if head.length == 0 { self.advance(payload, 0, (0, &[]), 0) } else { Item::Nothing }
    }

    fn payload<'a>(&'a mut self, mut payload: Payload, bytes: &'a [u8], position: u64) -> (usize, Item<'a>) {
        let mut rest = bytes;
        if payload.padding == Padding::Unread
            && let Some((length, after)) = rest.split_first()
        {
            payload.left = payload.left.saturating_sub(1);
            payload.padding = Padding::Known(u32::from(*length));
            self.state = State::Payload(payload);
            // RFC 9113, 6.1: no more padding than payload.
            if u32::from(*length) > payload.left {
                return (bytes.len(), Item::Invalid);
            }
            rest = after;
        }
        let used = rest.len().min(payload.left as usize);
        let content = rest.get(..used.min(payload.content() as usize)).unwrap_or_default();
        let before = bytes.len().saturating_sub(rest.len());
        let at = position.saturating_add(before as u64);
        (before.saturating_add(used), self.advance(payload, used as u32, (at, content), 0))
    }

    /// So many bytes of a payload are over.
    fn advance<'a>(
        &'a mut self,
        mut payload: Payload,
        used: u32,
        (at, content): (u64, &'a [u8]),
        lost: u64,
    ) -> Item<'a> {
        payload.left = payload.left.saturating_sub(used);
        let ended = payload.left == 0;
        self.state = if ended { State::Frame } else { State::Payload(payload) };
        let head = payload.head;
        match head.kind {
            Kind::Data => {
                let end = ended.then_some(head.has(END_STREAM));
                Item::Data { stream: head.stream, at, content, lost, end }
            }
            _ if !ended => Item::Nothing,
            Kind::Headers | Kind::PushPromise | Kind::Continuation if head.has(END_HEADERS) => {
                self.whole_block()
            }
            Kind::Reset => Item::Reset { stream: head.stream, code: None },
            Kind::Settings if head.has(ACK) => Item::Acknowledged,
            Kind::Settings => Item::Settings(None),
            Kind::Headers
            | Kind::PushPromise
            | Kind::Continuation
            | Kind::Priority
            | Kind::Ping
            | Kind::GoAway
            | Kind::WindowUpdate
            | Kind::Registered
            | Kind::Unknown => Item::Nothing,
        }
    }

    /// Gathers a frame that is split.
    fn gather(&mut self, bytes: &[u8]) -> (usize, Item<'_>) {
        let head = Head::read(&self.partial);
        let wanted = head.map_or(HEADER, |head| HEADER.saturating_add(head.length as usize));
        let used = wanted.saturating_sub(self.partial.len()).min(bytes.len());
        self.partial.extend_from_slice(bytes.get(..used).unwrap_or_default());
        if self.partial.len() < wanted {
            return (used, Item::Nothing);
        }
        let Some(head) = Head::read(&self.partial) else { return (used, Item::Nothing) };
        if wanted == HEADER && !self.is_in_turn(&head) {
            return (used, Item::Invalid);
        }
        if wanted == HEADER && self.passes(&head) {
            self.used = true;
            return (used, self.begin(head));
        }
        if self.partial.len() < HEADER.saturating_add(head.length as usize) {
            return (used, Item::Nothing);
        }
        self.used = true;
        let Self { partial, block, text, start, .. } = self;
        (used, control(head, partial.get(HEADER..).unwrap_or_default(), *start, block, text))
    }

    /// The rest of a frame will not be had: what is there of a header block is kept.
    fn cut(&mut self, head: Head) {
        let have = self.partial.get(HEADER..).unwrap_or_default();
        let left = head.length.saturating_sub(have.len() as u32);
        let before = have.is_empty() && self.partial.is_empty();
        match (head.kind, &mut self.block, self.start) {
            (Kind::Continuation, Some(open), _) => {
                if !open.cut {
                    self.text.add(have, self.start);
                }
                open.cut = true;
            }
            (Kind::Headers | Kind::PushPromise, block, Some((position, first))) => {
                self.text.clear();
                // Padding cannot be told from text.
                if !head.has(PADDED) && !before {
                    let skip = fragments::prefix_length(&head);
                    self.text.bytes.extend_from_slice(have.get(skip..).unwrap_or_default());
                }
                *block = Some(Open { cut: true, ..Open::new(&head, position, first) });
            }
            _ => {}
        }
        self.partial.clear();
        self.state = State::Payload(Payload { head, left, padding: Padding::Known(0) });
    }

    /// The header block that ends here.
    fn whole_block(&mut self) -> Item<'_> {
        match self.block.take() {
            Some(open) => Item::Headers(open.fragments(&self.text.bytes, &self.text.more)),
            None => Item::Invalid,
        }
    }
}

impl Text {
    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        self.more.clear();
        self.more.shrink_to(PARTS_MAX);
    }

    /// Adds the payload of the frame that began there. Whether it fits.
    fn add(&mut self, payload: &[u8], start: Option<(u64, Call)>) -> bool {
        // Any number of empty frames may come.
        if payload.is_empty() {
            return true;
        }
        let length = self.bytes.len().saturating_add(payload.len());
        if length > limit::HEAD_MAX || self.more.len() >= PARTS_MAX {
            return false;
        }
        if let Some((start, _)) = start {
            self.more.push((self.bytes.len(), start.saturating_add(HEADER as u64)));
        }
        self.bytes.extend_from_slice(payload);
        true
    }
}

impl Payload {
    /// Bytes that are no padding.
    fn content(&self) -> u32 {
        match self.padding {
            Padding::Known(padding) => self.left.saturating_sub(padding),
            Padding::Unread => 0,
        }
    }
}

/// A frame that is whole. `start` is where and when it began; a header block that goes on is `block` with `kept`.
fn control<'a>(
    head: Head,
    payload: &'a [u8],
    start: Option<(u64, Call)>,
    block: &mut Option<Open>,
    kept: &'a mut Text,
) -> Item<'a> {
    let number =
        |at: usize| payload.get(at..).and_then(<[u8]>::first_chunk).map(|four| u32::from_be_bytes(*four));
    match head.kind {
        Kind::Headers | Kind::PushPromise => {
            let (Some(text), Some((position, first))) = (fragments::text(&head, payload), start) else {
                return Item::Invalid;
            };
            let padding = payload.first().copied().filter(|_| head.has(PADDED));
            let open = Open::new(&head, position, first);
            if head.has(END_HEADERS) {
                return Item::Headers(Fragments { padding, ..open.fragments(text, &[]) });
            }
            kept.clear();
            kept.bytes.extend_from_slice(text);
            *block = Some(open);
            Item::Opened(padding)
        }
        Kind::Continuation => {
            let Some(open) = block else { return Item::Invalid };
            if !open.cut && !kept.add(payload, start) {
                open.cut = true;
                open.too_long = true;
            }
            if !head.has(END_HEADERS) {
                return Item::Nothing;
            }
            block.take().map_or(Item::Invalid, |open| Item::Headers(open.fragments(&kept.bytes, &kept.more)))
        }
        Kind::Reset => Item::Reset { stream: head.stream, code: number(0) },
        Kind::GoAway => match (number(0), number(4)) {
            (Some(last), Some(code)) => Item::GoAway { last: last & 0x7fff_ffff, code },
            _ => Item::Invalid,
        },
        Kind::Settings if head.has(ACK) => Item::Acknowledged,
        Kind::Settings => Item::Settings(Some(payload)),
        Kind::Data | Kind::Priority | Kind::Ping | Kind::WindowUpdate | Kind::Registered | Kind::Unknown => {
            Item::Nothing
        }
    }
}
