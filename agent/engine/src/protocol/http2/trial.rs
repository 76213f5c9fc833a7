//! A direction whose frames were found ([`super::resync`]) is on trial: content can hold a chain of frames as well, and
//! nothing is known of how large a frame may be on a connection that is older than the agent. While one is,
//! requests are told, and taken back if it fails; responses wait.
//!
//! A direction is believed
//! * once its chain is longer than a payload can be: it has left the content that it might have begun in; or
//! * once [`CALLS`] calls in a row began at its frames, at distances that have no divisor as large as a frame: the
//!   pieces in which content is moved may all begin at frames in it, but only if both are of one size; or
//! * once [`ALONE`] calls in a row had one frame each, as those of a stream of like messages do;
//!
//! and both are when they agree, which a recording of another connection does not with this one:
//! * [`ROUNDS`] times every request so far had its answer; or
//! * [`ANSWERS`] had, in [`TURNS`] turns of both sides, and a quarter of all so far.
//!
//! It fails when a frame is not plausible, when a header block cannot be decoded, and when the client's streams do not follow
//! each other by number, as they do for every client. So a chain that leads out of content, which may end with a whole
//! frame, into the frames behind it fails there, and none of the entries that it put into the header table is used.

use core::ops::Range;

use abi::conn::frame::{KEPT, LEFT_OUT_MIN};
use smallvec::SmallVec;

use super::{
    Gap,
    frame::{HEADER, Head, Kind, PAYLOAD_MAX},
    resync::open_block,
};

/// Calls in a row that begin at frames.
const CALLS: u32 = 8;
/// Calls in a row that are one frame each.
const ALONE: u32 = 32;
/// Times that every request was answered.
const ROUNDS: u32 = 3;
/// Requests that are answered, and how often the client went on behind some of them.
const ANSWERS: u32 = 16;
const TURNS: u32 = 4;
/// Those that are not are at most so many times as many.
const UNANSWERED: u32 = 3;
/// Responses that are recorded before their requests: these may wait for others ([`crate::limit::REORDER_WAIT`]).
const AWAITED_MAX: usize = 256;

/// A direction on trial.
#[derive(Debug)]
pub(super) struct Trial {
    /// Where its chain began.
    from: u64,
    /// Where the newest call began that began with a frame, how many did in a row, and what divides their distances.
    last: u64,
    calls: u32,
    divisor: u64,
    /// Frames since then, and how many calls in a row had one.
    frames: u32,
    alone: u32,
    /// Where its newest frame begins.
    pub(super) newest: u64,
    /// Responses: frames before the first one that answers a request.
    pub(super) passed: u64,
}

impl Trial {
    pub(super) fn new(from: u64) -> Self {
        Self { from, last: 0, calls: 0, divisor: 0, frames: 0, alone: 0, newest: from, passed: 0 }
    }

    /// A call begins here, with a frame or not.
    pub(super) fn call(&mut self, position: u64, aligned: bool) {
        if !aligned {
            (self.calls, self.divisor, self.alone) = (0, 0, 0);
            return;
        }
        if self.calls > 0 {
            self.divisor = divisor(self.divisor, position.saturating_sub(self.last));
            self.alone = if self.frames == 1 { self.alone.saturating_add(1) } else { 0 };
        }
        self.frames = 0;
        self.last = position;
        self.calls = self.calls.saturating_add(1);
    }

    /// A frame begins here.
    pub(super) fn frame(&mut self, position: u64) {
        self.newest = position;
        self.frames = self.frames.saturating_add(1);
    }

    /// It is what it seems to be, if no payload is longer than this.
    pub(super) fn is_over(&self, payload_max: Option<u32>) -> bool {
        let longest = u64::from(payload_max.unwrap_or(PAYLOAD_MAX)).saturating_add(HEADER as u64);
        self.newest.saturating_sub(self.from) > longest
            || self.alone >= ALONE
            || self.calls >= CALLS && self.divisor > 0 && self.divisor < HEADER as u64
    }
}

/// The greatest common divisor.
fn divisor(mut one: u64, mut other: u64) -> u64 {
    while let Some(rest) = one.checked_rem(other) {
        (one, other) = (other, rest);
    }
    one
}

/// Whether both directions tell of the same streams.
#[derive(Debug)]
pub(super) struct Agreement {
    /// The requests are on trial.
    pub(super) requests: bool,
    /// The newest stream before.
    pub(super) base: u32,
    /// The newest one since; 0: there is none.
    newest: u32,
    /// Of those above this one, which is known with the first answer, none was answered unseen: how many have an answer
    /// and how many none, and how often that were none.
    counted: Option<u32>,
    answers: u32,
    unanswered: u32,
    rounds: u32,
    /// Turns of both sides; the last one is the server's.
    turns: u32,
    turned: bool,
    /// Answers whose requests may be recorded yet, and where they begin.
    awaited: SmallVec<[(u32, u64); 4]>,
    /// Where the first answer begins that answers a request.
    pub(super) first: Option<u64>,
    /// There is none.
    pub(super) refuted: bool,
}

impl Agreement {
    pub(super) fn new(requests: bool, base: u32) -> Self {
        Self {
            requests,
            base,
            newest: 0,
            counted: Some(base),
            answers: 0,
            unanswered: 0,
            rounds: 0,
            turns: 0,
            turned: false,
            awaited: SmallVec::new(),
            first: None,
            refuted: false,
        }
    }

    /// Requests were found, too. What was heard so far may answer some of them.
    pub(super) fn of_requests(base: u32, before: &mut Self) -> Self {
        Self { awaited: core::mem::take(&mut before.awaited), ..Self::new(true, base) }
    }

    /// A request opens this stream. It was answered before?
    pub(super) fn opens(&mut self, id: u32) -> bool {
        if self.newest == 0 {
            self.awaited.retain(|(awaited, _)| *awaited >= id);
        } else {
            self.refuted |= self.requests && id != self.newest.saturating_add(2);
        }
        self.newest = id;
        self.turns = self.turns.saturating_add(u32::from(core::mem::take(&mut self.turned)));
        self.unanswered = self.unanswered.saturating_add(u32::from(self.counted.is_some()));
        let answer = self.awaited.iter().find(|(awaited, _)| *awaited == id).copied();
        self.awaited.retain(|(awaited, _)| *awaited != id);
        // The request of these will not come.
        self.refuted |= self.awaited.iter().any(|(awaited, _)| *awaited < id);
        if let Some((_, position)) = answer {
            self.answered(id, position);
        }
        answer.is_some()
    }

    /// The responses were found just now.
    pub(super) fn responses_begin(&mut self) {
        self.counted = None;
        (self.answers, self.unanswered, self.rounds, self.turns) = (0, 0, 0, 0);
    }

    /// An answer to one of these requests begins here.
    pub(super) fn answered(&mut self, id: u32, position: u64) {
        self.first.get_or_insert(position);
        if id <= self.base {
            return;
        }
        let counted = *self.counted.get_or_insert_with(|| {
            // Every second number is one of a client.
            self.unanswered = self.newest.saturating_sub(id).div_ceil(2).saturating_add(1);
            id.saturating_sub(1)
        });
        if id <= counted {
            return;
        }
        self.turned = true;
        self.answers = self.answers.saturating_add(1);
        self.unanswered = self.unanswered.saturating_sub(1);
        self.rounds = self.rounds.saturating_add(u32::from(self.unanswered == 0));
    }

    /// An answer to a request that was not seen begins here.
    pub(super) fn awaits(&mut self, id: u32, position: u64) {
        if id <= self.newest.max(self.base) || self.awaited.iter().any(|(awaited, _)| *awaited == id) {
            return;
        }
        if self.awaited.len() >= AWAITED_MAX {
            self.awaited.remove(0);
        }
        self.awaited.push((id, position));
    }

    pub(super) fn is_reached(&self) -> bool {
        let most = self.unanswered <= self.answers.saturating_mul(UNANSWERED);
        self.rounds >= ROUNDS || self.answers >= ANSWERS && self.turns >= TURNS && most
    }

    /// So far all requests have their answers, and there were some.
    pub(super) fn is_settled(&self) -> bool {
        self.rounds > 0 && self.unanswered == 0 && !self.refuted
    }
}

/// Passes over frames that are not read yet.
#[derive(Debug)]
pub(super) struct Walker {
    /// The next byte of a header that is wanted, and what there is of it.
    next: u64,
    header: SmallVec<[u8; HEADER]>,
    /// A header block of this stream goes on.
    continues: Option<u32>,
    /// Where content begins that goes on up to the next header and that nobody looks at, as the kernel side sees it.
    content: Option<u64>,
}

impl Walker {
    /// A frame begins here, or goes on behind this part of its header.
    pub(super) fn new(next: u64, header: &[u8], continues: Option<u32>) -> Self {
        Self { next, header: header.into(), continues, content: None }
    }

    /// A frame begins here.
    pub(super) fn is_at(&self, position: u64) -> bool {
        self.next == position && self.header.is_empty()
    }

    /// Hands out the headers in these bytes, and where they begin; and long content. `false`: this is no sequence of frames.
    pub(super) fn bytes(
        &mut self,
        position: u64,
        bytes: &[u8],
        mut found: impl FnMut(&Head, u64, &[u8]) -> bool,
        mut content: impl FnMut(Range<u64>),
    ) -> bool {
        let end = position.saturating_add(bytes.len() as u64);
        loop {
            if let Some(start) = self.content {
                let range = start.max(position)..self.next.min(end);
                if range.start < range.end {
                    content(range);
                }
                self.content = self.content.filter(|_| self.next > end);
            }
            let Some(offset) = self.next.checked_sub(position) else { return false };
            let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..));
            let Some(rest) = rest.filter(|rest| !rest.is_empty()) else { return true };
            let have = rest.get(..HEADER.saturating_sub(self.header.len())).unwrap_or(rest);
            self.header.extend_from_slice(have);
            self.next = self.next.saturating_add(have.len() as u64);
            let Some(head) = Head::read(&self.header) else { return true };
            let start = self.next.saturating_sub(HEADER as u64);
            let in_turn = match self.continues {
                Some(stream) => head.kind == Kind::Continuation && head.stream == stream,
                None => head.kind != Kind::Continuation,
            };
            if !in_turn || !found(&head, start, &self.header) {
                return false;
            }
            self.continues = open_block(&head);
            self.header.clear();
            let kept = self.next.saturating_add(u64::from(KEPT));
            self.content =
                (head.kind == Kind::Data && head.length > KEPT.saturating_add(LEFT_OUT_MIN)).then_some(kept);
            self.next = self.next.saturating_add(u64::from(head.length));
        }
    }

    /// Where the next frame begins, if it does behind what was read.
    pub(super) fn next(&self) -> Option<u64> {
        self.header.is_empty().then_some(self.next)
    }

    /// Passes a gap. `false`: where the next frame begins is lost in it.
    pub(super) fn gap(&mut self, gap: &Gap) -> bool {
        let end = gap.position.saturating_add(gap.length);
        if gap.quiet.is_some() && self.is_at(gap.position) && self.continues.is_none() {
            self.next = end;
        }
        self.header.is_empty() && self.next >= end
    }
}
