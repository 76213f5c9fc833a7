//! Queue: what one destination still has to deliver, bounded, and the counts of what became of the rest.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{Batch, Exported};
use crate::clock::Offset;

/// Why a span was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Reason {
    /// The queue was full: the destination is slower than the spans come, or gone.
    QueueFull,
    /// The destination refused the request as a whole; sending it again would not help.
    Refused,
    /// The destination took the request, but not this span (OTLP's partial success).
    Rejected,
    /// The span alone is larger than a request may be.
    TooLarge,
    /// Writing failed.
    Write,
    /// The program ended before the span was delivered.
    Shutdown,
}

impl Reason {
    /// All reasons, in order.
    pub const ALL: [Self; 6] =
        [Self::QueueFull, Self::Refused, Self::Rejected, Self::TooLarge, Self::Write, Self::Shutdown];

    /// The name of the counter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Refused => "refused",
            Self::Rejected => "rejected",
            Self::TooLarge => "too_large",
            Self::Write => "write_failed",
            Self::Shutdown => "shutdown",
        }
    }
}

/// What became of the spans that were handed to one destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub handed_in: u64,
    /// In the queue or in flight.
    pub queued: u64,
    pub accepted: u64,
    dropped: [u64; Reason::ALL.len()],
}

impl Counts {
    pub fn dropped(&self, reason: Reason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or_default()
    }

    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// How many for each reason, as text.
    pub(super) fn why_dropped(&self) -> String {
        let dropped = Reason::ALL.map(|reason| (reason.as_str(), self.dropped(reason)));
        let counts = dropped.iter().filter(|(_, count)| *count > 0);
        counts.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    }

    fn drop_spans(&mut self, reason: Reason, spans: u64) {
        if let Some(count) = self.dropped.get_mut(reason as usize) {
            *count = count.saturating_add(spans);
        }
    }
}

/// The part of a batch that one destination took.
#[derive(Debug)]
pub(super) struct Chunk {
    batch: Arc<Batch>,
    range: Range<usize>,
}

impl Chunk {
    /// The offset to wall time, the same for all spans of the chunk.
    pub(super) fn offset(&self) -> Offset {
        self.batch.offset
    }

    pub(super) fn spans(&self) -> &[Exported] {
        self.batch.spans.get(self.range.clone()).unwrap_or_default()
    }
}

/// When a destination takes what is queued: at this many spans, or when the oldest has waited this long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batching {
    pub(super) spans: usize,
    pub(super) wait: Duration,
}

/// What a queue may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) spans: usize,
    pub(super) bytes: usize,
}

/// The queue of one destination.
///
/// Spans that its worker took stay counted as `queued`, against the bound, until the worker settles them.
#[derive(Debug)]
pub(super) struct Queue {
    name: String,
    bound: Bound,
    state: Mutex<State>,
    /// To the worker: there is something to look at.
    work: Notify,
    /// To whoever waits for the end: something was settled.
    settled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Chunk>,
    waiting_spans: usize,
    /// The memory of these, about.
    waiting_bytes: usize,
    /// The same of what the worker took and has not settled.
    taken_bytes: usize,
    /// When the oldest waiting chunk came.
    since: Option<Instant>,
    /// The size the worker waits for, if it does.
    wanted: usize,
    counts: Counts,
    phase: Phase,
}

impl State {
    fn bytes(&self) -> usize {
        self.waiting_bytes.saturating_add(self.taken_bytes)
    }

    /// Spans that were taken are settled. Which ones is not known, so that they count with what all of them take on
    /// average; when the last ones are settled, nothing of them is left.
    fn release(&mut self, spans: u64) {
        let taken = self.counts.queued.saturating_sub(self.waiting_spans as u64);
        let share = |bytes: usize| {
            let share = u128::from(spans) * bytes as u128 / u128::from(taken.max(1));
            usize::try_from(share).unwrap_or(usize::MAX)
        };
        self.taken_bytes = self.taken_bytes.saturating_sub(share(self.taken_bytes));
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Running,
    /// Deliver what there is, without waiting for more.
    ShuttingDown,
    /// The counts are final.
    Closed,
}

impl Queue {
    pub(super) fn new(name: String, bound: Bound) -> Self {
        Self { name, bound, state: Mutex::default(), work: Notify::new(), settled: Condvar::new() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Takes as many spans of the batch as fit. The newest are the ones that are dropped: what is queued may be the
    /// beginning of a trace that the destination will get whole.
    pub(super) fn push(&self, batch: &Arc<Batch>) {
        let offered = batch.spans.len() as u64;
        let mut state = self.lock();
        state.counts.handed_in += offered;
        if state.phase != Phase::Running {
            state.counts.drop_spans(Reason::Shutdown, offered);
            return;
        }
        let room = (self.bound.spans as u64).saturating_sub(state.counts.queued);
        let (fitting, bytes) = batch.fitting(room, self.bound.bytes.saturating_sub(state.bytes()));
        state.counts.drop_spans(Reason::QueueFull, offered - fitting);
        if fitting == 0 {
            return;
        }
        state.counts.queued += fitting;
        let before = state.waiting_spans;
        state.waiting_spans += fitting as usize;
        state.waiting_bytes += bytes;
        state.waiting.push_back(Chunk { batch: Arc::clone(batch), range: 0..fitting as usize });
        state.since.get_or_insert_with(Instant::now);
        // A worker that knows of waiting spans sleeps until they are enough or old enough; wake it for nothing less.
        let wake = before == 0 || (before < state.wanted && state.waiting_spans >= state.wanted);
        drop(state);
        if wake {
            self.work.notify_one();
        }
    }

    /// Waits for a batch and takes all that is queued then; `None` when there will be no more. May be cancelled.
    pub(super) async fn next(&self, batching: Batching) -> Option<Vec<Chunk>> {
        loop {
            let ready_at = {
                let mut state = self.lock();
                state.wanted = batching.spans;
                let closing = state.phase != Phase::Running;
                let ready_at = state.since.map(|since| since + batching.wait);
                let ready = closing
                    || state.waiting_spans >= batching.spans
                    || ready_at.is_some_and(|time| time <= Instant::now());
                if !state.waiting.is_empty() && ready {
                    state.since = None;
                    state.waiting_spans = 0;
                    state.taken_bytes += std::mem::take(&mut state.waiting_bytes);
                    return Some(state.waiting.drain(..).collect());
                }
                if closing {
                    return None;
                }
                ready_at
            };
            match ready_at {
                Some(time) => tokio::select! {
                    () = self.work.notified() => {}
                    () = sleep_until(time) => {}
                },
                None => self.work.notified().await,
            }
        }
    }

    /// Spans that were taken have been delivered.
    pub(super) fn accept(&self, spans: u64) {
        self.settle(spans, |counts| counts.accepted += spans);
    }

    /// Spans that were taken will never be delivered.
    pub(super) fn drop_taken(&self, reason: Reason, spans: u64) {
        self.settle(spans, |counts| counts.drop_spans(reason, spans));
    }

    fn settle(&self, spans: u64, outcome: impl FnOnce(&mut Counts)) {
        let mut state = self.lock();
        // After the end they are counted as dropped already.
        if state.phase != Phase::Closed {
            debug_assert!(state.counts.queued >= spans, "more settled than taken");
            state.release(spans);
            state.counts.queued = state.counts.queued.saturating_sub(spans);
            outcome(&mut state.counts);
            self.settled.notify_all();
        }
    }

    /// Waits before another try; the beginning of a shutdown ends the wait, and leaves later ones as they are.
    pub(super) async fn back_off(&self, delay: Duration) {
        let end = Instant::now() + delay;
        if self.phase() != Phase::Running {
            return sleep_until(end).await;
        }
        while self.phase() == Phase::Running && Instant::now() < end {
            tokio::select! {
                () = self.work.notified() => {}
                () = sleep_until(end) => {}
            }
        }
    }

    /// The counts are final: there is nothing left to deliver.
    pub(super) fn is_closed(&self) -> bool {
        self.phase() == Phase::Closed
    }

    fn phase(&self) -> Phase {
        self.lock().phase
    }

    pub(super) fn begin_shutdown(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Running {
            state.phase = Phase::ShuttingDown;
        }
        drop(state);
        self.work.notify_one();
    }

    /// Waits until everything is settled, then closes; what is not settled in time is dropped.
    pub(super) fn finish_shutdown(&self, within: Duration) {
        let state = self.lock();
        let (mut state, _) = self
            .settled
            .wait_timeout_while(state, within, |state| state.counts.queued > 0)
            .unwrap_or_else(PoisonError::into_inner);
        let left = std::mem::take(&mut state.counts.queued);
        state.counts.drop_spans(Reason::Shutdown, left);
        state.waiting.clear();
        (state.waiting_spans, state.waiting_bytes, state.taken_bytes) = (0, 0, 0);
        state.phase = Phase::Closed;
        drop(state);
        self.work.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each update leaves the state consistent, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
