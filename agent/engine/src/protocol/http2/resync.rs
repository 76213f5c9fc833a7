//! Where frames begin, in a direction that was joined in the middle or had a gap at a frame boundary.
//!
//! Every place that could hold a frame header starts a chain: header, payload passed by its length, the next
//! header, and so on. A chain ends with the first header that is not plausible ([`Head::is_plausible`]). Content
//! can look like frames (someone may send a recording of HTTP/2), so that a chain is believed only when it
//! cannot, or hardly can, lie inside of the content it began in:
//!
//! * it is longer than a payload usually is (RFC 9113, 4.2), and so are its own: it has left that payload, and was still
//!   right; or
//! * calls began at three of its frames; a sender writes whole frames, but not the frames in its content; or
//! * it has [`FRAMES_SURE`] frames.
//!
//! And no other chain may be as long, nor, in the last case, may a frame that a call began with reach beyond it: that
//! would be its content. Reading begins with the newest frame: what the chain passed before may
//! have been content, so nothing is made of it, neither requests nor entries of a header table.

use super::frame::{END_HEADERS, HEADER, Head, Kind, PADDED, PAYLOAD_USUAL, PRIORITY};
use crate::{
    Of,
    counter::Counter,
    event::Direction,
    protocol::{Bytes, Gap, Observer},
};

/// Frames of a chain that is believed, at least.
const FRAMES_MIN: u32 = 4;
/// Frames of a chain that is believed wherever its calls began.
const FRAMES_SURE: u32 = 64;
/// Calls that began at frames of the chain.
const ALIGNED_MIN: u32 = 3;
/// Chains that are followed at once; the true one is among the first, since others end soon.
const CHAINS_MAX: usize = 32;
/// Frames of a chain of which a recording is told: more are hardly ever needed to believe one.
const PASSED_MAX: usize = 2 * FRAMES_SURE as usize;

/// See the module.
#[derive(Debug)]
pub(crate) struct Search {
    /// Whose frames these are: a client's, a server's or not known.
    requests: Option<bool>,
    chains: Vec<Chain>,
    /// The last bytes, too few for a header, and the position behind them.
    carry: Vec<u8>,
    end: u64,
}

#[derive(Clone, Debug)]
struct Chain {
    /// Its frames, if they are to be told of.
    passed: Vec<Passed>,
    start: u64,
    /// Where its next header is.
    next: u64,
    frames: u32,
    /// Calls that began at one of its frames.
    aligned: u32,
    /// One of its payloads is longer than usual: any may be.
    large: bool,
    /// A header block of this stream goes on.
    continues: Option<u32>,
    /// Whose frames they are, by what a header block begins with.
    requests: Option<bool>,
}

/// What was looked at of a frame: its header, and what a header block begins with.
#[derive(Clone, Copy, Debug)]
struct Passed {
    position: u64,
    header: [u8; HEADER],
    first: Option<(u64, u8)>,
}

/// Frames begin here.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) position: u64,
    /// They are a client's.
    pub(crate) requests: bool,
    /// How many frames were passed to be sure.
    frames: u32,
    passed: Vec<Passed>,
}

impl Found {
    /// Counts them, and tells a recording of what made them believed.
    pub(crate) fn tell(&self, direction: Direction, out: &mut dyn Observer) {
        out.count(Counter::Http2Joined, 1);
        out.count(Counter::Http2FramesPassed, self.frames.into());
        for passed in &self.passed {
            out.excerpt(direction, passed.position, &passed.header, Of::Http2);
            if let Some((position, first)) = passed.first {
                out.excerpt(direction, position, &[first], Of::Http2);
            }
        }
    }
}

impl Search {
    pub(crate) fn new(requests: Option<bool>) -> Self {
        Self { requests, chains: Vec::new(), carry: Vec::new(), end: 0 }
    }

    /// Whose frames these are has become known.
    pub(crate) fn direction_known(&mut self, requests: bool) {
        self.requests = Some(requests);
        self.chains.retain(|chain| chain.requests.is_none_or(|of| of == requests));
    }

    /// Takes bytes. Some: a frame begins at this position of theirs. `tells`: what that took is wanted.
    pub(crate) fn bytes(&mut self, input: &Bytes<'_>, tells: bool) -> Option<Found> {
        if self.end != input.position {
            self.carry.clear();
        }
        let start = input.position.saturating_sub(self.carry.len() as u64);
        let end = input.position.saturating_add(input.bytes.len() as u64);
        let mut position = start;
        let mut found = None;
        while found.is_none() && position.saturating_add(HEADER as u64) <= end {
            if let Some((passed, head)) = self.head_at(position, start, input) {
                let aligned = input.call_start && position == input.position;
                let visible = position >= input.position;
                found = self.look(&head, &passed, aligned, tells).filter(|_| visible);
            }
            position = self.next_place(position, start, input);
        }
        self.keep(start.max(position.min(end)), input, end);
        found
    }

    /// Takes a gap: a chain goes on behind it if its next header lies there.
    pub(crate) fn gap(&mut self, gap: &Gap) {
        let end = gap.position.saturating_add(gap.length);
        self.chains.retain(|chain| chain.next >= end);
        self.carry.clear();
        self.end = end;
    }

    /// The header at a position, and the byte that a header block in its payload begins with.
    fn head_at(&self, position: u64, start: u64, input: &Bytes<'_>) -> Option<(Passed, Head)> {
        let offset = usize::try_from(position.saturating_sub(start)).unwrap_or(usize::MAX);
        let byte = |at: usize| match self.carry.get(at) {
            Some(byte) => Some(*byte),
            None => input.bytes.get(at.checked_sub(self.carry.len())?).copied(),
        };
        let mut header = [0; HEADER];
        for (index, to) in header.iter_mut().enumerate() {
            *to = byte(offset.saturating_add(index))?;
        }
        let head = Head::read(&header)?;
        let skip = usize::from(head.has(PADDED)).saturating_add(if head.has(PRIORITY) { 5 } else { 0 });
        let skipped = HEADER.saturating_add(skip);
        let first = byte(offset.saturating_add(skipped))
            .filter(|_| head.kind == Kind::Headers && skip < head.length as usize)
            .map(|first| (position.saturating_add(skipped as u64), first));
        Some((Passed { position, header, first }, head))
    }

    /// A header at this position: do chains go on with it, or does one begin?
    fn look(&mut self, head: &Head, passed: &Passed, aligned: bool, tells: bool) -> Option<Found> {
        let position = passed.position;
        let whose = passed.first.and_then(|(_, first)| block_of_requests(first));
        let wanted = self.requests;
        let fits = head.is_plausible(wanted) && (wanted.is_none() || whose.is_none() || whose == wanted);
        let next = position.saturating_add(HEADER as u64).saturating_add(u64::from(head.length));
        let mut known = false;
        self.chains.retain_mut(|chain| {
            if chain.next != position {
                return true;
            }
            let in_turn = match chain.continues {
                Some(stream) => head.kind == Kind::Continuation && head.stream == stream,
                None => head.kind != Kind::Continuation,
            };
            let contradicts = chain.requests.is_some() && whose.is_some() && chain.requests != whose;
            // One in the middle of other bytes would wait for the end of a long frame, which never comes.
            let lasts = head.is_usual() || aligned || chain.aligned > 0;
            // Of chains that meet the first one is kept: it is the longest.
            if !fits || !in_turn || contradicts || !lasts || known {
                return false;
            }
            known = true;
            chain.next = next;
            chain.frames = chain.frames.saturating_add(1);
            chain.aligned = chain.aligned.saturating_add(u32::from(aligned));
            chain.large |= !head.is_usual();
            chain.requests = chain.requests.or(whose);
            chain.continues = open_block(head);
            if tells && chain.passed.len() < PASSED_MAX {
                chain.passed.push(*passed);
            }
            true
        });
        if known {
            return self.believed(position);
        }
        // A long frame goes on with a chain, and begins none.
        if fits && head.is_usual() && head.kind != Kind::Continuation {
            if self.chains.len() >= CHAINS_MAX {
                let shortest = self.chains.iter().enumerate().min_by_key(|(_, chain)| chain.frames);
                if let Some(index) = shortest.map(|(index, _)| index).filter(|_| aligned) {
                    self.chains.swap_remove(index);
                }
            }
            if self.chains.len() < CHAINS_MAX {
                self.chains.push(Chain {
                    passed: if tells { vec![*passed] } else { Vec::new() },
                    start: position,
                    next,
                    frames: 1,
                    aligned: u32::from(aligned),
                    large: false,
                    continues: open_block(head),
                    requests: whose,
                });
            }
        }
        None
    }

    /// The chain whose newest frame is at this position, if it is to be believed.
    fn believed(&self, position: u64) -> Option<Found> {
        const PAYLOAD: u64 = PAYLOAD_USUAL as u64 + HEADER as u64;
        let next = |chain: &&Chain| chain.next > position;
        let chain = self.chains.iter().filter(next).max_by_key(|chain| chain.frames)?;
        let long = !chain.large && position.saturating_sub(chain.start) > PAYLOAD;
        let reaches =
            |other: &Chain| other.aligned > 0 && other.start != chain.start && other.next >= chain.next;
        let inside = || self.chains.iter().any(reaches);
        let sure = chain.frames >= FRAMES_MIN
            && (long || chain.aligned >= ALIGNED_MIN || chain.frames >= FRAMES_SURE && !inside())
            && chain.continues.is_none();
        let rival =
            |other: &Chain| other.next != chain.next && other.frames.saturating_mul(2) >= chain.frames;
        let requests = self.requests.or(chain.requests)?;
        (sure && !self.chains.iter().any(rival)).then(|| {
            let (frames, passed) = (chain.frames, chain.passed.clone());
            Found { position, requests, frames, passed }
        })
    }

    /// The next position where a chain goes on or may begin: lengths of frames begin with a zero.
    fn next_place(&self, position: u64, start: u64, input: &Bytes<'_>) -> u64 {
        let after = position.saturating_add(1);
        let soonest = self.chains.iter().map(|chain| chain.next).filter(|next| *next >= after).min();
        let offset = usize::try_from(after.saturating_sub(start)).unwrap_or(usize::MAX);
        let in_carry = self.carry.get(offset..).and_then(|rest| memchr::memchr(0, rest));
        let zero = in_carry.map(|at| offset.saturating_add(at)).or_else(|| {
            let at = offset.saturating_sub(self.carry.len());
            let zero = memchr::memchr(0, input.bytes.get(at..)?)?;
            Some(zero.saturating_add(at).saturating_add(self.carry.len()))
        });
        let zero = zero.map_or(u64::MAX, |zero| start.saturating_add(zero as u64));
        soonest.map_or(zero, |soonest| soonest.min(zero))
    }

    /// Keeps the bytes behind the last place that was looked at: fewer than a header.
    fn keep(&mut self, from: u64, input: &Bytes<'_>, end: u64) {
        const KEPT: usize = HEADER - 1;
        let kept = usize::try_from(end.saturating_sub(from)).unwrap_or(KEPT).min(KEPT);
        let bytes = input.bytes.get(input.bytes.len().saturating_sub(kept)..).unwrap_or_default();
        let before = kept.saturating_sub(bytes.len());
        let carried = self.carry.len().saturating_sub(before);
        self.carry.drain(..carried);
        self.carry.extend_from_slice(bytes);
        self.end = end;
    }
}

fn open_block(head: &Head) -> Option<u32> {
    let block = matches!(head.kind, Kind::Headers | Kind::PushPromise | Kind::Continuation);
    (block && !head.has(END_HEADERS)).then_some(head.stream)
}

/// Does a header block that begins with this byte belong to a request? Pseudo-header fields come first (RFC
/// 9113, 8.3), and their names are in the static table (RFC 7541, A): 1 to 7 a request's, 8 to 14 `:status`.
fn block_of_requests(first: u8) -> Option<bool> {
    let index = match first {
        0x80.. => first & 0x7f,
        0x40..=0x7f => first & 0x3f,
        0x20..=0x3f => return None,
        _ => first & 0x0f,
    };
    match index {
        1..=7 => Some(true),
        8..=14 => Some(false),
        _ => None,
    }
}
