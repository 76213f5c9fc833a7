//! One direction: where its framing stands, and the part of a head that earlier calls moved.

use super::{body::Body, head};
use crate::{
    Of,
    event::{Call, Direction, Task, Time},
    limit,
    protocol::{
        Gap, Observer,
        held::Held,
        http2::{excerpt, grpc::Messages},
    },
};

/// Less than this of a body is not worth an order to the kernel side.
const SKIP_MIN: u64 = 4096;
/// A head buffer larger than this is not kept for the next head.
const HEAD_KEPT: usize = 4096;

/// One direction.
#[derive(Debug)]
pub(super) struct Half {
    pub(super) state: State,
    /// The part of a head that earlier calls moved.
    pub(super) head: Vec<u8>,
    /// Bytes of `head` in which its end was searched.
    pub(super) searched: usize,
    /// The start line of `head` was read.
    pub(super) line: bool,
    /// Position and call of the first byte of the message.
    pub(super) position: u64,
    pub(super) first: Option<Call>,
    /// The call that moved the newest bytes.
    pub(super) last: Option<Call>,
    /// Accepted where framing was lost: must be flawless.
    pub(super) candidate: bool,
    /// Bytes of content so far.
    pub(super) content: u64,
    /// The messages in it, if it is a call's.
    pub(super) messages: Option<Messages>,
    /// The position up to which the kernel side was told to skip.
    pub(super) told: u64,
    /// Framing was lost to a gap, not merely unknown from before.
    pub(super) gapped: bool,
    /// The response to the request that is read decides what follows it.
    pub(super) switches: bool,
    pub(super) held: Held,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Between messages or in a head.
    Head,
    Body(Body),
    /// The framing is lost.
    Lost,
}

impl Half {
    pub(super) fn new(state: State) -> Self {
        Self {
            state,
            head: Vec::new(),
            searched: 0,
            line: false,
            position: 0,
            first: None,
            last: None,
            candidate: false,
            content: 0,
            messages: None,
            told: 0,
            gapped: false,
            switches: false,
            held: Held::default(),
        }
    }

    /// The newest call, or one at this time when there was none.
    pub(super) fn call(&self, time: Time) -> Call {
        self.last.unwrap_or(Call { enter: time, exit: time, tid: 0, task: Task { tgid: 0, id: 0 } })
    }

    /// The call of a gap; one that was not seen is known by its time only.
    pub(super) fn gap_call(&self, gap: &Gap) -> Call {
        gap.call.unwrap_or(Call { enter: gap.time, exit: gap.time, ..self.call(gap.time) })
    }

    /// Ready for the next head.
    pub(super) fn reset(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        if buffer.capacity() <= HEAD_KEPT {
            self.head = buffer;
        }
        self.searched = 0;
        self.line = false;
        self.first = None;
        self.candidate = false;
    }

    pub(super) fn lose(&mut self, to_gap: bool) {
        self.reset(Vec::new());
        self.head.clear();
        self.state = State::Lost;
        self.messages = None;
        self.gapped |= to_gap;
    }

    pub(super) fn forget(&mut self) {
        self.head = Vec::new();
        self.held = Held::default();
        self.state = State::Lost;
    }

    /// Adds bytes to a split head. Some when it is complete: its length, and how many of `bytes` belong to it.
    pub(super) fn gather(&mut self, bytes: &[u8]) -> Gathered {
        let before = self.head.len();
        let room = limit::HEAD_MAX.saturating_sub(before);
        self.head.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        match head::find_end(&self.head, self.searched) {
            Ok(end) => {
                self.head.truncate(end);
                Gathered::Complete(end.saturating_sub(before))
            }
            Err(_) if self.head.len() >= limit::HEAD_MAX => Gathered::TooLong,
            Err(searched) => {
                self.searched = searched;
                Gathered::NeedMore
            }
        }
    }

    /// Takes content, which lies at this position.
    pub(super) fn pass(&mut self, direction: Direction, position: u64, bytes: &[u8], out: &mut dyn Observer) {
        out.content(direction, position, bytes.len() as u64);
        match (&mut self.messages, out.secrecy()) {
            (None, _) => {}
            (Some(messages), None) => messages.take(bytes),
            (Some(messages), Some(secrecy)) => {
                excerpt::messages(messages, bytes, (direction, position), Of::Body, &*secrecy, out);
            }
        }
    }

    /// Takes content that was lost.
    pub(super) fn pass_gap(&mut self, gap: &Gap, length: u64, out: &mut dyn Observer) {
        out.content(gap.direction, gap.position, length);
        self.content = self.content.saturating_add(length);
        if let Some(messages) = &mut self.messages {
            messages.gap(length);
        }
    }

    /// A gap of this length in a body changes nothing.
    pub(super) fn absorbs(&self, length: u64) -> bool {
        let State::Body(body) = self.state else { return false };
        // The last byte of a body is worth a wait: its call ends the message.
        length < body.known() && self.messages.as_ref().is_none_or(|messages| length <= messages.known())
    }

    /// Tells the kernel side once how far the body reaches, if that is worth it.
    pub(super) fn tell_skip(&mut self, direction: Direction, position: u64, out: &mut dyn Observer) {
        let State::Body(body) = self.state else { return };
        let message = self.messages.as_ref().map(Messages::known);
        let known = body.known().min(message.unwrap_or(u64::MAX));
        let end = position.saturating_add(known);
        // A body without a length shows only by its content that it is long.
        let expected = if body == Body::Close && message.is_none() { self.content } else { known };
        if expected > SKIP_MIN && end > self.told {
            self.told = end;
            out.skip(direction, end);
        }
    }
}

pub(super) enum Gathered {
    NeedMore,
    /// So many of the bytes given belong to the head.
    Complete(usize),
    TooLong,
}
