//! Data that waits for earlier data, ordered by position.

use std::collections::VecDeque;

use crate::event::{Call, Data, Framing, Time};

/// Memory a piece costs beside its bytes; it bounds the number of pieces too.
const PIECE_COST: usize = 128;

/// A range of a stream.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) position: u64,
    pub(super) end: u64,
    /// `None`: these bytes are not to be had.
    pub(super) content: Option<Box<[u8]>>,
    pub(super) call_offset: u64,
    pub(super) call: Call,
    pub(super) framing: Framing,
    arrived: Time,
}

impl Piece {
    pub(super) fn bytes(data: &Data<'_>, now: Time) -> Self {
        Self {
            position: data.position,
            end: data.position.saturating_add(data.bytes.len() as u64),
            content: Some(data.bytes.into()),
            call_offset: data.call_offset,
            call: data.call,
            framing: data.framing,
            arrived: now,
        }
    }

    pub(super) fn gap(position: u64, end: u64, data: &Data<'_>, now: Time) -> Self {
        let call_offset = data.call_offset.saturating_add(position.saturating_sub(data.position));
        Self {
            position,
            end,
            content: None,
            call_offset,
            call: data.call,
            framing: data.framing,
            arrived: now,
        }
    }

    /// The part of a gap that begins here.
    pub(super) fn from(self, position: u64) -> Self {
        let passed = position.saturating_sub(self.position);
        let call_offset = self.call_offset.saturating_add(passed);
        Self { position, call_offset, framing: Framing::Unknown, ..self }
    }

    /// Position and time of the call that the piece is a part of.
    pub(super) fn call_start(&self) -> (u64, Time) {
        (self.position.saturating_sub(self.call_offset), self.call.exit)
    }

    fn cost(&self) -> usize {
        self.content.as_ref().map_or(0, |bytes| bytes.len()).saturating_add(PIECE_COST)
    }
}

/// Pieces by position; at one position bytes stand before gaps. Pieces may overlap.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pieces: VecDeque<Piece>,
    cost: usize,
    /// The earliest arrival among the pieces.
    oldest: Option<Time>,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    pub(super) fn oldest(&self) -> Option<Time> {
        self.oldest
    }

    /// The first piece.
    pub(super) fn front(&self) -> Option<&Piece> {
        self.pieces.front()
    }

    /// Where the first bytes that are to be had begin.
    pub(super) fn first_bytes(&self) -> Option<u64> {
        self.pieces.iter().find(|piece| piece.content.is_some()).map(|piece| piece.position)
    }

    pub(super) fn insert(&mut self, piece: Piece) {
        self.cost = self.cost.saturating_add(piece.cost());
        self.oldest = Some(self.oldest.map_or(piece.arrived, |oldest| oldest.min(piece.arrived)));
        let key = (piece.position, piece.content.is_none());
        let at = self.pieces.partition_point(|other| (other.position, other.content.is_none()) <= key);
        self.pieces.insert(at, piece);
    }

    pub(super) fn pop(&mut self) -> Option<Piece> {
        let piece = self.pieces.pop_front()?;
        self.cost = self.cost.saturating_sub(piece.cost());
        if self.oldest == Some(piece.arrived) {
            self.oldest = self.pieces.iter().map(|piece| piece.arrived).min();
        }
        Some(piece)
    }
}
