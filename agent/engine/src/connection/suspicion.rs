//! An older connection may speak HTTP/2: both of its directions are searched for frames, beside what else it
//! may speak, until either has shown.

use crate::{
    event::Direction,
    protocol::{
        Bytes, Gap, Observer, Side,
        http2::{Http2, resync::Search},
    },
};

/// Calls, or pieces of them, that are searched: a connection that speaks HTTP/2 shows it within a few.
const CALLS_MAX: u32 = 4096;

/// See the module.
#[derive(Debug)]
pub(super) struct Suspicion {
    received: Search,
    sent: Search,
    /// Calls that were searched.
    calls: u32,
}

impl Suspicion {
    pub(super) fn new(side: Option<Side>) -> Self {
        let requests = |direction| side.map(|side| side.requests() == direction);
        Self {
            received: Search::new(requests(Direction::Received)),
            sent: Search::new(requests(Direction::Sent)),
            calls: 0,
        }
    }

    pub(super) fn side_known(&mut self, side: Side) {
        self.received.direction_known(side.requests() == Direction::Received);
        self.sent.direction_known(side.requests() == Direction::Sent);
    }

    /// Takes bytes. Some: HTTP/2 is spoken, and its frames begin so many bytes into these.
    pub(super) fn bytes(&mut self, input: &Bytes<'_>, out: &mut dyn Observer) -> Option<(Http2, usize)> {
        self.calls = self.calls.saturating_add(1);
        let found = self.search(input.direction).bytes(input, out.secrecy().is_some())?;
        found.tell(input.direction, out);
        let other = core::mem::replace(self.search(input.direction.opposite()), Search::new(None));
        let requests = if found.requests { input.direction } else { input.direction.opposite() };
        let side = if requests == Direction::Sent { Side::Client } else { Side::Server };
        let skip = usize::try_from(found.position.saturating_sub(input.position)).unwrap_or(usize::MAX);
        Some((Http2::from_middle(side, input.direction, &found, other), skip))
    }

    /// It was searched for long enough.
    pub(super) fn is_over(&self) -> bool {
        self.calls >= CALLS_MAX
    }

    pub(super) fn gap(&mut self, gap: &Gap) {
        self.search(gap.direction).gap(gap);
    }

    fn search(&mut self, direction: Direction) -> &mut Search {
        match direction {
            Direction::Received => &mut self.received,
            Direction::Sent => &mut self.sent,
        }
    }
}
