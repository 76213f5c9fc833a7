//! Input that waits: for more of it, or for something in the other direction.

use std::collections::VecDeque;

use crate::{
    event::{Call, Direction, Framing},
    limit,
    protocol::{Bytes, Gap},
};

/// Memory a piece costs beside its bytes.
const PIECE_COST: usize = 128;

/// Pieces in the order of their arrival, bounded by `limit::REORDER_BYTES_MAX`.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pieces: VecDeque<Piece>,
    cost: usize,
}

#[derive(Debug)]
pub(crate) enum Piece {
    Bytes(Owned),
    Gap(Gap),
}

/// [`Bytes`] that own what they carry.
#[derive(Debug)]
pub(crate) struct Owned {
    direction: Direction,
    position: u64,
    bytes: Box<[u8]>,
    /// Bytes at the start that were read already.
    read: usize,
    call_start: bool,
    call: Call,
    framing: Framing,
}

impl Owned {
    pub(crate) fn borrowed(&self) -> Bytes<'_> {
        Bytes {
            direction: self.direction,
            position: self.position.saturating_add(self.read as u64),
            bytes: self.bytes.get(self.read..).unwrap_or_default(),
            call_start: self.call_start && self.read == 0,
            call: self.call,
            framing: self.framing,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.read)
    }
}

impl Held {
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.cost > limit::REORDER_BYTES_MAX
    }

    /// Keeps the last `rest` bytes of the input.
    pub(crate) fn push(&mut self, input: &Bytes<'_>, rest: usize) {
        let read = input.bytes.len().saturating_sub(rest);
        let bytes = input.bytes.get(read..).unwrap_or_default();
        self.cost = self.cost.saturating_add(bytes.len()).saturating_add(PIECE_COST);
        self.pieces.push_back(Piece::Bytes(Owned {
            direction: input.direction,
            position: input.position.saturating_add(read as u64),
            bytes: bytes.into(),
            read: 0,
            call_start: input.call_start && read == 0,
            call: input.call,
            framing: input.framing,
        }));
    }

    pub(crate) fn push_gap(&mut self, gap: &Gap) {
        self.cost = self.cost.saturating_add(PIECE_COST);
        self.pieces.push_back(Piece::Gap(*gap));
    }

    pub(crate) fn pop(&mut self) -> Option<Piece> {
        let piece = self.pieces.pop_front()?;
        self.cost = self.cost.saturating_sub(cost(&piece));
        Some(piece)
    }

    /// Puts a piece back of which the last `rest` bytes still wait.
    pub(crate) fn unpop(&mut self, mut piece: Piece, rest: usize) {
        self.cost = self.cost.saturating_add(cost(&piece));
        if let Piece::Bytes(owned) = &mut piece {
            owned.read = owned.bytes.len().saturating_sub(rest);
        }
        self.pieces.push_front(piece);
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The first bytes of a direction, up to `length`.
    pub(crate) fn prefix(&self, direction: Direction, length: usize) -> Vec<u8> {
        let mut prefix = Vec::new();
        for piece in &self.pieces {
            if let Piece::Bytes(owned) = piece
                && owned.direction == direction
            {
                let input = owned.borrowed();
                let room = length.saturating_sub(prefix.len());
                prefix.extend_from_slice(input.bytes.get(..room).unwrap_or(input.bytes));
            }
        }
        prefix
    }

    /// Drops the first bytes of a direction; returns how many of `length` are not there yet.
    pub(crate) fn strip(&mut self, direction: Direction, mut length: u64) -> u64 {
        for piece in &mut self.pieces {
            if let Piece::Bytes(owned) = piece
                && owned.direction == direction
            {
                let cut = (owned.len() as u64).min(length);
                length = length.saturating_sub(cut);
                owned.read = owned.read.saturating_add(usize::try_from(cut).unwrap_or_default());
            }
        }
        length
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Piece> {
        self.pieces.iter()
    }

    /// Drops what lies below a position of its direction.
    pub(crate) fn strip_below(&mut self, position: u64) {
        while let Some(piece) = self.pop() {
            let (start, length) = match &piece {
                Piece::Bytes(owned) => {
                    let input = owned.borrowed();
                    (input.position, input.bytes.len() as u64)
                }
                Piece::Gap(gap) => (gap.position, gap.length),
            };
            let rest = start.saturating_add(length).saturating_sub(position).min(length);
            if rest > 0 {
                return self.unpop(piece, usize::try_from(rest).unwrap_or(usize::MAX));
            }
        }
    }

    /// The call of the first byte that waits.
    pub(crate) fn front_call(&self) -> Option<Call> {
        match self.pieces.front()? {
            Piece::Bytes(owned) => Some(owned.call),
            Piece::Gap(gap) => gap.call,
        }
    }
}

fn cost(piece: &Piece) -> usize {
    match piece {
        Piece::Bytes(owned) => owned.bytes.len().saturating_add(PIECE_COST),
        Piece::Gap(_) => PIECE_COST,
    }
}
