//! The dynamic table (RFC 7541, 2.3.2 and 4), as far as it is known.
//!
//! The encoder's table is always a prefix, newest entries first, of the slots here and what is older than
//! they are. Slots leave only when the encoder's must have left, or to save memory; one that stays here for
//! too long is not referred to any more, so its size need not be known exactly, and a lower bound will do.

use std::collections::VecDeque;

use super::{Field, OVERHEAD, TABLE_ASSUMED, TABLE_INITIAL, TABLE_MAX};

/// Stands for the length of an unknown name.
const UNKNOWN: u32 = u32::MAX;
/// Dead bytes below which moving the living ones is not worth it.
const COMPACT: usize = 1024;

/// What an inserted entry takes its name from.
#[derive(Debug)]
pub(super) enum Name<'a> {
    Bytes(&'a [u8]),
    /// This entry of the table, 0 is the newest.
    Entry(u32),
}

/// An entry: its name and its value follow each other in `Table::bytes`.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Counted over all bytes that were ever inserted, modulo 2^32.
    start: u32,
    name: u32,
    value: u32,
}

impl Slot {
    /// Bytes of the name that are stored.
    fn stored_name(self) -> u32 {
        if self.name == UNKNOWN { 0 } else { self.name }
    }

    /// Its size (RFC 7541, 4.1), without a name that is unknown.
    fn size(self) -> u32 {
        self.stored_name().saturating_add(self.value).saturating_add(OVERHEAD)
    }
}

#[derive(Debug)]
pub(super) struct Table {
    /// The newest entry is the first.
    slots: VecDeque<Slot>,
    /// Names and values, oldest first, and in front of them what is dead.
    bytes: Vec<u8>,
    /// `start` of a slot whose bytes would be the first in `bytes`.
    base: u32,
    /// Sizes of all slots, bounded by what is kept.
    size: u32,
    /// What the encoder has last set; `None`: unknown.
    capacity: Option<u32>,
    /// The encoder may have entries that are older than the slots, of unknown number.
    older: bool,
    /// What is kept while the capacity is unknown.
    assumed: u32,
    /// Slots left because of that.
    cut: bool,
}

impl Table {
    /// An empty table of the initial size.
    pub(super) fn new() -> Self {
        Self {
            slots: VecDeque::new(),
            bytes: Vec::new(),
            base: 0,
            size: 0,
            capacity: Some(TABLE_INITIAL),
            older: false,
            assumed: TABLE_ASSUMED,
            cut: false,
        }
    }

    /// Nothing is known from here but what is inserted.
    pub(super) fn doubt(&mut self) {
        self.clear();
        self.capacity = None;
        self.older = true;
    }

    /// The entry of an index, 0 is the newest; `None`: there cannot be one.
    #[inline]
    pub(super) fn entry(&self, index: u32) -> Option<Field<'_>> {
        match self.slots.get(index as usize) {
            Some(&slot) => Some(self.field(slot)),
            None if self.may_hold(index) => Some(Field { name: None, value: None }),
            None => None,
        }
    }

    /// The encoder refers to this entry, 0 is the newest. If it is older than what an unknown capacity was assumed to
    /// hold, then the capacity is larger: more is kept from here on.
    #[inline]
    pub(super) fn referred(&mut self, index: u32) {
        if self.cut && index as usize >= self.slots.len() {
            self.assumed = TABLE_MAX;
        }
    }

    /// Inserts an entry (RFC 7541, 4.4).
    pub(super) fn insert(&mut self, name: Name<'_>, value: &[u8]) {
        let source = match name {
            Name::Bytes(_) => None,
            Name::Entry(index) => self.slots.get(index as usize).copied(),
        };
        let name_length = match (&name, source) {
            (Name::Bytes(bytes), _) => length(bytes),
            (Name::Entry(_), Some(slot)) => slot.name,
            (Name::Entry(_), None) => UNKNOWN,
        };
        let slot = Slot { start: self.end(), name: name_length, value: length(value) };
        if slot.size() > self.kept() {
            // Larger than the table, it only empties it; larger than what is kept, it is there, but unknown.
            self.clear();
            self.older = self.capacity.is_none_or(|capacity| slot.size() <= capacity);
            return;
        }
        match (name, source) {
            (Name::Bytes(bytes), _) => self.bytes.extend_from_slice(bytes),
            (Name::Entry(_), Some(source)) => {
                let start = self.offset(source.start);
                self.bytes.extend_from_within(start..start.saturating_add(source.stored_name() as usize));
            }
            (Name::Entry(_), None) => {}
        }
        self.bytes.extend_from_slice(value);
        self.slots.push_front(slot);
        self.size = self.size.saturating_add(slot.size());
        self.evict();
    }

    /// The encoder changes the size of its table (RFC 7541, 4.3).
    pub(super) fn resize(&mut self, capacity: u32) {
        self.capacity = Some(capacity);
        self.cut = false;
        self.evict();
    }

    /// Bytes of memory in use.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        let slots = self.slots.capacity().saturating_mul(size_of::<Slot>());
        self.bytes.capacity().saturating_add(slots)
    }

    fn evict(&mut self) {
        if let Some(capacity) = self.capacity {
            // No entry is smaller than its overhead, so none that is older can be left.
            self.older &= self.size.saturating_add(OVERHEAD) <= capacity;
            self.shrink(capacity);
        }
        let kept = self.kept();
        if self.size > kept {
            self.older = true;
            self.cut = self.capacity.is_none();
            self.shrink(kept);
        }
        self.compact();
    }

    fn shrink(&mut self, to: u32) {
        while self.size > to
            && let Some(slot) = self.slots.pop_back()
        {
            self.size = self.size.saturating_sub(slot.size());
        }
    }

    /// Moves the living bytes to the front once half of all are dead, so each is moved once on average.
    fn compact(&mut self) {
        let dead = self.slots.back().map_or(self.bytes.len(), |oldest| self.offset(oldest.start));
        if dead >= COMPACT && dead >= self.bytes.len() / 2 {
            self.bytes.drain(..dead);
            self.base = self.base.wrapping_add(dead as u32);
        }
    }

    fn clear(&mut self) {
        self.cut = false;
        self.base = self.end();
        self.slots.clear();
        self.bytes.clear();
        self.size = 0;
    }

    /// Can the encoder have an entry here that is older than all slots?
    fn may_hold(&self, index: u32) -> bool {
        let older = index.saturating_sub(self.slots.len() as u32).saturating_add(1);
        let least = older.saturating_mul(OVERHEAD).saturating_add(self.size);
        self.older && self.capacity.is_none_or(|capacity| least <= capacity)
    }

    fn field(&self, slot: Slot) -> Field<'_> {
        let start = self.offset(slot.start);
        let bytes = self.bytes.get(start..).unwrap_or_default();
        let (name, rest) = bytes.split_at_checked(slot.stored_name() as usize).unwrap_or_default();
        Field {
            name: (slot.name != UNKNOWN).then_some(name),
            value: Some(rest.get(..slot.value as usize).unwrap_or_default()),
        }
    }

    /// Sizes of entries that are kept.
    fn kept(&self) -> u32 {
        self.capacity.unwrap_or(self.assumed).min(TABLE_MAX)
    }

    fn offset(&self, start: u32) -> usize {
        start.wrapping_sub(self.base) as usize
    }

    /// `start` of the next slot.
    fn end(&self) -> u32 {
        self.base.wrapping_add(self.bytes.len() as u32)
    }
}

/// Of a part of a block, so far from 2^32.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(UNKNOWN.wrapping_sub(1))
}
