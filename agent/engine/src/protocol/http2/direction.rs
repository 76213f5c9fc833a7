//! One direction of a connection, and what its frames mean for both.

use std::collections::VecDeque;

use super::{
    block::Block,
    excerpt,
    fragments::Fragments,
    half::{Frames, Item},
    hpack::{Decoder, Scrubbed},
    resync::Search,
    streams::Streams,
};
use crate::{
    counter::Counter,
    event::{Call, Direction, Task, Time},
    protocol::{Gap, Observer, Side},
};

/// The kernel side hears where a frame begins no more often than this, in nanoseconds: on a busy connection it comes
/// too late. So it hears it once more when this time has passed: in a pause it comes in time.
pub(super) const TELL_AGAIN: Time = 10_000_000;
/// It is asked for more of each call no more often than this, in nanoseconds: copying costs.
pub(super) const ASK_AGAIN: Time = 1_000_000_000;
/// SETTINGS that wait for their acknowledgement; a peer that sends more gets none of them believed.
const SETTINGS_MAX: usize = 32;
/// SETTINGS_HEADER_TABLE_SIZE (RFC 9113, 6.5.2).
const HEADER_TABLE_SIZE: u16 = 1;

/// One direction.
#[derive(Debug)]
pub(super) struct Half {
    pub(super) frames: Frames,
    pub(super) decoder: Decoder,
    /// Where its framing is lost.
    pub(super) search: Option<Box<Search>>,
    /// The table sizes in its SETTINGS that the other side has not acknowledged.
    pub(super) sizes: VecDeque<Option<u32>>,
    /// Some of them were lost.
    pub(super) sizes_lost: bool,
    /// Acknowledgements that were recorded before the SETTINGS that they are of: these come in the other direction, and
    /// nothing orders the two.
    pub(super) early: u32,
    /// Its framing was never lost.
    pub(super) certain: bool,
    pub(super) last: Option<Call>,
    /// The position up to which the kernel side was told to skip.
    pub(super) told: u64,
    /// The kernel side follows its frames.
    pub(super) followed: bool,
    /// The stream whose DATA the kernel side makes no records of, 0 if there is none.
    pub(super) quiet: u32,
    /// It was said where its frames begin.
    pub(super) announced: bool,
    /// Where one begins behind what was read, of which the kernel side was not told, and when it may be told next.
    pub(super) untold: Option<u64>,
    tell_again: Time,
    /// When it may be asked next for more of each call.
    ask_again: Time,
}

impl Half {
    pub(super) fn from_opening(requests: bool) -> Self {
        Self::new(Frames::from_opening(requests), Decoder::new(), None, true)
    }

    pub(super) fn lost(search: Option<Search>) -> Self {
        Self::new(Frames::lost(), Decoder::joined_late(), search.map(Box::new), false)
    }

    fn new(frames: Frames, decoder: Decoder, search: Option<Box<Search>>, certain: bool) -> Self {
        Self {
            frames,
            decoder,
            search,
            sizes: VecDeque::new(),
            sizes_lost: !certain,
            early: 0,
            certain,
            last: None,
            told: 0,
            followed: false,
            quiet: 0,
            announced: false,
            untold: None,
            tell_again: 0,
            ask_again: 0,
        }
    }

    /// Looks for frames, of the client or of the server.
    pub(super) fn search_for(&mut self, requests: bool) {
        match &mut self.search {
            Some(search) => search.direction_known(requests),
            None => self.search = Some(Box::new(Search::new(Some(requests)))),
        }
    }

    /// Tells the kernel side where the next frame begins, if it is to be told now.
    pub(super) fn tell_frames(&mut self, direction: Direction, now: Time, out: &mut dyn Observer) {
        if self.tells_at().is_some_and(|time| time <= now)
            && let Some(position) = self.untold.take()
        {
            self.tell_again = now.saturating_add(TELL_AGAIN);
            out.frames(direction, position);
        }
    }

    /// Asks for more of each call, to find frames in it.
    pub(super) fn ask(&mut self, direction: Direction, now: Time, out: &mut dyn Observer) {
        if self.ask_again <= now {
            self.ask_again = now.saturating_add(ASK_AGAIN);
            out.search(direction);
        }
    }

    /// When it is to be told.
    pub(super) fn tells_at(&self) -> Option<Time> {
        self.untold.filter(|_| !self.followed).map(|_| self.tell_again)
    }

    /// The call of a gap; one that was not seen is known by its time only.
    pub(super) fn gap_call(&self, gap: &Gap) -> Call {
        let unknown = Call { enter: gap.time, exit: gap.time, tid: 0, task: Task { tgid: 0, id: 0 } };
        gap.call.unwrap_or(Call { enter: gap.time, exit: gap.time, ..self.last.unwrap_or(unknown) })
    }
}

/// What came of a frame.
pub(super) enum Verdict {
    Fine,
    /// An error of the connection (RFC 9113, 5.4.1).
    Invalid,
}

/// What a frame of one direction means for both.
#[expect(clippy::too_many_arguments, reason = "the parts of a connection, borrowed one by one")]
pub(super) fn apply(
    item: Item<'_>,
    (decoder, sizes, sizes_lost, early): (&mut Decoder, &mut VecDeque<Option<u32>>, &mut bool, &mut u32),
    other: &mut Half,
    streams: &mut Streams,
    block: &mut Block,
    is_request: bool,
    call: &Call,
    out: &mut dyn Observer,
) -> Verdict {
    let by = if is_request { Side::Client } else { Side::Server };
    let direction = streams.side.direction(is_request);
    let mut decode = |head: &Fragments<'_>| {
        let mut scrubbed = out.secrecy().map(|secrecy| Scrubbed::new(secrecy, head.text));
        let decoded = block.decode(decoder, head, scrubbed.as_mut());
        if head.too_long || block.too_long {
            out.count(Counter::HeadTooLong, 1);
        }
        if decoded.is_err() {
            out.count(Counter::HeaderBlocksRefused, 1);
        }
        if let Some(scrubbed) = scrubbed {
            excerpt::block(head, scrubbed.text(), direction, out);
        }
        decoded
    };
    match item {
        Item::Nothing | Item::Preface | Item::Opened(_) => {}
        Item::Data { stream, at, content, lost, end } => {
            streams.data(is_request, (stream, at, content, lost, end), call, out);
        }
        Item::Headers(head) => {
            // RFC 9113, 8.4: a client cannot push.
            if decode(&head).is_err() || head.promise && is_request {
                return Verdict::Invalid;
            }
            if head.promise {
                out.count(Counter::PushesIgnored, 1);
            } else if is_request {
                streams.request(&head, block, call, out);
            } else {
                streams.response(&head, block, call, out);
            }
        }
        Item::Reset { stream, code } => streams.reset(by, stream, code, call, out),
        Item::GoAway { last, code } if !is_request => streams.go_away(last, code, call.exit, out),
        Item::GoAway { .. } => {}
        // The limit was forgotten when it was acknowledged, and is known again from the next acknowledgement on.
        Item::Settings(_) if *early > 0 => *early = early.saturating_sub(1),
        Item::Settings(Some(payload)) if sizes.len() < SETTINGS_MAX => {
            let (settings, _) = payload.as_chunks::<6>();
            let size = settings.iter().rev().find_map(|[a, b, value @ ..]| {
                (u16::from_be_bytes([*a, *b]) == HEADER_TABLE_SIZE).then_some(u32::from_be_bytes(*value))
            });
            sizes.push_back(size);
        }
        Item::Settings(_) => {
            sizes.clear();
            *sizes_lost = true;
            other.decoder.forget_limit();
        }
        // Limits are the receiver's: those in the other direction's SETTINGS hold from here on.
        Item::Acknowledged => match other.sizes.pop_front() {
            _ if other.sizes_lost => decoder.forget_limit(),
            Some(Some(size)) => decoder.set_limit(size),
            Some(None) => {}
            None => {
                other.early = other.early.saturating_add(1);
                decoder.forget_limit();
            }
        },
        Item::Invalid | Item::Lost => return Verdict::Invalid,
    }
    Verdict::Fine
}
