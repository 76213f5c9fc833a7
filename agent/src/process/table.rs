//! The table behind [`super::Processes`]: bounded, with gone processes kept for a while.

use std::{
    collections::{VecDeque, hash_map},
    sync::Arc,
};

use engine::event::Time;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{
    image::Image,
    resource::Resource,
    selection::{Decision, Treatment, Verdict},
};

/// How long a gone process stays known: a client span waits up to 10 s for its owner (`engine::limit`).
const RETAINED: Time = 15_000_000_000;
/// Gone processes known at once: a machine that starts 500 a second.
pub(super) const RETAINED_MAX: usize = 8192;
/// Images of one process that are remembered: a chain of wrappers that exec one another.
const IMAGES_MAX: usize = 4;

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) verdict: Verdict,
    exited: Option<Time>,
    /// It created an io_uring, which was logged.
    pub(super) io_uring: bool,
    /// Oldest first; never empty.
    pub(super) images: SmallVec<[Run; 1]>,
}

impl Entry {
    pub(super) fn is_live(&self) -> bool {
        self.exited.is_none()
    }

    /// Which of the images ran at this time.
    pub(super) fn index(&self, time: Time) -> usize {
        self.images.iter().rposition(|run| run.since <= time).unwrap_or(0)
    }

    pub(super) fn at(&self, time: Time) -> Option<&Run> {
        self.images.get(self.index(time))
    }
}

/// An image in a process.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) since: Time,
    /// See [`abi::process::table::generation`]; `None`: no record announced it.
    pub(super) generation: Option<u8>,
    /// When the process was created, in ticks, if `/proc` still said.
    pub(super) start: Option<u64>,
    pub(super) image: Arc<Image>,
    /// How the configuration wants it treated; `None`: like any other.
    pub(super) treatment: Option<Arc<Treatment>>,
    pub(super) resource: Option<Arc<Resource>>,
    /// It was seen to send traces itself.
    pub(super) instrumented: bool,
}

/// Processes by id.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) entries: FxHashMap<u32, Entry>,
    live: usize,
    live_max: usize,
    /// Processes that ended, oldest first.
    pub(super) gone: VecDeque<(Time, u32)>,
    pub(super) refused: u64,
    pub(super) forgotten: u64,
}

impl Table {
    pub(super) fn new(live_max: usize) -> Self {
        Self {
            entries: FxHashMap::default(),
            live: 0,
            live_max,
            gone: VecDeque::new(),
            refused: 0,
            forgotten: 0,
        }
    }

    /// A process, live or not.
    pub(super) fn get(&self, tgid: u32) -> Option<&Entry> {
        self.entries.get(&tgid)
    }

    pub(super) fn get_mut(&mut self, tgid: u32) -> Option<&mut Entry> {
        self.entries.get_mut(&tgid)
    }

    pub(super) fn live(&self, tgid: u32) -> Option<&Entry> {
        self.get(tgid).filter(|entry| entry.is_live())
    }

    pub(super) fn is_full(&self) -> bool {
        self.live >= self.live_max
    }

    /// Takes in an image. Returns the decision that holds: a process that does not fit is not traced.
    pub(super) fn insert(&mut self, tgid: u32, run: Run, verdict: Verdict) -> Decision {
        let decision = verdict.decision;
        let full = self.is_full();
        match self.entries.entry(tgid) {
            hash_map::Entry::Occupied(mut slot) => {
                let entry = slot.get_mut();
                if entry.exited.take().is_some() {
                    self.live += 1;
                    entry.io_uring = false;
                }
                if entry.images.len() >= IMAGES_MAX {
                    entry.images.remove(0);
                }
                entry.images.push(run);
                entry.verdict = verdict;
            }
            hash_map::Entry::Vacant(_) if full => {
                self.refused += 1;
                return Decision::Skip;
            }
            hash_map::Entry::Vacant(slot) => {
                self.live += 1;
                let images = smallvec::smallvec![run];
                slot.insert(Entry { verdict, exited: None, io_uring: false, images });
            }
        }
        decision
    }

    /// A process ended.
    pub(super) fn exit(&mut self, tgid: u32, time: Time) {
        let hash_map::Entry::Occupied(mut slot) = self.entries.entry(tgid) else { return };
        let entry = slot.get_mut();
        if !entry.is_live() {
            return;
        }
        self.live = self.live.saturating_sub(1);
        if entry.verdict.decision == Decision::Skip {
            slot.remove(); // It makes no spans.
        } else {
            entry.exited = Some(time);
            self.gone.push_back((time, tgid));
        }
    }

    /// Forgets processes that ended long ago, or the oldest if there are too many.
    pub(super) fn expire(&mut self, now: Time) {
        while let Some(&(time, tgid)) = self.gone.front() {
            let crowded = self.gone.len() > RETAINED_MAX;
            if !crowded && time.saturating_add(RETAINED) > now {
                break;
            }
            self.gone.pop_front();
            // A new process may have the id.
            if self.get(tgid).is_some_and(|entry| entry.exited == Some(time)) {
                self.entries.remove(&tgid);
                self.forgotten += u64::from(crowded);
            }
        }
    }
}
