//! A queue of things to look at again at a time: O(log n) each, nothing is searched or removed early.

use core::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::event::Time;

pub(crate) struct Deadlines<T>(BinaryHeap<Entry<T>>);

struct Entry<T> {
    time: Time,
    what: T,
}

/// The heap gives the greatest first: the earliest is the greatest.
impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.time.cmp(&self.time)
    }
}
impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.time == other.time
    }
}
impl<T> Eq for Entry<T> {}

impl<T> Default for Deadlines<T> {
    fn default() -> Self {
        Self(BinaryHeap::new())
    }
}

impl<T> Deadlines<T> {
    pub(crate) fn push(&mut self, time: Time, what: T) {
        self.0.push(Entry { time, what });
    }

    pub(crate) fn next(&self) -> Option<(Time, &T)> {
        self.0.peek().map(|entry| (entry.time, &entry.what))
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        self.0.pop().map(|entry| entry.what)
    }

    /// The earliest that is due.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<T> {
        self.next().filter(|(time, _)| *time <= now)?;
        self.pop()
    }
}
