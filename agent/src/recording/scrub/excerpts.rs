//! Excerpts: what is left of HTTP/2, and of bodies in which something is read. The rest of them is overwritten.

use std::ops::Range;

use engine::{
    Excerpt, Of,
    event::{ConnectionId, Time},
};
use rustc_hash::FxHashMap;

use super::{Piece, Stream, StreamId};

/// Excerpts that wait for their records. What is dropped is overwritten.
const EXCERPTS_MAX: usize = 1_000_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Excerpts {
    /// And when they were told of.
    waiting: Vec<(Excerpt, Time)>,
    /// Positions up to which connections that were upgraded are HTTP/1: received, sent. What has not been seen to be
    /// HTTP/2 is not.
    upgraded: FxHashMap<ConnectionId, [u64; 2]>,
}

impl Excerpts {
    pub(super) fn push(&mut self, excerpt: Excerpt, now: Time) {
        let stream = id_of(&excerpt);
        if excerpt.of == Of::Upgrade {
            let [received, sent] = self.upgraded.entry(stream.conn).or_insert([u64::MAX; 2]);
            *if stream.sent { sent } else { received } = excerpt.position;
        } else if self.waiting.len() < EXCERPTS_MAX {
            self.waiting.push((excerpt, now));
        }
    }

    /// Up to where a connection that was upgraded is HTTP/1.
    pub(super) fn upgraded(&self, conn: ConnectionId) -> Option<[u64; 2]> {
        self.upgraded.get(&conn).copied()
    }

    pub(super) fn ended(&mut self, conn: ConnectionId) {
        self.upgraded.remove(&conn);
    }

    /// Writes them where they belong; the pieces are in the order of their streams and positions.
    pub(super) fn write(&mut self, frames: &mut [u8], pieces: &[Piece]) {
        // Stable: of two at one position the later one counts.
        self.waiting.sort_by_key(|(excerpt, _)| (id_of(excerpt), excerpt.position));
        let mut first = 0;
        for piece in pieces {
            // Pieces may overlap: none of these ends behind the start of one.
            let before = |(excerpt, _): &(Excerpt, Time)| {
                (id_of(excerpt), end_of(excerpt)) <= (piece.stream, piece.position)
            };
            let rest = self.waiting.get(first..).unwrap_or_default();
            first = first.saturating_add(rest.iter().take_while(|waiting| before(waiting)).count());
            for (excerpt, _) in self.waiting.get(first..).unwrap_or_default() {
                if (id_of(excerpt), excerpt.position) >= (piece.stream, piece.end()) {
                    break;
                }
                copy(frames, piece, excerpt);
            }
        }
    }

    /// Forgets those whose records were written: all of which was told before `old`, and what a stream is past.
    pub(super) fn forget(&mut self, streams: &FxHashMap<StreamId, Stream>, old: Time) {
        self.waiting.retain(|(excerpt, told)| match streams.get(&id_of(excerpt)) {
            Some(Stream { next: Some(next), .. }) => end_of(excerpt) > *next,
            Some(_) | None => *told > old,
        });
    }
}

/// Copies what lies in the piece.
fn copy(frames: &mut [u8], piece: &Piece, excerpt: &Excerpt) {
    let inside = |position: u64, start: u64, length: usize| {
        usize::try_from(position.saturating_sub(start)).unwrap_or(usize::MAX).min(length)
    };
    let (start, end) = (excerpt.position.max(piece.position), end_of(excerpt).min(piece.end()));
    let length = excerpt.bytes.len();
    let from = inside(start, excerpt.position, length)..inside(end, excerpt.position, length);
    let to: Range<usize> =
        inside(start, piece.position, piece.range.len())..inside(end, piece.position, piece.range.len());
    let payload = frames.get_mut(piece.range.clone()).unwrap_or_default();
    if let (Some(to), Some(from)) = (payload.get_mut(to), excerpt.bytes.get(from))
        && to.len() == from.len()
    {
        to.copy_from_slice(from);
    }
}

fn id_of(excerpt: &Excerpt) -> StreamId {
    StreamId::new(excerpt.conn, excerpt.direction)
}

fn end_of(excerpt: &Excerpt) -> u64 {
    excerpt.position.saturating_add(excerpt.bytes.len() as u64)
}
